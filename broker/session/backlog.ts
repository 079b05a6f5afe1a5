/**
 * How much waits for a session. Nearly always that is a sum over its filters, by binary search. Only where filters
 * overlap without one covering the other, or are many, it is counted entry by entry: a slice at a time, and from then
 * on only what comes and goes [G8].
 */
import type { LogIndex, Sum } from '../log/log-index.ts'
import { bytesOf } from '../log/merge.ts'
import type { Subscription } from '../log/route.ts'
import type { Found } from '../log/topic-log.ts'
import type { Offset } from '../message.ts'
import { covers, overlap } from '../topics.ts'
import type { Session } from './session.ts'

/** What may still be looked at in this turn. */
export interface Work { left: number }

/** Each is compared with each other. */
const SUMMED_FILTERS_MAX = 16

type Filters = ReadonlyArray<Subscription<Session>>

/**
 * Filters of the session whose numbers add up to what waits after an offset: those that another one covers are left
 * out. Undefined where there are none such.
 */
export function summable (session: Session, after: Offset): Filters | undefined {
  if (session.subscriptions.size > SUMMED_FILTERS_MAX) return undefined
  const kept: Array<Subscription<Session>> = []
  const start = ({ from }: Subscription<Session>): number => Math.max(after, from)
  for (const one of session.subscriptions.values()) {
    if (one.qos === 0) continue
    const isCovered = (by: Subscription<Session>, other: Subscription<Session>): boolean =>
      start(by) <= start(other) && covers(by.route.filter, other.route.filter)
    if (kept.some((other) => isCovered(other, one))) continue
    for (let i = kept.length - 1; i >= 0; i--) if (isCovered(one, kept[i])) kept.splice(i, 1)
    if (kept.some((other) => overlap(other.route.filter, one.route.filter))) return undefined
    kept.push(one)
  }
  return kept
}

/** Each entry after the position of a session, counted: up to `through` so far. */
export class Tally implements Sum {
  messages = 0
  bytes = 0
  through: Offset

  constructor (from: Offset) {
    this.through = from
  }

  /** Goes on to the end of the log; false if that is too much for now. */
  advance (session: Session, index: LogIndex<Session>, tail: Offset, work: Work): boolean {
    const entries = index.entriesAfter(session.subscriptions.values(), this.through)
    work.left -= entries.width
    for (let one = entries.next(); one !== undefined; one = entries.next()) {
      this.messages++
      this.bytes += bytesOf(one)
      this.through = one.offset
      if (--work.left <= 0) return false
    }
    this.through = tail
    return true
  }

  /** The session has moved over an entry. */
  pass (found: Found): void {
    if (found.offset > this.through) return
    this.messages--
    this.bytes -= bytesOf(found)
  }
}

/** Counts at once, whatever it takes: for somebody who asks. */
export function pendingOf (session: Session, index: LogIndex<Session>): Sum {
  const filters = summable(session, session.sent)
  if (filters !== undefined) return index.count(filters, session.sent)
  const tally = new Tally(session.sent)
  tally.advance(session, index, session.sent, { left: Infinity })
  return tally
}
