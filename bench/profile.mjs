/**
 * Where the time of the server goes in one case: `node bench/profile.mjs --case inbox-16 [--top 40] [--keep FILE]`.
 * Shares are of the time in which the server was not idle.
 */
import { copyFileSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Bench } from './bench.mjs'
import { CASES } from './cases/index.mjs'
import { holdfast } from './peers/holdfast.mjs'
import { runFolder } from './processes.mjs'
import { byFunction, byPlace } from './self-times.mjs'

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
const folder = runFolder()
try {
  const bench = new Bench({
    peers: [holdfast],
    rounds: 1,
    scale: 1,
    say: console.error,
    nodeArgs: ['--cpu-prof', '--cpu-prof-dir', folder.path]
  })
  await one.run(bench, bench.peers)
  const profiles = readdirSync(folder.path).filter((name) => name.endsWith('.cpuprofile')).sort()
  if (profiles.length === 0) throw new Error('the server left no profile: it did not end by itself')
  const last = join(folder.path, profiles.at(-1))
  if (values.keep !== undefined) copyFileSync(last, values.keep)
  const profile = JSON.parse(readFileSync(last, 'utf8'))
  print('by place', byPlace(profile), Infinity)
  print('by function, self time', byFunction(profile), Number(values.top))
} finally {
  folder.remove()
}

function print (title, rows, top) {
  console.log(`\n${title}`)
  for (const { name, share, ms } of rows.slice(0, top)) {
    console.log(`${(share * 100).toFixed(1).padStart(6)} %  ${ms.toFixed(0).padStart(6)} ms  ${name}`)
  }
}
