/** `holdfast sessions` as an operator uses it: beside a running server, after a crash, after a stop. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync
} from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { connectAsync, type MqttClient } from 'mqtt'
import t, { type Test } from 'tap'
import { addSession } from '../../bin/sessions-add.ts'
import {
  DEFAULT_LIMITS, everybody, systemClock, type ClientId, type Delivery, type Link, type Offset, type Principal
} from '../../broker/index.ts'
import type { Core } from '../../broker/core.ts'
import { createCore } from '../../broker/holdfast-broker.ts'
import { createEmbeddedStore } from '../../broker/store/embedded.ts'
import { Engine } from '../../broker/store/engine.ts'
import { StoreInspector } from '../../broker/store/inspect.ts'
import { encodeState, STATE_KEYS } from '../../broker/store/state.ts'
import { startServer, type ServerProcess } from '../helpers/server.ts'
import { tempFolder } from '../helpers/temp.ts'
import { until } from '../helpers/wait.ts'

const DIST = process.env['HOLDFAST_TEST_DIST'] ?? fileURLToPath(new URL('../../dist', import.meta.url))

interface Ended { readonly code: number | null, readonly stdout: string, readonly stderr: string }

interface Listed {
  readonly pid: number | null
  readonly sessions: Array<Record<string, unknown>>
  readonly setAside?: Array<Record<string, unknown>>
}

async function sessions (t: Test, ...args: readonly string[]): Promise<Ended> {
  const child = spawn(process.execPath, [join(DIST, 'bin/holdfast.js'), 'sessions', ...args],
    { cwd: tempFolder(t), env: { PATH: process.env['PATH'] }, stdio: ['ignore', 'pipe', 'pipe'] })
  t.teardown(() => { child.kill('SIGKILL') })
  const out = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => { out.stdout += text })
  child.stderr.setEncoding('utf8').on('data', (text: string) => { out.stderr += text })
  const [code] = await once(child, 'close') as [number | null]
  return { code, ...out }
}

async function listed (t: Test, ...args: readonly string[]): Promise<Listed> {
  const { code, stdout, stderr } = await sessions(t, '--json', ...args)
  t.equal(code, 0, stderr)
  return JSON.parse(stdout) as Listed
}

/** What is in a folder, byte by byte; sockets by their names. */
function contentOf (folder: string): Record<string, string> {
  return Object.fromEntries(readdirSync(folder).map((name) => {
    const path = join(folder, name)
    return [name, statSync(path).isFile() ? readFileSync(path).toString('latin1') : 'no file']
  }))
}

async function client (t: Test, { mqtt }: ServerProcess, clientId: string, filter?: string): Promise<MqttClient> {
  const one = await connectAsync(`mqtt://${mqtt.host}:${mqtt.port}`, { clientId, clean: false, reconnectPeriod: 0 })
  t.teardown(() => one.end(true))
  one.on('error', () => {})
  if (filter !== undefined) await one.subscribeAsync(filter, { qos: 1 })
  return one
}

