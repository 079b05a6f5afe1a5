/** What a client sent before its connection ended is carried out before the end is, whichever way it ends. */
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { generate, type Packet } from 'mqtt-packet'
import t, { type Test } from 'tap'
import { anonymous, type ProgramAuth, type Logger } from '../../broker/index.ts'
import { startInProcess, type InProcess, type InProcessOptions } from '../helpers/in-process.ts'
import { openMqttWebsocket } from '../helpers/mqtt-websocket.ts'
import {
  connectPacket, connectWire, openWire, publishPacket, subscribe, take, text, uniqueId, type WireClient
} from '../helpers/mqtt-wire.ts'
import { until } from '../helpers/wait.ts'

const WILL = { topic: 'will', payload: Buffer.from('gone'), qos: 1 as const, retain: false }
const DISCONNECT: Packet = { cmd: 'disconnect' }

/** Ways to say something and be gone. */
const WAYS = {
  async 'TCP, half-closed behind it' (_t, { port }, bytes) {
    const socket = connectTcp(port, '127.0.0.1')
    socket.end(bytes)
    socket.resume()
    await once(socket, 'close')
  },
  async 'TCP, closed, so that every answer is met by a reset' (_t, { port }, bytes) {
    const socket = connectTcp(port, '127.0.0.1')
    await once(socket, 'connect')
    socket.on('error', () => {})
    socket.write(bytes, () => { socket.destroy() })
    await once(socket, 'close')
  },
  async 'TCP, the end in a segment of its own' (_t, { port }, bytes) {
    const socket = connectTcp(port, '127.0.0.1')
    await once(socket, 'connect')
    socket.on('error', () => {})
    await new Promise((resolve) => { socket.write(bytes, resolve) })
    for (let i = 0; i < 10; i++) await new Promise((resolve) => { setImmediate(resolve) })
    socket.end()
    socket.resume()
    await once(socket, 'close')
  },
  async 'WebSocket, the close frame right behind it' (t, server, bytes) {
    const socket = await openMqttWebsocket(t, server)
    socket.send(bytes)
    socket.close()
    await once(socket, 'close')
  },
  async 'WebSocket, closed without a close frame' (t, server, bytes) {
    const socket = await openMqttWebsocket(t, server)
    await new Promise((resolve) => { socket.send(bytes, resolve) })
    socket.terminate()
  }
} satisfies Record<string, (t: Test, server: InProcess, bytes: Buffer) => Promise<void>>

function bytes (...packets: Packet[]): Buffer {
  return Buffer.concat(packets.map((packet) => generate(packet)))
}

/** Answers in a later turn of the event loop, as a data base would. */
async function later (): Promise<boolean> {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => { setImmediate(resolve) })
  return true
}
const SLOW: ProgramAuth = {
  ...anonymous,
  authenticate: async (request) => { await later(); return await anonymous.authenticate(request) },
  mayPublish: later,
  maySubscribe: later
}

interface Scene { readonly server: InProcess, readonly reader: WireClient }

async function begin (t: Test, options: InProcessOptions = {}): Promise<Scene> {
  const server = await startInProcess(t, options)
  const { client: reader } = await connectWire(t, server, { clientId: 'reader', clean: false })
  await subscribe(reader, { 'words/#': 2, will: 1 })
  return { server, reader }
}

/** The messages that the reader gets of a connection that is over: so many, and whatever comes besides. */
async function heard ({ server, reader }: Scene, count: number): Promise<string[]> {
  await until(() => server.server.connections === 1, 'the connection to be over', 10_000, 1)
  await server.broker.settled()
  const got: string[] = []
  while (got.length < count) got.push(text(await take(reader)))
  for (const packet of await reader.untilPong()) got.push(packet.cmd === 'publish' ? text(packet) : packet.cmd)
  return got
}

