/**
 * What Aedes with its stock persistences was measured to lose, reorder or stall on, one test each, on our server.
 * The sentence after the letter says what the stock stack did.
 */
import t from 'tap'
import type { IPublishPacket } from 'mqtt-packet'
import { createMemoryDisk, createMemoryStore } from '../../broker/store/memory.ts'
import { startInProcess, type InProcess } from '../helpers/in-process.ts'
import {
  connectPacket, connectWire, openWire, publish1, publishPacket, subscribe, take, text, uniqueId, type WireClient
} from '../helpers/mqtt-wire.ts'
import { createStoreDouble } from '../helpers/store-double.ts'
import { until } from '../helpers/wait.ts'

const numbers = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, i) => String(from + i))

/** In one write; resolves with the last PUBACK. */
async function publishMany (client: WireClient, topic: string, from: number, to: number): Promise<void> {
  client.send(...numbers(from, to).map((payload, i) => publishPacket(topic, payload, { qos: 1, messageId: i + 1 })))
  for (let i = from; i < to; i++) await client.expect('puback')
}

/** Acknowledges as a client does, at once, until so many have come. */
async function takeMany (client: WireClient, count: number): Promise<IPublishPacket[]> {
  const messages: IPublishPacket[] = []
  while (messages.length < count) messages.push(await take(client))
  return messages
}

const texts = (messages: readonly IPublishPacket[]): string[] => messages.map(text)

async function away (t: Parameters<typeof connectWire>[0], server: InProcess, filters: Record<string, 0 | 1 | 2>):
Promise<string> {
  const clientId = uniqueId()
  const { client } = await connectWire(t, server, { clientId, clean: false })
  await subscribe(client, filters)
  client.send({ cmd: 'disconnect' })
  await client.closed
  return clientId
}

async function back (t: Parameters<typeof connectWire>[0], server: InProcess, clientId: string): Promise<WireClient> {
  return (await connectWire(t, server, { clientId, clean: false })).client
}

t.test('[G1] A: PUBACK came after 2 ms, the message was stored after 300: what was acknowledged was lost', async t => {
  const disk = createMemoryDisk()
  const store = createStoreDouble(createMemoryStore(disk))
  const server = await startInProcess(t, { store })
  await away(t, server, { a: 2 })
  for (const qos of [1, 2] as const) {
    const { client } = await connectWire(t, server)
    const letGo = store.hold()
    client.send(publishPacket('a', 'x', { qos, messageId: 1 }))
    t.same(await client.untilPong(), [], 'no receipt while it is being written')
    t.equal(disk.entries.size, qos - 1)
    letGo()
    t.equal((await client.next()).cmd, qos === 1 ? 'puback' : 'pubrec')
    t.equal(disk.entries.size, qos)
  }
})

t.test('[G1] A2: a store that refused was only heard of after PUBACK', async t => {
  const store = createStoreDouble(createMemoryStore())
  const server = await startInProcess(t, { store })
  const clientId = await away(t, server, { a: 1 })
  const { client } = await connectWire(t, server)
  const heal = store.fail()
  client.send(publishPacket('a', 'x', { qos: 1, messageId: 1 }))
  await client.closed
  t.same(client.waiting, [])
  heal()
  const { client: retry } = await connectWire(t, server)
  await publish1(retry, 'a', 'x')
  t.equal(text(await take(await back(t, server, clientId))), 'x')
})

t.test('[G2] B: 200 of 200 were never delivered live when a QoS 0 message came right behind each', async t => {
  const server = await startInProcess(t)
  const { client } = await connectWire(t, server, { clean: false })
  await subscribe(client, { '#': 1 })
  const { client: publisher } = await connectWire(t, server)
  for (let i = 0; i < 200; i++) {
    publisher.send(publishPacket('a', `${i}`, { qos: 1, messageId: i + 1, retain: i % 2 === 0 }))
    publisher.send(publishPacket('b', 'QoS 0'))
    await publisher.expect('puback')
  }
  const got: string[] = []
  while (got.length < 200) {
    const message = await take(client)
    if (message.qos === 1) got.push(text(message))
  }
  t.same(got, numbers(0, 200))
})

t.test('[G2] B: ten of ten retained messages were dropped live when one followed on the same topic', async t => {
  const server = await startInProcess(t)
  const { client } = await connectWire(t, server)
  await subscribe(client, { a: 1 })
  const { client: publisher } = await connectWire(t, server)
  publisher.send(...numbers(0, 20).map((payload, i) =>
    publishPacket('a', payload, { qos: 1, messageId: i + 1, retain: i % 2 === 0 })))
  t.same(texts(await takeMany(client, 20)), numbers(0, 20))
})

