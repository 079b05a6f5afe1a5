/**
 * What a client never acknowledges, while it is well in all other ways: it stands in the way of the rest for a bounded
 * time only, and nothing is held against a message that a link had no time to carry. As a function of a factory.
 */
import t from 'tap'
import type { Test } from 'tap'
import type { ClientId, TimeMs } from '../../broker/model/message.ts'
import type { Delivery } from '../../broker/session/link.ts'
import type { Session } from '../../broker/session/session.ts'
import { numbers, Server, TestLink, type World, type WorldFactory } from './session-words.ts'

const TRIES = 4
const WINDOW = 4
const LIMITS = { ackTimeoutMs: 4_000, sweepMs: 1_000, redeliveriesMax: TRIES, inflightMessagesMax: WINDOW }

class DeviceLink extends TestLink { heardAt = 0 as TimeMs }

interface Device {
  /** Does it take this one? It says so at once. */
  takes (delivery: Delivery): boolean
  /** Is it heard all the time, as one that pings? */
  readonly pings?: boolean
}

/** One connection of a device, until the server cuts it or `ms` are over. Returns whether it was cut. */
async function live (server: Server, session: Session, { takes, pings = false }: Device, handled: string[] = [],
  ms = LIMITS.ackTimeoutMs + LIMITS.sweepMs): Promise<boolean> {
  const link = new DeviceLink()
  link.session = session
  link.heardAt = server.clock.now()
  link.attachment = server.broker.attach(session, link)
  let next = 0
  for (let rest = ms; rest > 0 && link.closed === undefined; rest -= LIMITS.sweepMs) {
    await server.quiet()
    for (; next < link.deliveries.length; next++) {
      const delivery = link.deliveries[next]
      if (!takes(delivery)) continue
      handled.push(delivery.message.payload.toString())
      link.ack(delivery.packetId)
      await server.quiet()
    }
    if (pings) link.heardAt = server.clock.now()
    await server.pass(LIMITS.sweepMs)
  }
  if (link.closed === undefined) link.detach()
  return link.closed !== undefined
}

const isSmall = ({ message }: Delivery): boolean => !message.payload.toString().startsWith('large')
const takesNothing = (): boolean => false

