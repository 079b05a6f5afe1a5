/**
 * Does the simulation find bugs? Makes one mistake at a time in a copy of the broker and runs seeds until one fails:
 * `node test/simulation/mutants.mjs [--seeds 2000] [--only TEXT]`. Prints which seed found which mistake, and what the
 * checker said. Exit code 1 where a mistake was not found, or where the text that it changes is not there any more.
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { MUTATIONS } from './mutations.mjs'
import { transpile } from './transpile.mjs'

const TIMEOUT_MS = 600_000
const WHAT_CHARS_MAX = 150
const { values } = parseArgs({
  options: { seeds: { type: 'string', default: '2000' }, only: { type: 'string', default: '' } }
})

/** Enough to see that the broker as it is does not fail by itself. */
const UNCHANGED_SEEDS = '100'

const unchanged = find({ file: '', from: '', to: '' }, UNCHANGED_SEEDS)
if (unchanged.seed !== undefined) {
  console.error(`The broker as it is fails with seed ${unchanged.seed}: ${unchanged.says}. Mend that first.`)
  process.exit(1)
}
console.log('| mistake | seed | what the checker says |\n|---|---|---|')
for (const mutation of MUTATIONS.filter(({ name }) => name.includes(values.only))) {
  const { seed, says } = find(mutation, values.seeds)
  if (seed === undefined) process.exitCode = 1
  console.log(`| ${mutation.name} | ${seed ?? 'NOT FOUND'} | ${says.replaceAll('|', '\\|')} |`)
}

function find (mutation, seeds) {
  let places = mutation.file === '' ? 1 : 0
  const { folder, remove } = transpile((path, text) => {
    if (path !== mutation.file) return text
    places += text.split(mutation.from).length - 1
    return text.replace(mutation.from, () => mutation.to)
  })
  try {
    if (places !== 1) return { says: `${mutation.file} holds the text to change ${places} times; renew the mutation` }
    const { stdout, error } = spawnSync(process.execPath,
      [join(folder, 'test/simulation/simulate.js'), '--seeds', seeds],
      { encoding: 'utf8', timeout: TIMEOUT_MS, maxBuffer: 100_000_000 })
    const found = /^seed (\d+): (\[.*)$/m.exec(stdout)
    if (found !== null) return { seed: found[1], says: found[2].slice(0, WHAT_CHARS_MAX) }
    return { says: error === undefined ? `${seeds} seeds passed` : error.message }
  } finally {
    remove()
  }
}
