/** What the server counts of its own work. */
import t from 'tap'
import { LogOrder } from '../../broker/log/log-order.ts'
import { ageOf, Timeline } from '../../broker/log/timeline.ts'
import type { Offset, TimeMs } from '../../broker/model/message.ts'
import { Histogram } from '../../broker/system/histogram.ts'
import { CARRIERS, Meters } from '../../broker/system/meters.ts'
import { createManualClock } from '../helpers/manual-clock.ts'

t.test('a histogram counts each duration once, at the smallest bound that holds it, and all in its sum', async t => {
  const histogram = new Histogram()
  for (const ms of [0, 0.1, 0.11, 1, 10_000, 10_001]) histogram.note(ms)
  histogram.note(2, 3)
  const at = (seconds: number): number => histogram.counts[histogram.bounds.indexOf(seconds)]
  t.equal(at(0.0001), 2, 'a bound belongs to what is below it')
  t.equal(at(0.00025), 1)
  t.equal(at(0.001), 1)
  t.equal(at(0.0025), 3)
  t.equal(at(10), 1)
  t.equal(histogram.counts.at(-1), 1, 'beyond all bounds')
  t.equal(histogram.counts.reduce((sum, one) => sum + one), 9)
  t.equal(Math.round(histogram.sumSeconds * 1e5), 2_000_821)
})

t.test('every way in counts by itself and by QoS', async t => {
  const meters = new Meters()
  for (const carrier of CARRIERS) meters.cameIn(carrier, 1)
  meters.cameIn('socketio', 0)
  t.same(meters.received.socketio, [1, 1, 0])
  t.same(meters.received.mqtt, [0, 1, 0])
  t.same(meters.delivered.mqtt, [0, 0, 0])
})

t.test('the oldest message of the log is found behind those that are gone, and its age to the second', async t => {
  const order = new LogOrder<string>()
  const timeline = new Timeline()
  const clock = createManualClock(0)
  t.equal(order.first, undefined)
  t.equal(ageOf(order.first, timeline, clock), 0)
  for (let offset = 1; offset <= 300; offset++) {
    order.append(offset as Offset, 'a')
    timeline.note(offset as Offset, offset * 1_000)
  }
  clock.advance(300_000)
  t.equal(order.first, 1)
  t.equal(ageOf(order.first, timeline, clock), 299_000)
  for (let offset = 1; offset < 200; offset++) order.remove(offset as Offset)
  t.equal(order.first, 200)
  t.equal(ageOf(order.first, timeline, clock), 100_000)
  t.equal(timeline.timeOf(1 as Offset), 1_000 as TimeMs)
  t.equal(timeline.timeOf(301 as Offset), undefined)
})
