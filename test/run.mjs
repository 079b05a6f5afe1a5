/**
 * Runs the tests: `npm test`, or `npm test -- test/unit/layers.test.ts` for some of them. With `--fast` those that need
 * no other program, `test/unit/` and `test/conformance/`.
 * Installs the system programs and Node-RED, which they need, builds what they start as a process, runs tap, and ends
 * with `N passed, N failed`. What is counted is the tests at the top of each file; a file that breaks counts as one
 * failed.
 * Before that line stand the files that took longest, then what failed, so that the end of the output is enough to
 * know it by.
 * Files that put a server under load run one after the other when the rest is done: two at once would measure each
 * other.
 */
import { spawn, spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { constants, setPriority } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { failuresOf } from './failures.mjs'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const JOBS = 2
const NODE_RED = 'test/node-red'
const NODE_RED_CACHE = 'node_modules/.cache/node-red'
const SLOWEST = 10
/** Load: these run alone. */
const ALONE = /^test\/(crash|browser)\/|hostile|socketio-(poison|cuts)/
/** Computes for minutes and waits for nothing: runs beside the rest, and takes what that leaves of the machine. */
const PATIENT = /^test\/simulation\//
/** Debian has servers where only root looks. */
const WITH_SBIN = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` }
/** Program, and the Debian package that brings it. */
const PROGRAMS = [
  ['mosquitto_pub', 'mosquitto-clients'], ['mosquitto_sub', 'mosquitto-clients'], ['strace', 'strace'],
  ['chromium', 'chromium'], ['mosquitto', 'mosquitto'], ['systemd-notify', 'systemd'],
  ['openssl', 'openssl'], ['nginx', 'nginx']
]
/** File of a package that brings no program. */
const FILES = [['/usr/lib/nginx/modules/ngx_stream_module.so', 'libnginx-mod-stream']]
/** Module of Debian's Python, and the package that brings it. */
const MODULES = [
  ['socketio', 'python3-socketio'], ['requests', 'python3-requests'], ['websocket', 'python3-websocket']
]

const FAST = /^test\/(unit|conformance)\//
const isFast = process.argv.includes('--fast')

process.chdir(ROOT)
if (!isFast) {
  installPrograms()
  installNodeRed()
}
run('npm', ['run', '--silent', 'build'], 'The build failed; the tests start the built server.')
await runTests(process.argv.slice(2).filter(arg => arg !== '--fast'))

function installPrograms () {
  const missing = [
    ...PROGRAMS.filter(([program]) => spawnSync('which', [program], { env: WITH_SBIN }).status !== 0),
    ...FILES.filter(([file]) => !existsSync(file)),
    ...MODULES.filter(([name]) => spawnSync('/usr/bin/python3', ['-c', `import ${name}`]).status !== 0)
  ]
  if (missing.length === 0) return
  const packages = [...new Set(missing.map(([, name]) => name))]
  const command = `apt-get update && apt-get install -y --no-install-recommends ${packages.join(' ')}`
  const canInstall = process.getuid?.() === 0 && spawnSync('which', ['apt-get']).status === 0
  const needs = `The tests need ${missing.map(([program]) => program).join(', ')}.`
  if (!canInstall) return giveUp(`${needs} Install with: ${command} (as root), or your system's equivalent.`)
  console.log(`${needs} Installing: ${packages.join(' ')}`)
  run('sh', ['-c', `(${command}) >/dev/null`], `${needs} This failed: ${command}`,
    { DEBIAN_FRONTEND: 'noninteractive' })
}

/**
 * Not a development dependency: `npm ci` would bring everybody its 237 packages of 79 MB, for one test. With its editor
 * it would be 117 MB. Nothing of it has to be compiled.
 */
function installNodeRed () {
  const files = ['package.json', 'package-lock.json'].map(name => [join(NODE_RED, name), join(NODE_RED_CACHE, name)])
  const isSame = ([wanted, installed]) => existsSync(installed) && readFileSync(wanted).equals(readFileSync(installed))
  if (files.every(isSame)) return
  const command = ['ci', '--prefix', NODE_RED_CACHE, '--ignore-scripts', '--no-audit', '--no-fund']
  console.log(`Installing Node-RED into ${NODE_RED_CACHE}`)
  mkdirSync(NODE_RED_CACHE, { recursive: true })
  for (const [wanted, installed] of files) copyFileSync(wanted, installed)
  const { status } = spawnSync('npm', command, { stdio: ['ignore', 'ignore', 'inherit'] })
  if (status === 0) return
  for (const [, installed] of files) rmSync(installed) // so that the next run tries again
  giveUp(`A test needs Node-RED. This failed: npm ${command.join(' ')}`)
}

