/** Malformed packets, each with the statement of MQTT 3.1.1 that it breaks; mqtt-packet says what is valid. */
import mqttPacket, { type Packet } from 'mqtt-packet'
import t from 'tap'
import { isWellFormedPublish, malformed } from '../../broker/mqtt/wire/well-formed.ts'
import { WholePackets } from '../../broker/mqtt/wire/whole-packets.ts'
import { chooseSeed, createRandom, type Random } from '../helpers/random.ts'

/** The bytes of a packet, given its first byte and what follows its length; with other bytes around it. */
function check (text: string): string | undefined {
  const bytes = Buffer.from(text.replaceAll(' ', ''), 'hex')
  return checkPacket(Buffer.concat([bytes.subarray(0, 1), lengthOf(bytes.length - 1), bytes.subarray(1)]))
}

function lengthOf (length: number): Buffer {
  return length < 128 ? Buffer.from([length]) : Buffer.from([length & 0x7f | 0x80, length >>> 7])
}

/** `read` gets the chunk, and where in it the packet is: foreign bytes before and behind it must not matter. */
function checkPacket<T> (packet: Buffer, read = malformed as (...args: Parameters<typeof malformed>) => T): T {
  let body = 1
  while (packet[body++] >= 0x80);
  const chunk = Buffer.concat([Buffer.alloc(3, 0xff), packet, Buffer.alloc(70_000, 0x61)])
  return read(chunk, 3, 3 + body, 3 + packet.length)
}

