import { once } from 'node:events'
import t from 'tap'
import type { IPublishPacket } from 'mqtt-packet'
import { startInProcess } from '../helpers/in-process.ts'
import {
  connectWire, publish1, publish2, publishPacket, subscribe, take, text, uniqueId, type WireClient
} from '../helpers/mqtt-wire.ts'
import { chooseSeed, createRandom } from '../helpers/random.ts'
import { within } from '../helpers/wait.ts'

function acknowledge (client: WireClient, messages: readonly IPublishPacket[]): void {
  for (const { messageId } of messages) client.send({ cmd: 'puback', messageId })
}

const texts = (messages: readonly IPublishPacket[]): string[] => messages.map(text)
const numbers = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, i) => `${from + i}`)

async function publishMany (client: WireClient, topic: string, from: number, to: number): Promise<void> {
  for (const [i, payload] of numbers(from, to).entries()) {
    client.send(publishPacket(topic, payload, { qos: 1, messageId: i % 60_000 + 1 }))
  }
  for (let i = from; i < to; i++) await client.expect('puback')
}

t.test('[G2] [MQTT-3.1.2-5] [MQTT-4.1.0-1] [MQTT-4.5.0-1] a session gets what came while it was away', async t => {
  const server = await startInProcess(t)
  const clientId = uniqueId()
  const { client } = await connectWire(t, server, { clientId, clean: false })
  await subscribe(client, { 'a/#': 2 })
  client.destroy()
  const { client: publisher } = await connectWire(t, server)
  await publish1(publisher, 'a/1', 'one')
  await publish2(publisher, 'a/2', 'two')
  const { client: back, connack } = await connectWire(t, server, { clientId, clean: false })
  t.equal(connack.sessionPresent, true)
  t.match(await take(back), { topic: 'a/1', qos: 1, retain: false })
  t.match(await take(back), { topic: 'a/2', qos: 2, retain: false })
  t.same(await back.untilPong(), [])
})

for (const [qos0Messages, received] of [['pass', []], ['keep', ['one', 'two']]] as const) {
  t.test(`[G2] what came at QoS 0 while a session was away: ${qos0Messages}`, async t => {
    const server = await startInProcess(t, { qos0Messages })
    const clientId = uniqueId()
    const { client } = await connectWire(t, server, { clientId, clean: false })
    await subscribe(client, { 'a/#': 1 })
    const detached = once(server.broker.events, 'detached')
    client.destroy()
    await detached
    const { client: sensor } = await connectWire(t, server)
    for (const payload of ['one', 'two']) sensor.send(publishPacket('a/1', payload, { qos: 0 }))
    t.same(await sensor.untilPong(), [], 'no receipt')
    await publish1(sensor, 'b', 'all before it was taken')
    const { client: back } = await connectWire(t, server, { clientId, clean: false })
    const got = await back.messages(received.length)
    t.same(texts(got), received)
    t.ok(got.every(({ qos }) => qos === 1))
    t.same(await back.untilPong(), [])
  })
}

t.test('[MQTT-4.4.0-1] the unacknowledged comes again: same identifiers, DUP, same order [G3] [G4]', async t => {
  const server = await startInProcess(t)
  const clientId = uniqueId()
  const { client } = await connectWire(t, server, { clientId, clean: false })
  const { client: publisher } = await connectWire(t, server)
  await subscribe(client, { a: 1 })
  await publishMany(publisher, 'a', 0, 10)
  const first = await client.messages(10)
  t.ok(first.every(({ dup }) => !dup), 'the first time without DUP [MQTT-4.3.2-1]')
  acknowledge(client, [first[7], first[2]])
  await client.untilPong()
  const detached = once(server.broker.events, 'detached')
  client.destroy()
  await detached
  await publishMany(publisher, 'a', 10, 13)
  const { client: back } = await connectWire(t, server, { clientId, clean: false })
  const again = await back.messages(8)
  t.same(texts(again), ['0', '1', '3', '4', '5', '6', '8', '9'], 'all but two, in order [MQTT-4.6.0-1]')
  t.ok(again.every(({ dup }) => dup), 'with DUP [MQTT-3.3.1-1]')
  for (const message of again) {
    t.equal(message.messageId, first.find(before => text(before) === text(message))!.messageId, 'the same identifier')
  }
  const missed = await back.messages(3)
  t.same(texts(missed), ['10', '11', '12'], 'then what was missed')
  t.notOk(missed.some(({ dup }) => dup), 'without DUP')
})

t.test('[G6] no more than the window is in flight; acknowledging any of it lets the next one go', async t => {
  const server = await startInProcess(t)
  const { client } = await connectWire(t, server, { clean: false })
  const { client: publisher } = await connectWire(t, server)
  await subscribe(client, { a: 1 })
  await publishMany(publisher, 'a', 0, 200)
  const window = await client.messages(64)
  t.same(texts(window), numbers(0, 64))
  t.equal(new Set(window.map(({ messageId }) => messageId)).size, 64, 'every identifier is its own')
  t.same(await client.untilPong(), [], 'nothing more')
  acknowledge(client, [window[63]])
  t.same(texts(await client.messages(1)), ['64'], 'an acknowledgement out of order moves on')
  acknowledge(client, window.slice(0, 63))
  t.same(texts(await client.messages(63)), numbers(65, 128))
})

