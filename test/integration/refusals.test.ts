/** Every kind of refusal, met by somebody: each is counted, and told in the log with who, what and what to do. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { generate } from 'mqtt-packet'
import t, { type Test } from 'tap'
import { createWebSocketStream, WebSocket } from 'ws'
import { createMemoryStore } from '../../broker/store/memory.ts'
import {
  createHoldfast, type Auth, type Holdfast, type HoldfastOptions, type Logger, type Principal
} from '../../index.ts'
import { connectPacket, connectWire, openWire, publish1, wireClient } from '../helpers/mqtt-wire.ts'
import { within } from '../helpers/wait.ts'
import { connectClient, newClient, refused } from './socketio-harness.ts'

type Line = Readonly<Record<string, unknown>>

interface Started {
  readonly holdfast: Holdfast
  readonly mqttPort: number
  readonly httpPort: number
  readonly url: string
  readonly lines: readonly Line[]
  /** The line of that kind that matches, when it is there. */
  line (kind: string, sentence: RegExp, about?: Line): Promise<Line>
}

const auth: Auth = {
  anonymous: false,
  authenticate: async ({ password, clientId }) =>
    String(password) === 'wrong' || clientId.includes('wrong') ? undefined : 'somebody' as Principal,
  mayPublish: (_who, _clientId, topic) => !topic.includes('secret'),
  maySubscribe: (_who, _clientId, filter) => !filter.includes('secret')
}

async function start (t: Test, options: HoldfastOptions = {}): Promise<Started> {
  const lines: Line[] = []
  let told = (): void => {}
  const warn = (fields: object, sentence: string): void => {
    lines.push({ ...fields, sentence })
    told()
  }
  const logger: Logger = { debug () {}, info () {}, warn, error () {} }
  const holdfast = await createHoldfast({
    store: createMemoryStore(), logger, mqttPort: 0, httpPort: 0, packetBytesMax: 4_096, connectPacketBytesMax: 2_048,
    ...options
  })
  t.teardown(() => holdfast.close())
  const { mqtt, http } = holdfast.addresses
  async function line (kind: string, sentence: RegExp, about: Line = {}): Promise<Line> {
    for (;;) {
      const found = lines.find(one => one['refused'] === kind && sentence.test(String(one['sentence'])) &&
        Object.entries(about).every(([name, value]) => one[name] === value))
      if (found !== undefined) return found
      await within(new Promise<void>(resolve => { told = resolve }), `a line of ${kind}: ${sentence}`)
    }
  }
  return { holdfast, mqttPort: mqtt!.port, httpPort: http!.port, url: `http://127.0.0.1:${http!.port}`, lines, line }
}

/** What comes back for these bytes until the server ends the connection. */
async function say (port: number, bytes: string | Buffer, size = Infinity): Promise<Buffer> {
  const socket = connect(port, '127.0.0.1').setNoDelay(true)
  socket.on('error', () => {}) // cut while it still writes
  const chunks: Buffer[] = []
  socket.on('data', chunk => { chunks.push(chunk) })
  const closed = new Promise<void>(resolve => { socket.once('close', () => resolve()) })
  await once(socket, 'connect')
  const all = Buffer.from(bytes)
  for (let at = 0; at < all.length && socket.writable; at += size) {
    socket.write(all.subarray(at, at + size))
    await new Promise(resolve => { setImmediate(resolve) })
  }
  await within(closed, 'the server to end it')
  return Buffer.concat(chunks)
}

function upgrade (path: string, key = 'AAAAAAAAAAAAAAAAAAAAAA=='): string {
  return `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
    `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n`
}

/** The first packet of a stranger to Socket.IO, which is the last. */
async function begin (t: Test, port: number, packet: string): Promise<void> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/socket.io/?EIO=4&transport=websocket`)
  t.teardown(() => socket.terminate())
  socket.on('error', () => {})
  socket.once('message', () => socket.send(packet))
  await within(once(socket, 'close'), 'the end of the stranger')
}

const HELLO = Buffer.from('160301020001000001fc0303', 'hex')
const PROXY = 'PROXY TCP4 10.0.0.1 10.0.0.2 5 6\r\n'
const who = { remoteAddress: '127.0.0.1' }

