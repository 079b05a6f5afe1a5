import { generate, type Packet } from 'mqtt-packet'
import t from 'tap'
import {
  ANONYMOUS, anonymous, DEFAULT_LIMITS, type ProgramAuth, type Credentials, type Principal
} from '../../broker/index.ts'
import { startInProcess } from '../helpers/in-process.ts'
import {
  connectPacket, connectWire, openWire, publish1, publishPacket, subscribe, take, text, uniqueId
} from '../helpers/mqtt-wire.ts'
import { pause, within } from '../helpers/wait.ts'

const CONNECT = generate(connectPacket({ clientId: 'raw' }))
/** CONNECT 'raw' with the byte at `index` set to `value`: 8 is the protocol level, 9 the flags. */
function altered (index: number, value: number): Buffer {
  const bytes = Buffer.from(CONNECT)
  bytes[index] = value
  return bytes
}
const named = (id: Buffer): Buffer =>
  Buffer.concat([Buffer.from([0x10, 12 + id.length]), CONNECT.subarray(2, 12), Buffer.from([0, id.length]), id])

const CLOSED_AT_ONCE: ReadonlyArray<readonly [string, Buffer]> = [
  ['[MQTT-3.1.0-1] PUBLISH before CONNECT', Buffer.from([0x30, 3, 0, 1, 0x74])],
  ['[MQTT-3.1.0-1] PINGREQ before CONNECT', Buffer.from([0xc0, 0])],
  ['[MQTT-3.1.2-1] a protocol name that is not MQTT', altered(5, 0x58)],
  ['[MQTT-3.1.2-3] the reserved connect flag', altered(9, 0x03)],
  ['[MQTT-3.1.2-13] a will QoS without a will', altered(9, 0x0a)],
  ['[MQTT-3.1.2-14] will QoS 3', altered(9, 0x1e)],
  ['[MQTT-1.5.3-1] a client identifier that is not UTF-8', named(Buffer.from([0x61, 0xc3, 0x28]))],
  ['[MQTT-1.5.3-2] a client identifier with U+0000', named(Buffer.from([0x61, 0x00, 0x62]))],
  ['[MQTT-2.2.2-2] header flags that CONNECT does not have', altered(0, 0x11)],
  ['a packet type that MQTT does not have', Buffer.from([0x00, 0])],
  ['a packet that only a server sends', Buffer.from([0x20, 2, 0, 0])]
]

t.test('what does not begin with a CONNECT that is well formed is closed without a word', async t => {
  const server = await startInProcess(t)
  for (const [what, bytes] of CLOSED_AT_ONCE) {
    const client = await openWire(t, server)
    client.write(bytes)
    await within(client.closed, `${what} to be closed`).then(() => t.pass(what), error => t.fail(String(error)))
    t.same(client.waiting.filter(({ cmd }) => cmd !== 'connack'), [], `${what}: nothing but a refusal is said`)
    for (const packet of client.waiting) t.not(packet.cmd === 'connack' && packet.returnCode, 0, `${what}: no welcome`)
  }
})

t.test('[MQTT-3.1.0-2] a second CONNECT closes the connection', async t => {
  const server = await startInProcess(t)
  const { client } = await connectWire(t, server)
  client.send(connectPacket({ clientId: 'again' }))
  await within(client.closed, 'the end of the connection')
  t.same(client.waiting, [], 'no second CONNACK')
})

t.test('[MQTT-3.1.2-2] a protocol level that is not spoken is answered with return code 1', async t => {
  const server = await startInProcess(t)
  for (const level of [5, 6, 9]) {
    const client = await openWire(t, server)
    const bytes = altered(8, level)
    // MQTT 5 has a length of properties after the keep alive
    client.write(level === 5
      ? Buffer.concat([Buffer.from([0x10, bytes[1] + 1]), bytes.subarray(2, 12), Buffer.from([0]), bytes.subarray(12)])
      : bytes)
    const connack = await client.expect('connack')
    t.equal(connack.returnCode, 1, `level ${level}`)
    await within(client.closed, 'the end of the connection')
  }
})

