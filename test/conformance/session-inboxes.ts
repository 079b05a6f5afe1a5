/** Messages for people who have no session yet (keepForUsersMs): their first one gets what waits. */
import t from 'tap'
import type { Test } from 'tap'
import type { Principal } from '../../broker/model/message.ts'
import { DAY_MS, numbers, Server, type TestLink, type World, type WorldFactory } from './session-words.ts'

const TOPIC = 'to/u1/hello'
const FILTER = 'to/u1/+'
const INBOX_ID = `$inbox/${FILTER}`
const LIMITS = { keepForUsersMs: DAY_MS, keepForUsersMessagesMax: 5, keepForUsersMax: 2 }

/** `to/<person>/<anything>` is for that person. */
function inboxOf (topic: string): { filter: string, principal: Principal } | undefined {
  const [to, person, ...rest] = topic.split('/')
  return to === 'to' && rest.length === 1 ? { filter: `to/${person}/+`, principal: person as Principal } : undefined
}

async function start (t: Test, world: World, limits: Partial<Server['limits']> = {}): Promise<Server> {
  return await Server.start(t, world, { ...LIMITS, ...limits }, undefined, { inboxOf })
}

/** Comes, subscribes and is attached, as a client of Socket.IO is. */
async function arrive (server: Server, clientId: string, principal = 'u1', filter = FILTER): Promise<TestLink> {
  const session = await server.session(clientId, { principal })
  await server.broker.subscribe(session, 'all', 1)
  await server.broker.subscribe(session, filter, 1)
  const link = server.attach(session)
  await server.quiet()
  return link
}

const sessionsOf = ({ broker }: Server): string[] => [...broker.sessions()].map(({ clientId }) => clientId).sort()

export function inboxesSuite (name: string, factory: WorldFactory): void {
  const check = (sentence: string, body: (t: Test, world: World) => Promise<unknown>): unknown =>
    t.test(`${name}: inboxes: ${sentence}`, async t => { await body(t, factory(t)) })

  check('[G2] the first session of a person gets what was sent to them before', async (t, world) => {
    const server = await start(t, world)
    await server.publishMany(TOPIC, 0, 3)
    await server.publish('all', 'before their time')
    t.same(sessionsOf(server), [INBOX_ID])
    const first = await arrive(server, 'phone')
    t.same(first.got, numbers(0, 3))
    t.same(sessionsOf(server), ['phone'], 'the inbox has ended')
    await server.publish(TOPIC, 'later')
    t.equal(first.got.at(-1), 'later')
    t.same((await arrive(server, 'laptop')).got, [], 'the second has missed nothing that was for it')
    first.ack(...first.ids)
    await server.flushed()
    t.equal(server.stored, 0, 'nothing is left when all is acknowledged')
  })

  check('[G2] what waits outlives a stop and a kill', async (t, world) => {
    let server = await start(t, world)
    await server.publish(TOPIC, '0')
    await server.flushed()
    server = await server.stopped(t)
    await server.publish(TOPIC, '1')
    server = await server.crashed(t)
    await server.publish(TOPIC, '2')
    t.same((await arrive(server, 'phone')).got, numbers(0, 3))
    await server.flushed()
    server = await server.crashed(t)
    t.same(sessionsOf(server), ['phone'])
  })

  check('[G2] a session that was never attached takes nothing away', async (t, world) => {
    const server = await start(t, world)
    await server.publish(TOPIC, '0')
    const session = await server.session('lost', { principal: 'u1' })
    await server.broker.subscribe(session, FILTER, 1)
    server.broker.release(session, { endsNew: true })
    t.same((await arrive(server, 'phone')).got, ['0'])
  })

  check('[G2] a subscription that can not be written takes nothing away', async (t, world) => {
    const server = await start(t, world)
    await server.publish(TOPIC, '0')
    const session = await server.session('phone', { principal: 'u1' })
    const mend = server.store.fail()
    await t.rejects(server.broker.subscribe(session, FILTER, 1), { code: 'STORE_UNAVAILABLE' })
    mend()
    server.broker.release(session, { endsNew: true })
    t.same((await arrive(server, 'phone')).got, ['0'])
  })

  check('[G7] nobody else gets it: neither by the filter, nor by the name, nor for a while', async (t, world) => {
    const server = await start(t, world)
    await server.publish(TOPIC, '0')
    t.same((await arrive(server, 'other', 'u2')).got, [], 'whoever subscribes to the filter')
    await t.rejects(server.session(INBOX_ID, { principal: 'u1' }), { code: 'CLIENT_ID_INVALID' })
    const clean = await server.session('clean', { principal: 'u1', clean: true })
    await server.broker.subscribe(clean, FILTER, 1)
    const link = server.attach(clean)
    await server.quiet()
    t.same(link.got, [], 'a clean session would lose it')
    t.same((await arrive(server, 'phone')).got, ['0'])
  })

  check('[G6] [G5] the oldest go beyond keepForUsersMessagesMax, and the person is told', async (t, world) => {
    const server = await start(t, world)
    await server.publishMany(TOPIC, 0, 8)
    await server.pass(server.limits.sweepMs)
    const link = await arrive(server, 'phone')
    t.same(link.got, numbers(3, 8))
    t.same(link.gaps, [[3, 'backlog-messages']])
  })

  check('[G6] each waits for keepForUsersMs, and the inbox ends so long after the last', async (t, world) => {
    const server = await start(t, world, { keepForUsersMs: 4_000 })
    await server.publish(TOPIC, 'old')
    await server.pass(3_000)
    await server.publish(TOPIC, 'new')
    await server.pass(2_500)
    t.same(sessionsOf(server), [INBOX_ID])
    t.same((await arrive(server, 'phone')).got, ['new'])
    await server.publish('to/u2/hello', 'never fetched')
    await server.pass(4_500)
    t.same(sessionsOf(server), ['phone'])
  })

  check('[G6] no more than keepForUsersMax people have one; it is told, and room comes back', async (t, world) => {
    const server = await start(t, world)
    const full: string[] = []
    server.broker.events.on('inboxes-full', ({ filter }) => { full.push(filter) })
    for (const person of ['u1', 'u2', 'u3']) await server.publish(`to/${person}/hello`, person)
    t.same(sessionsOf(server), [INBOX_ID, '$inbox/to/u2/+'])
    t.same(full, ['to/u3/+'])
    await arrive(server, 'phone')
    await server.publish('to/u3/hello', 'again')
    t.same((await arrive(server, 'third', 'u3', 'to/u3/+')).got, ['again'])
  })

  check('[G3] what one publisher sends to several people keeps its order', async (t, world) => {
    const server = await start(t, world)
    const { link } = await server.follower('all', { '#': 1 })
    const topics = ['to/u1/a', 'other', 'to/u2/b', 'to/u1/c']
    await Promise.all(topics.map(async (topic) => { await server.publish(topic, topic) }))
    t.same(link.got, topics)
  })
}