/** First byte and contents, and the statement that is broken. */
const WRONG: ReadonlyArray<readonly [clause: string, packet: string]> = [
  ['MQTT-4.8.0-1', '00'], ['MQTT-4.8.0-1', '20 0000'], ['MQTT-4.8.0-1', '90 0001 00'], ['MQTT-4.8.0-1', 'b0 0001'],
  ['MQTT-4.8.0-1', 'd0'], ['MQTT-4.8.0-1', 'f0 00'],

  ['MQTT-2.2.2-2', '11 0004 4d515454 04 02 0000 0001 61'], ['MQTT-2.2.2-2', '42 0001'], ['MQTT-2.2.2-2', '58 0001'],
  ['MQTT-2.2.2-2', '71 0001'], ['MQTT-2.2.2-2', 'c1'], ['MQTT-3.14.1-1', 'e1'], ['MQTT-3.6.1-1', '60 0001'],
  ['MQTT-3.8.1-1', '80 0001 0001 61 00'], ['MQTT-3.10.1-1', 'a0 0001 0001 61'],

  ['MQTT-3.3.1-4', '36 0001 61 0001'], ['MQTT-3.3.1-2', '38 0001 61'], ['MQTT-3.3.1-2', '39 0001 61'],
  ['MQTT-3.3.2-1', '30'], ['MQTT-3.3.2-1', '30 00'], ['MQTT-3.3.2-1', '30 0002 61'], ['MQTT-4.7.3-1', '30 0000'],
  ['MQTT-2.3.1-1', '32 0001 61'], ['MQTT-2.3.1-1', '32 0001 61 01'], ['MQTT-2.3.1-1', '34 0001 61'],
  ['MQTT-2.3.1-1', '3a 0001 61 0000'], ['MQTT-2.3.1-1', '34 0001 61 0000 78'],
  ['MQTT-3.3.2-2', '30 0003 612f23'], ['MQTT-3.3.2-2', '34 0001 2b 0001'],
  ['MQTT-1.5.3-1', '30 0002 c328'], ['MQTT-1.5.3-1', '32 0003 eda080 0001'], ['MQTT-1.5.3-1', '30 0002 c080'],
  ['MQTT-1.5.3-1', '30 0004 f4908080'], ['MQTT-1.5.3-2', '34 0003 610062 0001'],

  ['MQTT-4.8.0-1', '40'], ['MQTT-4.8.0-1', '50'], ['MQTT-4.8.0-1', '62'], ['MQTT-4.8.0-1', '70'],
  ['MQTT-4.8.0-1', '40 01'], ['MQTT-4.8.0-1', '50 000100'], ['MQTT-4.8.0-1', '62 00010000'],
  ['MQTT-2.3.1-6', '40 0000'], ['MQTT-2.3.1-6', '50 0000'], ['MQTT-2.3.1-6', '62 0000'], ['MQTT-2.3.1-6', '70 0000'],

  ['MQTT-2.3.1-1', '82'], ['MQTT-2.3.1-1', '82 00'], ['MQTT-2.3.1-1', '82 0000 0001 61 00'],
  ['MQTT-3.8.3-3', '82 0001'], ['MQTT-4.8.0-1', '82 0001 00'], ['MQTT-4.8.0-1', '82 0001 0001'],
  ['MQTT-4.8.0-1', '82 0001 0001 61'], ['MQTT-4.8.0-1', '82 0001 0001 61 00 00'],
  ['MQTT-3.8.3-4', '82 0001 0001 61 03'], ['MQTT-3.8.3-4', '82 0001 0001 61 84'],
  ['MQTT-3.8.3-4', '82 0001 0001 61 00 0001 62 04'],
  ['MQTT-1.5.3-1', '82 0001 0001 ff 00'], ['MQTT-1.5.3-2', '82 0001 0001 61 00 0001 00 00'],

  ['MQTT-4.7.3-1', '82 0001 0000 00'], ['MQTT-4.7.3-1', '82 0001 0001 61 00 0000 00'],
  ['MQTT-4.7.3-1', 'a2 0001 0000'],
  ['MQTT-2.3.1-1', 'a2'], ['MQTT-2.3.1-1', 'a2 01'], ['MQTT-2.3.1-1', 'a2 0000 0001 61'], ['MQTT-3.10.3-2', 'a2 0001'],
  ['MQTT-4.8.0-1', 'a2 0001 0002 61'], ['MQTT-1.5.3-1', 'a2 0001 0001 ff'], ['MQTT-1.5.3-2', 'a2 0001 0001 00'],

  ['MQTT-4.8.0-1', 'c0 00'], ['MQTT-4.8.0-1', 'e0 00'],

  ['MQTT-4.8.0-1', '10'], ['MQTT-4.8.0-1', '10 0004 4d5154'], ['MQTT-4.8.0-1', '10 0004 4d515454'],
  ['MQTT-4.8.0-1', '10 0004 4d515454 04 02 00'], ['MQTT-3.1.2-1', '10 0004 6d717474 04 02 0000 0001 61'],
  ...['0004 4d515454 04', '0004 4d515454 84', '0006 4d5149736470 03'].flatMap((head) => [
    ['MQTT-3.1.2-3', `10 ${head} 03 0000 0001 61`],
    ['MQTT-3.1.2-14', `10 ${head} 1e 0000 0001 61 0001 62 0000`],
    ['MQTT-3.1.2-13', `10 ${head} 12 0000 0001 61`],
    ['MQTT-3.1.2-15', `10 ${head} 22 0000 0001 61`],
    ['MQTT-3.1.2-22', `10 ${head} 42 0000 0001 61 0001 62`],
    ['MQTT-3.1.2-18', `10 ${head} 02 0000 0001 61 0001 62`],
    ['MQTT-3.1.2-20', `10 ${head} 82 0000 0001 61 0001 62 00`],
    ['MQTT-3.1.3-1', `10 ${head} c2 0000 0001 61 0001 62 0001 63 00`],
    ['MQTT-3.1.3-1', `10 ${head} 02 0000`],
    ['MQTT-3.1.3-1', `10 ${head} 02 0000 0002 61`],
    ['MQTT-3.1.3-1', `10 ${head} 06 0000 0001 61 0001 62`],
    ['MQTT-3.1.3-1', `10 ${head} 82 0000 0001 61 0002 62`],
    ['MQTT-3.1.3-1', `10 ${head} c2 0000 0001 61 0001 62 0002 63`],
    ['MQTT-1.5.3-1', `10 ${head} 02 0000 0001 ff`],
    ['MQTT-1.5.3-2', `10 ${head} 02 0000 0001 00`],
    ['MQTT-4.7.3-1', `10 ${head} 06 0000 0001 61 0000 0000`],
    ['MQTT-3.3.2-2', `10 ${head} 06 0000 0001 61 0001 23 0000`],
    ['MQTT-1.5.3-2', `10 ${head} 06 0000 0001 61 0001 00 0000`],
    ['MQTT-1.5.3-1', `10 ${head} 82 0000 0001 61 0001 ff`],
    ['MQTT-1.5.3-2', `10 ${head} 82 0000 0001 61 0001 00`]
  ] as Array<[string, string]>)
]

