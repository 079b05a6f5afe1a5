/** What a session promises, where much goes to many: others have their turn between, and nothing else changes by it. */
import t from 'tap'
import type { Test } from 'tap'
import { numbers, Server, type TestLink, type World, type WorldFactory } from './session-words.ts'

const TURN_UNITS = 40
const SESSIONS = 30
const MESSAGES = 20

export function turnsSuite (name: string, factory: WorldFactory): void {
  const check = (sentence: string, body: (t: Test, world: World) => Promise<unknown>): unknown =>
    t.test(`${name}: ${sentence}`, async t => { await body(t, factory(t)) })

  check('[G8] [G3] a batch for many is offered and handed over in turns; receipts come after it, all in order',
    async (t, world) => {
      const server = await Server.start(t, world, {}, undefined, { turnUnits: TURN_UNITS })
      const links: TestLink[] = []
      for (let i = 0; i < SESSIONS; i++) links.push((await server.follower(`s${i}`, { t: 1 })).link)
      const offeredBefore = server.broker.offered
      const out: string[] = []
      for (const [i, payload] of numbers(0, MESSAGES).entries()) {
        server.publishThen('t', payload, 1, false, () => { out.push(`${i} ${server.broker.offered - offeredBefore}`) },
          (error) => { t.fail(String(error)) })
      }
      const count = (): number => links.reduce((sum, { deliveries }) => sum + deliveries.length, 0)
      let offered = server.broker.offered
      let delivered = count()
      let turns = 0
      while (delivered < SESSIONS * MESSAGES) {
        await new Promise((resolve) => setImmediate(resolve))
        if (server.broker.offered > offered || count() > delivered) turns++ // not those that wait for the disk
        // The last message of a turn goes to all, and a link gets all that is there for it.
        const most = [TURN_UNITS + SESSIONS, TURN_UNITS + MESSAGES]
        if (server.broker.offered - offered > most[0]) t.fail(`${server.broker.offered - offered} offered in one turn`)
        if (count() - delivered > most[1]) t.fail(`${count() - delivered} handed over in one turn`)
        offered = server.broker.offered
        delivered = count()
      }
      t.ok(turns > SESSIONS * MESSAGES / (TURN_UNITS + SESSIONS), `${turns} turns`)
      await server.quiet()
      t.same(out, numbers(0, MESSAGES).map((i) => `${i} ${SESSIONS * MESSAGES}`))
      for (const { got } of links) t.same(got, numbers(0, MESSAGES))
    })

  check('[G3] [G4] who comes and who goes between two turns gets each message once, in order', async (t, world) => {
    const server = await Server.start(t, world, {}, undefined, { turnUnits: 3 })
    const stay = await server.follower('stay', { t: 1 })
    const gone = await server.follower('gone', { '#': 1, t: 1 })
    await server.away('comes', { 't/#': 1 })
    const published = server.publishMany('t', 0, 30)
    await new Promise((resolve) => setImmediate(resolve))
    gone.link.detach()
    const comes = await server.back('comes')
    const again = await server.back('gone')
    await published
    await server.drain(stay.link, 30)
    await server.drain(comes, 30)
    t.same(stay.link.got, numbers(0, 30))
    t.same(comes.got, numbers(0, 30))
    const first = gone.link.got
    t.same(first, numbers(0, first.length))
    await server.drain(again, 30)
    t.same(again.got, numbers(0, 30), 'what was not acknowledged comes again, then the rest')
  })
}
