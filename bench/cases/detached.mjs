/**
 * What a message costs to write when 10,000 sessions that are away want it. Nobody reads meanwhile, so what is written
 * is the log and 4 bytes of receipt.
 */
import { writingEnds, writtenBytes } from '../machine.mjs'
import { median } from '../statistics.mjs'

const MESSAGES = 50_000
const PUBLISHERS = 4
const SESSIONS = [0, 1, 10_000]
/** Sessions that come back at the end, so that it is known that the messages were kept. */
const CHECKED = 5
const GROWTH_MAX = 1.2

export const detached = {
  name: 'detached',
  kind: 'property',
  async run (bench, [holdfast]) {
    const results = new Map(SESSIONS.map((count) => [count, []]))
    for (let round = 1; round <= bench.rounds; round++) {
      for (const count of SESSIONS) {
        await bench.attempt(`detached, ${count} sessions, round ${round}`, async () => {
          const measured = await bench.withServer(holdfast, {},
            (server) => once(bench, server, count > 1 ? bench.size(count) : count))
          results.get(count).push(measured)
          return measured
        })
      }
    }
    const of = (count, key) => median(results.get(count).map((one) => one[key]))
    const rows = SESSIONS.filter((count) => results.get(count).length > 0).map((count) => ({
      what: `bytes written a message, detached sessions on its topic: ${of(count, 'sessions').toLocaleString('en')}`,
      value: `${Math.round(of(count, 'bytesPerMessage')).toLocaleString('en')} bytes at ` +
        `${Math.round(of(count, 'rate')).toLocaleString('en')} msg/s`
    }))
    const [, one, many] = SESSIONS
    if (rows.length === SESSIONS.length) {
      const growth = of(many, 'bytesPerMessage') / of(one, 'bytesPerMessage')
      const last = rows.at(-1)
      last.value += ` (${growth.toFixed(2)} x)`
      last.goal = `at most ${GROWTH_MAX} x the bytes of one session`
      last.met = growth <= GROWTH_MAX
    }
    return { rows, checked: new Map([['holdfast', [...results.values()].flat()]]) }
  }
}

async function once (bench, { port, pid }, count) {
  await bench.load({ role: 'sessions', port, prefix: 'away-', count, filters: ['news'] })
  await writingEnds(pid)
  const messages = bench.size(MESSAGES, PUBLISHERS)
  const before = writtenBytes(pid)
  const { rate, acked } = await bench.load(
    { role: 'publish', port, publishers: PUBLISHERS, messages, topics: ['news'] })
  const bytesPerMessage = (writtenBytes(pid) - before) / acked
  const checked = Math.min(CHECKED, count)
  const clientIds = Array.from({ length: checked }, (_, i) => `away-${Math.floor(i * count / checked)}`)
  const seen = await bench.load({
    role: 'drain', port, clientIds, publishers: PUBLISHERS, each: Math.floor(messages / PUBLISHERS)
  })
  return { ...seen, sessions: count, rate, bytesPerMessage }
}
