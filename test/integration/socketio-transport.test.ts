import t from 'tap'
import { WebSocket } from 'ws'
import { connect as connectTcp, type Socket } from 'node:net'
import { once } from 'node:events'
import type { ClientId } from '../../broker/index.ts'
import { until, within } from '../helpers/wait.ts'
import {
  collect, connectClient, connected, countPublishes, heard, newClient, nextPacket, startBridged
} from './socketio-harness.ts'

const HEADERS = { 'content-type': 'text/plain;charset=UTF-8' }

interface Answer { readonly status: number, readonly text: string }

/** What is under the methods of a stream. */
interface Writing extends Socket {
  _write (chunk: unknown, encoding: BufferEncoding, done: () => void): void
  _writev (chunks: Array<{ chunk: unknown, encoding: BufferEncoding }>, done: () => void): void
}

type Poll = (t: string | undefined, body?: string) => Promise<Answer>

/** A long-polling client by hand: every request has the `t` it is told. */
async function openPolling (url: string, eio = 'EIO=4'): Promise<Poll> {
  async function request (query: string, body?: string): Promise<Answer> {
    const response = await fetch(`${url}/socket.io/?${eio}&transport=polling${query}`,
      body === undefined ? {} : { method: 'POST', body, headers: HEADERS })
    return { status: response.status, text: await response.text() }
  }
  const { text } = await request('&t=open')
  const { sid } = JSON.parse(/\{[^}]*\}/.exec(text)![0]) as { sid: string }
  return async (t, body) => await request(`&sid=${sid}${t === undefined ? '' : `&t=${t}`}`, body)
}

t.test('a client with default options begins with polling, upgrades, and misses nothing [G2] [G3]', async t => {
  const { url } = await startBridged(t)
  const sender = await connectClient(t, url)
  const client = newClient(t, url, { auth: { clientId: 'U1' }, transports: undefined })
  const got = collect(client, 'x')
  const upgraded = new Promise<void>(resolve => client.io.on('open', () => {
    t.equal(client.io.engine.transport.name, 'polling')
    client.io.engine.once('upgrade', () => resolve())
  }))
  await connected(client)
  let n = 0
  let isUpgraded = false
  upgraded.then(() => { isUpgraded = true }, () => {})
  while (!isUpgraded || n < 100) await sender.emitWithAck('send', { user: 'U1' }, 'x', n++)
  t.same(await got.wait(n), Array.from({ length: n }, (_, index) => index))
  t.equal(client.io.engine.transport.name, 'websocket')
})

