/**
 * `npm run bench`: every case on every peer that is installed, in turns, and the tables into docs/performance.md.
 * With --quick or --case only the tables are printed. `npm run bench -- --help` has the options.
 */
import { writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Bench } from './bench.mjs'
import { CASES } from './cases/index.mjs'
import { installPeers } from './install.mjs'
import { machineFacts } from './machine.mjs'
import { PEERS, peersOf } from './peers/index.mjs'
import { runFolder } from './processes.mjs'
import { markdown, writeBetweenMarkers } from './table.mjs'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const DOCUMENT = `${ROOT}docs/performance.md`
const QUICK_SCALE = 0.1
const HELP = `npm run bench -- [options]
  --case NAME    only this case; may be repeated: ${CASES.map(({ name }) => name).join(', ')}
  --peer NAME    only this peer beside Holdfast; may be repeated: ${PEERS.slice(1).map(({ name }) => name).join(', ')}
  --rounds N     runs of each peer in each case (default 3; with --quick 1)
  --quick        a tenth of the work
  --json FILE    also everything that was measured, as JSON
  --folder PATH  where the servers keep their data (default: the system's temporary folder)
  --install      first installs mosquitto and redis-server, as root on Debian or Ubuntu; starts no daemon
`

try {
  await run()
} catch (error) {
  console.error(`bench: ${error.message}`)
  process.exitCode = 1
}

async function run () {
  const { values } = parseArgs({
    options: {
      case: { type: 'string', multiple: true },
      peer: { type: 'string', multiple: true },
      rounds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      json: { type: 'string' },
      folder: { type: 'string' },
      install: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false }
    }
  })
  if (values.help) return console.log(HELP)
  if (values.install) installPeers()
  const cases = named(CASES, values.case, '--case')
  const wanted = named(PEERS, values.peer && ['holdfast', ...values.peer], '--peer')
  const { peers, absent } = present(wanted.filter((peer) => cases.some((one) => peersOf(one, [peer]).length > 0)))
  const rounds = roundsOf(values)
  const startedAt = Date.now()
  const folder = runFolder(values.folder)
  const machine = machineFacts(folder.path)
  folder.remove()
  const say = (sentence) => console.error(`[${Math.round((Date.now() - startedAt) / 1_000)} s] ${sentence}`)
  for (const { title, why } of absent) say(`${title} is not run: ${why}`)
  const bench = new Bench({ peers, rounds, scale: values.quick ? QUICK_SCALE : 1, folder: values.folder, say })
  const done = []
  for (const one of cases) {
    const measured = await one.run(bench, peersOf(one, peers))
    done.push(one.kind === 'throughput' ? { ...one, results: measured } : { ...one, ...measured })
  }
  const report = {
    machine,
    command: commandOf(values),
    when: new Date(startedAt).toISOString().slice(0, 10),
    minutes: ((Date.now() - startedAt) / 60_000).toFixed(1),
    rounds,
    peers,
    absent,
    cases: done,
    failures: bench.failures.map((one) => one.replaceAll(ROOT, '').replaceAll(values.folder ?? tmpdir(), 'FOLDER'))
  }
  const text = markdown(report)
  console.log(text)
  if (values.json !== undefined) writeFileSync(values.json, JSON.stringify(report, plain, 2) + '\n')
  const isWhole = !values.quick && values.case === undefined && values.peer === undefined
  if (isWhole) writeBetweenMarkers(DOCUMENT, text)
  if (bench.failures.length > 0) process.exitCode = 1
}

/** @returns the entries of these names in the order of the list; all of them without names */
function named (list, names, option) {
  const unknown = names?.find((name) => !list.some((one) => one.name === name))
  if (unknown !== undefined) {
    throw new Error(`${option}: there is no ${unknown}; there is ${list.map(({ name }) => name).join(', ')}`)
  }
  return names === undefined ? list : list.filter(({ name }) => names.includes(name))
}

/** A peer that can't run is named, never left out in silence; without Holdfast there is nothing to compare. */
function present (wanted) {
  const [ours] = wanted
  if (ours.missing() !== undefined) throw new Error(ours.missing())
  return {
    peers: wanted.filter(({ missing }) => missing() === undefined),
    absent: wanted.flatMap(({ title, missing }) => missing() === undefined ? [] : [{ title, why: missing() }])
  }
}

/** As it would be repeated elsewhere: without the places of this machine. */
function commandOf ({ quick, rounds, case: cases = [], peer = [] }) {
  const options = [
    quick && '--quick', rounds !== undefined && `--rounds ${rounds}`,
    ...cases.map((name) => `--case ${name}`), ...peer.map((name) => `--peer ${name}`)
  ].filter(Boolean)
  return ['npm run bench', ...(options.length > 0 ? ['--', ...options] : [])].join(' ')
}

function roundsOf ({ rounds, quick }) {
  if (rounds === undefined) return quick ? 1 : 3
  const count = Number(rounds)
  if (!Number.isInteger(count) || count < 1) throw new Error(`--rounds must be a whole number from 1, not ${rounds}`)
  return count
}

function plain (_key, value) {
  return value instanceof Map ? Object.fromEntries(value) : value
}
