/** What can never be taken must not stand in the way of the rest: it gets its receipt, is dropped, counted and told. */
import { connect } from 'mqtt'
import { generate } from 'mqtt-packet'
import t, { type Test } from 'tap'
import { anonymous, type ProgramAuth, type BrokerEvents, type Logger } from '../../broker/index.ts'
import { createMemoryDisk, createMemoryStore } from '../../broker/store/memory.ts'
import { startInProcess, type InProcess, type InProcessOptions } from '../helpers/in-process.ts'
import {
  connectWire, publish1, publish2, publishPacket, subscribe, take, text, uniqueId
} from '../helpers/mqtt-wire.ts'
import { chooseSeed, createRandom } from '../helpers/random.ts'
import { within } from '../helpers/wait.ts'

type Refused = BrokerEvents['refused'][0]

interface Started extends InProcess {
  readonly refused: readonly Refused[]
  readonly warnings: ReadonlyArray<Record<string, unknown>>
}

const auth: ProgramAuth = { ...anonymous, mayPublish: async (_who, _id, topic) => !topic.startsWith('no/') }

async function start (t: Test, options: InProcessOptions = {}): Promise<Started> {
  const refused: Refused[] = []
  const warnings: Array<Record<string, unknown>> = []
  const log: Logger = {
    debug () {}, info () {}, warn (fields, sentence) { warnings.push({ ...fields, sentence }) }, error () {}
  }
  const server = await startInProcess(t, { auth, log, ...options })
  server.broker.events.on('refused', one => refused.push(one))
  return { ...server, refused, warnings }
}

const DEEP = Array(40).fill('a').join('/')
const REFUSED: ReadonlyArray<readonly [topic: string, code: string]> = [
  ['no/right', 'NOT_AUTHORIZED'], ['$SYS/a', 'TOPIC_INVALID'], ['$holdfast/gap', 'TOPIC_INVALID'],
  ['long'.repeat(500), 'TOPIC_INVALID'], [DEEP, 'TOPIC_INVALID'], [Array(200).fill('a').join('/'), 'TOPIC_INVALID']
]

t.test('[G1] a message that is refused for good is acknowledged, dropped and told; what is behind passes', async t => {
  const server = await start(t)
  const { client: subscriber } = await connectWire(t, server)
  await subscribe(subscriber, { '#': 1, '$SYS/#': 1, '$holdfast/gap': 1 })
  for (const [topic, code] of REFUSED) {
    const clientId = uniqueId()
    const { client } = await connectWire(t, server, { clientId, clean: false })
    await publish1(client, topic, 'x', 1)
    await publish2(client, topic, 'x', 2)
    client.send(publishPacket(topic, 'x'))
    await publish1(client, 'behind', clientId, 3)
    t.equal(text(await take(subscriber)), clientId, 'the next that is delivered is the one behind them [MQTT-3.3.5-2]')
    t.same(server.refused.filter(one => one.clientId === clientId).map(one => [one.topic, one.code]),
      Array(3).fill([topic, code]))
    const lines = server.warnings.filter(one => one['clientId'] === clientId)
    t.equal(lines.length, 1, 'one line for a client and a reason')
    t.match(lines[0], { remoteAddress: '127.0.0.1', sentence: /dropped.*got a receipt; / })
  }
  t.equal(server.broker.stats().refused, 3 * REFUSED.length)
})

t.test('[MQTT-4.6.0-2] [G3] the receipt of a refused message comes in its turn, behind those that wait', async t => {
  const disk = createMemoryDisk()
  let answer = (): void => {}
  const slow = new Promise<boolean>(resolve => { answer = () => resolve(true) })
  const slowAuth: ProgramAuth = {
    ...anonymous, mayPublish: (_who, _id, topic) => topic === 'slow' ? slow : topic !== 'no'
  }
  const server = await start(t, { auth: slowAuth, store: createMemoryStore(disk) })
  const { client: keeper } = await connectWire(t, server, { clientId: uniqueId(), clean: false })
  await subscribe(keeper, { '#': 1 })
  const { client } = await connectWire(t, server)
  const ids: number[] = []
  for (const [i, topic] of ['a', '$SYS/b', 'slow', '$SYS/broker/connection/x/state', 'no', 'c', '$SYS/d'].entries()) {
    client.send(publishPacket(topic, 'x', { qos: 1, messageId: i + 1 }))
  }
  for (const one of await client.untilPong()) if ('messageId' in one) ids.push(one.messageId!)
  t.ok(ids.length <= 2, 'nothing overtakes the one that access control thinks about')
  answer()
  while (ids.length < 7) ids.push((await client.expect('puback')).messageId!)
  t.same(ids, [1, 2, 3, 4, 5, 6, 7])
})

