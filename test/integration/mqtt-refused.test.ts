/** What can never be taken must not stand in the way of the rest: it gets its receipt, is dropped, counted and told. */
import t, { type Test } from 'tap'
import { connect } from 'mqtt'
import { anonymous, type Auth, type BrokerEvents, type Logger } from '../../broker/index.ts'
import { createMemoryDisk, createMemoryStore } from '../../broker/store/memory.ts'
import { startInProcess, type InProcess, type InProcessOptions } from '../helpers/in-process.ts'
import {
  connectWire, publish1, publish2, publishPacket, subscribe, take, text, uniqueId
} from '../helpers/mqtt-wire.ts'
import { within } from '../helpers/wait.ts'

type Refused = BrokerEvents['refused'][0]

interface Started extends InProcess {
  readonly refused: readonly Refused[]
  readonly warnings: ReadonlyArray<Record<string, unknown>>
}

const auth: Auth = { ...anonymous, mayPublish: async (_who, _id, topic) => !topic.startsWith('no/') }

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
    t.equal(text(await take(subscriber)), clientId, 'the next that is delivered is the one behind them')
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
  const slowAuth: Auth = { ...anonymous, mayPublish: (_who, _id, topic) => topic === 'slow' ? slow : topic !== 'no' }
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
