/** When was which offset the last? Asked for "what came certainly before". */
import t from 'tap'
import { Timeline } from '../../broker/log/timeline.ts'
import type { Offset, TimeMs } from '../../broker/model/message.ts'
import { chooseSeed, createRandom } from '../helpers/random.ts'

const STEP_MS = 1_000
const before = (timeline: Timeline, time: number): number => timeline.before(time as TimeMs)

t.test('an empty one knows nothing', async t => {
  t.equal(before(new Timeline(), 1e15), 0)
})

t.test('[G6] what it calls old is old; what is older by two steps is called old', async t => {
  const random = createRandom(chooseSeed())
  t.comment(`seed ${random.seed}`)
  const timeline = new Timeline()
  const entries: Array<{ offset: number, time: number }> = []
  let time = 1_000_000
  for (let offset = 1; offset <= 5_000; offset++) {
    time += random.int(700)
    timeline.note(offset as Offset, time)
    entries.push({ offset, time })
    const asked = random.between(1_000_000 - STEP_MS, time + 3 * STEP_MS)
    const answer = before(timeline, asked)
    const young = entries.findIndex((one) => one.time >= asked)
    if (young !== -1 && answer >= entries[young].offset) {
      t.fail(`${answer} is not before ${asked}`)
      return
    }
    const old = entries.filter((one) => one.time + 2 * STEP_MS <= asked).at(-1)?.offset ?? 0
    if (answer < old) {
      t.fail(`${old} is older than ${asked} by two steps, ${answer} was the answer`)
      return
    }
  }
  t.pass()
})

t.test('a clock that jumps back makes nothing older than it is', async t => {
  const timeline = new Timeline()
  timeline.note(1 as Offset, 100_000)
  timeline.note(2 as Offset, 50_000)
  timeline.note(3 as Offset, 50_500)
  t.equal(before(timeline, 99_999), 0)
  t.equal(before(timeline, 102_000), 3)
})

t.test('[G6] what nobody asks for any more is forgotten, the rest answers as before', async t => {
  const timeline = new Timeline()
  for (let i = 1; i <= 10_000; i++) timeline.note(i as Offset, i * STEP_MS)
  const asked = [9_000, 9_500, 10_500].map((second) => second * STEP_MS)
  const answers = asked.map((time) => before(timeline, time))
  timeline.forgetBefore((9_000 * STEP_MS) as TimeMs)
  t.same(asked.map((time) => before(timeline, time)), answers)
  t.ok(before(timeline, 5_000 * STEP_MS) < 5_001)
})
