/** Links that ask for a window of their own size (Link.inflightMax), as a function of a factory of stores. */
import t from 'tap'
import type { Test } from 'tap'
import type { Session } from '../../broker/session/session.ts'
import { numbers, Server, TestLink, type World, type WorldFactory } from './session-words.ts'

class SizedLink extends TestLink {
  readonly inflightMax: number

  constructor (inflightMax: number) {
    super()
    this.inflightMax = inflightMax
  }
}

export function windowSuite (name: string, factory: WorldFactory): void {
  const check = (sentence: string, body: (t: Test, world: World) => Promise<unknown>): unknown =>
    t.test(`${name}: ${sentence}`, async t => { await body(t, factory(t)) })

  check('[G6] a link that asks for a larger window gets it, and no more', async (t, world) => {
    const server = await Server.start(t, world, { inflightMessagesMax: 5 })
    await server.away('a', { t: 1 })
    await server.publishMany('t', 0, 1_100)
    const link = attach(server, await server.session('a'), 1_024)
    await server.quiet()
    t.same(link.got, numbers(0, 1_024))
    t.equal(server.broker.session(link.session!.clientId)?.inflightMessages, 1_024)
    await server.drain(link, 1_100)
    t.same(link.got, numbers(0, 1_100), 'in order [G3]')
  })

  for (const [how, restart] of Object.entries({
    'a reconnect': async (server: Server) => server,
    'a stop': async (server: Server, t: Test) => await server.stopped(t),
    'a crash': async (server: Server, t: Test) => await server.crashed(t)
  })) {
    check(`[G2] [G4] after ${how}, a smaller window first sends again all that was out, then keeps to its size`,
      async (t, world) => {
        const first = await Server.start(t, world, { inflightMessagesMax: 4 })
        await first.away('a', { t: 1 })
        await first.publishMany('t', 0, 30)
        const wide = attach(first, await first.session('a'), 20)
        await first.quiet()
        t.same(wide.got, numbers(0, 20))
        await first.flushed()
        if (how === 'a reconnect') wide.detach()
        const server = await restart(first, t)
        const link = await server.back('a')
        await server.quiet()
        t.same(link.got, numbers(0, 20))
        t.same(link.ids, wide.ids)
        t.notOk(link.dups.includes(false))
        link.ack(...link.ids.slice(0, 16))
        await server.quiet()
        t.equal(link.got.length, 20, 'four are out, and four is the size')
        link.ack(link.ids[16])
        await server.quiet()
        t.same(link.got.slice(20), ['20'])
        await server.drain(link, 30)
        t.same(link.got, numbers(0, 30))
      })
  }

  check('[G6] a link may ask for a window of one', async (t, world) => {
    const server = await Server.start(t, world)
    await server.away('a', { t: 1 })
    await server.publishMany('t', 0, 3)
    const link = attach(server, await server.session('a'), 1)
    for (let count = 1; count <= 3; count++) {
      await server.quiet()
      t.same(link.got, numbers(0, count))
      link.ack(link.ids[count - 1])
    }
  })
}

function attach (server: Server, session: Session, inflightMax: number): TestLink {
  const link = new SizedLink(inflightMax)
  link.session = session
  link.attachment = server.broker.attach(session, link)
  return link
}
