/** What a session promises, third part: the bounds on what waits for it, and that it is told what it lost. */
import t from 'tap'
import type { Test } from 'tap'
import type { Heap, Limits } from '../../broker/index.ts'
import { numbers, Server, type World, type WorldFactory } from './session-words.ts'

export function boundsSuite (name: string, factory: WorldFactory): void {
  const check = (sentence: string, body: (t: Test, world: World) => Promise<unknown>): unknown =>
    t.test(`${name}: ${sentence}`, async t => { await body(t, factory(t)) })

  interface Case { limits: Partial<Limits>, reason: string, lost: number, betweenMs?: number }
  const cases: Record<string, Case> = {
    messages: { limits: { backlogMessagesMax: 30 }, reason: 'backlog-messages', lost: 70 },
    bytes: { limits: { backlogBytesMax: 30 * 12 }, reason: 'backlog-bytes', lost: 70 },
    age: { limits: { backlogAgeMsMax: 60_000 }, reason: 'backlog-age', lost: 50, betweenMs: 100_000 }
  }
  for (const [bound, { limits, reason, lost, betweenMs = 0 }] of Object.entries(cases)) {
    check(`[G5] [G6] a backlog over its bound of ${bound} loses the oldest, and the session is told how many`,
      async (t, world) => {
        const server = await Server.start(t, world, limits)
        const told: unknown[] = []
        server.broker.events.on('gap', (gap) => { told.push(gap) })
        await server.away('a', { 't/#': 1, 't/+': 1 })
        await server.away('b', { other: 1 })
        const payload = (i: number): string => String(i).padStart(9, '0')
        for (let i = 0; i < 100; i++) {
          if (i === 50) server.clock.advance(betweenMs)
          await server.publish(`t/${i % 3}`, payload(i))
        }
        await server.flushed()
        t.same(told, [{ clientId: 'a', count: lost, reason }])
        t.equal(server.stored, 100 - lost, 'what is lost is not kept')
        t.equal(server.broker.stats().gapMessages, lost)
        const next = await server.crashed(t)
        const link = await next.back('a')
        await next.drain(link, 100 - lost)
        t.same(link.gaps, [[lost, reason]], 'after a restart, too')
        t.same(link.got, Array.from({ length: 100 - lost }, (_, i) => payload(i + lost)))
        await next.flushed()
        link.detach()
        t.same((await next.back('a')).gaps, [], 'once')
      })
  }

  check('[G5] [G6] what is in flight is not taken back by a bound', async (t, world) => {
    const server = await Server.start(t, world, { inflightMessagesMax: 5, backlogMessagesMax: 10 })
    const { link } = await server.follower('a', { t: 1 })
    await server.publishMany('t', 0, 5)
    link.detach()
    await server.publishMany('t', 5, 40)
    await server.flushed()
    const again = await server.back('a')
    await server.drain(again, 15)
    t.same(again.got, [...numbers(0, 5), ...numbers(30, 40)])
    t.same(again.gaps, [[25, 'backlog-messages']])
  })

  check('[G5] a session that is attached and does not acknowledge is told at once', async (t, world) => {
    const server = await Server.start(t, world, { inflightMessagesMax: 2, backlogMessagesMax: 10 })
    const { link } = await server.follower('a', { t: 1 })
    await server.publishMany('t', 0, 40)
    await server.flushed()
    t.same(link.gaps, [[28, 'backlog-messages']])
    await server.drain(link, 12)
    t.same(link.got, [...numbers(0, 2), ...numbers(30, 40)])
  })

  check('[G3] [G5] a bound that falls into a read: what was told as lost does not come', async (t, world) => {
    const server = await Server.start(t, world, { cacheBytesMax: 0, backlogMessagesMax: 10, inflightMessagesMax: 4 })
    await server.away('a', { t: 1 })
    await server.publishMany('t', 0, 10)
    const letGo = server.store.holdReads()
    const link = await server.back('a')
    await server.publishMany('t', 10, 30)
    await server.flushed()
    letGo()
    await server.drain(link, 10)
    const lost = link.gaps.reduce((sum, [count]) => sum + count, 0)
    t.equal(lost, 20)
    t.same(link.got, numbers(20, 30))
  })

  for (const [bound, limits] of Object.entries({
    messages: { cleanQueueMessagesMax: 10 }, bytes: { cleanQueueBytesMax: 10 * 3 }
  })) {
    check(`[G5] [G6] a clean session whose queue is over its bound of ${bound} is told, message by message`,
      async (t, world) => {
        const server = await Server.start(t, world, { inflightMessagesMax: 5, ...limits })
        const { link } = await server.follower('a', { t: 1 }, { clean: true })
        await server.publishMany('t', 10, 50)
        await server.quiet()
        t.equal(link.gaps.reduce((sum, [count]) => sum + count, 0), 25)
        t.ok(link.gaps.every(([, reason]) => reason === 'queue-full'))
        await server.drain(link, 15)
        t.same(link.got, numbers(10, 25))
        await server.publish('t', 'next')
        t.equal(link.got.at(-1), 'next')
        t.equal(server.stored, 0)
      })
  }

  check('a clean session ends with its connection: nothing is left of it', async (t, world) => {
    const server = await Server.start(t, world)
    const { link } = await server.follower('a', { t: 1 }, { clean: true })
    link.detach()
    t.same([...server.broker.sessions()], [])
    t.equal(server.broker.stats().filters, 0)
    t.equal((await server.connect('a')).present, false)
  })

  check('[MQTT-3.10.4-2] what waits in the queue of a clean session goes with its filter', async (t, world) => {
    const server = await Server.start(t, world, { inflightMessagesMax: 2 })
    const { session, link } = await server.follower('a', { t: 1, u: 1 }, { clean: true })
    for (let i = 0; i < 8; i++) await server.publish(i % 2 === 0 ? 't' : 'u', String(i))
    await server.broker.unsubscribe(session, 't')
    await server.drain(link, 5)
    t.same(link.got, ['0', '1', '3', '5', '7'])
  })

  check('[G8] a connection that acknowledges nothing for ackTimeoutMs is cut, once, and its session goes on',
    async (t, world) => {
      const server = await Server.start(t, world, { ackTimeoutMs: 10_000 })
      const { link } = await server.follower('a', { t: 1 })
      await server.publish('t', 'x')
      await server.pass(9_000)
      t.equal(link.closed, undefined)
      await server.pass(2_000)
      t.equal(link.closed, 'stalled')
      const again = await server.back('a')
      t.same([again.got, again.dups], [['x'], [true]])
      await server.pass(1_000)
      t.equal(again.closed, undefined, 'its time begins with the new connection')
    })

  check('[G6] a log that is full gives no receipt, and takes messages again when there is room', async (t, world) => {
    const server = await Server.start(t, world, { logBytesMax: 1_000 })
    await server.away('a', { t: 1 })
    for (let i = 0; i < 9; i++) await server.publish('t', Buffer.alloc(99))
    await t.rejects(server.publish('t', Buffer.alloc(200)), { code: 'LOG_FULL', message: /logBytesMax = 1000/ })
    await server.publish('u', Buffer.alloc(200))
    const link = await server.back('a')
    await server.drain(link, 9)
    await server.flushed()
    await server.publish('t', Buffer.alloc(200))
  })

  check('[G1] [G6] a full heap gives no receipt and takes in nothing new, delivers, and goes on when there is room',
    async (t, world) => {
      const heap = createHeap(1_000_000)
      const server = await Server.start(t, world, {}, undefined, { heap })
      const said: string[] = []
      server.broker.events.on('heap-full', () => { said.push('full') })
      server.broker.events.on('heap-free', () => { said.push('free') })
      await server.away('a', { 't/#': 1 })
      await server.publish('t/0', '0', 1, true)
      await server.publish('t/1', '1')
      const clean = await server.follower('clean', { u: 1 }, { clean: true })
      const known = await server.session('known')
      heap.left(800_000)
      await server.pass(1_000)
      t.same(said, ['full'], 'said once')
      t.equal(server.broker.stats().heap.isFull, true)

      const full = { code: 'MEMORY_FULL', retriable: true, message: /heapPercentMax = 75/ }
      await t.rejects(server.publish('t/2', '2'), full, 'no receipt for what would be stored')
      await t.rejects(server.publish('elsewhere', 'x', 1, true), full, 'nor for what would be retained on a new topic')
      await t.rejects(server.connect('new'), full, 'no new session')
      await t.rejects(server.broker.subscribe(known, 'v', 1), full, 'no new filter')
      t.equal(server.broker.stats().heap.refused, 4, 'all are counted')
      await server.publish('u', 'passes', 1)
      await server.publish('t/0', '', 0, true)
      t.same(clean.link.got, ['passes'], 'what is not stored goes on')

      const link = await server.back('a')
      await server.drain(link, 2)
      t.same(link.got, ['0', '1'], 'what is stored is delivered, to a session that was there')
      heap.left(700_000)
      await server.pass(1_000)
      t.equal(server.broker.stats().heap.isFull, true, 'a little room is none')
      heap.left(600_000)
      await server.pass(1_000)
      t.same(said, ['full', 'free'])
      await server.publish('t/3', '3')
      await server.session('new')
      await server.drain(link, 3)
      t.same(link.got, ['0', '1', '3'], 'and what got no receipt was not kept')
    })

  check('[G6] a log that is too much for the heap is said to be, before the heap is at its end', async (t, world) => {
    const server = await Server.start(t, world)
    await server.away('a', { '#': 1 })
    for (let i = 0; i < 100; i++) await server.publish(`t/${i}`, '')
    world.crash()
    const heap = createHeap(10_000)
    const next = new Server(world, {}, undefined, { heap })
    heap.left(1_000_000)
    await t.rejects(next.broker.open(), { code: 'MEMORY_FULL', message: /max-old-space-size/ })
    await next.store.close()
    t.equal((await server.crashed(t)).stored, 100, 'and nothing was lost')
  })

  check('[G5] a filter that is lowered to QoS 0 tells how many waited for it alone; what is out, and what another ' +
    'filter wants, still comes', async (t, world) => {
    const server = await Server.start(t, world, { inflightMessagesMax: 5 })
    await server.away('a', { 't/+': 1, 't/1': 2 })
    await server.publishMany('t/0', 0, 20)
    await server.publishMany('t/1', 20, 30)
    const link = await server.back('a')
    await server.quiet()
    t.same(link.got, numbers(0, 5), 'the window is full')
    t.equal(await server.broker.subscribe(link.session!, 't/+', 0), 0)
    t.same(link.gaps, [[15, 'qos-lowered']])
    await server.broker.subscribe(link.session!, 't/+', 0)
    await server.drain(link, 15)
    t.same(link.got, [...numbers(0, 5), ...numbers(20, 30)])
    t.equal(link.gaps.length, 1, 'once')
    await server.publish('t/0', 'at most once')
    await server.quiet()
    t.same(link.got.slice(15), ['at most once'])
    await server.flushed()
    t.equal(server.stored, 0, 'nothing is kept for nobody')
  })

  check('a filter that is lowered while nothing waits loses nothing, and tells nothing', async (t, world) => {
    const server = await Server.start(t, world)
    const { session, link } = await server.follower('a', { t: 1 })
    await server.publishMany('t', 0, 10)
    await server.broker.subscribe(session, 't', 0)
    link.ack(...link.ids)
    await server.publish('t', 'live')
    await server.quiet()
    t.same([link.got, link.gaps], [[...numbers(0, 10), 'live'], []])
  })
}

/** In which as much is left after a collection as the test says. */
function createHeap (bytesMax: number): Heap & { left (bytes: number): void } {
  let used = 0
  let listener = (): void => {}
  return {
    bytesMax,
    used: () => used,
    onCollected (one) {
      listener = one
      return () => { listener = () => {} }
    },
    collect () {},
    left (bytes) {
      used = bytes
      listener()
    }
  }
}