t.test('[G2] [G3] C: of 3,000 queued messages 1,001 came, then silence, then live ones overtook the rest', async t => {
  const server = await startInProcess(t)
  const clientId = await away(t, server, { a: 1 })
  const { client: publisher } = await connectWire(t, server)
  await publishMany(publisher, 'a', 0, 3_000)
  const client = await back(t, server, clientId)
  const some = await takeMany(client, 1_000)
  await publishMany(publisher, 'a', 3_000, 3_005)
  t.same(texts([...some, ...await takeMany(client, 2_005)]), numbers(0, 3_005))
})

t.test('[G2] D: an acknowledgement of one client removed the message of another under the same identifier', async t => {
  const server = await startInProcess(t)
  const shifted = await connectWire(t, server, { clientId: uniqueId(), clean: false })
  const { client: publisher } = await connectWire(t, server)
  await subscribe(shifted.client, { shift: 1, a: 1 })
  await publish1(publisher, 'shift', 'x')
  await take(shifted.client)
  const clientId = uniqueId()
  const { client } = await connectWire(t, server, { clientId, clean: false })
  await subscribe(client, { a: 1 })
  await publishMany(publisher, 'a', 1, 3)
  const [first, second] = await shifted.client.messages(2)
  const [own, other] = await client.messages(2)
  t.equal(first.messageId, other.messageId, 'the same identifier stands for different messages')
  shifted.client.send({ cmd: 'puback', messageId: first.messageId })
  shifted.client.send({ cmd: 'puback', messageId: second.messageId })
  client.send({ cmd: 'puback', messageId: own.messageId })
  await Promise.all([shifted.client.untilPong(), client.untilPong()])
  client.destroy()
  await client.closed
  t.match(await takeMany(await back(t, server, clientId), 1), [{ messageId: other.messageId, dup: true }])
})

t.test('[G3] H: live messages overtook the backlog: 950 of 1,900 came out of order', async t => {
  const server = await startInProcess(t)
  const clientId = await away(t, server, { a: 1 })
  const { client: publisher } = await connectWire(t, server)
  await publishMany(publisher, 'a', 0, 900)
  const client = await back(t, server, clientId)
  const [messages] = await Promise.all([takeMany(client, 1_900), publishMany(publisher, 'a', 900, 1_900)])
  t.same(texts(messages), numbers(0, 1_900))
  t.notOk(messages.some(({ dup }) => dup))
})

t.test('[G6] K: 66,500 unacknowledged messages were pushed at a client, identifiers were reused while out', async t => {
  const server = await startInProcess(t)
  const { client } = await connectWire(t, server, { clean: false })
  await subscribe(client, { a: 1 })
  const { client: publisher } = await connectWire(t, server)
  await publishMany(publisher, 'a', 0, 5_000)
  const out = (await client.untilPong()).map((packet) => packet.messageId)
  t.equal(out.length, server.broker.limits.inflightMessagesMax)
  t.equal(new Set(out).size, out.length)
})

t.test('[G8] O: one slow reader stalled the broker: an unrelated message took 59.6 seconds', async t => {
  const server = await startInProcess(t)
  const { client: slow } = await connectWire(t, server, { clean: false })
  await subscribe(slow, { 'big/#': 0 })
  const { client: other } = await connectWire(t, server)
  await subscribe(other, { small: 1 })
  const { client: publisher } = await connectWire(t, server)
  slow.freeze()
  const big = Buffer.alloc(500_000)
  for (let i = 0; i < 100; i++) publisher.send(publishPacket('big/x', big))
  await publisher.untilPong()
  t.ok(server.broker.stats().droppedQos0 > 0, 'it is full')
  const start = Date.now()
  await publish1(publisher, 'small', 'x')
  t.equal(text(await take(other)), 'x')
  t.ok(Date.now() - start < server.broker.limits.stallTimeoutMs / 2)
})

t.test('[G2] [G3] P: subscribing while others publish: 5 of 40 were disconnected', async t => {
  const server = await startInProcess(t)
  const { client: publisher } = await connectWire(t, server)
  let published = 0
  let isOver = false
  const publishing = (async () => {
    while (!isOver) {
      await publishMany(publisher, 'a', published, published + 20)
      published += 20
    }
  })()
  const clients: WireClient[] = []
  for (let i = 0; i < 40; i++) {
    const { client } = await connectWire(t, server, { clean: false })
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'a', qos: 1 }] })
    clients.push(client)
    const before = published
    await until(() => published > before, 'more to be published', undefined, 1)
  }
  isOver = true
  await publishing
  for (const client of clients) {
    const got: number[] = []
    while (got.at(-1) !== published - 1) {
      const packet = await client.next()
      if (packet.cmd === 'suback') continue
      got.push(Number(text(packet as IPublishPacket)))
      client.send({ cmd: 'puback', messageId: packet.messageId })
    }
    t.equal(got.length, published - got[0], 'from its place on, all of it')
    t.ok(got.every((n, i) => n === got[0] + i), 'in order')
  }
})

