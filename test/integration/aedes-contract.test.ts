/**
 * The details of Aedes that broker/mqtt/engine/aedes.ts leans on, on Aedes alone: a persistence and an emitter that
 * only write down what is asked of them, and the hooks as they are set there. One test for each detail; when an
 * upgrade changes one, its test fails and says which.
 */
import type { EventEmitter } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { Aedes, type Client } from 'aedes'
import t from 'tap'
import type { Test } from 'tap'
import {
  connectWire, connectPacket, openWire, publishPacket, subscribe, uniqueId, type WireClient
} from '../helpers/mqtt-wire.ts'
import { until } from '../helpers/wait.ts'

type Done = (error?: Error | null, answer?: unknown) => void
interface InnerPacket { qos: number, retain: boolean, topic: string, messageId?: number, clean?: boolean }
interface InnerClient extends Client {
  _parser: EventEmitter & { parse (chunk: Buffer): number }
  _parsingBatch: number
  _nextBatch: (error?: Error | null) => void
  pause: () => void
  resume: () => void
  connackSent: boolean
  will: object | null
}

interface Hooks {
  preConnect?: (client: InnerClient, packet: InnerPacket, done: Done) => void
  authenticate?: (client: InnerClient, username: unknown, password: unknown, done: Done) => void
  authorizePublish?: (client: InnerClient, packet: InnerPacket, done: Done) => void
  authorizeSubscribe?: (client: InnerClient, subscription: { topic: string, qos: number }, done: Done) => void
}

interface Bench {
  readonly port: number
  readonly aedes: Aedes
  /** What Aedes asked for, in order, as words. */
  readonly calls: string[]
  readonly clients: InnerClient[]
  /** What the persistence answers instead of nothing. */
  readonly answers: Record<string, (...args: never[]) => unknown>
}

const METHODS = [
  'subscriptionsByClient', 'subscriptionsByTopic', 'addSubscriptions', 'removeSubscriptions', 'cleanSubscriptions',
  'storeRetained', 'outgoingEnqueueCombi', 'outgoingUpdate', 'outgoingClearMessageId', 'incomingStorePacket',
  'incomingGetPacket', 'incomingDelPacket', 'cleanIncoming', 'putWill', 'delWill'
]

async function begin (t: Test, hooks: Hooks = {}): Promise<Bench> {
  const calls: string[] = []
  const clients: InnerClient[] = []
  const answers: Bench['answers'] = { subscriptionsByClient: () => [], subscriptionsByTopic: () => [] }
  const persistence: Record<string, unknown> = { setup: async () => {} }
  for (const method of METHODS) {
    persistence[method] = (...args: never[]) => {
      calls.push(method)
      return Promise.resolve(answers[method]?.(...args))
    }
  }
  for (const method of ['outgoingStream', 'createRetainedStreamCombi', 'streamWill']) {
    persistence[method] = () => Readable.from([])
  }
  const mq = {
    on (_topic: string, _listener: unknown, done?: () => void) { done?.() },
    removeListener (_topic: string, _listener: unknown, done?: () => void) { done?.() },
    emit (packet: InnerPacket, done?: () => void) {
      if (!packet.topic.startsWith('$SYS')) calls.push(`emit ${packet.topic} qos=${packet.qos} retain=${packet.retain}`)
      done?.()
    },
    close (done?: () => void) { done?.() }
  }
  const asClean = (_client: InnerClient, packet: InnerPacket, done: Done): void => {
    packet.clean = false
    done(null, true)
  }
  const aedes = await Aedes.createBroker({ persistence, mq, preConnect: asClean, ...hooks } as never)
  const server = createServer((socket) => { clients.push(aedes.handle(socket) as InnerClient) })
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  t.teardown(async () => {
    await new Promise<void>((resolve) => { aedes.close(() => { resolve() }) })
    server.close()
  })
  return { port: (server.address() as AddressInfo).port, aedes, calls, clients, answers }
}

const CONNECTING = ['subscriptionsByClient', 'delWill']
const afterConnect = (calls: readonly string[]): string[] => calls.slice(CONNECTING.length)

t.test('authorizePublish comes before any receipt, and Aedes waits for it [G1]', async t => {
  for (const qos of [1, 2] as const) {
    let letGo: Done = () => {}
    const { port, calls } = await begin(t, { authorizePublish: (_client, _packet, done) => { letGo = done } })
    const { client } = await connectWire(t, { port })
    client.send(publishPacket('t', 'x', { qos, messageId: 7, retain: true }))
    t.same(await client.untilPong(), [], 'no PUBACK, no PUBREC')
    t.same(afterConnect(calls), [], 'nothing was stored, looked up or passed on')
    letGo(new Error('the disk is full'))
    await client.closed
    t.same(client.waiting, [], 'an error closes the connection without a receipt')
  }
})

