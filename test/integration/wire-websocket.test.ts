import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import mqtt from 'mqtt'
import { generate, type Packet } from 'mqtt-packet'
import t, { type Test } from 'tap'
import WebSocket, { createWebSocketStream } from 'ws'
import { checkWs } from '../../broker/mqtt/wire/wires.ts'
import { startInProcess, type InProcess, type InProcessOptions } from '../helpers/in-process.ts'
import {
  connectPacket, connectWire, publish1, publishPacket, subscribe, take, text, uniqueId, wireClient, type WireClient
} from '../helpers/mqtt-wire.ts'
import { startServer } from '../helpers/server.ts'
import { within } from '../helpers/wait.ts'

/** MQTT over WebSocket on a free port, beside TCP. */
async function setUp (t: Test, options?: InProcessOptions): Promise<InProcess & { url: string }> {
  const server = await startInProcess(t, options)
  const http = createServer()
  http.on('upgrade', (request, socket, head) => server.server.upgrade(request, socket, head))
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  t.teardown(() => { http.closeAllConnections(); http.close() })
  return { ...server, url: `ws://127.0.0.1:${(http.address() as AddressInfo).port}/mqtt` }
}

async function openSocket (t: Test, url: string, protocols: string[] = ['mqtt']): Promise<WebSocket> {
  const socket = new WebSocket(url, protocols)
  t.teardown(() => socket.terminate())
  await within(once(socket, 'open'), 'the WebSocket to open')
  return socket
}

async function connectSocket (
  t: Test, url: string, connect: Parameters<typeof connectPacket>[0] = {}
): Promise<{ socket: WebSocket, client: WireClient, sessionPresent: boolean }> {
  const socket = await openSocket(t, url)
  const client = wireClient(t, createWebSocketStream(socket))
  client.send(connectPacket(connect))
  const { returnCode, sessionPresent } = await client.expect('connack')
  if (returnCode !== 0) throw new Error(`refused with ${returnCode}`)
  return { socket, client, sessionPresent }
}

t.test('a ws without the private names that are used ends the start with them', async t => {
  t.doesNotThrow(() => checkWs())
  t.throws(() => checkWs({ WebSocket: class {} }), { message: /ws lacks WebSocket\._receiver and Receiver\._write, / })
})

t.test('[MQTT-6.0.0-3] [MQTT-6.0.0-4] the subprotocol mqtt is asked for and granted', async t => {
  const { url } = await setUp(t)
  t.equal((await openSocket(t, url)).protocol, 'mqtt')
  t.equal((await openSocket(t, url, ['other', 'mqtt'])).protocol, 'mqtt')
  t.equal((await openSocket(t, url, ['mqttv3.1', 'mqtt'])).protocol, 'mqtt')
})

t.test('a session begun over TCP goes on over WebSocket, at QoS 1 and 2 [G2] [G4]', async t => {
  const { url, port } = await setUp(t)
  const clientId = uniqueId()
  const { client: overTcp } = await connectWire(t, { port }, { clientId, clean: false })
  await subscribe(overTcp, { 'a/#': 2 })
  const { client: publisher } = await connectSocket(t, url)
  await publish1(publisher, 'a/1', 'one')
  const first = await overTcp.expect('publish')
  const { client, sessionPresent } = await connectSocket(t, url, { clientId, clean: false })
  t.equal(sessionPresent, true)
  t.match(await take(client), { messageId: first.messageId, dup: true })
  publisher.send(publishPacket('a/2', 'two', { qos: 2, messageId: 7 }))
  await publisher.expect('pubrec')
  publisher.send({ cmd: 'pubrel', messageId: 7 })
  await publisher.expect('pubcomp')
  t.match(await take(client), { qos: 2, topic: 'a/2' })
})

const SCRIPT: Packet[] = [
  connectPacket({ clientId: 'split' }),
  { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 's', qos: 1 }] },
  publishPacket('s', 'split and joined', { qos: 1, messageId: 2 }),
  { cmd: 'pingreq' }
]

