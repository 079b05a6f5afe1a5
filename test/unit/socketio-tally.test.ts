import t from 'tap'
import { Tally, TALLY_LOG_MS } from '../../bridge/socketio/tally.ts'
import { silent } from '../../broker/index.ts'
import { createManualClock } from '../helpers/manual-clock.ts'

t.test('[G6] what clients can make happen again and again is counted each time and logged once in a while', async t => {
  const clock = createManualClock(0)
  const lines: Array<{ fields: object, sentence: string }> = []
  const tally = new Tally(clock, { ...silent, warn: (fields, sentence) => { lines.push({ fields, sentence }) } })
  for (let i = 0; i < 5; i++) tally.note('liveOnly', { reason: String(i) }, 'do this')
  tally.note('notStored', {}, 'do that')
  t.same(lines, [
    { fields: { reason: '0', times: 1 }, sentence: 'do this' }, { fields: { times: 1 }, sentence: 'do that' }
  ])
  clock.advance(TALLY_LOG_MS)
  tally.note('liveOnly', { reason: '5' }, 'do this')
  t.same(lines.at(-1), { fields: { reason: '5', times: 5 }, sentence: 'do this' }, 'with those in between')
  t.match(tally.counts, { liveOnly: 6, notStored: 1 })
})
