import t from 'tap'
import { anonymous, silent } from '../../broker/index.ts'
import { createMemoryDisk, createMemoryStore } from '../../broker/store/memory.ts'
import { startInProcess } from '../helpers/in-process.ts'
import {
  connectWire, publish1, publish2, publishPacket, subscribe, take, text, uniqueId, type WireClient
} from '../helpers/mqtt-wire.ts'
import { within } from '../helpers/wait.ts'

t.test('[MQTT-3.8.4-1] [MQTT-3.8.4-5] [MQTT-3.9.3-1] SUBACK grants each filter its QoS, in their order', async t => {
  const server = await startInProcess(t)
  const { client } = await connectWire(t, server)
  t.same(await subscribe(client, [['a', 0], ['b/+', 1], ['c/#', 2], ['d', 0]], 7), [0, 1, 2, 0])
})

t.test('[MQTT-3.8.4-4] a filter twice in one SUBSCRIBE has two return codes; the last one holds', async t => {
  const server = await startInProcess(t)
  const { client } = await connectWire(t, server)
  t.same(await subscribe(client, [['a', 2], ['b', 1], ['a', 1]]), [2, 1, 1])
  const { client: publisher } = await connectWire(t, server)
  await publish2(publisher, 'a', 'x')
  t.equal((await take(client)).qos, 1)
})

const REFUSED = [
  'a/#/b', 'a#', '#a', 'a/b#', '+a', 'a+/b', 'a/+b/c', '#/', '##',
  `${'x'.repeat(2_000)}`, Array(100).fill('a').join('/')
]

t.test('[MQTT-3.9.3-2] a filter that is malformed, long or deep gets 0x80, its neighbours are granted', async t => {
  const server = await startInProcess(t)
  for (const filter of REFUSED) {
    const { client } = await connectWire(t, server, { clean: false })
    const codes = await subscribe(client, [['fine/1', 1], [filter, 1], ['fine/2', 0]]).catch(String)
    t.same(codes, [1, 0x80, 0], filter.slice(0, 20))
    if (!client.isClosed) t.same(await client.untilPong(), [], 'the connection goes on')
  }
})

t.test('[G2] a subscription that would bring nothing is not granted', async t => {
  const server = await startInProcess(t)
  const { client } = await connectWire(t, server)
  const filters = ['$queue/a', '$exclusive/a', '$delayed/5/a', '$share/', '$share/g', '$share/g/', '$share//a',
    '$share/g+/a', '$share/#/a', '$share/g/a#', '$share/g/$share/g/a', '$share/g/$queue/a', '$share/g/$holdfast/gap',
    `$share/g/${'a'.repeat(900)}`]
  for (const filter of filters) {
    t.same(await subscribe(client, [['a', 1], [filter, 1]]), [1, 0x80], filter)
  }
  t.equal(server.refusals.counts.filters, filters.length, 'each is counted, and told')
  t.same(await subscribe(client, [['$shared/a', 1], ['$SYS/#', 1], ['share/$share/a', 1]]), [1, 1, 1])
})

t.test('access control is asked for the filter behind a group; QoS 1 is the most that is granted', async t => {
  const asked: string[] = []
  const auth = {
    ...anonymous,
    maySubscribe: async (_who: string, _id: string, filter: string) => { asked.push(filter); return filter !== 'no/#' }
  }
  const server = await startInProcess(t, { auth })
  const { client } = await connectWire(t, server)
  t.same(await subscribe(client, [['$share/g/no/#', 1], ['$share/g/yes/#', 2], ['$share/g//x', 0]]), [0x80, 1, 0])
  t.same(asked, ['no/#', 'yes/#', '/x'])
})

