/** Other protocols, by the first bytes of a connection, in whatever pieces they come. */
import { generate } from 'mqtt-packet'
import t from 'tap'
import { FIRST_BYTES_MAX, FirstBytes, foreignOf, type Foreign } from '../../broker/mqtt/foreign.ts'
import { connectPacket } from '../helpers/mqtt-wire.ts'
import { chooseSeed, createRandom } from '../helpers/random.ts'

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')
const BRIDGE = Buffer.from(generate(connectPacket({ protocolVersion: 4 })))
BRIDGE[BRIDGE.indexOf('MQTT') + 4] = 0x84
const LONG = generate(connectPacket({ protocolVersion: 5, clientId: 'x'.repeat(300) }))

const FOREIGN: ReadonlyArray<readonly [what: string, bytes: Buffer, foreign: Foreign]> = [
  ['ClientHello of TLS 1.3', hex('16 03 01 02 00 01 00 01 fc 03 03'), { name: 'TLS' }],
  ['ClientHello of TLS 1.0', hex('16 03 00 00 2f 01 00 00'), { name: 'TLS' }],
  ['GET', Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n'), { name: 'HTTP' }],
  ['POST', Buffer.from('POST /socket.io/ HTTP/1.1\r\n'), { name: 'HTTP' }],
  ['OPTIONS', Buffer.from('OPTIONS * HTTP/1.1\r\n'), { name: 'HTTP' }],
  ['HTTP/2', Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), { name: 'HTTP' }],
  ['PROXY 1', Buffer.from('PROXY TCP4 10.0.0.1 10.0.0.2 5 6\r\n'), { name: 'PROXY protocol' }],
  ['PROXY 2', hex('0d0a0d0a000d0a515549540a 21 11 000c'), { name: 'PROXY protocol' }],
  ['MQTT 5', Buffer.from(generate(connectPacket({ protocolVersion: 5 }))), { name: 'MQTT', level: 5 }],
  ['MQTT 5 of two length bytes', Buffer.from(LONG), { name: 'MQTT', level: 5 }],
  ['MQTT 5 of four length bytes', hex('10 80 80 80 01 0004 4d515454 05'), { name: 'MQTT', level: 5 }],
  ['a level that is none', hex('10 0c 0004 4d515454 09 02'), { name: 'MQTT', level: 9 }]
]

const OWN: ReadonlyArray<readonly [what: string, bytes: Buffer]> = [
  ['MQTT 3.1.1', Buffer.from(generate(connectPacket({ protocolVersion: 4 })))],
  ['MQTT 3.1', Buffer.from(generate(connectPacket({ protocolVersion: 3, protocolId: 'MQIsdp' })))],
  ['a bridge', BRIDGE],
  ['PINGREQ', hex('c0 00')],
  ['a PUBREC that looks like PROXY at first', hex('50 52 00 01')],
  ['a length that never ends', hex('10 ff ff ff ff ff ff ff ff ff ff ff')],
  ['nothing that is known', hex('ff ff ff ff ff')],
  ['a GET that is none', Buffer.from('GETTY')]
]

t.test('what is foreign is named, and what is MQTT 3.1.1 or unknown is let pass, whole or byte by byte', async t => {
  for (const [what, bytes, foreign] of [...FOREIGN, ...OWN.map(([what, bytes]) => [what, bytes, undefined] as const)]) {
    t.same(new FirstBytes().feed(bytes), foreign, what)
    const first = new FirstBytes()
    const found = [...bytes].flatMap(byte => first.feed(Buffer.from([byte])) ?? [])
    t.same(found, foreign === undefined ? [] : [foreign], `${what}, byte by byte: told once`)
  }
})

t.test('a beginning of something asks for more, never for more than FIRST_BYTES_MAX', async t => {
  for (const [what, bytes] of FOREIGN) {
    for (let end = 0; end < bytes.length; end++) {
      const judged = foreignOf(bytes.subarray(0, end))
      if (judged === 'more') t.ok(end < Math.max(FIRST_BYTES_MAX, 13), `${what}, ${end} bytes`)
    }
  }
})

t.test('only the first bytes of a connection are judged', async t => {
  for (const [, own] of OWN.slice(0, 3)) {
    for (const [what, bytes] of FOREIGN) {
      const first = new FirstBytes()
      t.equal(first.feed(own), undefined)
      t.equal(first.feed(bytes), undefined, `${what} behind CONNECT`)
    }
  }
})

t.test('at the port of HTTP every MQTT is foreign', async t => {
  t.same(foreignOf(OWN[0][1], { anyMqtt: true }), { name: 'MQTT', level: 4 })
  t.equal(foreignOf(hex('c0 00'), { anyMqtt: true }), undefined)
})

t.test('[G8] any bytes in any pieces are judged without an exception', async t => {
  const random = createRandom(chooseSeed())
  t.comment(`seed ${random.seed}`)
  const beginnings = [...FOREIGN, ...OWN].map(([, bytes]) => bytes)
  for (let run = 0; run < 500; run++) {
    const bytes = Buffer.from(beginnings[random.between(0, beginnings.length - 1)])
    bytes[random.between(0, bytes.length - 1)] = random.between(0, 255)
    const whole = new FirstBytes().feed(bytes)
    const first = new FirstBytes()
    const found: Foreign[] = []
    for (let at = 0; at < bytes.length;) {
      const end = at + random.between(1, 4)
      const foreign = first.feed(bytes.subarray(at, end))
      if (foreign !== undefined) found.push(foreign)
      at = end
    }
    t.same(found, whole === undefined ? [] : [whole], bytes.toString('hex').slice(0, 60))
  }
})
