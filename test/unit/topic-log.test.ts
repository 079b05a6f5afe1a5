/** The entries of one topic, against a plain list. */
import t from 'tap'
import { TopicLog, type Found } from '../../broker/log/topic-log.ts'
import { Placed } from '../../broker/message.ts'
import type { ClientId, Entry, Offset, Principal, TimeMs } from '../../broker/message.ts'
import { chooseSeed, createRandom } from '../helpers/random.ts'

function entryAt (offset: number): Entry {
  return new Placed({
    topic: 't', payload: Buffer.alloc(0), qos: 1, retain: false, publisher: 'p' as ClientId,
    principal: 'anonymous' as Principal, time: 0 as TimeMs, id: ''
  }, offset as Offset)
}

interface Naive { offset: number, bytes: number, cached: boolean }
const bytesOf = (items: readonly Naive[]): number => items.reduce((sum, { bytes }) => sum + bytes, 0)

function found (log: TopicLog, after: number, limit: number): Found[] {
  const into: Found[] = []
  log.findAfter(after as Offset, limit, 1, into)
  return into
}

t.test('appending, looking, evicting and dropping agree with a plain list', async t => {
  const random = createRandom(chooseSeed())
  t.comment(`seed ${random.seed}`)
  const log = new TopicLog('t')
  let list: Naive[] = []
  let last = 0
  const check = (what: string, actual: unknown, expected: unknown): void => {
    if (JSON.stringify(actual) !== JSON.stringify(expected)) t.same(actual, expected, what)
  }
  const somewhere = (): number => random.between(Math.max(0, (list[0]?.offset ?? last) - 3), last + 3)

  for (let step = 0; step < 20_000; step++) {
    const choice = random.int(100)
    if (choice < 60) {
      last += random.between(1, 4)
      const bytes = random.between(0, 100)
      const cached = random.int(2) === 0
      log.append(last as Offset, bytes, cached ? entryAt(last) : undefined)
      list.push({ offset: last, bytes, cached })
    } else if (choice < 75) {
      const through = random.int(20) === 0 ? last : somewhere()
      const into: number[] = []
      const cached = log.dropThrough(through as Offset, Infinity, into)
      const gone = list.filter(({ offset }) => offset <= through)
      list = list.filter(({ offset }) => offset > through)
      check('offsets that went', into, gone.map(({ offset }) => offset))
      check('bytes set free in memory', cached, bytesOf(gone.filter((one) => one.cached)))
    } else if (choice < 85) {
      const offset = somewhere()
      const one = list.find((item) => item.offset === offset)
      check('bytes of evicting', log.evict(offset as Offset), one?.cached === true ? one.bytes : 0)
      if (one !== undefined) one.cached = false
    } else if (choice < 90) {
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
    check('found', found(log, after, limit).map(({ offset, entry }) => [offset, entry?.offset]),
      rest.slice(0, limit).map(({ offset, cached }) => [offset, cached ? offset : undefined]))
    if (list.length > 0) {
      check('first', log.first, list[0].offset)
      check('last', log.last, list[list.length - 1].offset)
    }
    if (!t.passing()) return
  }
  t.pass()
})

t.test('[G8] finding the place of a session costs no walk through the entries', async t => {
  const log = new TopicLog('t')
  for (let i = 1; i <= 1_000_000; i++) log.append(i as Offset, 1, undefined)
  const start = process.hrtime.bigint()
  let sum = 0
  for (let i = 0; i < 100_000; i++) sum += log.countAfter((i * 10) as Offset)
  const eachNs = Number(process.hrtime.bigint() - start) / 100_000
  t.ok(sum > 0)
  t.ok(eachNs < 20_000, `${eachNs.toFixed(0)} ns each; a walk would take a million`)
})
