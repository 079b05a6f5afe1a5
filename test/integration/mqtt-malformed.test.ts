import t from 'tap'
import { startInProcess } from '../helpers/in-process.ts'
import { connectWire, publish1, subscribe, take, text } from '../helpers/mqtt-wire.ts'
import { within } from '../helpers/wait.ts'

t.setTimeout(120_000)

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
  ['[MQTT-1.5.3-1] SUBSCRIBE to a filter that is not UTF-8', hex('82 07 0005 0002 c328 00')],
  ['a topic that is longer than its packet', hex('32 04 ffff 7400')],
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
    await within(client.closed, `${what} to be closed`, 3_000).then(() => t.pass(what), error => t.fail(String(error)))
    const receipts = client.waiting.filter(({ cmd }) => cmd === 'puback' || cmd === 'pubrec' || cmd === 'suback')
    t.same(receipts, [], `${what}: no receipt`)
    client.destroy()
    const { client: publisher } = await connectWire(t, server)
    await publish1(publisher, 'w/still', what)
    const got = [await take(watcher)]
    while (got.at(-1)!.topic !== 'w/still') got.push(await take(watcher))
    t.same(got.map(text), [what], 'the watcher gets its messages, and nothing of what was malformed')
    publisher.destroy()
  }
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