for (const [way, say] of Object.entries(WAYS)) {
  for (const [access, auth] of [['at once', anonymous], ['later', SLOW]] as const) {
    t.test(`[G2] [G3] ${way}; access control answers ${access}: all was carried out, and then there was no will`,
      async t => {
        for (const qos of [0, 1, 2] as const) {
          for (const clean of [true, false]) {
            const scene = await begin(t, { auth })
            const messages = Array.from({ length: 20 }, (_, i) =>
              publishPacket('words/a', String(i), qos === 0 ? {} : { qos, messageId: i + 1 }))
            await say(t, scene.server, bytes(connectPacket({ will: WILL, clean }), ...messages, DISCONNECT))
            const got = await heard(scene, messages.length)
            t.same(got, messages.map(({ payload }) => payload), `QoS ${qos}, clean ${clean}`)
            t.equal([...scene.server.broker.sessions()].length, clean ? 1 : 2)
            await scene.server.close()
          }
        }
      })
  }

  t.test(`[G3] ${way}, without DISCONNECT: the will comes behind all of it`, async t => {
    const scene = await begin(t, { auth: SLOW })
    const words = publishPacket('words/a', 'last words', { qos: 1, messageId: 1 })
    await say(t, scene.server, bytes(connectPacket({ will: WILL }), words))
    t.same(await heard(scene, 2), ['last words', 'gone'])
  })

  t.test(`[G1] ${way}: a SUBSCRIBE counts, and an UNSUBSCRIBE`, async t => {
    const scene = await begin(t, { auth: SLOW })
    const clientId = uniqueId()
    const say2 = async (...packets: Packet[]): Promise<void> => {
      await say(t, scene.server, bytes(connectPacket({ clientId, clean: false }), ...packets, DISCONNECT))
      await heard(scene, 0)
    }
    const filters = (): string[] => [...scene.server.broker.sessions()]
      .flatMap((session) => session.clientId === clientId ? session.filters.map(({ filter }) => filter) : []).sort()
    await say2({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'a', qos: 1 }, { topic: 'b', qos: 1 }] })
    t.same(filters(), ['a', 'b'])
    await say2({ cmd: 'unsubscribe', messageId: 1, unsubscriptions: ['a'] })
    t.same(filters(), ['b'])
  })

  t.test(`[G2] ${way}: far more than is taken in a turn, and nothing behind DISCONNECT [MQTT-3.14.4-2]`, async t => {
    const scene = await begin(t)
    const count = way.includes('reset') || way.includes('without a close') ? 500 : 3_000
    const messages = Array.from({ length: count }, (_, i) => publishPacket('words/a', String(i), {
      qos: 1, messageId: i + 1
    }))
    const late = publishPacket('words/a', 'too late', { qos: 1, messageId: 9_999 })
    await say(t, scene.server, bytes(connectPacket({ will: WILL }), ...messages, DISCONNECT, late))
    t.same(await heard(scene, messages.length), messages.map(({ payload }) => payload))
  })
}

t.test('[G1] who closes only its own half gets all answers, and then the end', async t => {
  const { server } = await begin(t, { auth: SLOW })
  const client = await openWire(t, server)
  client.stream.end(bytes(connectPacket(), publishPacket('words/a', 'x', { qos: 1, messageId: 7 }),
    { cmd: 'subscribe', messageId: 8, subscriptions: [{ topic: 'a', qos: 1 }] }, { cmd: 'pingreq' }))
  await client.expect('connack')
  const answers = [await client.next(), await client.next(), await client.next()]
  t.same(answers.map(({ cmd }) => cmd).sort(), ['pingresp', 'puback', 'suback'])
  await client.closed
})

t.test('[G6] who sent no more than CONNECT and has gone before it was answered leaves nothing behind', async t => {
  let letGo = (): void => {}
  const auth: ProgramAuth = { ...anonymous,
    async authenticate (request) {
      if (request.clientId === 'c') await new Promise<void>((resolve) => { letGo = resolve })
      return await anonymous.authenticate(request)
    } }
  for (const [way, say] of Object.entries(WAYS)) {
    const { server } = await begin(t, { auth })
    await say(t, server, bytes(connectPacket({ clientId: 'c', clean: false, will: WILL })))
    await until(() => server.server.connections === 1, `${way}: the end to be seen`, undefined, 1)
    letGo()
    await server.broker.settled()
    t.same([...server.broker.sessions()].map(({ clientId }) => clientId), ['reader'], way)
  }
})

t.test('[G6] a peer that is gone can not make the server hold on to it for ever', async t => {
  const warnings: string[] = []
  const warn = (_what: object, sentence: string): void => { warnings.push(sentence) }
  const log: Logger = { debug () {}, info () {}, error () {}, warn }
  const auth: ProgramAuth = { ...anonymous, mayPublish: async (_principal, _clientId, topic) =>
    await new Promise((resolve) => { if (topic !== 'words/never') resolve(true) }) }
  const scene = await begin(t, { auth, log, limits: { stallTimeoutMs: 300 } })
  for (const way of Object.values(WAYS)) {
    const words = publishPacket('words/never', 'x', { qos: 1, messageId: 1 })
    await way(t, scene.server, bytes(connectPacket({ will: WILL }), words))
    t.same(await heard(scene, 1), ['gone'])
  }
  t.equal(warnings.length, Object.keys(WAYS).length)
  t.match(warnings[0], /stallTimeoutMs/)
})

t.test('[G3] one that is gone does not take the session over from its own next connection', async t => {
  let letGo: (() => void) | undefined
  let asked = 0
  const auth: ProgramAuth = { ...anonymous,
    async authenticate (request) {
      if (request.clientId === 'c' && ++asked === 1) await new Promise<void>((resolve) => { letGo = resolve })
      return await anonymous.authenticate(request)
    } }
  const { server } = await begin(t, { auth })
  await WAYS['TCP, closed, so that every answer is met by a reset'](t, server,
    bytes(connectPacket({ clientId: 'c' }), publishPacket('words/a', 'old')))
  await until(() => letGo !== undefined, 'the first to be asked about', undefined, 1)
  const { client } = await connectWire(t, server, { clientId: 'c' })
  await client.untilPong()
  letGo!()
  await client.untilPong()
  t.notOk(client.isClosed)
})