t.test('a packet that authorizePublish makes QoS 0 gets no receipt, is not stored, and only reaches the emitter [G1]',
  async t => {
    const { port, calls } = await begin(t, {
      authorizePublish (_client, packet, done) {
        packet.qos = 0
        packet.retain = false
        done(null)
      }
    })
    const { client } = await connectWire(t, { port })
    for (const qos of [1, 2] as const) {
      client.send(publishPacket('t', 'x', { qos, messageId: qos, retain: true }))
    }
    t.same(await client.untilPong(), [])
    t.same(afterConnect(calls), ['emit t qos=0 retain=false', 'emit t qos=0 retain=false'])
  })

t.test('subscriptionsByClient is asked in the turn in which authenticate calls back', async t => {
  let isTurn = false
  const asked: boolean[] = []
  const { port, answers } = await begin(t, {
    authenticate (_client, _username, _password, done) {
      setImmediate(() => {
        isTurn = true
        done(null, true)
        isTurn = false
      })
    }
  })
  answers['subscriptionsByClient'] = () => {
    asked.push(isTurn)
    return []
  }
  await connectWire(t, { port, host: '127.0.0.1' })
  t.same(asked, [true])
})

t.test('session present is whether there are subscriptions; one that authorizeSubscribe answers null is not made [G5]',
  async t => {
    const restored: string[] = []
    const { port, answers, clients } = await begin(t, {
      authorizeSubscribe (_client, { topic }, done) {
        restored.push(topic)
        done(null, null)
      }
    })
    t.equal((await connectWire(t, { port })).connack.sessionPresent, false)
    answers['subscriptionsByClient'] = () => [{ topic: 'marker', qos: 0 }]
    t.equal((await connectWire(t, { port })).connack.sessionPresent, true)
    t.same(restored, ['marker'])
    t.same(Object.keys((clients[1] as unknown as { subscriptions: object }).subscriptions), [])
  })

t.test('with clean=false, set in preConnect, everything of the session goes to the persistence', async t => {
  const { port, calls, clients, answers } = await begin(t)
  answers['incomingGetPacket'] = () => ({})
  const { client } = await connectWire(t, { port, host: '127.0.0.1' }, { clean: true })
  t.equal((clients[0] as unknown as { clean: boolean }).clean, false)
  t.same(calls, CONNECTING, 'nothing is cleaned')
  await subscribe(client, { t: 1 })
  client.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['t'] })
  await client.expect('unsuback')
  client.send({ cmd: 'puback', messageId: 3 })
  client.send({ cmd: 'pubrec', messageId: 4 })
  t.equal((await client.expect('pubrel')).messageId, 4)
  client.send({ cmd: 'pubcomp', messageId: 4 })
  client.send({ cmd: 'pubrel', messageId: 5 })
  t.equal((await client.expect('pubcomp')).messageId, 5)
  t.same(afterConnect(calls), ['addSubscriptions', 'removeSubscriptions', 'outgoingClearMessageId', 'outgoingUpdate',
    'outgoingClearMessageId', 'incomingGetPacket', 'incomingDelPacket'])
})

t.test('PUBREL waits for outgoingUpdate, and does not follow where that fails [G4]', async t => {
  const { port, answers } = await begin(t)
  let fail: (error: Error) => void = () => {}
  answers['outgoingUpdate'] = () => new Promise((_resolve, reject) => { fail = reject })
  const { client } = await connectWire(t, { port })
  client.send({ cmd: 'pubrec', messageId: 4 })
  t.same(await client.untilPong(), [])
  fail(new Error('the disk is full'))
  await client.closed
  t.same(client.waiting, [])
})

t.test('an acknowledgement reaches the persistence in the turn in which it was parsed', async t => {
  const { port, clients, calls, answers } = await begin(t)
  answers['outgoingClearMessageId'] = () => undefined
  const { client } = await connectWire(t, { port })
  await client.untilPong()
  calls.length = 0
  clients[0]._parser.parse(Buffer.from([0x40, 2, 0, 9]))
  t.same(calls, ['outgoingClearMessageId'])
})

