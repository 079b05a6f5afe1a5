/** What is held of a client that is not let in is small, whatever the transport. */
import { once } from 'node:events'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { until, within } from '../helpers/wait.ts'
import { connectClient, startBridged, type Bridged } from './socketio-harness.ts'
import { ioSockets, startProgram } from './socketio-programs.ts'

const LIMITS = { connectPacketBytesMax: 2_000 }
const BIG = 'x'.repeat(3_000)
const WORKS = 'x'.repeat(1_500)

async function open (t: Test, { url }: Pick<Bridged, 'url'>, query = 'EIO=4'): Promise<WebSocket> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/socket.io/?${query}&transport=websocket`)
  t.teardown(() => socket.terminate())
  socket.on('error', () => {})
  await within(once(socket, 'message'), 'the handshake')
  return socket
}

async function closed (socket: WebSocket): Promise<void> {
  await within(once(socket, 'close'), 'the end')
}

for (const [what, packets] of [
  ['a packet beyond connectPacketBytesMax', [`40${JSON.stringify({ token: BIG })}`]],
  ['an event', [`42${JSON.stringify(['x', 'y'])}`]],
  ['an event whose bytes are to come', ['451-["x",{"_placeholder":true,"num":0}]']],
  ['bytes', [Buffer.alloc(100)]],
  ['CONNECT packets that are too much together',
    [`40/a,${JSON.stringify({ token: WORKS })}`, `40/b,${JSON.stringify({ token: WORKS })}`]]
] as const) {
  t.test(`[G6] a WebSocket that sends ${what} before it is let in is closed`, async t => {
    const bridged = await startBridged(t, { limits: LIMITS, bridge: { identify: () => new Promise(() => {}) } })
    const socket = await open(t, bridged)
    for (const packet of packets) socket.send(packet)
    await closed(socket)
    t.same([...bridged.broker.sessions()], [])
  })
}

t.test('[G6] so is what asks for an upgrade and was not let in', async t => {
  const bridged = await startBridged(t, { limits: LIMITS })
  const answer = await (await fetch(`${bridged.url}/socket.io/?EIO=4&transport=polling&t=1`)).text()
  const { sid } = JSON.parse(answer.slice(1)) as { sid: string }
  const url = `${bridged.url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket&sid=${sid}`
  for (const first of ['', '2probe']) {
    const socket = new WebSocket(url)
    t.teardown(() => socket.terminate())
    socket.on('error', () => {})
    await once(socket, 'open')
    if (first !== '') socket.send(first)
    socket.send(BIG)
    await closed(socket)
  }
})

t.test('[G6] over long polling a body beyond connectPacketBytesMax is refused', async t => {
  const bridged = await startBridged(t, { limits: LIMITS })
  const url = `${bridged.url}/socket.io/?EIO=4&transport=polling`
  const { sid } = JSON.parse((await (await fetch(`${url}&t=1`)).text()).slice(1)) as { sid: string }
  const body = `40${JSON.stringify({ token: BIG })}`
  t.equal((await fetch(`${url}&sid=${sid}&t=2`, { method: 'POST', body })).status, 413)
})

for (const transports of [['polling'], ['websocket'], ['polling', 'websocket']]) {
  for (const perMessageDeflate of [false, true]) {
    t.test(`who was let in sends as much as ever: ${transports}, compression ${perMessageDeflate}`, async t => {
      const { url } = await startBridged(t, { limits: LIMITS, bridge: { socketioDeflate: perMessageDeflate } })
      const client = await connectClient(t, url, { transports, auth: { clientId: 'c', token: WORKS } })
      if (transports.length === 2) {
        await until(() => client.io.engine.transport.name === 'websocket', 'the upgrade')
      }
      const text = Array.from({ length: 20_000 }, (_, i) => i.toString(36)).join()
      t.match(await client.emitWithAck('send', { room: 'r' }, 'x', text), { status: 'ok' })
    })
  }
}

t.test('[G6] auth is dropped when a client was let in; a program\'s own server keeps it, and bounds it', async t => {
  const bridged = await startBridged(t, { limits: LIMITS })
  const client = await connectClient(t, bridged.url, { auth: { token: WORKS } })
  const manager = client.io
  for (const namespace of ['/a', '/b', '/c']) {
    const socket = manager.socket(namespace, { auth: { token: WORKS } })
    t.teardown(() => socket.disconnect())
    await within(new Promise<void>(resolve => socket.on('connect', () => resolve())), namespace)
  }
  t.match(bridged.refusals.counts, { oversize: 0, violations: 0 })

  const { io, url, holdfast } = await startProgram(t, io => {
    io.of('/a')
    io.of('/b')
  }, LIMITS)
  const one = await connectClient(t, url, { auth: { token: WORKS }, reconnection: false })
  t.same(ioSockets(io)[0].handshake.auth, { token: WORKS }, 'it is the program\'s')
  const ended = new Promise<void>(resolve => one.on('disconnect', () => resolve()))
  const two = one.io.socket('/a', { auth: { token: WORKS } })
  t.teardown(() => two.disconnect())
  await within(ended, 'the end')
  t.equal(holdfast.stats().refusals.oversize, 1)
})
