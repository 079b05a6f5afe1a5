/** `holdfast backup` and `compact`: what is in a copy of a server under load, and what becomes of it when restored. */
import { readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { connect, connectAsync, type MqttClient } from 'mqtt'
import { io, type Socket } from 'socket.io-client'
import t, { type Test } from 'tap'
import { backup, compact } from '../../bin/backup.ts'
import { explain } from '../../bin/failure.ts'
import * as operate from '../../bin/operate.ts'
import { addSession } from '../../bin/sessions-add.ts'
import { createBroker, DEFAULT_LIMITS, everybody, systemClock } from '../../broker/index.ts'
import { beginCopy, copyStopped, finishCopy } from '../../broker/store/copy.ts'
import { createEmbeddedStore } from '../../broker/store/embedded.ts'
import type { CommandLine } from '../../config/load.ts'
import { startServer, type ServerProcess } from '../helpers/server.ts'
import { tempFolder } from '../helpers/temp.ts'
import { until, within } from '../helpers/wait.ts'

interface Ended { readonly code: number | null, readonly stdout: string, readonly stderr: string }

/** As bin/holdfast.ts does, without a process for each. */
async function holdfast (...args: readonly string[]): Promise<Ended> {
  const [command, verb] = args
  const out = { stderr: '' }
  const line = (skip: number): CommandLine => ({ args: args.slice(skip), env: {}, read: () => '' })
  try {
    const stdout = command === 'backup'
      ? await backup(line(1), (says) => { out.stderr += says })
      : command === 'compact'
        ? await compact(line(1))
        : command === 'sessions'
          ? await SESSIONS[verb as keyof typeof SESSIONS](line(2))
          : await operate[command as 'aside' | 'publish' | 'stats'](line(1))
    return { code: 0, stdout, ...out }
  } catch (error) {
    const { lines, exitCode } = explain(error)
    return { code: exitCode, stdout: '', stderr: lines.map((says) => `holdfast: ${says}`).join('\n') }
  }
}

const SESSIONS = { add: addSession, end: operate.endSession, disconnect: operate.disconnectSession } as const

async function client (t: Test, { mqtt }: ServerProcess, clientId: string): Promise<MqttClient> {
  const one = await connectAsync(`mqtt://${mqtt.host}:${mqtt.port}`, { clientId, clean: false, reconnectPeriod: 0 })
  one.on('error', () => {})
  t.teardown(() => { one.end(true) })
  return one
}

/** Publishes one after the other until it is stopped; tells how many have their receipt. */
function load (publisher: MqttClient): { readonly acknowledged: number, stop (): void } {
  let acknowledged = 0
  let isOver = false
  const next = (n: number): void => {
    if (isOver) return
    publisher.publish('news', String(n), { qos: 1 }, (error) => {
      if (error != null) return
      acknowledged = n + 1
      next(n + 1)
    })
  }
  next(0)
  return { get acknowledged () { return acknowledged }, stop () { isOver = true } }
}

t.test('[G2] a copy of a server under load has all that had its receipt before, and every session', async (t) => {
  const server = await startServer(t)
  for (const name of ['away-1', 'away-2']) {
    const one = await client(t, server, name)
    await one.subscribeAsync('news', { qos: 1 })
    await one.endAsync()
  }
  const running = load(await client(t, server, 'publisher'))
  await until(() => running.acknowledged > 200, 'some load')
  const copy = join(tempFolder(t), 'copy')
  const before = running.acknowledged
  t.match(await holdfast('backup', copy, '--data', server.data),
    { code: 0, stdout: /is a copy of .*whole and on disk/ })
  await until(() => running.acknowledged > before + 50, 'the load to go on')
  running.stop()
  t.same(readdirSync(copy), ['data.mdb'])
  t.equal(statSync(copy).mode & 0o777, 0o700)
  await server.kill()

  const restored = await startServer(t, { data: copy })
  t.match(restored.stderr, /is a copy that a backup made/)
  for (const name of ['away-1', 'away-2']) {
    const { got, isPresent } = await resume(t, restored, name)
    t.ok(isPresent, `${name}: its session is there`)
    await until(() => got.size >= before, `${name}: what was acknowledged before`)
    t.same([...Array(before).keys()].filter((n) => !got.has(String(n))), [], `${name} lacks nothing`)
  }
})

t.test('[G2] places that a client knows of the log after the copy mean nothing after a restore: it misses nothing',
  async (t) => {
    const server = await startServer(t)
    const page = io(`http://${server.http.host}:${server.http.port}`,
      { auth: { clientId: 'U1' }, transports: ['websocket'], reconnection: false, forceNew: true })
    t.teardown(() => page.disconnect())
    const got: string[] = []
    page.on('news', (text: string) => { got.push(text) })
    await connected(page)
    const old = join(tempFolder(t), 'copy')
    t.equal((await holdfast('backup', old, '--data', server.data)).code, 0)
    const publisher = await client(t, server, 'publisher')
    for (let n = 0; n < 30; n++) await publisher.publishAsync('io/_/all/news', JSON.stringify(`old ${n}`), { qos: 1 })
    await until(() => got.length === 30, 'what the page knows places of')
    page.disconnect()
    await server.kill()
    rmSync(server.data, { recursive: true })
    renameSync(old, server.data)
    await server.restart()
    const after = await client(t, server, 'publisher')
    for (let n = 0; n < 60; n++) await after.publishAsync('io/_/all/news', JSON.stringify(`new ${n}`), { qos: 1 })
    page.connect()
    await connected(page)
    await until(() => got.includes('new 59'), 'the last that was published')
    t.same(got.filter((text) => text.startsWith('new')), [...Array(60).keys()].map((n) => `new ${n}`))
  })

t.test('each restore of one copy has an epoch of its own, and a restart keeps it', async (t) => {
  const source = tempFolder(t)
  const epochs = [await epochOf(source)]
  t.equal(await epochOf(source), epochs[0])
  for (let n = 0; n < 2; n++) {
    const draft = beginCopy(join(tempFolder(t), 'copy'))
    await copyStopped(source, draft)
    await finishCopy(draft)
    const epoch = await epochOf(draft.target)
    t.notOk(epochs.includes(epoch))
    t.equal(await epochOf(draft.target), epoch, 'it is a log of its own from now on')
    epochs.push(epoch)
  }
})

t.test('a stopped server is copied as well; a folder that is not empty, or none of a server, is refused', async (t) => {
  const server = await startServer(t)
  const one = await client(t, server, 'away')
  await one.subscribeAsync('x', { qos: 1 })
  await one.endAsync()
  await (await client(t, server, 'publisher')).publishAsync('x', 'kept', { qos: 1 })
  await server.stop()
  const copy = join(tempFolder(t), 'a/b')
  t.match(await holdfast('backup', copy, '--data', server.data), { code: 0, stdout: /1 message \(/ })
  const again = await holdfast('backup', copy, '--data', server.data)
  t.match(again, { code: 1, stdout: '', stderr: /is not empty/ })
  t.same(readdirSync(copy), ['data.mdb'])
  const none = join(tempFolder(t), 'none')
  const empty = await holdfast('backup', none, '--data', tempFolder(t))
  t.equal(empty.code, 1)
  t.match(empty.stderr, /no server has used|there is no data\.mdb/)
  t.same(readdirSync(none), [], 'nothing is left of what failed')
  t.match(await holdfast('backup'), { code: 64, stderr: /name the folder for the copy first/ })
})

t.test('compact makes the file of a stopped server smaller and loses nothing; beside a running one it is refused',
  async (t) => {
    const server = await startServer(t)
    const one = await client(t, server, 'away')
    await one.subscribeAsync('#', { qos: 1 })
    await one.endAsync()
    const publisher = await client(t, server, 'publisher')
    await Promise.all([...Array(100).keys()].map((n) =>
      publisher.publishAsync('big', Buffer.alloc(50_000, n), { qos: 1 })))
    const { got } = await resume(t, server, 'away')
    await until(() => got.size === 100, 'all')
    await publisher.publishAsync('x', 'kept', { qos: 1 })
    const refused = await holdfast('compact', '--data', server.data)
    t.match(refused, { code: 1, stdout: '', stderr: /a server runs on .*stopped/ })
    await server.stop()
    const file = join(server.data, 'data.mdb')
    const before = statSync(file).size
    t.match(await holdfast('compact', '--data', server.data), { code: 0, stdout: /has .* now, and had/ })
    t.ok(statSync(file).size < before / 2)
    t.notOk(readdirSync(server.data).some((name) => name.startsWith('compact')))
    await server.restart()
    t.notMatch(server.stderr, /copy that a backup made/)
    t.ok((await resume(t, server, 'away')).isPresent)
  })

t.test('the commands for a running server say what they did, and which folder has none', async (t) => {
  const server = await startServer(t)
  const data = ['--data', server.data]
  t.match(await holdfast('sessions', 'add', '--client', 'away', '--filter', 'x', ...data), { code: 0 })
  t.match(await holdfast('publish', '--topic', 'x', '--payload', 'hi', ...data),
    { code: 0, stdout: /kept for at most 1 session\./ })
  t.match(await holdfast('stats', ...data), { code: 0, stdout: /^store\.messages +1$/m })
  t.match(JSON.parse((await holdfast('stats', '--json', ...data)).stdout), { ready: true, sessions: 1 })
  t.match(await holdfast('aside', 'list', '--client', 'away', ...data), { code: 0, stdout: /"aside": \[\]/ })
  t.match(await holdfast('aside', 'drop', '--client', 'away', ...data), { code: 64, stderr: /--id, or --all/ })
  t.match(await holdfast('sessions', 'disconnect', '--client', 'away', ...data), { code: 0, stdout: /no connection/ })
  t.match(await holdfast('sessions', 'end', '--client', 'away', ...data), { code: 0, stdout: /ended/ })
  t.match(await holdfast('sessions', 'end', '--client', 'away', ...data), { code: 1, stderr: /no session "away"/ })
  t.match(await holdfast('publish', '--topic', 'a/+', '--payload', '', ...data), { code: 1, stderr: /topic/ })
  await server.kill()
  for (const args of [['stats'], ['publish', '--topic', 'x', '--payload', '']]) {
    t.match(await holdfast(...args, ...data), { code: 1, stdout: '', stderr: /^holdfast: no server runs on .*--data/ })
  }
})

/** Comes back, and takes what it is sent. */
async function resume (t: Test, { mqtt }: ServerProcess, clientId: string): Promise<{
  readonly got: ReadonlySet<string>, readonly isPresent: boolean
}> {
  const got = new Set<string>()
  const one = connect(`mqtt://${mqtt.host}:${mqtt.port}`, { clientId, clean: false, reconnectPeriod: 0 })
  one.on('error', () => {})
  t.teardown(() => { one.end(true) })
  one.on('message', (_topic, payload) => { got.add(payload.length > 100 ? String(payload[0]) : payload.toString()) })
  const isPresent = await within(new Promise<boolean>((resolve) => {
    one.once('connect', ({ sessionPresent }) => { resolve(sessionPresent) })
  }), `${clientId} to be back`)
  return { got, isPresent }
}

async function connected (page: Socket): Promise<void> {
  if (!page.connected) await within(new Promise<void>((resolve) => { page.once('connect', resolve) }), 'the page')
}

/** Opens a log and closes it again. */
async function epochOf (folder: string): Promise<string> {
  const broker = createBroker({
    store: createEmbeddedStore({ folder }),
    auth: everybody,
    limits: DEFAULT_LIMITS,
    clock: systemClock,
    makeId: () => 'x'
  })
  const { epoch } = await broker.open()
  await broker.close()
  return epoch
}
