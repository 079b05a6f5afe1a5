/**
 * `npm run proof`: every client version over every transport, with every way to cut, and docs/proof.md from what was
 * counted. With --only or --quick nothing is written. `npm run proof -- --help` has the options.
 */
import { parseArgs } from 'node:util'
import { chooseSeed } from '../helpers/random.ts'
import type { Scope } from '../helpers/temp.ts'
import { allCells, runMatrix } from './matrix.ts'
import { nameOf, type Row } from './row.ts'

const HELP = `npm run proof -- [options]
  --only NAME        only cells whose name has this in it, like 4.6/polling/rst or upgrade/hole; may be repeated;
                     a name that ends in $ is the end of the cell's name
  --seed N           repeats the moments of a run
  --concurrency N    cells at a time (default 32)
  --server FLAG      a flag for the server, like --server=--recovery-offset=off; may be repeated
`
const CONCURRENCY = 32

const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    seed: { type: 'string' },
    concurrency: { type: 'string' },
    server: { type: 'string', multiple: true },
    help: { type: 'boolean', default: false }
  }
})

process.on('uncaughtException', error => {
  // below the clients in Node, throws when a request fails that was just given up: no harm
  if (!(error instanceof TypeError) || !/ClientRequest\.errorHandler .*xmlhttprequest-ssl/.test(error.stack ?? '')) throw error
})
if (values.help) console.log(HELP)
else await run()

async function run (): Promise<void> {
  const seed = values.seed === undefined ? chooseSeed() : Number(values.seed)
  const startedAt = Date.now()
  const only = values.only
  const cells = allCells().filter(cell => only === undefined || only.some(part => isIn(`${nameOf(cell)}$`, part)))
  if (cells.length === 0) throw new Error(`--only: there is no cell ${only?.join(', ')}`)
  console.log(`${cells.length} cells, seed ${seed}`)
  const scope = newScope()
  try {
    const rows = await runMatrix(scope, cells, {
      seed,
      concurrency: Number(values.concurrency ?? CONCURRENCY),
      flags: values.server,
      onRow: row => console.log(lineOf(row))
    })
    const failed = rows.filter(({ problems }) => problems.length > 0)
    const sum = (of: (row: Row) => number): string => rows.reduce((total, row) => total + of(row), 0).toLocaleString('en')
    console.log(`${Math.round((Date.now() - startedAt) / 1_000)} s, seed ${seed}: ${rows.length - failed.length} passed, ` +
      `${failed.length} failed; ${sum(({ expected }) => expected)} messages with a receipt, ${sum(({ lost }) => lost)} lost, ` +
      `${sum(({ disordered }) => disordered)} out of order, ${sum(({ duplicates }) => duplicates)} handled twice, ` +
      `${sum(({ falseReceipts }) => falseReceipts)} false receipts`)
    if (failed.length > 0) process.exitCode = 1
  } finally {
    await scope.close()
  }
}

function isIn (name: string, part: string): boolean {
  return name.includes(part)
}

function lineOf (row: Row): string {
  const { expected, lost, falseReceipts, disordered, duplicates, retried, again, deaths, reconnects, recovered } = row
  return `${row.problems.length === 0 ? 'ok    ' : 'FAILED'} ${nameOf(row).padEnd(40)} ${expected} expected, ${lost} lost, ` +
    `${falseReceipts} false, ${disordered} disordered, ${duplicates} twice, ${row.leftover} leftover, ${retried} retried, ${again} again, ` +
    `${deaths} deaths, ${row.crashes > 0 ? `${row.crashes} crashes, ` : ''}${recovered}/${reconnects} recovered${row.thrownOut > 0 ? `, ${row.thrownOut} thrown out` : ''}, ` +
    `${row.ms} ms${row.problems.map(problem => `\n         ${problem}`).join('')}`
}

function newScope (): Scope & { close (): Promise<void> } {
  const handlers: Array<() => unknown> = []
  return {
    teardown: handler => handlers.push(handler),
    async close () { for (const handler of handlers.reverse()) await handler() }
  }
}
