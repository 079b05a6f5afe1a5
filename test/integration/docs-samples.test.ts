/**
 * Every code sample of README.md and docs/ runs as it stands. A sample that nothing here knows how to run fails. What a
 * reader has besides (a server on 127.0.0.1:8080, the `io` of their program) is given to it; ports are set by the
 * environment variables that the sample reads.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Script } from 'node:vm'
import { connectAsync } from 'mqtt'
import { Server } from 'socket.io'
import { io as newSocket } from 'socket.io-client'
import t, { type Test } from 'tap'
import ts from 'typescript'
import { decodeEnvelope } from '../../protocol/envelope.ts'
import { Application, FairWork, systemClock, type ClientId } from '../../broker/index.ts'
import { createMemoryStore } from '../../broker/store/memory.ts'
import { readAccess } from '../../config/access-rules.ts'
import { programConfig } from '../../config/load.ts'
import { isOptionName } from '../../config/schema.ts'
import { readRules } from '../../config/bridge-rules.ts'
import { createHoldfast, type Holdfast, type Principal } from '../../index.ts'
import { type Sample, samples } from '../helpers/samples.ts'
import { ROOT } from '../helpers/sources.ts'
import { tempFolder } from '../helpers/temp.ts'
import { until, within } from '../helpers/wait.ts'
import { connectClient, connected, newClient, refused } from './socketio-harness.ts'

const all = samples()
/** docs/deploying.md is followed as a whole, by deploying.test.ts. */
const of = (...languages: string[]): Sample[] =>
  all.filter(({ language, page }) => languages.includes(language) && page !== 'docs/deploying.md')

t.test('every fence says what is in it', async t => {
  for (const { at, language } of all) {
    const known = ['js', 'ts', 'json', 'sh', 'html', 'mermaid', 'text', 'yaml']
    t.ok(known.includes(language), `${at}: ${language || 'nothing'}`)
  }
})

// --- JSON: rules, configurations, envelopes

for (const { at, code } of of('json')) {
  t.test(`${at}: the JSON is accepted`, async t => {
    const value = JSON.parse(code) as Record<string, unknown>
    if ('access' in value) t.same(readAccess(value['access']).problems, [], 'rights')
    else if ('$hf' in value) t.ok(decodeEnvelope(Buffer.from(JSON.stringify(value))), 'an envelope')
    else if ('principal' in value) t.match(await answered(code), { kind: 'known' }, 'an answer of authUrl')
    else if (isConfiguration(value)) t.ok(programConfig(value, { authenticated: false }), 'options')
    else t.same(readRules('rules' in value ? value['rules'] : listed(value)).problems, [])
  })
}

function isConfiguration (value: Record<string, unknown>): boolean {
  return Object.keys(value).every(name => isOptionName(name) && name !== 'rules')
}

/** What the server makes of it. */
function answered (body: string): Promise<unknown> {
  const application = new Application({
    ask: async () => ({ status: 200, body }),
    clock: systemClock,
    work: new FairWork({ runningMax: 1, waitingMax: 1, what: '' }),
    answersMax: 1,
    keepMs: 0,
    secret: Buffer.alloc(32),
    failed () {}
  })
  const clientId = 'c1' as ClientId
  return application.authenticate({
    clientId, username: 'ann', password: undefined, via: 'mqtt', remoteAddress: '127.0.0.1'
  }, new AbortController().signal)
}

/** A block may also hold the lists, or one rule alone. */
function listed (block: Record<string, unknown>): unknown {
  if ('emit' in block || 'deliver' in block || 'namespaces' in block) return block
  if ('match' in block) return { namespaces: [block] }
  return 'proof' in block ? { deliver: [block] } : { emit: [block] }
}

// --- commands

/** Its commands run beside a server, in docs-operating.test.ts. */
const OPERATING = 'docs/operating.md'

const HOLDFAST = /^(?:HOLDFAST_\w+=\S+ )?(?:npx holdfast|node dist\/bin\/holdfast\.js|npm start(?: --)?)(?: |$)/
const OTHERS = /^(npm (ci|install|test|run)|npx tap|mosquitto_(pub|sub) |node -e|kill -9 )/

