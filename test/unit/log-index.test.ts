/** What is in the log and who needs it, against plain lists: finding, counting, trimming. */
import t from 'tap'
import type { Test } from 'tap'
import { LogIndex, PULL_AHEAD_MAX } from '../../broker/log/log-index.ts'
import { BLOCK_OFFSETS } from '../../broker/log/log-order.ts'
import { makeSubscription, PENDING, type Subscriber, type Subscription } from '../../broker/log/route.ts'
import { TopicLog } from '../../broker/log/topic-log.ts'
import { Placed } from '../../broker/model/message.ts'
import type { ClientId, Entry, Offset, Principal, QoS, TimeMs } from '../../broker/model/message.ts'
import { matches } from '../../broker/model/topics.ts'
import { countCalls } from '../helpers/count-calls.ts'
import { chooseSeed, createRandom } from '../helpers/random.ts'

class TestSession implements Subscriber {
  readonly clean: boolean
  position = 0 as Offset
  holds: Subscriber['holds']
  readonly subscriptions = new Map<string, Subscription<TestSession>>()
  constructor (clean = false) { this.clean = clean }
}

const TOPICS = ['a', 'a/b', 'a/c', 'b', 'b/c', '$x/a', '/']
const FILTERS = ['#', 'a/#', '+', '+/c', 'a/b', 'b', '$x/#']

function entry (offset: number, topic: string, size = 10): Entry {
  return new Placed({
    topic, payload: Buffer.alloc(size), qos: 1, retain: false, publisher: 'p' as ClientId,
    principal: 'me' as Principal, time: 0 as TimeMs, id: ''
  }, offset as Offset)
}

function subscribe (index: LogIndex<TestSession>, session: TestSession, filter: string, qos: QoS, from: number): void {
  const existing = session.subscriptions.get(filter)
  if (existing !== undefined) index.unsubscribe(existing)
  const route = index.route(filter)
  const subscription = makeSubscription(session, route, qos, from as Offset)
  route.add(subscription)
  session.subscriptions.set(filter, subscription)
}

function unsubscribe (index: LogIndex<TestSession>, session: TestSession, filter: string): void {
  const subscription = session.subscriptions.get(filter)
  if (subscription === undefined) return
  session.subscriptions.delete(filter)
  index.unsubscribe(subscription)
}

/** The entries that a session is to get after an offset, and at which QoS. */
function wanted (log: readonly Entry[], session: TestSession, after: number): Array<[number, QoS]> {
  return log.flatMap(({ offset, topic }) => {
    const qos = [...session.subscriptions.values()]
      .filter((one) => one.qos > 0 && one.from < offset && matches(one.route.filter, topic)).map((one) => one.qos)
    return offset > after && qos.length > 0 ? [[offset, Math.max(...qos) as QoS]] : []
  })
}

