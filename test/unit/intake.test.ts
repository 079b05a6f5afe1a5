/** What a connection sends is taken in turns; packets here are one byte each, and a unit each. */
import { PassThrough } from 'node:stream'
import t from 'tap'
import { Intake } from '../../broker/system/intake.ts'
import { ROUND_UNITS, Turns, type Turn } from '../../broker/system/turns.ts'

const turn = async (): Promise<void> => await new Promise((resolve) => { setImmediate(resolve) })

interface Scene {
  readonly stream: PassThrough
  readonly intake: Intake
  /** What was taken. */
  readonly taken: number[]
  /** Called with each packet. */
  onPacket: (turn: Turn) => void
  processed: number
  /** How much was taken when the intake said that it is over; once. */
  readonly over: number[]
}

function begin (turns = new Turns()): Scene {
  const stream = new PassThrough()
  const scene: Scene = {
    stream,
    taken: [],
    over: [],
    onPacket: () => {},
    processed: 0,
    intake: new Intake({
      stream,
      processed: () => scene.processed,
      over: () => { scene.over.push(scene.taken.length) },
      take (chunk, turn) {
        let at = 0
        while (at < chunk.length && turn.left > 0) {
          turn.left--
          scene.taken.push(chunk[at++])
          scene.onPacket(turn)
        }
        return at
      }
    }, turns)
  }
  stream.on('readable', () => { scene.intake.readable() })
  for (const end of ['end', 'close']) stream.on(end, () => { scene.intake.end() })
  return scene
}

/** Bytes that count up, so that each that is lost, repeated or out of place shows. */
function counting (length: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, i) => i % 251))
}

t.test('[G8] of a connection that floods one turn is taken, then others have theirs', async t => {
  const turns = new Turns()
  const [flooder, other] = [begin(turns), begin(turns)]
  const before: number[] = []
  other.onPacket = () => { before.push(flooder.taken.length) }
  flooder.stream.write(counting(50_000))
  other.stream.write(counting(1))
  for (let i = 1; i <= 20; i++) {
    await turn()
    t.ok(flooder.taken.length <= (i + 1) * ROUND_UNITS, `turn ${i}: ${flooder.taken.length}`)
    other.stream.write(counting(1))
  }
  t.equal(other.taken.length, 20, 'the other had its turn each time')
  t.ok(before[0] <= ROUND_UNITS)
})

t.test('[G8] connections that flood share: each has its turn before one has the next', async t => {
  const turns = new Turns()
  const all = Array.from({ length: 5 }, () => begin(turns))
  for (const { stream } of all) stream.write(counting(10_000))
  for (let i = 0; i < 10; i++) {
    await turn()
    const counts = all.map(({ taken }) => taken.length)
    t.ok(Math.max(...counts) - Math.min(...counts) <= ROUND_UNITS, counts.join(' '))
  }
})

t.test('all of it is taken, in order, and the end comes behind it', async t => {
  const { stream, taken, over } = begin()
  const bytes = counting(40_000)
  stream.write(bytes.subarray(0, 30_000))
  await turn()
  stream.end(bytes.subarray(30_000))
  for (let i = 0; i < 40_000 / ROUND_UNITS + 5; i++) await turn()
  t.same(over, [bytes.length])
  t.ok(Buffer.from(taken).equals(bytes))
})

t.test('[G6] what waits is bounded: the stream is not read on while it has bytes that had to wait', async t => {
  const { stream, taken } = begin()
  let most = 0
  let written = 0
  for (let i = 0; i < 100; i++) {
    while (!stream.writableNeedDrain) {
      stream.write(counting(16_384))
      written += 16_384
    }
    await turn()
    most = Math.max(most, stream.readableLength)
  }
  t.ok(written > 0 && taken.length > 20 * ROUND_UNITS)
  t.ok(most <= 4 * stream.readableHighWaterMark, `${most} bytes at most`)
})

t.test('[G6] paused, nothing more is taken, not even what was read; resumed, it goes on in a later turn', async t => {
  const { stream, intake, taken, ...scene } = begin()
  stream.write(counting(1_000))
  await turn()
  intake.pause()
  const { length } = taken
  for (let i = 0; i < 5; i++) await turn()
  t.equal(taken.length, length)
  intake.resume()
  t.equal(taken.length, length, 'not at once: others are first')
  for (let i = 0; i < 5; i++) await turn()
  t.ok(Buffer.from(taken).equals(counting(1_000)))
  t.equal(scene.processed, 0)
})

t.test('paused in the middle of what was read, the rest waits; stopped, nobody resumes it', async t => {
  const scene = begin()
  scene.onPacket = () => { if (scene.taken.length === 10) scene.intake.pause() }
  scene.stream.write(counting(100))
  await turn()
  t.equal(scene.taken.length, 10)
  scene.intake.resume()
  await turn()
  await turn()
  t.ok(Buffer.from(scene.taken).equals(counting(100)))
  scene.intake.stop()
  scene.intake.resume()
  scene.stream.write(counting(100))
  for (let i = 0; i < 5; i++) await turn()
  t.equal(scene.taken.length, 100)
})

t.test('[G6] while the engine has too much in process nothing is taken, and then it goes on', async t => {
  const scene = begin()
  scene.processed = 1_000
  scene.stream.write(counting(100))
  await turn()
  t.equal(scene.taken.length, 0)
  scene.intake.processedOne()
  await turn()
  t.equal(scene.taken.length, 0, 'it still has')
  scene.processed = 0
  scene.intake.processedOne()
  await turn()
  t.equal(scene.taken.length, 100)
})

t.test('[G2] what was received before the connection broke is taken; the end comes behind it', async t => {
  const { stream, intake, taken, over } = begin()
  stream.write(counting(10_000))
  await turn()
  t.ok(taken.length > 0 && taken.length < 10_000)
  intake.pause()
  stream.destroy()
  for (let i = 0; i < 5; i++) await turn()
  t.same(over, [])
  intake.resume()
  for (let i = 0; i < 10_000 / ROUND_UNITS + 5; i++) await turn()
  t.ok(Buffer.from(taken).equals(counting(10_000)))
  t.same(over, [10_000])
})

t.test('stopped, what waits is gone, and the end comes at once, whichever comes first', async t => {
  for (const how of ['stopped, then gone', 'gone, then stopped']) {
    const { stream, intake, taken, over } = begin()
    stream.write(counting(10_000))
    await turn()
    const { length } = taken
    if (how === 'stopped, then gone') intake.stop()
    stream.destroy()
    await new Promise<void>((resolve) => { stream.once('close', resolve) })
    if (how === 'gone, then stopped') intake.stop()
    for (let i = 0; i < 5; i++) await turn()
    t.same([over.length, taken.length < 10_000], [1, true], how)
    t.ok(taken.length <= length + 2 * ROUND_UNITS, how)
  }
})

t.test('[G6] what nobody asks for any more is not taken', async t => {
  const scene = begin()
  scene.stream.write(counting(10_000))
  await turn()
  const { length } = scene.taken
  t.ok(length > 0 && length < 10_000)
  scene.intake.stop()
  for (let i = 0; i < 5; i++) await turn()
  t.equal(scene.taken.length, length)
})

t.test('what is taken may make room for itself in the same step', async t => {
  const scene = begin()
  scene.onPacket = () => {
    if (scene.taken.length % 7 !== 0) return
    scene.intake.pause()
    scene.intake.resume()
  }
  scene.stream.write(counting(700))
  for (let i = 0; i < 200; i++) await turn()
  t.ok(Buffer.from(scene.taken).equals(counting(700)))
})
