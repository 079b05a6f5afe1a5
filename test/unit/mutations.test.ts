/** What proves that the simulation finds mistakes (test/simulation/mutants.mjs) must not go out of date unseen. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { MUTATIONS } from '../simulation/mutations.ts'

t.test('every mistake that the simulation has to find can be made in the code as it is', async t => {
  for (const { name, file, from, to } of MUTATIONS) {
    const source = readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8')
    t.equal(source.split(from).length - 1, 1, `${name}: its text stands once in ${file}`)
    t.not(to, from, name)
  }
})
