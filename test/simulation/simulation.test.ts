/**
 * The broker against its promise in simulated worlds. A failure prints its seed and how to replay it; add the seed to
 * seeds.ts with what it found. `HOLDFAST_SIMULATION_SEEDS` sets how many seeds run, from `HOLDFAST_SIMULATION_FROM`.
 */
import t from 'tap'
import { FAILED_SEEDS } from './seeds.ts'
import { simulate, type Outcome } from './world.ts'

const SEEDS = Number(process.env['HOLDFAST_SIMULATION_SEEDS'] ?? 1_000)
const FROM = Number(process.env['HOLDFAST_SIMULATION_FROM'] ?? 1)
const TIMEOUT_MS = 600_000
/** What the worlds of a run have to contain, or they prove nothing. */
const MUST_MEET = [
  'crash', 'graceful stop', 'cut', 'freeze', 'disk full', 'damaged', 'redelivery', 'session resumed',
  'session ended: expired', 'session ended: clean-connect', 'session ended: administrator', 'closed: taken-over',
  'closed: stalled', 'closed: shutdown', 'gap: backlog-messages', 'gap: backlog-bytes', 'gap: backlog-age',
  'gap: queue-full', 'published again', 'refused', 'sent at QoS 1', 'sent at QoS 2', 'unsubscribed', 'trimmed',
  'checked sessions', 'theft: SESSION_FOREIGN', 'ended amid a clean connect', 'retained', 'sent as retained',
  'recovered', 'not recovered', 'offset honoured', 'a wrong offset was shown', 'an older page came back',
  'client killed', 'will to be published', 'proven: handled', 'proven: received', 'proven: answered', 'set aside',
  'lost by a client that had received it', 'clock set', 'clock doubted: behind', 'clock doubted: never-set'
]

t.setTimeout(TIMEOUT_MS)

t.test('worlds that once broke the promise keep it [G1] [G2] [G3] [G4] [G5] [G6] [G7] [G8]', async t => {
  for (const [seed, found] of FAILED_SEEDS) t.equal(describe(await simulate(seed)), '', `seed ${seed}: ${found}`)
})

t.test(`the promise holds in ${SEEDS} simulated worlds [G1] [G2] [G3] [G4] [G5] [G6] [G7] [G8]`, async t => {
  const met = new Map<string, number>()
  let events = 0
  for (let seed = FROM; seed < FROM + SEEDS; seed++) {
    const outcome = await simulate(seed)
    events += outcome.events
    for (const [what, times] of outcome.counts) met.set(what, (met.get(what) ?? 0) + times)
    if (outcome.violation !== undefined) t.fail(describe(outcome))
  }
  t.comment(`${SEEDS} worlds, ${events} events, ${met.get('crash')} crashes, ${met.get('handled')} messages handled`)
  if (SEEDS < 1_000) return
  for (const what of MUST_MEET) t.ok((met.get(what) ?? 0) > 0, `the worlds meet "${what}"`)
})

t.test('a world is the same whenever its seed is run', async t => {
  const lines = async (): Promise<string[]> => {
    const trace: string[] = []
    await simulate(FROM + 7, line => { trace.push(line) })
    return trace
  }
  const first = await lines()
  t.ok(first.length > 100, 'something happens in it')
  t.same(await lines(), first)
})

function describe ({ seed, violation }: Outcome): string {
  if (violation === undefined) return ''
  return `[${violation.clause}] ${violation.text} (replay: npm run simulate -- --seed ${seed})`
}
