/** What is refused: counted each time, told once in a while, and by nobody's doing more often than that. */
import t from 'tap'
import { silent } from '../../broker/system/logger.ts'
import {
  REFUSAL_KINDS, Refusals, TOLD_BY_ADDRESS_MAX, TOLD_BY_KIND_MAX, TOLD_PAUSE_MS, toDoAbout, type Refusal
} from '../../broker/system/refusals.ts'
import { SeldomEach } from '../../broker/system/seldom.ts'
import { createManualClock } from '../helpers/manual-clock.ts'

type Line = Record<string, unknown>

const WHO = { remoteAddress: '::1', clientId: 'c' }

function setUp () {
  const clock = createManualClock(0)
  const lines: Line[] = []
  const warn = (fields: object, sentence: string): void => { lines.push({ ...fields, sentence }) }
  const refusals = new Refusals({ clock, log: { ...silent, warn } })
  const note = (change: Partial<Refusal> = {}): void => refusals.note({
    kind: 'filters', who: WHO, what: 'a thing was refused', toDo: 'do this', ...change
  })
  return { clock, lines, refusals, note }
}

t.test('a refusal is counted by kind, and told with who, what, what to do, and how often', async t => {
  const { clock, lines, refusals, note } = setUp()
  for (let i = 0; i < 5; i++) note({ about: { topic: `t${i}`, none: undefined } })
  note({ kind: 'paths' })
  t.same(lines, [
    { refused: 'filters', ...WHO, topic: 't0', times: 1, count: 1, sentence: 'a thing was refused; do this' },
    { refused: 'paths', ...WHO, times: 1, count: 1, sentence: 'a thing was refused; do this' }
  ])
  clock.advance(TOLD_PAUSE_MS)
  note()
  t.match(lines.at(-1), { times: 5, count: 6 }, 'with those in between')
  t.same(refusals.counts, { ...Object.fromEntries(REFUSAL_KINDS.map(kind => [kind, 0])), filters: 6, paths: 1 })
})

t.test('another client and another reason have lines of their own', async t => {
  const { lines, note } = setUp()
  for (let i = 0; i < 2; i++) {
    note()
    note({ sameAs: 'CODE' })
    note({ who: { remoteAddress: '::1', clientId: 'd' } })
    note({ who: { remoteAddress: '::2', clientId: 'c' } })
  }
  t.equal(lines.length, 4)
})

t.test('[G8] an address, or all of them, write so many lines of a kind in a while, and hide no other kind', async t => {
  const { clock, lines, refusals, note } = setUp()
  for (let i = 0; i < 1_000; i++) note({ who: { remoteAddress: '::1', clientId: `made-up-${i}` } })
  t.equal(lines.length, TOLD_BY_ADDRESS_MAX)
  note({ who: { remoteAddress: '::2' } })
  t.equal(lines.length, TOLD_BY_ADDRESS_MAX + 1, 'others are told of all the same')
  for (let i = 0; i < 1_000; i++) note({ who: { remoteAddress: `::${i + 3}` } })
  t.equal(lines.length, TOLD_BY_KIND_MAX)
  note({ kind: 'wills' })
  t.equal(lines.length, TOLD_BY_KIND_MAX + 1)
  t.match(refusals.counts, { filters: 2_001, wills: 1 })
  clock.advance(TOLD_PAUSE_MS)
  note({ who: { remoteAddress: '::999' } })
  t.match(lines.at(-1), { remoteAddress: '::999', count: 2_002 })
})

t.test('[G6] a bounded number is known, and a clock that goes back silences none', async t => {
  const clock = createManualClock(1_000)
  const each = new SeldomEach(clock, 100, 3)
  for (let i = 0; i < 50; i++) t.equal(each.happened(String(i), []), 1)
  t.equal(each.size, 3)
  t.equal(each.happened('49', []), 0)
  clock.advance(-500)
  t.equal(each.happened('49', [{ name: 'g', toldMax: 1 }]), 2)
  t.equal(each.happened('50', [{ name: 'g', toldMax: 1 }]), 0)
})

t.test('[G8] nothing from the wire ends a line, turns it around or makes it long', async t => {
  const { lines, note } = setUp()
  const clientId = 'a\n{"level":50}\u001b[2J\u0000\u202e\u2028\u0085\ud800'
  note({ who: { remoteAddress: '::1', clientId }, about: { topic: 'x'.repeat(100_000) } })
  const [{ clientId: shown, topic }] = lines
  t.equal(shown, 'a\\u{a}{"level":50}\\u{1b}[2J\\u{0}\\u{202e}\\u{2028}\\u{85}\\u{d800}')
  t.ok(String(topic).length < 400)
})

t.test('what to do is known by code, and an unknown one finds no property of an object', async t => {
  t.match(toDoAbout('FILTERS_FULL'), /filtersPerSessionMax/)
  for (const code of ['constructor', '__proto__', 'NO_SUCH']) t.equal(toDoAbout(code), 'see docs/errors.md')
})