t.test('a filter that access control refuses gets 0x80, and nothing of it is delivered [MQTT-3.9.3-2]', async t => {
  const auth = { ...anonymous, maySubscribe: async (_who: string, _id: string, filter: string) => filter !== 'no/#' }
  const server = await startInProcess(t, { auth })
  const { client } = await connectWire(t, server)
  t.same(await subscribe(client, [['no/#', 1], ['yes/#', 1]]), [0x80, 1])
  await publish1(client, 'no/a', 'hidden')
  client.send(publishPacket('yes/a', 'seen', { qos: 1, messageId: 2 }))
  const got = [await client.next(), await client.next()]
  t.same(got.map(({ cmd }) => cmd).sort(), ['puback', 'publish'])
  t.match(got.find(({ cmd }) => cmd === 'publish'), { topic: 'yes/a' })
})

t.test('[G6] a session over filtersPerSessionMax gets 0x80 for what is too much', async t => {
  const server = await startInProcess(t, { limits: { filtersPerSessionMax: 2 } })
  const { client } = await connectWire(t, server, { clean: false })
  t.same(await subscribe(client, [['a', 1], ['b', 1], ['c', 1]]), [1, 1, 0x80])
  t.same(await subscribe(client, [['a', 2]]), [2], 'replacing is not adding')
  client.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['a'] })
  await client.expect('unsuback')
  t.same(await subscribe(client, [['c', 1]]), [1], 'there is room again')
})

/** Subscriptions of one client, what is published at which QoS, and the QoS at which it comes, once. */
const OVERLAPS: ReadonlyArray<readonly [Array<readonly [string, 0 | 1 | 2]>, 0 | 1 | 2, 0 | 1 | 2]> = [
  [[['a/#', 0], ['a/b', 1]], 1, 1],
  [[['a/#', 1], ['a/b', 0]], 1, 1],
  [[['a/#', 1], ['a/+', 2], ['a/b', 0]], 2, 2],
  [[['#', 2], ['a/b', 1]], 2, 2],
  [[['#', 2], ['a/b', 1]], 1, 1],
  [[['a/b', 2], ['+/+', 2], ['a/+', 2], ['+/b', 2]], 0, 0],
  [[['a/#', 0], ['a/+', 0]], 2, 0]
]

t.test('[MQTT-3.3.5-1] [MQTT-3.8.4-6] overlapping filters deliver once, at the highest QoS [G4]', async t => {
  const server = await startInProcess(t)
  const { client: publisher } = await connectWire(t, server)
  for (const [filters, published, expected] of OVERLAPS) {
    for (const clean of [true, false]) {
      const { client } = await connectWire(t, server, { clean })
      await subscribe(client, [...filters, ['end', 1]])
      await publishAt(publisher, published, 'a/b', 'once')
      await publish1(publisher, 'end', 'end', 9)
      const message = await take(client)
      t.match(message, { topic: 'a/b', qos: expected, dup: false }, `${JSON.stringify(filters)} at ${published}`)
      t.equal((await take(client)).topic, 'end', 'and not again')
      client.destroy()
    }
  }
})

async function publishAt (client: WireClient, qos: 0 | 1 | 2, topic: string, payload: string): Promise<void> {
  client.send(publishPacket(topic, payload, { qos, ...(qos > 0 ? { messageId: 5 } : {}) }))
  if (qos === 1) await client.expect('puback')
  if (qos !== 2) return
  await client.expect('pubrec')
  client.send({ cmd: 'pubrel', messageId: 5 })
  await client.expect('pubcomp')
}

/** Filter, topic, does it match (MQTT 3.1.1, section 4.7). */
const MATCHES: ReadonlyArray<readonly [string, string, boolean]> = [
  ['sport/tennis/#', 'sport/tennis', true],
  ['sport/tennis/#', 'sport/tennis/player/rank', true],
  ['sport/#', 'sportless', false],
  ['sport/+', 'sport', false],
  ['sport/+', 'sport/', true],
  ['+/+', '/finance', true],
  ['/+', '/finance', true],
  ['+', '/finance', false],
  ['a/+/c', 'a//c', true],
  ['a/+/c', 'a/b/d/c', false],
  ['#', '/', true],
  ['A', 'a', false],
  ['a/b', 'a/b/', false],
  ['#', '$private/a', false],
  ['+/a', '$private/a', false],
  ['$private/#', '$private/a', true],
  ['$private/+', '$private/a', true],
  ['ä/ö/+', 'ä/ö/😀', true]
]