t.test('MQTT 3.1 clients are served as well', async t => {
  const server = await startInProcess(t)
  const { connack } = await connectWire(t, server, { protocolId: 'MQIsdp', protocolVersion: 3 })
  t.equal(connack.returnCode, 0)
})

t.test('[MQTT-3.1.3-8] an empty client identifier with clean=false is refused with return code 2', async t => {
  const server = await startInProcess(t)
  const client = await openWire(t, server)
  client.write(Buffer.from('100c00044d5154540400003c0000', 'hex'))
  t.match(await client.expect('connack'), { returnCode: 2, sessionPresent: false })
  await within(client.closed, 'the end of the connection')
})

t.test('[MQTT-3.1.3-6] empty client identifiers with clean=true are told apart', async t => {
  const server = await startInProcess(t)
  const { client: first, connack } = await connectWire(t, server, { clientId: '' })
  const { client: second } = await connectWire(t, server, { clientId: '' })
  t.match(connack, { returnCode: 0, sessionPresent: false })
  t.same(await first.untilPong(), [], 'the first one goes on')
  t.same(await second.untilPong(), [])
})

t.test('[G6] [MQTT-3.1.3-9] a client identifier over its limit is refused with return code 2', async t => {
  const server = await startInProcess(t, { limits: { clientIdBytesMax: 32 } })
  const { connack: fits } = await connectWire(t, server, { clientId: 'é'.repeat(16), clean: false })
  t.equal(fits.returnCode, 0, '32 bytes fit')
  const { client, connack } = await connectWire(t, server, { clientId: 'é'.repeat(16) + 'x', clean: false })
  t.equal(connack.returnCode, 2, '33 bytes do not')
  await within(client.closed, 'the end of the connection')
})

t.test('[MQTT-3.2.2-1] [MQTT-3.2.2-2] [MQTT-3.2.2-3] [G5] session present says if the session was there', async t => {
  const server = await startInProcess(t)
  const clientId = uniqueId()
  const steps: ReadonlyArray<readonly [boolean, boolean, string]> = [
    [false, false, 'a new session'],
    [false, true, 'the same session [MQTT-3.1.2-4] [MQTT-3.1.3-2]'],
    [true, false, 'a clean connect ends it'],
    [false, false, 'and a clean session leaves none behind'],
    [false, true, 'the same session']
  ]
  for (const [clean, sessionPresent, why] of steps) {
    const { client, connack } = await connectWire(t, server, { clientId, clean })
    t.match(connack, { returnCode: 0, sessionPresent }, why)
    client.send({ cmd: 'disconnect' })
    await within(client.closed, 'the end of the connection')
  }
})

t.test('[MQTT-3.1.2-6] [MQTT-3.1.4-3] a clean connect discards subscriptions and backlog', async t => {
  const server = await startInProcess(t)
  const clientId = uniqueId()
  const { client: before } = await connectWire(t, server, { clientId, clean: false })
  await subscribe(before, { 'old/#': 1 })
  before.destroy()
  const { client: publisher } = await connectWire(t, server)
  await publish1(publisher, 'old/a', 'missed')
  const { client: clean } = await connectWire(t, server, { clientId, clean: true })
  t.same(await clean.untilPong(), [], 'no backlog')
  await subscribe(clean, { 'new/#': 1 })
  await publish1(publisher, 'old/a', 'unwanted', 2)
  await publish1(publisher, 'new/a', 'wanted', 3)
  t.equal(text(await take(clean)), 'wanted', 'nothing of the old subscription')
})

t.test('[MQTT-3.1.4-2] a takeover closes the older connection and redelivers to the newer [G4]', async t => {
  const server = await startInProcess(t)
  const clientId = uniqueId()
  const { client: older } = await connectWire(t, server, { clientId, clean: false })
  await subscribe(older, { 'a/b': 1 })
  const { client: publisher } = await connectWire(t, server)
  await publish1(publisher, 'a/b', 'one')
  const first = await older.expect('publish')
  const { client: newer, connack } = await connectWire(t, server, { clientId, clean: false })
  await within(older.closed, 'the older connection to end')
  t.equal(connack.sessionPresent, true)
  const again = await take(newer)
  t.match(again, { dup: true, messageId: first.messageId, topic: 'a/b' })
  await publish1(publisher, 'a/b', 'two', 2)
  t.equal(text(await take(newer)), 'two', 'the newer connection has the session')
})

