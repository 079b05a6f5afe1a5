/**
 * What `npm pack` makes, installed beside a Socket.IO that somebody else has pinned: works as a command, as a library,
 * and with its types; and brings nothing with known advisories.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { tempFolder } from '../helpers/temp.ts'
import { within } from '../helpers/wait.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const INSTALL_MS_MAX = 300_000
const RUN_MS_MAX = 150_000
const FLAGS = ['--mqtt-port', '0', '--http-port', '0']

/** As frameworks pin it; not the newest. */
const SOCKETIO = '4.8.3'
/** What the package brings, and the first version behind the last advisory for it. */
const SOUND: Readonly<Record<string, string>> = {
  ws: '8.17.1', // CVE-2024-37890
  'engine.io': '6.4.2', // CVE-2023-31125
  'socket.io-parser': '4.2.3', // CVE-2023-32695
  cookie: '0.7.0', // CVE-2024-47764
  msgpackr: '1.10.1', // CVE-2023-52079
  'msgpackr-extract': '3.0.4',
  minimist: '1.2.6' // CVE-2021-44906
}

const TYPED = `
import { createServer } from 'node:http'
import { Server } from 'socket.io'
import { createHoldfast, HoldfastError, type Holdfast } from 'holdfast'

const holdfast: Holdfast = await createHoldfast({ mqttPort: 0, http: createServer(), allowAnonymous: true })
holdfast.events.on('gap', ({ clientId, count }) => {
  const told: string = clientId
  const messages: number = count
  console.log(told, messages)
})
await holdfast.publish({ topic: 'a', payload: 'x', qos: 1 }).catch((error: unknown) => {
  if (error instanceof HoldfastError && error.code === 'LOG_FULL') console.log(error.retriable)
})
// @ts-expect-error there is no such option
await createHoldfast({ mqtPort: 0 })
// @ts-expect-error a port is a number
await createHoldfast({ mqttPort: '0' })
// @ts-expect-error there is no such event
holdfast.events.on('gone', () => {})
await holdfast.close()
const attached: Holdfast = await createHoldfast({ io: new Server<{ said: (text: string) => void }>(createServer()) })
await attached.close()
`

const PROGRAM = `
import { createHoldfast } from 'holdfast'

const holdfast = await createHoldfast({ mqttPort: 0, httpPort: 0, logLevel: 'silent' })
await holdfast.publish({ topic: 'a/b', payload: 'x' })
console.log('published to', Object.keys(holdfast.addresses).join(' and '))
await holdfast.close()
`

/** What npm hands to the processes it starts would steer the npm that is started here. */
function environment (): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) =>
    !/^(npm_(?!config_(registry|cache|userconfig))|TAP|_TAPJS|HOLDFAST_|NODE_OPTIONS)/.test(name)))
}

async function run (cwd: string, program: string, args: readonly string[], timeoutMs: number): Promise<string> {
  const { stdout } = await promisify(execFile)(program, [...args], { cwd, env: environment(), timeout: timeoutMs })
  return stdout
}

/** An empty folder with the package installed in it. */
async function install (t: Test): Promise<{ folder: string, files: readonly string[] }> {
  const folder = tempFolder(t, 'pack')
  // what is built is there already; building again would pull it from under tests that run at the same time
  const packed = await run(ROOT, 'npm',
    ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], RUN_MS_MAX)
  const [{ filename, files }] = JSON.parse(packed) as [{ filename: string, files: ReadonlyArray<{ path: string }> }]
  writeFileSync(join(folder, 'package.json'), '{ "name": "app", "private": true, "type": "module" }')
  await run(folder, 'npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', `./${filename}`,
    `socket.io@${SOCKETIO}`], INSTALL_MS_MAX)
  return { folder, files: files.map(({ path }) => path) }
}

function isOlder (version: string, than: string): boolean {
  return version.localeCompare(than, 'en', { numeric: true }) < 0
}

async function end (child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  // npx, its shell and the server are one group
  process.kill(-child.pid!, 'SIGTERM')
  await once(child, 'close')
}

