/**
 * How much waits for a session. Nearly always that is a sum over its filters, by binary search. Only where filters
 * overlap without one covering the other, or are many, it is counted entry by entry (tally.ts).
 */
import type { LogIndex, Sum } from '../log/log-index.ts'
import type { Subscription } from '../log/route.ts'
import type { Offset } from '../message.ts'
import { covers, overlap } from '../topics.ts'
import type { Session } from './session.ts'
import { Tally } from './tally.ts'

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

/**
 * How many messages cease to wait for the session when `lower` has lowered a filter: not those that wait for another
 * one, too, unless the filters are such that only counting each message would tell; then it may be less.
 */
export function lostWithout (session: Session, one: Subscription<Session>, index: LogIndex<Session>,
  lower: () => void): number {
  const { sent } = session
  const before = summable(session, sent)
  const all = index.count(before ?? [one], sent).messages
  lower()
  const after = before === undefined ? undefined : summable(session, sent)
  return all - (after === undefined ? 0 : index.count(after, sent).messages)
}

/** Counts at once, whatever it takes: for somebody who asks. */
export function pendingOf (session: Session, index: LogIndex<Session>): Sum {
  const filters = summable(session, session.sent)
  if (filters !== undefined) return index.count(filters, session.sent)
  const tally = new Tally(session.sent)
  tally.advance(index.entriesAfter(session.subscriptions.values(), session.sent), session.sent, { left: Infinity })
  return tally
}
