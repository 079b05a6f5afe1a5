import type { HeapGuardOptions } from './system/heap-guard.ts'
import type { LogIndex } from './log/log-index.ts'
import type { Retained } from './messages/retained.ts'
import type { Session } from './session/session.ts'

/** A session, but for its filters. */
const SESSION_BYTES = 400
/** A topic with a retained message. */
const RETAINED_BYTES = 200

/** What the broker holds for as long as somebody wants it: bytes, roughly. */
export function heapUse (index: LogIndex<Session>, retained: Retained, sessions: () => number
): Pick<HeapGuardOptions, 'counted' | 'outside'> {
  return {
    counted: () => index.heapBytes + sessions() * SESSION_BYTES + retained.size * RETAINED_BYTES,
    outside: () => index.outsideBytes
  }
}
