/** Metrics and administration over HTTP, and who gets them. */
import { readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { connectAsync } from 'mqtt'
import t, { type Test } from 'tap'
import { silent } from '../../broker/index.ts'
import { ConfigError, createHoldfast, type Holdfast, type HoldfastOptions } from '../../index.ts'
import { controlAgent } from '../../server/control.ts'
import { tempFolder } from '../helpers/temp.ts'
import { within } from '../helpers/wait.ts'

const TOKEN = 'a-token-of-forty-characters-for-the-test'
const EVIL = 'https://evil.example'

interface Started { readonly holdfast: Holdfast, readonly url: string, readonly data: string }

async function start (t: Test, options: HoldfastOptions = {}): Promise<Started> {
  const data = tempFolder(t)
  const holdfast = await createHoldfast({ data, httpPort: 0, mqttPort: 0, logger: silent, ...options })
  t.teardown(() => holdfast.close())
  return { holdfast, url: `http://127.0.0.1:${holdfast.addresses.http!.port}`, data }
}

function tokenFile (t: Test, token = TOKEN, mode = 0o600): string {
  const file = join(tempFolder(t, 'token'), 'token')
  writeFileSync(file, `${token}\n`, { mode })
  return file
}

function bearing (token: string, more: Record<string, string> = {}): RequestInit {
  return { headers: { Authorization: `Bearer ${token}`, ...more } }
}

interface Said { readonly status: number, readonly json: Record<string, unknown> }

/** As the commands do, over the socket in the data folder. */
async function command (data: string, method: string, path: string, body?: object): Promise<Said> {
  const asked = request({
    agent: controlAgent(data), method, path,
    ...body !== undefined && { headers: { 'Content-Type': 'application/json' } }
  }).end(body === undefined ? undefined : JSON.stringify(body))
  const [response] = await within(once(asked, 'response'), `${method} ${path}`) as [IncomingMessage]
  return { status: response.statusCode!, json: JSON.parse(await text(response)) }
}

t.test('without a token there is no way in by the port of clients, and health is there for everybody', async t => {
  const { url } = await start(t)
  for (const path of ['/metrics', '/admin/v1/stats', '/admin/v1/sessions']) {
    t.equal((await fetch(url + path)).status, 404, path)
    t.equal((await fetch(url + path, bearing(TOKEN))).status, 404, path)
  }
  t.equal((await fetch(`${url}/healthz`)).status, 200)
  t.equal((await fetch(`${url}/readyz`)).status, 200)
})

t.test('with a token they are there for whoever shows it: no other token, no page of a foreign origin', async t => {
  const { holdfast, url } = await start(t, { adminTokenFile: tokenFile(t) })
  for (const path of ['/metrics', '/admin/v1/stats']) {
    t.equal((await fetch(url + path)).status, 401, path)
    t.equal((await fetch(url + path, bearing(TOKEN.slice(0, -1)))).status, 401)
    t.equal((await fetch(url + path, bearing(`${TOKEN}x`))).status, 401)
    t.equal((await fetch(url + path, { headers: { Authorization: `Basic ${TOKEN}` } })).status, 401)
    t.equal((await fetch(url + path, bearing(TOKEN, { Origin: EVIL }))).status, 403)
    const right = await fetch(url + path, bearing(TOKEN))
    t.equal(right.status, 200)
    t.equal(right.headers.get('cache-control'), 'no-store')
    t.equal(right.headers.get('access-control-allow-origin'), null)
  }
  t.equal(holdfast.stats().refusals.administration, 10)
})

t.test('a token that is short, shown to all of the machine, or not there stops the start', async t => {
  for (const [file, says] of [
    [tokenFile(t, 'short'), /at least 32 characters/], [tokenFile(t, TOKEN, 0o644), /chmod 600/],
    ['/nowhere/token', /ENOENT/]
  ] as const) {
    const failed = await createHoldfast({
      data: tempFolder(t), httpPort: 0, mqttPort: 0, logger: silent, adminTokenFile: file
    }).then(() => undefined, (error: unknown) => error)
    t.ok(failed instanceof ConfigError)
    t.match((failed as ConfigError).problems, [{ option: 'adminTokenFile', says }])
  }
})

t.test('a port of its own has metrics for whoever reaches it, and nothing else but health', async t => {
  const { holdfast } = await start(t, { metricsPort: 0 })
  const { port } = holdfast.addresses.metrics!
  const url = `http://127.0.0.1:${port}`
  const metrics = await fetch(`${url}/metrics`)
  t.equal(metrics.status, 200)
  t.match(metrics.headers.get('content-type'), /^text\/plain; version=0\.0\.4/)
  t.equal((await fetch(`${url}/admin/v1/stats`)).status, 404)
  t.equal((await fetch(`${url}/healthz`)).status, 200)
  // a page whose name somebody points at this machine
  t.equal((await fetch(`${url}/metrics`, { headers: { Origin: EVIL } })).status, 403)
  const asked = request({ host: '127.0.0.1', port, path: '/metrics', headers: { Host: `evil.example:${port}` } }).end()
  const [response] = await within(once(asked, 'response'), 'a rebound name') as [IncomingMessage]
  response.resume()
  t.equal(response.statusCode, 403)
})

t.test('metrics count what came in and went out, by transport and QoS, and how long it took', async t => {
  const { holdfast } = await start(t, { metricsPort: 0 })
  const { port } = holdfast.addresses.metrics!
  const read = async (): Promise<Map<string, number>> => new Map(
    (await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()).split('\n').filter(line => !line.startsWith('#'))
      .map(line => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]))
  const { mqtt, http } = holdfast.addresses
  const client = await connectAsync(`mqtt://127.0.0.1:${mqtt!.port}`, { clientId: 'a', clean: false })
  const page = await connectAsync(`ws://127.0.0.1:${http!.port}/mqtt`, { clientId: 'b' })
  t.teardown(() => Promise.all([client.endAsync(true), page.endAsync(true)]))
  await client.subscribeAsync('x', { qos: 1 })
  const heard = new Promise<void>(resolve => client.once('message', () => resolve()))
  await page.publishAsync('x', 'one', { qos: 1 })
  await within(heard, 'the message')
  await holdfast.publish({ topic: 'nobody', payload: '', qos: 0 })
  const values = await read()
  t.match(Object.fromEntries(values), {
    'holdfast_connections{transport="mqtt"}': 1,
    'holdfast_connections{transport="websocket"}': 1,
    'holdfast_sessions{state="attached"}': 2,
    'holdfast_messages_received_total{transport="websocket",qos="1"}': 1,
    'holdfast_messages_received_total{transport="program",qos="0"}': 1,
    'holdfast_messages_delivered_total{transport="mqtt",qos="1"}': 1,
    'holdfast_messages_delivered_total{transport="websocket",qos="1"}': 0,
    holdfast_receipt_duration_seconds_count: 1,
    'holdfast_receipt_duration_seconds_bucket{le="+Inf"}': 1,
    holdfast_store_failing: 0,
    holdfast_ready: 1
  })
  t.ok(values.get('holdfast_store_sync_duration_seconds_count')! > 0)
  t.ok(values.get('holdfast_store_file_bytes')! > 0)
  t.ok(values.get('process_resident_memory_bytes')! > 0)
})

