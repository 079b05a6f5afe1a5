/** What is written by hand on the hot path, byte by byte against mqtt-packet. */
import t from 'tap'
import { generate } from 'mqtt-packet'
import { pubrel, writePublishes, writeReceipts } from '../../broker/mqtt/wire/encode.ts'
import type { ClientId, Message, PacketId, Principal, QoS, TimeMs } from '../../broker/model/message.ts'
import type { Delivery } from '../../broker/session/link.ts'
import { chooseSeed, createRandom, type Random } from '../helpers/random.ts'

const TOPICS = ['t', 'a/b/c', 'ü/漢字/😀', 'x'.repeat(130), 'é'.repeat(300), '/', '$x', 'constructor']
/** Around every length of the length, and around the size from which a payload is not copied. */
const SIZES = [
  0, 1, 100, 121, 122, 123, 124, 127, 128, 16_370, 16_376, 16_380, 16_383, 16_384, 16_385, 20_000, 2_097_160
]

function message (topic: string, payload: Buffer): Message {
  return {
    topic, payload, qos: 2, retain: false, publisher: 'p' as ClientId, principal: 'anonymous' as Principal,
    time: 0 as TimeMs, id: ''
  }
}

function delivery (one: Message, qos: QoS, packetId: number, dup: boolean, retain: boolean): Delivery {
  return { packetId: (qos === 0 ? 0 : packetId) as PacketId, qos, dup, retain, message: one }
}

function expected ({ packetId, qos, dup, retain, message: { topic, payload } }: Delivery): Buffer {
  return generate({ cmd: 'publish', topic, payload, qos, dup, retain, ...(qos > 0 ? { messageId: packetId } : {}) })
}

function written (deliveries: readonly Delivery[]): Buffer[] {
  const chunks: Buffer[] = []
  writePublishes(deliveries, (chunk) => { chunks.push(chunk) })
  return chunks
}

function same (deliveries: readonly Delivery[]): boolean {
  return Buffer.concat(written(deliveries)).equals(Buffer.concat(deliveries.map(expected)))
}

t.test('PUBLISH of every QoS, flag, topic and length is what mqtt-packet writes', async t => {
  for (const topic of TOPICS) {
    for (const size of SIZES) {
      const one = message(topic, Buffer.alloc(size, 0x61))
      for (const qos of [0, 1, 2] as const) {
        const some = [delivery(one, qos, 1, false, false), delivery(one, qos, 65_535, true, true),
          delivery(one, qos, 256, false, true), delivery(one, qos, 255, true, false)]
        if (!some.every((each) => same([each]))) t.fail(`${topic.slice(0, 10)} ${size} bytes QoS ${qos}`)
      }
    }
  }
  t.pass()
})

function randomDelivery (random: Random, messages: readonly Message[]): Delivery {
  return delivery(random.pick(messages), random.int(3) as QoS, random.between(1, 65_535), random.int(2) === 0,
    random.int(2) === 0)
}

t.test('any mixture in one call is written in its order, sharing the bytes of a message changes nothing', async t => {
  const random = createRandom(chooseSeed())
  t.comment(`seed ${random.seed}`)
  const messages = Array.from({ length: 12 }, () =>
    message(random.pick(TOPICS), random.bytes(random.pick(SIZES) % 30_000)))
  for (let round = 0; round < 200; round++) {
    const some = Array.from({ length: random.between(1, 20) }, () => randomDelivery(random, messages))
    if (!same(some)) t.fail(`round ${round}`)
  }
  t.pass()
})

t.test('what was written stays as it was when the same message is written for another', async t => {
  const one = message('t', Buffer.from('payload'))
  const first = written([delivery(one, 1, 7, false, false)])
  const copy = Buffer.concat(first)
  written([delivery(one, 2, 9, true, true)])
  t.ok(Buffer.concat(first).equals(copy))
})

t.test('small packets of one call share a chunk; a large payload is handed on as it is, not copied', async t => {
  const small = message('t', Buffer.from('small'))
  const large = message('t', Buffer.alloc(20_000))
  t.equal(written([1, 2, 3].map((id) => delivery(small, 1, id, false, false))).length, 1)
  const chunks = written([delivery(small, 1, 1, false, false), delivery(large, 1, 2, false, false)])
  t.equal(chunks.length, 3)
  t.equal(chunks[2], large.payload)
})

t.test('PUBACK, PUBREC and PUBREL are what mqtt-packet writes', async t => {
  const receipts = [{ packetId: 1, qos: 1 }, { packetId: 65_535, qos: 2 }, { packetId: 256, qos: 1 }]
  t.same(writeReceipts(receipts), Buffer.concat(receipts.map(({ packetId, qos }) =>
    generate({ cmd: qos === 1 ? 'puback' : 'pubrec', messageId: packetId }))))
  for (const id of [1, 255, 256, 65_535]) t.same(pubrel(id), generate({ cmd: 'pubrel', messageId: id }))
})
