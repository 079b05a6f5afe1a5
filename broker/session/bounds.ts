/**
 * The bounds on what waits for a session: messages, bytes, age [G6]. At a bound the oldest go, and the session is told
 * how many [G5]. What is in flight is never taken back.
 */
import type { Limits } from '../limits.ts'
import type { LogIndex } from '../log/log-index.ts'
import type { Timeline } from '../log/timeline.ts'
import type { Offset, TimeMs } from '../message.ts'
import type { GapReason } from './link.ts'
import type { Session } from './session.ts'

export interface Cut {
  /** The session goes on after this entry. */
  readonly through: Offset
  readonly messages: number
  readonly reason: GapReason
}

/** What has to go so that the session keeps within its bounds; undefined if nothing has. Pure. */
export function overBounds (session: Session, index: LogIndex<Session>, timeline: Timeline, limits: Limits,
  now: TimeMs, tail: Offset): Cut | undefined {
  if (session.clean || session.live?.caughtUp === true) return undefined
  const tooOld = timeline.before((now - limits.backlogAgeMsMax) as TimeMs)
  // Counting costs the topics that match. Where all there is would be within the bounds, nothing is counted [G8].
  if (tail - session.sent <= limits.backlogMessagesMax && index.bytes <= limits.backlogBytesMax &&
    tooOld <= session.sent) return undefined
  const subscriptions = [...session.subscriptions.values()]
  const all = index.pending(subscriptions, session.sent)
  if (all.messages === 0) return undefined
  let through: Offset = session.sent
  let reason: GapReason = 'backlog-messages'
  if (all.messages > limits.backlogMessagesMax || all.bytes > limits.backlogBytesMax) {
    if (all.messages <= limits.backlogMessagesMax) reason = 'backlog-bytes'
    through = lowestThat(session.sent, tail, (offset) => {
      const rest = index.pending(subscriptions, offset)
      return rest.messages <= limits.backlogMessagesMax && rest.bytes <= limits.backlogBytesMax
    })
  }
  if (tooOld > through) {
    through = Math.min(tooOld, tail) as Offset
    reason = 'backlog-age'
  }
  if (through === session.sent) return undefined
  const messages = all.messages - index.pending(subscriptions, through).messages
  return messages === 0 ? undefined : { through, messages, reason }
}

/** The lowest offset in (low, high] that satisfies a condition which, once true, stays true. */
function lowestThat (low: Offset, high: Offset, isEnough: (offset: Offset) => boolean): Offset {
  let below: number = low
  let enough: number = high
  while (enough - below > 1) {
    const middle = Math.floor((below + enough) / 2)
    if (isEnough(middle as Offset)) enough = middle
    else below = middle
  }
  return enough as Offset
}
