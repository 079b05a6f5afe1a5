/** PUBLISH and PUBACK taken straight out of a chunk, against mqtt-packet on the same bytes (MQTT 3.3 and 3.4). */
import mqttPacket, { type Packet } from 'mqtt-packet'
import t from 'tap'
import { takeDirectly } from '../../broker/mqtt/wire/direct.ts'
import { TopicReader } from '../../broker/mqtt/wire/topic-reader.ts'
import { chooseSeed, createRandom } from '../helpers/random.ts'

const ENOUGH = 1_000_000
const ALWAYS = { topics: new TopicReader(), lengthMax: () => ENOUGH, isDirect: () => true, isOver: () => false }

/** What came out, in order; the rest as the general parser reads it. What has to wait comes again in the next turn. */
function take (chunks: readonly Buffer[], turnUnits: () => number = () => ENOUGH): string[] {
  const seen: string[] = []
  const parser = mqttPacket.parser()
  parser.on('packet', (packet) => { seen.push(describe(packet)) })
  parser.on('error', (error) => { seen.push(`error ${error.message}`) })
  const waiting = [...chunks]
  for (let chunk = waiting.shift(); chunk !== undefined; chunk = waiting.shift()) {
    const taken = takeDirectly(chunk, 0, { left: turnUnits() }, {
      publish: ({ topic, payload, qos, retain }, packetId) => {
        seen.push(`publish ${topic} ${payload.toString('hex')} q${qos} ${retain} ${qos === 0 ? '-' : packetId}`)
      },
      acknowledge: (packetId) => { seen.push(`puback ${packetId}`) },
      rest: (bytes) => { parser.parse(bytes) },
      cut: (bytes) => { parser.parse(bytes); return bytes.length },
      ...ALWAYS
    })
    if (taken < chunk.length) waiting.unshift(chunk.subarray(taken))
  }
  return seen
}

function describe (packet: Packet): string {
  if (packet.cmd === 'publish') {
    const payload = Buffer.from(packet.payload).toString('hex')
    const packetId = packet.qos === 0 ? '-' : packet.messageId
    return `publish ${packet.topic} ${payload} q${packet.qos} ${packet.retain} ${packetId}`
  }
  return packet.cmd === 'puback' ? `puback ${packet.messageId}` : packet.cmd
}

function parsed (bytes: Buffer): string[] {
  const seen: string[] = []
  const parser = mqttPacket.parser()
  parser.on('packet', (packet) => { seen.push(describe(packet)) })
  parser.parse(bytes)
  return seen
}

t.test('what is taken directly and what is left come in the order of the bytes, as the parser reads them', async t => {
  const random = createRandom(chooseSeed())
  t.comment(`seed ${random.seed}`)
  for (let round = 0; round < 300; round++) {
    const packets: Packet[] = []
    for (let i = random.between(1, 12); i > 0; i--) {
      const messageId = random.between(1, 65_535)
      const topic = ['a', 'ä/日本', 'x'.repeat(130)][random.between(0, 2)]
      const payload = Buffer.alloc([0, 1, 130, 20_000][random.between(0, 3)], 7)
      const qos = random.between(0, 2) as 0 | 1 | 2
      packets.push(([
        { cmd: 'publish', topic, payload, qos, retain: qos === 1, dup: false, messageId },
        { cmd: 'puback', messageId },
        { cmd: 'pingreq' },
        { cmd: 'pubrel', messageId },
        { cmd: 'subscribe', messageId, subscriptions: [{ topic: 'a/#', qos: 1 }] }
      ] satisfies Packet[])[random.between(0, 4)])
    }
    const bytes = Buffer.concat(packets.map((packet) => mqttPacket.generate(packet)))
    const what = packets.map(({ cmd }) => cmd).join(' ')
    t.same(take([bytes]), parsed(bytes), what)
    t.same(take([bytes], () => random.between(1, 40)), parsed(bytes), `in turns: ${what}`)
  }
})

t.test('a packet that is cut, whatever it is, is left to the parser with all that belongs to it', async t => {
  const bytes = mqttPacket.generate({
    cmd: 'publish', topic: 'a/b', payload: 'hello', qos: 1, messageId: 5, retain: false, dup: false
  })
  for (let cut = 1; cut < bytes.length; cut++) {
    const rest: Buffer[] = []
    takeDirectly(bytes.subarray(0, cut), 0, { left: ENOUGH }, {
      publish: () => { t.fail('half a packet was published') },
      acknowledge: () => { t.fail('half a packet was an acknowledgement') },
      rest: () => { t.fail('half a packet was a whole one') },
      cut: (some) => { rest.push(some); return some.length },
      ...ALWAYS
    })
    t.same(Buffer.concat(rest), bytes.subarray(0, cut), `${cut} bytes`)
  }
})

