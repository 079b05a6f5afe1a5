import t from 'tap'
import { Server } from 'socket.io'
import type { Entry, Message, Offset } from '../../broker/index.ts'
import { parseCommand, type PublishCommand } from '../../bridge/socketio/translation/commands.ts'
import { privateOf } from '../../bridge/socketio/wire/socketio.ts'
import { encodeEnvelope } from '../../protocol/envelope.ts'
import {
  ACK_ID_MAX, ACK_ID_MIN, Frames, Joiner, JOINED_BYTES_MAX, type EncodedEvent, type NamespaceFrames
} from '../../bridge/socketio/wire/frames.ts'
import { OK, Stored } from '../../bridge/socketio/wire/ok.ts'
import { processHeap } from '../../broker/system/heap.ts'
import { endingOf, formatToken } from '../../bridge/socketio/proof/recovery-offset.ts'
import { Rules, type NamespaceRules } from '../../bridge/socketio/rules/rules.ts'

const io = new Server()
const { collect } = processHeap()
const { encoder } = privateOf(io.of('/')).server

function framesOf (namespace = '/', rules: Partial<NamespaceRules> = {}, firstAckId = ACK_ID_MIN): NamespaceFrames {
  const here = new Rules({ makeId: () => 'id' }).namespace(namespace)
  const all = new Frames({ encoder, epoch: 'e1', firstAckId })
  return all.namespace(namespace, Object.assign(Object.create(here) as NamespaceRules, rules))
}

function message (topic: string, args: readonly unknown[]): Message {
  const payload = Buffer.from(encodeEnvelope({ id: 'm', args }))
  const rest = { qos: 1, retain: false, publisher: 'p', principal: 'p', time: 0, id: 'm' }
  return { topic, payload, ...rest } as unknown as Message
}

/** As the broker takes it from the bridge, with what the bridge knows of it. */
function emitted (namespace: string, event: string, ...args: unknown[]): Message {
  const { topic, payload, encodings } = parseCommand(namespace, [event, ...args], false, () => 'm') as PublishCommand
  return { ...message(topic, []), payload, encodings } as Message
}

interface Frame { readonly first: number, readonly body: Buffer }

/** Unmasked WebSocket frames (RFC 6455, 5.2). */
function parse (bytes: Buffer): Frame[] {
  const frames: Frame[] = []
  for (let at = 0; at < bytes.length;) {
    const short = bytes[at + 1]
    const start = at + (short < 126 ? 2 : short === 126 ? 4 : 10)
    const length = short < 126
      ? short
      : short === 126 ? bytes.readUInt16BE(at + 2) : Number(bytes.readBigUInt64BE(at + 2))
    frames.push({ first: bytes[at], body: bytes.subarray(start, start + length) })
    at = start + length
  }
  return frames
}

function text (event: EncodedEvent): string {
  return parse(event.frames)[0].body.toString()
}

t.test('an event is one text frame of an Engine.IO message, however long it is', async t => {
  const frames = framesOf()
  for (const length of [0, 100, 111, 112, 113, 114, 65_520, 65_521, 65_522, 65_523, 200_000]) {
    const value = 'x'.repeat(length)
    const [frame, ...rest] = parse(frames.of(message('io/_/all/e', [value])).plain.frames)
    t.equal(frame.first, 0x81)
    t.equal(frame.body.toString(), `42["e","${value}"]`, String(length))
    t.same(rest, [])
  }
})

t.test('bytes follow in frames of their own, as the parser has them', async t => {
  const first = Buffer.from('one')
  const second = Buffer.alloc(70_000, 7)
  const event = framesOf('/n').of(message('io/n/all/e', [first, { deep: [second] }, 'é'])).plain
  const [head, ...values] = parse(event.frames)
  t.equal(head.body.toString(),
    '452-/n,["e",{"_placeholder":true,"num":0},{"deep":[{"_placeholder":true,"num":1}]},"é"]')
  t.same(values.map(({ first }) => first), [0x82, 0x82])
  t.same(values.map(({ body }) => body), [first, second])
  t.equal(event.isBinary, true)
})

t.test('who takes no frames gets the same packets one by one', async t => {
  const bytes = Buffer.from([1, 2, 3])
  const event = framesOf('/n').of(message('io/n/all/e', ['ü', bytes])).plain
  t.same(event.pieces.map(({ data }) => data), ['51-/n,["e","ü",{"_placeholder":true,"num":0}]', bytes])
  const [{ options }, second] = event.pieces
  t.equal(parse(options.wsPreEncodedFrame![0]).length, 1, 'the frame of the text alone')
  t.equal(second.options.wsPreEncodedFrame, undefined)
  t.equal(event.pieces, event.pieces, 'made once')
})

