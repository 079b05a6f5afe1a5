/** Topic names that are known by their bytes are the same as decoded ones. */
import t from 'tap'
import { TopicReader } from '../../broker/mqtt/wire/topic-reader.ts'
import { chooseSeed, createRandom } from '../helpers/random.ts'

const TOPICS = ['a', 'b', 'a/1', 'a/2', 'ä', 'ab', '日本/語', 'x'.repeat(256), 'x'.repeat(257), `${'x'.repeat(255)}y`, '']

t.test('whatever came before, a topic is read as its bytes say', async t => {
  const random = createRandom(chooseSeed())
  t.comment(`seed ${random.seed}`)
  const reader = new TopicReader()
  for (let round = 0; round < 5_000; round++) {
    const topic = random.pick(TOPICS)
    const chunk = Buffer.from(`<${topic}>`)
    const read = reader.read(chunk, 1, chunk.length - 1)
    if (read !== topic) t.equal(read, topic)
    chunk.fill(0x7a) // the socket's buffer is used again
  }
  t.pass()
})

t.test('a topic that comes again is one string, however many messages wait', async t => {
  const decoded: string[] = []
  const chunk = Object.assign(Buffer.from('sensors/1sensors/1sensors/2'), {
    toString (encoding: BufferEncoding, from: number, to: number) {
      const text = Buffer.from(chunk).toString(encoding, from, to)
      decoded.push(text)
      return text
    }
  })
  const reader = new TopicReader()
  t.same([0, 9, 18].map(from => reader.read(chunk, from, from + 9)), ['sensors/1', 'sensors/1', 'sensors/2'])
  t.same(decoded, ['sensors/1', 'sensors/2'])
})
