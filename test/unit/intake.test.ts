/** What a connection sends is taken in turns; packets here are one byte each, and a unit each. */
import { PassThrough } from 'node:stream'
import t from 'tap'
import { Intake, TURN_UNITS, type Turn } from '../../broker/mqtt/intake.ts'

const turn = async (): Promise<void> => await new Promise((resolve) => { setImmediate(resolve) })

interface Scene {
  readonly stream: PassThrough
  readonly intake: Intake
  /** What was taken. */
  readonly taken: number[]
  /** Called with each packet. */
  onPacket: (turn: Turn) => void
  processed: number
}

function begin (): Scene {
  const stream = new PassThrough()
  const scene: Scene = {
    stream,
    taken: [],
    onPacket: () => {},
    processed: 0,
    intake: new Intake({
      stream,
      processed: () => scene.processed,
      take (chunk, turn) {
        let at = 0
        while (at < chunk.length && turn.left > 0 && !stream.destroyed) {
          turn.left--
          scene.taken.push(chunk[at++])
          scene.onPacket(turn)
        }
        return at
      }
    })
  }
  stream.on('readable', () => { scene.intake.readable() })
  return scene
}

/** Bytes that count up, so that each that is lost, repeated or out of place shows. */
function counting (length: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, i) => i % 251))
}

t.test('[G8] of a connection that floods one turn is taken, then others have theirs', async t => {
  const [flooder, other] = [begin(), begin()]
  const before: number[] = []
  other.onPacket = () => { before.push(flooder.taken.length) }
  flooder.stream.write(counting(50_000))
  other.stream.write(counting(1))
  for (let i = 1; i <= 20; i++) {
    await turn()
    t.ok(flooder.taken.length <= (i + 1) * TURN_UNITS, `turn ${i}: ${flooder.taken.length}`)
    other.stream.write(counting(1))
  }
  t.equal(other.taken.length, 20, 'the other had its turn each time')
  t.ok(before[0] <= TURN_UNITS)
})

t.test('[G8] connections that flood share: each has its turn before one has the next', async t => {
  const all = Array.from({ length: 5 }, begin)
  for (const { stream } of all) stream.write(counting(10_000))
  for (let i = 0; i < 10; i++) {
    await turn()
    const counts = all.map(({ taken }) => taken.length)
    t.ok(Math.max(...counts) - Math.min(...counts) <= TURN_UNITS, counts.join(' '))
  }
})

t.test('all of it is taken, in order, and the end comes behind it', async t => {
  const { stream, taken } = begin()
  const bytes = counting(40_000)
  let atEnd = -1
  const ended = new Promise<void>((resolve) => {
    stream.on('end', () => {
      atEnd = taken.length
      resolve()
    })
  })
  stream.write(bytes.subarray(0, 30_000))
  await turn()
  stream.end(bytes.subarray(30_000))
  await ended
  t.equal(atEnd, bytes.length)
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
  t.ok(written > 0 && taken.length > 20 * TURN_UNITS)
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

t.test('what waits goes with its connection', async t => {
  const scene = begin()
  scene.stream.write(counting(10_000))
  await turn()
  const { length } = scene.taken
  t.ok(length > 0 && length < 10_000)
  scene.stream.destroy()
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