t.test('what is not as it should be is left to the parser, which says so', async t => {
  const wrong: Record<string, number[]> = {
    'a topic longer than the packet': [0x32, 4, 0, 9, 97, 98],
    'no room for a packet identifier': [0x32, 3, 0, 1, 97],
    'packet identifier 0': [0x32, 5, 0, 1, 97, 0, 0],
    'QoS 3': [0x36, 5, 0, 1, 97, 0, 1],
    'flags in PUBACK': [0x42, 2, 0, 1],
    'a length of five bytes': [0x30, 0xff, 0xff, 0xff, 0xff, 1]
  }
  for (const [name, bytes] of Object.entries(wrong)) {
    const rest: Buffer[] = []
    takeDirectly(Buffer.from(bytes), 0, { left: ENOUGH }, {
      publish: () => { t.fail(name) },
      acknowledge: () => { t.fail(name) },
      rest: (some) => { rest.push(some) },
      cut: (some) => { rest.push(some); return some.length },
      ...ALWAYS
    })
    t.same([...Buffer.concat(rest)], bytes, name)
  }
})

t.test('behind the end of a connection nothing counts', async t => {
  let isOpen = true
  const seen: string[] = []
  const bytes = Buffer.from([0x40, 2, 0, 1, 0xe0, 0, 0x40, 2, 0, 2])
  takeDirectly(bytes, 0, { left: ENOUGH }, {
    ...ALWAYS,
    publish: () => {},
    acknowledge: (packetId) => { seen.push(`puback ${packetId}`) },
    rest: () => { isOpen = false }, // DISCONNECT
    cut: (bytes) => { t.fail('behind the end'); return bytes.length },
    isOver: () => !isOpen
  })
  t.same(seen, ['puback 1'])
})

t.test('[G8] a turn ends when its units are used up, and what has to wait begins with a packet', async t => {
  const ack = Buffer.from([0x40, 2, 0, 1])
  const ping = Buffer.from([0xc0, 0])
  const publish = (bytes: number): Buffer => mqttPacket.generate({
    cmd: 'publish', topic: 'a', payload: Buffer.alloc(bytes), qos: 0, retain: false, dup: false
  })
  const filters = mqttPacket.generate({
    cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'a'.repeat(320), qos: 0 }]
  })
  const cases: ReadonlyArray<readonly [string, Buffer, number]> = [
    ['PUBACK', ack, 1], ['a small PUBLISH', publish(0), 1], ['a PUBLISH of 10 KB', publish(10_240), 11],
    ['PINGREQ', ping, 8], ['SUBSCRIBE with 320 bytes', filters, 18]
  ]
  for (const [name, packet, units] of cases) {
    const many = Buffer.concat(Array.from({ length: 10 }, () => packet))
    const taken = takeDirectly(many, 0, { left: 3 * units }, {
      ...ALWAYS, publish: () => {}, acknowledge: () => {}, rest: () => {}, cut: (bytes) => bytes.length
    })
    t.equal(taken, 3 * packet.length, `${name}: ${units}`)
  }
})

t.test('[G6] a packet that is longer than allowed is found where it begins, behind what came before it', async t => {
  const good = mqttPacket.generate({ cmd: 'puback', messageId: 1 })
  const long = mqttPacket.generate({
    cmd: 'publish', topic: 'a', payload: Buffer.alloc(200), qos: 0, retain: false, dup: false
  })
  const seen: string[] = []
  takeDirectly(Buffer.concat([good, long, good]), 0, { left: ENOUGH }, {
    ...ALWAYS,
    lengthMax: () => 100,
    publish: () => { seen.push('publish') },
    acknowledge: () => { seen.push('puback') },
    rest: () => { seen.push('rest') },
    cut: (bytes) => { seen.push(`cut ${bytes.length}`); return bytes.length }
  })
  t.same(seen, ['puback', `cut ${long.length + good.length}`])
})

t.test('before CONNACK everything is for the parser', async t => {
  const seen: number[] = []
  const bytes = mqttPacket.generate({ cmd: 'puback', messageId: 1 })
  takeDirectly(bytes, 0, { left: ENOUGH }, {
    ...ALWAYS,
    isDirect: () => false,
    publish: () => { t.fail('PUBLISH') },
    acknowledge: () => { t.fail('PUBACK') },
    rest: (some) => { seen.push(some.length) },
    cut: (bytes) => { t.fail('nothing is cut'); return bytes.length }
  })
  t.same(seen, [bytes.length])
})
