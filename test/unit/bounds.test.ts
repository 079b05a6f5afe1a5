/** Which of what waits for a session has to go [G6], against counting by hand. */
import t from 'tap'
import { DEFAULT_LIMITS, type Limits } from '../../broker/model/limits.ts'
import { LogIndex } from '../../broker/log/log-index.ts'
import { Timeline } from '../../broker/log/timeline.ts'
import { messageBytes, Placed } from '../../broker/model/message.ts'
import type { ClientId, Entry, Offset, Principal, QoS, TimeMs } from '../../broker/model/message.ts'
import { boundsAt, overBounds, type Cut } from '../../broker/session/bounds.ts'
import { pendingOf, summable } from '../../broker/session/backlog.ts'
import { Session } from '../../broker/session/session.ts'
import { makeSubscription } from '../../broker/log/route.ts'
import { matches } from '../../broker/model/topics.ts'
import { chooseSeed, createRandom } from '../helpers/random.ts'

function entry (offset: number, topic: string, size: number, time = 0): Entry {
  return new Placed({
    topic, payload: Buffer.alloc(size), qos: 1, retain: false, publisher: 'p' as ClientId,
    principal: 'me' as Principal, time: time as TimeMs, id: ''
  }, offset as Offset)
}

function makeSession (index: LogIndex<Session>, filters: Record<string, QoS>, sent = 0): Session {
  const session = new Session('c' as ClientId, 'me' as Principal, false, 1_000, sent as Offset)
  for (const [filter, qos] of Object.entries(filters)) {
    const route = index.route(filter)
    const subscription = makeSubscription(session, route, qos, 0 as Offset)
    route.add(subscription)
    session.subscriptions.add(subscription)
  }
  return session
}

function look (session: Session, index: LogIndex<Session>, limits: Limits, tail: number, left = Infinity,
  timeline = new Timeline(), now = 1): Cut | undefined {
  return overBounds(session, index, boundsAt(timeline, limits, now as TimeMs, tail as Offset), { left })
}

/** Filters that add up, that cover each other, and that overlap. */
const FILTERS: ReadonlyArray<Record<string, QoS>> = [
  { 'a/#': 1, c: 1 }, { 'a/#': 1, 'a/b': 2, c: 0 }, { 'a/#': 1, '+/b': 1 }, { 'a/+': 2, '+/b': 1, 'a/b': 1, d: 1 },
  { '#': 1, '+/#': 1, d: 1 }, { 'a/b': 1, 'a/c': 1, 'b/b': 0 }
]

t.test('[G5] [G6] what is cut is exactly what has to go, and is counted exactly', async t => {
  const random = createRandom(chooseSeed())
  t.comment(`seed ${random.seed}`)
  const holds = (isTrue: boolean, what: string): void => { if (!isTrue) t.fail(what) }
  const same = (actual: unknown, expected: unknown, what: string): void =>
    holds(actual === expected, `${what}: ${String(actual)}, expected ${String(expected)}`)
  for (let round = 0; round < 600 && t.passing(); round++) {
    const index = new LogIndex<Session>(1_000)
    const filters = random.pick(FILTERS)
    const session = makeSession(index, filters, random.int(20))
    const entries = Array.from({ length: random.between(1, 600) }, (_, i) =>
      entry(i + 1, random.pick(['a/b', 'a/c', 'b/b', 'c', 'd']), random.int(40)))
    for (const one of entries) index.add(one)
    const limits =
      { ...DEFAULT_LIMITS, backlogMessagesMax: random.between(1, 400), backlogBytesMax: random.between(50, 15_000) }
    const tail = entries.length
    const waiting = entries.filter(({ offset, topic }) => offset > session.sent &&
      Object.entries(filters).some(([filter, qos]) => qos > 0 && matches(filter, topic)))
    same(pendingOf(session, index).messages, waiting.length, 'counted')
    same(pendingOf(session, index).bytes, waiting.reduce((sum, one) => sum + messageBytes(one), 0), 'bytes')
    const isWithin = (some: readonly Entry[]): boolean => some.length <= limits.backlogMessagesMax &&
      some.reduce((sum, one) => sum + messageBytes(one), 0) <= limits.backlogBytesMax
    let lost = 0
    while (!isWithin(waiting.slice(lost))) lost++
    const isSliced = random.int(2) === 0
    if (!isSliced) {
      const cut = look(session, index, limits, tail)
      same(cut?.messages, lost === 0 ? undefined : lost, `round ${round}: cut in one go`)
      if (cut === undefined) continue
      holds(cut.through >= waiting[lost - 1].offset && !(cut.through >= waiting[lost]?.offset), `round ${round}: where`)
      same(cut.reason, waiting.length > limits.backlogMessagesMax ? 'backlog-messages' : 'backlog-bytes', 'why')
      continue
    }
    let told = 0
    for (let slices = 0; slices < 2_000; slices++) {
      const cut = look(session, index, limits, tail, random.between(1, 50))
      if (cut === undefined) continue
      told += cut.messages
      holds(cut.messages > 0 && told <= lost, `round ${round}: ${told} cut in slices, ${lost} had to go`)
      session.sent = cut.through
    }
    same(told, lost, `round ${round}: cut in slices`)
  }
})

