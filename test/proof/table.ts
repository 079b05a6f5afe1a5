/** docs/proof.md, whole. */
import type { Transport, Version } from '../helpers/socketio-clients.ts'
import type { Conversation } from './conversation.ts'
import { FLAGS } from './matrix.ts'
import { MEANWHILES, nameOf, type Cell, type Meanwhile, type Row } from './row.ts'

export interface Report {
  readonly when: string
  readonly seeds: readonly number[]
  readonly minutes: number
  readonly system: string
  readonly rows: readonly Row[]
  readonly conversation: Conversation | undefined
  /** Sentence for each cut, by name, in the order of the tables. */
  readonly cuts: ReadonlyMap<string, string>
}

const HEAD = `## How it is counted

Unmodified Socket.IO clients, as they were published, talk to the built server through a TCP proxy that does to their
connections what networks do. \`npm run proof\` writes this file; nothing in it is written by hand. A cell of the tables
is a run of a few seconds: one client of one version over one transport, one way to cut. A device publishes over MQTT at
QoS 1 into the client's room, the client itself emits into it through the link that is cut, and both send again what
got no receipt. Payloads have 0 to 6,000 bytes, one in six is binary. At the end of each run the client dies twice
inside a handler, in the middle of a burst, and its successor under the same name has to get everything that no handler
had finished: that is how a receipt that came too early is found out.`

/** What it means, before how it is known. */
export function inShort (
  { runs, failed, cuts, expected, lost, falseReceipts, disordered }: Readonly<Record<Figure, number>>
): string {
  return [
    '# Proof\n',
    `- **${figure(lost)} of ${figure(expected)} messages with a receipt were lost**, in ${figure(runs)} runs that ` +
      `cut links in ${cuts} ways and in part killed or stopped the server; ${figure(failed)} runs were not as they ` +
      'should be.',
    `- **${figure(falseReceipts)} receipts were false, and ${figure(disordered)} messages came out of order.** ` +
      'A client from 4.6 on handled none twice, but where its application interferes; an older one repeats what was ' +
      'under way when a link broke.',
    '- **This is what happened to these clients, cut in these ways, on one machine.** For all else there are the ' +
      'clauses and their limits, in [guarantees.md](guarantees.md).'
  ].join('\n')
}

type Figure = 'runs' | 'failed' | 'cuts' | 'expected' | 'lost' | 'falseReceipts' | 'disordered'

const MEANINGS: ReadonlyArray<readonly [string, string]> = [
  ['expected', 'messages whose publisher got a receipt: PUBACK, or the ack of its emit'],
  ['lost', 'expected, and no handler ever ran for it [G2]'],
  ['false receipts', 'lost, while the server counted it as handled'],
  ['out of order',
    'seen first after one that stands behind it in the log, as an MQTT client with a sound link sees the log [G3]'],
  ['twice', 'a handler of the same page or process ran again for it, for none of the reasons that follow [G4]'],
  ['leftover',
    'the same, because the link broke between the message and CONNECT: a client of 4.6 or later keeps what it got ' +
    'before CONNECT, and does not count it in the offset that it tells. Or between a message that ends in no text ' +
    'and the event `holdfast:offset` behind it (any message, where the server is killed then). Or, in an older ' +
    'client whose application calls disconnect() and connect(), seen at the next CONNECT, before what stands ' +
    'before it: it keeps what the connection that it left still brought'],
  ['sent twice', 'the same, because the publisher got no receipt and sent it again'],
  ['successor', 'handled by a client that then died, and by the next one of its name: the proof had not come yet'],
  ['recovered', 'reconnects with `socket.recovered`, which clients from 4.6 have'],
  ['crashed',
    'a fault of the client\'s own: some hear nothing any more once a link was cut inside a binary event. In Node the ' +
    'process ends and is started again; the page of 4.5 loads itself again'],
  ['thrown out', '`io server disconnect` that nobody had asked for']
]

export function document (report: Report): string {
  const { rows, conversation, cuts } = report
  const failed = rows.filter(({ problems }) => problems.length > 0)
  const sum = (of: (row: Row) => number): number => rows.reduce((total, row) => total + of(row), 0)
  const parts = [
    inShort({
      runs: rows.length,
      failed: failed.length,
      cuts: new Set(rows.map(({ cut }) => cut)).size,
      expected: sum(({ expected }) => expected),
      lost: sum(({ lost }) => lost),
      falseReceipts: sum(({ falseReceipts }) => falseReceipts),
      disordered: sum(({ disordered }) => disordered)
    }),
    HEAD,
    `Run on ${report.when} in ${report.minutes} minutes, seed ${report.seeds.join(', ')}; ${report.system}. ` +
    'A cell is repeated alone with `npm run proof -- --only NAME --seed N`, where the name is like ' +
    '`4.6/polling/rst$`, or `4.6/polling/rst+sigkill` for the server killed meanwhile. The moments are the same ' +
    'then; what the machine does in between is not. Intervals are short, so that much happens in little time: the ' +
    `server is started with \`${FLAGS.join(' ')}\`.`,
    table(['word', 'means'], MEANINGS),
    `## Result\n\n${rows.length - failed.length} of ${rows.length} runs are as they should be: nothing lost, ` +
    'no false receipt, nothing out of order, and nothing twice for a client of 4.6 or later, but where the ' +
    `application itself interferes (takeover, leaves).\n\n${totals(rows)}`,
    failed.length > 0 && '## Runs that are not as they should be\n\n' + failed.map(row =>
      `- \`${nameOf(row)}\`, seed ${row.seed}: ${row.problems.join('; ')}`).join('\n'),
    conversation !== undefined && conversationPart(conversation),
    '## Ways to cut\n\n' + table(['cut', 'what happens', 'runs', ...COUNTERS.map(({ title }) => title)],
      [...cuts].flatMap(([cut, says]) => {
        const those = rows.filter(row => row.cut === cut)
        return those.length === 0 ? [] : [[cut, says, String(those.length), ...countersOf(those)]]
      })),
    ...(['node', 'chromium'] as const).flatMap(client => MEANWHILES.map(meanwhile => {
      const those = rows.filter(row => row.client === client && row.meanwhile === meanwhile)
      return cells(those, client, meanwhile, [...cuts.keys()])
    }))
  ]
  return parts.filter(part => typeof part === 'string' && part !== '').join('\n\n') + '\n'
}

