import t from 'tap'
import type { TimeMs } from '../../broker/model/message.ts'
import { OwnTime, type ClockDoubt, type Mark } from '../../broker/system/own-time.ts'

const DAY = 86_400_000
const NOW = Date.UTC(2026, 5)

/** A machine whose clocks are set by hand. */
function machine (wall: number, sinceBoot = 10_000, boot: string | undefined = 'first') {
  return {
    wall,
    passed: sinceBoot,
    boot,
    wallNow () { return this.wall },
    sinceBoot () { return this.passed },
    after: () => () => {},
    /** Time passes. */
    pass (ms: number) { this.wall += ms; this.passed += ms }
  }
}

t.test('it begins with the wall clock and goes on with what passes', async t => {
  const source = machine(NOW)
  const time = new OwnTime(source)
  t.equal(time.now(), NOW)
  source.pass(5_000)
  t.equal(time.now(), NOW + 5_000)
  t.equal(time.takeJump(), 0)
  t.equal(time.wall(time.now()), source.wall)
})

t.test('a wall clock that is set, forward or back, is told once, and is not time that has passed', async t => {
  for (const byMs of [60 * DAY, -60 * DAY, 1_000, -1_000]) {
    const source = machine(NOW)
    const time = new OwnTime(source)
    const before = time.now()
    source.wall += byMs
    source.pass(100)
    t.equal(time.now(), before + 100)
    t.equal(time.takeJump(), byMs)
    t.equal(time.takeJump(), 0)
    t.equal(time.wall(before), before + byMs, 'what is shown follows')
  }
})

t.test('small steps are followed without a word, and do not add up to one', async t => {
  const source = machine(NOW)
  const time = new OwnTime(source)
  for (let n = 0; n < 100; n++) {
    source.wall += 400
    source.pass(1_000)
    t.equal(time.takeJump(), 0)
  }
  t.equal(time.now(), NOW + 100_000)
  t.equal(time.wall(time.now()), source.wall)
})

const OWN = (NOW - 100 * DAY) as TimeMs // the wall clock was set since the log was made
/** As it is written down, 10 s after the machine was started. */
const MARK: Mark = { own: OWN, wall: NOW, sinceBoot: 10_000, boot: 'first' }

type Restart = readonly [name: string, mark: Partial<Mark>, found: ReturnType<typeof machine>, downMs: number,
  doubt?: ClockDoubt]

const RESTARTS: readonly Restart[] = [
  ['the machine runs on: what its own clock says counts', {}, machine(NOW + DAY, 70_000), 60_000],
  ['it runs on, and the clock was set back meanwhile', {}, machine(NOW - DAY, 70_000), 60_000],
  ['it runs on with a clock that was never set', { wall: 5_000 }, machine(9_000, 70_000), 60_000],
  ['it runs on, and the clock was set for the first time', { wall: 5_000 }, machine(NOW, 11_000), 1_000],
  ['the machine was started anew: the wall clock counts', {}, machine(NOW + 2 * DAY, 99_000, 'next'), 2 * DAY],
  ['it is not known whether it was: the wall clock counts', { boot: undefined }, machine(NOW + DAY, 99_000, ''), DAY],
  ['its own clock is less far than it was', {}, machine(NOW + DAY, 5_000), DAY],
  ['a machine without a battery begins in 1970', {}, machine(20_000, 9_000, 'next'), 0, 'never-set'],
  ['the last one ran in 1970', { wall: 90_000 }, machine(NOW, 9_000, 'next'), 0, 'never-set'],
  ['a clock that is behind what was written is not believed', {}, machine(NOW - 1, 9_000, 'next'), 0, 'behind'],
  ['nor one that is weeks behind', {}, machine(NOW - 30 * DAY, 9_000, 'next'), 0, 'behind']
]

for (const [name, mark, source, downMs, doubt] of RESTARTS) {
  t.test(`over a restart: ${name}`, async t => {
    const { wall, passed } = source
    const time = new OwnTime(source)
    t.equal(time.resume({ ...MARK, ...mark }), doubt)
    t.equal(time.now(), OWN + downMs)
    t.equal(time.wall(time.now()), wall)
    t.equal(time.takeJump(), 0, 'what was set while nothing ran is no jump')

    source.wall += 400 * DAY // NTP
    source.pass(1_000)
    t.equal(time.takeJump(), 400 * DAY)
    t.equal(time.now(), OWN + downMs + 1_000, 'the jump that follows is not time away [G2]')
    t.match(time.mark(), { own: OWN + downMs + 1_000, wall: source.wall, sinceBoot: passed + 1_000 })
  })
}