t.test('[MQTT-3.3.2-3] [MQTT-4.7.1-2] [MQTT-4.7.1-3] [MQTT-4.7.2-1] wildcards match levels, no first $', async t => {
  const server = await startInProcess(t)
  const { client: publisher } = await connectWire(t, server)
  for (const [filter, topic, expected] of MATCHES) {
    const { client } = await connectWire(t, server, { clean: false })
    await subscribe(client, [[filter, 1], ['end/of/it', 1]])
    await publish1(publisher, topic, 'x')
    await publish1(publisher, 'end/of/it', 'x', 2)
    const first = await take(client)
    const says = `${filter} ${expected ? 'matches' : 'does not match'} ${topic}`
    t.equal(first.topic, expected ? topic : 'end/of/it', says)
    client.send({ cmd: 'disconnect' })
    await within(client.closed, 'the end of the connection')
  }
})

t.test('[MQTT-3.8.4-3] a subscription of the same filter is replaced, not added', async t => {
  const server = await startInProcess(t)
  const { client } = await connectWire(t, server, { clean: false })
  const { client: publisher } = await connectWire(t, server)
  await subscribe(client, { a: 2 })
  await subscribe(client, { a: 0 })
  await publish1(publisher, 'a', 'x')
  t.match(await take(client), { qos: 0 })
  await subscribe(client, { a: 1 })
  await publish1(publisher, 'a', 'y', 2)
  t.match(await take(client), { qos: 1 })
  t.same(await client.untilPong(), [])
})

t.test('[MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-3.10.4-6] UNSUBSCRIBE is answered once, whatever is there', async t => {
  const server = await startInProcess(t)
  const { client } = await connectWire(t, server, { clean: false })
  await subscribe(client, { a: 1 })
  const malformed = ['a/#/b', 'x/a+/b', '#/a', 'a#', 'x/+a']
  for (const unsubscriptions of [['never'], malformed, [...malformed, 'a', 'a', 'never'], ['a']]) {
    client.send({ cmd: 'unsubscribe', messageId: 77, unsubscriptions })
    t.equal((await client.expect('unsuback')).messageId, 77)
    t.same(await client.untilPong(), [])
  }
  await publish1(client, 'a', 'unwanted', 78)
  t.same(await client.untilPong(), [], 'what was granted is left, whatever stood beside it')
})

t.test('[MQTT-3.10.4-2] UNSUBSCRIBE stops what is queued and finishes what was sent [MQTT-3.10.4-3]', async t => {
  const server = await startInProcess(t, { limits: { inflightMessagesMax: 4 } })
  const clientId = uniqueId()
  const { client } = await connectWire(t, server, { clientId, clean: false })
  const { client: publisher } = await connectWire(t, server)
  await subscribe(client, { 'a/#': 1, 'b/#': 1 })
  for (let i = 0; i < 20; i++) await publish1(publisher, 'a/x', `a${i}`, 1 + i)
  await publish1(publisher, 'b/x', 'b', 100)
  const sent = await client.messages(4)
  client.send({ cmd: 'unsubscribe', messageId: 77, unsubscriptions: ['a/#'] })
  await client.expect('unsuback')
  for (const { messageId } of sent) client.send({ cmd: 'puback', messageId })
  t.equal(text(await take(client)), 'b', 'nothing of a/# any more')
  t.same(await client.untilPong(), [])
})

t.test('[MQTT-3.10.4-1] UNSUBSCRIBE leaves the other filter of the same topic alone', async t => {
  const server = await startInProcess(t)
  const clientId = uniqueId()
  const { client } = await connectWire(t, server, { clientId, clean: false })
  const { client: publisher } = await connectWire(t, server)
  await subscribe(client, { 'a/#': 1, 'a/b': 1 })
  client.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['a/#'] })
  await client.expect('unsuback')
  client.destroy()
  await publish1(publisher, 'a/b', 'while away')
  await publish1(publisher, 'a/c', 'unwanted', 2)
  const { client: back } = await connectWire(t, server, { clientId, clean: false })
  t.equal(text(await take(back)), 'while away')
  t.same(await back.untilPong(), [])
})

