import t from 'tap'
import { encode } from '@msgpack/msgpack'
import {
  ARGUMENT_DEPTH_MAX, BINARIES_PER_EVENT_MAX, decodeEnvelope, decodePayload, encodeEnvelope, EnvelopeError
} from '../../protocol/envelope.ts'

const bytes = (text: string): Buffer => Buffer.from(text)
const nested = (depth: number): unknown => JSON.parse('['.repeat(depth) + ']'.repeat(depth))

t.test('arguments without bytes travel as JSON that begins with the mark', async t => {
  const payload = encodeEnvelope({ id: 'a1', args: ['x', 2, { y: [null] }] })
  t.equal(Buffer.from(payload).toString(), '{"$hf":1,"id":"a1","args":["x",2,{"y":[null]}]}')
  t.same(decodeEnvelope(payload), { id: 'a1', args: ['x', 2, { y: [null] }] })
})

t.test('bytes anywhere in the arguments make it MessagePack and keep their place', async t => {
  const rest = [new Uint8Array(0), -1.5, 2 ** 40, null, true]
  const args = ['photo', { meta: [{ raw: Buffer.from([1, 2, 0xff]) }], size: 3 }, ...rest]
  const payload = encodeEnvelope({ id: 'b', args })
  t.same([...payload.subarray(0, 6)], [0x83, 0xa3, 0x24, 0x68, 0x66, 0x01])
  const back = decodeEnvelope(payload)?.args as typeof args
  t.same(back, ['photo', { meta: [{ raw: new Uint8Array([1, 2, 0xff]) }], size: 3 }, ...rest])
  t.ok((back[1] as { meta: Array<{ raw: unknown }> }).meta[0].raw instanceof Uint8Array)
})

t.test('every binary type that Socket.IO sends becomes bytes', async t => {
  const source = Uint8Array.of(9, 1, 2, 9)
  const { buffer } = source
  const views = [buffer.slice(1, 3), source.subarray(1, 3), new DataView(buffer, 1, 2), Buffer.from([1, 2])]
  for (const view of views) {
    const args = decodeEnvelope(encodeEnvelope({ id: '', args: [view] }))?.args
    t.same(args, [Uint8Array.of(1, 2)])
  }
})

t.test('values mean in MessagePack what they mean in JSON', async t => {
  const own = { toJSON: () => 'mine' }
  const odd = { undef: undefined, nan: NaN, less: -Infinity, date: new Date(0), call: () => {}, set: new Set([1]), own }
  const args = [undefined, NaN, odd, [undefined, () => {}], Symbol('s')]
  const expected = JSON.parse(JSON.stringify(args))
  t.same(decodeEnvelope(encodeEnvelope({ id: '', args }))?.args, expected)
  const withBytes = encodeEnvelope({ id: '', args: [...args, Buffer.of(1)] })
  t.same(decodeEnvelope(withBytes)?.args, [...expected, Uint8Array.of(1)])
})

t.test('what can\'t travel is refused with a sentence that says why', async t => {
  const circle: unknown[] = []
  circle.push(circle)
  const tooMany = Array.from({ length: BINARIES_PER_EVENT_MAX + 1 }, () => Buffer.of(1))
  t.throws(() => encodeEnvelope({ id: '', args: circle }), /nested deeper than 64 levels/)
  t.throws(() => encodeEnvelope({ id: '', args: [nested(100_000)] }), EnvelopeError)
  t.throws(() => encodeEnvelope({ id: '', args: [1n] }), /BigInt/)
  t.throws(() => encodeEnvelope({ id: '', args: [1n, Buffer.of(1)] }), /BigInt/)
  t.throws(() => encodeEnvelope({ id: '', args: tooMany }), /more than 10 binary values/)
  t.throws(() => encodeEnvelope({ id: '', args: [Buffer.of(1), { _placeholder: true, num: 7 }] }), /_placeholder/)
  t.doesNotThrow(() => encodeEnvelope({ id: '', args: [{ _placeholder: true, num: 7 }] }), 'harmless without bytes')
  t.doesNotThrow(() => encodeEnvelope({ id: '', args: [nested(ARGUMENT_DEPTH_MAX - 1)] }))
  t.throws(() => encodeEnvelope({ id: '', args: [nested(ARGUMENT_DEPTH_MAX)] }), EnvelopeError)
})

t.test('whatever is accepted comes back as an envelope, up to the deepest', async t => {
  const deep = nested(ARGUMENT_DEPTH_MAX - 1)
  t.same(decodeEnvelope(encodeEnvelope({ id: '', args: [deep] }))?.args, [deep])
  t.same(decodeEnvelope(encodeEnvelope({ id: '', args: [deep, Buffer.of(1)] }))?.args, [deep, Uint8Array.of(1)])
})

