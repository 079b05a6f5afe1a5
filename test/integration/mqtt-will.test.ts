import { once } from 'node:events'
import t from 'tap'
import type { IConnectPacket } from 'mqtt-packet'
import { startInProcess } from '../helpers/in-process.ts'
import { startServer } from '../helpers/server.ts'
import {
  connectWire, publish1, subscribe, take, text, uniqueId, type WireClient
} from '../helpers/mqtt-wire.ts'
import { within } from '../helpers/wait.ts'

type Will = NonNullable<IConnectPacket['will']>
const will = (topic: string, more: Partial<Will> = {}): { will: Will } =>
  ({ will: { topic, payload: Buffer.from('gone'), qos: 1, retain: false, ...more } })

/**
 * Everything that came for `client` until a message of ours on `topic` made the round. Without what comes again:
 * an acknowledgement just before a crash may be forgotten, and then DUP says so [G4].
 */
async function until (client: WireClient, publisher: WireClient, topic: string): Promise<string[]> {
  await publish1(publisher, topic, 'end', 999)
  const got: string[] = []
  for (;;) {
    const message = await take(client)
    if (message.topic === topic) return got
    if (!message.dup) got.push(message.topic)
  }
}

t.test('[MQTT-3.1.2-8] a connection that ends without DISCONNECT publishes its will, at its QoS', async t => {
  const server = await startInProcess(t)
  const { client: watcher } = await connectWire(t, server)
  await subscribe(watcher, { 'will/#': 2 })
  for (const qos of [0, 1, 2] as const) {
    for (const ending of ['reset', 'finish'] as const) {
      const { client } = await connectWire(t, server, will(`will/${qos}/${ending}`, { qos }))
      if (ending === 'reset') client.destroy()
      else client.stream.end()
      t.match(await take(watcher), { topic: `will/${qos}/${ending}`, qos, retain: false })
    }
  }
})

t.test('[MQTT-3.1.2-10] [MQTT-3.14.4-3] DISCONNECT discards the will', async t => {
  const server = await startInProcess(t)
  const { client: watcher } = await connectWire(t, server)
  await subscribe(watcher, { '#': 1 })
  const { client } = await connectWire(t, server, { ...will('will/a'), clean: false })
  client.send({ cmd: 'disconnect' })
  await within(client.closed, 'the end of the connection')
  const { client: publisher } = await connectWire(t, server)
  t.same(await until(watcher, publisher, 'end'), [])
})

t.test('[MQTT-3.1.2-17] a retained will is there for whoever subscribes later', async t => {
  const server = await startInProcess(t)
  const { client: watcher } = await connectWire(t, server)
  await subscribe(watcher, { 'will/#': 1 })
  const { client } = await connectWire(t, server, will('will/r', { retain: true }))
  client.destroy()
  t.match(await take(watcher), { topic: 'will/r', retain: false })
  const { client: later } = await connectWire(t, server)
  await subscribe(later, { 'will/#': 1 })
  t.match(await take(later), { topic: 'will/r', retain: true })
})

t.test('[G2] a will waits for the persistent session that is away', async t => {
  const server = await startInProcess(t)
  const clientId = uniqueId()
  const { client: watcher } = await connectWire(t, server, { clientId, clean: false })
  await subscribe(watcher, { 'will/#': 1, seen: 1 })
  watcher.destroy()
  const { client: witness } = await connectWire(t, server)
  await subscribe(witness, { 'will/#': 1 })
  const { client } = await connectWire(t, server, will('will/a'))
  client.destroy()
  await take(witness)
  const { client: back } = await connectWire(t, server, { clientId, clean: false })
  t.equal(text(await take(back)), 'gone')
})

t.test('[MQTT-3.1.2-24] silence beyond the keep alive publishes the will', async t => {
  const server = await startInProcess(t)
  const { client: watcher } = await connectWire(t, server)
  await subscribe(watcher, { 'will/#': 1 })
  await connectWire(t, server, { ...will('will/silent'), keepalive: 1 })
  t.equal((await take(watcher, 8_000)).topic, 'will/silent')
})

