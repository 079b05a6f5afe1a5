/** How sessions are written down: little, behind, and nothing of what has ended. */
import t from 'tap'
import { createMemoryDisk, createMemoryStore, type MemoryDisk } from '../../broker/store/memory.ts'
import type { Table } from '../../broker/store/store.ts'
import { Server, type World } from '../conformance/session-words.ts'

function makeWorld (disk: MemoryDisk = createMemoryDisk()): World & { disk: MemoryDisk } {
  return { disk, create: () => createMemoryStore(disk), crash () {} }
}

const keys = (disk: MemoryDisk, ...tables: Table[]): string[] =>
  tables.flatMap((table) => [...disk.records[table].keys()].map((key) => `${table} ${key.replace('\u0000', ' ')}`))
const OF_SESSIONS = ['sessions', 'filters', 'cursors', 'incoming'] as const

t.test('nothing is written of a clean session', async t => {
  const world = makeWorld()
  const server = await Server.start(t, world)
  const { session, link } = await server.follower('a', { t: 2 }, { clean: true })
  await server.publish('t', 'x', 2)
  await server.quiet()
  await link.received(link.ids[0])
  await new Promise<void>((resolve) => {
    server.broker.publishOnce(session, 7 as never,
      { topic: 'u', payload: Buffer.from('x'), qos: 2, retain: false, id: '' }, () => { resolve() })
  })
  await server.flushed()
  t.same(keys(world.disk, ...OF_SESSIONS), [])
})

t.test('cursors of many sessions share one write, and sessions that have not moved are not written', async t => {
  const world = makeWorld()
  const server = await Server.start(t, world)
  const links = []
  for (let i = 0; i < 50; i++) links.push((await server.follower(`s${i}`, { t: 1 })).link)
  await server.away('idle', { other: 1 })
  await server.flushed()
  const before = server.store.batches.length
  for (let round = 0; round < 10; round++) {
    await server.publish('t', 'x')
    for (const link of links) link.ack(...link.ids)
  }
  await server.pass(server.limits.cursorFlushMs)
  const written = server.store.batches.slice(before)
    .flatMap(({ changes }) => changes.map(({ table, key }) => [table, key]))
  const cursors = written.filter(([table]) => table === 'cursors')
  t.equal(cursors.length, 50, 'once each, for ten messages')
  t.notOk(cursors.some(([, key]) => key === 'idle'))
  t.ok(server.store.batches.slice(before).filter(({ changes }) => changes.length > 0).length <= 2)
})

t.test('[G6] of a session that has ended nothing stays on the disk, however it ended', async t => {
  const world = makeWorld()
  const server = await Server.start(t, world)
  const ends: Array<() => Promise<unknown>> = [
    async () => await server.broker.end('a' as never),
    async () => { (await server.follower('a', {}, { clean: true })).link.detach() },
    async () => { await server.pass(61_000) }
  ]
  for (const end of ends) {
    const { session, link } = await server.follower('a', { t: 2, 'u/#': 1 }, { expiryMs: 60_000 })
    await server.publish('t', 'x', 2)
    await new Promise<void>((resolve) => {
      server.broker.publishOnce(session, 7 as never,
        { topic: 'u', payload: Buffer.from('x'), qos: 2, retain: false, id: '' }, () => { resolve() })
    })
    await server.flushed()
    link.detach()
    await server.flushed()
    t.equal(keys(world.disk, ...OF_SESSIONS).length, 5)
    await end()
    await server.flushed()
    t.same(keys(world.disk, ...OF_SESSIONS), [])
    t.equal(server.stored, 0)
  }
})

t.test('[G6] nor when the disk was full as it ended: it is tried again', async t => {
  const world = makeWorld()
  const server = await Server.start(t, world)
  await server.away('a', { t: 1 }, { expiryMs: 60_000 })
  const heal = server.store.fail()
  await server.pass(61_000)
  t.same([...server.broker.sessions()], [])
  t.not(keys(world.disk, 'sessions').length, 0)
  heal()
  await server.pass(10_000)
  t.same(keys(world.disk, ...OF_SESSIONS), [])
})

t.test('[G2] a new session of the same name is not touched by what is still to be removed of the old', async t => {
  const world = makeWorld()
  const server = await Server.start(t, world)
  await server.away('a', { old: 1, both: 1 }, { expiryMs: 60_000 })
  const heal = server.store.fail()
  await server.pass(61_000)
  heal()
  await server.away('a', { both: 1 })
  await server.pass(10_000)
  await server.publish('both', 'x')
  const next = await server.crashed(t)
  t.same(next.broker.session('a' as never)?.filters, [{ filter: 'both', qos: 1 }])
  const link = await next.back('a')
  await next.quiet()
  t.same(link.got, ['x'])
})

t.test('[G2] a cursor that could not be written is written when the disk is back', async t => {
  const world = makeWorld()
  const server = await Server.start(t, world)
  const { link } = await server.follower('a', { t: 1 })
  await server.away('keeper', { t: 1 })
  await server.publishMany('t', 0, 5)
  const heal = server.store.fail()
  link.ack(...link.ids)
  await server.pass(2_000)
  heal()
  await server.pass(10_000)
  const next = await server.crashed(t)
  const again = await next.back('a')
  await next.quiet()
  t.same(again.got, [], 'all five were acknowledged')
})
