/** Messages that last so long: what becomes of them where they wait. */
import t from 'tap'
import type { Test } from 'tap'
import type { Extension } from '../../broker/model/message.ts'
import { numbers, Server, type World, type WorldFactory } from './session-words.ts'

const MINUTE_MS = 60_000
const TOPIC = 'a'

export function expirySuite (name: string, factory: WorldFactory): void {
  const check = (sentence: string, body: (t: Test, world: World) => Promise<unknown>): unknown =>
    t.test(`${name}: expiry: ${sentence}`, async t => { await body(t, factory(t)) })

  check('[G9] what waits is not delivered from its time on, is no gap, and leaves the log', async (t, world) => {
    const server = await Server.start(t, world)
    await server.away('c', { [TOPIC]: 1 })
    await server.publishWith(TOPIC, 'short', { expiryMs: MINUTE_MS })
    await server.publishWith(TOPIC, 'long', { expiryMs: 2 * MINUTE_MS })
    await server.publish(TOPIC, 'for ever')
    t.equal(server.broker.session('c' as never)!.backlogMessages, 3)
    await server.pass(MINUTE_MS)
    t.equal(server.broker.session('c' as never)!.backlogMessages, 2)
    t.equal(server.stored, 2, 'nobody is being sent it: its place is free')
    t.equal(server.broker.stats().expired, 1)
    const link = await server.back('c')
    await server.quiet()
    t.same([link.got, link.gaps], [['long', 'for ever'], []])
    t.equal(server.broker.stats().gapMessages, 0)
  })

  check('[G9] not even between its time and the next sweep, and not a moment before', async (t, world) => {
    const server = await Server.start(t, world, { sweepMs: 10_000 })
    await server.away('c', { [TOPIC]: 1 })
    await server.away('d', { [TOPIC]: 2 })
    await server.publishWith(TOPIC, 'x', { expiryMs: 1_000, qos: 2 })
    await server.publishWith(TOPIC, 'y', { expiryMs: 1_001, qos: 2 })
    server.clock.advance(1_000)
    for (const id of ['c', 'd']) {
      const link = await server.back(id)
      await server.quiet()
      t.same([link.got, link.gaps], [['y'], []])
    }
    t.equal(server.stored, 2, 'the sweep has yet to come')
  })

  check('[G9] what comes is delivered at once; what is out may come again after its time', async (t, world) => {
    const server = await Server.start(t, world)
    const { link } = await server.follower('c', { [TOPIC]: 1 })
    await server.publishWith(TOPIC, 'x', { expiryMs: 1_000 })
    t.same(link.got, ['x'])
    await server.pass(2_000)
    link.detach()
    const again = await server.back('c')
    await server.quiet()
    t.ok(again.got.length <= 1 && again.got.every((one) => one === 'x'))
    t.same(again.gaps, [])
    again.ack(...again.ids)
    await server.flushed()
    t.equal(server.stored, 0)
  })

  check('[G9] what waits for a clean session behind a full window, too', async (t, world) => {
    const server = await Server.start(t, world, { inflightMessagesMax: 1 })
    const { link } = await server.follower('c', { [TOPIC]: 1 }, { clean: true })
    await server.publishWith(TOPIC, '0', { expiryMs: 1_000 })
    await server.publishWith(TOPIC, '1', { expiryMs: 1_000 })
    await server.publish(TOPIC, '2')
    t.same(link.got, ['0'])
    await server.pass(1_000)
    link.ack(...link.ids)
    await server.quiet()
    t.same([link.got, link.gaps, server.broker.stats().expired], [['0', '2'], [], 1])
  })

  check('[G9] a retained message, for who subscribes later, and it is there no more', async (t, world) => {
    const server = await Server.start(t, world, { sweepMs: 10_000 })
    await server.publishWith('r/1', 'short', { expiryMs: 5_000, retain: true })
    await server.publishWith('r/2', 'replaced', { expiryMs: 5_000, retain: true })
    await server.publish('r/2', 'for ever', 1, true)
    server.clock.advance(5_000)
    const { link } = await server.follower('c', { 'r/#': 1 })
    await server.quiet()
    t.same(link.got, ['for ever'])
    await server.pass(5_000)
    t.equal(server.broker.stats().retained, 1)
    const later = await server.stopped(t)
    t.equal(later.broker.stats().retained, 1)
    const all: string[] = []
    for await (const { payload } of later.broker.retained('#')) all.push(payload.toString())
    t.same(all, ['for ever'])
  })

  check('[G9] over a stop and a kill, in time that passes while nobody runs', async (t, world) => {
    let server = await Server.start(t, world)
    await server.away('c', { [TOPIC]: 1 })
    await server.publishWith(TOPIC, '0', { expiryMs: MINUTE_MS })
    await server.publishWith(TOPIC, '1', { expiryMs: 3 * MINUTE_MS })
    await server.publishWith('r', 'retained', { expiryMs: MINUTE_MS, retain: true })
    await server.flushed()
    server = await server.stopped(t, MINUTE_MS)
    await server.flushed()
    t.same([server.stored, server.broker.stats().retained], [1, 0])
    server = await server.crashed(t, MINUTE_MS)
    await server.publish(TOPIC, '2')
    const link = await server.back('c')
    await server.quiet()
    t.same([link.got, link.gaps], [['1', '2'], []])
  })

  check('[G9] a rule says how long messages last whose publisher does not', async (t, world) => {
    const messageExpiry = [{ filter: 'a/long', expiryMs: MINUTE_MS }, { filter: 'a/#', expiryMs: 1_000 }]
    const server = await Server.start(t, world, {}, undefined, { messageExpiry })
    await server.away('c', { '#': 1 })
    await server.publish('a/long', 'first rule')
    await server.publish('a/b', 'second rule')
    await server.publishWith('a/b', 'its own', { expiryMs: MINUTE_MS })
    await server.publish('b', 'no rule')
    await server.pass(1_000)
    const link = await server.back('c')
    await server.quiet()
    t.same(link.got, ['first rule', 'its own', 'no rule'])
  })

  check('[G9] what expires among many keeps the order of the others, and all sums right', async (t, world) => {
    const server = await Server.start(t, world)
    await server.away('c', { 'x/+': 1, 'y/#': 1 })
    await server.away('many', Object.fromEntries(numbers(0, 20).map((n) => [`x/${n}`, 1])))
    const kept: string[] = []
    for (let n = 0; n < 200; n++) {
      const topic = `${n % 3 === 0 ? 'y' : 'x'}/${n % 20}`
      if (n % 2 === 0) await server.publishWith(topic, String(n), { expiryMs: 1_000 + (n * 7_919) % 1_000 })
      else kept.push(String(n))
      if (n % 2 === 1) await server.publish(topic, String(n))
    }
    await server.pass(2_000)
    t.same([server.stored, server.broker.stats().expired], [100, 100])
    t.equal(server.broker.session('c' as never)!.backlogMessages, 100)
    t.equal(server.broker.session('many' as never)!.backlogMessages, kept.filter((n) => Number(n) % 3 !== 0).length)
    const link = await server.back('c')
    await server.drain(link, 100)
    t.same(link.got, kept)
  })

  check('[G6] a backlog that is counted entry by entry is cut at its bound, and not before', async (t, world) => {
    const server = await Server.start(t, world, { backlogMessagesMax: 10 })
    const filters = Object.fromEntries(numbers(0, 20).map((n) => [`x/${n}`, 1 as const]))
    await server.away('c', filters)
    for (let n = 0; n < 12; n++) await server.publishWith(`x/${n}`, String(n), n < 6 ? { expiryMs: 100 } : {})
    await server.pass(1_000)
    for (let n = 12; n < 20; n++) await server.publish(`x/${n}`, String(n))
    await server.flushed()
    const link = await server.back('c')
    await server.quiet()
    t.equal(link.got.length, 10)
    t.same(link.got, numbers(10, 20))
  })

  check('what a publisher says beside the payload is kept and handed over, over a stop', async (t, world) => {
    const extension: Extension = {
      contentType: 'application/json', responseTopic: 'answers/1', correlationData: Buffer.from([0, 1]),
      userProperties: [['a', '1'], ['a', '2']], producer: { name: 'till', sequence: 7 }
    }
    let server = await Server.start(t, world)
    await server.away('c', { [TOPIC]: 1 })
    await server.publishWith(TOPIC, 'x', { extension, retain: true })
    server = await server.stopped(t)
    const link = await server.back('c')
    await server.broker.subscribe(link.session!, TOPIC, 1)
    await server.quiet()
    t.equal(link.deliveries.length, 2, 'from the log, and the retained one')
    for (const { message } of link.deliveries) t.same(message.extension, extension)
  })
}
