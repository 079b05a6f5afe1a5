/** What is done with the log as a whole: it is found again at a start, and copied while it goes on. */
import type { Heartbeat } from './heartbeat.ts'
import type { LogIndex } from './log/log-index.ts'
import type { Log } from './log/log.ts'
import type { Timeline } from './log/timeline.ts'
import { HoldfastError } from './model/errors.ts'
import type { Session } from './session/session.ts'
import type { Sessions } from './sessions/sessions.ts'
import type { Store } from './store/store.ts'
import type { HeapGuard } from './system/heap-guard.ts'

export interface Found {
  readonly store: Store
  readonly index: LogIndex<Session>
  readonly timeline: Timeline
  readonly guard: HeapGuard
}

/** Throws MEMORY_FULL where there is more than the heap may hold. */
export async function restoreLog ({ store, index, timeline, guard }: Found): Promise<void> {
  for await (const headers of store.scan()) {
    for (const { topic, offset, bytes, time, expiresAt } of headers) {
      index.restore(topic, offset, bytes, expiresAt)
      timeline.note(offset, time)
    }
    guard.assertStartable()
  }
}

export interface Copied {
  readonly store: Store
  readonly log: Log
  readonly sessions: Sessions
  readonly heartbeat: Heartbeat
}

/** As Broker.copyTo(). */
export async function copyLog ({ store, log, sessions, heartbeat }: Copied, folder: string): Promise<void> {
  if (store.copyTo === undefined) throw new HoldfastError('STORE_UNAVAILABLE', 'what it keeps is in no file')
  sessions.flush() // so that little comes again
  heartbeat.beat()
  await log.recorded([]) // its turn comes after all that [G2]
  await store.copyTo(folder)
}
