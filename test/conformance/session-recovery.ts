/** What a session promises, further part: a client that says how far it has come, and which of several it is. */
import t from 'tap'
import type { Test } from 'tap'
import type { Offset } from '../../broker/model/message.ts'
import { numbers, Server, type TestLink, type World, type WorldFactory } from './session-words.ts'

/** Where the log stands after what the link was delivered last. */
function offsetOf (link: TestLink, index: number): Offset {
  const { message } = link.deliveries[index]
  if (!('offset' in message)) throw new Error('it has no place in the log')
  return message.offset
}

export function recoverySuite (name: string, factory: WorldFactory): void {
  const check = (sentence: string, body: (t: Test, world: World) => Promise<unknown>): unknown =>
    t.test(`${name}: ${sentence}`, async t => { await body(t, factory(t)) })

  for (const [how, restart] of Object.entries({
    'a reconnect': async (server: Server) => server,
    'a stop': async (server: Server, t: Test) => await server.stopped(t),
    'a crash': async (server: Server, t: Test) => await server.crashed(t)
  })) {
    check(`[G2] [G4] after ${how}, a session goes on exactly behind what was proven received`, async (t, world) => {
      const first = await Server.start(t, world, { inflightMessagesMax: 6 })
      const { link } = await first.follower('a', { t: 1 })
      await first.publishMany('t', 0, 10)
      link.ack(link.ids[1])
      await first.flushed()
      t.same(link.got, numbers(0, 7))
      const through = offsetOf(link, 4)
      if (how === 'a reconnect') link.detach()
      const server = await restart(first, t)
      const again = server.attach(await server.session('a'), { receivedThrough: through })
      await server.quiet()
      t.equal(again.attachment!.position, through)
      await server.drain(again, 5)
      t.same(again.got, numbers(5, 10))
      await server.flushed()
      t.equal(server.stored, 0, 'nothing is kept for it any more')
    })
  }

  check('[G2] [G4] what was received and not yet written down before a crash does not come again', async (t, world) => {
    const first = await Server.start(t, world) // 20 are less than a window: nothing is noted
    const { link } = await first.follower('a', { t: 1 })
    await first.flushed()
    await first.publishMany('t', 0, 20)
    await first.drain(link, 20)
    const through = offsetOf(link, 12)
    const server = await first.crashed(t)
    const again = server.attach(await server.session('a'), { receivedThrough: through })
    await server.drain(again, 7)
    t.same(again.got, numbers(13, 20))
  })

  check('[G2] an earlier place takes nothing back, and a place that the log has not reached is no proof',
    async (t, world) => {
      const server = await Server.start(t, world)
      const { link, session } = await server.follower('a', { t: 1 })
      await server.publishMany('t', 0, 4)
      link.ack(link.ids[0], link.ids[1], link.ids[2])
      const [early, tail] = [offsetOf(link, 0), offsetOf(link, 3)]
      link.detach()
      const again = server.attach(session, { receivedThrough: early })
      await server.quiet()
      t.same(again.got, ['3'])
      again.detach()
      const third = server.attach(session, { receivedThrough: (tail + 1) as Offset })
      await server.quiet()
      t.same(third.got, ['3'])
      third.detach()
      const last = server.attach(session, { receivedThrough: tail })
      await server.publish('t', 'live')
      t.same(last.got, ['live'])
    })

  check('[G2] a place says nothing about retained messages, nor about QoS 2', async (t, world) => {
    const server = await Server.start(t, world)
    await server.publish('r', 'retained', 1, true)
    const { link, session } = await server.follower('a', { r: 1, q: 2 })
    await server.publish('q', 'QoS 2', 2)
    await server.publish('q', 'QoS 1')
    await server.quiet()
    t.same(link.got, ['retained', 'QoS 2', 'QoS 1'])
    const through = offsetOf(link, 2)
    link.detach()
    const again = server.attach(session, { receivedThrough: through })
    await server.quiet()
    t.same(again.got, ['retained', 'QoS 2'])
    t.same(again.ids, link.ids.slice(0, 2), 'under the same identifiers')
  })

  check('[G3] what can be sent at once is with the link when attach() returns, then the rest in order',
    async (t, world) => {
      const server = await Server.start(t, world, { inflightMessagesMax: 5 })
      await server.away('a', { t: 1 })
      await server.publishMany('t', 0, 12)
      const session = await server.session('a')
      const link = server.attach(session, { atOnce: true })
      t.same(link.got, numbers(0, 5))
      await server.drain(link, 12)
      t.same(link.got, numbers(0, 12))
    })

  check('[G7] a tag says which client used the session last, and survives stop and crash', async (t, world) => {
    let server = await Server.start(t, world)
    const seen: Array<string | undefined> = []
    const connect = async (tag: string, clean = false): Promise<void> => {
      const options = { clean, tag: (previous: string | undefined) => { seen.push(previous); return tag } }
      server.attach(await server.session('a', options)).detach()
    }
    await connect('1')
    await connect('2')
    server = await server.crashed(t)
    await connect('3')
    server = await server.stopped(t)
    await connect('4')
    t.same(seen, [undefined, '1', '2', '3'])
    await server.session('a')
    await connect('5')
    await connect('6', true)
    await connect('7')
    t.same(seen.slice(4), [undefined, undefined, undefined], 'none after who had none, and none of an ended session')
    const { session } = await server.connect('a', { tag: previous => `${previous ?? ''}+` })
    t.equal(session.tag, '7+')
  })

  check('[G7] [G1] a tag that could not be written down is not taken', async (t, world) => {
    const server = await Server.start(t, world)
    await server.session('a', { tag: () => 'old' })
    const heal = server.store.fail()
    await t.rejects(server.connect('a', { tag: () => 'new' }), { code: 'STORE_UNAVAILABLE' })
    heal()
    const { session } = await server.connect('a', { tag: previous => `${previous ?? ''}, still` })
    t.equal(session.tag, 'old, still')
  })

  check('[G2] positions of another log can be told by the epoch', async (t, world) => {
    const server = await Server.start(t, world)
    const { epoch } = server.broker
    t.match(epoch, /./)
    t.equal((await server.crashed(t)).broker.epoch, epoch)
  })
}
