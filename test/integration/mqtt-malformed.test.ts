import t from 'tap'
import { anonymous, silent, type ProgramAuth, type Principal } from '../../broker/index.ts'
import { startInProcess } from '../helpers/in-process.ts'
import { connectWire, openWire, publish1, publish2, subscribe, take, text } from '../helpers/mqtt-wire.ts'
import { within } from '../helpers/wait.ts'

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')

/** What a connected client must not send: each closes the connection [MQTT-4.8.0-1]. */
const CLOSED: ReadonlyArray<readonly [string, Buffer]> = [
  ['[MQTT-3.3.1-4] PUBLISH at QoS 3', hex('36 06 0001 74 0005 78')],
  ['[MQTT-2.3.1-1] PUBLISH at QoS 1 with identifier 0', hex('32 06 0001 74 0000 78')],
  ['[MQTT-2.3.1-1] SUBSCRIBE with identifier 0', hex('82 06 0000 0001 74 00')],
  ['[MQTT-2.3.1-1] UNSUBSCRIBE with identifier 0', hex('a2 05 0000 0001 74')],
  ['[MQTT-3.3.2-2] PUBLISH to a/+', hex('32 08 0003 612f2b 0005 78')],
  ['[MQTT-3.3.2-2] PUBLISH to #', hex('32 06 0001 23 0005 78')],
  ['[MQTT-4.7.3-1] PUBLISH to an empty topic', hex('32 05 0000 0005 78')],
  ['[MQTT-4.7.3-2] PUBLISH to a topic with U+0000', hex('32 08 0003 610062 0005 78')],
  ['[MQTT-1.5.3-1] PUBLISH to a topic that is not UTF-8', hex('32 07 0002 c328 0005 78')],
  ['[MQTT-1.5.3-1] PUBLISH to a topic with a surrogate', hex('32 08 0003 eda080 0005 78')],
  ['[MQTT-1.5.3-1] [MQTT-3.8.3-1] SUBSCRIBE to a filter that is not UTF-8', hex('82 07 0005 0002 c328 00')],
  ['[MQTT-3.3.2-1] a topic that is longer than its packet', hex('32 04 ffff 7400')],
  ['[MQTT-3.8.3-3] SUBSCRIBE without a filter', hex('82 02 0001')],
  ['[MQTT-3.10.3-2] UNSUBSCRIBE without a filter', hex('a2 02 0001')],
  ['[MQTT-3.8.3-4] SUBSCRIBE with QoS 3', hex('82 06 0005 0001 74 03')],
  ['[MQTT-3.8.3-4] SUBSCRIBE with reserved bits', hex('82 06 0005 0001 74 84')],
  ['[MQTT-3.8.1-1] SUBSCRIBE with wrong header flags', hex('80 06 0005 0001 74 00')],
  ['[MQTT-3.10.1-1] UNSUBSCRIBE with wrong header flags', hex('a0 05 0005 0001 74')],
  ['[MQTT-3.6.1-1] PUBREL with wrong header flags', hex('60 02 0005')],
  ['[MQTT-2.2.2-2] PUBACK with wrong header flags', hex('4f 02 0005')],
  ['[MQTT-2.2.2-2] PINGREQ with wrong header flags', hex('c1 00')],
  ['[MQTT-3.14.1-1] DISCONNECT with reserved bits', hex('e1 00')],
  ['SUBSCRIBE that ends inside its filter', hex('82 05 0005 0009 74')],
  ['[MQTT-2.3.1-1] PUBLISH at QoS 1 without an identifier', hex('32 05 0003 772f61')],
  ['[MQTT-2.3.1-1] PUBLISH at QoS 2 without an identifier', hex('34 05 0003 772f61')],
  ['[MQTT-2.3.1-1] PUBLISH at QoS 1 with half an identifier', hex('32 06 0003 772f61 01')],
  ['[MQTT-3.3.1-2] PUBLISH at QoS 0 with DUP', hex('38 06 0003 772f61 78')],
  ['[MQTT-1.5.3-2] SUBSCRIBE to a filter with U+0000', hex('82 08 0005 0003 610062 00')],
  ['[MQTT-1.5.3-2] UNSUBSCRIBE from a filter with U+0000', hex('a2 07 0005 0003 610062')],
  ['[MQTT-4.7.3-1] SUBSCRIBE to an empty filter', hex('82 09 0005 0001 74 00 0000 00')],
  ['[MQTT-4.7.3-1] UNSUBSCRIBE from an empty filter', hex('a2 04 0005 0000')],
  ['[MQTT-3.10.3-1] UNSUBSCRIBE from a filter that is not UTF-8', hex('a2 06 0005 0002 c328')],
  ['SUBSCRIBE without an identifier', hex('82 00')],
  ['UNSUBSCRIBE with half an identifier', hex('a2 01 00')],
  ['PUBACK without an identifier', hex('40 00')],
  ['PUBREC without an identifier', hex('50 00')],
  ['PUBREL without an identifier', hex('62 00')],
  ['PUBCOMP with half an identifier', hex('70 01 00')],
  ['PUBACK of three bytes', hex('40 03 000100')],
  ['PUBREC of three bytes', hex('50 03 000100')],
  ['PUBREL of three bytes', hex('62 03 000100')],
  ['PUBCOMP of three bytes', hex('70 03 000100')],
  ['[MQTT-2.3.1-6] PUBACK with identifier 0', hex('40 02 0000')],
  ['[MQTT-2.3.1-6] PUBREC with identifier 0', hex('50 02 0000')],
  ['[MQTT-2.3.1-6] PUBREL with identifier 0', hex('62 02 0000')],
  ['[MQTT-2.3.1-6] PUBCOMP with identifier 0', hex('70 02 0000')],
  ['PINGREQ with contents', hex('c0 01 00')],
  ['DISCONNECT with contents', hex('e0 01 00')],
  ['UNSUBACK from a client', hex('b0 02 0001')],
  ['a remaining length of five bytes', hex('32 ffffffff 7f')],
  ['CONNACK from a client', hex('20 02 0000')],
  ['SUBACK from a client', hex('90 03 0001 00')],
  ['PINGRESP from a client', hex('d0 00')],
  ['AUTH, which is of MQTT 5', hex('f0 00')],
  ['a packet type that MQTT does not have', hex('00 00')]
]