t.test('beside a running server, after kill -9 and after a stop: who is there, and what waits for him', async t => {
  const server = await startServer(t)
  const { data } = server
  await client(t, server, 'here', 'other/#')
  const gone = await client(t, server, 'gone', 'room/+')
  const publisher = await client(t, server, 'publisher')
  await gone.endAsync()
  for (let i = 0; i < 25; i++) await publisher.publishAsync(`room/${i % 2}`, 'x'.repeat(94), { qos: 1 })

  let found = await listed(t, '--data', data)
  await until(async () => { // what moves is written a moment later
    found = await listed(t, '--data', data)
    return found.sessions.find(({ clientId }) => clientId === 'gone')?.attached === false
  }, 'the detached session to be written down')
  t.equal(found.pid, server.pid)
  t.same(found.sessions.map(({ clientId, attached }) => [clientId, attached]),
    [['gone', false], ['here', true], ['publisher', true]])
  t.match(found.sessions[0], {
    principal: 'anonymous', backlogMessages: 25, backlogBytes: 2_500, inflightMessages: 0, setAsideMessages: 0,
    filters: [{ filter: 'room/+', qos: 1 }], detachedAt: /^20\d\d-.*Z$/
  })
  const table = (await sessions(t, '--data', data)).stdout
  t.match(table, new RegExp(`process ${server.pid} runs on it\\.\\n3 sessions, 2 attached\\.`))
  t.match(table, /^CLIENT ID +PRINCIPAL +STATE +FILTERS +BACKLOG +BYTES +IN FLIGHT +SET ASIDE$/m)
  t.match(table, /^gone +anonymous +detached for .+ 1 +25 +2\.4 KiB +0 +0$/m)
  t.match(table, /^here +anonymous +attached +1 +0 +0 bytes +0 +0$/m)

  await server.kill()
  const killed = await sessions(t, '--data', data)
  t.match(killed.stdout, /no server runs on it; the last one did on 20.*Z\.\n3 sessions, 2 attached when their server/)
  t.match(killed.stdout, /^here +anonymous +was attached /m)
  t.match(killed.stdout, /^gone .* 25 +2\.4 KiB /m)

  await server.restart()
  await server.stop()
  const stopped = await listed(t, '--data', data)
  t.equal(stopped.pid, null)
  t.ok(stopped.sessions.every(({ attached }) => attached === false))
  t.equal(stopped.sessions[0]?.backlogMessages, 25)

  const details = await sessions(t, '--data', data, '--client', 'gone')
  t.match(details.stdout, /gone, made by anonymous\n {2}detached for .*it ends when it was detached for 1 day/)
  t.match(details.stdout, /waiting: 25 messages \(2\.4 KiB\); in flight: 0 messages/)
  t.match(details.stdout, /Filters\n {2}room\/\+ +QoS 1\n\nNothing is set aside\./)
})

t.test('it writes nothing, takes no lock, and the server does not mind', async t => {
  const server = await startServer(t)
  const { data } = server
  await client(t, server, 'a', 't/#')
  await server.kill()
  const before = contentOf(data)
  t.equal((await sessions(t, '--data', data)).code, 0)
  t.same(Object.keys(contentOf(data)), Object.keys(before))
  t.ok(Object.entries(contentOf(data)).every(([name, bytes]) => before[name] === bytes), 'to the last byte')
  const look = await StoreInspector.open(data) // stays open
  await server.restart()
  t.ok(server.running, 'a server starts beside it')
  look.close()
})

t.test('what was set aside is shown with its attempts, its event, and on demand its payload', async t => {
  const data = tempFolder(t)
  const broker = await openBroker(data)
  await setSomeAside(broker)
  for (const state of ['running', 'stopped']) {
    if (state === 'stopped') await broker.close()
    const shown = (await sessions(t, '--data', data, '--client', 'io:_:U1')).stdout
    t.match(shown, /Set aside, the oldest first\n.*io\/_\/user\/U1\/alarm \(event alarm\)\n/)
    t.match(shown, /\b8 bytes, published 20.* by publisher/)
    t.match(shown, /set aside 20.*Z after 12 attempts/)
    t.notMatch(shown, /"evil"/, 'no payload unless asked for')
    const all = (await sessions(t, '--data', data, '--client', 'io:_:U1', '--payload')).stdout
    t.match(all, /^ {4}\["evil"\]$/m)
    t.match(all, /^ {4}base64 AP\/\+$/m)
    const { setAside = [] } = await listed(t, '--data', data, '--client', 'io:_:U1', '--payload')
    t.match(setAside, [
      { topic: 'io/_/user/U1/alarm', event: 'alarm', attempts: 12, bytes: 8, payload: '["evil"]' },
      { attempts: 3, payloadBase64: 'AP/+' }
    ])
    t.match((await sessions(t, '--data', data)).stdout, /^io:_:U1 .* 2$/m)
  }
})

