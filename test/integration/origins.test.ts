/** Pages in browsers, by the origin that they tell: which may connect over WebSocket and polling, which not. */
import { once } from 'node:events'
import { type IncomingHttpHeaders, type IncomingMessage, type Server, createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { connect, connectAsync } from 'mqtt'
import { io } from 'socket.io-client'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { type Principal, silent } from '../../broker/index.ts'
import { createMemoryStore } from '../../broker/store/memory.ts'
import { type HoldfastOptions, createHoldfast } from '../../index.ts'
import { within } from '../helpers/wait.ts'

const OURS = 'http://localhost:3000'
const SITE = 'https://app.example.com'
const EVIL = 'https://evil.example'
const POLL = '/socket.io/?EIO=4&transport=polling'
const SENTENCE = /^A page of the origin "https:\/\/evil\.example" may not connect; .*allowedOrigins \(--allowed-or/

interface Started { readonly port: number, readonly warnings: object[] }

/** In memory and on free ports, or on a program's own server; closed when the test ends. */
async function start (t: Test, options: HoldfastOptions = {}): Promise<Started> {
  const warnings: object[] = []
  const logger = { ...silent, warn: (fields: object, says: string) => { warnings.push({ ...fields, says }) } }
  const holdfast = await createHoldfast({
    mqttPort: false,
    mqttWebsocket: true,
    logger,
    store: createMemoryStore(),
    ...(options.http === undefined && { httpPort: 0 }),
    ...options
  })
  t.teardown(() => holdfast.close())
  return { port: holdfast.addresses.http!.port, warnings }
}

interface Answer { readonly status: number, readonly headers: IncomingHttpHeaders, readonly body: string }

async function ask (
  port: number, path: string, headers: Record<string, string>, method = 'GET', body = ''
): Promise<Answer> {
  const asked = request({ host: '127.0.0.1', port, path, method, headers, agent: false }).end(body)
  const [response] = await within(once(asked, 'response'), path) as [IncomingMessage]
  return { status: response.statusCode!, headers: response.headers, body: await text(response) }
}

/** 101, or what was answered instead. */
async function upgrade (port: number, path: string, headers: Record<string, string>): Promise<Answer> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, path === '/mqtt' ? ['mqtt'] : [], { headers })
  t.teardown(() => socket.terminate())
  return await within(new Promise<Answer>((resolve, reject) => {
    socket.on('error', reject)
    socket.on('open', () => resolve({ status: 101, headers: {}, body: '' }))
    socket.on('unexpected-response', async (_request, response: IncomingMessage) => {
      resolve({ status: response.statusCode!, headers: response.headers, body: await text(response) })
    })
  }), path)
}

/** Connects with the official client as a page of this origin would, and disconnects; or says why it could not. */
async function socketio (t: Test, port: number, transports: string[], origin: string): Promise<string> {
  const socket = io(`http://127.0.0.1:${port}`, { transports, forceNew: true, extraHeaders: { Origin: origin } })
  t.teardown(() => socket.disconnect())
  return await within(new Promise<string>((resolve) => {
    socket.on('connect', () => resolve('connected'))
    socket.on('connect_error', (error) => resolve(error.message))
  }), `a client of ${origin}`)
}

t.test('MQTT over WebSocket: a page of this machine connects, one of a foreign site gets 403', async (t) => {
  const { port, warnings } = await start(t)
  const client = await connectAsync(`ws://127.0.0.1:${port}/mqtt`, { wsOptions: { origin: OURS }, reconnectPeriod: 0 })
  await client.endAsync()
  t.same(warnings, [])
  const { status, body } = await upgrade(port, '/mqtt', { Origin: EVIL })
  t.equal(status, 403)
  t.match(body, SENTENCE)
  t.match(warnings, [{ origin: EVIL, says: /allowedOrigins/ }])
  t.equal(warnings.length, 1)
  const refused = connect(`ws://127.0.0.1:${port}/mqtt`, { wsOptions: { origin: EVIL }, reconnectPeriod: 0 })
  t.teardown(() => refused.end(true))
  const closed = new Promise<void>((resolve) => { refused.on('close', () => resolve()) })
  await within(closed, 'the end of the client\'s connection')
  t.notOk(refused.connected)
})

t.test('Socket.IO: a page of this machine connects on every transport, one of a foreign site on none', async (t) => {
  const { port, warnings } = await start(t)
  for (const transports of [['websocket'], ['polling'], ['polling', 'websocket']]) {
    t.equal(await socketio(t, port, transports, OURS), 'connected', `${transports}`)
  }
  t.same(warnings, [])
  for (const transports of [['websocket'], ['polling']]) {
    t.match(await socketio(t, port, transports, EVIL), /error/, `${transports}`)
  }
  const { status, body } = await upgrade(port, '/socket.io/?EIO=4&transport=websocket', { Origin: EVIL })
  t.equal(status, 403)
  t.match(body, SENTENCE)
  t.match(warnings, [{ origin: EVIL, says: /allowedOrigins/ }])
  t.equal(warnings.length, 1)
})

