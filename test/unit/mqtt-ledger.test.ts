/** docs/mqtt.md has each normative statement of MQTT 3.1.1 once, and the tests that it names attack it. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ROOT, sources } from '../helpers/sources.ts'

/** How many statements appendix B of MQTT 3.1.1 has in each section. */
const STATEMENTS: Readonly<Record<string, number>> = {
  '1.5.3': 3, '2.2.2': 2, '2.3.1': 7,
  '3.1.0': 2, '3.1.2': 24, '3.1.3': 11, '3.1.4': 5, '3.2.0': 1, '3.2.2': 6,
  '3.3.1': 12, '3.3.2': 3, '3.3.4': 1, '3.3.5': 2, '3.6.1': 1,
  '3.8.1': 1, '3.8.3': 4, '3.8.4': 6, '3.9.3': 2, '3.10.1': 1, '3.10.3': 2, '3.10.4': 6,
  '3.12.4': 1, '3.14.1': 1, '3.14.4': 3,
  '4.1.0': 2, '4.3.1': 1, '4.3.2': 2, '4.3.3': 2, '4.4.0': 1, '4.5.0': 2, '4.6.0': 6,
  '4.7.1': 3, '4.7.2': 1, '4.7.3': 4, '4.8.0': 2,
  '6.0.0': 4, '7.0.0': 2, '7.1.1': 1, '7.1.2': 1
}
const IDS = Object.entries(STATEMENTS).flatMap(([section, count]) =>
  Array.from({ length: count }, (_, i) => `MQTT-${section}-${i + 1}`))

const DOC = readFileSync(join(ROOT, 'docs/mqtt.md'), 'utf8')
const ROWS = [...DOC.matchAll(/^\| (MQTT-\S+) \| (.+?) \| (.+) \|$/gm)].map(([, id, says, how]) => ({ id, says, how }))
const TESTS = new Map(sources().filter(({ path }) => path.startsWith('test/')).map(({ path, text }) => [path, text]))

/** Names of tests and of their cases: what is quoted and carries a statement. */
function namesIn (text: string): string[] {
  return [...text.matchAll(/(['`])((?:(?!\1)[^\n\\]|\\.)*\[MQTT-[\d.]+-\d+\](?:(?!\1)[^\n\\]|\\.)*)\1/g)]
    .map(([, , name]) => name)
}

/** Without the statements and clauses that it carries. */
function bare (name: string): string {
  return name.replace(/\[(MQTT-[\d.]+-\d+|G\d)\]/g, '').replace(/\s+/g, ' ').replace(/ (?=[;:])/g, '').trim()
}

t.test('each statement of appendix B is in the ledger once, in its order', async t => {
  t.same(ROWS.map(({ id }) => id), IDS)
})

t.test('each has a test, is the duty of the client, or says why it needs none', async t => {
  for (const { id, how } of ROWS) {
    const named = [...how.matchAll(/`(\S+)`: (.+)$/g)]
    if (named.length === 0) {
      t.match(how, /^(client's duty\.|by design: .)/, id)
      continue
    }
    const [[, file, name]] = named
    const names = namesIn(TESTS.get(`test/${file}`) ?? '').filter((one) => one.includes(`[${id}]`)).map(bare)
    t.ok(names.includes(name), `${id}: ${file} has ${name}, among ${names.join(', ')}`)
  }
})

t.test('no file carries a statement that the ledger does not have', async t => {
  for (const { path, text } of sources()) {
    const cited = [...text.matchAll(/\[(MQTT-[\d.]+-\d+)\]/g)].map(([, id]) => id)
    t.same(cited.filter((id) => !IDS.includes(id)), [], path)
  }
})
