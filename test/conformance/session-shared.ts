/** Shared subscriptions: each message goes to one member of a group, and to another one if that one goes. */
import t from 'tap'
import type { QoS } from '../../broker/model/message.ts'
import type { Session } from '../../broker/session/session.ts'
import { DAY_MS, numbers, Server, type ConnectOptions, type TestLink, type WorldFactory } from './session-words.ts'

const JOBS = '$share/workers/jobs/+'

async function share (server: Server, session: Session, filter = JOBS, qos: QoS = 1): Promise<QoS> {
  return await server.broker.subscribe(session, filter, qos, { mayShare: true })
}

/** Connects, attaches and joins. */
async function member (server: Server, clientId: string, options: ConnectOptions = {}, filter = JOBS, qos: QoS = 1
): Promise<TestLink> {
  const session = await server.session(clientId, options)
  const link = server.attach(session)
  await share(server, session, filter, qos)
  return link
}

async function loseGroup ({ store }: Server): Promise<void> {
  const changes = [{ table: 'sessions', key: JOBS, value: null, after: 0 }] as const
  await store.append({ messages: [], trim: [], changes })
}

const clean = { clean: true }

/** What all of them got, in numbers. */
function all (...links: TestLink[]): string[] {
  return links.flatMap(({ got }) => got).sort((a, b) => Number(a) - Number(b))
}

function ackAll (...links: TestLink[]): void { for (const link of links) link.ack(...link.ids) }

