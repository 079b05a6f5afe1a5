/** What a session is owed when it subscribes: the messages that are retained, as a function of a factory of stores. */
import t from 'tap'
import type { Test } from 'tap'
import { Server, type TestLink, type World, type WorldFactory } from './session-words.ts'

export function retainedSuite (name: string, factory: WorldFactory): void {
  const check = (sentence: string, body: (t: Test, world: World) => Promise<unknown>): unknown =>
    t.test(`${name}: ${sentence}`, async t => { await body(t, factory(t)) })

  check('[G6] a SUBSCRIBE that is repeated begins anew, and brings each once, however often', async (t, world) => {
    const server = await Server.start(t, world, { inflightMessagesMax: 10 })
    await retain(server, 100)
    for (const clean of [true, false]) {
      const { session, link } = await server.follower(`clean ${clean}`, { 'r/#': 1 }, { clean })
      await server.quiet()
      t.equal(link.got.length, 10, 'the window is full')
      for (let i = 0; i < 50; i++) await server.broker.subscribe(session, 'r/#', 1)
      await drain(server, link)
      t.equal(link.got.length, 110, 'what was out already, and all of them once more')
      t.equal(topics(link, 10).size, 100)
    }
  })

  check('[G2] at QoS 0, too, what is owed waits for room, and none is dropped', async (t, world) => {
    const server = await Server.start(t, world, { writeBufferBytesMax: 5_000 })
    await retain(server, 60, Buffer.alloc(1_000))
    await retain(server, 3, Buffer.alloc(20_000), 'large')
    const { link } = await server.follower('a', {})
    let handed = 0
    const deliver = link.deliver.bind(link)
    link.deliver = (some) => {
      deliver(some)
      handed++
      link.writable = false // until it has taken this
      setImmediate(() => {
        link.writable = true
        link.attachment!.drained()
      })
    }
    await server.broker.subscribe(link.session!, '#', 0)
    for (let before = -1; handed > before;) {
      before = handed
      await server.quiet()
    }
    t.equal(topics(link).size, 63)
    t.equal(link.got.length, 63)
    t.ok(handed > 10, `it was full ${handed} times`)
    t.equal(server.broker.stats().droppedQos0, 0)
  })

  check('[G8] many of them come a turn at a time, and two who subscribe share the turns', async (t, world) => {
    const server = await Server.start(t, world)
    const count = 1_500
    await retain(server, count)
    const { link: first } = await server.follower('first', {}, { clean: true })
    const { link: second } = await server.follower('second', {}, { clean: true })
    const turns = watchTurns(server, () => [first.got.length, second.got.length])
    for (const link of [first, second]) await server.broker.subscribe(link.session!, '#', 0)
    t.same([first.got.length, second.got.length], [0, 0], 'SUBACK goes before')
    await server.quiet()
    t.same([topics(first).size, topics(second).size], [count, count])
    for (const [one, other] of turns) {
      if (Math.abs(one - other) > count / 10) t.fail(`after a turn they have ${one} and ${other}`)
    }
    t.ok(turns.length > 5, `${turns.length} turns`)
  })

  check('[G8] a search that finds nothing is put off, too, and what comes after it waits [G3]', async (t, world) => {
    const server = await Server.start(t, world)
    await retain(server, 5_000)
    const { link } = await server.follower('a', {})
    const turns = watchTurns(server, () => [link.got.length])
    for (const filter of ['+/+/nothing', 'r/7']) await server.broker.subscribe(link.session!, filter, 1)
    await server.publish('r/7', 'live')
    t.same(link.got, [])
    await server.quiet()
    t.same(link.got, ['7', 'live'], 'the retained one first')
    t.ok(turns.length > 2, `${turns.length} turns`)
  })

  check('[G2] a connection that breaks on the way goes on where it was; a crash begins anew', async (t, world) => {
    const before = await Server.start(t, world, { inflightMessagesMax: 10 })
    await retain(before, 40)
    const { link } = await before.follower('a', { 'r/#': 1 })
    await before.quiet()
    link.ack(...link.ids)
    await before.quiet()
    link.detach()
    t.equal(link.got.length, 20)
    const again = await before.back('a')
    await before.quiet()
    const seen = new Set([...topics(link), ...topics(again)])
    t.equal(again.dups.filter((dup) => dup).length, 10, 'what was out comes again')
    for (let i = 0; i < 4; i++) {
      again.ack(...again.ids)
      await before.quiet()
      for (const topic of topics(again)) seen.add(topic)
    }
    t.equal(again.got.length, 30, 'no more than what was not acknowledged')
    t.equal(seen.size, 40)

    await before.broker.subscribe(again.session!, 'r/#', 1)
    await before.quiet()
    again.ack(...again.ids.slice(30))
    await before.quiet()
    const after = await before.crashed(t)
    const last = await after.back('a')
    await drain(after, last)
    t.equal(topics(last).size, 40, 'all are owed until all are acknowledged')
    const later = await after.crashed(t)
    const link4 = await later.back('a')
    await drain(later, link4)
    t.same(link4.got, [], 'and not again')
  })

  check('[G2] acknowledging those of one SUBSCRIBE does not settle those of the next', async (t, world) => {
    const server = await Server.start(t, world, { inflightMessagesMax: 10 })
    await retain(server, 10)
    const { session, link } = await server.follower('a', { 'r/#': 1 })
    await server.quiet()
    t.equal(link.got.length, 10, 'all are out')
    const letGo = server.store.hold()
    const granted = server.broker.subscribe(session, 'r/#', 1)
    link.ack(...link.ids)
    letGo()
    await granted
    await server.broker.settled()
    const after = await server.crashed(t)
    const again = await after.back('a')
    await drain(after, again)
    t.equal(topics(again).size, 10)
  })

  check('[MQTT-3.10.4-1] after UNSUBSCRIBE no more of them come, and nothing of it is kept', async (t, world) => {
    const server = await Server.start(t, world, { inflightMessagesMax: 10 })
    await retain(server, 40)
    const { session, link } = await server.follower('a', { 'r/#': 1 })
    await server.quiet()
    for (let i = 0; i < 20; i++) {
      await server.broker.unsubscribe(session, 'r/#')
      await server.broker.subscribe(session, 'r/#', 1)
    }
    await server.broker.unsubscribe(session, 'r/#')
    t.notOk(session.retainedDue !== undefined && session.retainedDue.size > 0)
    await drain(server, link)
    t.equal(link.got.length, 10)
  })
}

/** `r/0` and so on, with the number as its payload. */
async function retain (server: Server, count: number, payload?: Buffer, prefix = 'r'): Promise<void> {
  await Promise.all(Array.from({ length: count }, async (_, i) => {
    await server.publish(`${prefix}/${i}`, payload ?? String(i), 1, true)
  }))
}

/** What there is to see after each turn that something was put off to. */
function watchTurns<T> (server: Server, look: () => T): T[] {
  const turns: T[] = []
  const { clock } = server
  const after = clock.after.bind(clock)
  clock.after = (ms, callback) => after(ms, () => {
    callback()
    if (ms === 0) turns.push(look())
  })
  return turns
}

/** Acknowledges what comes until nothing comes any more. */
async function drain (server: Server, link: TestLink): Promise<void> {
  for (let next = 0; ;) {
    await server.quiet()
    const more = link.ids.slice(next)
    if (more.length === 0) return
    next += more.length
    link.ack(...more)
  }
}

function topics (link: TestLink, from = 0): Set<string> {
  return new Set(link.deliveries.slice(from).map(({ message }) => message.topic))
}