t.test('[MQTT-6.0.0-2] packets are split and joined across frames', async t => {
  const { url } = await setUp(t)
  const bytes = Buffer.concat(SCRIPT.map(packet => generate(packet)))
  for (const size of [1, 2, 3, 7, 50, bytes.length]) {
    const socket = await openSocket(t, url)
    const client = wireClient(t, createWebSocketStream(socket))
    for (let at = 0; at < bytes.length; at += size) socket.send(bytes.subarray(at, at + size))
    const got = []
    while (got.length < 5) got.push(await client.next(3_000).then(({ cmd }) => cmd, () => 'nothing'))
    t.same(got.sort(), ['connack', 'pingresp', 'puback', 'publish', 'suback'], `frames of ${size} bytes`)
    socket.terminate()
  }
})

t.test('[G1] a receipt that comes before CONNACK would be for a message that nobody kept: there is none', async t => {
  const { url, port } = await setUp(t)
  const { client: watcher } = await connectWire(t, { port }, { clean: false })
  await subscribe(watcher, { eager: 1 })
  for (let round = 0; round < 20; round++) {
    const client = wireClient(t, createWebSocketStream(await openSocket(t, url)))
    // each packet in a frame of its own, none waits for an answer
    client.send(connectPacket())
    client.send(publishPacket('eager', String(round), { qos: 1, messageId: 1 }))
    client.send({ cmd: 'pingreq' })
    t.same([(await client.next()).cmd, (await client.next()).cmd, (await client.next()).cmd].indexOf('connack'), 0)
    t.equal(text(await take(watcher)), String(round))
    client.destroy()
  }
})

t.test('fragmented and empty frames are no different', async t => {
  const { url } = await setUp(t)
  const socket = await openSocket(t, url)
  const client = wireClient(t, createWebSocketStream(socket))
  const bytes = generate(connectPacket())
  socket.send(Buffer.alloc(0))
  socket.send(bytes.subarray(0, 5), { fin: false })
  socket.send(Buffer.alloc(0), { fin: false })
  socket.send(bytes.subarray(5), { fin: true })
  t.equal((await client.expect('connack')).returnCode, 0)
})

t.test('many pings of the WebSocket at once end nothing: the newest is answered', async t => {
  const { url } = await setUp(t)
  const { socket, client } = await connectSocket(t, url)
  const pongs: string[] = []
  socket.on('pong', data => { pongs.push(String(data)) })
  const { _socket: below } = socket as unknown as { _socket: Socket }
  for (let round = 0; round < 3; round++) {
    below.cork()
    for (let i = 0; i < 500; i++) socket.ping(`${round} ${i}`)
    below.uncork()
    while (pongs.at(-1) !== `${round} 499`) await within(once(socket, 'pong'), 'a pong')
  }
  client.send({ cmd: 'pingreq' })
  await client.expect('pingresp')
})

t.test('[MQTT-6.0.0-1] a text frame is refused and the connection closed', async t => {
  const { url } = await setUp(t)
  const socket = await openSocket(t, url)
  socket.send('this is text')
  await within(once(socket, 'close'), 'the WebSocket to be closed')
  t.pass('closed')
})

t.test('a large message passes both ways, and a large frame of no packets closes the connection [G6]', async t => {
  const { url } = await setUp(t)
  const { client } = await connectSocket(t, url)
  await subscribe(client, { big: 1 })
  client.send(publishPacket('big', Buffer.alloc(900_000, 7), { qos: 1, messageId: 3 }))
  const got = [await client.next(), await client.next()]
  const message = got.find(({ cmd }) => cmd === 'publish')
  t.ok(message !== undefined && 'payload' in message && message.payload?.length === 900_000)
  const { socket } = await connectSocket(t, url)
  socket.send(Buffer.alloc(8_000_000))
  await within(once(socket, 'close'), 'the WebSocket to be closed')
  t.same((await client.untilPong()).filter(({ cmd }) => cmd !== 'publish'), [], 'the other one goes on')
})