t.test('another protocol than MQTT 3.1.1 is named, in one piece or byte by byte', async t => {
  for (const size of [Infinity, 1]) {
    const { mqttPort, holdfast, line } = await start(t)
    t.equal((await say(mqttPort, HELLO, size)).length, 0)
    t.match(await line('foreign', /speaks TLS where MQTT.*mqtt:\/\//), who)
    t.equal((await say(mqttPort, PROXY, size)).length, 0)
    t.match(await line('foreign', /PROXY protocol.*turn it off/), who)
    t.match(String(await say(mqttPort, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', size)), /^HTTP\/1\.1 400 .*httpPort/s)
    t.match(await line('foreign', /speaks HTTP.*httpPort/), who)
    const five = generate(connectPacket({ protocolVersion: 5 }))
    t.same(await say(mqttPort, five, size), Buffer.from([0x20, 2, 0, 1]), 'MQTT 5 hears return code 1')
    t.match(await line('foreign', /speaks MQTT 5 .*3\.1\.1 in the client/), who)
    t.match(holdfast.stats().refusals, { foreign: 4, violations: 0 })
  }
})

t.test('another protocol than HTTP is named, and whoever speaks it gets 400', async t => {
  const { httpPort, holdfast, line } = await start(t)
  const all: ReadonlyArray<readonly [string | Buffer, RegExp]> = [
    [HELLO, /speaks TLS where HTTP/], [PROXY, /PROXY protocol.*turn it off/],
    [generate(connectPacket()), /speaks MQTT where HTTP.*mqttPort.*mqttPath/]
  ]
  for (const [bytes, sentence] of all) {
    t.match(String(await say(httpPort, bytes)), /^HTTP\/1\.1 400 /)
    t.match(await line('foreign', sentence), who)
  }
  t.match(String(await say(httpPort, 'GET / HTTP/9.9\r\n\r\n')), /^HTTP\/1\.1 400 /)
  t.match(await line('requests', /no HTTP/), who)
  t.match(holdfast.stats().refusals, { foreign: 3, requests: 1 })
})

t.test('a wrong path is told with the path that is served, of requests and of WebSockets', async t => {
  const { httpPort, url, holdfast, line } = await start(t, { mqttPath: '/chat/mqtt' })
  const paths = ['/', '/ws', '/mqtt/', '/chat/socket.io/']
  for (const path of paths) {
    t.equal((await fetch(`${url}${path}?EIO=4&transport=polling`)).status, 404)
    t.match(await line('paths', /path of a request;.*\/chat\/mqtt, Socket\.IO at \/socket\.io\//, { path }), who)
    t.match(String(await say(httpPort, upgrade(path))), /^HTTP\/1\.1 404 /)
    t.match(await line('paths', /path of a WebSocket;.*socketioPath/, { path, upgrade: 'websocket' }), who)
  }
  t.equal(holdfast.stats().refusals.paths, 2 * paths.length)
})

t.test('requests that Engine.IO or a WebSocket can\'t take, and pages of other origins', async t => {
  const { httpPort, url, holdfast, line } = await start(t)
  const engine = `${url}/socket.io/?EIO=4&transport=`
  t.equal((await fetch(`${engine}pigeon`)).status, 400)
  t.match(await line('requests', /transports polling and websocket/, { transport: 'pigeon' }), who)
  t.equal((await fetch(`${engine}polling&sid=nobody`)).status, 400)
  t.match(await line('requests', /connects anew/, { sid: 'nobody' }), who)
  t.equal((await fetch(`${url}/mqtt`)).status, 426)
  t.match(await line('requests', /mqttPath asks for no WebSocket/), who)
  t.match(String(await say(httpPort, upgrade('/mqtt', 'short'))), /^HTTP\/1\.1 400 /)
  t.match(await line('requests', /makes none/), who)
  t.equal((await fetch(`${engine}polling`, { headers: { origin: 'https://evil.example' } })).status, 403)
  t.match(await line('origins', /allowedOrigins/, { origin: 'https://evil.example' }), who)
  t.match(holdfast.stats().refusals, { requests: 4, origins: 1 })
})

t.test('MQTT: clients, filters, messages, wills and violations', async t => {
  const { mqttPort: port, holdfast, line } = await start(t, { auth })
  const to = { host: '127.0.0.1', port }
  const known = { ...who, principal: 'somebody' }
  const { connack } = await connectWire(t, to, { clientId: 'a', username: 'u', password: Buffer.from('wrong') })
  t.equal(connack.returnCode, 4)
  t.match(await line('clients', /correct the credentials/), { ...who, clientId: 'a', returnCode: 4 })
  const will = { topic: 'secret/b', payload: Buffer.from('x'), qos: 1 as const, retain: false }
  const { client } = await connectWire(t, to, { clientId: 'b', will })
  t.match(await line('wills', /mayPublish/), { ...who, clientId: 'b', topic: '"secret/b"' })
  await publish1(client, 'secret/c', 'x', 1)
  t.match(await line('messages', /got a receipt; allow it/), { ...known, clientId: 'b', topic: '"secret/c"' })
  const filters = ['a/#/b', 'a+', '$share//a', '$queue/a', 'x'.repeat(2_000), 'secret/#']
  client.send({ cmd: 'subscribe', messageId: 2, subscriptions: filters.map(topic => ({ topic, qos: 1 })) })
  t.same((await client.expect('suback')).granted, filters.map(() => 0x80))
  t.match(await line('filters', /correct the filter/), { ...known, clientId: 'b', topic: '"a/#/b"' })
  t.match(await line('filters', /maySubscribe/), { ...known, topic: '"secret/#"' })
  client.write(Buffer.from('c00100', 'hex'))
  await within(client.closed, 'the end')
  t.match(await line('violations', /mend the client/), { ...known, clientId: 'b' })
  t.match(holdfast.stats().refusals, { clients: 1, wills: 1, messages: 1, filters: filters.length, violations: 1 })
})

t.test('MQTT: a connection over which no CONNECT comes, or a part of one', async t => {
  const { mqttPort, line, holdfast } = await start(t, { connectTimeoutMs: 100 })
  for (const bytes of ['', generate(connectPacket()).subarray(0, 9)]) t.equal((await say(mqttPort, bytes)).length, 0)
  t.match(await line('clients', /no CONNECT came/), { ...who, connectTimeoutMs: 100 })
  t.equal(holdfast.stats().refusals.clients, 2)
})

t.test('Socket.IO: clients, emits, and what comes before CONNECT', async t => {
  const { url, httpPort, holdfast, line } = await start(t, { auth })
  const bad = newClient(t, url, { auth: { clientId: 'wrong' }, reconnection: false })
  t.equal((await refused(bad)).data?.code, 'NOT_AUTHORIZED')
  t.match(await line('clients', /a Socket\.IO client was refused; correct the cred/), { ...who, clientId: 'wrong' })
  const good = await connectClient(t, url, { auth: { clientId: 'good' } })
  const answer = await good.emitWithAck('send', { room: 'secret' }, 'x', 1) as { status: string }
  t.equal(answer.status, 'error')
  t.match(await line('messages', /emitted was refused.*credentials/), { clientId: 'io:_:good', event: 'send' })
  await begin(t, httpPort, '42["x"]')
  t.match(await line('violations', /broke the protocol/), { ...who, error: /before its CONNECT was accepted/ })
  good.io.engine.send('4garbage')
  t.match(await line('violations', /what is no packet/), { ...who, clientId: 'io:_:good', principal: 'somebody' })
  t.match(holdfast.stats().refusals, { clients: 1, messages: 1, violations: 2 })
})

t.test('[G6] more than is taken at once: over TCP, WebSocket, Engine.IO\'s WebSocket and polling', async t => {
  const { mqttPort, httpPort, url, holdfast, line } = await start(t)
  const tcp = await openWire(t, { port: mqttPort })
  tcp.write(Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f]))
  await within(tcp.closed, 'the end')
  t.match(await line('oversize', /raise connectPacketBytesMax/), who)

  const socket = new WebSocket(`ws://127.0.0.1:${httpPort}/mqtt`, 'mqtt')
  await once(socket, 'open')
  const mqtt = wireClient(t, createWebSocketStream(socket).on('error', () => {}))
  mqtt.send(connectPacket({ clientId: 'page' }))
  await mqtt.expect('connack')
  const closed = once(socket, 'close')
  socket.send(Buffer.from([0x32, 0xff, 0xff, 0xff, 0x7f])) // PUBLISH of 256 MiB
  await within(closed, 'the end')
  t.match(await line('oversize', /raise packetBytesMax/), { ...who, clientId: 'page', error: /the limit is 4096/ })

  for (const transports of [['websocket'], ['polling']]) {
    const client = await connectClient(t, url, { transports, auth: { clientId: transports[0] }, reconnection: false })
    const ended = new Promise<void>(resolve => client.once('disconnect', () => resolve()))
    client.emit('send', { room: 'r' }, 'x', 'y'.repeat(10_000))
    await within(ended, transports[0])
    t.match(await line('oversize', /raise packetBytesMax/, { clientId: `io:_:${transports[0]}` }),
      { ...who, error: /packetBytesMax = 4096/ })
  }
  await begin(t, httpPort, `40${JSON.stringify({ token: 'x'.repeat(3_000) })}`)
  t.match(await line('oversize', /Socket\.IO.*raise connectPacketBytesMax/), who)
  t.match(holdfast.stats().refusals, { oversize: 5, violations: 0 })
})

t.test('connectionsMax: MQTT over TCP, HTTP', async t => {
  const { mqttPort, httpPort, holdfast, line } = await start(t, { connectionsMax: 1 })
  await connectWire(t, { host: '127.0.0.1', port: mqttPort })
  t.equal((await say(mqttPort, generate(connectPacket()))).length, 0)
  t.match(await line('connections', /of MQTT was refused.*raise connectionsMax/), who)
  const first = connect(httpPort, '127.0.0.1')
  t.teardown(() => first.destroy())
  await once(first, 'connect')
  await say(httpPort, 'GET / HTTP/1.1\r\n\r\n')
  t.match(await line('connections', /of HTTP was refused/), who)
  t.equal(holdfast.stats().refusals.connections, 2)
})

t.test('[G8] whoever is refused again and again is counted, and writes a few lines', async t => {
  const { url, holdfast, lines, line } = await start(t)
  for (let n = 0; n < 200; n++) t.equal((await fetch(`${url}/made-up/${n}`)).status, 404)
  t.equal(holdfast.stats().refusals.paths, 200)
  t.equal(lines.length, 10)
  t.equal((await fetch(`${url}/mqtt`)).status, 426)
  await line('requests', /mqttPath/)
  t.equal(lines.length, 11, 'and hides no other kind')
})
