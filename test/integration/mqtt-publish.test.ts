import { generate, type Packet } from 'mqtt-packet'
import t from 'tap'
import { createMemoryDisk, createMemoryStore } from '../../broker/store/memory.ts'
import { startInProcess } from '../helpers/in-process.ts'
import {
  connectPacket, connectWire, openWire, publish1, publish2, publishPacket, subscribe, take, text, uniqueId
} from '../helpers/mqtt-wire.ts'
import { within } from '../helpers/wait.ts'

t.test('[MQTT-4.3.2-2] [MQTT-2.3.1-6] QoS 1: one PUBACK for each PUBLISH, with its identifier, in order', async t => {
  const server = await startInProcess(t)
  const { client } = await connectWire(t, server)
  const ids = [1, 65_535, 2, 300, 299, 65_534]
  client.send(...ids.map(messageId => publishPacket('a', 'x', { qos: 1, messageId })))
  for (const messageId of ids) t.equal((await client.expect('puback')).messageId, messageId)
  t.same(await client.untilPong(), [])
})

t.test('[MQTT-4.6.0-3] [G3] receipts come in order when QoS 1 and 2 are mixed, and nothing is overtaken', async t => {
  const server = await startInProcess(t)
  const { client: subscriber } = await connectWire(t, server, { clean: false })
  await subscribe(subscriber, { 'a/#': 2 })
  const { client } = await connectWire(t, server)
  const sent = Array.from({ length: 60 }, (_, i) => ({ payload: `m${i}`, qos: (i % 2 + 1) as 1 | 2, messageId: i + 1 }))
  client.send(...sent.map(({ payload, ...more }) => publishPacket('a/x', payload, more)))
  for (const { qos, messageId } of sent) {
    t.match(await client.next(), { cmd: qos === 1 ? 'puback' : 'pubrec', messageId })
  }
  const got: string[] = []
  while (got.length < sent.length) {
    const packet = await subscriber.next()
    if (packet.cmd === 'pubrel') { subscriber.send({ cmd: 'pubcomp', messageId: packet.messageId }); continue }
    if (packet.cmd !== 'publish') throw new Error(`did not expect ${packet.cmd}`)
    got.push(text(packet))
    subscriber.send({ cmd: packet.qos === 1 ? 'puback' : 'pubrec', messageId: packet.messageId })
  }
  t.same(got, sent.map(({ payload }) => payload))
})

t.test('[G1] [MQTT-4.8.0-2] no receipt while the log cannot be written; the retry gets one', async t => {
  const disk = createMemoryDisk()
  const server = await startInProcess(t, { store: createMemoryStore(disk) })
  const { client: subscriber } = await connectWire(t, server, { clean: false })
  await subscribe(subscriber, { a: 2 })
  for (const qos of [1, 2] as const) {
    const { client } = await connectWire(t, server)
    disk.failing = true
    client.send(publishPacket('a', `at ${qos}`, { qos, messageId: 9 }))
    await within(client.closed, 'the publisher to be closed')
    t.same(client.waiting, [], `QoS ${qos}: no receipt`)
    disk.failing = false
    const { client: again } = await connectWire(t, server)
    if (qos === 1) await publish1(again, 'a', `at ${qos}`, 9, { dup: true })
    else await publish2(again, 'a', `at ${qos}`, 9, { dup: true })
    t.equal(text(await take(subscriber)), `at ${qos}`, 'delivered once')
  }
  t.same(await subscriber.untilPong(), [], 'nothing of what got no receipt')
})

t.test('[MQTT-4.3.3-2] QoS 2: repeated PUBLISH and PUBREL make one message [G4]', async t => {
  const server = await startInProcess(t)
  const { client: subscriber } = await connectWire(t, server, { clean: false })
  await subscribe(subscriber, { a: 1 })
  const { client } = await connectWire(t, server, { clean: false })
  const packet = publishPacket('a', 'once', { qos: 2, messageId: 5 })
  client.send(packet)
  t.equal((await client.expect('pubrec')).messageId, 5)
  for (let i = 0; i < 3; i++) {
    client.send({ ...packet, dup: true })
    t.equal((await client.expect('pubrec')).messageId, 5, 'the repeated PUBLISH gets its PUBREC')
  }
  for (let i = 0; i < 3; i++) {
    client.send({ cmd: 'pubrel', messageId: 5 })
    t.equal((await client.expect('pubcomp')).messageId, 5, 'and the repeated PUBREL its PUBCOMP')
  }
  await publish2(client, 'a', 'next', 5)
  t.equal(text(await take(subscriber)), 'once')
  t.equal(text(await take(subscriber)), 'next', 'after PUBCOMP the identifier is a new message')
  t.same(await subscriber.untilPong(), [])
})