t.test('[MQTT-4.8.0-1] what breaks the protocol closes its own connection and disturbs nobody', async t => {
  const server = await startInProcess(t)
  const { client: watcher } = await connectWire(t, server, { clean: false })
  await subscribe(watcher, { 'w/#': 1, t: 1 })
  for (const [i, [what, bytes]] of CLOSED.entries()) {
    const { client } = await connectWire(t, server, { clean: i % 2 === 0 })
    client.write(bytes)
    await within(client.closed, `${what} to be closed`).then(() => t.pass(what), error => t.fail(String(error)))
    t.same(client.waiting, [], `${what}: no answer`)
    client.destroy()
    const { client: publisher } = await connectWire(t, server)
    await publish1(publisher, 'w/still', what)
    const got = [await take(watcher)]
    while (got.at(-1)!.topic !== 'w/still') got.push(await take(watcher))
    t.same(got.map(text), [what], 'the watcher gets its messages, and nothing of what was malformed')
    publisher.destroy()
  }
})

/** A CONNECT of protocol level 4: its flags, and what comes behind its keep alive. */
function connect (flags: string, payload: string): Buffer {
  const body = hex(`0004 4d515454 04 ${flags} 0000 ${payload}`)
  return Buffer.concat([Buffer.from([0x10, body.length]), body])
}

/** CONNECTs that are closed without CONNACK. */
const CONNECTS: ReadonlyArray<readonly [string, Buffer]> = [
  ['[MQTT-2.2.2-2] wrong header flags', Buffer.concat([hex('11'), connect('02', '0001 61').subarray(1)])],
  ['[MQTT-3.1.2-1] another protocol', hex('10 0d 0004 4d515458 04 02 0000 0001 61')],
  ['[MQTT-3.1.2-1] the name of MQTT 3.1 with the level of 3.1.1', hex('10 0f 0006 4d5149736470 04 02 0000 0001 61')],
  ['[MQTT-3.1.2-3] the reserved flag', connect('03', '0001 61')],
  ['[MQTT-3.1.2-14] a will at QoS 3', connect('1e', '0001 61 0001 62 0001 63')],
  ['[MQTT-3.1.2-13] a QoS of no will', connect('0a', '0001 61')],
  ['[MQTT-3.1.2-15] a retain flag of no will', connect('22', '0001 61')],
  ['[MQTT-3.1.2-9] a will without its topic', connect('06', '0001 61')],
  ['[MQTT-3.1.2-9] a will without its message', connect('06', '0001 61 0001 62')],
  ['[MQTT-3.1.2-11] topic and message of no will', connect('02', '0001 61 0001 62 0001 63')],
  ['[MQTT-3.1.2-21] no password where one is announced', connect('c2', '0001 61 0001 62')],
  ['[MQTT-3.1.3-3] no client identifier', connect('02', '')],
  ['[MQTT-3.1.2-22] a password and no user name', connect('42', '0001 61 0001 62')],
  ['[MQTT-3.1.2-18] a user name without its flag', connect('02', '0001 61 0001 62')],
  ['[MQTT-3.1.2-20] a password without its flag', connect('82', '0001 61 0001 62 0001 63')],
  ['[MQTT-3.1.3-1] more than all fields', connect('c2', '0001 61 0001 62 0001 63 00')],
  ['[MQTT-3.1.2-19] no user name where one is announced', connect('82', '0001 61')],
  ['[MQTT-1.5.3-1] [MQTT-3.1.3-4] a client identifier that is not UTF-8', connect('02', '0002 c328')],
  ['[MQTT-1.5.3-2] a client identifier with U+0000', connect('02', '0003 610062')],
  ['[MQTT-1.5.3-1] [MQTT-3.1.3-11] a user name that is not UTF-8', connect('82', '0001 61 0001 ff')],
  ['[MQTT-1.5.3-1] a user name with a surrogate', connect('82', '0001 61 0003 eda080')],
  ['[MQTT-1.5.3-2] a user name with U+0000', connect('82', '0001 61 0003 610062')],
  ['[MQTT-1.5.3-1] [MQTT-3.1.3-10] a will topic that is not UTF-8', connect('06', '0001 61 0002 c328 0001 63')],
  ['[MQTT-1.5.3-2] a will topic with U+0000', connect('06', '0001 61 0003 610062 0001 63')],
  ['a client identifier with a control character', connect('02', '0003 610762')],
  ['a user name with a control character', connect('82', '0001 61 0003 61c29b')],
  ['[MQTT-4.7.3-1] an empty will topic', connect('06', '0001 61 0000 0001 63')],
  ['[MQTT-4.7.1-1] a will topic with a wildcard', connect('06', '0001 61 0003 612f23 0001 63')]
]

