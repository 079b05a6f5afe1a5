/**
 * `npm run proof`: every client version over every transport, with every way to cut, one conversation of all of them,
 * and docs/proof.md from what was counted. `npm run proof -- --help` has the options.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus, release } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { chatPages } from '../browser/chat-page.ts'
import { startChromium } from '../browser/chromium.ts'
import { BROWSER_CUTS } from '../browser/cuts.ts'
import { chromiumCells, CHROMIUM_CONCURRENCY, CHROMIUM_FLAGS, chromiumLives } from '../browser/matrix.ts'
import { newSeed } from '../helpers/random.ts'
import type { Scope } from '../helpers/temp.ts'
import { converse, type Conversation } from './conversation.ts'
import { CUTS } from './cuts.ts'
import { allCells, fewCells, FLAGS, runMatrix } from './matrix.ts'
import { nameOf, type Cell, type Row } from './row.ts'
import { document } from './table.ts'
import { conversationLines, hasFailed, lineOf, summary, type Counted } from './tell.ts'

const DOCUMENT = fileURLToPath(new URL('../../docs/proof.md', import.meta.url))
const HELP = `npm run proof -- [options]
  --only NAME        only cells whose name followed by $ has this in it, like 4.6/polling/rst$ or upgrade/hole, or
                     "conversation"; may be repeated; docs/proof.md is left alone
  --client NAME      only node, or only chromium; docs/proof.md is left alone
  --few              every version, transport and cut once, in less than a minute; docs/proof.md is left alone
  --seed N           repeats the moments of a run
  --concurrency N    cells at a time (default 32)
  --seconds N        how long the conversation goes on (default 30)
  --server FLAG      a flag for the server, like --server=--recovery-offset=off; may be repeated
  --json FILE        also what was counted, as JSON
  --from FILE        writes docs/proof.md from such files instead of running anything; may be repeated: a cell that ran
                     again replaces what it was before
`
const CONCURRENCY = 32
const CONVERSATION = 'conversation'
const CONVERSATION_SECONDS = 30
/** Below the clients in Node, throws when a request fails that was just given up: no harm. */
const HARMLESS = /ClientRequest\.errorHandler .*xmlhttprequest-ssl/

const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    client: { type: 'string' },
    few: { type: 'boolean', default: false },
    seed: { type: 'string' },
    concurrency: { type: 'string', default: String(CONCURRENCY) },
    seconds: { type: 'string', default: String(CONVERSATION_SECONDS) },
    server: { type: 'string', multiple: true, default: [] },
    json: { type: 'string' },
    from: { type: 'string', multiple: true },
    help: { type: 'boolean', default: false }
  }
})

process.on('uncaughtException', error => {
  if (!(error instanceof TypeError) || !HARMLESS.test(error.stack ?? '')) throw error
})

if (values.help) console.log(HELP)
else if (values.from !== undefined) {
  writeDocument(values.from.map(file => JSON.parse(readFileSync(file, 'utf8')) as Counted))
} else await run()

async function run (): Promise<void> {
  const { only, client, few, json } = values
  const seed = values.seed === undefined ? newSeed() : Number(values.seed)
  const startedAt = Date.now()
  const isChosen = (name: string): boolean => only?.some(part => `${name}$`.includes(part)) ?? !few
  const chosen = [...allCells(), ...chromiumCells()]
    .filter(cell => isChosen(nameOf(cell)) && (client === undefined || cell.client === client))
  const node = few ? fewCells() : chosen.filter(cell => cell.client === 'node')
  const chromium = chosen.filter(cell => cell.client === 'chromium')
  const converses = isChosen(CONVERSATION) && client === undefined
  if (node.length + chromium.length === 0 && !converses) {
    throw new Error(`--only: no cell has ${only?.join(' or ')} in its name, which is like 4.6/polling/rst`)
  }
  console.log(`${node.length + chromium.length} cells, seed ${seed}`)
  const scope = newScope()
  try {
    const rows = await runCells(scope, node, chromium, seed)
    const conversation = converses ? await converseWithPages(scope, seed) : undefined
    if (conversation !== undefined) console.log(conversationLines(conversation))
    const when = new Date(startedAt).toISOString().slice(0, 10)
    const counted: Counted = { when, seed, ms: Date.now() - startedAt, rows, conversation }
    if (json !== undefined) writeFileSync(json, JSON.stringify(counted) + '\n')
    if (only === undefined && client === undefined && !few) writeDocument([counted])
    console.log(summary(counted))
    if (hasFailed(counted)) process.exitCode = 1
  } finally {
    await scope.close()
  }
}

async function runCells (scope: Scope, node: readonly Cell[], chromium: readonly Cell[], seed: number): Promise<Row[]> {
  const { server } = values
  const onRow = (row: Row): void => console.log(lineOf(row))
  const rows = await runMatrix(scope, node, { seed, concurrency: Number(values.concurrency), flags: server, onRow })
  if (chromium.length === 0) return rows
  const lives = await chromiumLives(scope)
  return [...rows, ...await runMatrix(scope, chromium, {
    seed, concurrency: CHROMIUM_CONCURRENCY, flags: [...CHROMIUM_FLAGS, ...server], lives, onRow
  })]
}

async function converseWithPages (scope: Scope, seed: number): Promise<Conversation> {
  const more = chatPages(scope, await startChromium(scope))
  const flags = [...FLAGS, ...CHROMIUM_FLAGS, ...values.server]
  return await converse(scope, { seed, seconds: Number(values.seconds), flags, more })
}

function writeDocument (parts: readonly Counted[]): void {
  writeFileSync(DOCUMENT, document({
    when: parts[0].when,
    seeds: [...new Set(parts.map(({ seed }) => seed))],
    minutes: Math.ceil(parts.reduce((sum, { ms }) => sum + ms, 0) / 60_000),
    system: `${cpus()[0].model.trim()}, ${cpus().length} cores, Linux ${release()}, Node ${process.version}`,
    rows: [...new Map(parts.flatMap(({ rows }) => rows).map(row => [nameOf(row), row])).values()],
    conversation: parts.findLast(({ conversation }) => conversation !== undefined)?.conversation,
    cuts: new Map([...CUTS, ...BROWSER_CUTS].map(({ name, says }) => [name, says]))
  }))
}

function newScope (): Scope & { close (): Promise<void> } {
  const handlers: Array<() => unknown> = []
  return {
    teardown: handler => handlers.push(handler),
    async close () { for (const handler of handlers.reverse()) await handler() }
  }
}
