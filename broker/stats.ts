/** What is counted, gathered from whoever counts it. */
import type { TimelyAuth } from './auth/timely.ts'
import type { BrokerStats } from './broker.ts'
import type { Heartbeat } from './heartbeat.ts'
import type { LogIndex } from './log/log-index.ts'
import { ageOf, type Timeline } from './log/timeline.ts'
import type { Log } from './log/log.ts'
import type { Publishing } from './messages/publishing.ts'
import type { Retained } from './messages/retained.ts'
import type { Follower } from './session/follower.ts'
import type { Session } from './session/session.ts'
import type { Sessions } from './sessions/sessions.ts'
import type { SetAside } from './sessions/set-aside.ts'
import type { Sweeper } from './sessions/sweeper.ts'
import type { Takeovers } from './sessions/takeovers.ts'
import type { Shares } from './shared/shares.ts'
import type { Store } from './store/store.ts'
import type { Clock } from './system/clock.ts'
import type { HeapGuard } from './system/heap-guard.ts'

export interface Counters {
  readonly sessions: Sessions
  readonly index: LogIndex<Session>
  readonly retained: Retained
  readonly publishing: Publishing
  readonly follower: Follower
  readonly shares: Shares
  readonly setAside: SetAside
  readonly takeovers: Takeovers
  readonly auth: TimelyAuth
  readonly log: Log
  readonly heartbeat: Heartbeat
  readonly guard: HeapGuard
  readonly store: Store
  readonly timeline: Timeline
  readonly clock: Clock
  readonly sweeper: Sweeper
}

export function statsOf (of: Counters, gapMessages: number): BrokerStats {
  return {
    ...of.sessions.count(),
    filters: of.index.filters.size,
    retained: of.retained.size,
    published: of.publishing.published,
    refused: of.publishing.refused,
    delivered: of.follower.delivered - of.shares.passed.delivered,
    acknowledged: of.follower.acknowledged - of.shares.passed.acknowledged,
    withheld: of.follower.withheld,
    gapMessages,
    expired: of.sweeper.expired + of.retained.expired + of.follower.expired,
    setAsideDropped: of.setAside.dropped,
    droppedQos0: of.follower.droppedQos0,
    ...of.takeovers.stats,
    authFailures: of.auth.failures,
    oldestMessageAgeMs: ageOf(of.index.oldest, of.timeline, of.clock),
    storeFailing: of.log.failing,
    logSilentMs: of.heartbeat.silentMs,
    heap: of.guard.usage,
    store: of.store.usage()
  }
}