t.test('[MQTT-4.4.0-1] QoS 2: the handshake goes on after a reconnect, and the message is there once [G4]', async t => {
  const server = await startInProcess(t)
  const { client: subscriber } = await connectWire(t, server, { clean: false })
  await subscribe(subscriber, { a: 1 })
  const clientId = uniqueId()
  const packet = publishPacket('a', 'once', { qos: 2, messageId: 5 })
  const { client: first } = await connectWire(t, server, { clientId, clean: false })
  first.send(packet)
  await first.expect('pubrec')
  first.destroy()
  const { client: second } = await connectWire(t, server, { clientId, clean: false })
  second.send({ ...packet, dup: true })
  await second.expect('pubrec')
  second.destroy()
  const { client: third } = await connectWire(t, server, { clientId, clean: false })
  third.send({ cmd: 'pubrel', messageId: 5 })
  await third.expect('pubcomp')
  await publish1(third, 'a', 'end', 6)
  t.equal(text(await take(subscriber)), 'once')
  t.equal(text(await take(subscriber)), 'end')
})

t.test('a PUBREL for an unknown identifier gets its PUBCOMP, so that the client can forget it', async t => {
  const server = await startInProcess(t)
  const { client } = await connectWire(t, server, { clean: false })
  client.send({ cmd: 'pubrel', messageId: 4_242 })
  t.equal((await client.expect('pubcomp')).messageId, 4_242)
  t.same(await client.untilPong(), [])
})

t.test('[G6] QoS 2 messages over incomingMax are not taken in silence', async t => {
  const server = await startInProcess(t, { limits: { incomingMax: 3 } })
  const { client } = await connectWire(t, server, { clean: false })
  for (let messageId = 1; messageId <= 3; messageId++) {
    client.send(publishPacket('a', 'x', { qos: 2, messageId }))
    await client.expect('pubrec')
  }
  client.send(publishPacket('a', 'x', { qos: 2, messageId: 4 }))
  await within(client.closed, 'the connection to be closed')
  t.same(client.waiting, [], 'no PUBREC for what is not kept')
})

t.test('[G4] a burst at QoS 2 is taken whole before any of it is released, and each comes once', async t => {
  const server = await startInProcess(t)
  const { client: subscriber } = await connectWire(t, server, { clean: false })
  await subscribe(subscriber, { burst: 1 })
  const { client } = await connectWire(t, server)
  const count = 5_000
  client.write(Buffer.concat(Array.from({ length: count }, (_, i) =>
    generate(publishPacket('burst', String(i), { qos: 2, messageId: i + 1 })))))
  for (let i = 0; i < count; i++) {
    const { messageId } = await client.expect('pubrec', 20_000)
    if (messageId !== i + 1) return t.fail(`PUBREC ${messageId} instead of ${i + 1}`)
  }
  for (let i = 0; i < count; i++) client.send({ cmd: 'pubrel', messageId: i + 1 })
  for (let i = 0; i < count; i++) {
    const got = text(await take(subscriber, 20_000))
    if (got !== String(i)) return t.fail(`${got} instead of ${i}`)
  }
  t.notOk(client.isClosed, 'nobody was cut')
})

t.test('[G3] what is sent right behind CONNECT is handled in order, however it is cut', async t => {
  const server = await startInProcess(t)
  const { client: subscriber } = await connectWire(t, server, { clean: false })
  await subscribe(subscriber, { 'early/#': 1 })
  for (const size of [1, 7, 20, 64, 1_000, 100_000]) {
    const client = await openWire(t, server)
    const numbers = Array.from({ length: 100 }, (_, i) => `${size}/${i}`)
    const bytes = Buffer.concat([generate(connectPacket({ clean: false })),
      generate({ cmd: 'subscribe', messageId: 1_000, subscriptions: [{ topic: 'early/end', qos: 1 }] }),
      ...numbers.map((number, i) => generate(publishPacket('early/a', number, { qos: 1, messageId: i + 1 }))),
      generate(publishPacket('early/end', 'end', { qos: 1, messageId: 999 }))])
    for (let at = 0; at < bytes.length; at += size) {
      client.write(bytes.subarray(at, at + size))
      await new Promise(resolve => setImmediate(resolve))
    }
    t.equal((await client.expect('connack')).returnCode, 0)
    const cmds: string[] = []
    while (cmds.length < 103 && !client.isClosed) cmds.push((await client.next()).cmd)
    t.ok(cmds.includes('publish'), `${size} bytes: SUBSCRIBE was handled before the last PUBLISH`)
    const got: string[] = []
    while (got.at(-1) !== 'end') got.push(text(await take(subscriber)))
    t.same(got, [...numbers, 'end'], `${size} bytes: in order [G3]`)
    client.destroy()
  }
})