t.test('the socket of commands is for its user alone, and gone with the server', async t => {
  const { holdfast, data } = await start(t)
  t.equal(statSync(join(data, 'control.sock')).mode & 0o777, 0o600)
  t.match(await command(data, 'GET', '/admin/v1/stats'), { status: 200, json: { ready: true, sessions: 0 } })
  await holdfast.close()
  t.same(readdirSync(data).filter(name => name.startsWith('control')), [])
})

t.test('a socket that a killed server left is taken over', async t => {
  const data = tempFolder(t)
  writeFileSync(join(data, 'control.sock'), '')
  await start(t, { data })
  t.equal((await command(data, 'GET', '/healthz')).status, 200)
})

t.test('sessions are made, listed in pages, looked at, disconnected and ended', async t => {
  const { holdfast, data } = await start(t)
  for (const clientId of ['a', 'b/c', 'd']) {
    t.match(await command(data, 'POST', '/admin/v1/sessions', { clientId, filters: ['x/#'] }),
      { status: 201, json: { created: true } })
  }
  t.match(await command(data, 'POST', '/admin/v1/sessions', { clientId: 'a' }),
    { status: 200, json: { created: false } })
  t.match(await command(data, 'GET', '/admin/v1/sessions?limit=2'),
    { json: { sessions: [{ clientId: 'a' }, { clientId: 'b/c' }], next: 2 } })
  t.match(await command(data, 'GET', '/admin/v1/sessions?limit=2&skip=2'),
    { json: { sessions: [{ clientId: 'd', attached: false }], next: null } })
  t.match(await command(data, 'GET', '/admin/v1/sessions?state=attached'), { json: { sessions: [], next: null } })
  t.match(await command(data, 'GET', '/admin/v1/sessions/b%2Fc'),
    { json: { clientId: 'b/c', filters: [{ filter: 'x/#', qos: 1 }], backlogMessages: 0 } })
  const client = await connectAsync(`mqtt://127.0.0.1:${holdfast.addresses.mqtt!.port}`,
    { clientId: 'a', clean: false, reconnectPeriod: 0 })
  t.teardown(() => client.endAsync(true))
  const closed = new Promise<void>(resolve => client.once('close', () => resolve()))
  t.match(await command(data, 'POST', '/admin/v1/sessions/a/disconnect'), { json: { disconnected: true } })
  await within(closed, 'the end of the connection')
  t.match(await command(data, 'POST', '/admin/v1/sessions/a/disconnect'), { json: { disconnected: false } })
  t.match(await command(data, 'DELETE', '/admin/v1/sessions/a'), { status: 200, json: { ended: true } })
  t.equal((await command(data, 'DELETE', '/admin/v1/sessions/a')).status, 404)
  t.equal((await command(data, 'GET', '/admin/v1/sessions/a')).status, 404)
  t.equal([...holdfast.sessions()].length, 2)
})

