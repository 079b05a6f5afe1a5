/** Packet lengths in a byte stream (MQTT 3.1.1, 2.2.3), however it is cut. */
import t from 'tap'
import { FrameGuard } from '../../broker/mqtt/wire/frame-guard.ts'
import { chooseSeed, createRandom } from '../helpers/random.ts'

/** A packet with a Remaining Length. */
function packet (length: number): Buffer {
  const head = [0x30]
  let rest = length
  do {
    head.push((rest & 0x7f) | (rest > 127 ? 0x80 : 0))
    rest >>>= 7
  } while (rest > 0)
  return Buffer.concat([Buffer.from(head), Buffer.alloc(length, 0xff)])
}

const LENGTHS = [0, 1, 126, 127, 128, 129, 16_383, 16_384, 70_000]

t.test('packets of every length of length pass in one piece, one byte at a time, and cut at random', async t => {
  const random = createRandom(chooseSeed())
  t.comment(`seed ${random.seed}`)
  const stream = Buffer.concat(LENGTHS.map(packet))
  const cuts: Record<string, (at: number) => number> = {
    'one piece': () => stream.length, 'one byte': () => 1, random: () => random.between(1, 300)
  }
  for (const [name, size] of Object.entries(cuts)) {
    const guard = new FrameGuard(70_000)
    for (let at = 0; at < stream.length;) {
      const end = Math.min(stream.length, at + size(at))
      const wrong = guard.feed(stream.subarray(at, end))
      if (wrong !== undefined) t.fail(`${name}: ${wrong} at ${at}`)
      at = end
    }
    t.match(guard.feed(packet(70_001)), /70001 bytes; the limit is 70000/, `${name}: in step to the end`)
  }
})

t.test('[G6] a packet is refused with the last byte of its length, before any byte of its contents', async t => {
  for (const limit of [0, 127, 128, 16_383, 16_384, 65_536, 268_435_454]) {
    const guard = new FrameGuard(limit)
    const head = packetHead(limit + 1)
    for (const [i, byte] of head.entries()) {
      const wrong = guard.feed(Uint8Array.of(byte))
      if (i < head.length - 1) t.equal(wrong, undefined)
      else t.match(wrong, new RegExp(`${limit + 1} bytes; the limit is ${limit}`))
    }
  }
})

t.test('(2.2.3) a length of more than four bytes is refused with the fourth', async t => {
  const guard = new FrameGuard(268_435_455)
  for (const byte of [0x30, 0xff, 0xff, 0xff]) t.equal(guard.feed(Uint8Array.of(byte)), undefined)
  t.match(guard.feed(Uint8Array.of(0xff)), /more than four bytes/)
})

t.test('the largest length of all, 268,435,455, is read right', async t => {
  t.match(new FrameGuard(1).feed(Buffer.from([0x30, 0xff, 0xff, 0xff, 0x7f])), /268435455 bytes/)
})

t.test('a new limit counts from the next packet on', async t => {
  const guard = new FrameGuard(10)
  t.equal(guard.feed(packet(10).subarray(0, 5)), undefined)
  guard.packetBytesMax = 1_000
  t.equal(guard.feed(packet(10).subarray(5)), undefined)
  t.equal(guard.feed(packet(1_000)), undefined)
  t.match(guard.feed(packet(1_001)), /limit is 1000/)
})

function packetHead (length: number): Buffer {
  const lengthBytes = length < 128 ? 1 : length < 16_384 ? 2 : length < 2_097_152 ? 3 : 4
  const head = Buffer.alloc(1 + lengthBytes)
  head[0] = 0x30
  for (let i = 0; i < lengthBytes; i++) {
    head[i + 1] = (Math.floor(length / 128 ** i) % 128) | (i < lengthBytes - 1 ? 0x80 : 0)
  }
  return head
}