t.test('all who are at the same place share the bytes; a token is the last argument', async t => {
  const frames = framesOf()
  const entry = message('io/_/all/e', [1]) as Entry
  const shared = frames.of(entry)
  t.equal(frames.of(entry), shared)
  t.equal(shared.placed(36 as Offset), shared.placed(36 as Offset))
  t.equal(text(shared.placed(36 as Offset)), `42["e",1,"${formatToken('e1', 36 as Offset)}"]`)
  t.equal(text(shared.plain), '42["e",1]')
  t.equal(text(shared.marked('hf~e1~z')), '42["e",1,"hf~e1~z"]')
  t.equal(shared.marked('hf~e1~z'), shared.marked('hf~e1~z'))
})

t.test('a message and the event that brings its place are written as one', async t => {
  const frames = framesOf('/n')
  const token = formatToken('e1', 36 as Offset)
  const bytes = Buffer.from([1, 2])
  const lists: unknown[][] = [[1], ['text', bytes], ['x'.repeat(20_000)]]
  for (const args of lists) {
    const shared = frames.of(message('io/n/all/e', args))
    const followed = shared.followed(36 as Offset)
    t.equal(shared.followed(36 as Offset), followed, 'made once')
    const carrier = `2/n,["holdfast:offset","${token}"]`
    t.same(followed.pieces.map(({ data }) => data),
      [...shared.plain.pieces.map(({ data }) => data), carrier], 'the pieces')
    t.same(followed.frames, Buffer.concat([shared.plain.frames, frames.offsetEvent(token).frames]))
    t.equal(followed.isBinary, args.includes(bytes))
    t.equal(followed.token, token)
  }
})

t.test('what an event ends in is known, however it came', async t => {
  for (const [args, told] of [
    [['a', 'é"\\'], 'é"\\'], [[], 'e'], [[''], ''], [[1], undefined], [['a', { b: 'c' }], undefined],
    [[Buffer.from('a')], undefined], [[Buffer.from('a'), 'b'], 'b'], [['x'.repeat(9_000)], 'x'.repeat(9_000)]
  ] as const) {
    const expected = told === undefined ? undefined : endingOf(told)
    for (const one of [emitted('/', 'e', ...args), message('io/_/all/e', args)]) {
      const shared = framesOf().of(one)
      t.equal(shared.ending, expected)
      const encodedFirst = framesOf().of(one)
      t.ok(encodedFirst.plain)
      t.equal(encodedFirst.ending, expected)
      t.equal(encodedFirst.endsInToken, false)
    }
  }
  t.equal(framesOf().of(message('io/_/all/e', [formatToken('e2', 1 as Offset)])).endsInToken, true)
})

t.test('a message that two namespaces know is encoded for each', async t => {
  const one = message('io/_/all/e', [1])
  const here = framesOf('/a')
  const there = framesOf('/b')
  t.equal(text(here.of(one).plain), '42/a,["e",1]')
  t.equal(text(there.of(one).plain), '42/b,["e",1]')
  t.equal(there.of(one), there.of(one))
  t.equal(here.of(one), here.of(one))
})

t.test('what an emit brought is passed on as the JSON that it is, as the encoder would have it', async t => {
  const values: unknown[][] = [
    [], [1], ['a', { b: [null, 'ü"\\\u2028', -0, 1e21] }, []], [undefined, NaN], [{ __proto__: 1 }], ['hf~e1~5']
  ]
  for (const namespace of ['/', '/chat room']) {
    const frames = framesOf(namespace)
    for (const [number, args] of values.entries()) {
      for (const token of [undefined, 'hf~e1~a']) {
        const taken = emitted(namespace, 'say "hi"', ...args)
        t.not(taken.encodings, undefined, 'the bridge knows it')
        const shared = frames.of(taken)
        const known = token === undefined ? shared.plain : shared.marked(token)
        const data = ['say "hi"', ...args, ...(token === undefined ? [] : [token])]
        const [expected] = encoder.encode({ type: 2, nsp: namespace, data })
        t.equal(text(known), `4${expected}`, `${namespace} ${number} ${token}`)
        t.same(shared.event.args, JSON.parse(JSON.stringify(args)), 'its arguments can be looked at')
      }
    }
  }
  t.equal(emitted('/', 'e', Buffer.from('x')).encodings, undefined, 'bytes are no JSON')
})