t.test('[G1] what is published by an administrator is durable when answered, else the fault is named', async t => {
  const { holdfast, data } = await start(t)
  await holdfast.createSession({ clientId: 'away', filters: ['x'] })
  t.match(await command(data, 'POST', '/admin/v1/publish', { topic: 'x', payload: 'hello' }),
    { status: 200, json: { sessions: 1 } })
  t.equal(holdfast.session('away')!.backlogMessages, 1)
  for (const [body, says] of [
    [{ topic: 'x' }, /payload/], [{ topic: 'x', payload: '', qos: 3 }, /qos must be 0, 1 or 2/],
    [{ topic: 'x', payload: '', qoss: 1 }, /no field "qoss"/], [{ payload: '' }, /topic/],
    [{ topic: 'x/+', payload: '' }, /topic/], [JSON.parse('{"__proto__":{"topic":"x"},"payload":""}'), /__proto__/]
  ] as const) {
    t.match(await command(data, 'POST', '/admin/v1/publish', body), { status: 400, json: { error: { message: says } } })
  }
  t.equal(holdfast.session('away')!.backlogMessages, 1)
})

t.test('what a reload finds wrong is said, and the server goes on', async t => {
  const usersFile = join(tempFolder(t, 'users'), 'users')
  writeFileSync(usersFile, '', { mode: 0o600 })
  const { data } = await start(t, { usersFile })
  t.match(await command(data, 'POST', '/admin/v1/reload'), { status: 200, json: { reloaded: true } })
  rmSync(usersFile)
  t.match(await command(data, 'POST', '/admin/v1/reload'),
    { status: 422, json: { error: { code: 'RELOAD_FAILED', message: /stays in force/ } } })
  t.equal((await command(data, 'GET', '/admin/v1/stats')).status, 200)
})

t.test('who subscribes to $SYS/# gets the values that monitoring knows, and they are kept nowhere', async t => {
  const { holdfast } = await start(t, { sysIntervalMs: 2_147_483_647 })
  const client = await connectAsync(`mqtt://127.0.0.1:${holdfast.addresses.mqtt!.port}`,
    { clientId: 'm', clean: false })
  t.teardown(() => client.endAsync(true))
  const values = new Map<string, string>()
  const last = new Promise<void>(resolve => client.on('message', (topic, payload) => {
    values.set(topic, payload.toString())
    if (topic.endsWith('heap/current')) resolve()
  }))
  await client.subscribeAsync('$SYS/#', { qos: 1 })
  await within(last, 'the values')
  t.match(values.get('$SYS/broker/version'), /^Holdfast version \d/)
  t.match(values.get('$SYS/broker/uptime'), /^\d+ seconds$/)
  t.equal(values.get('$SYS/broker/clients/connected'), '1')
  t.match(values.get('$SYS/broker/messages/received'), /^\d+$/)
  t.equal(holdfast.stats().store.messages, 0)
  t.equal(holdfast.stats().retained, 0)
})