t.test('[MQTT-4.7.3-1] [MQTT-3.3.2-2] what is against MQTT itself ends the connection all the same', async t => {
  const server = await start(t)
  for (const topic of ['a/+', 'a/#', 'a\u0000b', '\uFFFD']) {
    for (const qos of [1, 2] as const) {
      const { client } = await connectWire(t, server)
      client.write(rawPublish(topic, qos))
      await within(client.closed, `the publisher on ${JSON.stringify(topic)} to be closed`)
      t.same(client.waiting, [], `${JSON.stringify(topic)} at QoS ${qos}`)
    }
  }
})

function rawPublish (topic: string, qos: 1 | 2): Buffer {
  const name = Buffer.from(topic)
  const head = Buffer.from([0x30 | qos << 1, name.length + 5, 0, name.length])
  return Buffer.concat([head, name, Buffer.from([0, 1, 0x78])])
}

t.test('[G1] what may pass later gets no receipt: access control that gives no answer', async t => {
  for (const mayPublish of [() => { throw new Error('a data base') }, async () => { throw new Error('a data base') }]) {
    const server = await start(t, { auth: { ...anonymous, mayPublish } })
    const { client } = await connectWire(t, server)
    client.send(publishPacket('a', 'x', { qos: 1, messageId: 1 }))
    await within(client.closed, 'the connection to end')
    t.same(client.waiting, [])
    t.same(server.refused, [], 'it is not refused for good')
  }
})

t.test('refusedMessages = disconnect: no receipt, and the connection ends', async t => {
  const server = await start(t, { refusedMessages: 'disconnect' })
  for (const qos of [0, 1, 2] as const) {
    const { client } = await connectWire(t, server)
    client.send(publishPacket('no/right', 'x', { qos, messageId: 3 }))
    await within(client.closed, 'the publisher to be closed')
    t.same(client.waiting, [], `at QoS ${qos}`)
  }
  const will = { topic: 'no/right', payload: Buffer.from('x'), qos: 1 as const, retain: false }
  t.equal((await connectWire(t, server, { will })).connack.returnCode, 5)
  t.match(server.warnings[0], { sentence: /disconnected without a receipt; allow it/ })
  t.equal(server.refused.length, 4)
})

t.test('a will that is refused costs the will alone', async t => {
  const server = await start(t, { limits: { packetBytesMax: 2_000 } })
  const { client: watcher } = await connectWire(t, server)
  await subscribe(watcher, { '#': 1, '$SYS/#': 1 })
  const wills = [...REFUSED.map(([topic]) => [topic, 'x']), ['large', 'x'.repeat(3_000)]]
  for (const [topic, payload] of wills) {
    const { client, connack } = await connectWire(t, server, {
      clientId: uniqueId(), clean: false, will: { topic, payload: Buffer.from(payload), qos: 1, retain: true }
    })
    t.equal(connack.returnCode, 0, topic.slice(0, 20))
    client.destroy()
  }
  const will = { topic: 'will/end', payload: Buffer.from('x'), qos: 1 as const, retain: false }
  const { client } = await connectWire(t, server, { will })
  client.destroy()
  t.equal((await take(watcher)).topic, 'will/end', 'the first that is published')
  t.same(server.refused.map(({ topic }) => topic), wills.map(([topic]) => topic))
  t.equal(server.broker.stats().retained, 0)
})

t.test('what bridges say of themselves is ignored, and no fault', async t => {
  const server = await start(t)
  const topic = '$SYS/broker/connection/edge.site1/state'
  const { client: watcher } = await connectWire(t, server)
  await subscribe(watcher, { '$SYS/#': 1 })
  const will = { topic, payload: Buffer.from('0'), qos: 1 as const, retain: true }
  const { client, connack } = await connectWire(t, server, { clientId: 'edge.site1', clean: false, will })
  t.equal(connack.returnCode, 0)
  await publish1(client, topic, '1', 1, { retain: true })
  await publish2(client, topic, '1', 2, { retain: true })
  client.destroy()
  t.same(await watcher.untilPong(), [], 'nobody can say such things to others')
  t.equal(server.broker.stats().retained, 0)
  t.same([server.refused, server.warnings], [[], []])
})

t.test('MQTT.js keeps its other messages, whatever is refused', async t => {
  const server = await start(t)
  const client = connect(`mqtt://127.0.0.1:${server.port}`, { clientId: uniqueId(), clean: false, reconnectPeriod: 50 })
  t.teardown(() => client.endAsync(true))
  let connects = 0
  client.on('connect', () => { connects++ })
  const topics = ['no/right', 'good/1', '$SYS/x', 'good/2', 'no/other', 'good/3']
  await within(Promise.all(topics.map((topic, i) => client.publishAsync(topic, 'x', { qos: i % 2 === 0 ? 1 : 2 }))),
    'all to be acknowledged')
  t.equal(connects, 1)
  t.equal(server.refused.length, 3)
})