t.test('finding, counting and trimming agree with a plain list, while filters come and go [G2] [G3]', async t => {
  const random = createRandom(chooseSeed())
  t.comment(`seed ${random.seed}`)
  const index = new LogIndex<TestSession>(200)
  const sessions = Array.from({ length: 4 }, () => new TestSession())
  let log: Entry[] = []
  let tail = 0
  for (let step = 0; step < 8_000 && t.passing(); step++) {
    const session = random.pick(sessions)
    const choice = random.int(10)
    if (choice < 4) {
      const topic = random.pick(TOPICS)
      const one = entry(++tail, topic, random.int(30))
      t.equal(index.keepers(topic) > 0, sessions.some(({ subscriptions }) => [...subscriptions.values()]
        .some(({ qos, route }) => qos > 0 && matches(route.filter, topic))), `is ${topic} wanted`)
      index.add(one)
      log.push(one)
    } else if (choice < 5) subscribe(index, session, random.pick(FILTERS), random.int(3) as QoS, tail)
    else if (choice < 6) unsubscribe(index, session, random.pick(FILTERS))
    else if (choice < 8) {
      session.position = Math.max(session.position, random.between(0, tail)) as Offset
      index.moved(session)
    } else {
      const gone = index.trim(random.between(1, 100), tail as Offset)
      for (const offset of gone) {
        if (sessions.some((one) => wanted(log, one, one.position).some(([needed]) => needed === offset))) {
          t.fail(`step ${step}: ${offset} is needed`)
        }
      }
      log = log.filter(({ offset }) => !gone.includes(offset))
    }
    const after = Math.max(session.position, random.between(0, tail))
    const limit = random.between(1, 8)
    const expected = wanted(log, session, after)
    const found = index.next(session.subscriptions.values(), after as Offset, limit)
    if (found.length < Math.min(limit, expected.length)) t.fail(`step ${step}: ${found.length} found`)
    if (found.length > PULL_AHEAD_MAX) t.fail(`step ${step}: ${found.length} found at once`)
    const words = JSON.stringify(found.map(({ offset, qos }) => [offset, qos]))
    if (words !== JSON.stringify(expected.slice(0, found.length))) t.fail(`step ${step}: found ${words}`)
    if (step % 10 === 0) {
      for (const one of session.subscriptions.values()) { // filter by filter it is exact
        const alone = new TestSession()
        alone.subscriptions.set(one.route.filter, one)
        const expected = wanted(log, alone, session.position).length
        const { messages } = index.count([one], session.position)
        if (messages !== expected) t.fail(`step ${step}: ${messages} counted, ${expected} to come`)
        if (index.count([one], session.position, true).messages < expected) t.fail(`step ${step}: rounded to less`)
      }
    }
    if (index.messages !== log.length) t.fail(`step ${step}: ${index.messages} messages, expected ${log.length}`)
  }
  for (const session of sessions) for (const filter of FILTERS) unsubscribe(index, session, filter)
  index.trim(Infinity, tail as Offset)
  t.same([index.messages, index.bytes, index.topics, index.filters.size], [0, 0, 0, 0], 'nothing is left in the end')
})

t.test('[G6] what nobody needs is trimmed by itself, without being asked about every topic again', async t => {
  const index = new LogIndex<TestSession>(1_000)
  const session = new TestSession()
  subscribe(index, session, '#', 1, 0)
  for (let i = 1; i <= 100; i++) index.add(entry(i, `t/${i}`))
  t.same(index.trim(Infinity, 100 as Offset), [], 'it stands before all of them')
  session.position = 60 as Offset
  index.moved(session)
  t.equal(index.trim(Infinity, 100 as Offset).length, 60)
  session.position = 100 as Offset
  index.moved(session)
  t.equal(index.trim(Infinity, 100 as Offset).length, 40)
  t.equal(index.topics, 0)
})

t.test('a clean session, a filter of QoS 0 and one that is not durable yet hold nothing back', async t => {
  const index = new LogIndex<TestSession>(1_000)
  subscribe(index, new TestSession(true), '#', 2, 0)
  subscribe(index, new TestSession(), '#', 0, 0)
  t.equal(index.keepers('t'), 0)
  subscribe(index, new TestSession(), 't', 1, PENDING)
  t.equal(index.keepers('t'), 1, 'but what comes from now on is stored for it')
  index.add(entry(1, 'u'))
  t.same(index.trim(Infinity, 1 as Offset), [1])
})

function backlog (topics: number, each: number): { index: LogIndex<TestSession>, session: TestSession } {
  const index = new LogIndex<TestSession>(1)
  const session = new TestSession()
  subscribe(index, session, 't/+', 1, 0)
  for (let i = 0; i < topics * each; i++) index.add(entry(i + 1, `t/${i % topics}`))
  return { index, session }
}

/** As a session drains it: what was found is handed on, then more is looked for. Returns how often topics are asked. */
function drain (t: Test, topics: number, each: number, filters: string[]): number {
  const { index, session } = backlog(topics, each)
  for (const filter of filters) subscribe(index, session, filter, 1, topics * each)
  let after = 0
  const asked = countCalls(TopicLog.prototype, ['indexAfter', 'offsetAt', 'foundAt'], () => {
    for (let expected = 1; after < topics * each;) {
      const found = index.next(session.subscriptions.values(), after as Offset, 64)
      for (const { offset } of found) if (offset !== expected++) t.fail(`${offset} instead of ${expected - 1}`)
      after = found[found.length - 1].offset
    }
  })
  return asked
}