t.test('errors name the folder or the session and say what to do', async t => {
  const folder = tempFolder(t)
  const missing = await sessions(t, '--data', join(folder, 'nowhere'))
  t.equal(missing.code, 1)
  t.match(missing.stderr, /^holdfast: there is no data folder: there is no data\.mdb in .*nowhere; .*--data\n$/)
  const empty = await sessions(t, '--data', folder)
  t.equal(empty.code, 1)
  t.match(empty.stderr, /^holdfast: there is no data folder: .*\n$/)

  writeFileSync(join(folder, 'data.mdb'), 'not what it should be'.repeat(1_000))
  const damaged = await sessions(t, '--data', folder)
  t.equal(damaged.code, 1)
  t.match(damaged.stderr, /^holdfast: the data folder is damaged beyond .*data\.mdb: its head .* is not LMDB's.*\n$/)

  const data = tempFolder(t)
  const broker = await openBroker(data)
  await setSomeAside(broker)
  await broker.close()
  const unknown = await sessions(t, '--data', data, '--client', 'U1')
  t.equal(unknown.code, 1)
  t.match(unknown.stderr, /^holdfast: there is no session U1; .* namespace belongs to it: io:_:U1\n$/)
  const nearly = await sessions(t, '--data', data, '--client', 'io:_:U2')
  t.match(nearly.stderr, /^holdfast: there is no session io:_:U2.*io:_:U1/)
  for (const [args, says] of [
    [['--client'], /--client needs/], [['--payload'], /--payload needs --client/], [['--clients', 'x'], /--clients/]
  ] as const) {
    const { code, stderr } = await sessions(t, '--data', data, ...args)
    t.equal(code, 64)
    t.match(stderr, says)
  }

  const newer = join(tempFolder(t), 'newer')
  mkdirSync(newer)
  copyFileSync(join(data, 'data.mdb'), join(newer, 'data.mdb'))
  const engine = await Engine.open(newer)
  const value = encodeState({ format: 9, epoch: 'e', tail: 0 as Offset, clean: true })
  await engine.commit(STATE_KEYS.map((key) => ({ key, value })), false)
  await engine.close()
  const refused = await sessions(t, '--data', newer)
  t.equal(refused.code, 1)
  t.match(refused.stderr, /^holdfast: the data folder was written by a newer version: .*newer has format 9.*\n$/)
})

t.test('a folder that this user can read, and not write, is enough', async t => {
  const data = tempFolder(t)
  const broker = await openBroker(data)
  await setSomeAside(broker)
  await broker.close()
  chmodSync(join(data, 'data.mdb'), 0o400)
  chmodSync(data, 0o500)
  t.teardown(() => chmodSync(data, 0o700))
  t.equal((await listed(t, '--data', data)).sessions.length, 1)
})

t.test('what is read while a server writes as fast as it can is sound', async t => {
  const data = tempFolder(t)
  const broker = await openBroker(data)
  t.teardown(async () => await broker.close())
  const clientId = 'reader' as ClientId
  const { session } = await broker.connect({ clientId, principal: ME, clean: false, expiryMs: 3_600_000 })
  await broker.subscribe(session, 't/#', 1)
  broker.release(session)
  let written = 0
  let isOver = false
  const writing = (async () => {
    while (!isOver) {
      await Promise.all(Array.from({ length: 50 }, async (_, i) => {
        await publish(broker, `t/${i}`, Buffer.alloc(i * 200, written++))
      }))
    }
  })()
  let looks = 0
  let most = 0
  const end = Date.now() + 3_000
  while (Date.now() < end) {
    const look = await StoreInspector.open(data)
    let messages = 0
    for await (const headers of look.scan()) {
      for (const { topic, bytes, offset } of headers) {
        const number = Number(topic.slice(2))
        if (bytes !== number * 200 + topic.length) t.fail(`${topic} at ${offset} has ${bytes} bytes`)
        if (offset !== ++messages) t.fail(`offset ${offset} comes as number ${messages}`)
      }
    }
    for await (const records of look.records('sessions')) t.same(records.map(({ key }) => key), ['reader'])
    look.close()
    t.ok(messages >= most, 'never less than before')
    most = messages
    looks++
  }
  isOver = true
  await writing
  t.comment(`${looks} looks, ${written} messages`)
  t.ok(looks > 1 && most > 100)
})

// --- a server inside the test

const ME = 'anonymous' as Principal

async function openBroker (folder: string): Promise<Core> {
  const broker = createCore({
    store: createEmbeddedStore({ folder }),
    auth: everybody,
    limits: { ...DEFAULT_LIMITS, cursorFlushMs: 20 },
    clock: systemClock,
    makeId: () => 'made'
  })
  await broker.open()
  return broker
}

function publish (broker: Core, topic: string, payload: Buffer): Promise<void> {
  const publisher = { clientId: 'publisher' as ClientId, principal: ME }
  return new Promise((resolve, reject) => {
    broker.publish(publisher, { topic, payload, qos: 1, retain: false, id: '' },
      (error) => { if (error === undefined) resolve(); else reject(error) })
  })
}

/** Two messages of the session io:_:U1, one of them binary. */
async function setSomeAside (broker: Core): Promise<void> {
  const clientId = 'io:_:U1' as ClientId
  const { session } = await broker.connect({ clientId, principal: ME, clean: false, expiryMs: 3_600_000 })
  const deliveries: Delivery[] = []
  const link: Link = {
    writable: true, deliver: (some) => { deliveries.push(...some) }, release () {}, gap () {}, close () {}
  }
  const attachment = broker.attach(session, link)
  await broker.subscribe(session, 'io/_/user/U1/+', 1)
  await publish(broker, 'io/_/user/U1/alarm', Buffer.from('["evil"]'))
  await publish(broker, 'io/_/user/U1/bytes', Buffer.from([0, 255, 254]))
  await until(() => deliveries.length === 2, 'the deliveries')
  await broker.setAside(session, deliveries[0]!, 12)
  await broker.setAside(session, deliveries[1]!, 3)
  attachment.detach()
}

t.test('[G2] sessions add makes a session whose client has not come yet; messages wait for it', async (t) => {
  const data = join(tempFolder(t), 'data')
  const device = await sessions(t, 'add', '--client', 'd1', '--filter', 'a/+', '--filter=b', '--data', data)
  t.match(device, { code: 0, stderr: '' })
  t.match(device.stdout,
    /made the session "d1", for "anonymous" alone\.\n.* 1 day .*\n {2}"a\/\+", QoS 1\n {2}"b", QoS 1\n$/)
  const again = await sessions(t, 'add', '--client', 'd1', '--filter', 'c', '--data', data)
  t.match(again, { code: 0, stdout: /"d1" has a session already; nothing was changed/ })
  const page = await sessions(t, 'add', '--client', 'U1', '--namespace', '/', '--data', data)
  t.match(page, { code: 0, stdout: /"io:_:U1".*\n.*\n {2}"io\/_\/all\/\+", QoS 1\n {2}"io\/_\/user\/U1\/\+", QoS 1\n/ })
  const server = await startServer(t, { data })
  const beside = await sessions(t, 'add', '--client', 'late', '--filter', 'b', '--data', data)
  t.match(beside, { code: 0, stdout: /made the session of "late"/, stderr: '' })
  const publisher = await client(t, server, 'publisher')
  await publisher.publishAsync('b', 'early', { qos: 1 })
  t.match((await listed(t, '--data', data)).sessions.filter(({ clientId }) => clientId !== 'publisher'), [
    { clientId: 'd1', principal: 'anonymous', attached: false, backlogMessages: 1 },
    { clientId: 'io:_:U1', attached: false, backlogMessages: 0 },
    { clientId: 'late', attached: false, backlogMessages: 1 }
  ])
})

t.test('sessions add names what is missing, and makes nothing', async (t) => {
  const data = join(tempFolder(t), 'data')
  const add = async (...args: readonly string[]): Promise<string> =>
    await addSession({ args: [...args, '--data', data], env: {}, read: () => '' })
  for (const [args, message] of [
    [['--filter', 'a'], /--client/], [['--client', 'a'], /--filter.*--namespace/],
    [['--client='], /--client needs a value/],
    [['--client', 'a', '--client', 'b'], /twice/], [['--client', 'a', '--namespace', 'chat'], /as in \/chat/]
  ] as const) await t.rejects(add(...args), { message })
  await t.rejects(add('--client', 'a', '--fliter', 'b', '--filter', 'c'), { message: /fliter/ })
  t.notOk(existsSync(data), 'not even the folder')
  await t.rejects(add('--client', 'a', '--filter', 'b', '--filter', 'a/#/b'), { code: 'FILTER_INVALID' })
  t.match(await sessions(t, '--data', data), { code: 0, stdout: /No session is kept/ })
})