t.test('[G2] Q: where filters of one client overlapped, one at another QoS or gone, messages were lost', async t => {
  const server = await startInProcess(t)
  const { client: publisher } = await connectWire(t, server)
  const overlapping: Array<Record<string, 0 | 1 | 2>> =
    [{ 'a/#': 1, 'a/b': 0 }, { 'a/#': 1, 'a/b': 2 }, { '+/b': 1, 'a/b': 0 }]
  for (const filters of overlapping) {
    const clientId = await away(t, server, filters)
    await publish1(publisher, 'a/b', 'x')
    t.match(await take(await back(t, server, clientId)), { qos: 1 })
  }
  const clientId = uniqueId()
  const { client } = await connectWire(t, server, { clientId, clean: false })
  await subscribe(client, { 'a/b': 1, 'a/#': 1 })
  client.send({ cmd: 'unsubscribe', messageId: 9, unsubscriptions: ['a/#'] })
  await client.expect('unsuback')
  client.destroy()
  await client.closed
  await publish1(publisher, 'a/b', 'x')
  t.equal(text(await take(await back(t, server, clientId))), 'x')
})

t.test('[G3] W: what came in one chunk with CONNECT was overtaken: 0..7 became 3,4,5,6,7,0,1,2', async t => {
  const server = await startInProcess(t)
  const { client: watcher } = await connectWire(t, server)
  await subscribe(watcher, { out: 1 })
  const { client: publisher } = await connectWire(t, server)
  const clientId = await away(t, server, { in: 1 })
  await publishMany(publisher, 'in', 0, 900)
  const device = await openWire(t, server)
  const publish = (i: number): IPublishPacket => publishPacket('out', String(i), { qos: 1, messageId: i + 1 })
  device.send(connectPacket({ clientId, clean: false }), publish(0), publish(1), publish(2))
  await device.expect('connack')
  for (let i = 3; i < 8; i++) device.send(publish(i))
  t.same(texts(await takeMany(watcher, 8)), numbers(0, 8))
})

t.test('[G3] W: fifty messages behind CONNECT cost the connection', async t => {
  const server = await startInProcess(t)
  const client = await openWire(t, server)
  client.send(connectPacket(), ...numbers(0, 50).map((payload, i) =>
    publishPacket('a', payload, { qos: 1, messageId: i + 1 })))
  await client.expect('connack')
  for (let i = 0; i < 50; i++) t.equal((await client.expect('puback')).messageId, i + 1)
})

t.test('Z: after a restart the QoS 0 subscriptions of persistent sessions were queued, too', async t => {
  const disk = createMemoryDisk()
  const first = await startInProcess(t, { store: createMemoryStore(disk) })
  const clientId = await away(t, first, { a: 0, b: 1 })
  await first.close()
  const server = await startInProcess(t, { store: createMemoryStore(disk) })
  const { client: publisher } = await connectWire(t, server)
  await publish1(publisher, 'a', 'for nobody who is away')
  await publish1(publisher, 'b', 'waits')
  const client = await back(t, server, clientId)
  t.equal(text(await take(client)), 'waits')
  await publish1(publisher, 'a', 'live')
  t.match(await take(client), { qos: 0 })
  t.same(await client.untilPong(), [])
})

t.test('[G2] Z: a QoS 1 message went out as QoS 0 where a filter of QoS 0 overlapped one of QoS 1', async t => {
  const server = await startInProcess(t)
  const { client } = await connectWire(t, server)
  const { client: publisher } = await connectWire(t, server)
  await subscribe(client, { 'a/b': 0, 'a/+': 1 })
  await publish1(publisher, 'a/b', 'x')
  t.match(await take(client), { qos: 1 })
  t.same(await client.untilPong(), [], 'once')
})

t.test('[G4] Z: a retained QoS 1 message that was sent on SUBSCRIBE was never redelivered', async t => {
  const server = await startInProcess(t)
  const { client: publisher } = await connectWire(t, server)
  await publish1(publisher, 'a', 'x', 1, { retain: true })
  const clientId = uniqueId()
  const { client } = await connectWire(t, server, { clientId, clean: false })
  await subscribe(client, { a: 1 })
  const { messageId } = await client.expect('publish')
  client.destroy()
  await client.closed
  t.match(await take(await back(t, server, clientId)), { messageId, dup: true, retain: true })
})
