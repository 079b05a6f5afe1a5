/** How deliveries are handed to links: together, in turn, and never more than a link takes. */
import t from 'tap'
import type { Delivery } from '../../broker/session/link.ts'
import { createMemoryStore } from '../../broker/store/memory.ts'
import { numbers, Server, type World } from '../conformance/session-words.ts'

const world = (): World => ({ create: () => createMemoryStore(), crash () {} })

t.test('what comes in one turn is handed over in one call', async t => {
  const server = await Server.start(t, world())
  const { link } = await server.follower('a', { t: 1 })
  const calls: number[] = []
  const deliver = link.deliver.bind(link)
  link.deliver = (some) => {
    calls.push(some.length)
    deliver(some)
  }
  await server.publishMany('t', 0, 50)
  t.same(calls, [50])
  link.ack(...link.ids)
  await server.publishMany('t', 50, 60)
  t.same(calls, [50, 10])
})

t.test('[G8] a session that drains a backlog takes turns with the others', async t => {
  const server = await Server.start(t, world(), { inflightMessagesMax: 10 })
  for (const id of ['a', 'b', 'c']) await server.away(id, { t: 1 })
  await server.publishMany('t', 0, 200)
  const turns: string[] = []
  const sessions = await Promise.all(['a', 'b', 'c'].map(async (id) => await server.session(id)))
  for (const session of sessions) {
    const id = session.clientId
    const link = server.attach(session)
    const deliver = link.deliver.bind(link)
    link.deliver = (some: readonly Delivery[]) => {
      turns.push(id)
      deliver(some)
      const ids = some.map(({ packetId }) => packetId)
      queueMicrotask(() => { link.ack(...ids) })
    }
  }
  await server.quiet()
  await server.quiet()
  t.equal(turns.length, 3 * 20)
  for (const id of ['a', 'b', 'c']) {
    const places = turns.flatMap((one, i) => one === id ? [i] : [])
    t.ok(places.every((place, i) => i === 0 || place - places[i - 1] <= 6), `${id}: ${places.join(' ')}`)
  }
})

t.test('[G6] no call hands over much more than writeBufferBytesMax, whatever the window allows', async t => {
  const writeBufferBytesMax = 10_000
  const server = await Server.start(t, world(), { writeBufferBytesMax, inflightMessagesMax: 1_000 })
  await server.away('a', { t: 2 })
  for (let i = 0; i < 100; i++) await server.publish('t', Buffer.alloc(999, i), (i % 2 + 1) as 1 | 2)
  const link = server.attach(await server.session('a'))
  let largest = 0
  let bytes = 0
  const deliver = link.deliver.bind(link)
  link.deliver = (some) => {
    const now = some.reduce((sum, { message }) => sum + message.payload.length, 0)
    largest = Math.max(largest, now)
    bytes += now
    deliver(some)
    link.writable = false // until the transport has taken it
    setImmediate(() => {
      link.writable = true
      link.attachment!.drained()
    })
  }
  await server.drain(link, 100)
  t.equal(bytes, 99_900)
  t.ok(largest <= writeBufferBytesMax + 1_000, `${largest} bytes in one call`)
  t.same(link.deliveries.map(({ message }) => message.payload[0]), numbers(0, 100).map(Number))
})

t.test('[G8] QoS 0 goes past a full window, and is dropped and counted where the link is full', async t => {
  const server = await Server.start(t, world(), { inflightMessagesMax: 1 })
  const { link } = await server.follower('a', { t: 1 })
  await server.publishMany('t', 0, 3)
  await server.publish('t', 'QoS 0', 0)
  await server.quiet()
  t.same(link.got, ['0', 'QoS 0'])
  link.writable = false
  for (let i = 0; i < 5; i++) await server.publish('t', 'dropped', 0)
  t.equal(server.broker.stats().droppedQos0, 5)
})

t.test('the counters say what was delivered and what was acknowledged', async t => {
  const server = await Server.start(t, world())
  const { link } = await server.follower('a', { t: 1 })
  await server.publishMany('t', 0, 5)
  link.ack(...link.ids.slice(0, 3), 999)
  await server.quiet()
  t.match(server.broker.stats(), { published: 5, delivered: 5, acknowledged: 3, sessions: 1, attached: 1, filters: 1 })
})