t.test('Socket.IO: every polling request is checked, and a refused one harms no session', async (t) => {
  const { port } = await start(t)
  const { body } = await ask(port, `${POLL}&t=1`, { Origin: OURS })
  const { sid } = JSON.parse(body.slice(1)) as { sid: string }
  for (const [method, content] of [['GET', ''], ['POST', '40']]) {
    const refused = await ask(port, `${POLL}&t=2&sid=${sid}`, { Origin: EVIL }, method, content)
    t.equal(refused.status, 403, method)
    t.match(refused.body, SENTENCE)
    t.equal(refused.headers['access-control-allow-origin'], undefined)
  }
  const upgraded = await upgrade(port, `/socket.io/?EIO=4&transport=websocket&sid=${sid}`, { Origin: EVIL })
  t.equal(upgraded.status, 403)
  t.equal((await ask(port, `${POLL}&t=2&sid=${sid}`, { Origin: OURS }, 'POST', '40')).body, 'ok')
  t.match((await ask(port, `${POLL}&t=3&sid=${sid}`, { Origin: OURS })).body, /^40/)
})

t.test('Socket.IO: a page of an allowed origin may read what it polls, with credentials', async (t) => {
  const { port } = await start(t, { allowedOrigins: [SITE] })
  const asks = { 'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': 'x-token' }
  const preflight = await ask(port, `${POLL}&t=1`, { Origin: SITE, ...asks }, 'OPTIONS')
  t.equal(preflight.status, 204)
  t.match(preflight.headers, {
    'access-control-allow-origin': SITE,
    'access-control-allow-credentials': 'true',
    'access-control-allow-methods': 'GET,POST',
    'access-control-allow-headers': 'x-token',
    vary: /Origin/
  })
  const poll = await ask(port, `${POLL}&t=1`, { Origin: SITE })
  t.equal(poll.status, 200)
  t.match(poll.headers, { 'access-control-allow-origin': SITE, 'access-control-allow-credentials': 'true' })
  t.equal(await socketio(t, port, ['polling'], SITE), 'connected')
  const foreign = await ask(port, `${POLL}&t=1`, { Origin: EVIL, ...asks }, 'OPTIONS')
  t.equal(foreign.status, 403)
  t.equal(foreign.headers['access-control-allow-origin'], undefined)
  t.equal((await ask(port, `${POLL}&t=1`, { Origin: OURS })).status, 403, 'the option replaces the default')
})

t.test('whoever tells no origin is no page, and connects', async (t) => {
  const { port } = await start(t, { allowedOrigins: [] })
  t.equal((await upgrade(port, '/mqtt', {})).status, 101)
  t.equal((await upgrade(port, '/socket.io/?EIO=4&transport=websocket', {})).status, 101)
  t.equal((await ask(port, `${POLL}&t=1`, {})).status, 200)
  t.equal((await ask(port, `${POLL}&t=1`, { Origin: OURS })).status, 403)
  // <script src="http://127.0.0.1:8080/socket.io/...&j=0">, which tells no origin
  t.equal((await ask(port, `${POLL}&t=1&j=0`, { 'Sec-Fetch-Site': 'cross-site' })).status, 403)
})

t.test('with * every page connects', async (t) => {
  const { port } = await start(t, { allowedOrigins: ['*'] })
  for (const origin of [EVIL, 'null']) {
    t.equal((await upgrade(port, '/mqtt', { Origin: origin })).status, 101)
    t.equal(await socketio(t, port, ['polling'], origin), 'connected')
  }
})

t.test('a page that made its own name point at this machine is refused while access is anonymous', async (t) => {
  const rebound = { Origin: 'http://evil.example:8080', Host: 'evil.example:8080' }
  const { port } = await start(t)
  t.equal((await upgrade(port, '/mqtt', rebound)).status, 403)
  t.equal((await ask(port, `${POLL}&t=1`, rebound)).status, 403)
  const auth = {
    anonymous: false, authenticate: async () => 'U1' as Principal, mayPublish: () => true, maySubscribe: () => true
  }
  const authenticated = await start(t, { auth })
  t.equal((await upgrade(authenticated.port, '/mqtt', rebound)).status, 101, 'and not where it must say who it is')
})

t.test('on a program\'s own server other paths answer pages of every origin as before', async (t) => {
  const http = await programServer(t)
  const { port } = await start(t, { http })
  const page = await ask(port, '/page', { Origin: EVIL })
  t.match(page, { status: 200, body: 'the program\'s /page' })
  t.equal(page.headers['access-control-allow-origin'], undefined)
  t.equal((await ask(port, '/page', { Origin: EVIL }, 'OPTIONS')).body, 'the program\'s /page')
  t.equal((await upgrade(port, '/own', { Origin: EVIL })).body, 'the program\'s own')
  t.equal((await ask(port, '/healthz', { Origin: EVIL })).status, 200)
  t.equal((await upgrade(port, '/mqtt', { Origin: EVIL })).status, 403)
  t.equal((await ask(port, `${POLL}&t=1`, { Origin: EVIL })).status, 403)
})

t.test('an upgrade to /socket.io without the slash at its end is nobody\'s, and answered', async (t) => {
  const { port } = await start(t)
  t.equal((await upgrade(port, '/socket.io?EIO=4&transport=websocket', {})).status, 404)
})

/** With one page and one upgrade of its own; listening on a free port of 127.0.0.1. */
async function programServer (t: Test): Promise<Server> {
  const http = createServer((request, response) => { response.end(`the program's ${request.url}`) })
  http.on('upgrade', ({ url }, socket) => {
    const says = 'the program\'s own'
    if (url === '/own') socket.end(`HTTP/1.1 418 Mine\r\nContent-Length: ${says.length}\r\n\r\n${says}`)
  })
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  t.teardown(() => { http.close(); http.closeAllConnections() })
  t.type((http.address() as AddressInfo).port, 'number')
  return http
}
