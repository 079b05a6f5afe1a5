/**
 * Messages for a person who has no session yet: an inbox keeps them, at most keepForUsersMessagesMax of them, each for
 * keepForUsersMs. An inbox is a session that no client can have, `$inbox/<filter>`, so what waits in it is stored as
 * for any other. The first kept session of that person that subscribes to the filter goes on from its place in the log,
 * and is told what the inbox lost to a bound [G2] [G5].
 */
import type { InboxOf } from '../broker.ts'
import type { LogIndex } from '../log/log-index.ts'
import { PENDING } from '../log/route.ts'
import type { RecordChange } from '../log/log.ts'
import type { Limits } from '../model/limits.ts'
import type { ClientId, Offset } from '../model/message.ts'
import { inboxName } from '../model/topics.ts'
import { cursorChange } from '../session/records.ts'
import type { Session } from '../session/session.ts'
import { INBOX, type Sessions } from '../sessions/sessions.ts'
import type { Clock } from '../system/clock.ts'
import type { Events } from '../system/events.ts'

export interface InboxesOptions {
  readonly sessions: Pick<Sessions, 'get' | 'values' | 'connect' | 'release' | 'end' | 'touch'>
  readonly index: LogIndex<Session>
  readonly limits: Pick<Limits, 'keepForUsersMs' | 'keepForUsersMax'>
  readonly clock: Clock
  readonly events: Events
  /** At QoS 1. */
  readonly subscribe: (session: Session, filter: string) => Promise<unknown>
}

/** What a new session takes over from an inbox, written in the step in which its subscription is. */
export interface Inheritance {
  readonly changes: readonly RecordChange[]
  /** Of its subscription. */
  readonly from: Offset
  /** It could not be written: nothing has changed. */
  failed (): void
}

/** Undefined where nothing is kept for people without a session. */
export function createInboxes (inboxOf: InboxOf | undefined, options: InboxesOptions): Inboxes | undefined {
  return inboxOf === undefined || options.limits.keepForUsersMs === 0 ? undefined : new Inboxes(inboxOf, options)
}

export class Inboxes {
  readonly #options: InboxesOptions
  readonly #inboxOf: InboxOf
  readonly #making = new Map<string, Promise<void>>()
  readonly #inherited = new WeakMap<Session, readonly Session[]>()
  #count = 0

  constructor (inboxOf: InboxOf, options: InboxesOptions) {
    this.#inboxOf = inboxOf
    this.#options = options
    options.events.on('session-ended', ({ clientId }) => { if (clientId.startsWith(PREFIX)) this.#count-- })
  }

  /** At start, when all sessions are there. */
  load (): void {
    for (const { principal } of this.#options.sessions.values()) if (principal === INBOX) this.#count++
  }

  /**
   * What has to be durable before a message on this topic is appended, so that it waits for whom it is for; undefined
   * where nothing has. It never rejects: what can't be made keeps nobody from being sent the message.
   */
  ready (topic: string): Promise<void> | undefined {
    const { index, sessions, clock } = this.#options
    const wanted = this.#inboxOf(topic)
    if (wanted === undefined) return undefined
    const { filter } = wanted
    const making = this.#making.get(filter)
    if (making !== undefined) return making
    const inbox = sessions.get(inboxName(filter) as ClientId)
    if (inbox !== undefined && inbox.connecting === 0) {
      inbox.detachedAt = clock.now() // its time counts from its last message
      sessions.touch(inbox, true)
    }
    if (inbox !== undefined || (index.filters.get(filter)?.durable ?? 0) > 0) return undefined
    const made = this.#make(filter).catch(() => {}).finally(() => { this.#making.delete(filter) })
    this.#making.set(filter, made)
    return made
  }

  async #make (filter: string): Promise<void> {
    const { sessions, limits: { keepForUsersMs, keepForUsersMax }, subscribe, events } = this.#options
    const clientId = inboxName(filter) as ClientId
    if (Buffer.byteLength(clientId) + Buffer.byteLength(filter) > KEY_BYTES_MAX) return
    if (this.#count >= keepForUsersMax) {
      events.emit('inboxes-full', { filter, keepForUsersMax })
      return
    }
    this.#count++
    let isMade = false
    try {
      const { session } = await sessions.connect({ clientId, principal: INBOX, clean: false, expiryMs: keepForUsersMs })
      isMade = true // from here on its end is counted where it is told
      try {
        await subscribe(session, filter)
        session.isNew = false
      } finally {
        sessions.release(session, true)
      }
    } finally {
      if (!isMade) this.#count--
    }
  }

  /**
   * For a kept session that no connection was attached to yet, about to subscribe to a filter. The inbox stays until
   * the session is attached: one that never is takes nothing away, and of two that come at once both get what waits.
   */
  inherit (session: Session, filter: string): Inheritance | undefined {
    const { sessions } = this.#options
    if (session.clean || !session.isNew || session.live !== undefined) return undefined
    const inbox = sessions.get(inboxName(filter) as ClientId)
    const kept = inbox?.subscriptions.get(filter)
    if (inbox === undefined || kept === undefined || kept.from === PENDING) return undefined
    if (this.#inboxOf(filter)?.principal !== session.principal) return undefined // [G7]
    const { sent, gaps } = session
    session.sent = Math.min(sent, inbox.sent) as Offset
    if (inbox.gaps !== undefined) session.gaps = new Map([...gaps ?? [], ...inbox.gaps])
    const inherited = this.#inherited.get(session) ?? []
    this.#inherited.set(session, [...inherited, inbox])
    return {
      changes: [cursorChange(session)],
      from: kept.from,
      failed: () => {
        session.sent = sent
        session.gaps = gaps
        this.#inherited.set(session, inherited)
      }
    }
  }

  /** A connection follows the session: what it has taken over is nowhere else any more. */
  attached (session: Session): void {
    for (const inbox of this.#inherited.get(session) ?? []) this.#options.sessions.end(inbox, 'inherited')
    this.#inherited.delete(session)
  }
}

const PREFIX = inboxName('')
/** Its name and its filter stand in one key of the store. */
const KEY_BYTES_MAX = 1_900
