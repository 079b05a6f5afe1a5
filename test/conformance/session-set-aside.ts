/** Messages that are set aside, and what becomes of their session, as a function of a factory of stores. */
import t from 'tap'
import type { Test } from 'tap'
import type { SetAsideMessage, ClientId } from '../../broker/model/message.ts'
import type { Attachment, Delivery } from '../../broker/session/link.ts'
import { DAY_MS, numbers, Server, TestLink, type World, type WorldFactory } from './session-words.ts'

const A = 'a' as ClientId

async function setAside (server: Server, link: TestLink, index: number, attempts = 10): Promise<boolean> {
  return await server.broker.setAside(link.session!, link.deliveries[index], attempts)
}

async function allSetAside (server: Server, clientId = A): Promise<SetAsideMessage[]> {
  const all: SetAsideMessage[] = []
  for await (const one of server.broker.listSetAside(clientId)) all.push(one)
  return all
}

async function wordsAside (server: Server): Promise<string[]> {
  return (await allSetAside(server)).map(({ message }) => message.payload.toString())
}

export function setAsideSuite (name: string, factory: WorldFactory): void {
  const check = (sentence: string, body: (t: Test, world: World) => Promise<unknown>): unknown =>
    t.test(`${name}: ${sentence}`, async t => { await body(t, factory(t)) })

  check('[G5] what is set aside is kept, counted and told; the rest goes on, in order', async (t, world) => {
    const server = await Server.start(t, world, { inflightMessagesMax: 4 })
    const events: unknown[] = []
    server.broker.events.on('set-aside', (event) => events.push(event))
    const { link } = await server.follower('a', { 't/#': 1 })
    await server.publishMany('t/x', 0, 8)
    await server.quiet()
    t.same(link.got, numbers(0, 4))
    t.equal(await setAside(server, link, 0, 7), true)
    await server.quiet()
    t.same(link.got, numbers(0, 5), 'its place in the window is free')
    t.same(link.gaps, [[1, 'set-aside']], 'the client is told')
    const [kept, ...others] = await allSetAside(server)
    t.same(others, [])
    t.match(kept, { offset: 1, attempts: 7, setAsideAt: server.clock.now(), message: { topic: 't/x', qos: 1 } })
    t.equal(kept.message.payload.toString(), '0')
    t.same(events, [{ clientId: 'a', topic: 't/x', id: kept.id, attempts: 7, dropped: 0 }])
    t.equal(server.broker.stats().setAside, 1)
    t.equal(server.broker.session(A)?.setAsideMessages, 1)
    link.ack(...link.ids.slice(1))
    await server.quiet()
    link.ack(...link.ids.slice(5))
    await server.flushed()
    t.same(link.got, numbers(0, 8))
    t.equal(server.stored, 0, 'the log need not keep it any more')
    t.same(await wordsAside(server), ['0'], 'what was set aside stays')
  })

  for (const [how, restart] of Object.entries({
    'a stop': async (server: Server, t: Test) => await server.stopped(t),
    'a crash': async (server: Server, t: Test) => await server.crashed(t)
  })) {
    check(`[G2] [G5] what was set aside survives ${how}, and is not delivered again`, async (t, world) => {
      const first = await Server.start(t, world)
      const { link } = await first.follower('a', { t: 1 })
      await first.publishMany('t', 0, 3)
      await setAside(first, link, 1)
      await first.flushed()
      const server = await restart(first, t)
      t.same(await wordsAside(server), ['1'])
      t.equal(server.broker.stats().setAside, 1)
      const again = await server.back('a')
      await server.quiet()
      t.same(again.got, ['0', '2'])
    })
  }

  check('[G2] a crash right after it is durable delivers it again, and it is kept once', async (t, world) => {
    const first = await Server.start(t, world)
    const { link } = await first.follower('a', { t: 1 })
    await first.publish('t', 'poison')
    await first.flushed()
    await setAside(first, link, 0)
    const server = await first.crashed(t) // the cursor was not written
    const again = await server.back('a')
    await server.quiet()
    t.same(again.got, ['poison'])
    t.equal(await setAside(server, again, 0, 12), true)
    t.same((await allSetAside(server)).map(({ attempts }) => attempts), [12])
    t.equal(server.broker.stats().setAside, 1)
  })

  check('[G2] an identifier that stands for another message by now takes nothing from it', async (t, world) => {
    const server = await Server.start(t, world, { inflightMessagesMax: 1 })
    const { link } = await server.follower('a', { t: 1 })
    await server.publishMany('t', 0, 2)
    const old: Delivery = link.deliveries[0]
    link.ack(link.ids[0])
    await server.quiet()
    const impostor = { ...link.deliveries[1], packetId: link.ids[1], message: old.message } as Delivery
    t.equal(await server.broker.setAside(link.session!, old, 10), false, 'it is acknowledged')
    t.equal(await server.broker.setAside(link.session!, impostor, 10), false)
    t.same(await allSetAside(server), [])
    t.equal(server.broker.session(A)?.inflightMessages, 1)
  })

  check('[G2] asked twice while it is written, it is kept and told once', async (t, world) => {
    const server = await Server.start(t, world)
    const { link } = await server.follower('a', { t: 1 })
    await server.publish('t', 'poison')
    t.same(await Promise.all([setAside(server, link, 0), setAside(server, link, 0)]), [true, true])
    t.equal(await setAside(server, link, 0), false, 'and not out any more')
    t.same(link.gaps, [[1, 'set-aside']])
    t.equal(server.broker.stats().setAside, 1)
  })

  check('[G3] a connection that comes while it is written is not handed it any more', async (t, world) => {
    const server = await Server.start(t, world)
    const { session, link } = await server.follower('a', { t: 1 })
    await server.publishMany('t', 0, 3)
    const setting = setAside(server, link, 0)
    const slow = new TestLink()
    slow.writable = false
    const attachment: Attachment = slow.attachment = server.broker.attach(session, slow)
    t.equal(await setting, true)
    slow.writable = true
    attachment.drained()
    await server.quiet()
    t.same(slow.got, ['1', '2'])
  })

  check('[G2] what can not be written stays with the session', async (t, world) => {
    const server = await Server.start(t, world)
    const { link } = await server.follower('a', { t: 1 })
    await server.publish('t', 'poison')
    const recover = server.store.fail()
    await t.rejects(setAside(server, link, 0), { code: 'STORE_UNAVAILABLE' })
    t.equal(server.broker.stats().setAside, 0)
    t.equal(server.broker.session(A)?.inflightMessages, 1)
    recover()
    link.detach()
    const again = await server.back('a')
    await server.quiet()
    t.same(again.got, ['poison'])
    t.equal(await setAside(server, again, 0), true)
  })

  check('[G6] at setAsideMessagesMax the oldest goes, and is counted', async (t, world) => {
    const server = await Server.start(t, world, { setAsideMessagesMax: 3 })
    const dropped: number[] = []
    server.broker.events.on('set-aside', (event) => dropped.push(event.dropped))
    const { link } = await server.follower('a', { t: 1 })
    await server.publishMany('t', 0, 5)
    for (let i = 0; i < 5; i++) await setAside(server, link, i)
    t.same(await wordsAside(server), ['2', '3', '4'])
    t.same(dropped, [0, 0, 0, 1, 1])
    t.equal(server.broker.stats().setAsideDropped, 2)
    t.equal((await server.stopped(t)).broker.stats().setAside, 3)
  })

  check('a retained message that was due can be set aside, too', async (t, world) => {
    const server = await Server.start(t, world)
    await server.publish('t', 'poison', 1, true)
    const { link } = await server.follower('a', { t: 1 })
    await server.quiet()
    t.equal(await setAside(server, link, 0), true)
    const [kept] = await allSetAside(server)
    t.match(kept, { offset: 0, message: { topic: 't', retain: true } })
    link.detach()
    await server.flushed()
    const again = await (await server.stopped(t)).back('a')
    t.same(again.got, [], 'it is not due any more')
  })

  check('an administrator removes one, or all of a session; nothing of another', async (t, world) => {
    const first = await Server.start(t, world)
    const { link } = await first.follower('a', { t: 1 })
    const other = await first.follower('b', { t: 1 })
    await first.publishMany('t', 0, 3)
    for (let i = 0; i < 3; i++) await setAside(first, link, i)
    await setAside(first, other.link, 0)
    const [, second] = await allSetAside(first)
    t.equal(await first.broker.dropSetAside(A, second.id), 1)
    t.equal(await first.broker.dropSetAside(A, second.id), 0)
    const server = await first.stopped(t)
    t.same(await wordsAside(server), ['0', '2'])
    t.equal(await server.broker.dropSetAside(A), 2)
    t.equal(await server.broker.dropSetAside('nobody' as ClientId), 0)
    const last = await server.stopped(t)
    t.same(await allSetAside(last), [])
    t.equal((await allSetAside(last, 'b' as ClientId)).length, 1)
  })

  for (const [how, end] of Object.entries({
    expiry: async (server: Server) => { await server.pass(2 * DAY_MS) },
    'an administrator': async (server: Server) => { await server.broker.end(A) },
    'a clean connect': async (server: Server) => { await server.session('a', { clean: true }) }
  })) {
    check(`[G5] it goes with its session: ${how}`, async (t, world) => {
      const server = await Server.start(t, world, { sweepMs: DAY_MS / 2, cursorFlushMs: 60_000 })
      const { link } = await server.follower('a', { t: 1 })
      await server.publish('t', 'poison')
      await setAside(server, link, 0)
      link.detach()
      await end(server)
      await server.quiet()
      t.same(await allSetAside(server), [])
      t.equal(server.broker.stats().setAside, 0)
      const next = await server.stopped(t)
      t.equal(next.broker.stats().setAside, 0)
      const records: string[] = []
      for await (const some of next.store.records('setAside')) records.push(...some.map(({ key }) => key))
      t.same(records, [])
    })
  }

  check('a clean session keeps nothing aside, as nothing of it is sent twice', async (t, world) => {
    const server = await Server.start(t, world)
    const { link } = await server.follower('a', { t: 1 }, { clean: true })
    await server.publish('t', 'x')
    t.equal(await setAside(server, link, 0), false)
  })
}
