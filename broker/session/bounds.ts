/**
 * The bounds on what waits for a session: messages, bytes, age [G6]. At a bound the oldest go, and the session is told
 * how many [G5]. What is in flight is never taken back.
 */
import type { Limits } from '../model/limits.ts'
import type { LogIndex, Sum } from '../log/log-index.ts'
import { BLOCK_OFFSETS, blockOf } from '../log/log-order.ts'
import { bytesOf } from '../log/merge.ts'
import type { Subscription } from '../log/route.ts'
import type { Timeline } from '../log/timeline.ts'
import type { Offset, TimeMs } from '../model/message.ts'
import { summable } from './backlog.ts'
import type { GapReason } from './link.ts'
import type { Session } from './session.ts'
import { startSlice, Tally, type Work } from './tally.ts'

export interface Cut {
  /** The session goes on after this entry. */
  readonly through: Offset
  readonly messages: number
  readonly reason: GapReason
}

type Filters = ReadonlyArray<Subscription<Session>>

export interface Bounds {
  readonly limits: Pick<Limits, 'backlogMessagesMax' | 'backlogBytesMax'>
  /** Entries up to this one are older than backlogAgeMsMax. */
  readonly tooOld: Offset
  readonly tail: Offset
}

/** Of a session that keeps messages for a person who has none (messages/inboxes.ts). */
export function inboxLimits (limits: Limits): Limits {
  return {
    ...limits,
    backlogMessagesMax: Math.min(limits.keepForUsersMessagesMax, limits.backlogMessagesMax),
    backlogAgeMsMax: Math.min(limits.keepForUsersMs, limits.backlogAgeMsMax)
  }
}

export function boundsAt (timeline: Timeline, limits: Limits, now: TimeMs, tail: Offset): Bounds {
  const tooOld = Math.min(timeline.before((now - limits.backlogAgeMsMax) as TimeMs), tail) as Offset
  return { limits, tooOld, tail }
}

/**
 * What has to go so that the session keeps within its bounds; undefined if nothing has. What would take more looks than
 * `work` has left is done in part, and goes on with the next call [G8].
 */
export function overBounds (session: Session, index: LogIndex<Session>, bounds: Bounds, work: Work): Cut | undefined {
  const { sent, subscriptions } = session
  const { limits, tooOld, tail } = bounds
  if (session.clean || session.live?.caughtUp === true) return undefined
  // Where all there is would be within the bounds, nothing is counted.
  if (tail - sent <= limits.backlogMessagesMax && index.bytes <= limits.backlogBytesMax && tooOld <= sent) {
    return undefined
  }
  work.left -= subscriptions.size
  const most = index.count(subscriptions.values(), sent, true)
  if (most.messages === 0) return undefined
  if (isWithin(most, limits) && !isOlder(session, index, tooOld)) return undefined

  const filters = summable(session, sent)
  if (filters !== undefined) {
    const all = index.count(filters, sent)
    const start = estimatedCut(filters, index, sent, bounds)
    return cut(filters, index, bounds, { start, all, left: start === sent ? all : index.count(filters, start) }, work)
  }
  const tally = session.tally ??= new Tally(sent)
  if (!tally.advance(index.entriesAfter(subscriptions.values(), tally.through), tail, work)) return undefined
  const { messages, bytes } = tally
  return cut([...subscriptions.values()], index, bounds, { start: sent, all: { messages, bytes }, left: tally }, work)
}

function isWithin ({ messages, bytes }: Sum, limits: Bounds['limits']): boolean {
  return messages <= limits.backlogMessagesMax && bytes <= limits.backlogBytesMax
}

/** Does anything that waits for the session come before this? */
function isOlder (session: Session, index: LogIndex<Session>, tooOld: Offset): boolean {
  if (tooOld <= session.sent) return false
  const oldest = index.entriesAfter(session.subscriptions.values(), session.sent).offset
  return oldest !== undefined && oldest <= tooOld
}

/** A place at which, or less than a block behind which, it will be enough. */
function estimatedCut (
  filters: Filters, index: LogIndex<Session>, sent: Offset, { limits, tooOld, tail }: Bounds
): Offset {
  const place = Math.max(sent, tooOld) as Offset
  if (isWithin(index.count(filters, place), limits)) return place
  const before = (block: number): Offset => (block * BLOCK_OFFSETS - 1) as Offset
  const enough = lowestThat(blockOf(place), blockOf(tail) + 1,
    (block) => isWithin(index.count(filters, before(block)), limits))
  return Math.max(place, before(enough - 1)) as Offset
}

/** The lowest number in (low, high] that satisfies a condition which, once true, stays true. */
function lowestThat (low: number, high: number, isEnough: (number: number) => boolean): number {
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (isEnough(middle)) high = middle
    else low = middle
  }
  return high
}

/**
 * From a place on, entry by entry, until it is enough.
 * @param counted what waits in all, and after the place
 */
function cut (filters: Filters, index: LogIndex<Session>, { limits, tooOld }: Bounds,
  { start, all, left }: { start: Offset, all: Sum, left: Sum }, work: Work): Cut | undefined {
  const atBound = all.messages > limits.backlogMessagesMax ? 'backlog-messages' : 'backlog-bytes'
  const before = all.messages
  const entries = index.entriesAfter(filters, start)
  let through = start
  let reason: GapReason = 'backlog-age'
  const least = startSlice(entries, work)
  while (entries.offset !== undefined && work.left > least) {
    const isOver = !isWithin(left, limits)
    if (!isOver && entries.offset > tooOld) break
    const one = entries.next()!
    left.messages--
    left.bytes -= bytesOf(one)
    through = one.offset
    reason = isOver ? atBound : 'backlog-age'
    work.left--
  }
  const messages = before - left.messages
  return messages === 0 ? undefined : { through, messages, reason }
}