t.test('ten connections that race for one identifier leave exactly one', async t => {
  const server = await startInProcess(t)
  const clientId = uniqueId()
  const clients = await Promise.all(Array.from({ length: 10 }, async () => {
    const client = await openWire(t, server)
    client.send(connectPacket({ clientId, clean: false }))
    return client
  }))
  const { client: publisher } = await connectWire(t, server)
  const alive = await Promise.all(clients.map(async client => {
    try {
      const connack = await client.expect('connack')
      if (connack.returnCode !== 0) return undefined
      await client.untilPong()
      return client
    } catch { return undefined }
  }))
  const left = alive.filter(client => client !== undefined && !client.isClosed)
  t.equal(left.length, 1)
  await subscribe(left[0]!, { race: 1 })
  await publish1(publisher, 'race', 'won')
  t.equal(text(await take(left[0]!)), 'won')
})

t.test('[MQTT-3.1.2-24] a client that is silent for one and a half times its keep alive is closed', async t => {
  const server = await startInProcess(t)
  const { client } = await connectWire(t, server, { keepalive: 1 })
  const start = performance.now()
  await within(client.closed, 'the end of the silent connection')
  t.ok(performance.now() - start >= 1_000, 'not before the keep alive is over')
})

t.test('[G6] a connection without a CONNECT is closed after connectTimeoutMs', async t => {
  const server = await startInProcess(t, { limits: { connectTimeoutMs: 100 } })
  const silentOne = await openWire(t, server)
  const unfinished = await openWire(t, server)
  unfinished.write(CONNECT.subarray(0, CONNECT.length - 1))
  const sooner = DEFAULT_LIMITS.connectTimeoutMs - 500 // than without the option
  await within(Promise.all([silentOne.closed, unfinished.closed]), 'both to be closed', sooner)
  t.pass('both are closed')
})

t.test('[G6] [MQTT-3.2.2-6] connections over connectionsMax are refused, and the others stay', async t => {
  const server = await startInProcess(t, { limits: { connectionsMax: 2 } })
  const { client: one } = await connectWire(t, server)
  const { client: two } = await connectWire(t, server)
  const third = await openWire(t, server)
  third.send(connectPacket())
  await within(third.closed, 'the third connection to be refused')
  t.same(third.waiting, [], 'without CONNACK')
  t.same([await one.untilPong(), await two.untilPong()], [[], []])
  one.send({ cmd: 'disconnect' })
  await within(one.closed, 'the first connection to end')
  const { connack } = await connectWire(t, server)
  t.equal(connack.returnCode, 0, 'there is room again')
})

/** The user name is the principal; 'nobody' is refused. */
const byName: ProgramAuth = {
  ...anonymous,
  anonymous: false,
  async authenticate ({ username }) { return username === 'nobody' ? undefined : username as Principal }
}

t.test('a client that authentication refuses gets return code 4 or 5 [MQTT-3.2.2-5]', async t => {
  const server = await startInProcess(t, { auth: byName })
  const { client, connack } = await connectWire(t, server, { username: 'nobody' })
  t.ok(connack.returnCode === 4 || connack.returnCode === 5, `return code ${connack.returnCode}`)
  await within(client.closed, 'the end of the connection')
})

t.test('[G7] a session is neither resumed, taken over nor cleared by another principal', async t => {
  const server = await startInProcess(t, { auth: byName })
  const clientId = uniqueId()
  const { client: alice } = await connectWire(t, server, { clientId, clean: false, username: 'alice' })
  await subscribe(alice, { 'secret/#': 1 })
  for (const clean of [false, true]) {
    const { client: bob, connack } = await connectWire(t, server, { clientId, clean, username: 'bob' })
    t.ok([2, 4, 5].includes(connack.returnCode!), `clean=${clean}: return code ${connack.returnCode}`)
    await within(bob.closed, 'the intruder to be closed')
  }
  const { client: publisher } = await connectWire(t, server, { username: 'carol' })
  await publish1(publisher, 'secret/a', 'for alice')
  t.equal(text(await take(alice)), 'for alice', 'the owner has noticed nothing')
  alice.send({ cmd: 'disconnect' })
  await within(alice.closed, 'the end of the connection')
  const { connack } = await connectWire(t, server, { clientId, clean: false, username: 'bob' })
  t.not(connack.returnCode, 0, 'not while the owner is away either')
  const { connack: own } = await connectWire(t, server, { clientId, clean: false, username: 'alice' })
  t.match(own, { returnCode: 0, sessionPresent: true }, 'the owner finds it again')
})

