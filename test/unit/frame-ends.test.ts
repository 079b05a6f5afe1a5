import t from 'tap'
import { FrameEnds } from '../../bridge/socketio/wire/frame-ends.ts'

/** A frame as a client sends it, or without a mask. */
function frame (payloadBytes: number, isMasked = true): Buffer {
  const mask = isMasked ? 0x80 : 0
  const head = payloadBytes < 126
    ? [0x81, mask | payloadBytes]
    : payloadBytes < 65_536
      ? [0x81, mask | 126, payloadBytes >> 8, payloadBytes & 0xff]
      : [0x81, mask | 127, 0, 0, 0, 0, 0, payloadBytes >> 16, payloadBytes >> 8 & 0xff, payloadBytes & 0xff]
  return Buffer.concat([Buffer.from(head), Buffer.alloc(isMasked ? 4 : 0, 0xff), Buffer.alloc(payloadBytes, 0xff)])
}

const SIZES = [0, 1, 5, 125, 126, 127, 300, 65_535, 65_536, 70_000, 0, 2]

t.test('frames end where they end, of every length, with a mask and without', async t => {
  for (const isMasked of [true, false]) {
    const frames = SIZES.map(size => frame(size, isMasked))
    const ends = new FrameEnds()
    const bytes = Buffer.concat(frames)
    let at = 0
    for (const { length } of frames) {
      t.equal(ends.next(bytes, at), at + length)
      at += length
    }
    t.equal(at, bytes.length)
  }
})

t.test('wherever the bytes are cut, headers too, each piece ends with its frame or with the chunk', async t => {
  const frames = SIZES.map(size => frame(size))
  const all = Buffer.concat(frames)
  const wanted = new Set<number>()
  frames.reduce((at, { length }) => { wanted.add(at + length); return at + length }, 0)
  for (const step of [1, 2, 3, 7, 13, 1_000, 16_384]) {
    const ends = new FrameEnds()
    const found = new Set<number>()
    for (let from = 0; from < all.length; from += step) {
      const chunk = all.subarray(from, from + step)
      let at = 0
      while (at < chunk.length) {
        const end = ends.next(chunk, at)
        if (end <= at) return t.fail('it stands still')
        at = end
        found.add(from + at)
      }
    }
    t.same([...wanted].filter(end => !found.has(end)), [], `chunks of ${step} bytes: every end is found`)
    const surplus = [...found].filter(end => !wanted.has(end) && end % step !== 0 && end !== all.length)
    t.same(surplus, [], 'and no other')
  }
})
