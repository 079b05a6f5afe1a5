/**
 * Does the simulation find bugs? Makes one mistake at a time in a copy of the broker and runs seeds until one fails:
 * `node test/simulation/mutants.mjs [--seeds 2000] [--only TEXT]`. Prints which seed found which mistake, and what the
 * checker said; seeds that the broker fails as it is do not count. Exit code 1 where a mistake was not found, or where
 * the text that it changes is not there any more.
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import '../typescript.mjs'
import { transpile } from './transpile.mjs'

const { MUTATIONS } = await import('./mutations.ts')
const TIMEOUT_MS = 600_000
const WHAT_CHARS_MAX = 150
const { values } = parseArgs({
  options: { seeds: { type: 'string', default: '2000' }, only: { type: 'string', default: '' } }
})

const unchanged = transpile()
process.on('exit', unchanged.remove)
console.log('| mistake | seed | what the checker says |\n|---|---|---|')
for (const mutation of MUTATIONS.filter(({ name }) => name.includes(values.only))) {
  const { seed, says } = find(mutation)
  if (seed === undefined) process.exitCode = 1
  console.log(`| ${mutation.name} | ${seed ?? 'NOT FOUND'} | ${says.replaceAll('|', '\\|')} |`)
}

function find (mutation) {
  let places = 0
  const changed = transpile((path, text) => {
    if (path !== mutation.file) return text
    places += text.split(mutation.from).length - 1
    return text.replace(mutation.from, () => mutation.to)
  })
  try {
    if (places !== 1) return { says: `${mutation.file} holds the text to change ${places} times; renew the mutation` }
    for (let from = 1; from <= Number(values.seeds);) {
      const failure = run(changed.folder, from, Number(values.seeds) - from + 1)
      if (failure === undefined) break
      if (failure.seed === undefined || run(unchanged.folder, failure.seed, 1) === undefined) return failure
      from = failure.seed + 1 // the broker fails this one by itself
    }
    return { says: `${values.seeds} seeds passed` }
  } finally {
    changed.remove()
  }
}

/** The first seed that fails, and why; undefined if none does. */
function run (folder, from, seeds) {
  const { stdout, error } = spawnSync(process.execPath,
    [join(folder, 'test/simulation/simulate.js'), '--from', String(from), '--seeds', String(seeds)],
    { encoding: 'utf8', timeout: TIMEOUT_MS, maxBuffer: 100_000_000 })
  const found = /^seed (\d+): (\[.*)$/m.exec(stdout)
  if (found !== null) return { seed: Number(found[1]), says: found[2].slice(0, WHAT_CHARS_MAX) }
  return error === undefined ? undefined : { says: error.message }
}
