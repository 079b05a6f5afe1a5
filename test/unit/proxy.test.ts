import { createServer, connect, type AddressInfo, type Socket } from 'node:net'
import { once } from 'node:events'
import t, { type Test } from 'tap'
import { createProxy, type Proxy } from '../helpers/proxy.ts'
import { until } from '../helpers/wait.ts'

/** A server that sends back what it gets, behind a proxy. */
async function setUp (t: Test): Promise<{ proxy: Proxy, client: () => Promise<Socket>, seen: Socket[] }> {
  const seen: Socket[] = []
  const server = createServer({ allowHalfOpen: true }, socket => {
    seen.push(socket)
    socket.on('error', () => {})
    socket.pipe(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const proxy = await createProxy(t, { port: (server.address() as AddressInfo).port })
  t.teardown(() => { server.close(); for (const socket of seen) socket.destroy() })
  async function client (): Promise<Socket> {
    const socket = connect({ port: proxy.port, host: proxy.host, allowHalfOpen: true })
    t.teardown(() => { socket.destroy() })
    socket.on('error', () => {})
    await once(socket, 'connect')
    return socket
  }
  return { proxy, client, seen }
}

async function echo (socket: Socket, text: string): Promise<string> {
  socket.write(text)
  let back = ''
  while (back.length < text.length) back += String((await once(socket, 'data'))[0])
  return back
}

t.test('a proxy passes bytes and FIN both ways', async t => {
  const { client } = await setUp(t)
  const socket = await client()
  t.equal(await echo(socket, 'hello'), 'hello')
  socket.end()
  await once(socket, 'end')
  t.pass('the other side has answered FIN with FIN')
})

t.test('a client that changes its network loses its connections, and the server is told nothing', async t => {
  const { proxy, client, seen } = await setUp(t)
  const socket = await client()
  await echo(socket, 'a')
  const reset = once(socket, 'error')
  proxy.roam()
  t.match(await reset, [{ code: 'ECONNRESET' }])
  t.equal(await echo(await client(), 'b'), 'b', 'new connections pass')
  t.notOk(seen[0].destroyed, 'the server was told nothing')
})

t.test('a hole swallows bytes and RST without a word, and the connection stays dead after it', async t => {
  const { proxy, client, seen } = await setUp(t)
  const socket = await client()
  await echo(socket, 'a')
  proxy.hole('both')
  const before = proxy.bytes.up
  socket.write('lost')
  await until(() => proxy.bytes.up === before + 4, 'the proxy to take the bytes')
  proxy.pass()
  socket.write('lost too')
  await until(() => proxy.bytes.up === before + 12, 'the proxy to take the bytes')
  socket.resetAndDestroy()
  const fresh = await client()
  t.equal(await echo(fresh, 'b'), 'b', 'new connections pass')
  t.equal(seen[0].bytesRead, 1, 'the server has got nothing of it')
  t.notOk(seen[0].destroyed, 'the server was told nothing')
})

t.test('a stall holds bytes back and delivers all of them afterwards', async t => {
  const { proxy, client } = await setUp(t)
  const socket = await client()
  proxy.stall('down')
  socket.write('kept')
  await until(() => proxy.bytes.down === 4, 'the answer to reach the proxy')
  t.equal(socket.bytesRead, 0)
  proxy.pass()
  const [back] = await once(socket, 'data')
  t.equal(String(back), 'kept')
})

t.test('a cut by RST is an error at both ends, a cut by FIN is an end', async t => {
  const { proxy, client, seen } = await setUp(t)
  const first = await client()
  await echo(first, 'a')
  const error = once(first, 'error')
  proxy.cut('reset')
  t.equal((await error)[0].code, 'ECONNRESET')
  const second = await client()
  await echo(second, 'b')
  const ended = Promise.all([once(second, 'end'), once(seen[1], 'end')])
  proxy.cut('finish')
  await ended
  t.pass('both ends have seen FIN')
})

t.test('a byte budget lets exactly so many bytes through', async t => {
  const { proxy, client, seen } = await setUp(t)
  proxy.cutAfter(3, 'up', 'finish')
  const socket = await client()
  const ended = once(socket, 'end')
  socket.write('abcdef')
  await ended
  await until(() => seen.length === 1 && seen[0].readableEnded, 'the server to see the end')
  t.equal(seen[0].bytesRead, 3)
})

t.test('a budget that a connection has used up before lets not one byte more pass', async t => {
  const { proxy, client } = await setUp(t)
  const socket = await client()
  await echo(socket, 'abc')
  proxy.cutAfter(0, 'down', 'finish')
  let after = ''
  socket.on('data', bytes => { after += String(bytes) })
  socket.write('0123456789')
  await once(socket, 'end')
  t.equal(after, '')
})

t.test('delay and throttle take their time and lose nothing', async t => {
  const { proxy, client } = await setUp(t)
  const socket = await client()
  proxy.delay(50)
  let start = performance.now()
  t.equal(await echo(socket, 'late'), 'late')
  t.ok(performance.now() - start >= 95, 'a round trip takes two delays')
  proxy.pass()
  proxy.throttle(10_000)
  const text = 'x'.repeat(2_000)
  start = performance.now()
  t.equal(await echo(socket, text), text)
  t.ok(performance.now() - start >= 150, '2,000 bytes at 10,000 bytes/s take their time')
})

t.test('a proxy that refuses resets new connections', async t => {
  const { proxy } = await setUp(t)
  proxy.refuse()
  const socket = connect({ port: proxy.port, host: proxy.host })
  t.equal((await once(socket, 'error'))[0].code, 'ECONNRESET')
})
