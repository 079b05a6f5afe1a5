/** What is in the log and who needs it, against plain lists: finding, counting, trimming. */
import t from 'tap'
import type { Test } from 'tap'
import { LogIndex, PULL_AHEAD_MAX } from '../../broker/log/log-index.ts'
import { makeSubscription, PENDING, type Subscriber, type Subscription } from '../../broker/log/route.ts'
import { Placed } from '../../broker/message.ts'
import type { ClientId, Entry, Offset, Principal, QoS, TimeMs } from '../../broker/message.ts'
import { matches } from '../../broker/topics.ts'
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
      t.equal(index.isWanted(topic), sessions.some(({ subscriptions }) => [...subscriptions.values()]
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
      const { messages } = index.pending(session.subscriptions.values(), session.position)
      const least = wanted(log, session, session.position).length
      if (messages < least) t.fail(`step ${step}: ${messages} pending, ${least} to come`)
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
  t.equal(index.isWanted('t'), false)
  subscribe(index, new TestSession(), 't', 1, PENDING)
  t.equal(index.isWanted('t'), true, 'but what comes from now on is stored for it')
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

/** As a session drains it: what was found is handed on, then more is looked for. */
function drainMs (t: Test, topics: number, each: number): number {
  const { index, session } = backlog(topics, each)
  const start = process.hrtime.bigint()
  let after = 0
  for (let expected = 1; after < topics * each;) {
    const found = index.next(session.subscriptions.values(), after as Offset, 64)
    for (const { offset } of found) if (offset !== expected++) t.fail(`${offset} instead of ${expected - 1}`)
    after = found[found.length - 1].offset
  }
  return Number(process.hrtime.bigint() - start) / 1e6
}

t.test('[G8] draining a backlog over many topics takes no longer than its length explains', async t => {
  drainMs(t, 10, 100)
  const few = drainMs(t, 10, 5_000)
  const many = drainMs(t, 5_000, 10)
  t.comment(`50,000 messages: on 10 topics ${few.toFixed()} ms, on 5,000 topics ${many.toFixed()} ms`)
  t.ok(many < 1_000 + 20 * few, `${many.toFixed()} ms`)
})