t.test('the package, installed in an empty folder', async (t) => {
  const { folder, files } = await install(t)

  t.test('holds what is needed and nothing else', async (t) => {
    for (const file of ['package.json', 'dist/index.js', 'dist/index.d.ts', 'dist/bin/holdfast.js',
      'packaging/holdfast.service']) {
      t.ok(files.includes(file), file)
    }
    const own = files.filter((file) => !file.startsWith('node_modules/'))
    const expected = /^(dist|docs|packaging)\/|^(package\.json|README\.md|CHANGELOG\.md|LICENSE)$/
    t.same(own.filter((file) => !expected.test(file)), [])
    t.same(own.filter((file) => /\.test\.|\.tap|node_modules/.test(file)), [])
    t.ok(files.includes('node_modules/websocket-stream/stream.js'), 'what is bundled')
  })

  t.test('one Socket.IO, nothing with known advisories, and npm finds nothing wrong', async (t) => {
    const all = JSON.parse(await run(folder, 'npm', ['query', '*'], RUN_MS_MAX)) as
      ReadonlyArray<{ name: string, version: string, location: string }>
    for (const [name, least] of Object.entries(SOUND)) {
      const found = all.filter((one) => one.name === name)
      t.not(found.length, 0, `${name} is there`)
      t.same(found.filter(({ version }) => isOlder(version, least)), [], `${name} is ${least} or newer`)
    }
    t.same(all.filter(({ name }) => name === 'socket.io').map(({ version }) => version), [SOCKETIO])
    // rejects where a package is missing, or not what another asks for
    const { problems = [] } = JSON.parse(await run(folder, 'npm', ['ls', '--all', '--json'], RUN_MS_MAX)) as
      { problems?: string[] }
    t.same(problems, [])
  })

  t.test('npx holdfast start gets ready, and stops on SIGTERM', async (t) => {
    const child = spawn('npx', ['--no-install', 'holdfast', 'start', ...FLAGS, '--data', join(folder, 'data')],
      { cwd: folder, env: environment(), detached: true, stdio: ['ignore', 'pipe', 'ignore'] })
    t.teardown(() => end(child))
    const ready = new Promise<string>((resolve, reject) => {
      createInterface({ input: child.stdout }).on('line', (line) => {
        if (line.startsWith('holdfast ready')) resolve(line)
      })
      child.once('close', (code) => reject(new Error(`ended with ${code}`)))
    })
    const line = await within(ready, 'the ready line', RUN_MS_MAX)
    t.match(line, /^holdfast ready mqtt=127\.0\.0\.1:\d+ http=127\.0\.0\.1:\d+$/)
    const [, http] = line.split('http=')
    t.equal((await fetch(`http://${http}/readyz`)).status, 200)
    await within(end(child), 'the end', RUN_MS_MAX)
    await t.rejects(fetch(`http://${http}/readyz`))
  })

  t.test('npx holdfast --version is the version of the package', async (t) => {
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }
    t.equal(await run(folder, 'npx', ['--no-install', 'holdfast', '--version'], RUN_MS_MAX), `${version}\n`)
  })

  t.test('a program imports it, and its publish resolves', async (t) => {
    writeFileSync(join(folder, 'program.js'), PROGRAM)
    t.equal(await run(folder, process.execPath, ['program.js'], RUN_MS_MAX), 'published to mqtt and http\n')
  })

  t.test('a program in TypeScript is checked against its types, strictly', async (t) => {
    writeFileSync(join(folder, 'typed.ts'), TYPED)
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({
      compilerOptions: {
        module: 'nodenext',
        target: 'es2023',
        strict: true,
        noEmit: true,
        types: ['node'],
        typeRoots: [join(ROOT, 'node_modules/@types')]
      },
      files: ['typed.ts']
    }))
    t.equal(await run(folder, process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', '.'], RUN_MS_MAX)
      .catch((error: { stdout?: string }) => error.stdout), '')
  })

  t.test('without socket.io the command says to install it', async (t) => {
    renameSync(join(folder, 'node_modules/socket.io'), join(folder, 'socket.io'))
    const command = join(folder, 'node_modules/holdfast/dist/bin/holdfast.js')
    await t.rejects(run(folder, process.execPath, [command, 'start', ...FLAGS], RUN_MS_MAX),
      { code: 1, stderr: /^holdfast: socket\.io is not installed: npm install "socket\.io@>=4[^\n]*"\n$/ })
  })
})
