/** The entries of one topic, against a plain list. */
import t, { type Test } from 'tap'
import { TopicLog, type Found } from '../../broker/log/topic-log.ts'
import type { Offset } from '../../broker/model/message.ts'
import { chooseSeed, createRandom } from '../helpers/random.ts'

interface Naive { offset: number, bytes: number }
const bytesOf = (items: readonly Naive[]): number => items.reduce((sum, { bytes }) => sum + bytes, 0)

function found (log: TopicLog, after: number, limit: number): Found[] {
  const into: Found[] = []
  const start = log.indexAfter(after as Offset)
  for (let i = start; i < Math.min(log.end, start + limit); i++) into.push(log.foundAt(i, 1))
  return into
}

/** How often something goes: with the second, there are pages of entries most of the time. */
for (const [steps, dropping] of [[20_000, 15], [6_000, 0.1]]) {
  t.test(`appending, looking and dropping agree with a plain list, ${dropping} of 100 times`, async t => {
    await compare(t, steps, dropping)
  })
}

async function compare (t: Test, steps: number, dropping: number): Promise<void> {
  const random = createRandom(chooseSeed())
  t.comment(`seed ${random.seed}`)
  const log = new TopicLog('t')
  let list: Naive[] = []
  let last = 0
  const check = (what: string, actual: unknown, expected: unknown): void => {
    if (JSON.stringify(actual) !== JSON.stringify(expected)) t.same(actual, expected, what)
  }
  const somewhere = (): number => random.between(Math.max(0, (list[0]?.offset ?? last) - 3), last + 3)

  for (let step = 0; step < steps; step++) {
    const choice = random.int(100_000) / 1_000
    if (choice < 60) {
      last += random.between(1, 4)
      const bytes = random.between(0, 100)
      log.append(last as Offset, bytes)
      list.push({ offset: last, bytes })
    } else if (choice < 60 + dropping) {
      const through = random.int(20) === 0 ? last : somewhere()
      const into: number[] = []
      log.dropThrough(through as Offset, Infinity, into)
      const gone = list.filter(({ offset }) => offset <= through)
      list = list.filter(({ offset }) => offset > through)
      check('offsets that went', into, gone.map(({ offset }) => offset))
    } else if (choice < 60 + dropping * 1.5) {
      const offset = somewhere()
      const index = list.findIndex((item) => item.offset === offset)
      check('dropping from the middle', log.drop(offset as Offset), index >= 0)
      if (index >= 0) list.splice(index, 1)
    }
    const after = somewhere()
    const limit = random.between(1, 10)
    const rest = list.filter(({ offset }) => offset > after)
    check('length', log.length, list.length)
    check('bytes', log.bytes, bytesOf(list))
    check('count after', log.countAfter(after as Offset), rest.length)
    check('bytes after', log.bytesAfter(after as Offset), bytesOf(rest))
    check('found', found(log, after, limit).map(({ offset }) => offset),
      rest.slice(0, limit).map(({ offset }) => offset))
    if (list.length > 0) {
      check('first', log.first, list[0].offset)
      check('last', log.last, list[list.length - 1].offset)
    }
    if (!t.passing()) return
  }
  t.pass()
}

t.test('[G8] finding the place of a session costs no walk through the entries', async t => {
  const log = new TopicLog('t')
  for (let i = 1; i <= 1_000_000; i++) log.append(i as Offset, 1)
  const start = process.hrtime.bigint()
  let sum = 0
  for (let i = 0; i < 100_000; i++) sum += log.countAfter((i * 10) as Offset)
  const eachNs = Number(process.hrtime.bigint() - start) / 100_000
  t.ok(sum > 0)
  t.ok(eachNs < 20_000, `${eachNs.toFixed(0)} ns each; a walk would take a million`)
})
