/** Frames that are made small (broker/mqtt/wire/frame-splitter.ts), read by ws as a server reads them. */
import { randomBytes } from 'node:crypto'
import t from 'tap'
import * as ws from 'ws'
import { FrameSplitter, PIECE_BYTES_MAX } from '../../broker/mqtt/wire/frame-splitter.ts'
import { createRandom } from '../helpers/random.ts'

interface Reading {
  readonly bytes: Buffer
  readonly largest: number
  readonly pings: string[]
  readonly error: string | undefined
}

/** As frames of a client: opcode, payload, FIN. */
function frame (opcode: number, payload: Buffer, isLast = true): Buffer {
  const mask = randomBytes(4)
  const { length } = payload
  const head = length < 126 ? Buffer.from([0, length]) : Buffer.alloc(length < 65_536 ? 4 : 10)
  if (length >= 65_536) head.writeBigUInt64BE(BigInt(length), 2)
  else if (length >= 126) head.writeUInt16BE(length, 2)
  if (length >= 126) head[1] = length < 65_536 ? 126 : 127
  head[0] = opcode | (isLast ? 0x80 : 0)
  head[1] |= 0x80
  return Buffer.concat([head, mask, payload.map((byte, i) => byte ^ mask[i % 4])])
}

/** What ws makes of it, in chunks of so many bytes. */
async function read (bytes: Buffer, chunkBytes: () => number): Promise<Reading> {
  const Receiver = (ws as unknown as { Receiver: new (options: object) => NodeJS.WritableStream }).Receiver
  const receiver = new Receiver({ isServer: true, maxPayload: 65_536 })
  const splitter = new FrameSplitter()
  const got: Buffer[] = []
  const pings: string[] = []
  let error: string | undefined
  receiver.on('message', (data: Buffer) => { got.push(data) })
  receiver.on('ping', (data: Buffer) => { pings.push(data.toString()) })
  receiver.on('error', (wrong: NodeJS.ErrnoException) => { error = wrong.code })
  for (let at = 0; at < bytes.length && error === undefined;) {
    const some = Math.max(1, chunkBytes())
    const split = splitter.feed(Buffer.from(bytes.subarray(at, at + some)))
    at += some
    if (split.length > 0) await new Promise<void>(resolve => { receiver.write(split, () => { resolve() }) })
  }
  return { bytes: Buffer.concat(got), largest: Math.max(0, ...got.map(({ length }) => length)), pings, error }
}

t.test('[G6] whatever the frames and chunks, the same bytes come out, and no large message', async t => {
  for (let seed = 1; seed <= 25; seed++) {
    const random = createRandom(seed)
    const sent: Buffer[] = []
    const frames: Buffer[] = []
    const pings: string[] = []
    let isOpen = false
    for (let i = 0; i < 12; i++) {
      const size = [0, 1, 125, 126, 127, 5_000, PIECE_BYTES_MAX, PIECE_BYTES_MAX + 1, 65_535, 65_536, 150_000]
      const payload = randomBytes(size[random.int(size.length)])
      const isLast = i === 11 || random.int(2) === 0
      sent.push(payload)
      frames.push(frame(isOpen ? 0 : 2, payload, isLast))
      isOpen = !isLast
      if (random.int(3) === 0) {
        pings.push(String(i))
        frames.push(frame(9, Buffer.from(String(i))))
      }
    }
    const chunkMax = [3, 100, 16_384, 65_536, 1_000_000][seed % 5]
    const all = Buffer.concat(frames)
    const got = await read(chunkMax < 100 ? all.subarray(0, 20_000) : all, () => random.int(chunkMax) + 1)
    t.equal(got.error, undefined, `seed ${seed}`)
    const expected = Buffer.concat(sent)
    if (chunkMax >= 100) t.equal(got.bytes.length, expected.length, `seed ${seed}: all of it`)
    t.ok(got.bytes.equals(expected.subarray(0, got.bytes.length)), `seed ${seed}: ${got.bytes.length} bytes`)
    t.ok(got.largest <= PIECE_BYTES_MAX, `seed ${seed}: the largest has ${got.largest}`)
    if (chunkMax >= 100) t.same(got.pings, pings, `seed ${seed}`)
  }
})

const some = Buffer.from('some')
const WRONG: Readonly<Record<string, readonly [string, Buffer[]]>> = {
  'a continuation of nothing': ['WS_ERR_INVALID_OPCODE', [frame(0, some)]],
  'a continuation behind the last': ['WS_ERR_INVALID_OPCODE', [frame(2, some), frame(0, some)]],
  'a message within a message': ['WS_ERR_INVALID_OPCODE', [frame(2, some, false), frame(2, some)]],
  'text within a message': ['WS_ERR_INVALID_OPCODE', [frame(2, some, false), frame(1, some)]],
  'a message within text': ['WS_ERR_INVALID_OPCODE', [frame(1, some, false), frame(2, some)]],
  'an unknown opcode': ['WS_ERR_INVALID_OPCODE', [frame(3, some)]],
  'an unknown opcode within a message': ['WS_ERR_INVALID_OPCODE', [frame(2, some, false), frame(3, some)]],
  'a control frame of several': ['WS_ERR_EXPECTED_FIN', [frame(9, some, false)]],
  'a large control frame': ['WS_ERR_INVALID_CONTROL_PAYLOAD_LENGTH', [frame(9, Buffer.alloc(200))]],
  'no mask': ['WS_ERR_EXPECTED_MASK', [Buffer.from([0x82, 4, ...some])]],
  'a reserved bit': ['WS_ERR_UNEXPECTED_RSV_2_3', [frame(2 | 0x20, some)]],
  'a length that nobody can count': ['WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH',
    [Buffer.concat([Buffer.from([0x82, 0xff]), Buffer.alloc(12, 0xff)])]],
  'text that is large': ['WS_ERR_UNSUPPORTED_MESSAGE_LENGTH', [frame(1, Buffer.alloc(70_000))]],
  'text that is large together': ['WS_ERR_UNSUPPORTED_MESSAGE_LENGTH',
    [frame(1, Buffer.alloc(40_000), false), frame(0, Buffer.alloc(40_000))]]
}

for (const [what, [code, frames]] of Object.entries(WRONG)) {
  t.test(`what is wrong stays wrong: ${what}`, async t => {
    const behind = frame(2, some)
    const all = Buffer.concat([...frames, behind])
    for (const chunk of [all.length > 1_000 ? 1_000 : 1, 7_001, 1_000_000]) {
      t.equal((await read(all, () => chunk)).error, code, `in chunks of ${chunk}`)
    }
  })
}