for (const eio of ['EIO=4', 'EIO=3&b64=1']) {
  t.test(`what is sent in one go is one response, and a binary event is never torn apart: ${eio}`, async t => {
    const { broker, url } = await startBridged(t)
    const sender = await connectClient(t, url)
    const poll = await openPolling(url, `clientId=U1&${eio}`)
    if (eio === 'EIO=4') await poll('1', '40')
    await until(() => broker.session('io:_:U1' as ClientId)?.attached === true, 'the session')
    t.match((await poll('2')).text, /40/)
    const response = poll('3')
    for (const n of [1, 2]) sender.emit('send', { user: 'U1' }, 'x', n, Buffer.from('abc'))
    const { text } = await response
    t.match(text, /451-\["x",1,.*bYWJj|451-\["x",1,.*b4YWJj/s, 'the header and what belongs to it')
    t.equal(text.match(/YWJj/g)?.length, text.match(/451-/g)?.length)
  })
}

t.test('the pieces of a binary event are one write to a WebSocket, of version 2 too', async t => {
  const { http, port, url } = await startBridged(t)
  const sender = await connectClient(t, url)
  const writes: string[] = []
  http.on('connection', (socket: Writing) => {
    const { _write, _writev } = socket
    socket._write = function (chunk, ...rest) {
      writes.push(String(chunk))
      _write.call(this, chunk, ...rest)
    }
    socket._writev = function (chunks, ...rest) {
      writes.push(chunks.map(({ chunk }) => String(chunk)).join(''))
      _writev.call(this, chunks, ...rest)
    }
  })
  for (const eio of [3, 4]) {
    const raw = new WebSocket(`ws://127.0.0.1:${port}/socket.io/?EIO=${eio}&transport=websocket&clientId=U${eio}`)
    t.teardown(() => raw.terminate())
    const connected = nextPacket(raw, '40')
    if (eio === 4) raw.once('message', () => raw.send('40'))
    await connected
    const attachment = new Promise<void>(resolve => raw.on('message', data => {
      if (String(data).includes('abc')) resolve()
    }))
    sender.emit('send', { user: `U${eio}` }, 'x', Buffer.from('abc'))
    await within(attachment, 'the attachment')
    t.match(writes.filter(text => text.includes('451-["x"')), [/451-.*abc/s], `EIO=${eio}`)
    writes.length = 0
  }
})

t.test('pongs that nobody asked for close the connection and count as no receipt [G2]', async t => {
  const { broker, url } = await startBridged(t)
  const sender = await connectClient(t, url)
  const poll = await openPolling(url)
  await poll('1', '40{"clientId":"U1"}')
  const gone = new Promise(resolve => broker.events.once('detached', resolve))
  await poll('2', '3')
  await gone
  await sender.emitWithAck('send', { user: 'U1' }, 'x', 1)
  const client = newClient(t, url, { auth: { clientId: 'U1' } })
  t.same(await collect(client, 'x').wait(1), [1])
})

t.test('a poll that overtakes the packet that leaves a namespace counts for nothing in it [G2]', async t => {
  const { broker, url } = await startBridged(t)
  const sender = await connectClient(t, url)
  const poll = await openPolling(url)
  await poll('1', '40{"clientId":"U1"}')
  t.match((await poll('2')).text, /40\{/)
  await sender.emitWithAck('send', { user: 'U1' }, 'x', 1)
  t.match((await poll('3')).text, /"x",1/)
  t.equal((await poll('4')).text, '2', 'a ping, whose pong comes behind what the client says before')
  const gone = new Promise<void>(resolve => broker.events.once('detached', () => resolve()))
  poll('5').catch(() => {}) // has no answer until the server is closed
  await poll('6', '41\x1e3')
  await within(gone, 'the client to have left')
  t.equal(broker.session('io:_:U1' as ClientId)?.inflightMessages, 1)
})

t.test('other paths and other upgrades on the HTTP server stay with whoever had them', async t => {
  const { http, port, url } = await startBridged(t)
  t.equal(await (await fetch(`${url}/elsewhere`)).text(), 'elsewhere')
  http.on('upgrade', (request, socket) => {
    if (request.url === '/mqtt') socket.end('HTTP/1.1 418 mine\r\n\r\n')
  })
  const socket = connectTcp(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  socket.write('GET /mqtt HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
  const [answer] = await within(once(socket, 'data') as Promise<[Buffer]>, 'an answer')
  t.match(answer.toString(), /418 mine/)
})

t.test('the bundle of the client is served for pages', async t => {
  const { url } = await startBridged(t)
  const response = await fetch(`${url}/socket.io/socket.io.min.js`)
  t.equal(response.status, 200)
  t.match(response.headers.get('content-type'), /javascript/)
  await response.body?.cancel()
})

t.test('closing takes nothing more, answers what was taken, and tells clients to come back', async t => {
  const { bridge, broker, url } = await startBridged(t)
  const taken = new Promise<void>(resolve => { countPublishes(broker, resolve) })
  const client = await connectClient(t, url, { auth: { clientId: 'U1' } })
  const answers: unknown[] = []
  const disconnected = heard(client, 'disconnect')
  for (let n = 0; n < 5; n++) client.emit('x', n, (answer: unknown) => answers.push(answer))
  await taken
  await bridge.close()
  t.same((await disconnected)[0], 'transport close')
  t.equal(client.active, true, 'it reconnects by itself')
  t.ok(answers.length >= 1, `${answers.length} answered`)
  t.equal(bridge.connections, 0)
})