function run (command, args, sentence, env = {}) {
  const { status } = spawnSync(command, args, { stdio: 'inherit', env: { ...process.env, ...env } })
  if (status !== 0) giveUp(sentence)
}

function giveUp (sentence) {
  console.error(sentence)
  console.log('0 passed, 1 failed')
  process.exit(1)
}

function allTests () {
  return readdirSync('test', { recursive: true }).filter(name => name.endsWith('.test.ts'))
    .map(name => join('test', name)).filter(name => !isFast || FAST.test(name)).sort()
}

async function runTests (args) {
  const total = { passed: 0, failed: 0, skipped: 0 }
  const report = []
  const files = []
  const runFiles = (names, jobs, priority) =>
    names.length === 0 || runTap([`--jobs=${jobs}`, ...flags, ...names], total, report, files, priority)
  // flags go to tap; without a file among them, all files run
  const flags = args.filter(arg => arg.startsWith('-'))
  const named = args.filter(arg => !arg.startsWith('-'))
  if (named.length > 0) await runFiles(named, JOBS)
  else {
    const all = allTests()
    const alone = all.filter(file => ALONE.test(file))
    const patient = all.filter(file => PATIENT.test(file))
    await Promise.all([
      runFiles(patient, 1, constants.priority.PRIORITY_LOW),
      runFiles(all.filter(file => !patient.includes(file) && !alone.includes(file)), JOBS)
    ])
    await runFiles(alone, 1)
  }
  mkdirSync('.tap', { recursive: true })
  writeFileSync('.tap/report.tap', report.join('\n'))
  tellEnd(files)
  if (total.skipped > 0) console.log(`${total.skipped} skipped`)
  console.log(`${total.passed} passed, ${total.failed} failed`)
  process.exitCode = total.failed === 0 ? 0 : 1
}

function tellEnd (files) {
  console.log(`the ${SLOWEST} files that took longest:`)
  for (const { name, ms } of files.sort((a, b) => b.ms - a.ms).slice(0, SLOWEST)) {
    console.log(`${(ms / 1_000).toFixed(1).padStart(8)} s  ${name}`)
  }
  for (const { name, failures } of files) {
    for (const failure of failures) console.log(`FAILED ${name}\n${failure}\n`)
  }
}

/** Adds to `all` what the tests said, to `report` every line, and to `files` each file. */
async function runTap (args, all, report, files, priority = constants.priority.PRIORITY_NORMAL) {
  const stdio = ['ignore', 'pipe', 'inherit']
  const tap = spawn('node_modules/.bin/tap', ['run', '--reporter=tap', ...args], { stdio })
  setPriority(tap.pid, priority)
  const exited = new Promise(resolve => tap.on('close', (code, signal) => resolve(code ?? signal)))
  const total = { passed: 0, failed: 0, skipped: 0 }
  const lines = []
  let block = newBlock()
  for await (const line of createInterface({ input: tap.stdout })) {
    lines.push(line)
    if (line.startsWith('# Subtest: ')) block = newBlock()
    else if (line.startsWith('Bail out')) console.log(line)
    block.lines.push(line)
    count(line, block)
    const end = /^(not )?ok \d+ - (\S+)/.exec(line)
    if (end === null) continue
    finishFile(block, end[1] === undefined, end[2], total)
    const ms = Number(/# time=([\d.]+)ms/.exec(line)?.[1] ?? 0)
    files.push({ name: end[2], ms, failures: end[1] === undefined ? [] : failuresOf(block.lines) })
  }
  const code = await exited
  report.push(...lines)
  if (total.failed === 0 && (code !== 0 || total.passed === 0)) {
    console.log(`tap ended with ${code}, after ${total.passed} tests; see .tap/report.tap`)
    total.failed = 1
  }
  for (const key of Object.keys(all)) all[key] += total[key]
}

function newBlock () {
  return { lines: [], passed: 0, failed: 0, skipped: 0 }
}

/** A test at the top of a file is a point of TAP at the first level of indentation. */
function count (line, block) {
  const point = /^ {4}(not )?ok \d+(.*)/.exec(line)
  if (point === null) return
  if (/ # (SKIP|TO[D]O)/i.test(point[2])) block.skipped++
  else if (point[1] === undefined) block.passed++
  else block.failed++
}

/** One line for a file that passed, with what its tests said of themselves; everything of one that failed. */
function finishFile (block, ok, name, total) {
  if (!ok && block.failed === 0) block.failed = 1
  console.log(`${ok ? 'ok    ' : 'FAILED'} ${String(block.passed).padStart(4)} passed  ${name}`)
  for (const line of block.lines) {
    if (!ok || /^\s{4,}#(?! Subtest| time=| timeout=)|# SKIP/.test(line)) console.log(`       ${line.trimEnd()}`)
  }
  total.passed += block.passed
  total.failed += block.failed
  total.skipped += block.skipped
}
