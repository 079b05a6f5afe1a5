import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ERRORS } from '../../broker/model/errors.ts'
import { REFUSAL_KINDS } from '../../broker/system/refusals.ts'
import { ROOT, sources } from '../helpers/sources.ts'

const GUARANTEES = ['G1', 'G2', 'G3', 'G4', 'G5', 'G6', 'G7', 'G8', 'G9']
const CODES = Object.keys(ERRORS)

function doc (name: string): string {
  const path = join(ROOT, 'docs', name)
  return existsSync(path) ? readFileSync(path, 'utf8') : ''
}

t.test('every guarantee has its section in docs/guarantees.md, and no section is without one', async t => {
  const headings = [...doc('guarantees.md').matchAll(/^## (G\d+)\b/gm)].map(([, id]) => id)
  t.same(headings, GUARANTEES)
})

t.test('every guarantee is attacked by a test that carries it in its name', async t => {
  const tests = sources().filter(({ path }) => /\.test\.ts$|^test\/(conformance|simulation)\//.test(path))
  const names = tests
    .flatMap(({ text }) => text.split('\n').filter(line => /\b(test|suite|scenario)\(/.test(line)))
  for (const id of GUARANTEES) {
    t.ok(names.some(line => line.includes(`[${id}]`)), `[${id}] is in the name of a test`)
  }
})

t.test('no file cites a guarantee that does not exist', async t => {
  for (const { path, text } of sources()) {
    const cited = [...text.matchAll(/\[(G\d+)\]/g)].map(([, id]) => id)
    t.same(cited.filter(id => !GUARANTEES.includes(id)), [], path)
  }
})

t.test('every guarantee is cited where the code keeps it', async t => {
  const product = sources().filter(({ path }) => !/^(test|bench)\//.test(path)).map(({ text }) => text).join('\n')
  for (const id of GUARANTEES) t.ok(product.includes(`[${id}]`), `[${id}] is cited in the code`)
})

t.test('docs/errors.md has a row for every error code, and none for a code that does not exist', async t => {
  const rows = [...doc('errors.md').matchAll(/^\|\s*`?([A-Z][A-Z0-9_]+)`?\s*\|/gm)].map(([, code]) => code)
  t.same([...rows].sort(), [...CODES].sort())
})

t.test('docs/errors.md has a row for every kind of refusal, in their order', async t => {
  const [, section = ''] = doc('errors.md').split('## What is refused')
  t.same([...section.matchAll(/^\| `([a-z]+)` \|/gmi)].map(([, kind]) => kind), REFUSAL_KINDS)
})

t.test('an error code is one word for one thing', async t => {
  t.equal(new Set(Object.values(ERRORS).map(({ says }) => says)).size, CODES.length, 'no two codes say the same')
})
