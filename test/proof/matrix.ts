/** Runs cells: many at a time on one server, each with its own link, client, room and publishers. */
import { createRandom } from '../helpers/random.ts'
import { startServer, type ServerProcess } from '../helpers/server.ts'
import { TRANSPORTS, VERSIONS, type Transport } from '../helpers/socketio-clients.ts'
import type { Scope } from '../helpers/temp.ts'
import { pause } from '../helpers/wait.ts'
import { runCell, type Lives } from './cell.ts'
import { CUTS } from './cuts.ts'
import { MEANWHILES, type Cell, type Meanwhile, type Row } from './row.ts'
import { startWitness } from './witness.ts'

export interface MatrixOptions {
  readonly seed: number
  /** Cells that run at the same time. */
  readonly concurrency: number
  readonly onRow?: (row: Row) => void
  /** On top of those of the proof. */
  readonly flags?: readonly string[]
  /** Where the clients are not of this process. */
  readonly lives?: Lives
}

const PING_INTERVAL_MS = 700
const PING_TIMEOUT_MS = 1_500
/** Engine.IO 3 clients send their heartbeats themselves; the proof of receipt takes one or two. */
const EIO3_PING_INTERVAL_MS = 300
/** Longer than clients here wait before they connect again, and shorter than a server lives. */
const TORN_EVENT_HOLD_MS = 500
/** How the server under proof is started. */
export const FLAGS = [
  '--ping-interval-ms', String(PING_INTERVAL_MS), '--ping-timeout-ms', String(PING_TIMEOUT_MS),
  '--eio3-ping-interval-ms', String(EIO3_PING_INTERVAL_MS), '--connect-timeout-ms', '2000',
  '--torn-event-hold-ms', String(TORN_EVENT_HOLD_MS), '--log-level', 'warn'
]
const NOTICE_MS = PING_INTERVAL_MS + PING_TIMEOUT_MS + 400
/** Time between the end of one restart and the next kill. */
const SERVER_LIFE_MS_MIN = 1_500
const SERVER_LIFE_MS_MAX = 4_000

export function allCells (): Cell[] {
  const cells: Cell[] = []
  for (const meanwhile of MEANWHILES) {
    for (const { name: cut } of CUTS) {
      if (meanwhile === 'stop' && cut !== 'none') continue
      for (const version of VERSIONS) {
        for (const transport of Object.keys(TRANSPORTS) as Transport[]) {
          cells.push({ client: 'node', version, transport, cut, meanwhile })
        }
      }
    }
  }
  return cells
}

/** Every version over every transport, every cut, and every kind of `meanwhile`, at least once each. */
export function fewCells (): Cell[] {
  const cells = allCells()
  return MEANWHILES.flatMap(meanwhile => CUTS.flatMap(({ name }, index) => {
    // 18 combinations in an order that brings another version and another transport each time
    const found = cells.filter(cell => cell.meanwhile === meanwhile && cell.cut === name)
    if (found.length === 0 || (meanwhile !== 'steady' && index % 2 === 1)) return []
    return [found[(index * 7 + MEANWHILES.indexOf(meanwhile)) % found.length]]
  }))
}

/** Rows in the order of the cells. The server of each kind of `meanwhile` is started once. */
export async function runMatrix (scope: Scope, cells: readonly Cell[], options: MatrixOptions): Promise<Row[]> {
  const rows = new Map<Cell, Row>()
  for (const meanwhile of MEANWHILES) {
    const wanted = cells.filter(cell => cell.meanwhile === meanwhile)
    if (wanted.length > 0) await runGroup(scope, meanwhile, wanted, options, rows)
  }
  return cells.map(cell => rows.get(cell)!)
}

async function runGroup (
  scope: Scope, meanwhile: Meanwhile, cells: readonly Cell[],
  { seed, concurrency, onRow, flags = [], lives }: MatrixOptions, rows: Map<Cell, Row>
): Promise<void> {
  const server = await startServer(scope, { flags: [...FLAGS, ...flags] })
  const witness = await startWitness(server.mqtt)
  scope.teardown(() => witness.end())
  const waiting = [...cells]
  const disturbance = disturb(server, meanwhile, seed)
  async function work (): Promise<void> {
    for (let cell = waiting.shift(); cell !== undefined; cell = waiting.shift()) {
      const row = await runCell(cell, { server, witness, seed, noticeMs: NOTICE_MS, scope, lives })
      rows.set(cell, row)
      onRow?.(row)
    }
  }
  await Promise.all(Array.from({ length: Math.min(concurrency, cells.length) }, work))
  await disturbance.end()
  witness.end()
  await server.stop()
}

/** Kills or stops the server again and again and starts it on the same data and ports. */
function disturb (server: ServerProcess, meanwhile: Meanwhile, seed: number): { end (): Promise<void> } {
  if (meanwhile === 'steady') return { end: async () => {} }
  const random = createRandom(seed)
  let over = false
  let startMs = 0
  const running = (async () => {
    while (!over) {
      // a machine that takes long to start it gives clients long to come back
      await pause(random.between(SERVER_LIFE_MS_MIN, SERVER_LIFE_MS_MAX) + startMs)
      if (over) return
      if (meanwhile === 'stop') await server.stop()
      else await server.kill()
      const startedAt = Date.now()
      await server.restart()
      startMs = Date.now() - startedAt
    }
  })()
  return {
    async end () {
      over = true
      await running
    }
  }
}
