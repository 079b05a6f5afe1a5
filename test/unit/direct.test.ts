/** PUBLISH and PUBACK taken straight out of a chunk, against mqtt-packet on the same bytes (MQTT 3.3 and 3.4). */
import mqttPacket, { type Packet } from 'mqtt-packet'
import t from 'tap'
import { takeDirectly } from '../../broker/mqtt/direct.ts'
import { chooseSeed, createRandom } from '../helpers/random.ts'

/** What came out, in order; the rest as the general parser reads it. */
function take (chunks: readonly Buffer[]): string[] {
  const seen: string[] = []
  const parser = mqttPacket.parser()
  parser.on('packet', (packet) => { seen.push(describe(packet)) })
  parser.on('error', (error) => { seen.push(`error ${error.message}`) })
  for (const chunk of chunks) {
    takeDirectly(chunk, 0, {
      publish: (topic, payload, qos, retain, packetId) => {
        seen.push(`publish ${topic} ${payload.toString('hex')} q${qos} ${retain} ${qos === 0 ? '-' : packetId}`)
      },
      acknowledge: (packetId) => { seen.push(`puback ${packetId}`) },
      rest: (bytes) => { parser.parse(bytes) },
      isOpen: () => true
    })
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
    t.same(take([bytes]), parsed(bytes), `${packets.map(({ cmd }) => cmd).join(' ')}`)
  }
})

t.test('a packet that is cut, whatever it is, is left to the parser with all that belongs to it', async t => {
  const bytes = mqttPacket.generate({
    cmd: 'publish', topic: 'a/b', payload: 'hello', qos: 1, messageId: 5, retain: false, dup: false
  })
  for (let cut = 1; cut < bytes.length; cut++) {
    const rest: Buffer[] = []
    takeDirectly(bytes.subarray(0, cut), 0, {
      publish: () => { t.fail('half a packet was published') },
      acknowledge: () => { t.fail('half a packet was an acknowledgement') },
      rest: (some) => { rest.push(some) },
      isOpen: () => true
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
    takeDirectly(Buffer.from(bytes), 0, {
      publish: () => { t.fail(name) },
      acknowledge: () => { t.fail(name) },
      rest: (some) => { rest.push(some) },
      isOpen: () => true
    })
    t.same([...Buffer.concat(rest)], bytes, name)
  }
})

t.test('behind the end of a connection nothing counts', async t => {
  let isOpen = true
  const seen: string[] = []
  const bytes = Buffer.from([0x40, 2, 0, 1, 0xe0, 0, 0x40, 2, 0, 2])
  takeDirectly(bytes, 0, {
    publish: () => {},
    acknowledge: (packetId) => { seen.push(`puback ${packetId}`) },
    rest: () => { isOpen = false }, // DISCONNECT
    isOpen: () => isOpen
  })
  t.same(seen, ['puback 1'])
})
