/** Which doors a server opens to whom, by what it was given. */
import { once } from 'node:events'
import { type Server as HttpServer, createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { connectAsync } from 'mqtt'
import { Server } from 'socket.io'
import t, { type Test } from 'tap'
import { createMemoryStore } from '../../broker/store/memory.ts'
import {
  type Auth, type Holdfast, type HoldfastOptions, type Logger, type Principal, createHoldfast
} from '../../index.ts'
import { startServer } from '../helpers/server.ts'
import { newClient, connectClient, refused } from './socketio-harness.ts'

const auth: Auth = {
  anonymous: false,
  authenticate: async ({ username }) => username as Principal | undefined,
  mayPublish: () => true,
  maySubscribe: () => true
}

interface Line { readonly level: string, readonly sentence: string }

interface Started { readonly holdfast: Holdfast, readonly lines: readonly Line[] }

/** In memory, as quiet as a program leaves it: no port is named. */
async function start (t: Test, options: HoldfastOptions): Promise<Started> {
  const lines: Line[] = []
  const write = (level: string) => (_fields: object, sentence: string): void => { lines.push({ level, sentence }) }
  const logger: Logger = { debug () {}, info: write('info'), warn: write('warn'), error: write('error') }
  const holdfast = await createHoldfast({ store: createMemoryStore(), logger, ...options })
  t.teardown(() => holdfast.close())
  return { holdfast, lines }
}

async function listening (t: Test, http: HttpServer, host = '127.0.0.1'): Promise<number> {
  http.listen(0, host)
  await once(http, 'listening')
  t.teardown(() => { http.close(); http.closeAllConnections() })
  return (http.address() as AddressInfo).port
}

/** The head and the body of the answer to a request for MQTT over WebSocket. */
async function knock (port: number, path = '/mqtt'): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
    'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n')
  const [answer] = await once(socket, 'data')
  socket.destroy()
  return String(answer)
}

const OPEN = /^HTTP\/1\.1 101 /
const doorsOf = ({ lines }: Started): string[] =>
  lines.filter(({ sentence }) => sentence.startsWith('doors: ')).map(({ sentence }) => sentence)

t.test('with a program\'s own io or http no MQTT door is open to strangers, and one line says so', async (t) => {
  for (const kind of ['io', 'http'] as const) {
    const http = createServer()
    const given = kind === 'io' ? { io: new Server(http) } : { http }
    const port = await listening(t, http)
    const started = await start(t, given)
    t.equal(started.holdfast.addresses.mqtt, undefined, `${kind}: no TCP port`)
    const answer = await knock(port)
    t.match(answer, /^HTTP\/1\.1 404 .*MQTT over WebSocket is closed here \(mqttWebsocket\)/s, kind)
    const [line, ...more] = doorsOf(started)
    t.same(more, [], 'one line')
    t.match(line, `doors: Socket.IO at 127.0.0.1:${port}/socket.io/ (` +
      (kind === 'io' ? 'whom the program\'s own middlewares let in)' : 'anonymous: everybody who reaches it)'))
    t.match(line, '; closed: MQTT (mqttPort), MQTT over WebSocket (mqttWebsocket)')
  }
})

t.test('a closed door leaves its path to the program: its pages and its own upgrades', async (t) => {
  const http = createServer((_request, response) => { response.end('the program\'s page') })
  const io = new Server(http)
  const port = await listening(t, http)
  await start(t, { io })
  t.equal(await (await fetch(`http://127.0.0.1:${port}/mqtt`)).text(), 'the program\'s page')
  http.on('upgrade', (request, socket) => { if (request.url === '/mqtt') socket.end('HTTP/1.1 101 Mine\r\n\r\n') })
  t.match(await knock(port), /^HTTP\/1\.1 101 Mine/)
})

t.test('an upgrade that a program takes is never answered by us, whatever transports its io has', async (t) => {
  const http = createServer()
  const io = new Server(http, { transports: ['polling'] })
  http.on('upgrade', (request, socket) => { if (request.url === '/own') socket.end('HTTP/1.1 101 Mine\r\n\r\n') })
  const port = await listening(t, http)
  await start(t, { io })
  t.match(await knock(port, '/own'), /^HTTP\/1\.1 101 Mine/)
})