t.test('[MQTT-3.3.1-3] the DUP flag of the publisher is not passed on', async t => {
  const server = await startInProcess(t)
  const { client } = await connectWire(t, server)
  await subscribe(client, { a: 1 })
  client.send(publishPacket('a', 'x', { qos: 1, messageId: 1, dup: true }))
  const got = [await client.next(), await client.next()]
  t.match(got.find(({ cmd }) => cmd === 'publish'), { dup: false, retain: false })
})

t.test('payloads come through byte by byte: empty, binary, and as large as the limit allows', async t => {
  const server = await startInProcess(t)
  const { client: subscriber } = await connectWire(t, server, { clean: false })
  await subscribe(subscriber, { 'p/#': 1 })
  const { client } = await connectWire(t, server)
  const everyByte = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
  const payloads = [Buffer.alloc(0), everyByte, Buffer.alloc(1_000_000, 0xfe)]
  for (const [i, payload] of payloads.entries()) {
    await publish1(client, `p/${i}`, payload)
    const message = await take(subscriber)
    t.ok(payload.equals(message.payload as Buffer), `${payload.length} bytes`)
  }
})

t.test('[G6] a packet over skippedPacketBytesMax closes the connection, and nobody else', async t => {
  const limits = { packetBytesMax: 10_000, skippedPacketBytesMax: 2_000_000 }
  const server = await startInProcess(t, { limits })
  const { client: other } = await connectWire(t, server)
  const { client } = await connectWire(t, server)
  await publish1(client, 'a', Buffer.alloc(9_000))
  client.write(Buffer.from([0x32, 0xff, 0xff, 0x7f]))
  await within(client.closed, 'the connection to be closed as soon as the length is known')
  t.same(await other.untilPong(), [])
})

t.test('[MQTT-4.3.2-2] behind its PUBACK an identifier is a new message, whatever DUP says', async t => {
  const server = await startInProcess(t)
  const { client: subscriber } = await connectWire(t, server)
  await subscribe(subscriber, { a: 1 })
  const { client } = await connectWire(t, server)
  for (const [payload, dup] of [['one', false], ['two', true], ['three', false]] as const) {
    await publish1(client, 'a', payload, 7, { dup })
    t.equal(text(await take(subscriber)), payload)
  }
})

/** What a client says, and what it gets, byte by byte. */
const SPOKEN: ReadonlyArray<readonly [Packet, string]> = [
  [connectPacket(), '20020000'],
  [{ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'a', qos: 0 }] }, '9003000100'],
  [publishPacket('a', 'x'), '300400016178'], // without an identifier
  [publishPacket('b', 'x', { qos: 1, messageId: 2 }), '40020002'],
  [publishPacket('b', 'x', { qos: 2, messageId: 3 }), '50020003'],
  [{ cmd: 'pubrel', messageId: 3 }, '70020003'],
  [{ cmd: 'pubrec', messageId: 4 }, '62020004'],
  [{ cmd: 'unsubscribe', messageId: 5, unsubscriptions: ['a'] }, 'b0020005'],
  [{ cmd: 'pingreq' }, 'd000']
]

t.test('[MQTT-2.2.2-1] [MQTT-2.3.1-5] [MQTT-4.3.1-1] [MQTT-3.12.4-1] what the server says, byte by byte', async t => {
  const client = await openWire(t, await startInProcess(t))
  let bytes = Buffer.alloc(0)
  client.stream.on('data', (chunk: Buffer) => { bytes = Buffer.concat([bytes, chunk]) })
  for (const [packet, answer] of SPOKEN) {
    client.send(packet)
    await client.next()
    t.equal(bytes.toString('hex'), answer, packet.cmd)
    bytes = Buffer.alloc(0)
  }
})