t.test('[MQTT-2.3.1-4] an identifier in use is never given out again, not over 70,000 messages', async t => {
  const server = await startInProcess(t)
  const { client } = await connectWire(t, server, { clean: false })
  const { client: publisher } = await connectWire(t, server)
  await subscribe(client, { a: 1 })
  await publish1(publisher, 'a', 'held')
  const held = await client.expect('publish')
  const inUse = new Set([held.messageId!])
  let wraps = 0
  let last = held.messageId!
  for (let batch = 0; batch < 350; batch++) {
    for (let i = 0; i < 200; i++) publisher.send(publishPacket('a', 'x', { qos: 1, messageId: i + 1 }))
    for (let got = 0; got < 200; got++) {
      const { messageId } = await client.expect('publish')
      if (inUse.has(messageId!)) return t.fail(`identifier ${messageId} was given out while it was in use`)
      if (messageId! < last) wraps++
      last = messageId!
      inUse.add(messageId!)
      // the last 30 stay unacknowledged for a while
      if (inUse.size > 30) {
        const oldest = [...inUse][1]
        inUse.delete(oldest)
        client.send({ cmd: 'puback', messageId: oldest })
      }
    }
    for (let i = 0; i < 200; i++) await publisher.expect('puback')
  }
  t.ok(wraps > 0, 'the identifiers began again')
  client.send({ cmd: 'puback', messageId: held.messageId })
})

t.test('[MQTT-4.6.0-5] [MQTT-4.6.0-6] order holds over many cuts, live never overtakes backlog [G3]', async t => {
  const random = createRandom(chooseSeed())
  t.comment(`seed ${random.seed}`)
  const server = await startInProcess(t, { limits: { inflightMessagesMax: 8 } })
  const clientId = uniqueId()
  const { client: first } = await connectWire(t, server, { clientId, clean: false })
  await subscribe(first, { 'a/#': 1 })
  first.destroy()
  const { client: publisher } = await connectWire(t, server)
  const total = 2_000
  const publishing = publishMany(publisher, 'a/b', 0, total)
  const seen: number[] = []
  const unacknowledged = new Map<number, string>()
  while (seen.length < total || unacknowledged.size > 0) {
    const { client } = await connectWire(t, server, { clientId, clean: false })
    const known = [...unacknowledged]
    const count = random.between(1, 200)
    for (let i = 0; i < count && (seen.length < total || i < known.length); i++) {
      const message = await client.expect('publish')
      if (i < known.length) {
        t.same([message.messageId, text(message), message.dup], [...known[i], true], 'what was in flight comes first')
      } else {
        note(message)
      }
      // leave the last few of the window open
      if (unacknowledged.size < 4 && seen.length < total) continue
      const id = i < known.length ? message.messageId! : random.pick([...unacknowledged.keys()])
      client.send({ cmd: 'puback', messageId: id })
      unacknowledged.delete(id)
    }
    for (const message of await client.untilPong()) note(message as IPublishPacket)
    client.destroy()
  }
  await publishing
  t.same(seen, Array.from({ length: total }, (_, i) => i))

  /** Seen, and open. A repetition of what is open is known already. */
  function note (message: IPublishPacket): void {
    if (unacknowledged.has(message.messageId!)) return
    if (Number(text(message)) !== (seen.at(-1) ?? -1) + 1) t.fail(`${text(message)} after ${seen.at(-1)}`)
    seen.push(Number(text(message)))
    unacknowledged.set(message.messageId!, text(message))
  }
})

t.test('[MQTT-4.3.3-1] QoS 2 to the subscriber: the handshake goes on where it was cut [G4]', async t => {
  const server = await startInProcess(t)
  const clientId = uniqueId()
  const connect = async (): Promise<WireClient> =>
    (await connectWire(t, server, { clientId, clean: false })).client
  let client = await connect()
  await subscribe(client, { a: 2 })
  const { client: publisher } = await connectWire(t, server)
  await publish2(publisher, 'a', 'once')
  const message = await client.expect('publish')
  t.match(message, { qos: 2, dup: false })
  client.destroy()
  client = await connect()
  t.match(await client.expect('publish'), { messageId: message.messageId, dup: true, qos: 2 }, 'before PUBREC: again')
  client.send({ cmd: 'pubrec', messageId: message.messageId })
  t.match(await client.expect('pubrel'), { messageId: message.messageId })
  client.destroy()
  client = await connect()
  t.match(await client.next(), { cmd: 'pubrel', messageId: message.messageId }, 'after PUBREC: PUBREL, no PUBLISH')
  client.send({ cmd: 'pubrec', messageId: message.messageId })
  t.match(await client.next(), { cmd: 'pubrel', messageId: message.messageId }, 'a repeated PUBREC gets it again')
  client.send({ cmd: 'pubcomp', messageId: message.messageId })
  client.send({ cmd: 'pubcomp', messageId: message.messageId })
  t.same(await client.untilPong(), [])
  client.destroy()
  client = await connect()
  t.same(await client.untilPong(), [], 'it is over')
})

