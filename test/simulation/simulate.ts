/**
 * `npm run simulate -- --seed N` replays one world and tells what happens in it; `--seeds N` runs many, from `--from`.
 * Exit code 1 where a promise was broken.
 */
import { parseArgs } from 'node:util'
import { simulate, type Outcome } from './world.ts'

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string', default: '200' },
    from: { type: 'string', default: '1' },
    quiet: { type: 'boolean', default: false },
    /** Goes on after a failure, and counts. */
    all: { type: 'boolean', default: false }
  }
})

if (values.seed === undefined) await runMany(whole('from', values.from), whole('seeds', values.seeds))
else await runOne(whole('seed', values.seed))

async function runOne (seed: number): Promise<void> {
  const outcome = await simulate(seed, values.quiet ? undefined : line => { console.log(line) })
  report(outcome)
}

async function runMany (from: number, count: number): Promise<void> {
  const startedMs = performance.now()
  const totals = new Map<string, number>()
  const failures = new Map<string, number>()
  let events = 0
  for (let seed = from; seed < from + count; seed++) {
    const outcome = await simulate(seed)
    events += outcome.events
    for (const [what, times] of outcome.counts) totals.set(what, (totals.get(what) ?? 0) + times)
    if (outcome.violation === undefined) continue
    report(outcome)
    console.log(`  replay: npm run simulate -- --seed ${seed}`)
    const kind = outcome.violation.clause
    failures.set(kind, (failures.get(kind) ?? 0) + 1)
    if (!values.all) break
  }
  const seconds = (performance.now() - startedMs) / 1_000
  console.log(`${events} events in ${seconds.toFixed(1)} s`)
  console.log([...totals].sort().map(([what, times]) => `${what}: ${times}`).join(', '))
  if (failures.size > 0) console.log(`failed: ${[...failures].map(([kind, times]) => `${kind} ${times}`).join(', ')}`)
  else console.log(`seeds ${from} to ${from + count - 1}: every promise held`)
}

function report ({ seed, violation, events, elapsedMs }: Outcome): void {
  if (violation === undefined) {
    console.log(`seed ${seed}: every promise held (${events} events, ${Math.round(elapsedMs)} ms of virtual time)`)
    return
  }
  process.exitCode = 1
  console.log(`seed ${seed}: [${violation.clause}] after ${violation.atMs.toFixed(0)} ms: ${violation.text}`)
}

function whole (name: string, text: string): number {
  const value = Number(text)
  if (Number.isSafeInteger(value) && value >= 0) return value
  console.error(`--${name} ${text}: a whole number, please`)
  process.exit(2)
}
