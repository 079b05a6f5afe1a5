/** What is looked after from time to time, a slice at a time [G8]: acknowledgements that are due, bounds, trimming. */
import type { Clock } from '../system/clock.ts'
import type { Limits } from '../model/limits.ts'
import type { Expired, LogIndex } from '../log/log-index.ts'
import type { Log, RecordChange } from '../log/log.ts'
import type { Timeline } from '../log/timeline.ts'
import type { TimeMs } from '../model/message.ts'
import { matches } from '../model/topics.ts'
import { boundsAt, inboxLimits, overBounds } from '../session/bounds.ts'
import type { Follower } from '../session/follower.ts'
import type { Live, Session } from '../session/session.ts'
import type { Work } from '../session/tally.ts'
import { unanswered } from '../session/unanswered.ts'
import type { Flight } from '../session/window.ts'
import { INBOX, type Sessions } from './sessions.ts'

export interface SweeperOptions {
  readonly index: LogIndex<Session>
  readonly log: Log
  readonly timeline: Timeline
  readonly sessions: Sessions
  readonly follower: Follower
  readonly limits: Limits
  readonly clock: Clock
  setAside (session: Session, flight: Flight, attempts: number): void
  /** Forgets retained messages whose time is over; what has to be written for it. */
  expireRetained (now: TimeMs): RecordChange[]
}

/** Sessions that one sweep looks at, and the filters and entries that it counts for their bounds. */
const SWEEP_SESSIONS = 5_000
const SWEEP_WORK = 20_000
/** The same where a session is about to be attached; what that leaves is done by the sweeps. */
const ATTACH_WORK = 1_000
/** Places in the log that are looked at, and entries that are cleared away, in one go; and the pause until the next. */
const TRIM_VISITS = 20_000
const TRIM_ENTRIES = 4_096
const TRIM_PAUSE_MS = 5
/** What one sweep does for messages that have expired; one costs more where much lies around it. */
const EXPIRE_STEPS = 1_000_000

export class Sweeper {
  readonly #options: SweeperOptions
  readonly #inboxLimits: Limits
  /** Sessions whose backlog is being counted; some that are not any more. */
  readonly #counted = new Set<Session>()
  /** Messages that left the log as their time was over. */
  expired = 0
  #isTrimming = false
  #isClosed = false

  constructor (options: SweeperOptions) {
    this.#options = options
    this.#inboxLimits = inboxLimits(options.limits)
  }

  sweep (): void {
    const { sessions, follower, timeline, limits, clock } = this.#options
    const now = clock.now()
    follower.tick(now)
    this.#expire(now)
    this.#trim()
    const work = { left: SWEEP_WORK }
    sessions.round(SWEEP_SESSIONS, (session) => {
      const oldest = session.window?.oldest
      const link = session.live?.link
      if (oldest !== undefined && link !== undefined &&
        now - (link.waitingSince ?? oldest.sentAt) >= limits.ackTimeoutMs) {
        this.#unanswered(session, session.live!, link.waitingSince ?? oldest.sentAt, now)
        follower.cut(session, 'stalled')
      }
      this.#bound(session, work)
      return work.left > 0
    })
    timeline.forgetBefore((now - limits.backlogAgeMsMax) as TimeMs)
  }

  /** A session comes back, perhaps after a long time. */
  attaching (session: Session): void { this.#bound(session, { left: ATTACH_WORK }) }

  /** Nothing is begun any more; what nobody needs is cleared away in one go. */
  close (): void {
    const { log, index } = this.#options
    this.#isClosed = true
    log.trim(index.trim(Infinity, log.tail))
  }

  /** What nobody will be sent any more needs no place, and is no gap [G9]. */
  #expire (now: TimeMs): void {
    const { log, index, expireRetained } = this.#options
    const expired = index.expire(now, EXPIRE_STEPS)
    if (expired.length > 0) {
      this.expired += expired.length
      for (const session of this.#counted) {
        if (session.tally === undefined || session.live !== undefined) {
          session.tally = undefined
          this.#counted.delete(session)
        } else for (const one of expired) if (isCounted(session, one)) session.tally.expired(one)
      }
      log.trim(expired.map(({ offset }) => offset).sort((a, b) => a - b))
    }
    const changes = expireRetained(now)
    if (changes.length > 0) log.record(changes, () => {}) // what can't be written now goes at the next start
  }

  /** A session that has drained a long backlog leaves much to clear away: a little at a time. */
  #trim (): void {
    const { log, index, clock } = this.#options
    log.trim(index.trim(TRIM_VISITS, log.tail, TRIM_ENTRIES))
    if (!index.isTrimDue || this.#isTrimming) return
    this.#isTrimming = true
    clock.after(TRIM_PAUSE_MS, () => {
      this.#isTrimming = false
      if (!this.#isClosed) this.#trim()
    })
  }

  /** What a client will never acknowledge must not stand in the way of all that comes after it [G5]. */
  #unanswered (session: Session, { link, ackedOrder }: Live, sentAt: TimeMs, now: TimeMs): void {
    const { limits: { ackTimeoutMs, redeliveriesMax } } = this.#options
    const { heardAt } = link
    if (heardAt === undefined || session.clean) return
    const cut = {
      dueAt: (now - ackTimeoutMs) as TimeMs,
      aliveFrom: (sentAt + ackTimeoutMs / 2) as TimeMs,
      heardAt,
      ackedOrder,
      isOnTrial: link.waitingSince !== undefined
    }
    for (const flight of unanswered(session.window!, cut, redeliveriesMax)) {
      this.#options.setAside(session, flight, flight.doubt!.timeouts)
    }
  }

  /** Keeps a session within its bounds [G6], and tells it what it lost [G5]. */
  #bound (session: Session, work: Work): void {
    const { log, index, follower, timeline, clock } = this.#options
    const limits = session.principal === INBOX ? this.#inboxLimits : this.#options.limits
    const cut = overBounds(session, index, boundsAt(timeline, limits, clock.now(), log.tail), work)
    if (session.tally !== undefined) this.#counted.add(session)
    if (cut === undefined) return
    session.sent = cut.through
    index.moved(session)
    follower.lose(session, cut.messages, cut.reason)
  }
}

/** Is it in what was counted so far for the session? */
function isCounted (session: Session, { offset, topic }: Expired): boolean {
  if (offset <= session.sent || offset > session.tally!.through) return false
  for (const { route: { filter }, qos, from } of session.subscriptions.values()) {
    if (qos > 0 && from < offset && matches(filter, topic)) return true
  }
  return false
}