t.test('[G6] decoded arguments are not kept once they are encoded, and each encoding is as from them', async t => {
  const lists: unknown[][] = [[], [1], ['ü', { a: [null] }, []], [Buffer.from('x'), 'y'], ['x'.repeat(20_000)]]
  for (const namespace of ['/', '/chat']) {
    for (const args of lists) {
      const shared = framesOf(namespace).of(message(`io/${namespace === '/' ? '_' : 'chat'}/all/e`, args))
      const held = new WeakRef(shared.event.args)
      const seen = (token: string | undefined, encoded: EncodedEvent): void => {
        const data = ['e', ...args, ...(token === undefined ? [] : [token])]
        const [expected] = encoder.encode({ type: 2, nsp: namespace, data })
        t.equal(text(encoded), `4${expected as string}`)
      }
      seen('hf~e1~a', shared.marked('hf~e1~a'))
      seen(undefined, shared.plain)
      seen('hf~e1~b', shared.marked('hf~e1~b'))
      const { ackId, encoded } = shared.asking()
      t.ok(text(encoded).includes(String(ackId)))
      seen('hf~e1~c', shared.marked('hf~e1~c'))
      t.equal(shared.asking().ackId, ackId, 'its number stays')
      t.same(shared.event.args, args, 'they can still be looked at')
      await new Promise(resolve => { setImmediate(resolve) })
      collect()
      t.equal(held.deref(), undefined, 'the first ones are gone')
    }
  }
})

t.test('an event that asks for an answer keeps its number, which is no other\'s', async t => {
  const frames = framesOf('/n', {}, ACK_ID_MAX)
  const [one, two] = [frames.of(message('io/n/all/e', [1])), frames.of(emitted('/n', 'e', 2))]
  t.equal(one.asking().ackId, ACK_ID_MAX)
  t.equal(one.asking().ackId, ACK_ID_MAX)
  t.equal(two.asking().ackId, ACK_ID_MIN, 'they begin again above those of applications')
  t.equal(text(one.asking().encoded), `42/n,${ACK_ID_MAX}["e",1]`)
  t.equal(text(two.asking().encoded), `42/n,${ACK_ID_MIN}["e",2]`)
})

t.test('what a rule made and nobody can write down is told as undeliverable [G5]', async t => {
  const event = { event: 'e', args: [1n], repeatKey: undefined, level: 'handled', ignored: false } as const
  const shared = framesOf('/', { translate: () => event }).of(message('a/b', []))
  t.equal(text(shared.plain), '42["holdfast:undeliverable",{"topic":"a/b","reason":"rule"}]')
})

t.test('answers and the bridge\'s own events are encoded as any', async t => {
  const frames = framesOf('/n')
  for (const ok of [OK, { status: 'ok' }]) t.equal(text(frames.answer(7, [ok])), '43/n,7[{"status":"ok"}]')
  t.equal(text(framesOf().answer(7, [OK])), '437[{"status":"ok"}]')
  t.equal(text(framesOf().answer(7, [OK, 1])), '437[{"status":"ok"},1]')
  for (const ok of [new Stored(3), { status: 'ok', sessions: 3 }]) {
    t.equal(text(frames.answer(7, [ok])), '43/n,7[{"status":"ok","sessions":3}]')
  }
  const [head, value] = parse(frames.answer(7, [Buffer.from('x')]).frames)
  t.equal(head.body.toString(), '461-/n,7[{"_placeholder":true,"num":0}]')
  t.same(value.body, Buffer.from('x'))
  t.equal(text(frames.offsetEvent('hf~e1~1')), '42/n,["holdfast:offset","hf~e1~1"]')
  t.equal(frames.offsetEvent('hf~e1~1'), frames.offsetEvent('hf~e1~1'))
})

t.test('the batch that everybody in a room gets is joined once', async t => {
  const frames = framesOf()
  const joiner = new Joiner()
  const events = [1, 2, 3].map(n => frames.of(message('io/_/all/e', [n])).plain)
  const [bytes, ...rest] = joiner.join(events)
  t.same(rest, [])
  t.same(parse(bytes).map(({ body }) => body.toString()), ['42["e",1]', '42["e",2]', '42["e",3]'])
  t.equal(joiner.join([...events])[0], bytes, 'the same bytes for the next receiver')
  t.not(joiner.join(events.slice(0, 2))[0], bytes)
  t.same(joiner.join([events[2], events[1]])[0], Buffer.concat([events[2].frames, events[1].frames]))
  t.equal(joiner.join([events[0]])[0], events[0].frames, 'one alone is not copied')
})

t.test(`what is longer than ${JOINED_BYTES_MAX} bytes together is not copied [G6]`, async t => {
  const frames = framesOf()
  const events = [1, 2].map(n => frames.of(message('io/_/all/e', [n, 'x'.repeat(40_000)])).plain)
  const buffers = new Joiner().join(events)
  t.same(buffers.map((buffer, index) => buffer === events[index].frames), [true, true])
})
