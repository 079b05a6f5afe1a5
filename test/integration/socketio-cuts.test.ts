/**
 * The part of the proof (test/proof, docs/proof.md) that runs with all tests: every client version over every
 * transport, every way to cut, and a server that is killed or stopped meanwhile, at least once each. It runs as the
 * command does, in a process of its own, because clients can end a process by their own faults.
 * Repeat a run with HOLDFAST_TEST_SEED=N.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { CUTS } from '../proof/cuts.ts'
import { fewCells } from '../proof/matrix.ts'
import { MEANWHILES, nameOf } from '../proof/row.ts'
import { summary, type Counted } from '../proof/tell.ts'
import { chooseSeed } from '../helpers/random.ts'
import { TRANSPORTS, VERSIONS } from '../helpers/socketio-clients.ts'
import { tempFolder } from '../helpers/temp.ts'

const PROGRAM = fileURLToPath(new URL('../proof/run.mjs', import.meta.url))

t.test('[G1] [G2] [G3] [G4] unmodified clients lose nothing, in order, whatever is cut, killed or stopped', async t => {
  const seed = chooseSeed()
  t.comment(`seed ${seed}`)
  const file = join(tempFolder(t, 'proof'), 'counted.json')
  const child = spawn(process.execPath, [PROGRAM, '--few', '--seed', String(seed), '--json', file],
    { stdio: ['ignore', 'ignore', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  await once(child, 'close')
  const counted = JSON.parse(readFileSync(file, 'utf8')) as Counted
  t.comment(summary(counted))
  for (const row of counted.rows) {
    t.same(row.problems, [], nameOf(row))
    t.ok(row.expected > 0, `${nameOf(row)}: ${row.expected} messages got a receipt`)
  }
  t.equal(counted.rows.length, fewCells().length)
  t.ok(counted.rows.some(({ recovered }) => recovered > 0), 'some were recovered')
})

t.test('the part of the proof that runs here holds every version, transport, cut and kind of server', async t => {
  const cells = fewCells()
  const has = (what: readonly string[], of: (cell: typeof cells[number]) => string): void => {
    t.same([...new Set(cells.map(of))].sort(), [...what].sort())
  }
  has(VERSIONS, ({ version }) => version)
  has(Object.keys(TRANSPORTS), ({ transport }) => transport)
  has(CUTS.map(({ name }) => name), ({ cut }) => cut)
  has(MEANWHILES, ({ meanwhile }) => meanwhile)
  t.equal(new Set(cells.map(({ version, transport }) => `${version}/${transport}`)).size, 18)
})
