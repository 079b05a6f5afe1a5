/** Processes of a run: servers on one core, load on another, each ended by its own handle. */
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, statfsSync } from 'node:fs'
import { createServer } from 'node:net'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const LOAD = fileURLToPath(new URL('load.mjs', import.meta.url))
/** Arguments for Node with which a server answers memoryOf(). */
export const MEASURABLE = ['--expose-gc', '--import', new URL('memory-hook.mjs', import.meta.url).href]
const SERVER_CORE = 0
const LOAD_CORE = 1
const READY_MS_MAX = 180_000
const STOP_MS_MAX = 20_000
const STDERR_CHARS_MAX = 4_000
const TMPFS_MAGIC = 0x01021994

/** What a run that is broken off must not leave behind. */
const folders = new Set()
const children = new Set()
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL')
  for (const path of folders) rmSync(path, { recursive: true, force: true, maxRetries: 3 })
})
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1))

export const isPinned = availableParallelism() > 1 && has('taskset')

export function has (program) {
  return spawnSync('which', [program]).status === 0
}

/** Folder on a real disk for the data of one run: on a file system in memory a sync would cost nothing. */
export function runFolder (parent = tmpdir()) {
  if (statfsSync(parent).type === TMPFS_MAGIC) {
    throw new Error(`${parent} is in memory, where a sync costs nothing; name a folder on a disk with --folder`)
  }
  const path = mkdtempSync(join(parent, 'holdfast-bench-'))
  folders.add(path)
  return {
    path,
    remove () {
      folders.delete(path)
      rmSync(path, { recursive: true, force: true, maxRetries: 3 })
    }
  }
}

/** A port that is free now, for servers that can't be told to let the system pick. */
export async function freePort () {
  const server = createServer()
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  await new Promise((resolve) => server.close(resolve))
  return port
}

/**
 * A process on the core of the servers. Resolves once a line of its output matches `ready`.
 * @returns {Promise<{ pid: number, match: RegExpExecArray, child: object, stop: (signal?: string) => Promise<void> }>}
 */
export async function startServer (command, args, { ready, from = 'stdout', env, ipc = false, cwd }) {
  const child = spawnOn(SERVER_CORE, command, args, {
    cwd, env: { ...process.env, NODE_OPTIONS: '', ...env }, stdio: ['ignore', 'pipe', 'pipe', ...(ipc ? ['ipc'] : [])]
  })
  const gone = new Promise((resolve) => child.on('close', resolve))
  let said = ''
  let line = ''
  let timer
  const isReady = new Promise((resolve, reject) => {
    const fail = (why) => reject(new Error(`${command} ${args.join(' ')}: ${why}: ${said.slice(-STDERR_CHARS_MAX)}`))
    timer = setTimeout(fail, READY_MS_MAX, `not ready after ${READY_MS_MAX} ms`)
    child.on('error', (error) => fail(error.message))
    child.on('close', (code, signal) => fail(`ended with ${code ?? signal}`))
    const look = (text, name) => {
      said = (said + text).slice(-STDERR_CHARS_MAX)
      if (name !== from || line === undefined) return
      line += text
      const match = ready.exec(line)
      if (match !== null) {
        line = undefined
        resolve(match)
      }
    }
    child.stdout.setEncoding('utf8').on('data', (text) => look(text, 'stdout'))
    child.stderr.setEncoding('utf8').on('data', (text) => look(text, 'stderr'))
  })
  async function stop (signal = 'SIGTERM') {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal)
    const force = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX)
    await gone
    clearTimeout(force)
  }
  try {
    return { pid: child.pid, child, match: await isReady, stop }
  } catch (error) {
    await stop('SIGKILL')
    throw error
  } finally {
    clearTimeout(timer)
  }
}

/**
 * Memory of a server started with MEASURABLE and a channel, in bytes, when garbage collection has settled.
 * `rssAnonBytes` leaves out the pages of mapped files, which the system takes back when it needs them.
 * @returns {Promise<{ heapBytes: number, rssBytes: number, rssAnonBytes: number }>}
 */
export async function memoryOf ({ child }) {
  const answer = new Promise((resolve) => child.once('message', resolve))
  child.send('memory')
  return await answer
}

/**
 * One role of load.mjs in a process of its own, on the core of the load.
 * `ready` resolves when the role has said so; `result` to what it measured; `tell` sends it a word.
 */
export function startLoad (spec, { nice = 0 } = {}) {
  const node = [process.execPath, LOAD, JSON.stringify(spec)]
  const [command, ...args] = nice > 0 ? ['nice', '-n', String(nice), ...node] : node
  const child = spawnOn(LOAD_CORE, command, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  let isReady
  const ready = new Promise((resolve) => { isReady = resolve })
  const result = new Promise((resolve, reject) => {
    let answer
    child.on('message', (message) => {
      if (message.event === 'ready') isReady()
      else answer = message
    })
    child.on('error', reject)
    child.on('close', (code, signal) => {
      isReady()
      if (answer?.event === 'result') resolve(answer.value)
      else reject(new Error(answer?.value ?? `the load (${spec.role}) ended with ${code ?? signal}`))
    })
  })
  result.catch(() => {}) // whoever awaits it later still sees the error
  return { ready, result, tell: (word) => { if (child.connected) child.send(word) }, kill: () => child.kill('SIGKILL') }
}

/** Runs a role to its end. */
export async function runLoad (spec) {
  return await startLoad(spec).result
}

function spawnOn (core, command, args, options) {
  const child = isPinned
    ? spawn('taskset', ['-c', String(core), command, ...args], options)
    : spawn(command, args, options)
  children.add(child)
  child.on('close', () => children.delete(child))
  return child
}