for (const { at, code } of of('sh').filter(({ page }) => page !== OPERATING)) {
  t.test(`${at}: the commands are commands, and those of Holdfast are understood`, async t => {
    const commands = code.replace(/\n +(?=\S)/g, ' ').split('\n').flatMap(line => line.split(' && '))
      .map(line => line.replace(/ +#.*$/, '')).filter(line => line !== '')
    for (const command of commands) {
      if (!HOLDFAST.test(command)) t.match(command, OTHERS)
      else t.equal((await holdfastCommand(t, command)).code, 0, command)
    }
  })
}

/** A start is not started, but checked with the same options. */
async function holdfastCommand (t: Test, command: string): Promise<{ code: number, stderr: string }> {
  const cwd = programFolder(t)
  writeFileSync(join(cwd, 'holdfast.json'), JSON.stringify({ rules: {} }))
  const [, name = '', value = ''] = /^(HOLDFAST_\w+)=(\S+)/.exec(command) ?? []
  const words = command.replace(HOLDFAST, '').split(' ').filter(word => word !== '' && word !== 'start')
  writeFileSync(join(cwd, 'users'), '')
  const args = /^(check|help|sessions|user)$/.test(words[0] ?? '') ? words : ['check', ...words]
  if (args[0] === 'sessions') await (await createHoldfast({ ...quiet(), data: join(cwd, 'data') })).close()
  const env = { ...process.env, ...name !== '' && { [name]: value } }
  // without a terminal a password comes on standard input
  if (args[0] === 'user' && args[1] === 'add') args.push('--password-stdin')
  const running = promisify(execFile)(process.execPath, [`${ROOT}/dist/bin/holdfast.js`, ...args], { cwd, env })
  running.child.stdin?.end('secret')
  return await running
    .then(({ stderr }) => ({ code: 0, stderr }), (error: { code: number, stderr: string }) => error)
}

// --- programs and fragments

const quiet = () => ({ mqttPort: 0, httpPort: 0, logLevel: 'silent' as const })

/** A folder in which `holdfast` and what it depends on can be imported. */
function programFolder (t: Test): string {
  const folder = tempFolder(t)
  mkdirSync(join(folder, 'node_modules'))
  for (const name of ['socket.io', 'socket.io-client']) {
    symlinkSync(`${ROOT}/node_modules/${name}`, join(folder, 'node_modules', name))
  }
  symlinkSync(ROOT.replace(/\/$/, ''), join(folder, 'node_modules', 'holdfast'))
  return folder
}

interface Program { readonly child: ChildProcess, readonly said: () => string }

function run (t: Test, code: string, env: Record<string, string>): Program {
  const folder = programFolder(t)
  writeFileSync(join(folder, 'sample.mjs'), code)
  const inherited = Object.entries(process.env).filter(([name]) => !/^(HOLDFAST_|TAP|NODE_OPT)/.test(name))
  const child = spawn(process.execPath, ['sample.mjs'],
    { cwd: folder, env: { ...Object.fromEntries(inherited), ...env } })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', text => { said += text })
  t.teardown(() => { child.kill('SIGKILL') })
  return { child, said: () => said }
}

async function freePort (): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function startHoldfast (t: Test): Promise<{ holdfast: Holdfast, url: string }> {
  const holdfast = await createHoldfast({ ...quiet(), store: createMemoryStore() })
  t.teardown(() => holdfast.close())
  return { holdfast, url: `http://127.0.0.1:${holdfast.addresses.http!.port}` }
}

/** The address of the reader's server, as the pages have it. */
const PAGES_URL = 'http://127.0.0.1:8080'

/** Runs the sample with these names in scope. */
async function inScope (code: string, scope: Record<string, unknown>): Promise<unknown> {
  const body = `return (async () => { ${code}\n })()`
  // eslint-disable-next-line no-new-func
  const run = new Function(...Object.keys(scope), body) as (...values: unknown[]) => Promise<unknown>
  return await run(...Object.values(scope))
}

/** With stock Socket.IO: what an application has before it moves. */
async function asHandlers (t: Test, code: string, emits: readonly unknown[][]): Promise<void> {
  const http = createServer().listen(0, '127.0.0.1')
  await once(http, 'listening')
  const io = new Server(http)
  t.teardown(() => io.close())
  const failures: unknown[] = []
  if (code.startsWith('io.on')) await inScope(code, { io })
  else {
    io.on('connection', socket => {
      const scope = { io, socket, socketOf: { U1: socket.id }, save () {} }
      inScope(code, scope).catch((error: unknown) => { failures.push(error) })
    })
  }
  const client = newSocket(`http://127.0.0.1:${(http.address() as AddressInfo).port}`, { reconnection: false })
  t.teardown(() => client.disconnect())
  const heard: string[] = []
  client.onAny(event => { heard.push(event as string) })
  await within(new Promise<void>(resolve => { client.on('connect', resolve) }), 'the client')
  for (const [event, ...args] of emits) {
    if (event === 'order') t.same(await client.emitWithAck('order', ...args), { ok: true })
    else client.emit(event as string, ...args)
  }
  const expected = emits.map(([event]) => event as string).filter(event => !['enter', 'order', 'exit'].includes(event))
  await until(() => expected.every(event => heard.includes(event)), 'what comes back')
  t.same(failures, [])
}

type Runner = (t: Test, sample: Sample) => Promise<void>

/** By page and the beginning of the sample. */
const RUNNERS: ReadonlyArray<readonly [page: string, begins: string, runner: Runner]> = [
  ['README.md', 'import { io }', async (t, { code }) => {
    const { holdfast, url } = await startHoldfast(t)
    const { said } = run(t, code.replace(PAGES_URL, url), {})
    await until(() => said().includes('a new session'), 'the client')
    await holdfast.publish({ topic: 'io/_/user/U1/alert', payload: '{"level":3}' })
    await until(() => said().includes('alert { level: 3 }'), 'the message')
  }],
  ['docs/api.md', 'import { createServer }', async (t, { code }) => {
    const folder = programFolder(t)
    const file = join(folder, 'sample.ts')
    writeFileSync(file, code)
    t.same(typeErrors(file), [], 'types')
    const js = ts.transpileModule(code, { compilerOptions: AS_JAVASCRIPT })
    const unset = run(t, js.outputText, {})
    t.not((await once(unset.child, 'exit'))[0], 0, 'without the secret it does not start')
    t.match(unset.said(), /set FLEET_SECRET/)
    const [port, mqttPort] = [await freePort(), await freePort()]
    const { child, said } = run(t, js.outputText,
      { FLEET_SECRET: 'right', PORT: String(port), MQTT_PORT: String(mqttPort) })
    await until(() => said().includes('on disk'), 'the program')
    const url = `mqtt://127.0.0.1:${mqttPort}`
    const strangers = [
      {}, { username: 'd1' }, { username: 'd1', password: 'wrong' }, { username: '+', password: 'right' }
    ]
    for (const wrong of strangers) {
      await t.rejects(connectAsync(url, { reconnectPeriod: 0, ...wrong }), JSON.stringify(wrong))
    }
    const device = await connectAsync(url, { username: 'd1', password: 'right', reconnectPeriod: 0 })
    for (const [filter, qos] of [['d1/#', 1], ['#', 128], ['io/#', 128], ['d2/#', 128]] as const) {
      const [granted] = await device.subscribeAsync(filter, { qos: 1 }).catch(() => [{ qos: 128 }])
      t.equal(granted.qos, qos, filter)
    }
    await device.endAsync(true)
    const page = `http://127.0.0.1:${port}`
    t.equal(await (await fetch(page)).text(), 'my own pages\n')
    t.ok(await refused(newClient(t, page, { auth: { clientId: 'U1' } })), 'Socket.IO without a password')
    t.ok((await connectClient(t, page, { auth: { clientId: 'U1', username: 'u1', password: 'right' } })).connected)
    child.kill('SIGTERM')
    t.same(await within(once(child, 'exit'), 'the end'), [0, null])
  }],
  ['docs/api.md', 'for await', async (t, { code }) => {
    const { holdfast } = await startHoldfast(t)
    const saved: unknown[] = []
    let isOver = (): void => {}
    const save = (topic: string, payload: Buffer, duplicate: boolean): void => {
      saved.push([topic, payload.toString(), duplicate])
      isOver()
    }
    const first = new Promise<void>(resolve => { isOver = resolve })
    const loop = inScope(code, { holdfast, save })
    await until(() => [...holdfast.sessions()].length === 1, 'its session')
    await holdfast.publish({ topic: 'sensors/a', payload: '21.5' })
    await within(first, 'the message')
    await holdfast.close()
    await within(loop, 'the end of the loop')
    t.same(saved, [['sensors/a', '21.5', false]])
  }],
  ['docs/migrating.md', 'import { createServer }', async (t, { code }) => {
    const port = await freePort()
    const { said } = run(t, code, { PORT: String(port), USERS: '{"t1":"U1","t2":"U2"}' })
    const url = `http://127.0.0.1:${port}`
    await until(() => fetch(`${url}/readyz`).then(({ ok }) => ok, () => false), 'the program')
    t.match(said(), /doors: Socket\.IO at the program's own server.*closed: MQTT \(mqttPort\), MQTT over WebSocket/)
    for (const auth of [{}, { clientId: 'U1' }, { token: 'constructor' }]) {
      t.match(await refused(newClient(t, url, { auth })), { message: 'who are you?' })
    }
    const client = newClient(t, url, { auth: { token: 't1', clientId: 'U2' } })
    const post = new Promise(resolve => { client.on('post', (room, text) => resolve([room, text])) })
    const session = new Promise<unknown>(resolve => { client.on('holdfast:session', resolve) })
    await connected(client)
    client.emit('enter', 'red')
    client.emit('post', 'red', 'hello')
    t.same(await within(post, 'the post'), ['red', 'hello'])
    t.match(await within(session, 'the session'), { clientId: 'U1' }, 'the name is not what the client claims')
  }],
  ['docs/migrating.md', 'const holdfast = await createHoldfast({\n  auth,', async (t, { code }) => {
    const auth = {
      anonymous: false, authenticate: async () => 'me' as Principal, mayPublish: () => true, maySubscribe: () => true
    }
    const create = (options: object): Promise<Holdfast> =>
      createHoldfast({ ...options, ...quiet(), store: createMemoryStore() })
    const holdfast = await inScope(`${code}\nreturn holdfast`,
      { auth, createHoldfast: create, userOf: (token: string) => `user of ${token}` }) as Holdfast
    t.teardown(() => holdfast.close())
    await connectClient(t, `http://127.0.0.1:${holdfast.addresses.http!.port}`, { auth: { token: 't1' } })
    t.match([...holdfast.sessions()], [{ clientId: 'io:_:user of t1' }])
  }],
  ['docs/migrating.md', 'const holdfast = await createHoldfast({\n  io,', async (t, { code }) => {
    const io = new Server(createServer().listen(0, '127.0.0.1'))
    t.teardown(async () => { await io.close() })
    const create = (options: object): Promise<Holdfast> =>
      createHoldfast({ ...options, logLevel: 'silent', store: createMemoryStore() })
    const holdfast = await inScope(`${code}\nreturn holdfast`, { io, createHoldfast: create }) as Holdfast
    t.teardown(() => holdfast.close())
    io.emit('server_stats', 1)
    io.of('/admin').emit('anything', 1)
    io.to('cursors:1').emit('moved', 1)
    t.equal(holdfast.stats().socketio.undecided, 0)
  }],
  ['docs/migrating.md', 'io.on(\'connection\'', (t, { code }) => asHandlers(t, code, [['chat message', 'hello']])],
  ['docs/migrating.md', 'socket.on(\'enter\'', (t, { code }) =>
    asHandlers(t, code, [['enter', 'red'], ['post', 'red', 'hello'], ['exit', 'red']])],
  ['docs/migrating.md', 'socket.on(\'private\'', (t, { code }) => asHandlers(t, code, [['private', 'U1', 'hello']])],
  ['docs/migrating.md', 'socket.on(\'order\'', (t, { code }) => asHandlers(t, code, [['order', { id: 1 }]])],
  ['docs/rules.md', '// rules.mjs', async (t, { code }) => {
    const file = join(tempFolder(t), 'rules.mjs')
    writeFileSync(file, code)
    const { stdout } = await promisify(execFile)(process.execPath,
      [`${ROOT}/dist/bin/holdfast.js`, 'check', '--rules-module', file])
    t.match(stdout, /The configuration is valid/)
    t.notMatch(stdout, /failed|is not defined/)
  }],
  ['docs/socketio.md', 'const socket = io(', async (t, { code }) => {
    const { holdfast, url } = await startHoldfast(t)
    await inScope(code.replaceAll(PAGES_URL, url), { io: (url: string, options: object) => newClient(t, url, options) })
    await until(() => [...holdfast.sessions()].length === 2, 'both clients')
    t.same([...holdfast.sessions()].map(({ clientId }) => clientId).sort(), ['io:_:U1', 'io:_:U2'])
  }],
  ['docs/socketio.md', 'for await', async (t, { code }) => {
    const { holdfast } = await startHoldfast(t)
    await inScope(code, { holdfast })
    t.same([...holdfast.sessions()], [], 'nothing was set aside, and nothing is made by looking')
  }]
]

for (const sample of of('js', 'ts')) {
  t.test(`${sample.at}: the sample runs as it stands`, async t => {
    const runners = RUNNERS.filter(([page, begins]) => page === sample.page && sample.code.startsWith(begins))
    t.equal(runners.length, 1, 'one way to run it, in RUNNERS')
    for (const [,, runner] of runners) await runner(t, sample)
  })
}

t.test('every way to run a sample has a sample', async t => {
  for (const [page, begins] of RUNNERS) {
    t.ok(all.some(sample => sample.page === page && sample.code.startsWith(begins)), `${page}: ${begins}`)
  }
})

for (const { at, code } of of('html')) {
  t.test(`${at}: the scripts of the page can be read`, async t => {
    for (const [, script] of code.matchAll(/<script>(.*?)<\/script>/gs)) t.ok(new Script(script))
  })
}

const AS_JAVASCRIPT = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 }

/** Of a strict program that imports what is built. */
function typeErrors (file: string): string[] {
  const program = ts.createProgram([file], {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    ...AS_JAVASCRIPT,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    moduleDetection: ts.ModuleDetectionKind.Force,
    typeRoots: [`${ROOT}/node_modules/@types`],
    types: ['node']
  })
  return ts.getPreEmitDiagnostics(program).map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))
}
