import { generate, type Packet } from 'mqtt-packet'
import t, { type Test } from 'tap'
import { noticedNothing, startCanary, type Canary } from '../helpers/canary.ts'
import {
  connectPacket, connectWire, openWire, publish1, publishPacket, subscribe, take, text, type WireClient
} from '../helpers/mqtt-wire.ts'
import { chooseSeed, createRandom } from '../helpers/random.ts'
import { startServer, type ServerProcess } from '../helpers/server.ts'
import { until, within } from '../helpers/wait.ts'

const MB = 1_048_576
const FLAGS = ['--connect-timeout-ms', '1500']

async function setUp (t: Test): Promise<{ server: ServerProcess, canary: Canary }> {
  const server = await startServer(t, { flags: FLAGS })
  const canary = await startCanary(t, server.mqtt)
  await canary.sings()
  return { server, canary }
}

/** What a busy client says, as one packet of each kind. */
const SAID: readonly Packet[] = [
  publishPacket('t', 'x', { qos: 1, messageId: 5 }),
  publishPacket('a/b/c', 'payload', { qos: 2, messageId: 6 }),
  publishPacket('kept', 'x', { retain: true }),
  { cmd: 'subscribe', messageId: 7, subscriptions: [{ topic: 'a/#', qos: 1 }, { topic: '+', qos: 2 }] },
  { cmd: 'unsubscribe', messageId: 8, unsubscriptions: ['a/#'] },
  { cmd: 'puback', messageId: 9 },
  { cmd: 'pubrec', messageId: 9 },
  { cmd: 'pubrel', messageId: 6 },
  { cmd: 'pingreq' },
  connectPacket({
    clientId: 'again',
    username: 'u',
    password: Buffer.from('p'),
    will: { topic: 'w', payload: Buffer.from('x'), qos: 1, retain: true }
  })
]

t.test('6,000 mutated packets crash nothing and disturb nobody [G8]', async t => {
  const random = createRandom(chooseSeed())
  t.comment(`seed ${random.seed}`)
  const { server, canary } = await setUp(t)
  const packets = SAID.map(packet => generate(packet))
  for (let round = 0; round < 750; round++) {
    const client = await openWire(t, server.mqtt)
    // half of them begin as they should, so that the rest is read by a connected session
    if (round % 2 === 0) client.send(connectPacket({ clientId: `mutant-${round % 7}`, clean: round % 3 === 0 }))
    for (let i = 0; i < 8; i++) {
      const mutant = Buffer.from(random.pick(packets))
      for (let flips = random.between(1, 3); flips > 0; flips--) mutant[random.int(mutant.length)] = random.int(256)
      client.write(mutant)
    }
    client.stream.end()
    await within(client.closed, `the end of connection ${round}, seed ${random.seed}`)
  }
  t.ok(server.running, 'the server runs')
  await noticedNothing(t, canary)
})

t.test('packets cut off at every byte, followed by the end, crash nothing and leave nothing open [G8]', async t => {
  const { server, canary } = await setUp(t)
  for (const packet of SAID) {
    const bytes = generate(packet)
    for (let length = 1; length < bytes.length; length++) {
      const { client } = await connectWire(t, server.mqtt)
      client.write(bytes.subarray(0, length))
      client.stream.end()
      await within(client.closed, `the end after ${length} bytes of ${packet.cmd}`)
      t.same(client.waiting.filter(({ cmd }) => cmd !== 'pingresp'), [], `${length} bytes of ${packet.cmd}`)
    }
  }
  await noticedNothing(t, canary)
})

t.test('[G6] a CONNECT of 200 MB is cut early and costs no memory', async t => {
  const { server, canary } = await setUp(t)
  server.resetPeak()
  const before = server.memory().rssBytes
  const client = await openWire(t, server.mqtt)
  client.write(Buffer.from([0x10, 0x80, 0x90, 0xaf, 0x5f])) // a remaining length of 199,999,488 bytes
  client.write(generate(connectPacket()).subarray(2, 12))
  const sent = await pour(client, Buffer.alloc(MB), 200 * MB)
  await within(client.closed, 'the connection to be cut')
  const grown = server.memory().peakBytes - before
  t.comment(`cut after ${Math.round(sent / MB)} MB, memory grew by ${Math.round(grown / MB)} MB at most`)
  t.ok(sent < 32 * MB, 'most of it was never taken')
  t.ok(grown < 32 * MB, 'nor kept')
  await noticedNothing(t, canary)
})