t.test('[G1] nothing is answered before CONNACK, and what was sent before it is kept', async t => {
  let letIn = (): void => {}
  const gate = new Promise<void>(resolve => { letIn = resolve })
  const auth: ProgramAuth = { ...anonymous, authenticate: async who => { await waiting(who); return ANONYMOUS } }
  const waiting = async ({ clientId }: Credentials): Promise<void> => { if (clientId === 'eager') await gate }
  const server = await startInProcess(t, { auth })
  const { client: watcher } = await connectWire(t, server, { clean: false })
  await subscribe(watcher, { 'eager/#': 1 })
  const client = await openWire(t, server)
  const said: Packet[] = [connectPacket({ clientId: 'eager', clean: false }),
    { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'eager/b', qos: 1 }] },
    publishPacket('eager/a', 'a', { qos: 1, messageId: 2 }), publishPacket('eager/b', 'b', { qos: 1, messageId: 3 }),
    { cmd: 'pingreq' }]
  for (const packet of said) {
    // each in a segment of its own
    client.send(packet)
    await pause(10)
  }
  t.same(client.waiting, [], 'nothing is said to a client that is not let in yet')
  letIn()
  t.match(await client.next(), { cmd: 'connack', returnCode: 0 }, 'CONNACK comes first [MQTT-3.2.0-1]')
  const got: Packet[] = []
  while (got.length < 5) got.push(await client.next())
  t.same(got.map(({ cmd }) => cmd).sort(), ['pingresp', 'puback', 'puback', 'publish', 'suback'])
  t.match(got.find(({ cmd }) => cmd === 'suback'), { granted: [1] })
  t.same([text(await take(watcher)), text(await take(watcher))], ['a', 'b'], 'what got a receipt is delivered')
})

t.test('[MQTT-3.1.3-5] [MQTT-3.1.4-4] client identifiers of 1 to 23 letters and digits are taken', async t => {
  const server = await startInProcess(t)
  for (const clientId of ['0123456789abcdefghijklm', 'nopqrstuvwxyzABCDEFGHIJ', 'KLMNOPQRSTUVWXYZ', 'a', 'Z', '0']) {
    for (const clean of [true, false]) {
      const { connack } = await connectWire(t, server, { clientId, clean })
      t.equal(connack.returnCode, 0, `${clientId}, clean=${clean}`)
    }
  }
})

t.test('[MQTT-3.1.4-5] [MQTT-3.2.2-4] a refusal says no session, and what is behind it is not done', async t => {
  const server = await startInProcess(t, { auth: byName })
  const { client: watcher } = await connectWire(t, server, { username: 'alice' })
  await subscribe(watcher, { '#': 1 })
  const clientId = uniqueId()
  await connectWire(t, server, { clientId, clean: false, username: 'alice' })
  const refused = await openWire(t, server)
  refused.send(connectPacket({ clientId, clean: false, username: 'nobody' }),
    publishPacket('a', 'of nobody', { qos: 1, messageId: 1 }), publishPacket('a', 'of nobody'))
  const { returnCode, sessionPresent } = await refused.expect('connack')
  t.not(returnCode, 0)
  t.equal(sessionPresent, false, 'though there is one')
  await within(refused.closed, 'the refused connection to end')
  t.same(refused.waiting, [], 'nothing else is answered')
  const { client: publisher } = await connectWire(t, server, { username: 'alice' })
  await publish1(publisher, 'a', 'of alice')
  t.equal(text(await take(watcher)), 'of alice', 'and nothing before it')
})