t.test('[G8] draining a backlog costs the same for each message, on however many topics they lie', async t => {
  for (const filters of [[], Array.from({ length: 100 }, (_, i) => `other/${i}`)]) {
    for (const [topics, each] of [[10, 5_000], [5_000, 10], [50_000, 1]]) {
      const asked = drain(t, topics, each, filters)
      t.ok(asked <= 3 * 50_000, `${asked} looks at ${topics} topics for 50,000 messages`)
    }
  }
})

t.test('[G8] a message of few finds its way through the log of others block by block', async t => {
  const index = new LogIndex<TestSession>(1)
  const session = new TestSession()
  const other = new TestSession()
  subscribe(index, session, 'rare/+', 1, 0)
  subscribe(index, other, '#', 1, 0)
  for (let i = 1; i <= 100_000; i++) index.add(entry(i, i % 10_000 === 0 ? `rare/${i}` : `t/${i % 1_000}`))
  const looked = countCalls(Array.prototype, ['includes'], () => {
    t.same(index.next(session.subscriptions.values(), 0 as Offset, 64).map(({ offset }) => offset / 10_000),
      [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  })
  t.ok(looked <= 11 * BLOCK_OFFSETS, `${looked} of 100,000 entries were looked at`)
})

t.test('[G8] counting what waits for many sessions asks no topic, however many there are', async t => {
  const { index } = backlog(20_000, 1)
  const sessions = Array.from({ length: 300 }, () => new TestSession())
  for (const session of sessions) {
    subscribe(index, session, 't/#', 1, 0)
    subscribe(index, session, 't/+', 1, 0)
  }
  for (let i = 20_001; i <= 40_000; i++) index.add(entry(i, `t/${i}`))
  const asked = countCalls(TopicLog.prototype, ['indexAfter', 'countAfter', 'bytesAfter'], () => {
    for (const { subscriptions } of sessions) {
      const { messages } = index.count(subscriptions.values(), 20_000 as Offset, true)
      if (messages < 40_000 || messages > 40_000 + 2 * BLOCK_OFFSETS) t.fail(`${messages} counted`)
    }
  })
  t.equal(asked, 0)
})

t.test('[G8] a session that moves on costs what it moved past, not all it holds', async t => {
  const { index, session } = backlog(20_000, 1)
  t.same(index.trim(Infinity, 20_000 as Offset), [])
  let gone = 0
  const asked = countCalls(TopicLog.prototype, ['indexAfter', 'dropThrough'], () => {
    for (let position = 10; position <= 1_000; position += 10) {
      session.position = position as Offset
      index.moved(session)
      gone += index.trim(1_000, 20_000 as Offset).length
    }
  })
  t.equal(gone, 1_000)
  t.ok(asked < 10_000, `${asked} calls to trim 1,000 of 20,000 topics`)
})

t.test('[G8] a filter that goes leaves its messages to be cleared away a slice at a time', async t => {
  const { index, session } = backlog(20_000, 1)
  const asked = countCalls(TopicLog.prototype, ['indexAfter', 'dropThrough'], () => {
    unsubscribe(index, session, 't/+')
  })
  t.equal(asked, 0)
  let slices = 0
  for (; index.messages > 0 && slices < 100; slices++) {
    const before = index.messages
    index.trim(1_000, 20_000 as Offset)
    if (before - index.messages > 1_100) t.fail(`${before - index.messages} in one slice`)
  }
  t.ok(slices >= 18 && slices < 25, `${slices} slices`)
  t.same([index.messages, index.bytes, index.topics, index.isTrimDue], [0, 0, 0, false])
})

t.test('[G2] what was stored for a filter is kept for those who still want it when the filter goes', async t => {
  const index = new LogIndex<TestSession>(1)
  const [leaving, staying, late] = [new TestSession(), new TestSession(), new TestSession()]
  subscribe(index, leaving, '#', 1, 0)
  subscribe(index, staying, 'a/+', 1, 0)
  for (let i = 1; i <= 300; i++) index.add(entry(i, i % 3 === 0 ? 'a/b' : 'c'))
  subscribe(index, late, '+/b', 1, 300)
  unsubscribe(index, leaving, '#')
  t.equal(index.trim(Infinity, 300 as Offset).length, 200)
  staying.position = 150 as Offset
  index.moved(staying)
  t.equal(index.trim(Infinity, 300 as Offset).length, 50, 'a filter that came later holds nothing back')
  t.equal(index.messages, 50)
})