t.test('[MQTT-4.8.0-1] each malformed packet breaks the statement that its sentence names', async t => {
  for (const [clause, packet] of WRONG) t.match(check(packet), new RegExp(`\\[${clause}\\]$`), `${clause}: ${packet}`)
})

/** Odd, and allowed. */
const RIGHT: readonly string[] = [
  '30 0001 61', '32 0001 61 0001', '3a 0001 61 0001', '3d 0003 efbfbd 0001 78', '30 0003 efbbbf', // U+FFFD, U+FEFF
  '30 0001 01', '82 0001 0001 01 00', '82 0001 0002 612b 00', 'a2 0001 0002 c280',
  '10 0004 4d515454 04 06 0000 0001 61 0001 01 0000', '10 0004 4d515454 04 82 0000 0001 61 0002 c2a0',
  '10 0004 4d515454 04 00 0000 0000', '10 0004 4d515454 04 c2 0000 0000 0000 0000',
  '10 0004 4d515454 04 82 0000 0001 61 0003 efbfbd', '10 0004 4d515454 04 06 0000 0001 61 0001 62 0002 00ff',
  '10 0004 4d515454 05 ff 00', '10 0004 4d515454 06' // answered with return code 1 [MQTT-3.1.2-2]
]

t.test('what is odd and allowed passes', async t => {
  for (const packet of RIGHT) t.equal(check(packet), undefined, packet)
})

t.test('a control character is refused where it names somebody, and nowhere else', async t => {
  for (const name of ['01', '1f', '7f', 'c280', 'c29f', '610a62']) {
    const field = `${(name.length / 2).toString(16).padStart(4, '0')} ${name}`
    for (const [what, packet] of [['client identifier', `10 0004 4d515454 04 02 0000 ${field}`],
      ['user name', `10 0004 4d515454 04 82 0000 0001 61 ${field}`]]) {
      t.equal(check(packet), `${what}: it holds a control character (1.5.3)`, `${what} ${name}`)
    }
  }
})

const TOPICS = ['a', 'a/b', 'ä/日本/🦉', 'x'.repeat(300), '$SYS/x', ' ', '\u0001']
const NAMES = TOPICS.slice(0, -1)

function anyPacket (random: Random): Packet {
  const messageId = random.between(1, 65_535)
  const pick = <T>(list: readonly T[]): T => list[random.between(0, list.length - 1)]
  const flip = (): boolean => random.between(0, 1) === 1
  const qos = random.between(0, 2) as 0 | 1 | 2
  const filters = [...TOPICS, '#', 'a/+/b', '+']
  const topics = (): string[] => Array.from({ length: random.between(1, 4) }, () => pick(filters))
  const password = flip() ? { password: Buffer.from([0, 255]) } : {}
  const will = { topic: pick(TOPICS), payload: Buffer.alloc(random.between(0, 200)), qos, retain: flip() }
  const version = pick([
    { protocolId: 'MQTT', protocolVersion: 4 }, { protocolId: 'MQIsdp', protocolVersion: 3 }
  ] as const)
  const asBridge = { bridgeMode: flip() } // protocol level 0x83 or 0x84
  return pick<() => Packet>([
    () => ({
      cmd: 'connect', ...version, ...asBridge, keepalive: random.between(0, 65_535), clean: flip(),
      clientId: pick(NAMES), ...(flip() ? { will } : {}),
      ...(flip() ? { username: pick(NAMES), ...password } : {})
    }),
    () => ({
      cmd: 'publish', topic: pick(TOPICS), payload: Buffer.alloc(random.between(0, 300), 0xff), qos, retain: flip(),
      dup: qos > 0 && flip(), messageId
    }),
    () => ({ cmd: pick(['puback', 'pubrec', 'pubrel', 'pubcomp'] as const), messageId }),
    () => ({ cmd: 'subscribe', messageId, subscriptions: topics().map((topic) => ({ topic, qos })) }),
    () => ({ cmd: 'unsubscribe', messageId, unsubscriptions: topics() }),
    () => ({ cmd: 'pingreq' }),
    () => ({ cmd: 'disconnect' })
  ])()
}