t.test('MQTT doors open where a program asks for them, or has authentication', async (t) => {
  const asked: ReadonlyArray<readonly [string, HoldfastOptions, boolean, boolean]> = [
    ['mqttPort', { mqttPort: 0 }, true, false],
    ['mqttWebsocket', { mqttWebsocket: true }, false, true],
    ['auth', { auth, mqttPort: 0 }, true, true],
    ['auth, both closed', { auth, mqttPort: false, mqttWebsocket: false }, false, false],
    ['allowAnonymous, which says nothing of MQTT', { allowAnonymous: true }, false, false]
  ]
  for (const [what, options, tcp, websocket] of asked) {
    const http = createServer()
    const io = new Server(http)
    const port = await listening(t, http)
    const started = await start(t, { io, ...options })
    t.equal(started.holdfast.addresses.mqtt !== undefined, tcp, `${what}: TCP`)
    t.equal(OPEN.test(await knock(port)), websocket, `${what}: WebSocket`)
    const [line] = doorsOf(started)
    const who = options.auth === undefined ? 'anonymous: everybody who reaches it' : 'authenticated'
    if (tcp) t.match(line, `MQTT at 127.0.0.1:${started.holdfast.addresses.mqtt!.port} (${who})`, what)
    if (websocket) t.match(line, `MQTT over WebSocket at 127.0.0.1:${port}/mqtt (${who})`, what)
  }
})

t.test('auth that lets everybody in is no authentication: it opens no door', async (t) => {
  const http = createServer()
  const port = await listening(t, http)
  const { holdfast } = await start(t, { http, auth: { ...auth, anonymous: true } })
  t.equal(holdfast.addresses.mqtt, undefined)
  t.match(await knock(port), /^HTTP\/1\.1 404/)
})

t.test('without a server of the program all doors are open on this machine, and each can be closed', async (t) => {
  const all = await start(t, { mqttPort: 0, httpPort: 0 })
  t.match(await knock(all.holdfast.addresses.http!.port), OPEN)
  await connectAsync(`mqtt://127.0.0.1:${all.holdfast.addresses.mqtt!.port}`).then((client) => client.endAsync())
  const none = await start(t, { mqttPort: false, mqttWebsocket: false, httpPort: 0 })
  t.equal(none.holdfast.addresses.mqtt, undefined)
  t.match(await knock(none.holdfast.addresses.http!.port), /^HTTP\/1\.1 404 /)
  t.equal((await fetch(`http://127.0.0.1:${none.holdfast.addresses.http!.port}/mqtt`)).status, 404)
})

t.test('the command has the switch too, and says on standard output what is closed', async (t) => {
  const server = await startServer(t, { flags: ['--no-mqtt-websocket'] })
  t.match(await knock(server.http.port), /^HTTP\/1\.1 404 /)
  t.match(server.stdout, /MQTT over WebSocket +closed \(mqttWebsocket\)/)
  t.match(server.stderr, /"msg":"doors: MQTT at 127\.0\.0\.1:\d+ \(anonymous/)
})

t.test('a program may listen before, while or after it hands its server over', async (t) => {
  for (const when of ['before', 'while', 'after'] as const) {
    const http = createServer()
    const io = new Server(http)
    t.teardown(() => { http.close(); http.closeAllConnections() })
    if (when === 'before') await listening(t, http)
    if (when === 'while') http.listen(0, '127.0.0.1')
    await start(t, { io })
    if (when === 'after') http.listen(0, '127.0.0.1')
    if (!http.listening) await once(http, 'listening')
    const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`
    t.ok((await connectClient(t, url, { auth: { clientId: when } })).connected, when)
  }
})

t.test('a program\'s io needs no more than before, wherever it listens: its middlewares decide', async (t) => {
  const http = createServer()
  const io = new Server(http)
  io.use((socket, next) => next(socket.handshake.auth['token'] === 'right' ? undefined : new Error('who are you?')))
  const port = await listening(t, http, '0.0.0.0')
  await start(t, { io })
  const url = `http://127.0.0.1:${port}`
  t.match(await refused(newClient(t, url, { auth: { clientId: 'U1' } })), { message: 'who are you?' })
  t.ok((await connectClient(t, url, { auth: { clientId: 'U1', token: 'right' } })).connected)
})

t.test('strangers by a server that others reach are refused, at the start or when it begins to listen', async (t) => {
  const early = createServer()
  await listening(t, early, '0.0.0.0')
  await t.rejects(start(t, { http: early }), /listens on 0\.0\.0\.0.*allowAnonymous/)
  const io = new Server(early)
  await t.rejects(start(t, { io, mqttWebsocket: true }), /listens on 0\.0\.0\.0.*allowAnonymous/)

  const late = createServer()
  const { lines } = await start(t, { http: late, mqttWebsocket: true })
  const port = await listening(t, late, '0.0.0.0')
  const errors = lines.filter(({ level }) => level === 'error')
  t.match(errors, [{ sentence: /clients are refused: .*0\.0\.0\.0.*allowAnonymous/ }])
  const url = `http://127.0.0.1:${port}`
  t.equal((await fetch(`${url}/socket.io/?EIO=4&transport=polling&t=1`)).status, 403)
  t.match(await knock(port), /^HTTP\/1\.1 403 /)
  t.match(await (await fetch(`${url}/readyz`)).json(), { ready: false, reason: /allowAnonymous/ })
  late.close()
  late.closeAllConnections()
  await once(late, 'close')
  const again = await listening(t, late)
  t.match(await knock(again), OPEN, 'it listens on this machine alone now')
})