const COUNTERS: ReadonlyArray<{ title: string, of: (row: Row) => number }> = [
  { title: 'expected', of: row => row.expected },
  { title: 'lost', of: row => row.lost },
  { title: 'false receipts', of: row => row.falseReceipts },
  { title: 'out of order', of: row => row.disordered },
  { title: 'twice', of: row => row.duplicates },
  { title: 'leftover', of: row => row.leftover },
  { title: 'sent twice', of: row => row.retried },
  { title: 'successor', of: row => row.again },
  { title: 'reconnects', of: row => row.reconnects },
  { title: 'recovered', of: row => row.recovered },
  { title: 'crashed', of: row => row.crashes },
  { title: 'thrown out', of: row => row.thrownOut }
]

function countersOf (rows: readonly Row[]): string[] {
  return COUNTERS.map(({ of }) => figure(rows.reduce((sum, row) => sum + of(row), 0)))
}

const CLIENTS = { node: 'Node', chromium: 'Chromium' } as const
const SERVERS: Record<Meanwhile, string> = {
  steady: 'the server runs on',
  sigkill: 'the server is killed with SIGKILL and started again every 2 to 4 seconds',
  stop: 'the server is stopped and started again every 2 to 4 seconds'
}

/** Of each client over each transport. */
function totals (rows: readonly Row[]): string {
  const groups = new Map<string, Row[]>()
  for (const row of rows) {
    const key = [CLIENTS[row.client], row.version, row.transport].join(' | ')
    groups.set(key, [...groups.get(key) ?? [], row])
  }
  return table(['client', 'version', 'transport', 'runs', ...COUNTERS.map(({ title }) => title)], [
    ...[...groups].map(([key, those]) => [key, String(those.length), ...countersOf(those)]),
    ['all', '', '', String(rows.length), ...countersOf(rows)]
  ])
}

/** Each cell of its own: what was lost and what was seen twice. */
function cells (rows: readonly Row[], client: Cell['client'], meanwhile: Meanwhile, cuts: readonly string[]): string {
  if (rows.length === 0) return ''
  const versions = [...new Set(rows.map(({ version }) => version))]
  const transports = [...new Set(rows.map(({ transport }) => transport))]
  return [
    `## Each cell: ${CLIENTS[client]}, ${SERVERS[meanwhile]}`,
    'Lost / twice + leftover, of expected.',
    ...transports.map(transport => `### ${transport}\n\n` + table(['cut', ...versions], cuts.flatMap(cut => {
      const those = versions.map(version => one(rows, version, transport, cut))
      return those.every(row => row === undefined) ? [] : [[cut, ...those.map(cellOf)]]
    })))
  ].join('\n\n')
}

function one (rows: readonly Row[], version: Version, transport: Transport, cut: string): Row | undefined {
  return rows.find(row => row.version === version && row.transport === transport && row.cut === cut)
}

function cellOf (row: Row | undefined): string {
  if (row === undefined) return ''
  const { lost, duplicates, leftover, expected, problems } = row
  const text = `${lost} / ${duplicates}${leftover > 0 ? ` + ${leftover}` : ''}, ${expected}`
  return problems.length > 0 ? `**${text}**` : text
}

function conversationPart ({ seed, seconds, cuts, kills, rows, problems }: Conversation): string {
  const columns = [
    'said', 'expected', 'lost', 'out of order', 'twice', 'leftover', 'sent twice', 'reconnects', 'recovered'
  ]
  return [
    '## One conversation',
    'The event `chat message` of Socket.IO\'s own chat, to everyone: clients of every version over every ' +
    'transport, the pages of Socket.IO\'s own "get started" in Chromium with the bundles of versions 2 and 4, ' +
    `mosquitto_pub and mosquitto_sub. In ${seconds} seconds links were cut ${cuts} times, each apart from the ` +
    `others, and the server was killed with SIGKILL ${kills} times (seed ${seed}).`,
    ...problems.map(problem => `**${problem}**`),
    table(['who', ...columns], rows.map(row => [row.problems.length > 0 ? `**${row.kind}**` : row.kind, ...[
      row.said, row.expected, row.lost, row.disordered, row.duplicates, row.leftover, row.retried, row.reconnects,
      row.recovered
    ].map(value => value === undefined ? '' : figure(value))]))
  ].join('\n\n')
}

function figure (value: number): string {
  return value.toLocaleString('en')
}

function table (head: readonly string[], rows: ReadonlyArray<readonly string[]>): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}