/** Writes `chunk` until `total` bytes are sent or the connection closes; the bytes that were handed to the system. */
async function pour (client: WireClient, chunk: Buffer, total: number): Promise<number> {
  let sent = 0
  while (sent < total && !client.isClosed) {
    sent += chunk.length
    if (client.write(chunk)) continue
    await Promise.race([new Promise(resolve => client.stream.once('drain', resolve)), client.closed])
  }
  return sent
}

t.test('[G6] two hundred CONNECTs that are never finished are closed after connectTimeoutMs', async t => {
  const { server, canary } = await setUp(t)
  const bytes = generate(connectPacket())
  const clients = await Promise.all(Array.from({ length: 200 }, async (_, i) => {
    const client = await openWire(t, server.mqtt)
    client.write(bytes.subarray(0, i % bytes.length))
    return client
  }))
  await within(Promise.all(clients.map(async ({ closed }) => closed)), 'all of them to be closed')
  t.ok(clients.every(({ waiting }) => waiting.length === 0), 'without a word')
  await noticedNothing(t, canary)
})

t.test('a CONNECT that drips a byte at a time does not hold its place beyond connectTimeoutMs [G6]', async t => {
  const { server, canary } = await setUp(t)
  const client = await openWire(t, server.mqtt)
  const bytes = generate(connectPacket({ clientId: 'x'.repeat(200) }))
  let sent = 0
  const drip = setInterval(() => { if (!client.isClosed) client.write(bytes.subarray(sent, ++sent)) }, 100)
  t.teardown(() => clearInterval(drip))
  await within(client.closed, 'the connection to be closed')
  clearInterval(drip)
  t.ok(sent < bytes.length, `after ${sent} bytes`)
  await noticedNothing(t, canary)
})

t.test('a session whose every byte comes alone works like any other', async t => {
  const { server, canary } = await setUp(t)
  const client = await openWire(t, server.mqtt)
  const script: Packet[] = [
    connectPacket(),
    { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'drip', qos: 1 }] },
    publishPacket('drip', 'drop', { qos: 1, messageId: 2 }),
    { cmd: 'pingreq' }
  ]
  for (const byte of Buffer.concat(script.map(packet => generate(packet)))) {
    client.write(Buffer.from([byte]))
    await new Promise(resolve => setImmediate(resolve))
  }
  const got: string[] = []
  while (got.length < 5) got.push((await client.next()).cmd)
  t.same(got.sort(), ['connack', 'pingresp', 'puback', 'publish', 'suback'])
  await noticedNothing(t, canary)
})

const NAMES = [
  '__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf', 'prototype', '__defineGetter__', 'length',
  'then', '0', '-1', 'NaN', 'null', 'undefined', '%', '%2f', '..', '../../etc/passwd', 'a\tb', '\u007f', '\ufeff', '😀'
]

/** A topic may hold control characters, an identifier may not; each name has one of its own. */
const identifierOf = (name: string): string => name.replace('\t', 'tab').replace('\u007f', 'delete')

t.test('names that mean something to JavaScript or to file systems are names like others', async t => {
  const { server, canary } = await setUp(t)
  const { client: publisher } = await connectWire(t, server.mqtt, { clientId: 'names' })
  for (const name of NAMES) {
    const clientId = identifierOf(name)
    const { client, connack } = await connectWire(t, server.mqtt, { clientId, clean: false })
    t.match(connack, { returnCode: 0, sessionPresent: false }, name)
    t.same(await subscribe(client, { [name]: 1, [`${name}/+`]: 2 }), [1, 2])
    client.destroy()
    await publish1(publisher, name, name, 1, { retain: true })
    await publish1(publisher, `${name}/leaf`, name, 2)
    const { client: back, connack: again } = await connectWire(t, server.mqtt, { clientId, clean: false })
    t.equal(again.sessionPresent, true)
    t.same([(await take(back)).topic, (await take(back)).topic], [name, `${name}/leaf`])
    await subscribe(back, { [name]: 1 })
    t.match(await take(back), { retain: true, topic: name })
    back.send({ cmd: 'unsubscribe', messageId: 3, unsubscriptions: [name, `${name}/+`] })
    await back.expect('unsuback')
    await publish1(publisher, name, 'unwanted', 4)
    t.same(await back.untilPong(), [])
  }
  await server.restart()
  for (const name of NAMES) {
    const { connack } = await connectWire(t, server.mqtt, { clientId: identifierOf(name), clean: false })
    t.equal(connack.sessionPresent, true, `${name} after a restart`)
  }
  await canary.stop() // the restart has cut it
})

