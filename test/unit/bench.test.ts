import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'

interface TallyLike { see (publisher: number, sequence: number): boolean }
interface Verdict { expected: number, received: number, lost: number, duplicates: number, outOfOrder: number }
interface Run { rate: number, lost: number, duplicates: number, outOfOrder: number }
interface Peer { name: string, title: string, receipt: string }
interface Case { kind: string, work: string, unit: string, goals: Record<string, number>, results: Map<string, Run[]> }
interface Summary { ratio: number | undefined, met: boolean | undefined, isSound: boolean }
interface Row { name: string, ms: number, share: number }

/** The benchmarks are plain JavaScript: what the tests use of them is written down here. */
async function load<T> (file: string): Promise<T> {
  return await import(new URL(`../../bench/${file}`, import.meta.url).href) as T
}

t.test('the benchmark counts what is lost, seen twice and seen too late, each once', async t => {
  const { Tally, verdict } = await load<{
    Tally: new (messages: number) => TallyLike
    verdict (tallies: TallyLike[], expected: number): Verdict
  }>('load/tally.mjs')
  const tally = new Tally(6)
  const first = [0, 1, 3, 2, 3, 5].map(sequence => tally.see(7, sequence))
  t.same(first, [true, true, true, true, false, true])
  tally.see(8, 0)
  t.same(verdict([tally], 12), { expected: 12, received: 6, lost: 6, duplicates: 1, outOfOrder: 1 })
})

t.test('the benchmark judges a goal by the ratio of medians, and marks a rate that is not sound', async t => {
  const { summarize, markdown } = await load<{
    summarize (one: Case, peers: Peer[]): Summary[]
    markdown (report: object): string
  }>('table.mjs')
  const peers = ['holdfast', 'fast', 'lossy'].map(name => ({ name, title: name, receipt: 'r', protocols: ['mqtt'] }))
  const run = (rate: number, lost = 0): Run => ({ rate, lost, duplicates: 0, outOfOrder: 0 })
  const one: Case = {
    kind: 'throughput',
    work: 'work',
    unit: 'msg/s',
    goals: { fast: 0.9, lossy: 0.1 },
    results: new Map([
      ['holdfast', [run(100), run(1), run(80)]],
      ['fast', [run(100), run(1), run(300)]],
      ['lossy', [run(400), run(400, 3), run(400)]]
    ])
  }
  const [ours, fast, lossy] = summarize(one, peers)
  t.equal(ours.ratio, undefined)
  t.match(fast, { ratio: 0.8, met: false, isSound: true })
  t.match(lossy, { ratio: 0.2, met: true, isSound: false })
  const machine = { processor: 'p', cores: 2, memoryBytes: 2 ** 30, system: 's', node: 'v', isPinned: true,
    syncP50Ms: 1, syncP99Ms: 2 }
  const text = markdown({
    machine,
    command: 'npm run bench',
    when: '2000-01-01',
    minutes: '1.0',
    rounds: 3,
    peers,
    absent: [{ title: 'gone', why: 'gone is not installed' }],
    cases: [one],
    failures: []
  })
  t.match(text, '| work, msg/s | 80 | 100 (0.80 x) | 400 (0.20 x) **not sound** |')
  t.match(text, 'not run: gone is not installed')
})

t.test('the benchmark replaces what is between its markers, and nothing else', async t => {
  const { writeBetweenMarkers } = await load<{ writeBetweenMarkers (file: string, text: string): void }>('table.mjs')
  const file = join(t.testdir(), 'performance.md')
  writeFileSync(file, 'before\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nafter\n')
  writeBetweenMarkers(file, 'new\n')
  writeBetweenMarkers(file, 'newer\n')
  t.equal(readFileSync(file, 'utf8'), 'before\n<!-- bench:begin -->\n\nnewer\n\n<!-- bench:end -->\nafter\n')
  writeFileSync(file, 'no markers\n')
  t.throws(() => writeBetweenMarkers(file, 'new\n'), { message: /performance\.md has no .*bench:begin/ })
})

t.test('a profile is summed by function and by place, without the time that was idle', async t => {
  const { byFunction, byPlace } = await load<Record<'byFunction' | 'byPlace', (profile: object) => Row[]>>(
    'self-times.mjs')
  const node = (id: number, functionName: string, url: string): object => (
    { id, callFrame: { functionName, url, lineNumber: 9 } })
  const profile = {
    nodes: [
      node(1, '(idle)', ''), node(2, 'put', 'file:///x/node_modules/lmdb/write.js'),
      node(3, 'send', 'file:///x/dist/broker/session/follower.js'),
      node(4, 'send', 'file:///x/dist/broker/session/a.js')
    ],
    samples: [1, 2, 3, 4, 1],
    timeDeltas: [5_000, 2_000, 1_000, 1_000, 90_000]
  }
  t.same(byFunction(profile)[0], { name: 'put  lmdb/write.js:10', ms: 2, share: 0.5 })
  t.same(byPlace(profile).map(({ name, share }) => [name, share]), [['lmdb', 0.5], ['dist/broker/session', 0.5]])
})
