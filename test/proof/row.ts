/** What one run of the proof is called, and what it found. */
import type { Transport, Version } from '../helpers/socketio-clients.ts'

/** What happens to the server while the link is cut, every few seconds: nothing; SIGKILL, or SIGTERM, and start. */
export const MEANWHILES = ['steady', 'sigkill', 'stop'] as const
export type Meanwhile = typeof MEANWHILES[number]

export interface Cell {
  readonly client: 'node' | 'chromium'
  readonly version: Version
  readonly transport: Transport
  /** A name of cuts.ts, or of the browser's own. */
  readonly cut: string
  readonly meanwhile: Meanwhile
}

/** Counts are of messages unless they say otherwise. */
export interface Row extends Cell {
  readonly seed: number
  /** Got a receipt: PUBACK, or the ack of an emit. */
  readonly expected: number
  /** Of these, no handler of the client ever ran for [G2]. */
  readonly lost: number
  /** Of these, the server had passed: it counted as handled what no handler had run for. */
  readonly falseReceipts: number
  /** First seen after one that stands behind it in the log [G3]. */
  readonly disordered: number
  /** Seen twice by the same page or process, for no reason of those that follow [G4]. */
  readonly duplicates: number
  /** Seen twice because its link broke after it came and before CONNECT did; such a client keeps both (life.ts). */
  readonly leftover: number
  /** Seen twice because its publisher, without a receipt, sent it again, and both are in the log. */
  readonly retried: number
  /** Handled by a client that then died, and seen again by the next one of its name. */
  readonly again: number
  /** Times the client died inside a handler, or was replaced, and came back as a new one of the same name. */
  readonly deaths: number
  /** Times a fault of the client's own ended it (life.ts), and it came back as a new one of the same name. */
  readonly crashes: number
  /** Connections after the first of each client, and how many of them were recovered (socket.recovered). */
  readonly reconnects: number
  readonly recovered: number
  /** Times a client was thrown out for good (`io server disconnect`) that nobody had replaced. */
  readonly thrownOut: number
  readonly ms: number
  /** Sentences; the run has failed if there is one. */
  readonly problems: readonly string[]
}

/** `4.6/polling/rst`, `4.6/polling/rst+sigkill`; `chromium:4.8/polling/reload`. */
export function nameOf ({ client, version, transport, cut, meanwhile }: Cell): string {
  const name = `${version}/${transport}/${cut}${meanwhile === 'steady' ? '' : `+${meanwhile}`}`
  return client === 'node' ? name : `${client}:${name}`
}