export function unansweredSuite (name: string, factory: WorldFactory): void {
  const check = (sentence: string, body: (t: Test, server: Server, session: Session) => Promise<unknown>): unknown =>
    t.test(`${name}: ${sentence}`, async t => {
      const world: World = factory(t)
      const server = await Server.start(t, world, LIMITS)
      const { session, link } = await server.follower('a', { '#': 1 })
      link.detach()
      await body(t, server, session)
    })

  check('[G5] more than a window of what a silent client never takes: the rest passes, they are set aside and told',
    async (t, server, session) => {
      const events: string[] = []
      server.broker.events.on('set-aside', ({ topic }) => events.push(topic))
      const large = WINDOW + 2
      for (let i = 0; i < large; i++) await server.publish(`large/${i}`, `large ${i}`)
      await server.publishMany('small', 0, 10)
      const handled: string[] = []
      let cuts = 0
      while (await live(server, session, { takes: isSmall }, handled)) {
        cuts++
        if (cuts === Math.ceil(TRIES / 2)) t.same(handled, [], 'the window is full of them')
        if (cuts > 4 * TRIES) break
      }
      t.ok(cuts <= 4 * TRIES, 'there is an end')
      t.same(handled, numbers(0, 10), 'each once, in order')
      t.equal(events.length, large)
      t.equal(server.broker.session('a' as ClientId)?.setAsideMessages, large)
      t.equal(server.broker.session('a' as ClientId)?.inflightMessages, 0)
      t.equal(server.broker.stats().gapMessages, large)
    })

  check('[G5] one that takes no message, and is heard, loses the oldest alone after redeliveriesMax tries',
    async (t, server, session) => {
      await server.publishMany('t', 0, WINDOW)
      for (let i = 0; i < TRIES - 1; i++) await live(server, session, { takes: takesNothing, pings: true })
      t.equal(server.broker.stats().setAside, 0)
      await live(server, session, { takes: takesNothing, pings: true })
      await server.quiet()
      t.equal(server.broker.stats().setAside, 1)
      const handled: string[] = []
      await live(server, session, { takes: () => true }, handled)
      t.same(handled, numbers(1, WINDOW))
    })

  check('[G2] what a link that is silent had no time to carry is never set aside', async (t, server, session) => {
    await server.publishMany('t', 0, 3 * WINDOW)
    for (let i = 0; i < 5 * TRIES; i++) t.equal(await live(server, session, { takes: takesNothing }), true)
    const handled: string[] = []
    await live(server, session, { takes: () => true }, handled)
    t.same(handled, numbers(0, 3 * WINDOW))
    t.equal(server.broker.stats().setAside, 0)
  })

  check('[G2] the time for an answer begins when the link takes the message, a second time as well',
    async (t, server, session) => {
      const { ackTimeoutMs, sweepMs } = LIMITS
      const waits = async (): Promise<void> => {
        const link = new DeviceLink()
        link.writable = false
        link.attachment = server.broker.attach(session, link)
        await server.publish('t', 'x')
        await server.pass(2 * ackTimeoutMs)
        t.equal(link.closed, undefined, 'it waits for the link')
        link.writable = true
        link.attachment.drained()
        await server.quiet()
        t.ok(link.got.length > 0)
        await server.pass(ackTimeoutMs - sweepMs)
        t.equal(link.closed, undefined, 'the client has its time')
        await server.pass(2 * sweepMs)
        t.equal(link.closed, 'stalled')
      }
      await waits()
      await waits()
    })

  check('[G2] a slow link that takes a little on each connection loses nothing', async (t, server, session) => {
    await server.publishMany('t', 0, 6 * WINDOW)
    const handled: string[] = []
    for (let i = 0; i < 20 * TRIES && handled.length < 6 * WINDOW; i++) {
      let left = 1
      await live(server, session, { takes: () => left-- > 0, pings: true }, handled)
    }
    t.same(handled, numbers(0, 6 * WINDOW))
    t.equal(server.broker.stats().setAside, 0)
  })

  check('[G6] no more than two windows are out, whatever is not acknowledged', async (t, server, session) => {
    await server.publishMany('t', 0, 10 * WINDOW)
    for (let i = 0; i < 5 * TRIES; i++) {
      await live(server, session, { takes: takesNothing })
      t.ok(server.broker.session('a' as ClientId)!.inflightMessages <= 2 * WINDOW)
    }
    t.equal(server.broker.session('a' as ClientId)!.inflightMessages, 2 * WINDOW)
  })

  check('a retained message that it never takes is set aside as well', async (t, server) => {
    await server.publish('kept/large', 'large', 1, true)
    const { session, link } = await server.follower('b', { 'kept/#': 1 })
    link.detach()
    for (let i = 0; i < TRIES; i++) await live(server, session, { takes: takesNothing, pings: true })
    await server.quiet()
    t.equal(server.broker.session('b' as ClientId)?.setAsideMessages, 1)
  })

  check('at QoS 2 what is set aside is released, over a crash as well, and PUBCOMP leaves no identifier in use [G5]',
    async (t, first) => {
      const { session, link } = await first.follower('b', { exact: 2 })
      link.detach()
      for (const payload of ['0', '1']) await first.publish('exact', payload, 2)
      for (let i = 0; i < TRIES; i++) await live(first, session, { takes: takesNothing, pings: true })
      await first.quiet()
      t.equal(first.broker.stats().setAside, 1)
      const server = await first.crashed(t)
      t.equal(server.broker.stats().setAside, 1)
      const back = await server.back('b')
      await server.quiet()
      t.same(back.got, ['1'], 'only the other comes again')
      t.equal(back.released.length, 1, 'PUBREL for an identifier that the client may hold')
      back.ack(back.released[0])
      await back.received(back.ids[0])
      back.ack(back.ids[0])
      t.equal(server.broker.session('b' as ClientId)?.inflightMessages, 0)
      t.same(back.gaps.map(([count, reason]) => [count, reason]), [[1, 'set-aside']])
    })

  check('at QoS 2 a client that is there is sent PUBREL for what is set aside [G5]', async (t, server) => {
    const { session, link } = await server.follower('b', { exact: 2 })
    await server.publish('exact', 'x', 2)
    await server.quiet()
    t.equal(await server.broker.setAside(session, link.deliveries[0], TRIES), true)
    t.same(link.released, link.ids)
    t.equal(await server.broker.setAside(session, link.deliveries[0], TRIES), false, 'once')
    link.ack(link.ids[0])
    t.equal(server.broker.session('b' as ClientId)?.inflightMessages, 0)
    t.equal(server.broker.session('b' as ClientId)?.setAsideMessages, 1)
  })
}