t.test('[MQTT-3.1.4-1] a malformed CONNECT is closed without an answer, and nobody is asked who it is', async t => {
  const asked: unknown[] = []
  const auth: ProgramAuth = { ...anonymous, async authenticate (credentials) {
    asked.push(credentials)
    return anonymous.authenticate(credentials)
  } }
  const server = await startInProcess(t, { auth })
  for (const [what, bytes] of CONNECTS) {
    for (const cut of [bytes.length, 1, bytes.length - 1]) { // whole, and in two pieces
      const client = await openWire(t, server)
      client.write(bytes.subarray(0, cut))
      client.write(bytes.subarray(cut))
      await within(client.closed, `${what} to be closed`)
      t.same(client.waiting, [], `${what}: no CONNACK`)
      client.destroy()
    }
  }
  t.same(asked, [])
  t.equal(server.refusals.counts.violations, 3 * CONNECTS.length, 'each is counted')
  t.same([...server.broker.sessions()], [], 'and nothing is left of it')
})

t.test('a violation is logged with who, what and how often, once in a while', async t => {
  const lines: object[] = []
  const server = await startInProcess(t, { log: { ...silent, warn: (fields) => { lines.push({ ...fields }) } } })
  for (let i = 0; i < 3; i++) {
    const { client } = await connectWire(t, server, { clientId: 'worn-sensor' })
    client.write(hex('c0 01 00'))
    await client.closed
  }
  t.equal(server.refusals.counts.violations, 3)
  t.equal(lines.length, 1)
  t.match(lines[0], { clientId: 'worn-sensor', remoteAddress: /127.0.0.1/, broken: /^PINGREQ .*4.8.0-1/, times: 1 })
})

t.test('what came before a malformed packet in the same chunk is carried out, and nothing behind it', async t => {
  const server = await startInProcess(t)
  const { client: watcher } = await connectWire(t, server)
  await subscribe(watcher, { 'w/#': 1 })
  const { client } = await connectWire(t, server)
  client.write(Buffer.concat([
    hex('30 0a 0008 772f6265666f7265'), hex('34 08 0003 772f32 0007 78'), hex('50 00'), hex('30 09 0007 772f6166746572')
  ]))
  await client.closed
  const { client: publisher } = await connectWire(t, server)
  await publish1(publisher, 'w/still', 'here')
  const topics: string[] = []
  while (topics.at(-1) !== 'w/still') topics.push((await take(watcher)).topic)
  t.notOk(topics.includes('w/after'))
  t.ok(topics.includes('w/before'))
})

t.test('MQTT 3.1 takes client identifiers up to clientIdBytesMax, as MQTT 3.1.1 does', async t => {
  const server = await startInProcess(t, { limits: { clientIdBytesMax: 64 } })
  const old = { protocolId: 'MQIsdp', protocolVersion: 3 } as const
  for (const [clientId, returnCode] of [['x'.repeat(24), 0], ['x'.repeat(64), 0], ['x'.repeat(65), 2]] as const) {
    const { connack } = await connectWire(t, server, { ...old, clientId })
    t.equal(connack.returnCode, returnCode, `${clientId.length} bytes`)
  }
})