t.test('[MQTT-3.1.4-2] a takeover publishes the will of the connection it ends', async t => {
  const server = await startInProcess(t)
  const { client: watcher } = await connectWire(t, server)
  await subscribe(watcher, { 'will/#': 1 })
  const clientId = uniqueId()
  const { client: older } = await connectWire(t, server, { ...will('will/older'), clientId, clean: false })
  const { client: newer } = await connectWire(t, server, { ...will('will/newer'), clientId, clean: false })
  await within(older.closed, 'the older connection to end')
  t.equal((await take(watcher)).topic, 'will/older')
  newer.destroy()
  t.equal((await take(watcher)).topic, 'will/newer', 'and the newer one keeps its own')
})

t.test('a will to a topic nobody may publish to is never published', async t => {
  const server = await startInProcess(t)
  const { client: watcher } = await connectWire(t, server)
  await subscribe(watcher, { '#': 1, '$SYS/#': 1 })
  const { client: publisher } = await connectWire(t, server)
  for (const topic of ['$SYS/x', 'a/#', 'a/+', '$holdfast/gap', 'x'.repeat(2_000), Array(100).fill('a').join('/')]) {
    const session = await connectWire(t, server, will(topic)).catch(() => undefined)
    session?.client.destroy()
    const got = await until(watcher, publisher, 'end')
    t.same(got.filter(name => !name.startsWith('$SYS/') || name === topic), [], topic.slice(0, 20))
  }
})

t.test('[MQTT-3.1.2-8] [G2] wills outlive the server: killed and started again, it publishes them, once', async t => {
  const server = await startServer(t)
  const clientId = uniqueId()
  const { client: watcher } = await connectWire(t, server.mqtt, { clientId, clean: false })
  await subscribe(watcher, { 'will/#': 1, end: 1 })
  for (const qos of [0, 1, 2] as const) await connectWire(t, server.mqtt, will(`will/${qos}`, { qos }))
  await connectWire(t, server.mqtt, will('will/retained', { retain: true }))
  const { client: polite } = await connectWire(t, server.mqtt, { ...will('will/polite'), clean: false })
  polite.send({ cmd: 'disconnect' })
  await within(polite.closed, 'the end of the connection')
  // a receipt for what came later: what came before it is on disk as well
  await publish1((await connectWire(t, server.mqtt)).client, 'will/before', 'x')
  for (let round = 0; round < 2; round++) {
    await server.kill()
    await server.restart()
    const { client: back, connack } = await connectWire(t, server.mqtt, { clientId, clean: false })
    t.equal(connack.sessionPresent, true)
    const { client: publisher } = await connectWire(t, server.mqtt)
    const got = (await until(back, publisher, 'end')).sort()
    // at QoS 0 nothing is kept for the session that was away [MQTT-4.3.1-1]
    const expected = round === 0 ? ['will/1', 'will/2', 'will/retained'] : []
    t.same(got.filter(topic => !/0$|before$/.test(topic)), expected, round === 0 ? 'published' : 'not again')
    const { client: later } = await connectWire(t, server.mqtt)
    await subscribe(later, { 'will/#': 1 })
    t.match(await take(later), { topic: 'will/retained', retain: true })
    t.same(await later.untilPong(), [])
    back.send({ cmd: 'disconnect' })
    await within(back.closed, 'the end of the connection')
  }
})

t.test('[MQTT-3.1.2-12] [MQTT-3.1.2-16] no will, no message; and one without its flag is not retained', async t => {
  const server = await startInProcess(t)
  const { client: watcher } = await connectWire(t, server)
  await subscribe(watcher, { '#': 1 })
  const clientId = uniqueId()
  const { client: first } = await connectWire(t, server, { ...will('will/once'), clientId, clean: false })
  first.destroy()
  t.equal((await take(watcher)).topic, 'will/once')
  const { client: later } = await connectWire(t, server)
  await subscribe(later, { 'will/#': 1 })
  t.same(await later.untilPong(), [], 'it was not retained')
  const { client: without } = await connectWire(t, server, { clientId, clean: false })
  const detached = once(server.broker.events, 'detached')
  without.destroy()
  await detached
  const { client: publisher } = await connectWire(t, server)
  t.same(await until(watcher, publisher, 'end'), [])
})
