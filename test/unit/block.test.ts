import t from 'tap'
import {
  extensionBytes, messageBytes, type ClientId, type Extension, type Message, type Offset, type Principal, type QoS,
  type TimeMs
} from '../../broker/model/message.ts'
import { Block, blockFault, encodeBlock } from '../../broker/store/block.ts'

const FIRST = 2 ** 40 as Offset

const message = (over: Partial<Message> = {}): Message => ({
  topic: 'a/b',
  payload: Buffer.from('hello'),
  qos: 1,
  retain: false,
  publisher: 'sensor' as ClientId,
  principal: 'anonymous' as Principal,
  time: 1_700_000_000_000 as TimeMs,
  id: 'm-1',
  extension: undefined,
  ...over
})

const EXTENSION: Extension = {
  expiresAt: 1_700_000_060_000 as TimeMs,
  contentType: 'application/json',
  responseTopic: 'réponse/1',
  correlationData: Buffer.from([0, 255, 7]),
  userProperties: [['name', 'ü'], ['name', ''], ['', 'x']],
  producer: { name: 'till-7', sequence: 2 ** 52 }
}

t.test('a block gives back what was put in', async t => {
  const messages = [
    message(),
    message({ payload: Buffer.alloc(0), id: '', qos: 0, retain: true }),
    message({ topic: 'Grüße/🚀', publisher: '測定' as ClientId, principal: 'é' as Principal, id: 'ü', qos: 2 }),
    message({ topic: '', publisher: '' as ClientId, principal: '' as Principal, time: 0 as TimeMs }),
    message({ payload: Buffer.alloc(200_000, 7), time: 8_640_000_000_000_000 as TimeMs }),
    message({ extension: EXTENSION })
  ]
  const bytes = encodeBlock(FIRST, messages)
  t.equal(blockFault(bytes, FIRST, messages.length), undefined)
  const block = new Block(bytes)
  t.equal(block.count, messages.length)
  t.same(messages.map((_, k) => block.message(k)), messages)
  t.same(messages.map((_, k) => block.header(k)), messages.map(({ topic, payload, time, extension }) =>
    ({ topic, bytes: topic.length + payload.length + extensionBytes(extension), time,
      expiresAt: extension?.expiresAt })))
  t.same(messages.map((_, k) => block.messageBytes(k)), messages.map(messageBytes))
})

t.test('every QoS and RETAIN survives, beside each other', async t => {
  const messages = [0, 1, 2].flatMap(qos => [true, false].map(retain => message({ qos: qos as QoS, retain })))
  const block = new Block(encodeBlock(FIRST, messages))
  t.same(messages.map((_, k) => block.message(k)), messages)
})

t.test('whatever the length of a message takes: each ends where the next begins', async t => {
  const sizes = [116, 117, 118, 119, 16_372, 16_373, 16_374, 16_375, 2_097_140, 2_097_141, 2_097_142, 2_097_143]
  const messages = sizes.map((bytes) => message({ payload: Buffer.alloc(bytes, bytes), extension: EXTENSION }))
  const block = new Block(encodeBlock(FIRST, messages))
  for (const [k, { payload }] of messages.entries()) {
    t.ok(block.message(k)!.payload.equals(payload), `${payload.length} bytes`)
    t.same(block.message(k)!.extension, EXTENSION)
    t.equal(block.header(k)!.bytes, block.messageBytes(k))
    t.equal(block.messageBytes(k), messageBytes(messages[k]))
  }
})

t.test('a message stands in the block as it goes over the wire, with the identifier to be filled in', async t => {
  const bytes = encodeBlock(FIRST, [message({ topic: 'é', qos: 2, retain: true, payload: Buffer.from('hi') })])
  t.ok(bytes.includes(Buffer.from([0x35, 8, 0, 2, 0xc3, 0xa9, 0, 0, 0x68, 0x69])))
})

t.test('what a later version adds to a message is skipped, kept and written again', async t => {
  const later = Buffer.from([200, 3, 0, 0, 0, 1, 2, 3, 7, 0, 0, 0, 0])
  const bytes = encodeBlock(FIRST, [message({ extension: { ...EXTENSION, unknown: later } }), message({ id: 'next' })])
  const read = new Block(bytes).message(0)!
  t.same(read, message({ extension: { ...EXTENSION, unknown: later } }))
  t.same(new Block(encodeBlock(FIRST, [read])).message(0), read)
  t.equal(new Block(bytes).message(1)!.id, 'next')
})

t.test('a message without anything beside its payload takes no more than its fields', async t => {
  const one = encodeBlock(FIRST, [message()]).length
  const two = encodeBlock(FIRST, [message(), message()]).length
  t.equal(two - one, 4 + 21 + 'm-1'.length + 1 + 1 + 2 + 'a/b'.length + 2 + 'hello'.length)
})

t.test('trimmed places stay empty and keep the others where they are', async t => {
  const block = new Block(encodeBlock(FIRST, [undefined, message({ id: 'second' }), undefined]))
  t.equal(block.count, 3)
  t.equal(block.message(0), undefined)
  t.equal(block.header(2), undefined)
  t.equal(block.messageBytes(2), -1)
  t.equal(block.message(1)?.id, 'second')
})

t.test('an empty block is a block', async t => {
  const bytes = encodeBlock(FIRST, [])
  t.equal(blockFault(bytes, FIRST, 0), undefined)
  t.equal(new Block(bytes).count, 0)
})

t.test('publishers are written once', async t => {
  const publisher = 'p'.repeat(200) as ClientId
  const one = encodeBlock(FIRST, [message({ publisher })]).length
  const two = encodeBlock(FIRST, [message({ publisher }), message({ publisher })]).length
  t.ok(two - one < 100, `the second message took ${two - one} bytes`)
})

t.test('any flipped bit and any missing byte is noticed', async t => {
  const sound = encodeBlock(FIRST, [message(), message({ topic: 'c' })])
  let missed = 0
  for (let bit = 0; bit < sound.length * 8; bit++) {
    const broken = Buffer.from(sound)
    broken[bit >> 3] ^= 1 << (bit & 7)
    if (blockFault(broken, FIRST, 2) === undefined) missed++
  }
  for (let length = 0; length < sound.length; length++) {
    if (blockFault(sound.subarray(0, length), FIRST, 2) === undefined) missed++
  }
  t.equal(missed, 0)
  t.match(blockFault(sound, FIRST + 2 as Offset, 2), /the block of 1099511627776 is in its place/)
  t.match(blockFault(Buffer.alloc(4_096), FIRST, 2), /checksum/, 'a hole in the file')
})