t.test('MQTT 3.1 may announce a user name and a password that are missing; what came counts', async t => {
  const asked: object[] = []
  const auth: ProgramAuth = {
    ...anonymous,
    async authenticate ({ username, password }) {
      asked.push({ username, password: password?.toString() })
      return 'somebody' as Principal
    }
  }
  const server = await startInProcess(t, { auth })
  const fields = { will: '0001 77 0001 78', user: '0001 75', password: '0001 70' }
  for (const [flags, payload, username, password] of [
    ['82', '', undefined, undefined], ['c2', '', undefined, undefined], ['c2', fields.user, 'u', undefined],
    ['86', fields.will, undefined, undefined], ['c6', `${fields.will} ${fields.user}`, 'u', undefined],
    ['c2', `${fields.user} ${fields.password}`, 'u', 'p']
  ] as const) {
    const body = hex(`0006 4d5149736470 03 ${flags} 0000 0001 61 ${payload}`)
    const client = await openWire(t, server)
    client.write(Buffer.concat([Buffer.from([0x10, body.length]), body]))
    t.equal((await client.expect('connack')).returnCode, 0, `flags ${flags}, then ${payload}`)
    t.same(asked.pop(), { username, password })
  }
  for (const body of ['0006 4d5149736470 03 42 0000 0001 61', '0006 4d5149736470 03 86 0000 0001 61 0001 77',
    '0004 4d515454 04 82 0000 0001 61', '0004 4d515454 04 c2 0000 0001 61 0001 75']) {
    const client = await openWire(t, server)
    client.write(Buffer.concat([Buffer.from([0x10, hex(body).length]), hex(body)]))
    await within(client.closed, `${body} to be closed`)
  }
  t.same(asked, [], 'a password alone, half a will and MQTT 3.1.1 are closed as before')
})

/** What is odd and allowed, or what an unlucky client sends: no reason to end a connection. */
const TOLERATED: ReadonlyArray<readonly [string, Buffer]> = [
  ['PUBACK for an unknown identifier', hex('40 02 1234')],
  ['PUBREC for an unknown identifier', hex('50 02 1234')],
  ['PUBCOMP for an unknown identifier', hex('70 02 1234')],
  ['PUBREL for an unknown identifier', hex('62 02 1234')]
]

t.test('acknowledgements of what is not known do not end the connection', async t => {
  const server = await startInProcess(t)
  for (const clean of [true, false]) {
    const { client } = await connectWire(t, server, { clean })
    await subscribe(client, { t: 1 })
    for (const [what, bytes] of TOLERATED) {
      client.write(bytes)
      const answers = await client.untilPong()
      t.ok(answers.every(({ cmd }) => cmd === 'pubrel' || cmd === 'pubcomp'), `${what}, clean=${clean}`)
    }
  }
})

/** What a subscriber answers a message at a QoS with, in order; the last one is wrong. */
const WRONG_ANSWERS: ReadonlyArray<readonly [qos: 1 | 2, answers: readonly string[]]> = [
  [1, ['50']], [1, ['70']], [2, ['40']], [2, ['70']], [2, ['50', '40']], [2, ['50', '50', '40']]
]

t.test('[MQTT-3.3.4-1] who answers a message otherwise than its QoS asks for is closed, and keeps it', async t => {
  const server = await startInProcess(t)
  const { client: publisher } = await connectWire(t, server)
  for (const [qos, answers] of WRONG_ANSWERS) {
    for (const isCut of [false, true]) { // one by one, or such that the general parser sees all of them
      const clientId = `answers-${qos}-${answers.join('-')}-${isCut}`
      const { client } = await connectWire(t, server, { clientId, clean: false })
      await subscribe(client, { [clientId]: qos })
      await publish2(publisher, clientId, 'x')
      const packet = await client.next()
      for (const [i, answer] of answers.entries()) {
        const bytes = hex(`${answer} 02 ${packet.messageId!.toString(16).padStart(4, '0')}`)
        client.write(bytes.subarray(0, isCut ? 1 : 4))
        if (isCut) client.write(bytes.subarray(1))
        if (i < answers.length - 1) t.equal((await client.next()).cmd, 'pubrel')
      }
      await within(client.closed, `${clientId} to be closed`)
      const { client: again } = await connectWire(t, server, { clientId, clean: false })
      t.match(await again.next(), answers.length === 1 ? { cmd: 'publish', qos } : { cmd: 'pubrel' }, clientId)
      again.destroy()
    }
  }
})

t.test('[MQTT-3.1.2-8] breaking the protocol is not saying DISCONNECT: the will is published', async t => {
  const server = await startInProcess(t)
  const { client: watcher } = await connectWire(t, server)
  await subscribe(watcher, { 'will/#': 1 })
  const { client } = await connectWire(t, server, {
    will: { topic: 'will/a', payload: Buffer.from('gone'), qos: 1, retain: false }
  })
  client.write(hex('36 06 0001 74 0005 78'))
  t.equal(text(await take(watcher)), 'gone')
})