t.test('[G3] SUBSCRIBE and UNSUBSCRIBE take effect in their order, however long access control takes', async t => {
  const disk = createMemoryDisk()
  let asked = 0
  const auth = {
    ...anonymous,
    async maySubscribe () {
      for (let i = asked++ % 2 === 0 ? 20 : 1; i > 0; i--) await new Promise((resolve) => { setImmediate(resolve) })
      return true
    }
  }
  const server = await startInProcess(t, { auth, store: createMemoryStore(disk) })
  const { client } = await connectWire(t, server, { clientId: 'c', clean: false })
  client.send(
    { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'a', qos: 1 }] },
    { cmd: 'subscribe', messageId: 2, subscriptions: [{ topic: 'b', qos: 1 }, { topic: 'c', qos: 1 }] },
    { cmd: 'unsubscribe', messageId: 3, unsubscriptions: ['a', 'c'] },
    { cmd: 'subscribe', messageId: 4, subscriptions: [{ topic: 'c', qos: 2 }] })
  for (const messageId of [1, 2, 3, 4]) t.match(await client.next(), { messageId })
  const { client: publisher } = await connectWire(t, server)
  for (const [i, topic] of ['a', 'b', 'c'].entries()) await publish1(publisher, topic, topic, i + 1)
  t.same([(await take(client)).topic, (await take(client)).topic], ['b', 'c'])
  t.same(await client.untilPong(), [], 'nothing of what was unsubscribed')
  await server.close()
  const again = await startInProcess(t, { store: createMemoryStore(disk) })
  t.same([...again.broker.sessions()].flatMap(({ filters }) => filters.map(({ filter }) => filter)).sort(), ['b', 'c'])
})

t.test('[G8] filters that are refused again and again write a line in the log once in a while', async t => {
  const lines: object[] = []
  const warn = (fields: object, message: string): void => {
    if (message.startsWith('a subscription was refused')) lines.push(fields)
  }
  const auth = { ...anonymous, maySubscribe: () => false }
  const server = await startInProcess(t, { auth, log: { ...silent, warn } })
  const { client } = await connectWire(t, server, { clientId: 'curious' })
  for (let messageId = 1; messageId <= 100; messageId++) {
    client.send({ cmd: 'subscribe', messageId, subscriptions: [{ topic: `secret/${messageId}`, qos: 0 }] })
    t.same((await client.expect('suback')).granted, [0x80])
  }
  t.match(lines, [{ clientId: 'curious', topic: '"secret/1"', times: 1 }])
  t.equal(lines.length, 1)
})

t.test('[MQTT-3.8.4-2] [MQTT-2.3.1-7] SUBACK and UNSUBACK carry the identifiers of what they answer', async t => {
  const { client } = await connectWire(t, await startInProcess(t))
  const ids = [1, 65_535, 256, 255, 1]
  for (const messageId of ids) {
    client.send({ cmd: 'subscribe', messageId, subscriptions: [{ topic: 'a', qos: 1 }] })
    t.equal((await client.expect('suback')).messageId, messageId)
    client.send({ cmd: 'unsubscribe', messageId: 65_536 - messageId, unsubscriptions: ['a'] })
    t.equal((await client.expect('unsuback')).messageId, 65_536 - messageId)
  }
})

t.test('[MQTT-1.5.3-3] [MQTT-4.7.3-4] U+FEFF is part of a topic, and no spelling stands for another', async t => {
  const server = await startInProcess(t)
  const { client: publisher } = await connectWire(t, server)
  const topics = ['a', '\ufeffa', 'a\ufeff', '\u00e9', 'e\u0301', 'A']
  for (const filter of topics) {
    const { client } = await connectWire(t, server)
    await subscribe(client, [[filter, 1], ['end', 1]])
    for (const topic of [...topics, 'end']) await publish1(publisher, topic, 'x')
    t.same([(await take(client)).topic, (await take(client)).topic], [filter, 'end'], JSON.stringify(filter))
    client.destroy()
  }
})
