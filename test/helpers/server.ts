/** The built server as a process of its own: started, killed, started again on the same data and ports. */
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { tempFolder, type Scope } from './temp.ts'
import { within } from './wait.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** Built somewhere else where HOLDFAST_TEST_DIST names a folder. */
const COMMAND = `${process.env['HOLDFAST_TEST_DIST'] ?? `${ROOT}dist`}/bin/holdfast.js`
const READY_MS_MAX = 90_000
const STOP_MS_MAX = 90_000

export interface Address { readonly host: string, readonly port: number }

export interface Exit { readonly code: number | null, readonly signal: NodeJS.Signals | null }

export interface Memory {
  readonly rssBytes: number
  /** The most that was resident since `resetPeak()`. */
  readonly peakBytes: number
  /** Without mapped files, whose pages the system takes back when it needs them. */
  readonly anonBytes: number
}

export interface ServerProcess {
  readonly data: string
  readonly mqtt: Address
  readonly http: Address
  readonly pid: number
  readonly running: boolean
  /** What was written so far, of every run since the start. */
  readonly stdout: string
  readonly stderr: string
  /** Resident memory in bytes (Linux). */
  memory (): Memory
  resetPeak (): void
  /** SIGKILL; resolves when the process is gone. */
  kill (): Promise<Exit>
  /** SIGTERM; resolves when the process is gone. */
  stop (): Promise<Exit>
  /** Resolves when the process is gone, whoever ended it. */
  exited (): Promise<Exit>
  /** Starts it again with the same data, ports and flags, and `flags` on top; kills it first if it runs. */
  restart (flags?: readonly string[]): Promise<void>
}

export interface ServerOptions {
  readonly data?: string
  /** As on the command line: `['--connect-timeout-ms', '500']`. */
  readonly flags?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** For Node itself: `['--cpu-prof']`. */
  readonly nodeFlags?: readonly string[]
}

/** Resolves once the server says that it is ready; ended when the test ends. */
export async function startServer (t: Scope, options: ServerOptions = {}): Promise<ServerProcess> {
  if (!existsSync(COMMAND)) throw new Error(`${COMMAND} is missing: run \`npm run build\` first`)
  const data = options.data ?? tempFolder(t)
  const flags = options.flags ?? []
  let child: ChildProcess
  let gone: Promise<Exit>
  let running = false
  let stdout = ''
  let stderr = ''
  let mqtt: Address = { host: '127.0.0.1', port: 0 }
  let http: Address = { host: '127.0.0.1', port: 0 }

  async function start (more: readonly string[]): Promise<void> {
    const said = { from: stderr.length }
    child = spawn(process.execPath, [...options.nodeFlags ?? [], COMMAND, 'start', '--mqtt-port', String(mqtt.port),
      '--http-port', String(http.port), '--data', data, ...flags, ...more],
    { cwd: ROOT, env: { ...cleanEnv(), ...options.env }, stdio: ['ignore', 'pipe', 'pipe'] })
    running = true
    gone = new Promise(resolve => {
      child.on('close', (code, signal) => { running = false; resolve({ code, signal }) })
    })
    child.stderr!.setEncoding('utf8').on('data', (text: string) => { stderr += text })
    const ready = new Promise<void>(resolve => {
      createInterface({ input: child.stdout! }).on('line', line => {
        stdout += `${line}\n`
        const found = /^holdfast ready mqtt=(\S+):(\d+) http=(\S+):(\d+)( |$)/.exec(line)
        if (found === null) return
        mqtt = { host: found[1], port: Number(found[2]) }
        http = { host: found[3], port: Number(found[4]) }
        resolve()
      })
    })
    const died = gone.then(({ code, signal }) => {
      throw new Error(`the server ended with ${code ?? signal} before it was ready:\n${stderr.slice(said.from)}`)
    })
    died.catch(() => {})
    await within(Promise.race([ready, died]), 'the server to be ready', READY_MS_MAX)
  }

  async function end (signal: NodeJS.Signals): Promise<Exit> {
    if (running) child.kill(signal)
    return within(gone, `the server to end after ${signal}; it said:\n${stderr.slice(-2_000)}`, STOP_MS_MAX)
  }

  t.teardown(async () => { if (running) await end('SIGKILL') })
  await start([])
  const server: ServerProcess = {
    data,
    get mqtt () { return mqtt },
    get http () { return http },
    get pid () { return child.pid! },
    get running () { return running },
    get stdout () { return stdout },
    get stderr () { return stderr },
    memory: () => memoryOf(child.pid!),
    resetPeak: () => writeFileSync(`/proc/${child.pid}/clear_refs`, '5'),
    kill: () => end('SIGKILL'),
    stop: () => end('SIGTERM'),
    exited: () => gone,
    async restart (more = []) {
      if (running) await end('SIGKILL')
      await start(more)
    }
  }
  return server
}

/** The environment without what would configure the server or instrument the process. */
function cleanEnv (): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) =>
    !name.startsWith('HOLDFAST_') && !name.startsWith('TAP') && !name.startsWith('_TAPJS') && name !== 'NODE_OPTIONS'))
}

function memoryOf (pid: number): Memory {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const of = (name: string): number => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1] ?? NaN) * 1024
  return { rssBytes: of('VmRSS'), peakBytes: of('VmHWM'), anonBytes: of('RssAnon') }
}