t.test('_nextBatch is all that reads, and is told when a packet is done with; _parsingBatch counts those begun [G8]',
  async t => {
    const { port, clients } = await begin(t)
    const client = await openWire(t, { port })
    await until(() => clients.length === 1, 'the client')
    const [inner] = clients
    t.same(inner.conn.listeners('readable'), [inner._nextBatch])
    let done = 0
    inner.conn.removeListener('readable', inner._nextBatch)
    inner._nextBatch = (error) => {
      if (error == null) done++
    }
    inner._parsingBatch = 0
    const flow: string[] = []
    inner.pause = () => { flow.push('pause') }
    inner.resume = () => { flow.push(inner.connackSent ? 'resume behind CONNACK' : 'resume') }
    let read = 0
    inner.conn.on('readable', () => {
      const chunk = inner.conn.read() as Buffer | null
      if (chunk === null) return
      read += chunk.length
      inner._parser.parse(chunk)
    })
    client.send(connectPacket())
    await client.expect('connack')
    t.equal(inner._parsingBatch, 1, 'CONNECT was begun with as the first')
    await until(() => done === 1, 'CONNECT to be done with')
    t.same(flow, ['pause', 'resume behind CONNACK'])
    const before = read
    client.write(Buffer.from([0xc0]))
    client.write(Buffer.from([0x00, 0xc0, 0x00]))
    await client.expect('pingresp')
    await client.expect('pingresp')
    t.equal(read - before, 4, 'all that was sent, and nobody else has read')
    t.equal(inner._parsingBatch, 3)
    await until(() => done === 3, 'each to be done with')
  })

t.test('the parser is an emitter with one packet listener', async t => {
  const { port, clients } = await begin(t)
  await connectWire(t, { port })
  t.equal(clients[0]._parser.listenerCount('packet'), 1)
})

t.test('a listener that is taken off the parser and called later begins where Aedes would have begun [G3]', async t => {
  const { port, clients } = await begin(t)
  const { client } = await connectWire(t, { port })
  const parser = clients[0]._parser
  const [handle] = parser.listeners('packet')
  parser.removeAllListeners('packet')
  const kept: unknown[] = []
  await new Promise<void>((resolve) => {
    parser.on('packet', (packet) => {
      kept.push(packet)
      resolve()
    })
    client.send({ cmd: 'pingreq' })
  })
  t.same(client.waiting, [])
  handle.call(parser, kept[0])
  await client.expect('pingresp')
})

t.test('connackSent is emitted in the turn in which Aedes notes that CONNACK is out', async t => {
  const { port, aedes } = await begin(t)
  const noted = new Promise<boolean[]>((resolve) => {
    aedes.on('connackSent', (_packet, client) => {
      const { connackSent } = client as InnerClient
      queueMicrotask(() => { resolve([connackSent, (client as InnerClient).connackSent]) })
    })
  })
  await connectWire(t, { port })
  t.same(await noted, [false, true], 'a microtask later it is noted')
})

t.test('a refusal by authenticate carries its return code, and ends the connection', async t => {
  for (const returnCode of [2, 3, 4, 5]) {
    const { port } = await begin(t, {
      authenticate (_client, _username, _password, done) {
        done(Object.assign(new Error('no'), { returnCode }), false)
      }
    })
    const { client, connack } = await connectWire(t, { port })
    t.equal(connack.returnCode, returnCode)
    await client.closed
  }
})

async function connectWithWill (t: Test, port: number, clientId: string): Promise<WireClient> {
  const will = { topic: 'will', payload: Buffer.from('gone'), qos: 1 as const, retain: true }
  return (await connectWire(t, { port }, { clientId, will })).client
}

t.test('a will passes authorizePublish once the client is closed, as the packet that putWill was given', async t => {
  const wills: Array<[object, boolean]> = []
  let seen: () => void = () => {}
  const { port, calls, answers } = await begin(t, {
    authorizePublish (client, packet, done) {
      wills.push([packet, (client as unknown as { closed: boolean }).closed])
      done(new Error('published by the broker'))
      seen()
    }
  })
  const put: object[] = []
  answers['putWill'] = ((_client: unknown, packet: object) => { put.push(packet) }) as never
  const clientId = uniqueId()
  const first = await connectWithWill(t, port, clientId)
  t.same(calls, ['subscriptionsByClient', 'delWill', 'putWill'], 'an old one is forgotten before the new one is put')
  calls.length = 0
  const published = new Promise<void>((resolve) => { seen = resolve })
  const second = await connectWithWill(t, port, clientId)
  await published
  await first.closed
  t.equal(wills.length, 1, 'on takeover')
  t.equal(wills[0][0], put[0], 'the same object')
  t.equal(wills[0][1], true)
  t.same(calls, ['subscriptionsByClient', 'delWill', 'putWill', 'delWill'],
    'and the taken-over connection forgets a will after the new one was put')
  second.send({ cmd: 'disconnect' })
  await second.closed
  t.equal(wills.length, 1, 'not after DISCONNECT')
})

t.test('nothing is delivered by Aedes where the emitter carries nothing [G3]', async t => {
  const { port } = await begin(t)
  const { client } = await connectWire(t, { port })
  await subscribe(client, { '#': 2 })
  client.send(publishPacket('t', 'x'))
  t.same(await client.untilPong(), [])
})