t.test('QoS 1 and 2 in flight share identifiers without mixing up: PUBACK does not end a QoS 2 message', async t => {
  const server = await startInProcess(t)
  const clientId = uniqueId()
  const { client } = await connectWire(t, server, { clientId, clean: false })
  await subscribe(client, { a: 2 })
  const { client: publisher } = await connectWire(t, server)
  await publish2(publisher, 'a', 'two')
  const message = await client.expect('publish')
  client.send({ cmd: 'pubrec', messageId: message.messageId })
  await client.expect('pubrel')
  client.destroy()
  await publish1(publisher, 'a', 'one', 2)
  const { client: back } = await connectWire(t, server, { clientId, clean: false })
  t.match(await back.next(), { cmd: 'pubrel', messageId: message.messageId })
  const other = await back.expect('publish')
  t.not(other.messageId, message.messageId, 'the identifier of an open PUBREL is in use')
})

t.test('[G3] what a connected client publishes to itself comes back in order, while a backlog is drained', async t => {
  const server = await startInProcess(t)
  const clientId = uniqueId()
  const { client } = await connectWire(t, server, { clientId, clean: false })
  await subscribe(client, { a: 1 })
  client.destroy()
  const { client: publisher } = await connectWire(t, server)
  await publishMany(publisher, 'a', 0, 500)
  const { client: back } = await connectWire(t, server, { clientId, clean: false })
  back.send(...numbers(500, 600).map((payload, i) => publishPacket('a', payload, { qos: 1, messageId: i + 1 })))
  const got: string[] = []
  while (got.length < 600) {
    const packet = await back.next()
    if (packet.cmd !== 'publish') continue
    got.push(text(packet))
    back.send({ cmd: 'puback', messageId: packet.messageId })
  }
  t.same(got, numbers(0, 600))
})

t.test('[G5] a session that loses messages to a bound is told on $holdfast/gap, with their number', async t => {
  const server = await startInProcess(t, { limits: { backlogMessagesMax: 10 } })
  const clientId = uniqueId()
  const { client } = await connectWire(t, server, { clientId, clean: false })
  await subscribe(client, { a: 1, '$holdfast/gap': 1 })
  client.destroy()
  const gaps: Array<{ clientId: string, count: number, reason: string }> = []
  server.broker.events.on('gap', gap => gaps.push(gap))
  const { client: publisher } = await connectWire(t, server)
  await publishMany(publisher, 'a', 0, 50)
  const { client: back } = await connectWire(t, server, { clientId, clean: false })
  const kept: string[] = []
  let lost = 0
  while (kept.at(-1) !== '49' || lost === 0) {
    const message = await take(back)
    if (message.topic === '$holdfast/gap') lost += (JSON.parse(text(message)) as { count: number }).count
    else kept.push(text(message))
  }
  t.equal(lost + kept.length, 50, `${lost} lost and ${kept.length} kept make all`)
  t.same(kept, numbers(lost, 50), 'the newest are kept')
  t.equal(gaps.reduce((sum, { count }) => sum + count, 0), lost, 'the event says the same')
  t.ok(gaps.every(gap => gap.clientId === clientId && gap.reason === 'backlog-messages'))
})

t.test('[G6] a subscriber that never acknowledges is cut after ackTimeoutMs, and its messages wait for it', async t => {
  const server = await startInProcess(t, { limits: { ackTimeoutMs: 300 } })
  const clientId = uniqueId()
  const { client } = await connectWire(t, server, { clientId, clean: false })
  await subscribe(client, { a: 1 })
  const { client: publisher } = await connectWire(t, server)
  await publish1(publisher, 'a', 'kept')
  await within(client.closed, 'the connection to be cut')
  const { client: back } = await connectWire(t, server, { clientId, clean: false })
  t.match(await take(back), { dup: true })
})

t.test('[MQTT-4.6.0-4] PUBREL goes out in the order in which PUBREC came', async t => {
  const server = await startInProcess(t)
  for (const clean of [true, false]) {
    const { client } = await connectWire(t, server, { clean })
    await subscribe(client, { a: 2 })
    const { client: publisher } = await connectWire(t, server)
    for (const messageId of [1, 2, 3, 4]) await publish2(publisher, 'a', 'x', messageId)
    const sent = await client.messages(4)
    const received = [2, 0, 3, 1].map((i) => sent[i].messageId!)
    client.send(...received.map((messageId) => ({ cmd: 'pubrec' as const, messageId })))
    const released: number[] = []
    while (released.length < 4) released.push((await client.expect('pubrel')).messageId!)
    t.same(released, received, `clean=${clean}`)
    client.destroy()
  }
})
