/** [G8]: what a session that drains 100,000 messages and a frozen one cost those that have nothing to do with them. */
import { setTimeout as sleep } from 'node:timers/promises'
import { PAYLOAD_BYTES, periodOf, WINDOW_MESSAGES } from '../bench.mjs'
import { startLoad } from '../processes.mjs'
import { median } from '../statistics.mjs'

const BACKLOG_MESSAGES = 100_000
const PER_SECOND = 10_000
const PAIRS = 20
const WARM_UP_MS = 1_500
const QUIET_MS = 2_500
/** A drain may be over in a moment, or be held up by the frozen session for minutes. */
const BUSY_MS_MIN = 500
const BUSY_MS_MAX = 12_000
const SECONDS_MAX = 40
const RATIO_MAX = 2
/** The drain gives way to the traffic on the core that they share: what is measured is the server. */
const DRAIN_NICE = 10

export const bystanders = {
  name: 'bystanders',
  kind: 'property',
  async run (bench, peers) {
    // a peer that does not reach the rate on its own has no latency to speak of
    const able = peers.filter(({ scale }) => scale === 1)
    const results = await bench.alternate('bystanders', able, ({ port }) => once(bench, port), { once: true })
    const rows = able.filter(({ name }) => results.get(name).length > 0).map(({ name, title }) => {
      const of = (key) => median(results.get(name).map((one) => one[key]))
      const isOurs = name === 'holdfast'
      return {
        what: `p99 latency of 10,000 msg/s while one session drains ${of('backlog').toLocaleString('en')} and one ` +
          `is frozen: ${title}${isOurs ? '' : ' (one run)'}`,
        value: `${of('busyP99Ms').toFixed(1)} ms, without ${of('quietP99Ms').toFixed(1)} ms: ` +
          `${of('ratio').toFixed(2)} x`,
        ...(isOurs ? { goal: `at most ${RATIO_MAX} x`, met: of('ratio') <= RATIO_MAX } : {})
      }
    })
    return { rows, checked: results }
  }
}

async function once (bench, port) {
  const backlog = bench.size(BACKLOG_MESSAGES)
  await bench.load({ role: 'sessions', port, prefix: 'drained-', count: 1, filters: ['busy'] })
  await bench.load({ role: 'sessions', port, prefix: 'frozen-', count: 1, filters: ['busy', 'traffic/+'] })
  await bench.load({ role: 'publish', port, publishers: 1, messages: backlog, windowMessages: 200, topics: ['busy'] })
  const traffic = startLoad({
    role: 'traffic',
    port,
    pairs: PAIRS,
    perSecond: PER_SECOND,
    secondsMax: SECONDS_MAX,
    windowMessages: WINDOW_MESSAGES,
    payloadBytes: PAYLOAD_BYTES
  })
  const frozen = { stop: () => {} }
  try {
    await traffic.ready
    await sleep(WARM_UP_MS)
    traffic.tell('quiet')
    await sleep(QUIET_MS)
    traffic.tell('starting') // connecting the two is not the question
    const freezing = startLoad({ role: 'freeze', port, clientId: 'frozen-0' })
    frozen.stop = () => freezing.kill()
    await freezing.ready
    traffic.tell('busy')
    const busy = sleep(BUSY_MS_MIN)
    const drained = await startLoad({
      role: 'drain', port, clientIds: ['drained-0'], publishers: 1, each: backlog, msMax: BUSY_MS_MAX
    }, { nice: DRAIN_NICE }).result
    await busy
    traffic.tell('end')
    const { periods, ...seen } = await traffic.result
    const period = (word) => periodOf(periods, word)
    const quietP99Ms = period('quiet').p99Ms
    const busyP99Ms = period('busy').p99Ms
    return {
      quietP99Ms,
      busyP99Ms,
      ratio: busyP99Ms / quietP99Ms,
      quietP50Ms: period('quiet').p50Ms,
      busyP50Ms: period('busy').p50Ms,
      busyMessages: period('busy').messages,
      backlog,
      drained: drained.received,
      drainRate: drained.rate,
      expected: seen.expected + drained.expected,
      received: seen.received + drained.received,
      lost: seen.lost + drained.lost,
      duplicates: seen.duplicates + drained.duplicates,
      outOfOrder: seen.outOfOrder + drained.outOfOrder
    }
  } finally {
    frozen.stop()
    traffic.kill()
  }
}
