/** Connections take turns: what one sends at once is taken part by part, and the others come in between. */
import { generate } from 'mqtt-packet'
import t, { type Test } from 'tap'
import { createWebSocketStream } from 'ws'
import { anonymous, type ProgramAuth } from '../../broker/index.ts'
import { ROUND_UNITS } from '../../broker/system/turns.ts'
import { createMemoryStore } from '../../broker/store/memory.ts'
import { startInProcess, type InProcess } from '../helpers/in-process.ts'
import { openMqttWebsocket } from '../helpers/mqtt-websocket.ts'
import {
  connectPacket, connectWire, openWire, publish1, publishPacket, subscribe, take, text, wireClient, type WireClient
} from '../helpers/mqtt-wire.ts'
import { createStoreDouble } from '../helpers/store-double.ts'
import { until } from '../helpers/wait.ts'

/** Counts the messages that are taken in, and how many of them in one turn of the event loop. */
function counter (): { auth: ProgramAuth, taken: number, mostInTurn: number } {
  let inTurn = 0
  const counts = {
    taken: 0,
    mostInTurn: 0,
    auth: {
      ...anonymous,
      mayPublish: (_principal: unknown, _clientId: unknown, topic: string): boolean => {
        if (topic !== 'flood') return true
        counts.taken++
        counts.mostInTurn = Math.max(counts.mostInTurn, ++inTurn)
        if (inTurn === 1) setImmediate(() => { inTurn = 0 })
        return true
      }
    }
  }
  return counts
}

async function viaWebsocket (t: Test, server: InProcess, clientId: string): Promise<WireClient> {
  const socket = await openMqttWebsocket(t, server)
  const client = wireClient(t, createWebSocketStream(socket))
  client.send(connectPacket({ clientId, will: { topic: 'will', payload: Buffer.from('gone'), qos: 1, retain: false } }))
  await client.expect('connack')
  return client
}

for (const via of ['TCP', 'WebSocket'] as const) {
  for (const qos of [0, 1] as const) {
    t.test(`[G8] a client that floods at QoS ${qos} over ${via} is taken in turns, and others come in between`,
      async t => {
        const counts = counter()
        const server = await startInProcess(t, { auth: counts.auth })
        const { client: other } = await connectWire(t, server)
        const flooder = via === 'TCP'
          ? (await connectWire(t, server)).client
          : await viaWebsocket(t, server, 'flooder')
        const total = 20_000
        flooder.write(Buffer.concat(Array.from({ length: total }, (_, i) =>
          generate(publishPacket('flood', '', qos === 0 ? {} : { qos, messageId: i + 1 })))))
        await until(() => counts.taken > 0, 'the first of them', undefined, 1)
        const seen: number[] = []
        for (let i = 0; i < 5; i++) {
          await publish1(other, 'other', 'x', i + 1)
          seen.push(counts.taken)
        }
        t.comment(`taken when the other got its receipts: ${seen.join(' ')}`)
        t.ok(seen[0] < total, 'the other was served before all of the flood was taken')
        await until(() => counts.taken === total, 'all of it')
        // a round may be in the middle of what was read, and the next begin in the same turn; each takes less than two
        t.ok(counts.mostInTurn <= 4 * ROUND_UNITS, `${counts.mostInTurn} in one turn of the event loop at most`)
      })
  }
}

t.test('[G8] a message for many counts for each of them', async t => {
  const counts = counter()
  const server = await startInProcess(t, { auth: counts.auth })
  for (let i = 0; i < 64; i++) await subscribe((await connectWire(t, server)).client, { flood: 0 })
  const { client } = await connectWire(t, server)
  const total = 2_000
  client.write(Buffer.concat(Array.from({ length: total }, () => generate(publishPacket('flood', '')))))
  await until(() => counts.taken === total, 'all of it')
  t.ok(counts.mostInTurn <= 4 * Math.ceil(ROUND_UNITS / 64), `${counts.mostInTurn} in one turn at most`)
})

t.test('[G2] [G3] what was sent in one go is all there and in order, whichever way it takes, and the end behind it',
  async t => {
    for (const via of ['TCP', 'WebSocket'] as const) {
      const server = await startInProcess(t)
      const { client: reader } = await connectWire(t, server, { clientId: 'reader', clean: false })
      await subscribe(reader, { 'flood/#': 1, will: 1 })
      const sender = via === 'TCP'
        ? (await connectWire(t, server, {
            will: { topic: 'will', payload: Buffer.from('gone'), qos: 1, retain: false }
          })).client
        : await viaWebsocket(t, server, 'sender')
      const total = 3_000
      const bytes = Array.from({ length: total }, (_, i) => Buffer.concat([
        generate(publishPacket('flood/a', String(i), { qos: 1, messageId: i + 1 })),
        i % 10 === 0 ? generate({ cmd: 'pingreq' }) : Buffer.alloc(0)
      ]))
      sender.write(Buffer.concat([...bytes, generate({ cmd: 'disconnect' })]))
      sender.stream.end()
      for (let i = 0; i < total; i++) {
        const got = text(await take(reader, 10_000))
        if (got !== String(i)) return t.fail(`${via}: expected ${i}, got ${got}`)
      }
      await until(() => server.server.connections === 1, 'the sender to be gone')
      t.same(await reader.untilPong(), [], `${via}: all of it, once, and no will`)
    }
  })

t.test('[G6] messages that wait for the disk are bounded by their number too; then reading goes on', async t => {
  const counts = counter()
  const store = createStoreDouble(createMemoryStore())
  const pendingMessagesMax = 300
  const server = await startInProcess(t, { auth: counts.auth, store, limits: { pendingMessagesMax } })
  const { client: owner } = await connectWire(t, server, { clientId: 'owner', clean: false })
  await subscribe(owner, { flood: 1 })
  const { client } = await connectWire(t, server)
  const letGo = store.hold()
  const total = 2_000
  client.write(Buffer.concat(Array.from({ length: total }, (_, i) =>
    generate(publishPacket('flood', '', { qos: 1, messageId: i + 1 })))))
  await until(() => counts.taken > pendingMessagesMax, 'the bound to be reached', undefined, 1)
  for (let i = 0; i < 100; i++) await new Promise((resolve) => { setImmediate(resolve) })
  t.equal(counts.taken, pendingMessagesMax + 1)
  letGo()
  for (let i = 0; i < total; i++) {
    const { messageId } = await client.expect('puback')
    if (messageId !== i + 1) return t.fail(`PUBACK ${messageId} instead of ${i + 1}`)
  }
  t.pass('each got its receipt')
})

t.test('[G6] what a client sends while it is being authenticated is not read, however much and long', async t => {
  const auth: ProgramAuth = {
    ...anonymous,
    async authenticate (request) {
      for (let i = 0; i < 500; i++) await new Promise((resolve) => { setImmediate(resolve) })
      return await anonymous.authenticate(request)
    }
  }
  const server = await startInProcess(t, { auth })
  const client = await openWire(t, server)
  const total = 20_000
  client.write(Buffer.concat([generate(connectPacket()), ...Array.from({ length: total }, (_, i) =>
    generate(publishPacket('a', '', { qos: 1, messageId: i + 1 })))]))
  await client.expect('connack')
  for (let i = 0; i < total; i++) {
    const { messageId } = await client.expect('puback')
    if (messageId !== i + 1) return t.fail(`PUBACK ${messageId} instead of ${i + 1}`)
  }
  t.pass('each got its receipt, once it was let in')
})