export function sharedSuite (name: string, factory: WorldFactory): void {
  for (const isClean of [true, false]) {
    const who = `${name}: ${isClean ? 'clean' : 'kept'} members: `

    t.test(`${who}[G2] each message goes to one of them, and all of them take turns`, async (t) => {
      const server = await Server.start(t, factory(t))
      const links = [await member(server, 'a', { clean: isClean }), await member(server, 'b', { clean: isClean })]
      await server.publishMany('jobs/1', 0, 10)
      await server.quiet()
      t.same(all(...links), numbers(0, 10))
      t.same(links.map(({ got }) => got.length), [5, 5])
      t.ok(links.every(({ dups }) => dups.every((dup) => !dup)))
      for (const { got } of links) t.same(got, [...got].sort(), '[G3] in the order of the log')
      ackAll(...links)
      await server.flushed()
      t.equal(server.stored, 0, 'nothing is left when all is acknowledged')
    })

    t.test(`${who}[G2] [G4] what one had and did not acknowledge goes to another at once, with DUP`, async (t) => {
      const server = await Server.start(t, factory(t))
      const [a, b] = [await member(server, 'a', { clean: isClean }), await member(server, 'b', { clean: isClean })]
      await server.publishMany('jobs/1', 0, 6)
      await server.quiet()
      a.ack(a.ids[0])
      a.detach()
      await server.quiet()
      t.same(a.got, ['0', '2', '4'])
      t.same(b.got, ['1', '3', '5', '2', '4'])
      t.same(b.dups, [false, false, false, true, true])
      ackAll(b)
      await server.flushed()
      t.equal(server.stored, 0)
    })

    t.test(`${who}the group goes on where one unsubscribes, which completes what it has`, async (t) => {
      const server = await Server.start(t, factory(t))
      const [a, b] = [await member(server, 'a', { clean: isClean }), await member(server, 'b', { clean: isClean })]
      await server.publishMany('jobs/1', 0, 4)
      await server.quiet()
      await server.broker.unsubscribe(a.session!, JOBS)
      await server.publishMany('jobs/1', 4, 6)
      await server.quiet()
      t.same(a.got, ['0', '2'])
      t.same(b.got, ['1', '3', '4', '5'])
      ackAll(a, b)
      await server.flushed()
      t.equal(server.stored, 0)
      await server.broker.unsubscribe(b.session!, JOBS)
      t.equal(server.broker.session(JOBS as never), undefined, 'it ends with its last member')
      await server.publish('jobs/1', 'nobody')
      t.equal(server.stored, 0)
    })
  }

  t.test(`${name}: [G2] all kept members are away: it waits, over a stop, and goes to who comes first`, async (t) => {
    const server = await Server.start(t, factory(t))
    ;(await member(server, 'a')).detach()
    ;(await member(server, 'b')).detach()
    await server.publishMany('jobs/1', 0, 5)
    const next = await server.stopped(t, 1_000)
    await next.publishMany('jobs/1', 5, 8)
    const b = await next.back('b')
    await next.quiet()
    t.same(b.got, numbers(0, 8))
    ackAll(b)
    await next.flushed()
    t.equal(next.stored, 0)
  })

  t.test(`${name}: [G1] [G2] [G4] after a crash the group has its place: nothing is lost`, async (t) => {
    const server = await Server.start(t, factory(t))
    const [a, b] = [await member(server, 'a'), await member(server, 'b')]
    await server.publishMany('jobs/1', 0, 4)
    await server.quiet()
    ackAll(a)
    await server.flushed()
    await server.publishMany('jobs/1', 4, 6)
    const next = await server.crashed(t)
    const c = await next.back('a')
    await next.quiet()
    t.same(all(c), ['1', '3', '4', '5'], 'all but what was acknowledged')
    t.ok(c.dups.every((dup) => dup), 'it may have been sent before')
    t.ok(b.got.includes('1'))
  })

  t.test(`${name}: a group of clean members alone does not outlive a crash`, async (t) => {
    const server = await Server.start(t, factory(t))
    await member(server, 'a', clean)
    await server.publish('jobs/1', '0')
    const next = await server.crashed(t)
    t.same([...next.broker.sessions()], [])
    await next.flushed()
    t.equal(next.stored, 0)
  })

  t.test(`${name}: [G8] a member that acknowledges nothing holds up nobody, and is cut`, async (t) => {
    const server = await Server.start(t, factory(t), { inflightMessagesMax: 2, ackTimeoutMs: 10_000 })
    const slow = await member(server, 'slow')
    const quick = await member(server, 'quick')
    const more = server.publishMany('jobs/1', 0, 50)
    await server.drain(quick, 48)
    await more
    t.equal(slow.got.length, 2)
    await server.pass(20_000)
    t.equal(slow.closed, 'stalled')
    t.same(all(quick), numbers(0, 50), 'the other one gets what it had')
    t.same(quick.dups.slice(48), [true, true])
  })

  t.test(`${name}: [G8] one that takes nothing is passed over`, async (t) => {
    const server = await Server.start(t, factory(t))
    const [a, b] = [await member(server, 'a'), await member(server, 'b')]
    a.writable = false
    await server.publishMany('jobs/1', 0, 10)
    await server.quiet()
    t.same(b.got, numbers(0, 10))
    b.writable = false
    await server.publishMany('jobs/1', 10, 20)
    await server.quiet()
    t.equal(b.got.length, 10)
    a.writable = true
    a.attachment!.drained()
    await server.quiet()
    t.same(a.got, numbers(10, 20))
  })

  t.test(`${name}: two groups and a plain subscription each get all, overlapping ones of a member too`, async (t) => {
    const server = await Server.start(t, factory(t))
    const [a, b] = [await member(server, 'a'), await member(server, 'b', {}, '$share/others/jobs/#')]
    const { link: plain } = await server.follower('plain', { 'jobs/1': 1 })
    const both = await member(server, 'both')
    await server.broker.subscribe(both.session!, 'jobs/#', 1)
    await server.publishMany('jobs/1', 0, 4)
    await server.quiet()
    t.same(b.got, numbers(0, 4))
    t.same(plain.got, numbers(0, 4))
    t.same(a.got.length, 2)
    t.same(both.got.length, 6, 'its own, and its part')
  })

  t.test(`${name}: members at QoS 0 and a message at QoS 0: to one, and nothing waits for a proof`, async (t) => {
    const server = await Server.start(t, factory(t))
    const [a, b] = [await member(server, 'a', clean, JOBS, 0), await member(server, 'b', clean, JOBS, 1)]
    await server.publishMany('jobs/1', 0, 4)
    await server.quiet()
    t.same(all(a, b), numbers(0, 4))
    t.same(a.ids, [0, 0])
    ackAll(b)
    await server.flushed()
    t.equal(server.stored, 0)
    await server.publishMany('jobs/1', 4, 8, 0)
    await server.quiet()
    t.same(all(a, b), numbers(0, 8))
  })

  t.test(`${name}: QoS 1 is the most that is granted, and retained messages are not sent`, async (t) => {
    const server = await Server.start(t, factory(t))
    await server.publish('jobs/1', 'old', 1, true)
    const session = await server.session('a')
    const a = server.attach(session)
    t.equal(await share(server, session, JOBS, 2), 1)
    await server.publish('jobs/1', '0', 2)
    await server.quiet()
    t.same(a.got, ['0'])
    t.same(a.deliveries.map(({ qos }) => qos), [1])
  })

  t.test(`${name}: [G5] [G6] what waits for a group is bounded, and a member is told what is lost`, async (t) => {
    const server = await Server.start(t, factory(t), { backlogMessagesMax: 5 })
    ;(await member(server, 'a')).detach()
    await server.publishMany('jobs/1', 0, 8)
    await server.flushed()
    const a = await server.back('a')
    await server.quiet()
    t.same(a.got, numbers(3, 8))
    t.same(a.gaps, [[3, 'backlog-messages']])
  })

  t.test(`${name}: [G5] the group ends when the last member expires, and no crash brings it back`, async (t) => {
    const server = await Server.start(t, factory(t))
    ;(await member(server, 'a', { expiryMs: 60_000 })).detach()
    await server.publish('jobs/1', '0')
    await server.pass(120_000)
    t.same([...server.broker.sessions()], [])
    const next = await server.crashed(t)
    t.same([...next.broker.sessions()], [])
    await next.flushed()
    t.equal(next.stored, 0)
  })

  t.test(`${name}: [G1] a disk that refuses: nobody is a member, and no group is left`, async (t) => {
    const server = await Server.start(t, factory(t))
    const session = await server.session('a')
    server.attach(session)
    const mend = server.store.fail()
    await t.rejects(share(server, session), { code: 'STORE_UNAVAILABLE' })
    mend()
    t.equal(server.broker.session(JOBS as never), undefined)
    t.equal(await share(server, session), 1)
    const next = await server.crashed(t)
    t.match(next.broker.session(JOBS as never), { filters: [{ filter: 'jobs/+', qos: 1 }] })
  })

  t.test(`${name}: [G2] a group whose session was lost is made again, as soon as there is room`, async (t) => {
    const server = await Server.start(t, factory(t))
    await member(server, 'a')
    await loseGroup(server)
    Object.assign(server.limits, { sessionsMax: 1 })
    const full = await server.crashed(t)
    t.equal(full.broker.session(JOBS as never), undefined)
    ;(await full.back('a')).detach()
    await full.quiet()
    t.equal(full.broker.session(JOBS as never), undefined, 'there is still no room')
    Object.assign(full.limits, { sessionsMax: 2 })
    const a = await full.back('a')
    await full.quiet()
    t.ok(full.broker.session(JOBS as never)?.attached)
    await full.publish('jobs/1', '0')
    await full.quiet()
    t.same(a.got, ['0'])
    await loseGroup(full)
    const roomy = await full.crashed(t)
    t.notOk(roomy.broker.session(JOBS as never)?.attached, 'at the start')
    await roomy.publish('jobs/1', '1')
    const again = await roomy.back('a')
    await roomy.quiet()
    t.same(again.got, ['1'])
  })

  t.test(`${name}: [G7] nobody can be a group, end one, or share where that was not asked for`, async (t) => {
    const server = await Server.start(t, factory(t))
    const a = await member(server, 'a')
    await t.rejects(server.session(JOBS), { code: 'CLIENT_ID_INVALID' })
    await t.rejects(server.session('b', { principal: '$share' }), { code: 'CLIENT_ID_INVALID' })
    t.equal(await server.broker.end(JOBS as never), false)
    t.equal(server.broker.disconnect({ clientId: JOBS as never }), 0)
    await t.rejects(server.broker.subscribe(a.session!, JOBS, 1), { code: 'FILTER_INVALID' })
    await t.rejects(server.publish(JOBS.replace('+', '1'), 'x'), { code: 'TOPIC_INVALID' })
    await server.publish('jobs/1', '0')
    await server.quiet()
    t.same(a.got, ['0'])
  })

  t.test(`${name}: [G5] what ends each clean member that gets it is set aside; what is behind it passes`, async (t) => {
    const server = await Server.start(t, factory(t), { redeliveriesMax: 3 })
    ;(await member(server, 'kept')).detach()
    await server.publishMany('jobs/1', 0, 3)
    for (let i = 0; i < 3; i++) {
      const link = await member(server, `clean-${i % 2}`, clean)
      await server.quiet()
      t.same(link.got, numbers(0, 3))
      link.detach()
      await server.quiet()
    }
    const last = await member(server, 'last', clean)
    await server.quiet()
    t.same(last.got, ['1', '2'])
    t.same(last.gaps, [[1, 'set-aside']])
    t.equal(server.broker.session(JOBS as never)!.setAsideMessages, 1)
  })

  t.test(`${name}: [G5] what was set aside while it waited for room goes to nobody`, async (t) => {
    const server = await Server.start(t, factory(t), { redeliveriesMax: 2 })
    const busy = await member(server, 'busy')
    busy.writable = false
    await server.publishMany('jobs/1', 0, 2)
    for (let i = 0; i < 2; i++) {
      const link = await member(server, `clean-${i}`, clean)
      await server.quiet()
      t.same(link.got, numbers(0, 2))
      link.detach()
      await server.quiet()
    }
    t.equal(server.broker.session(JOBS as never)!.setAsideMessages, 1)
    busy.writable = true
    busy.attachment!.drained()
    await server.quiet()
    t.same(busy.got, ['1'])
  })

  t.test(`${name}: [G2] a log that can't be read ends the members' connections; nothing is lost`, async (t) => {
    const server = await Server.start(t, factory(t))
    ;(await member(server, 'a')).detach()
    await server.publishMany('jobs/1', 0, 3)
    const next = await server.stopped(t)
    const { read } = next.store
    next.store.read = async () => { throw new Error('the disk was told to fail') }
    const refused = await next.back('a')
    await next.quiet()
    t.equal(refused.closed, 'store-unavailable')
    t.same(refused.got, [])
    next.store.read = read
    const link = await next.back('a')
    await next.quiet()
    t.same(link.got, numbers(0, 3))
  })

  t.test(`${name}: [G4] a message that one had may be acknowledged by another alone`, async (t) => {
    const server = await Server.start(t, factory(t))
    const [a, b] = [await member(server, 'a'), await member(server, 'b')]
    await server.publish('jobs/1', '0')
    await server.quiet()
    const late = a.attachment!
    a.detach()
    late.acknowledge(a.deliveries[0].packetId) // too late: it is the other one's
    await server.quiet()
    t.same([b.got, b.dups], [['0'], [true]])
    t.equal(server.broker.session(JOBS as never)!.inflightMessages, 1)
    ackAll(b)
    t.equal(server.broker.session(JOBS as never)!.inflightMessages, 0)
  })

  t.test(`${name}: a message counts once as delivered and as acknowledged`, async (t) => {
    const server = await Server.start(t, factory(t))
    const a = await member(server, 'a')
    await server.publishMany('jobs/1', 0, 3)
    await server.quiet()
    ackAll(a)
    t.match(server.broker.stats(), { delivered: 3, acknowledged: 3 })
  })

  t.test(`${name}: an unsubscribe behind a subscribe, in one go, leaves nothing`, async (t) => {
    const server = await Server.start(t, factory(t), {}, undefined)
    const session = await server.session('a', { expiryMs: DAY_MS })
    server.attach(session)
    const joined = share(server, session)
    await Promise.all([joined, server.broker.unsubscribe(session, JOBS)].map(async (one) => await one.catch(() => {})))
    await server.quiet()
    t.equal(server.broker.session(JOBS as never), undefined)
    t.same(server.broker.session('a' as never)!.filters, [])
    const next = await server.crashed(t)
    t.equal(next.broker.session(JOBS as never), undefined)
  })
}