for (const times of [2, 20]) {
  t.test(`[G6] mqtt.js: a message of ${times} times packetBytesMax is refused alone, and nothing is cut`, async t => {
    const packetBytesMax = 100_000
    const { url, broker, port } = await setUp(t, { limits: { packetBytesMax } })
    const refused: string[] = []
    broker.events.on('refused', ({ topic, code }) => { refused.push(`${topic} ${code}`) })
    const { client: reader } = await connectWire(t, { port })
    await subscribe(reader, { '#': 1 })
    const client = mqtt.connect(url, { clean: false, clientId: uniqueId(), reconnectPeriod: 50 })
    t.teardown(() => client.end(true))
    let closes = 0
    client.on('close', () => { closes++ })
    await within(new Promise<void>(resolve => client.once('connect', () => resolve())), 'mqtt.js to connect')
    const payloads = [Buffer.alloc(times * packetBytesMax), ...[1, 2, 3, 4, 5].map(String)]
    const published = payloads.map(async (payload, i) => await client.publishAsync(`p/${i}`, payload, { qos: 1 }))
    const got: string[] = []
    while (got.length < 5) got.push(text(await take(reader)))
    await within(Promise.all(published), 'all receipts')
    t.same(got, ['1', '2', '3', '4', '5'])
    t.same(refused, ['p/0 MESSAGE_TOO_LARGE'])
    t.equal(closes, 0)
  })
}

t.test('[G6] a packet over skippedPacketBytesMax closes the WebSocket as soon as its length is known', async t => {
  const { url, refusals } = await setUp(t, { limits: { packetBytesMax: 10_000, skippedPacketBytesMax: 1_000_000 } })
  const { socket } = await connectSocket(t, url)
  const closed = once(socket, 'close')
  socket.send(Buffer.from([0x32, 0xff, 0xff, 0x7f]), { fin: false })
  await within(closed, 'the WebSocket to be closed')
  t.equal(refusals.counts.oversize, 1)
})

t.test('[G6] before CONNECT is accepted a WebSocket is cut at connectPacketBytesMax, inside a frame', async t => {
  const { url, refusals } = await setUp(t)
  const socket = await openSocket(t, url)
  const closed = once(socket, 'close')
  socket.send(Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f]), { fin: false })
  await within(closed, 'the WebSocket to be closed')
  t.equal(refusals.counts.oversize, 1)
})

t.test('[MQTT-3.14.4-1] [MQTT-3.1.0-2] the broker closes the WebSocket where it would close TCP', async t => {
  const { url } = await setUp(t)
  for (const last of [{ cmd: 'disconnect' }, connectPacket()] as Packet[]) {
    const { socket, client } = await connectSocket(t, url)
    client.send(last)
    await within(once(socket, 'close'), `the WebSocket to be closed after ${last.cmd}`)
  }
  t.pass('closed')
})

t.test('a WebSocket that vanishes publishes its will [MQTT-3.1.2-8]', async t => {
  const { url } = await setUp(t)
  const { client: watcher } = await connectSocket(t, url)
  await subscribe(watcher, { will: 1 })
  const { socket } = await connectSocket(t, url, {
    will: { topic: 'will', payload: Buffer.from('gone'), qos: 1, retain: false }
  })
  socket.terminate()
  t.equal(text(await take(watcher)), 'gone')
})

t.test('the server speaks MQTT at /mqtt of its HTTP port, and refuses upgrades elsewhere with a status', async t => {
  const server = await startServer(t)
  const base = `ws://127.0.0.1:${server.http.port}`
  const { client } = await connectSocket(t, `${base}/mqtt`)
  await subscribe(client, { a: 1 })
  await publish1((await connectWire(t, server.mqtt)).client, 'a', 'across')
  t.equal(text(await take(client)), 'across')
  const lost = new WebSocket(`${base}/elsewhere`, ['mqtt'])
  lost.on('error', () => {})
  const [, response] = await within(once(lost, 'unexpected-response'), 'an answer') as [unknown, { statusCode: number }]
  t.equal(response.statusCode, 404)
  lost.terminate()
})