t.test('[G6] [G8] a PUBLISH that is too large is read through and refused alone, however it is cut', async t => {
  const server = await start(t, { limits: { packetBytesMax: 1_000, connectPacketBytesMax: 1_000 } })
  const { client: subscriber } = await connectWire(t, server)
  await subscribe(subscriber, { '#': 1 })
  const random = createRandom(chooseSeed())
  t.comment(`seed ${random.seed}`)
  const sizes: Record<string, () => number> = {
    'one piece': () => Infinity, 'one byte': () => 1, random: () => random.between(1, 700)
  }
  for (const [name, size] of Object.entries(sizes)) {
    const { client } = await connectWire(t, server)
    const bytes = Buffer.concat([
      publishPacket('before', name, { qos: 1, messageId: 1 }),
      publishPacket('large/1', Buffer.alloc(3_000), { qos: 1, messageId: 2 }),
      publishPacket('large/0', Buffer.alloc(3_000)),
      publishPacket('large/' + 'x'.repeat(1_500), '', { qos: 1, messageId: 3 }),
      publishPacket('large/2', Buffer.alloc(3_000), { qos: 2, messageId: 4 }),
      publishPacket('behind', name, { qos: 1, messageId: 5 })
    ].map(packet => generate(packet)))
    for (let at = 0; at < bytes.length;) {
      const end = Math.min(bytes.length, at + size())
      client.write(bytes.subarray(at, end))
      await new Promise(resolve => { setImmediate(resolve) })
      at = end
    }
    const answers = []
    for (let i = 0; i < 5; i++) answers.push(await client.next())
    t.same(answers.map(one => `${one.cmd} ${one.messageId}`),
      ['puback 1', 'puback 2', 'puback 3', 'pubrec 4', 'puback 5'], name)
    client.send({ cmd: 'pubrel', messageId: 4 })
    t.equal((await client.expect('pubcomp')).messageId, 4)
    t.same([(await take(subscriber)).topic, (await take(subscriber)).topic], ['before', 'behind'])
  }
  t.equal(server.refused.length, 12)
  t.match(server.refused[0], { topic: 'large/1', code: 'MESSAGE_TOO_LARGE', reason: /packetBytesMax = 1000/ })
})

t.test('a PUBLISH that is too large and malformed, or not a PUBLISH, ends the connection', async t => {
  const server = await start(t, { limits: { packetBytesMax: 1_000 } })
  const long = Buffer.alloc(2_000)
  const wrong: Record<string, Buffer> = {
    'identifier 0': Buffer.concat([Buffer.from([0x32, 0xd0, 0x0f, 0, 1, 0x61, 0, 0]), long]),
    'a topic that is longer than the packet': Buffer.concat([Buffer.from([0x32, 0xd0, 0x0f, 0xff, 0xff]), long]),
    'a wildcard': Buffer.concat([Buffer.from([0x32, 0xd0, 0x0f, 0, 1, 0x23, 0, 1]), long]),
    'QoS 3': Buffer.concat([Buffer.from([0x36, 0xd0, 0x0f, 0, 1, 0x61, 0, 1]), long]),
    SUBSCRIBE: Buffer.concat([Buffer.from([0x82, 0xd0, 0x0f, 0, 1]), long])
  }
  for (const [name, bytes] of Object.entries(wrong)) {
    const { client } = await connectWire(t, server)
    client.write(bytes)
    await within(client.closed, `the end of the connection: ${name}`)
    t.same(client.waiting, [], name)
  }
})

t.test('MQTT.js gets its small messages through behind one that is too large', async t => {
  const server = await start(t)
  const client = connect(`mqtt://127.0.0.1:${server.port}`, { clientId: uniqueId(), clean: false, reconnectPeriod: 50 })
  t.teardown(() => client.endAsync(true))
  let connects = 0
  client.on('connect', () => { connects++ })
  const sent = [client.publishAsync('image', Buffer.alloc(3_000_000), { qos: 1 })]
  for (let i = 0; i < 5; i++) sent.push(client.publishAsync('motion', String(i), { qos: 1 }))
  await within(Promise.all(sent), 'all to be acknowledged')
  t.equal(connects, 1)
  t.match(server.refused, [{ topic: 'image', code: 'MESSAGE_TOO_LARGE' }])
})
