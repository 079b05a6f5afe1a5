/**
 * What a session promises, as a function of a factory of stores: delivery, in place of the outgoing-queue cases of
 * aedes-persistence. session-life.ts goes on with subscriptions, bounds, ends and what is kept.
 */
import t from 'tap'
import type { Test } from 'tap'
import type { PacketId } from '../../broker/model/message.ts'
import { chooseSeed, createRandom } from '../helpers/random.ts'
import { until } from '../helpers/wait.ts'
import { numbers, Server, type World, type WorldFactory } from './session-words.ts'

export function deliverySuite (name: string, factory: WorldFactory): void {
  const check = (sentence: string, body: (t: Test, world: World) => Promise<unknown>): unknown =>
    t.test(`${name}: ${sentence}`, async t => { await body(t, factory(t)) })

  check('[G2] [G3] what was appended while the session was away is delivered, in log order', async (t, world) => {
    const server = await Server.start(t, world)
    await server.away('a', { 't/#': 1 })
    for (let i = 0; i < 30; i++) await server.publish(`t/${i % 7}`, String(i), (i % 2 + 1) as 1 | 2)
    const link = await server.back('a')
    await server.quiet()
    t.same(link.got, numbers(0, 30))
    t.notOk(link.dups.includes(true), 'for the first time')
  })

  check('[G3] one entry reaches all who subscribed, each with an identifier of its own window', async (t, world) => {
    const server = await Server.start(t, world)
    const first = await server.follower('a', { t: 1 })
    await server.publish('t', 'for a alone')
    const second = await server.follower('b', { '+': 1 })
    await server.publish('t', 'for both')
    t.same(first.link.got, ['for a alone', 'for both'])
    t.same(second.link.got, ['for both'])
    t.same([first.link.ids, second.link.ids], [[1, 2], [1]])
    t.equal(server.stored, 2)
  })

  check('[G6] no more than the window is out; every acknowledgement lets one more go', async (t, world) => {
    const server = await Server.start(t, world, { inflightMessagesMax: 5 })
    const { link } = await server.follower('a', { t: 1 })
    await server.publishMany('t', 0, 12)
    t.same(link.got, numbers(0, 5))
    link.ack(link.ids[3])
    await server.quiet()
    t.same(link.got, numbers(0, 6), 'out of order, too')
    await server.drain(link, 12)
    t.same(link.got, numbers(0, 12))
  })

  check('[MQTT-2.3.1-2] an identifier that is out is never given again, not after 65,535 others', async (t, world) => {
    const server = await Server.start(t, world, { inflightMessagesMax: 64, cacheBytesMax: 1_000_000 })
    const { link } = await server.follower('a', { t: 1 })
    await server.publish('t', 'held')
    const held = link.ids[0]
    let acknowledged = 1
    const others = 66_000
    for (let sent = 0; sent < others; sent += 6_000) {
      await server.publishMany('t', sent, sent + 6_000)
      while (link.deliveries.length > acknowledged) {
        while (acknowledged < link.deliveries.length) link.ack(link.deliveries[acknowledged++].packetId)
        await server.quiet()
      }
    }
    t.equal(link.deliveries.length, others + 1)
    t.equal(link.ids.indexOf(held, 1), -1)
    t.ok(link.ids.lastIndexOf(held + 1) > 60_000, 'and they did begin again')
  })

  for (const [how, restart] of Object.entries({
    'a reconnect': async (server: Server) => server,
    'a stop': async (server: Server, t: Test) => await server.stopped(t),
    'a crash': async (server: Server, t: Test) => await server.crashed(t)
  })) {
    check(`[MQTT-4.4.0-1] [G4] after ${how}: same identifiers, DUP, then the backlog`, async (t, world) => {
      const first = await Server.start(t, world, { inflightMessagesMax: 6 })
      const { link } = await first.follower('a', { t: 1 })
      await first.publishMany('t', 0, 10)
      link.ack(link.ids[1], link.ids[3])
      await first.quiet()
      t.same(link.got, numbers(0, 8))
      await first.flushed()
      if (how === 'a reconnect') link.detach()
      const server = await restart(first, t)
      const { session, present } = await server.connect('a')
      t.equal(present, true, 'session present [G5]')
      const again = server.attach(session)
      await server.quiet()
      t.same(again.got.slice(0, 6), ['0', '2', '4', '5', '6', '7'])
      t.same(again.ids.slice(0, 6), [0, 2, 4, 5, 6, 7].map((i) => link.ids[i]))
      t.same(again.dups.slice(0, 6), Array(6).fill(true))
      await server.drain(again, 8)
      t.same(again.got.slice(6), ['8', '9'])
    })
  }

  check('[G4] after a crash, what may have come before carries DUP', async (t, world) => {
    const first = await Server.start(t, world, { inflightMessagesMax: 4 })
    const { link } = await first.follower('a', { t: 1 })
    await first.flushed()
    await first.publishMany('t', 0, 3)
    await first.drain(link, 3)
    const server = await first.crashed(t)
    const again = await server.back('a')
    await server.drain(again, 3)
    t.same(again.got, numbers(0, 3), 'the cursor was neither written nor noted')
    t.notOk(again.dups.includes(false))
    await server.publish('t', 'new')
    t.equal(again.dups.at(-1), false)
  })

  check('[MQTT-4.3.3-1] QoS 2: what is released stays released; it is not published again', async (t, world) => {
    let server = await Server.start(t, world)
    const { link } = await server.follower('a', { t: 2 })
    for (const payload of numbers(0, 3)) await server.publish('t', payload, 2)
    await server.quiet()
    await link.received(link.ids[1])
    t.same(link.released, [], 'PUBREL is for the transport to send')
    link.detach()
    const second = await server.back('a')
    await server.quiet()
    t.same([second.got, second.dups, second.released], [['0', '2'], [true, true], [link.ids[1]]], 'after a reconnect')
    server = await server.crashed(t)
    const third = await server.back('a')
    await server.quiet()
    t.same([third.got, third.dups, third.released], [['0', '2'], [true, true], [link.ids[1]]], 'after a crash')
    third.ack(link.ids[1])
    await third.received(link.ids[0])
    await server.flushed()
    server = await server.stopped(t)
    const fourth = await server.back('a')
    await server.quiet()
    t.same([fourth.got, fourth.released], [['2'], [link.ids[0]]], 'after a stop')
  })

  check('[MQTT-4.3.3] QoS 2: no PUBREL while it is not durable that PUBREC has come', async (t, world) => {
    const server = await Server.start(t, world)
    const { session, link } = await server.follower('a', { t: 2 })
    await server.publish('t', 'x', 2)
    await server.quiet()
    const letGo = server.store.hold()
    let isReceived = false
    const received = link.received(link.ids[0]).then(() => { isReceived = true })
    const again = server.attach(session)
    await new Promise((resolve) => setImmediate(resolve))
    t.equal(isReceived, false)
    t.same([again.got, again.dups, again.released], [['x'], [true], []], 'the client still has the identifier')
    letGo()
    await received
    const third = server.attach(session)
    await server.quiet()
    t.same([third.got, third.released], [[], link.ids], 'now it may forget it')
  })

  check('[MQTT-4.3.3] QoS 2: no PUBLISH, on no connection, before its identifier is written down', async (t, world) => {
    const server = await Server.start(t, world)
    const { session, link } = await server.follower('a', { t: 2 })
    const letAppend = server.store.hold()
    const published = server.publish('t', 'x', 2)
    await until(() => server.store.batches.at(-1)!.messages.length === 1, 'the message to be appended')
    letAppend()
    const letWrite = server.store.hold()
    await published
    await until(() => server.store.batches.at(-1)!.changes.length === 1, 'the cursor to be written')
    const again = server.attach(session)
    await new Promise((resolve) => setImmediate(resolve))
    t.same([link.got, again.got], [[], []])
    letWrite()
    await server.quiet()
    t.same([link.got, again.got], [[], ['x']])
  })

  check('[G3] the backlog comes before what is live, however much comes meanwhile', async (t, world) => {
    const server = await Server.start(t, world, { inflightMessagesMax: 8 })
    await server.away('a', { t: 1 })
    await server.publishMany('t', 0, 100)
    const link = await server.back('a')
    for (let i = 100; i < 200; i++) {
      await server.publish('t', String(i))
      const open = link.deliveries.slice(-8).map(({ packetId }) => packetId)
      link.ack(...open.slice(0, 3))
    }
    await server.drain(link, 200)
    t.same(link.got, numbers(0, 200))
  })

  check('[G3] [G8] switching to live, and back, again and again: no gap, no overlap', async (t, world) => {
    const random = createRandom(chooseSeed())
    t.comment(`seed ${random.seed}`)
    const server = await Server.start(t, world, { inflightMessagesMax: 10, cacheBytesMax: 2_000 })
    const { session, link } = await server.follower('a', { 't/#': 2, '+/1': 1 })
    let acknowledged = 0
    let published = 0
    let open: PacketId[] = []
    for (let round = 0; round < 300; round++) {
      const burst = random.pick([0, 1, 1, 2, 5, 30])
      await Promise.all(Array.from({ length: burst }, async () => {
        const i = published++
        await server.publish(`t/${i % 3}`, String(i), random.int(10) === 0 ? 2 : 1)
      }))
      link.writable = random.int(5) > 0
      if (link.writable) link.attachment!.drained()
      open = [...open, ...link.deliveries.slice(acknowledged + open.length).map(({ packetId }) => packetId)]
      for (let acks = random.int(15); acks > 0 && open.length > 0; acks--) {
        link.ack(open.splice(random.int(open.length), 1)[0])
        acknowledged++
      }
      if (random.int(3) === 0) await server.quiet()
    }
    link.writable = true
    link.attachment!.drained()
    for (let next = 0; link.deliveries.length < published;) {
      for (; next < link.deliveries.length; next++) link.ack(link.deliveries[next].packetId)
      await server.quiet()
    }
    t.same(link.got, numbers(0, published))
    t.equal(session.window!.size <= 10, true)
  })

  check('[G8] a link that takes nothing gets nothing, and what waits comes when it has drained', async (t, world) => {
    const server = await Server.start(t, world)
    const { link } = await server.follower('a', { t: 1 })
    link.writable = false
    await server.publishMany('t', 0, 50)
    await server.publish('t', 'QoS 0', 0)
    await server.quiet()
    t.same(link.got, [])
    t.equal(server.broker.stats().droppedQos0, 1, 'QoS 0 does not wait')
    link.writable = true
    link.attachment!.drained()
    await server.drain(link, 50)
    t.same(link.got, numbers(0, 50))
  })

  check('[MQTT-3.1.4-2] a second connection takes over: the first hears nothing more', async (t, world) => {
    const server = await Server.start(t, world)
    const { session, link } = await server.follower('a', { t: 1 })
    await server.publish('t', '0')
    const second = server.attach(session)
    t.equal(link.closed, 'taken-over')
    await server.publish('t', '1')
    t.same(link.got, ['0'])
    t.same([second.got, second.dups], [['0', '1'], [true, false]])
    link.ack(link.ids[0])
    link.detach()
    await server.publish('t', '2')
    t.same(second.got, ['0', '1', '2'], 'what the first still says does nothing')
    t.equal(session.window!.size, 3)
  })

  check('[G1] while the store fails nobody gets a receipt; then all goes on', async (t, world) => {
    const server = await Server.start(t, world)
    const { link } = await server.follower('a', { t: 1 })
    await server.publish('t', '0')
    const heal = server.store.fail()
    await t.rejects(server.publish('t', 'lost'), { code: 'STORE_UNAVAILABLE', retriable: true })
    await t.rejects(server.connect('b'), { code: 'STORE_UNAVAILABLE' })
    t.equal(server.broker.stats().storeFailing, true)
    heal()
    await server.publish('t', '1')
    await server.quiet()
    t.same(link.got, ['0', '1'])
    t.equal(server.broker.stats().storeFailing, false)
    const after = await server.crashed(t)
    const again = await after.back('a')
    await after.quiet()
    t.same(again.got, ['0', '1'])
  })
}