t.test('[G5] [G6] a backlog that is counted entry by entry stays exact while messages come and go', async t => {
  const random = createRandom(chooseSeed())
  t.comment(`seed ${random.seed}`)
  const same = (actual: unknown, expected: unknown, what: string): void => {
    if (actual !== expected) t.fail(`${what}: ${String(actual)}, expected ${String(expected)}`)
  }
  const index = new LogIndex<Session>(1_000)
  const session = makeSession(index, { 'a/+': 1, '+/b': 1 })
  const limits = { ...DEFAULT_LIMITS, backlogMessagesMax: 100 }
  t.equal(summable(session, session.sent), undefined)
  const waiting: Entry[] = []
  let lost = 0
  let due = 0
  for (let offset = 1; offset <= 3_000 && t.passing(); offset++) {
    const one = entry(offset, random.pick(['a/b', 'a/c', 'b/b', 'c']), 1)
    index.add(one)
    if (one.topic !== 'c') waiting.push(one)
    if (waiting.length > 0 && random.int(3) === 0) { // as the puller does
      const [found] = index.next(session.subscriptions.values(), session.sent, 1)
      session.sent = found.offset
      session.tally?.pass(found)
      same(found.offset, waiting.shift()?.offset, 'delivered')
    }
    if (random.int(20) > 0) continue
    const cut = look(session, index, limits, offset)
    const over = Math.max(0, waiting.length - 100)
    same(cut?.messages ?? 0, over, 'cut')
    due += over
    if (cut === undefined) continue
    lost += cut.messages
    session.sent = cut.through
    waiting.splice(0, over)
  }
  t.equal(lost, due)
  t.ok(lost > 500, `${lost} lost`)
})

t.test('[G6] what is older than the bound goes, whatever came since, and is told as that', async t => {
  const index = new LogIndex<Session>(1_000)
  const timeline = new Timeline()
  const session = makeSession(index, { '#': 1 })
  for (let i = 1; i <= 10; i++) {
    const one = entry(i, 't', 1, i * 10_000)
    index.add(one)
    timeline.note(one.offset, one.time)
  }
  const limits = { ...DEFAULT_LIMITS, backlogAgeMsMax: 50_000 }
  const at = (now: number): unknown => look(session, index, limits, 10, Infinity, timeline, now)
  t.equal(at(60_000), undefined)
  t.same(at(82_000), { through: 3, messages: 3, reason: 'backlog-age' })
  t.same(at(1_000_000), { through: 10, messages: 10, reason: 'backlog-age' })
})

t.test('a clean session has no backlog, and one that has caught up neither', async t => {
  const index = new LogIndex<Session>(1_000)
  const limits = { ...DEFAULT_LIMITS, backlogMessagesMax: 1 }
  const session = makeSession(index, { '#': 1 })
  for (let i = 1; i <= 10; i++) index.add(entry(i, 't', 1))
  t.ok(look(session, index, limits, 10))
  session.live = { caughtUp: true } as Session['live']
  t.equal(look(session, index, limits, 10), undefined)
})
