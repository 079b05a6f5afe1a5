/** Which of what waits for a session has to go [G6], against counting by hand. */
import t from 'tap'
import { DEFAULT_LIMITS } from '../../broker/limits.ts'
import { LogIndex } from '../../broker/log/log-index.ts'
import { Timeline } from '../../broker/log/timeline.ts'
import { messageBytes, Placed } from '../../broker/message.ts'
import type { ClientId, Entry, Offset, Principal, QoS, TimeMs } from '../../broker/message.ts'
import { overBounds } from '../../broker/session/bounds.ts'
import { Session } from '../../broker/session/session.ts'
import { makeSubscription } from '../../broker/log/route.ts'
import { matches } from '../../broker/topics.ts'
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

t.test('[G5] [G6] what is cut is exactly what has to go, and is counted exactly', async t => {
  const random = createRandom(chooseSeed())
  t.comment(`seed ${random.seed}`)
  for (let round = 0; round < 300; round++) {
    const index = new LogIndex<Session>(1_000)
    const timeline = new Timeline()
    const filters: Record<string, QoS> = { 'a/#': 1, 'a/b': 2, '+/b': random.int(2) as QoS, c: 0 }
    const session = makeSession(index, filters, random.int(20))
    const entries = Array.from({ length: random.between(1, 120) }, (_, i) =>
      entry(i + 1, random.pick(['a/b', 'a/c', 'b/b', 'c', 'd']), random.int(40)))
    for (const one of entries) index.add(one)
    const limits =
      { ...DEFAULT_LIMITS, backlogMessagesMax: random.between(1, 80), backlogBytesMax: random.between(50, 3_000) }
    const tail = entries.length as Offset
    const waiting = entries.filter(({ offset, topic }) => offset > session.sent &&
      Object.entries(filters).some(([filter, qos]) => qos > 0 && matches(filter, topic)))
    const isWithin = (some: readonly Entry[]): boolean => some.length <= limits.backlogMessagesMax &&
      some.reduce((sum, one) => sum + messageBytes(one), 0) <= limits.backlogBytesMax
    let lost = 0
    while (!isWithin(waiting.slice(lost))) lost++
    const cut = overBounds(session, index, timeline, limits, 1 as TimeMs, tail)
    if (lost === 0) {
      if (cut !== undefined) t.fail(`round ${round}: ${cut.messages} cut, none had to go`)
      continue
    }
    const isExact = cut?.messages === lost && cut.through >= waiting[lost - 1].offset &&
      (waiting[lost] === undefined || cut.through < waiting[lost].offset)
    if (!isExact) t.fail(`round ${round}: ${cut?.messages} cut through ${cut?.through}, expected ${lost}`)
    t.equal(cut?.reason, waiting.length > limits.backlogMessagesMax ? 'backlog-messages' : 'backlog-bytes')
  }
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
  const at = (now: number): unknown => overBounds(session, index, timeline, limits, now as TimeMs, 10 as Offset)
  t.equal(at(60_000), undefined)
  t.same(at(82_000), { through: 3, messages: 3, reason: 'backlog-age' })
  t.same(at(1_000_000), { through: 10, messages: 10, reason: 'backlog-age' })
})

t.test('a clean session has no backlog, and one that has caught up neither', async t => {
  const index = new LogIndex<Session>(1_000)
  const limits = { ...DEFAULT_LIMITS, backlogMessagesMax: 1 }
  const session = makeSession(index, { '#': 1 })
  for (let i = 1; i <= 10; i++) index.add(entry(i, 't', 1))
  t.ok(overBounds(session, index, new Timeline(), limits, 1 as TimeMs, 10 as Offset))
  session.live = { caughtUp: true } as Session['live']
  t.equal(overBounds(session, index, new Timeline(), limits, 1 as TimeMs, 10 as Offset), undefined)
})

t.test('[G8] looking at sessions that are far from their bounds costs nothing, however many topics match', async t => {
  const index = new LogIndex<Session>(1)
  const sessions = Array.from({ length: 1_000 }, () => makeSession(index, { '#': 1 }))
  for (let i = 1; i <= 20_000; i++) index.add(entry(i, `t/${i}`, 1))
  const start = process.hrtime.bigint()
  const timeline = new Timeline()
  for (const session of sessions) overBounds(session, index, timeline, DEFAULT_LIMITS, 1 as TimeMs, 20_000 as Offset)
  const ms = Number(process.hrtime.bigint() - start) / 1e6
  t.ok(ms < 100, `${ms.toFixed(1)} ms for 1,000 sessions and 20,000 topics; counting takes seconds`)
})
