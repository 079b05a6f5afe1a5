/**
 * `npm run versions`: the built server on each version of Node that it is for, a message to a session that is away, a
 * kill, and the message after it. Versions that are not installed come from the registry, by npx.
 */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { connect, connectAsync } from 'mqtt'

const VERSIONS = ['20', '22', '24']
const COMMAND = fileURLToPath(new URL('../dist/bin/holdfast.js', import.meta.url))
const WAIT_MS_MAX = 60_000

for (const version of process.argv.length > 2 ? process.argv.slice(2) : VERSIONS) {
  const args = ['--yes', '--package', `node@${version}`, 'node', '--print', 'process.execPath']
  await tryOn(execFileSync('npx', args, { encoding: 'utf8' }).trim())
}

async function tryOn (node) {
  const data = mkdtempSync(join(tmpdir(), 'holdfast-version-'))
  try {
    const first = await start(node, data)
    const away = { clientId: 'away', clean: false }
    const reader = await connectAsync(first.url, away)
    await reader.subscribeAsync('a/#', { qos: 1 })
    await reader.endAsync()
    const writer = await connectAsync(first.url)
    await writer.publishAsync('a/b', 'kept', { qos: 1 })
    await writer.endAsync(true)
    await end(first.child, 'SIGKILL')
    const second = await start(node, data)
    const back = connect(second.url, { ...away, manualConnect: true })
    const message = within(once(back, 'message'), 'the message')
    back.connect()
    const [topic, payload] = await message
    await back.endAsync()
    const code = await end(second.child, 'SIGTERM')
    if (topic !== 'a/b' || String(payload) !== 'kept' || code !== 0) throw new Error(`${topic}: ${payload}, ${code}`)
    console.log(`ok ${execFileSync(node, ['--version'], { encoding: 'utf8' }).trim()}`)
  } finally {
    rmSync(data, { recursive: true })
  }
}

async function start (node, data) {
  const flags = ['start', '--data', data, '--mqtt-port', '0', '--http-port', '0', '--log-level', 'error']
  const child = spawn(node, [COMMAND, ...flags], { stdio: ['ignore', 'pipe', 'inherit'] })
  process.once('exit', () => child.kill('SIGKILL'))
  for await (const line of createInterface({ input: child.stdout })) {
    const ready = /^holdfast ready mqtt=(\S+) /.exec(line)
    if (ready !== null) return { child, url: `mqtt://${ready[1]}` }
  }
  throw new Error(`${node}: the server ended before it was ready`)
}

async function end (child, signal) {
  const gone = once(child, 'exit')
  child.kill(signal)
  return (await within(gone, `the end after ${signal}`))[0]
}

async function within (promise, what) {
  let timer
  const late = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not come`)), WAIT_MS_MAX)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
