/** Lines for who watches a run of the proof. */
import type { Conversation } from './conversation.ts'
import { nameOf, type Row } from './row.ts'

/** What a run counted: what --json writes and --from reads. */
export interface Counted {
  /** A day. */
  readonly when: string
  readonly seed: number
  readonly ms: number
  readonly rows: readonly Row[]
  readonly conversation?: Conversation
}

export function hasFailed ({ rows, conversation }: Counted): boolean {
  return [...rows, ...conversation?.rows ?? [], ...conversation === undefined ? [] : [conversation]]
    .some(({ problems }) => problems.length > 0)
}

export function lineOf (row: Row): string {
  const figures = [
    `${row.expected} expected`, `${row.lost} lost`, `${row.falseReceipts} false`, `${row.disordered} disordered`,
    `${row.duplicates} twice`, `${row.leftover} leftover`, `${row.retried} sent twice`, `${row.again} by a successor`,
    `${row.deaths} deaths`, ...row.crashes > 0 ? [`${row.crashes} crashes`] : [],
    `${row.recovered}/${row.reconnects} recovered`, ...row.thrownOut > 0 ? [`${row.thrownOut} thrown out`] : [],
    `${row.ms} ms`
  ]
  const verdict = row.problems.length === 0 ? 'ok    ' : 'FAILED'
  return [`${verdict} ${nameOf(row).padEnd(36)} ${figures.join(', ')}`, ...row.problems].join('\n         ')
}

export function conversationLines ({ rows, problems, cuts, kills }: Conversation): string {
  const lines = rows.map(row => {
    const figures = [
      `said ${row.said}`, `${row.expected} expected`, `${row.lost} lost`, `${row.disordered} disordered`,
      `${row.duplicates} twice`, `${row.leftover} leftover`, `${row.retried} sent twice`,
      ...row.reconnects === undefined ? [] : [`${row.recovered}/${row.reconnects} recovered`]
    ]
    const verdict = row.problems.length === 0 ? 'ok    ' : 'FAILED'
    return [`${verdict} ${row.kind.padEnd(36)} ${figures.join(', ')}`, ...row.problems].join('\n         ')
  })
  return [`one conversation: ${cuts} cuts of links, ${kills} kills of the server`, ...lines, ...problems].join('\n')
}

export function summary ({ seed, ms, rows }: Counted): string {
  const failed = rows.filter(({ problems }) => problems.length > 0).length
  const sum = (of: (row: Row) => number): string =>
    rows.reduce((total, row) => total + of(row), 0).toLocaleString('en')
  return [
    `${Math.round(ms / 1_000)} s, seed ${seed}: ${rows.length - failed} passed, ${failed} failed`,
    `${sum(({ expected }) => expected)} messages with a receipt`, `${sum(({ lost }) => lost)} lost`,
    `${sum(({ falseReceipts }) => falseReceipts)} false receipts`,
    `${sum(({ disordered }) => disordered)} out of order`,
    `${sum(({ duplicates }) => duplicates)} handled twice`, `${sum(({ leftover }) => leftover)} leftover`
  ].join(', ')
}
