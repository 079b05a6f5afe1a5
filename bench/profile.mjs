/**
 * Where the time of the server goes in one case: `node bench/profile.mjs --case inbox-16 [--top 40] [--keep FILE]`,
 * while it is measured, or from the ready line until the server is told to stop. Shares are of the time in which it was
 * not idle.
 */
import { copyFileSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Bench } from './bench.mjs'
import { CASES } from './cases/index.mjs'
import { holdfast } from './peers/holdfast.mjs'
import { peersOf } from './peers/index.mjs'
import { runFolder } from './processes.mjs'
import { byFunction, byFunctionAndBelow, byPlace, cut } from './self-times.mjs'

const { values } = parseArgs({
  options: {
    case: { type: 'string', default: 'inbox-16' },
    top: { type: 'string', default: '40' },
    keep: { type: 'string' }
  }
})
const one = CASES.find(({ name }) => name === values.case)
if (one === undefined) {
  console.error(`bench: --case: there is no ${values.case}; there is ${CASES.map(({ name }) => name).join(', ')}`)
  process.exit(1)
}
/** When the last server was ready, or measuring began, and when it was told to stop, in microseconds. */
const period = { from: 0, to: 0 }
const watched = {
  ...holdfast,
  async start (options) {
    const server = await holdfast.start(options)
    period.from = nowMicros()
    return {
      ...server,
      async stop (signal) {
        period.to = nowMicros()
        await server.stop(signal)
      }
    }
  }
}
const folder = runFolder()
try {
  const nodeArgs = ['--cpu-prof', '--cpu-prof-dir', folder.path]
  const onMeasured = () => { period.from = nowMicros() }
  const bench = new Bench({ peers: [watched], rounds: 1, scale: 1, say: console.error, nodeArgs, onMeasured })
  await one.run(bench, peersOf(one, bench.peers))
  const profiles = readdirSync(folder.path).filter((name) => name.endsWith('.cpuprofile')).sort()
  if (profiles.length === 0) throw new Error('the server left no profile: it did not end by itself')
  const last = join(folder.path, profiles.at(-1))
  if (values.keep !== undefined) copyFileSync(last, values.keep)
  const profile = cut(JSON.parse(readFileSync(last, 'utf8')), period.from, period.to)
  print('by place', byPlace(profile), Infinity)
  print('by function, self time', byFunction(profile), Number(values.top))
  print('by function, with what it called', byFunctionAndBelow(profile), Number(values.top))
} finally {
  folder.remove()
}

/** V8 takes its times from the same clock. */
function nowMicros () {
  return Number(process.hrtime.bigint() / 1_000n)
}

function print (title, rows, top) {
  console.log(`\n${title}`)
  for (const { name, share, ms } of rows.slice(0, top)) {
    console.log(`${(share * 100).toFixed(1).padStart(6)} %  ${ms.toFixed(0).padStart(6)} ms  ${name}`)
  }
}