t.test('whatever mqtt-packet makes of a valid packet passes, whole and however it is cut', async t => {
  const random = createRandom(chooseSeed())
  t.comment(`seed ${random.seed}`)
  const seen = new Set<string>()
  for (let round = 0; round < 500; round++) {
    const packets = Array.from({ length: random.between(1, 5) }, () => anyPacket(random))
    const bytes = packets.map((packet) => mqttPacket.generate(packet))
    for (const [i, packet] of packets.entries()) {
      seen.add(packet.cmd)
      const wrong = checkPacket(bytes[i])
      if (wrong !== undefined) t.fail(`${wrong}: ${JSON.stringify(packet)}`)
    }
    const all = Buffer.concat(bytes)
    const parsed: Buffer[] = []
    const whole = new WholePackets({
      parse: (some) => { parsed.push(some) }, refuse: (sentence) => { t.fail(sentence) }, isOver: () => false
    })
    for (let at = 0; at < all.length;) {
      const to = at + random.between(1, 60)
      whole.take(all.subarray(at, to))
      at = to
    }
    if (!Buffer.concat(parsed).equals(all)) t.fail(`round ${round}: not what was sent`)
  }
  t.equal(seen.size, 10, 'every kind that a client sends')
})

t.test('a PUBLISH is taken past the parser if and only if it is well-formed', async t => {
  const random = createRandom(chooseSeed())
  t.comment(`seed ${random.seed}`)
  const counts = { right: 0, wrong: 0 }
  for (let round = 0; round < 5_000; round++) {
    const first = 0x30 | random.between(0, 15) & 0x0b
    const contents = Buffer.from(Array.from({ length: random.between(0, 8) }, () => random.between(0, 255)))
    if (contents.length > 1 && random.between(0, 9) > 0) contents.writeUInt16BE(random.between(0, 4))
    for (let i = 2; i < contents.length; i++) if (random.between(0, 3) > 0) contents[i] &= 0x7f
    const packet = Buffer.concat([Buffer.from([first, contents.length]), contents])
    const wrong = checkPacket(packet)
    counts[wrong === undefined ? 'right' : 'wrong']++
    const isDirect = checkPacket(packet, isWellFormedPublish)
    if (isDirect !== (wrong === undefined)) t.fail(`${packet.toString('hex')}: ${isDirect}, ${wrong}`)
  }
  t.ok(counts.right > 500 && counts.wrong > 500, JSON.stringify(counts))
})

t.test('what is before a malformed packet is parsed, and nothing from it on, however they are cut', async t => {
  const bytes = Buffer.from('4002000140020002500040020003', 'hex')
  for (let cut = 0; cut <= bytes.length; cut++) {
    const seen: string[] = []
    const whole = new WholePackets({
      parse: (some) => { seen.push(some.toString('hex')) },
      refuse: (sentence) => { seen.push(sentence) },
      isOver: () => false
    })
    whole.take(bytes.subarray(0, cut))
    whole.take(bytes.subarray(cut))
    t.equal(seen.join(''), '4002000140020002PUBREC of 0 bytes, not 2 [MQTT-4.8.0-1]', `cut at ${cut}`)
  }
})

t.test('behind the end of the connection nothing is a violation', async t => {
  let isOver = false
  const whole = new WholePackets({
    parse: () => { isOver = true }, refuse: (sentence) => { t.fail(sentence) }, isOver: () => isOver
  })
  whole.take(Buffer.from('e0005000', 'hex'))
  t.ok(isOver)
})
