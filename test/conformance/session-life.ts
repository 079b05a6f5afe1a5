/** What a session promises, second part: subscriptions, what is stored for it and for how long, bounds, ends. */
import t from 'tap'
import type { Test } from 'tap'
import type { ClientId, Principal } from '../../broker/model/message.ts'
import { until } from '../helpers/wait.ts'
import { DAY_MS, numbers, Server, type World, type WorldFactory } from './session-words.ts'

export function lifeSuite (name: string, factory: WorldFactory): void {
  const check = (sentence: string, body: (t: Test, world: World) => Promise<unknown>): unknown =>
    t.test(`${name}: ${sentence}`, async t => { await body(t, factory(t)) })

  // --- sessions that nobody came to

  check('[G5] a session that was made for a connection that never came ends, where its maker wants that',
    async (t, world) => {
      const server = await Server.start(t, world)
      const ended: string[] = []
      server.broker.events.on('session-ended', ({ clientId, reason }) => { ended.push(`${clientId} ${reason}`) })
      const session = await server.session('a')
      await server.broker.subscribe(session, 't', 1)
      const second = await server.session('a')
      server.broker.release(session, { endsNew: true })
      t.same(ended, [], 'another connection has asked for it')
      server.broker.release(second, { endsNew: true })
      t.same(ended, ['a never-attached'])
      await server.away('b', { t: 1 })
      server.broker.release(await server.session('b'), { endsNew: true })
      t.same([...server.broker.sessions()].map(({ clientId }) => clientId), ['b'], 'one that had a connection stays')
      const next = await server.crashed(t)
      t.same([...next.broker.sessions()].map(({ clientId }) => clientId), ['b'], 'on the disk, too')
    })

  check('[G2] a session made before its client came outlives refused attempts and crashes', async (t, world) => {
    const server = await Server.start(t, world)
    const provision = {
      clientId: 'a' as ClientId, principal: 'me' as Principal, owner: undefined, expiryMs: DAY_MS,
      filters: [{ filter: 't', qos: 1 as const }]
    }
    t.equal(await server.broker.provision(provision), true)
    server.broker.release(await server.session('a'), { endsNew: true })
    await server.publish('t', 'one')
    const next = await server.crashed(t)
    t.equal(await next.broker.provision({ ...provision, filters: [] }), false, 'there is one')
    const link = await next.back('a')
    await until(() => link.got.length === 1, 'what waited')
    t.same(link.got, ['one'])
  })

  check('[G7] a session belongs to the first owner that is told, over a crash too', async (t, world) => {
    const server = await Server.start(t, world)
    const request = { clientId: 'a' as ClientId, principal: 'me' as Principal, clean: false, expiryMs: DAY_MS }
    const ask = async (where: Server, owner?: string): Promise<void> => {
      where.attach((await where.broker.connect({ ...request, owner })).session).detach()
    }
    await ask(server)
    await ask(server, 'ann')
    await t.rejects(ask(server, 'bob'), { code: 'SESSION_FOREIGN' })
    await t.rejects(ask(server), { code: 'SESSION_FOREIGN' })
    const next = await server.crashed(t)
    await t.rejects(ask(next, 'bob'), { code: 'SESSION_FOREIGN' })
    await ask(next, 'ann')
    t.equal(next.broker.session('a' as ClientId)!.owner, 'ann')
  })

  // --- subscriptions

  check('[MQTT-3.3.5-1] overlapping filters deliver a message once, at the highest QoS', async (t, world) => {
    const server = await Server.start(t, world)
    const { link } = await server.follower('a', { 't/#': 0, 't/+': 2, 't/1': 1, '#': 1 })
    await server.publish('t/1', 'live', 2)
    await server.quiet()
    link.detach()
    await server.publish('t/1', 'away', 2)
    const again = await server.back('a')
    await server.quiet()
    t.match(link.deliveries.map(({ qos }) => qos), [2])
    t.same(again.got, ['live', 'away'])
    t.match(again.deliveries.map(({ qos }) => qos), [2, 2])
  })

  check('a message is delivered at the lower of its QoS and that of the filter', async (t, world) => {
    const server = await Server.start(t, world)
    const { link } = await server.follower('a', { 0: 0, 1: 1, 2: 2 })
    for (const filter of ['0', '1', '2']) {
      for (const qos of [0, 1, 2] as const) await server.publish(filter, `${filter}${qos}`, qos)
    }
    await server.quiet()
    const byName = Object.fromEntries(link.deliveries.map(({ qos, message }) => [message.payload.toString(), qos]))
    t.same(byName, { '00': 0, '01': 0, '02': 0, 10: 0, 11: 1, 12: 1, 20: 0, 21: 1, 22: 2 })
  })

  check('[G2] a subscription counts from its place in the log: what came before is not for it', async (t, world) => {
    const server = await Server.start(t, world)
    await server.away('keeper', { '#': 1 })
    await server.publish('t', 'before')
    await server.away('a', { t: 1 })
    await server.publish('t', 'after')
    t.same((await drained(server, 'a', 1)).got, ['after'])
    await server.away('b', { t: 1 })
    const next = await server.crashed(t)
    await next.publish('t', 'after the crash')
    t.same((await drained(next, 'b', 1)).got, ['after the crash'], 'after a restart, too')
  })

  check('[G2] what is published behind SUBSCRIBE in the same turn is for it', async (t, world) => {
    const server = await Server.start(t, world)
    const session = await server.session('a')
    const link = server.attach(session)
    const before = server.publish('t', 'before')
    const subscribed = server.broker.subscribe(session, 't', 1)
    const after = server.publish('t', 'after')
    await Promise.all([before, subscribed, after])
    t.same(link.got, ['after'])
  })

  check('[MQTT-3.10.4-2] UNSUBSCRIBE: nothing of the filter comes, nor what waited for it alone', async (t, world) => {
    const server = await Server.start(t, world, { inflightMessagesMax: 2 })
    const { session, link } = await server.follower('a', { 't/#': 1, 't/1': 1 })
    for (let i = 0; i < 8; i++) await server.publish(`t/${i % 2}`, String(i))
    await server.broker.unsubscribe(session, 't/#')
    await server.publish('t/0', 'no more')
    await server.drain(link, 5)
    t.same(link.got, ['0', '1', '3', '5', '7'], 'what was out before stays out')
    await server.broker.unsubscribe(session, 't/1')
    await server.flushed()
    t.equal(server.stored, 0)
    const next = await server.crashed(t)
    t.same(next.broker.session(session.clientId)?.filters, [], 'durably')
  })

  check('[MQTT-3.8.4-3] subscribing again replaces the QoS, up and down, and interrupts nothing', async (t, world) => {
    const server = await Server.start(t, world, { inflightMessagesMax: 2 })
    const { session, link } = await server.follower('a', { t: 1 })
    await server.publishMany('t', 0, 6, 2)
    await server.broker.subscribe(session, 't', 2)
    await server.publish('t', '6', 2)
    await server.drain(link, 7)
    t.same(link.got, numbers(0, 7), 'what waited is not lost')
    t.equal(link.deliveries.at(-1)!.qos, 2)
    await server.broker.subscribe(session, 't', 0)
    await server.publish('t', '7', 2)
    t.equal(link.deliveries.at(-1)!.qos, 0)
    link.detach()
    await server.publish('t', 'nobody hears it', 1)
    await server.flushed()
    const next = await server.crashed(t)
    const again = await next.back('a')
    await next.publish('t', '8', 1)
    await next.quiet()
    t.same([again.got, again.deliveries.map(({ qos }) => qos)], [['8'], [0]], 'after a restart, too')
    await next.broker.subscribe(again.session!, 't', 1)
    again.detach()
    await next.publish('t', '9', 1)
    t.same((await drained(next, 'a', 1)).got, ['9'])
  })

  check('[MQTT-3.8.4-3] while a higher QoS is written down, messages go on at the lower', async (t, world) => {
    const server = await Server.start(t, world)
    const { session, link } = await server.follower('a', { t: 0 })
    const letGo = server.store.hold()
    const subscribed = server.broker.subscribe(session, 't', 1)
    await server.publish('t', 'QoS 0', 0)
    await new Promise((resolve) => setImmediate(resolve))
    t.same(link.got, ['QoS 0'])
    letGo()
    t.equal(await subscribed, 1)
  })

  // --- what is stored

  check('a message that nobody durable wants is not stored', async (t, world) => {
    const server = await Server.start(t, world)
    const clean = await server.follower('clean', { '#': 2 }, { clean: true })
    await server.follower('volatile', { '#': 0 })
    await server.away('other', { other: 1 })
    const before = server.store.batches.length
    await server.publish('t', '0', 1)
    await server.publish('t', '1', 2)
    t.equal(server.stored, 0)
    t.equal(server.store.batches.length, before, 'nor is anything else written')
    await server.quiet()
    t.same(clean.link.got, ['0', '1'])
  })

  check('[G8] what a message costs to write does not depend on the number of sessions', async (t, world) => {
    const server = await Server.start(t, world)
    const cost = async (): Promise<unknown> => {
      const before = server.store.batches.length
      await server.publish('t', Buffer.alloc(100))
      return server.store.batches.slice(before).map(({ messages, changes }) => [messages.length, changes.length])
    }
    await server.away('s', { '#': 1 })
    t.same(await cost(), [[1, 0]])
    await Promise.all(numbers(0, 10_000).map(async (id) => { await server.away(id, { [id === '7' ? '+' : 't']: 1 }) }))
    await server.flushed()
    t.same(await cost(), [[1, 0]])
    t.equal(server.stored, 2)
  })

  check('[G2] [G6] an entry stays while one session needs it, and goes when all have it', async (t, world) => {
    const server = await Server.start(t, world, { inflightMessagesMax: 3 })
    const { link } = await server.follower('a', { 't/#': 1 })
    await server.away('b', { 't/1': 1 })
    for (let i = 0; i < 10; i++) await server.publish(`t/${i % 2}`, String(i))
    await server.drain(link, 10)
    await server.flushed()
    t.equal(server.stored, 5, 'those for b')
    const next = await server.crashed(t)
    await drained(next, 'a', 0)
    const again = await drained(next, 'b', 5)
    t.same(again.got, ['1', '3', '5', '7', '9'])
    await next.flushed()
    t.equal(next.stored, 0)
  })

  check('[G6] acknowledging out of order leaves nothing behind either, on no topic', async (t, world) => {
    const server = await Server.start(t, world)
    const { link } = await server.follower('a', { '#': 1 })
    for (let i = 0; i < 20; i++) await server.publish(`t/${i}`, String(i))
    for (const id of [...link.ids].reverse()) {
      link.ack(id)
      await server.pass(server.limits.sweepMs)
    }
    await server.flushed()
    t.equal(server.stored, 0)
  })

  // --- ends

  check('[G5] [G6] a session expires when it was away for so long, and what was kept for it goes', async (t, world) => {
    const server = await Server.start(t, world)
    const ended: unknown[] = []
    server.broker.events.on('session-ended', (event) => { ended.push(event) })
    await server.away('a', { t: 1 }, { expiryMs: 60_000 })
    await server.publish('t', 'x')
    server.clock.advance(59_000)
    await server.quiet()
    t.same(ended, [])
    await server.pass(2_000)
    t.same(ended, [{ clientId: 'a', reason: 'expired' }])
    await server.flushed()
    t.equal(server.stored, 0)
    t.equal((await server.connect('a')).present, false)
  })

  check('[G2] [MQTT-4.1.0-2] a session that is attached does not expire, however long', async (t, world) => {
    const server = await Server.start(t, world)
    const { link } = await server.follower('a', { t: 1 }, { expiryMs: 1_000 })
    server.clock.advance(DAY_MS)
    await server.publish('t', 'x')
    t.same(link.got, ['x'])
    const next = await server.crashed(t)
    t.equal((await next.connect('a')).present, true, 'nor does the time count for which it was attached before a crash')
  })

  check('[G2] nor does a session that was taken over, when the server crashes later', async (t, world) => {
    const server = await Server.start(t, world)
    const { session, link } = await server.follower('a', { t: 1 }, { expiryMs: 60_000 })
    await server.connect('a', { expiryMs: 60_000 })
    link.detach()
    await server.flushed()
    server.attach(session)
    server.clock.advance(DAY_MS)
    await server.flushed()
    const next = await server.crashed(t)
    t.equal((await next.connect('a')).present, true)
  })

  check('the time for which the server is down counts, after a stop and after a crash', async (t, world) => {
    const first = await Server.start(t, world)
    await first.away('short', { t: 1 }, { expiryMs: 60_000 })
    await first.away('long', { t: 1 }, { expiryMs: DAY_MS })
    await first.follower('attached', { t: 1 }, { expiryMs: 60_000 })
    const second = await first.stopped(t, 50_000)
    t.equal((await second.connect('attached')).present, true)
    await second.follower('attached', { t: 1 }, { expiryMs: 60_000 })
    const third = await second.crashed(t, 70_000)
    t.equal((await third.connect('short')).present, false)
    t.equal((await third.connect('attached')).present, false)
    t.equal((await third.connect('long')).present, true)
  })

  check('[G5] a clean connect ends the session, and leaves nothing of it', async (t, world) => {
    const server = await Server.start(t, world)
    const { link } = await server.follower('a', { t: 1 })
    await server.publish('t', 'x')
    const clean = await server.follower('a', { u: 1 }, { clean: true })
    t.equal(link.closed, 'taken-over')
    t.equal(clean.session.subscriptions.size, 1)
    clean.link.detach()
    await server.flushed()
    t.equal(server.stored, 0)
    const next = await server.crashed(t)
    t.same([...next.broker.sessions()], [])
    t.equal((await next.connect('a')).present, false)
  })

  check('an administrator ends a session: its link is closed, its name is free', async (t, world) => {
    const server = await Server.start(t, world)
    const { session, link } = await server.follower('a', { t: 1 })
    t.equal(await server.broker.end(session.clientId), true)
    t.equal(link.closed, 'ended')
    t.equal(await server.broker.end(session.clientId), false)
    await server.publish('t', 'x')
    t.same(link.got, [])
    t.equal((await server.connect('a')).present, false)
  })

  check('[G5] of two connects at once, one clean, the later has a session, the other is told', async (t, world) => {
    const server = await Server.start(t, world)
    await server.away('a', { t: 1 })
    const both = await Promise.allSettled([server.connect('a'), server.connect('a', { clean: true })])
    const [kept, clean] = both.map((one) => one.status === 'fulfilled' ? one.value : undefined)
    t.equal(clean?.present, false)
    const link = server.attach(clean!.session)
    if (kept !== undefined) t.equal(server.attach(kept.session).closed, 'taken-over', 'there is nothing to follow')
    await server.broker.subscribe(clean!.session, 't', 1)
    await server.publish('t', 'x')
    t.same([link.got, link.closed], [['x'], undefined])
  })

  check('[G2] of two connects at once that make a session, both have the same', async (t, world) => {
    const server = await Server.start(t, world)
    const [first, second] = await Promise.all([server.connect('a'), server.connect('a')])
    t.equal(first.session, second.session)
    t.same([first.present, second.present], [false, true])
    t.equal(server.broker.stats().sessions, 1)
  })

  check('[G5] a connect that a stop refuses makes no session that is found later', async (t, world) => {
    const server = await Server.start(t, world)
    await server.away('a', { t: 1 })
    await server.broker.end('a' as ClientId)
    const letGo = server.store.hold()
    const refused = t.rejects(server.connect('a'), { code: 'CLOSED' })
    const stopped = server.stopped(t)
    letGo()
    await refused
    const next = await stopped
    t.equal(next.broker.stats().sessions, 0)
    t.equal((await next.connect('a')).present, false)
  })

  // --- who

  check('[G7] only who made a session may resume it, take it over or end it by a clean connect', async (t, world) => {
    const server = await Server.start(t, world)
    const { link } = await server.follower('a', { t: 1 }, { principal: 'alice' })
    for (const clean of [true, false]) {
      await t.rejects(server.connect('a', { principal: 'mallory', clean }), { code: 'SESSION_FOREIGN' })
    }
    await server.publish('t', 'x')
    t.same([link.got, link.closed], [['x'], undefined])
    const next = await server.crashed(t)
    await t.rejects(next.connect('a', { principal: 'mallory' }), { code: 'SESSION_FOREIGN' })
    t.equal((await next.connect('a', { principal: 'alice' })).present, true)
  })

  check('[G6] beyond sessionsMax no session is made; those that are there can come back', async (t, world) => {
    const server = await Server.start(t, world, { sessionsMax: 2 })
    await server.away('a', {})
    await server.away('b', {})
    await t.rejects(server.connect('c'), { code: 'SESSIONS_FULL', message: /sessionsMax = 2/ })
    await t.rejects(server.connect('c', { clean: true }), { code: 'SESSIONS_FULL' })
    t.equal((await server.connect('a')).present, true)
    await server.connect('b', { clean: true })
  })

  check('[G6] beyond filtersPerSessionMax no filter is added; one that is there can be replaced', async (t, world) => {
    const server = await Server.start(t, world, { filtersPerSessionMax: 2 })
    const { session } = await server.follower('a', { x: 1, y: 1 })
    await t.rejects(server.broker.subscribe(session, 'z', 1), { code: 'FILTERS_FULL' })
    t.equal(await server.broker.subscribe(session, 'x', 2), 2)
  })
}

async function drained (server: Server, clientId: string, count: number): Promise<ReturnType<Server['attach']>> {
  const link = await server.back(clientId)
  await server.drain(link, count)
  return link
}
