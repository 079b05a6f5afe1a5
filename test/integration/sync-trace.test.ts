/**
 * Looks from outside, at the system calls of the server: everything that was written to the data folder for a message
 * is synced before the first byte of its PUBACK is written to the socket.
 */
import { spawn } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { connectWire, publish1, publish2, subscribe } from '../helpers/mqtt-wire.ts'
import { startServer, type ServerProcess } from '../helpers/server.ts'
import { tempFolder } from '../helpers/temp.ts'
import { until, within } from '../helpers/wait.ts'

const CALLS = 'write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,fsync,fdatasync,msync'
const O_DSYNC = 0o10_000
const MARK = 'a-payload-to-be-found-in-a-trace'

interface Call {
  readonly name: string
  readonly fd: number
  readonly path: string
  readonly ok: boolean
  /** Line of the trace where it began and where it returned. */
  readonly began: number
  readonly ended: number
  readonly text: string
}

/** The calls of `server` while `act` runs, in order of their beginning. */
async function trace (t: Test, server: ServerProcess, act: () => Promise<void>): Promise<Call[]> {
  const file = join(tempFolder(t, 'trace'), 'trace')
  const strace = spawn('strace', ['-f', '-y', '-xx', '-s', '65536', '-e', `trace=${CALLS}`, '-o', file, '-p',
    String(server.pid)], { stdio: ['ignore', 'ignore', 'pipe'] })
  t.teardown(() => { strace.kill('SIGKILL') })
  let said = ''
  strace.stderr.setEncoding('utf8').on('data', (text: string) => { said += text })
  const gone = new Promise<void>(resolve => strace.on('close', () => resolve()))
  await until(() => /attached/.test(said) || strace.exitCode !== null, 'strace to attach')
  if (strace.exitCode !== null) throw new Error(`strace could not attach to the server: ${said}`)
  await act()
  strace.kill('SIGINT')
  await within(gone, 'strace to detach')
  return parse(readFileSync(file, 'utf8'))
}

/** Lines are `TID call(fd<path>, ...) = result`, possibly in two parts: `<unfinished ...>` and `<... call resumed>`. */
function parse (text: string): Call[] {
  const calls: Call[] = []
  const open = new Map<string, { line: string, began: number }>()
  for (const [at, raw] of text.split('\n').entries()) {
    const [, thread, line] = /^(\d+)\s+(.*)$/.exec(raw) ?? []
    if (thread === undefined) continue
    if (line.endsWith('<unfinished ...>')) {
      open.set(thread, { line: line.slice(0, -'<unfinished ...>'.length), began: at })
      continue
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(line)
    const begun = resumed === null ? { line, began: at } : open.get(thread)
    if (begun === undefined) continue
    const whole = resumed === null ? line : begun.line + resumed[1]
    const [, name, fd = '-1', path = ''] = /^(\w+)\((?:(\d+)(?:<((?:[^>\\]|\\.)*)>)?)?/.exec(whole) ?? []
    if (name === undefined) continue
    const result = Number(/ = (-?\d+)[^=]*$/.exec(whole)?.[1] ?? -1)
    calls.push({ name, fd: Number(fd), path: plain(path), ok: result >= 0, began: begun.began, ended: at, text: whole })
  }
  return calls.sort((a, b) => a.began - b.began)
}

const plain = (escaped: string): string =>
  escaped.replace(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)))
const escaped = (bytes: Buffer): string => [...bytes].map(byte => `\\x${byte.toString(16).padStart(2, '0')}`).join('')

const isWrite = ({ name }: Call): boolean => /^(write|writev|pwrite64|pwritev2?|sendto|sendmsg)$/.test(name)
const isSync = ({ name, ok }: Call): boolean => ok && /^(fsync|fdatasync|msync)$/.test(name)

/** File descriptors of the server that write through to the disk by themselves. */
function writeThrough (pid: number): Set<number> {
  const found = new Set<number>()
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    const flags = parseInt(/^flags:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8'))?.[1] ?? '0', 8)
    if ((flags & O_DSYNC) !== 0) found.add(Number(fd))
  }
  return found
}

/** Checks that `receipt` was written after all that was written for the message was synced. */
function check (t: Test, server: ServerProcess, calls: readonly Call[], receipt: Buffer): void {
  const through = writeThrough(server.pid)
  const inData = (call: Call): boolean => call.path.startsWith(server.data)
  const answer = calls.find(call => isWrite(call) && !inData(call) && call.text.includes(`"${escaped(receipt)}"`))
  if (answer === undefined) throw new Error(`no receipt in the trace of ${calls.length} calls`)
  const before = calls.filter(call => call.began < answer.began && isWrite(call) && inData(call))
  const message = before.find(call => call.text.includes(escaped(Buffer.from(MARK))))
  t.ok(message, 'the payload is written to the data folder before the receipt')
  const unsynced = before.filter(write => !through.has(write.fd) && !calls.some(sync =>
    isSync(sync) && sync.path === write.path && sync.began >= write.ended && sync.ended < answer.began))
  t.same(unsynced.map(({ name, path }) => `${name} ${path}`), [], 'and nothing that is written is left unsynced')
  const syncs = calls.filter(call => isSync(call) && call.ended < answer.began)
  t.comment(`${before.length} writes and ${syncs.length} syncs before the receipt`)
  t.ok(message !== undefined && (through.has(message.fd) ||
    syncs.some(sync => sync.path === message.path && sync.began >= message.ended)), 'a sync follows the payload')
}

async function setUp (t: Test): Promise<ServerProcess> {
  const server = await startServer(t)
  const { client: subscriber } = await connectWire(t, server.mqtt, { clientId: 'subscriber', clean: false })
  await subscribe(subscriber, { a: 2 })
  subscriber.send({ cmd: 'disconnect' })
  await within(subscriber.closed, 'the subscriber to leave')
  return server
}

t.test('[G1] the message is synced before its PUBACK is written, as the kernel sees it', async t => {
  const server = await setUp(t)
  const { client: publisher } = await connectWire(t, server.mqtt)
  const calls = await trace(t, server, () => publish1(publisher, 'a', MARK, 0x1234))
  check(t, server, calls, Buffer.from([0x40, 0x02, 0x12, 0x34]))
})

t.test('[G1] at QoS 2 the message is synced before its PUBREC is written', async t => {
  const server = await setUp(t)
  const { client: publisher } = await connectWire(t, server.mqtt, { clientId: 'publisher', clean: false })
  const calls = await trace(t, server, () => publish2(publisher, 'a', MARK, 0x1234))
  check(t, server, calls, Buffer.from([0x50, 0x02, 0x12, 0x34]))
})
