/**
 * How much waits for a session. Nearly always that is a sum over its filters, by binary search. Only where filters
 * overlap without one covering the other, or are many, it is counted entry by entry (tally.ts).
 */
import type { LogIndex, Sum } from '../log/log-index.ts'
import type { Subscription } from '../log/route.ts'
import type { Offset } from '../model/message.ts'
import { covers, overlap } from '../model/topics.ts'
import type { Session } from './session.ts'
import { Tally } from './tally.ts'

/** Each is compared with each other. */
const SUMMED_FILTERS_MAX = 16
/** Entries that are looked at in one go to know a number exactly. */
const WALK_MAX = 10_000

type Filters = ReadonlyArray<Subscription<Session>>

/**
 * Filters of the session whose numbers add up to what waits after an offset: those that another one covers are left
 * out. Undefined where there are none such.
 */
export function summable (session: Session, after: Offset): Filters | undefined {
  if (session.subscriptions.size > SUMMED_FILTERS_MAX) return undefined
  const uncovered: Array<Subscription<Session>> = []
  const start = ({ from }: Subscription<Session>): number => Math.max(after, from)
  for (const one of session.subscriptions.values()) {
    if (one.qos === 0) continue
    const isCovered = (by: Subscription<Session>, other: Subscription<Session>): boolean =>
      start(by) <= start(other) && covers(by.route.filter, other.route.filter)
    if (uncovered.some((other) => isCovered(other, one))) continue
    for (let i = uncovered.length - 1; i >= 0; i--) if (isCovered(one, uncovered[i])) uncovered.splice(i, 1)
    if (uncovered.some((other) => overlap(other.route.filter, one.route.filter))) return undefined
    uncovered.push(one)
  }
  return uncovered
}

/**
 * How many messages cease to wait for the session when `lower` has lowered a filter: not those that wait for another
 * one, too. It may be less where filters overlap and only a long walk would tell.
 */
export function lostWithout (session: Session, one: Subscription<Session>, index: LogIndex<Session>,
  lower: () => void): number {
  const before = waitingFor(session, index)
  const all = before ?? index.count([one], session.sent).messages
  lower()
  return all - (before === undefined ? 0 : waitingFor(session, index) ?? 0)
}

/** Undefined where that is a long walk. */
function waitingFor (session: Session, index: LogIndex<Session>): number | undefined {
  const { sent } = session
  const filters = summable(session, sent)
  if (filters !== undefined) return index.count(filters, sent).messages
  const tally = new Tally(sent)
  const entries = index.entriesAfter(session.subscriptions.values(), sent)
  return tally.advance(entries, sent, { left: WALK_MAX }) ? tally.messages : undefined
}

/** Counts at once, whatever it takes: for somebody who asks. */
export function pendingOf (session: Session, index: LogIndex<Session>): Sum {
  const filters = summable(session, session.sent)
  if (filters !== undefined) return index.count(filters, session.sent)
  const tally = new Tally(session.sent)
  tally.advance(index.entriesAfter(session.subscriptions.values(), session.sent), session.sent, { left: Infinity })
  return tally
}
