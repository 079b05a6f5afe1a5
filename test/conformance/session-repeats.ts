/** How much a kill repeats, counted at every place where it may come, as a function of a factory of stores. */
import t from 'tap'
import type { Test } from 'tap'
import type { Limits } from '../../broker/index.ts'
import { DAY_MS, numbers, Server, type TestLink, type World, type WorldFactory } from './session-words.ts'

const WINDOW = 6
/** Nothing is written but what the test wants to be. */
const LIMITS: Partial<Limits> = { inflightMessagesMax: WINDOW, cursorFlushMs: DAY_MS, sweepMs: DAY_MS }
const MESSAGES = 60

export function repeatsSuite (name: string, factory: WorldFactory): void {
  const check = (sentence: string, body: (t: Test, world: World) => Promise<unknown>): unknown =>
    t.test(`${name}: ${sentence}`, async t => { await body(t, factory(t)) })

  /** What came before the kill that comes again; all behind it has to come, once, in order. */
  async function repeated (t: Test, first: Server, link: TestLink): Promise<number> {
    const server = await first.crashed(t)
    const again = await server.back('a')
    await acknowledge(server, again, Infinity)
    const from = Number(again.got[0] ?? MESSAGES)
    t.same(again.got, numbers(from, MESSAGES), 'nothing is left out [G2], in order [G3]')
    return link.got.filter((payload) => Number(payload) >= from).length
  }

  for (let acknowledged = 0; acknowledged <= MESSAGES; acknowledged += 5) {
    check(`[G2] [G4] a kill amid a backlog, ${acknowledged} acknowledged, repeats at most 2 windows`,
      async (t, world) => {
        const server = await Server.start(t, world, LIMITS)
        await server.away('a', { t: 1 })
        await server.publishMany('t', 0, MESSAGES)
        const link = await server.back('a')
        await acknowledge(server, link, acknowledged)
        const count = await repeated(t, server, link)
        t.ok(count <= 2 * WINDOW, `${count} were repeated`)
        t.ok(count >= Math.min(WINDOW, MESSAGES - acknowledged), 'nothing was noted ahead of its acknowledgement')
      })
  }

  check('[G4] a kill amid live messages repeats at most 2 windows', async (t, world) => {
    const server = await Server.start(t, world, LIMITS)
    const { link } = await server.follower('a', { t: 1 })
    for (let i = 0; i < MESSAGES; i++) {
      await server.publish('t', String(i))
      if (i % 3 === 0) link.ack(...link.ids.slice(-2))
    }
    await acknowledge(server, link, MESSAGES - 1)
    const count = await repeated(t, server, link)
    t.ok(count <= 2 * WINDOW, `${count} were repeated`)
  })

  check('[G4] a note that is older than the record does not count', async (t, world) => {
    const server = await Server.start(t, world, { ...LIMITS, cursorFlushMs: 500, sweepMs: 500 })
    await server.away('a', { t: 1 })
    await server.publishMany('t', 0, MESSAGES)
    const link = await server.back('a')
    await acknowledge(server, link, WINDOW + 3)
    await server.flushed()
    t.equal(await repeated(t, server, link), WINDOW, 'those in flight')
  })

  check('[G4] notes are kept until the cursors are written, however often that fails', async (t, world) => {
    const server = await Server.start(t, world, { ...LIMITS, cursorFlushMs: 500, sweepMs: 500 })
    await server.away('a', { t: 1 })
    await server.away('keeper', { t: 1 })
    await server.publishMany('t', 0, MESSAGES)
    const link = await server.back('a')
    await server.flushed()
    const heal = server.store.fail()
    await acknowledge(server, link, MESSAGES / 2)
    await server.pass(5_000)
    t.ok(await repeated(t, server, link) <= 2 * WINDOW)
    heal()
  })

  check('[G4] two kills in a row: what was noted before the first still counts', async (t, world) => {
    const first = await Server.start(t, world, LIMITS)
    await first.away('a', { t: 1 })
    await first.publishMany('t', 0, MESSAGES)
    const link = await first.back('a')
    await acknowledge(first, link, MESSAGES / 2)
    const second = await first.crashed(t)
    t.ok(await repeated(t, second, link) <= 2 * WINDOW)
  })
}

/** The first so many of what comes, each as soon as it is there. */
async function acknowledge (server: Server, link: TestLink, count: number): Promise<void> {
  await server.quiet()
  for (let next = 0; next < Math.min(count, link.ids.length);) {
    const ids = link.ids.slice(next, count)
    link.ack(...ids)
    next += ids.length
    await server.quiet()
  }
}