t.test('a raw payload is one argument: JSON, else text, else bytes', async t => {
  const cases: Array<[string | Buffer, unknown]> = [
    ['{"level":3}', { level: 3 }], ['42', 42], ['"x"', 'x'], ['null', null], ['[1,2]', [1, 2]], [' true ', true],
    ['on', 'on'], ['', ''], ['{"level":', '{"level":'], ['\ufeffx', '\ufeffx'], ['grüß', 'grüß'],
    [Buffer.of(0xff, 0xfe), Buffer.of(0xff, 0xfe)], [Buffer.of(0x83), Buffer.of(0x83)]
  ]
  for (const [payload, argument] of cases) {
    const raw = typeof payload === 'string' ? bytes(payload) : payload
    t.same(decodePayload(raw), { id: '', args: [argument] }, raw.toString('latin1'))
  }
})

t.test('a payload that only resembles an envelope is raw', async t => {
  const likes = [
    '{"args":[1],"id":"x"}', '{ "$hf":1,"id":"x","args":[]}', '{"id":"x","$hf":1,"args":[1]}',
    '{"$hf":2,"id":"x","args":[1]}', '{"$hf":1,"id":7,"args":[1]}', '{"$hf":1,"id":"x","args":{"0":1}}',
    '{"$hf":1,"id":"x"}', '{"$hf":"1","id":"x","args":[]}'
  ]
  for (const text of likes) t.same(decodePayload(bytes(text)), { id: '', args: [JSON.parse(text)] }, text)
  t.same(decodePayload(bytes('{"$hf":1,"id":"x","args":[')).args, ['{"$hf":1,"id":"x","args":['])
  t.same(decodePayload(bytes(`{"$hf":1,"id":"${'x'.repeat(300)}","args":[]}`)).id, '', 'an id that is too long')
})

t.test('an envelope with more than it needs is still one, so that later versions can add', async t => {
  t.same(decodeEnvelope(bytes('{"$hf":1,"id":"x","args":[1],"from":"U1"}')), { id: 'x', args: [1] })
})

t.test('hostile envelopes are raw payloads, at once and without a crash', async t => {
  const binaries = { $hf: 1, id: '', args: Array.from({ length: BINARIES_PER_EVENT_MAX + 1 }, () => Uint8Array.of(1)) }
  const placeholder = { $hf: 1, id: '', args: [Uint8Array.of(1), { _placeholder: true, num: 9 }] }
  const start = [0x83, 0xa3, 0x24, 0x68, 0x66, 0x01, 0xa2, 0x69, 0x64, 0xa0, 0xa4, 0x61, 0x72, 0x67, 0x73]
  const hostile: Record<string, Uint8Array> = {
    'deep JSON': bytes(`{"$hf":1,"id":"","args":${'['.repeat(500_000)}${']'.repeat(500_000)}}`),
    'deep MessagePack': Buffer.concat([Buffer.from(start), Buffer.alloc(500_000, 0x91), Buffer.of(0xc0)]),
    'an array that claims four billion elements': Buffer.from([...start, 0xdd, 0xff, 0xff, 0xff, 0xff, 0xc0]),
    'arrays in arrays that claim a million each':
      Buffer.concat([Buffer.from(start), Buffer.alloc(300_000, Buffer.from([0xdd, 0, 0x0f, 0x42, 0x40]))]),
    'a text longer than the payload': Buffer.from([...start, 0x91, 0xdb, 0x7f, 0xff, 0xff, 0xff]),
    'bytes longer than the payload': Buffer.from([...start, 0x91, 0xc6, 0x7f, 0xff, 0xff, 0xff]),
    'a prototype key': Buffer.from([...start, 0x91, 0x81, 0xa9, ...bytes('__proto__'), 0xc0]),
    'a key that is a number': Buffer.from([...start, 0x91, 0x81, 0x01, 0xc0]),
    'a key that is a map': Buffer.from([...start, 0x91, 0x81, 0x80, 0xc0]),
    'an extension': Buffer.from([...start, 0x91, 0xd4, 0x01, 0x00]),
    'the reserved byte': Buffer.from([...start, 0x91, 0xc1]),
    'bytes left over': Buffer.concat([encode({ $hf: 1, id: '', args: [] }), Buffer.of(0)]),
    'more bytes values than a client takes': encode(binaries),
    'a placeholder next to bytes': encode(placeholder)
  }
  for (const [name, payload] of Object.entries(hostile)) {
    t.equal(decodeEnvelope(payload), undefined, name)
    const { id, args } = decodePayload(payload)
    t.equal(id, '', name)
    t.equal(args.length, 1, name)
  }
  t.equal(({} as Record<string, unknown>).polluted, undefined)
})

t.test('every cut of an envelope is a raw payload', async t => {
  const args = [{ a: [1, 2.5, 'x'.repeat(40)], b: Buffer.alloc(300) }, -200, 70_000, 2 ** 33]
  const whole = encodeEnvelope({ id: 'abc', args })
  t.ok(decodeEnvelope(whole))
  for (let end = 0; end < whole.length; end++) {
    if (decodeEnvelope(whole.subarray(0, end)) !== undefined) t.fail(`cut at ${end}`)
  }
})

t.test('prototype names are ordinary keys', async t => {
  const value = JSON.parse('{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"toString":1}')
  const back = decodeEnvelope(encodeEnvelope({ id: '', args: [value] }))?.args[0]
  t.equal(JSON.stringify(back), JSON.stringify(value))
  t.equal(({} as Record<string, unknown>).polluted, undefined)
})
