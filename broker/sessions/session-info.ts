import type { SessionInfo } from '../broker.ts'
import type { Clock } from '../system/clock.ts'
import type { LogIndex } from '../log/log-index.ts'
import { pendingOf } from '../session/backlog.ts'
import type { SetAsideMessage, TimeMs } from '../model/message.ts'
import type { Session } from '../session/session.ts'

const NOTHING = { messages: 0, bytes: 0 } as const

/** Looks a session over. Counting its backlog costs the topics that match its filters. */
export function infoOf (session: Session, index: LogIndex<Session>, clock: Pick<Clock, 'wall'>): SessionInfo {
  const { clientId, principal, owner, clean, tag, expiryMs, detachedAt, live, subscriptions } = session
  const isCaughtUp = clean || live?.caughtUp === true
  const pending = isCaughtUp ? NOTHING : pendingOf(session, index)
  return {
    clientId,
    principal,
    clean,
    attached: live !== undefined,
    owner,
    tag,
    expiryMs,
    detachedAt: detachedAt === undefined ? undefined : clock.wall(detachedAt),
    filters: [...subscriptions.values()].map(({ route, qos }) => ({ filter: route.filter, qos })),
    backlogMessages: pending.messages + (live === undefined ? 0 : live.queue.length - live.queueHead),
    backlogBytes: pending.bytes + (live?.queueBytes ?? 0),
    inflightMessages: session.window?.size ?? 0,
    setAsideMessages: session.setAside?.size ?? 0
  }
}

/** Its times by the wall clock, as it is set now. */
export function setAsideByWall (one: SetAsideMessage, wall: (time: TimeMs) => TimeMs): SetAsideMessage {
  const { setAsideAt, message } = one
  return { ...one, setAsideAt: wall(setAsideAt), message: { ...message, time: wall(message.time) } }
}
