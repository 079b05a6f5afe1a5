/** The same server inside a program: its own HTTP server, its own authentication, its own ports. */
import { once } from 'node:events'
import { type Server, createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { connect as createClient, connectAsync } from 'mqtt'
import t, { type Test } from 'tap'
import { silent } from '../../broker/system/logger.ts'
import { createMemoryStore } from '../../broker/store/memory.ts'
import {
  ConfigError, type Holdfast, HoldfastError, type HoldfastOptions, ListenError, type Principal, type Store,
  createHoldfast
} from '../../index.ts'
import { tempFolder } from '../helpers/temp.ts'
import { until, within } from '../helpers/wait.ts'

/** In memory and on free ports, unless `options` says otherwise; closed when the test ends. */
async function start (t: Test, options: HoldfastOptions = {}): Promise<Holdfast> {
  const holdfast = await createHoldfast({
    mqttPort: 0,
    logger: silent,
    ...(options.http === undefined && { httpPort: 0 }),
    ...(options.data === undefined && { store: createMemoryStore() }),
    ...options
  })
  t.teardown(() => holdfast.close())
  return holdfast
}

/** A program's own server, with one page; listening on a free port of 127.0.0.1. */
async function programServer (t: Test): Promise<{ http: Server, url: string, port: number }> {
  const http = createServer((request, response) => { response.end(`the program's ${request.url}`) })
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  t.teardown(() => { http.close(); http.closeAllConnections() })
  const { port } = http.address() as AddressInfo
  return { http, url: `http://127.0.0.1:${port}`, port }
}

async function textOf (url: string): Promise<string> {
  return (await fetch(url, { headers: { connection: 'close' } })).text()
}

/** The first line of the answer to a request for an upgrade. */
async function upgrade (port: number, path: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n`)
  const [answer] = await once(socket, 'data')
  socket.destroy()
  return String(answer).split('\r\n')[0]
}

function mqttUrl ({ addresses: { mqtt } }: Holdfast): string {
  return `mqtt://127.0.0.1:${mqtt!.port}`
}

t.test('[G1] publish resolves when the message is durable: an absent session gets it after a restart', async (t) => {
  const data = tempFolder(t)
  const first = await start(t, { data })
  const before = await connectAsync(mqttUrl(first), { clientId: 'U1', clean: false })
  await before.subscribeAsync('a/b', { qos: 1 })
  await before.endAsync(true)
  await first.publish({ topic: 'a/b', payload: 'hello' })
  await first.publish({ topic: 'a/b', payload: Buffer.from([1, 2, 3]), qos: 2 })
  await first.close()

  const second = await start(t, { data })
  const got: Buffer[] = []
  const after = createClient(mqttUrl(second), { clientId: 'U1', clean: false })
  after.on('message', (_topic, payload) => got.push(payload))
  await until(() => got.length === 2, 'both messages')
  t.same(got, [Buffer.from('hello'), Buffer.from([1, 2, 3])])
  await after.endAsync(true)
})

t.test('publish rejects with a code where the message is not kept', async (t) => {
  const holdfast = await start(t)
  await t.rejects(holdfast.publish({ topic: 'a/+', payload: '' }), { code: 'TOPIC_INVALID' })
  await holdfast.close()
  await t.rejects(holdfast.publish({ topic: 'a', payload: '' }), { code: 'CLOSED' })
})

t.test('what a program publishes can change afterwards without changing the message', async (t) => {
  const holdfast = await start(t)
  const payload = Buffer.from('first')
  const client = await connectAsync(mqttUrl(holdfast), { clientId: 'U1' })
  await client.subscribeAsync('a', { qos: 1 })
  const arrived = new Promise<Buffer>((resolve) => { client.on('message', (_topic, payload) => resolve(payload)) })
  const published = holdfast.publish({ topic: 'a', payload })
  payload.fill(0)
  await published
  t.equal(String(await arrived), 'first')
  await client.endAsync(true)
})

t.test('events, sessions and stats are there for the program', async (t) => {
  const holdfast = await start(t)
  const created = once(holdfast.events, 'session-created')
  const attached = once(holdfast.events, 'attached')
  const client = await connectAsync(mqttUrl(holdfast), { clientId: 'U1', clean: false })
  t.match(await created, [{ clientId: 'U1', principal: 'anonymous', clean: false }])
  t.match(await attached, [{ clientId: 'U1' }])
  t.match([...holdfast.sessions()], [{ clientId: 'U1', attached: true }])
  t.match(holdfast.stats(), { sessions: 1, attached: 1, connections: { mqtt: 1, socketio: 0 } })
  await client.endAsync(true)
})

t.test('[G2] disconnect closes the connection of a client; it comes back, and what came meanwhile waits', async (t) => {
  const holdfast = await start(t)
  const mqtt = await connectAsync(mqttUrl(holdfast), { clientId: 'U1', clean: false, reconnectPeriod: 0 })
  await mqtt.subscribeAsync('a', { qos: 1 })
  const cut = new Promise<void>((resolve) => { mqtt.once('close', () => resolve()) })
  t.equal(holdfast.disconnect('U1'), 1)
  await within(cut, 'the end of the connection')
  t.equal(holdfast.disconnect('U1'), 0, 'it has none now')
  t.equal(holdfast.disconnect('nobody'), 0)
  await holdfast.publish({ topic: 'a', payload: 'meanwhile' })
  const message = new Promise<string>((resolve) => {
    mqtt.once('message', (_topic, payload) => resolve(payload.toString()))
  })
  mqtt.reconnect()
  t.equal(await within(message, 'what waits'), 'meanwhile')
  await mqtt.endAsync(true)
  await holdfast.close()
  t.throws(() => holdfast.disconnect('U1'), { code: 'CLOSED' })
})

t.test('[G5] endSession ends a session for good: cut, told, its backlog gone, and gone after a restart', async (t) => {
  const data = tempFolder(t)
  const first = await start(t, { data })
  const away = await connectAsync(mqttUrl(first), { clientId: 'U1', clean: false })
  await away.subscribeAsync('a', { qos: 1 })
  await away.endAsync(true)
  await first.publish({ topic: 'a', payload: 'missed' })
  const present = await connectAsync(mqttUrl(first), { clientId: 'U2', clean: false, reconnectPeriod: 0 })
  await present.subscribeAsync('a', { qos: 1 })
  const cut = new Promise<void>((resolve) => { present.once('close', () => resolve()) })
  const ended: unknown[] = []
  first.events.on('session-ended', (event) => ended.push(event))
  t.same(await Promise.all(['U1', 'U2', 'U3'].map((id) => first.endSession(id))), [true, true, false])
  await within(cut, 'the end of the connection')
  t.same(ended, ['U1', 'U2'].map((clientId) => ({ clientId, reason: 'administrator' })))
  t.equal(await first.endSession('U1'), false)
  t.same([...first.sessions()], [])
  await first.close()
  await t.rejects(first.endSession('U1'), { code: 'CLOSED' })

  const second = await start(t, { data })
  t.same([...second.sessions()], [])
  const after = createClient(mqttUrl(second), { clientId: 'U1', clean: false })
  t.match(await new Promise((resolve) => { after.once('connect', resolve) }), { sessionPresent: false })
  await after.endAsync(true)
})

t.test('without an MQTT port there is no TCP listener', async (t) => {
  const { addresses } = await start(t, { mqttPort: false })
  t.equal(addresses.mqtt, undefined)
  t.type(addresses.http?.port, 'number')
})

t.test('on a program\'s own HTTP server every other path stays the program\'s, also after close', async (t) => {
  const { http, url, port } = await programServer(t)
  const holdfast = await start(t, { http, mqttWebsocket: true })
  t.equal(holdfast.addresses.http?.port, port)
  t.equal(await textOf(`${url}/page`), 'the program\'s /page')
  t.same(JSON.parse(await textOf(`${url}/readyz`)), { ready: true })
  t.equal((await fetch(`${url}/mqtt`)).status, 426)
  t.equal((await fetch(`${url}/socket.io/?EIO=4&transport=polling&t=1`)).status, 200)
  await holdfast.close()
  t.ok(http.listening)
  t.equal(await textOf(`${url}/page`), 'the program\'s /page')
  t.equal(await textOf(`${url}/healthz`), 'the program\'s /healthz')
  t.equal(await textOf(`${url}/mqtt`), 'the program\'s /mqtt')
})

t.test('an upgrade to a path of the program is left to the program, and answered where nobody takes it', async (t) => {
  const { http, port } = await programServer(t)
  await start(t, { http })
  t.equal(await upgrade(port, '/own'), 'HTTP/1.1 404 Not Found')
  http.on('upgrade', (request, socket) => { if (request.url === '/own') socket.end('HTTP/1.1 101 Mine\r\n\r\n') })
  t.equal(await upgrade(port, '/own'), 'HTTP/1.1 101 Mine')
})

t.test('on our own HTTP server an upgrade to an unknown path is answered 404', async (t) => {
  const { addresses } = await start(t)
  t.equal(await upgrade(addresses.http!.port, '/own'), 'HTTP/1.1 404 Not Found')
})

t.test('a program\'s own server that others may reach needs authentication or allowAnonymous', async (t) => {
  const http = createServer()
  t.teardown(() => { http.close() })
  http.listen(0, '0.0.0.0')
  await once(http, 'listening')
  await t.rejects(start(t, { http }), /listens on 0\.0\.0\.0.*allowAnonymous/)
  await start(t, { http, allowAnonymous: true })
})

t.test('wrong options reject with all of them', async (t) => {
  const error = await start(t, { mqttPort: 70_000, sessionsMax: 0 }).catch((error: unknown) => error)
  t.type(error, ConfigError)
  t.equal((error as ConfigError).problems.length, 2)
  const { http } = await programServer(t)
  await t.rejects(start(t, { http, httpPort: 0 }), /leave httpPort out/)
})

t.test('what is no function where one is to be called is told at start, all of it at once', async t => {
  const authenticate = async (): Promise<undefined> => undefined
  const wrong: ReadonlyArray<readonly [options: unknown, where: readonly string[]]> = [
    [null, ['createHoldfast()']], [1883, ['createHoldfast()']],
    [{ auth: null }, ['auth']], [{ auth: authenticate }, ['auth']],
    [{ auth: { authenticate } }, ['auth.mayPublish', 'auth.maySubscribe']],
    [{ auth: { authenticate: 'no', mayPublish: () => true, maySubscribe: true }, identify: {} },
      ['auth.authenticate', 'auth.maySubscribe', 'identify']]
  ]
  for (const [options, where] of wrong) {
    const error = await createHoldfast(options as HoldfastOptions).catch((error: unknown) => error)
    t.type(error, ConfigError)
    t.same((error as ConfigError).problems.map((problem) => problem.where), where)
  }
})

t.test('a start that fails gives back ports and folder', async (t) => {
  const data = tempFolder(t)
  const { port: busy } = await programServer(t)
  const free = await start(t)
  const httpPort = free.addresses.http!.port
  await free.close()
  const failed = start(t, { data, httpPort, mqttPort: busy })
  await t.rejects(failed, ListenError)
  await t.rejects(failed, new RegExp(`127\\.0\\.0\\.1:${busy}: the port is in use.*mqttPort`))
  const holdfast = await start(t, { data, httpPort })
  t.equal(holdfast.addresses.http?.port, httpPort)
})

t.test('a folder that is in use gives back the ports', async (t) => {
  const data = tempFolder(t)
  await start(t, { data })
  const free = await start(t)
  const httpPort = free.addresses.http!.port
  await free.close()
  await t.rejects(start(t, { data, httpPort }), { code: 'DATA_LOCKED' })
  await start(t, { httpPort })
})

t.test('close can be called again, and gives the same promise', async (t) => {
  const holdfast = await start(t)
  t.equal(holdfast.close(), holdfast.close())
  await holdfast.close()
  t.same(holdfast.addresses, {})
})

t.test('close ends every part and then rejects, where one could not end as it should', async (t) => {
  const store = createMemoryStore()
  const holdfast = await createHoldfast({
    mqttPort: 0,
    httpPort: 0,
    logger: silent,
    store: instead(store, { close: () => Promise.reject(new Error('a disk that is gone')) })
  })
  const { mqtt, http } = holdfast.addresses
  await t.rejects(holdfast.close(), /a disk that is gone/)
  await t.rejects(once(connect(mqtt!.port, '127.0.0.1'), 'connect'), { code: 'ECONNREFUSED' })
  await t.rejects(once(connect(http!.port, '127.0.0.1'), 'connect'), { code: 'ECONNREFUSED' })
})

t.test('health answers while the log is opened: alive, not ready, nothing else taken in', async (t) => {
  const store = createMemoryStore()
  const opening = withResolvers()
  const opened = withResolvers()
  const slow = instead(store, {
    async open () {
      opening.resolve()
      await opened.promise
      return store.open()
    }
  })
  const { port } = await freePort()
  const starting = start(t, { store: slow, httpPort: port })
  await opening.promise
  const url = `http://127.0.0.1:${port}`
  t.equal((await fetch(`${url}/healthz`)).status, 200)
  const ready = await fetch(`${url}/readyz`)
  t.equal(ready.status, 503)
  t.same(await ready.json(), { ready: false, reason: 'starting' })
  t.equal((await fetch(`${url}/socket.io/?EIO=4&transport=polling&t=1`)).status, 503)
  t.equal(await upgrade(port, '/mqtt'), 'HTTP/1.1 503 Service Unavailable')
  opened.resolve()
  await starting
  t.equal((await fetch(`${url}/readyz`)).status, 200)
})

t.test('[G1] while the log can\'t be written there is no receipt and /readyz says so', async (t) => {
  const store = createMemoryStore()
  let failing = false
  const full = instead(store, {
    append: (batch) => failing
      ? Promise.reject(new HoldfastError('STORE_UNAVAILABLE', 'disk full'))
      : store.append(batch)
  })
  const holdfast = await start(t, { store: full })
  const url = `http://127.0.0.1:${holdfast.addresses.http!.port}/readyz`
  const client = await connectAsync(mqttUrl(holdfast), { clientId: 'U1', clean: false })
  await client.subscribeAsync('a', { qos: 1 })
  failing = true
  await t.rejects(holdfast.publish({ topic: 'a', payload: 'x' }), { code: 'STORE_UNAVAILABLE' })
  const answer = await fetch(url)
  t.equal(answer.status, 503)
  t.match(await answer.json(), { ready: false, reason: /can't be written/ })
  failing = false
  await holdfast.publish({ topic: 'a', payload: 'x' })
  t.equal((await fetch(url)).status, 200)
  await client.endAsync(true)
})

t.test('[G7] the program may publish whatever access control says, and nobody else passes for it', async (t) => {
  const holdfast = await start(t, {
    auth: {
      anonymous: false,
      authenticate: async ({ username }) => username as Principal,
      mayPublish: () => false,
      maySubscribe: () => true
    }
  })
  await holdfast.publish({ topic: 'a', payload: 'x' })
  await t.rejects(connectAsync(mqttUrl(holdfast), { username: '$program', password: 'x', reconnectPeriod: 0 }))
})

t.test('[G6] an HTTP connection that sends no complete head is closed after connectTimeoutMs', async (t) => {
  const { addresses } = await start(t, { connectTimeoutMs: 100 })
  for (const sent of ['', 'GET /healthz HT']) {
    const socket = connect(addresses.http!.port, '127.0.0.1')
    socket.write(sent)
    socket.resume()
    await within(once(socket, 'end'), `the end of a connection that sent "${sent}"`)
    socket.destroy()
  }
})

t.test('[G6] HTTP connections beyond connectionsMax are closed, and there is room again afterwards', async (t) => {
  const { addresses } = await start(t, { connectionsMax: 1 })
  const url = `http://127.0.0.1:${addresses.http!.port}/healthz`
  const first = connect(addresses.http!.port, '127.0.0.1')
  await once(first, 'connect')
  const second = connect(addresses.http!.port, '127.0.0.1')
  second.resume()
  await within(once(second, 'close'), 'the end of the second connection')
  first.destroy()
  await until(async () => (await fetch(url).catch(() => undefined))?.status === 200, 'room')
})

t.test('errors of the library can be told apart by class', async (t) => {
  const holdfast = await start(t)
  await t.rejects(holdfast.publish({ topic: '', payload: '' }), HoldfastError)
})

/** The store, with some methods replaced. */
function instead (store: Store, methods: Partial<Store>): Store {
  return new Proxy(store, {
    get (target, name: keyof Store) {
      const own = target[name]
      return methods[name] ?? (typeof own === 'function' ? own.bind(target) : own)
    }
  })
}

interface Resolvers { readonly promise: Promise<void>, resolve (): void }

function withResolvers (): Resolvers {
  let resolve = (): void => {}
  const promise = new Promise<void>((_resolve) => { resolve = _resolve })
  return { promise, resolve }
}

async function freePort (): Promise<{ port: number }> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return { port }
}