t.test('[G6] topics deeper than the limit are refused, those at the limit work', async t => {
  const { server, canary } = await setUp(t)
  const levels = (count: number): string => Array(count).fill('a').join('/')
  const { client } = await connectWire(t, server.mqtt)
  t.same(await subscribe(client, [[levels(32), 1], [levels(33), 1], ['+/'.repeat(31) + '#', 1]]), [1, 0x80, 1])
  client.send(publishPacket(levels(32), 'deep', { qos: 1, messageId: 3 }))
  const got = [await client.next(), await client.next()]
  const message = got.find(packet => packet.cmd === 'publish')
  t.equal(message?.cmd === 'publish' && text(message), 'deep')
  for (const topic of [levels(33), levels(500), '/'.repeat(1_000), 'x'.repeat(1_025)]) {
    const { client: deep } = await connectWire(t, server.mqtt)
    await publish1(deep, topic, 'x')
  }
  t.same(await client.untilPong(), [], 'and reach nobody')
  await noticedNothing(t, canary)
})

t.test('[G6] [G8] 10,000 subscriptions, in one packet or in many, hold up nobody; one more is refused', async t => {
  const { server, canary } = await setUp(t)
  const before = server.memory().rssBytes
  const filters = Array.from({ length: 10_000 }, (_, i) => [`many/${i}/+`, 1] as const)
  const { client: one } = await connectWire(t, server.mqtt, { clientId: 'one-packet', clean: false })
  t.ok((await subscribe(one, filters)).every(qos => qos === 1), 'in one packet')
  t.same(await subscribe(one, { 'many/more': 1 }), [0x80])
  const { client: many } = await connectWire(t, server.mqtt, { clientId: 'many-packets', clean: false })
  many.write(Buffer.concat(filters.map(([topic, qos], i) =>
    generate({ cmd: 'subscribe', messageId: i + 1, subscriptions: [{ topic, qos }] }))))
  for (let i = 0; i < filters.length; i++) t.match(await many.next(30_000), { cmd: 'suback', messageId: i + 1 })
  const { client: publisher } = await connectWire(t, server.mqtt)
  await publish1(publisher, 'many/9999/x', 'found')
  for (const client of [one, many]) {
    t.equal(text(await take(client)), 'found')
    t.same(await client.untilPong(), [])
  }
  const grown = server.memory().rssBytes - before
  t.comment(`20,000 subscriptions: ${Math.round(grown / MB)} MB`)
  t.ok(grown < 192 * MB, 'memory is bounded: some 2 KB a filter, and slack of the heap')
  await noticedNothing(t, canary)
})

t.test('connections that come and go by the hundred leave nothing behind', async t => {
  const { server, canary } = await setUp(t)
  for (let round = 0; round < 10; round++) {
    const clients = await Promise.all(Array.from({ length: 100 }, () => connectWire(t, server.mqtt)))
    for (const { client } of clients) client.destroy()
  }
  await until(async () => await openSockets(server.pid) < 20, 'the server to close its sockets')
  t.pass('sockets are closed')
  await noticedNothing(t, canary)
})

async function openSockets (pid: number): Promise<number> {
  const { readdir, readlink } = await import('node:fs/promises')
  const names = await readdir(`/proc/${pid}/fd`)
  const targets = await Promise.all(names.map(name => readlink(`/proc/${pid}/fd/${name}`).catch(() => '')))
  return targets.filter(target => target.startsWith('socket:')).length
}
