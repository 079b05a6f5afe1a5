/** What the server counts of its own work, for metrics: plain numbers, so that counting costs nothing measurable. */
import type { QoS } from '../model/message.ts'
import { Histogram, type HistogramCounts } from './histogram.ts'

/** The ways in and out. */
export const CARRIERS = ['mqtt', 'websocket', 'socketio', 'http', 'program'] as const
export type Carrier = typeof CARRIERS[number]
/** From the session of a group to its members, who count again. */
export type LinkCarrier = Carrier | 'shared'

/** By QoS. */
export type ByQos = [number, number, number]

export class Meters {
  /** Messages that came in, whatever became of them. */
  readonly received = byCarrier()
  /** Messages that were handed to connections. */
  readonly delivered = byCarrier()
  /** From the moment that a message was taken in until its receipt; of those that were stored. */
  readonly receipts = new Histogram()
  /** How long the store took to sync, where it measures that. */
  syncs: HistogramCounts | undefined
  /** Messages that were sent again to a client that had not acknowledged them when its connection broke. */
  redelivered = 0
  /** Messages at QoS 2 that a publisher sent again, and that were known. */
  receivedAgain = 0

  cameIn (by: Carrier, qos: QoS): void { this.received[by][qos]++ }
}

function byCarrier (): Readonly<Record<LinkCarrier, ByQos>> {
  const counts = [...CARRIERS, 'shared'].map((name) => [name, [0, 0, 0]])
  return Object.fromEntries(counts) as Record<LinkCarrier, ByQos>
}
