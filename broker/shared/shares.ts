/**
 * Shared subscriptions, `$share/GROUP/FILTER`: each message that matches goes to one of those who subscribed to it.
 * A group is a session of that name which no client can have. It subscribes to the filter behind the name, so what it
 * is owed, what is out and how far it has come are stored as for any other; its link is its members (shared-link.ts).
 * A member's own subscription, stored too, says that it is one. A group ends with its last member.
 */
import type { SubscribeOptions } from '../broker.ts'
import type { Core } from '../core.ts'
import { type ClientId, type QoS } from '../model/message.ts'
import type { Follower } from '../session/follower.ts'
import type { CloseReason } from '../session/link.ts'
import type { Session } from '../session/session.ts'
import type { Flight } from '../session/window.ts'
import { GROUP, type Sessions } from '../sessions/sessions.ts'
import { Member, SharedLink, type GroupOfMember, type Passed } from './shared-link.ts'
import { filterBehind, isShared, SHARED_QOS_MAX } from '../model/topics.ts'

export interface SharesOptions {
  readonly sessions: Pick<Sessions, 'connect' | 'release' | 'end' | 'values'>
  readonly follower: Follower
  readonly broker: Pick<Core, 'attach' | 'setAside' | 'limits'>
  readonly subscribing: {
    subscribe (session: Session, filter: string, qos: QoS, options: SubscribeOptions): Promise<QoS>
  }
}

/** It has no end by time. */
const EXPIRY_MS = Number.MAX_SAFE_INTEGER

export class Shares {
  readonly #options: SharesOptions
  readonly #groups = new Map<string, SharedGroup>()
  readonly passed: Passed = { delivered: 0, acknowledged: 0 }

  constructor (options: SharesOptions) {
    this.#options = options
  }

  /** At start, when all sessions are there: finds the groups of those that were members, and ends those without any. */
  async load (): Promise<void> {
    const sessions = [...this.#options.sessions.values()]
    for (const session of sessions) {
      if (isShared(session.clientId) && session.principal === GROUP) this.#group(session.clientId).restored(session)
    }
    const missing: Array<Promise<unknown>> = []
    for (const session of sessions) {
      for (const { route, qos } of session.subscriptions.values()) {
        if (!isShared(route.filter)) continue
        const group = this.#join(session, route.filter, qos)
        // Of a group that was damaged, or a filter that an earlier version took for a name.
        if (!group.isReady(qos)) missing.push(this.#mend(route.filter, qos))
      }
    }
    await Promise.all(missing)
    for (const group of [...this.#groups.values()]) group.endIfEmpty()
  }

  async #mend (filter: string, qos: QoS): Promise<void> {
    try {
      await this.prepare(filter, qos)
      this.settled(filter)
    } catch {} // as for want of room: tried again when a member comes, and whoever subscribes hears of it
  }

  /**
   * Resolves when it is durable that the group keeps what matches from now on [G1]: before anybody is a member, who
   * would otherwise be one of nothing after a crash. settled() has to follow.
   */
  async prepare (filter: string, qos: QoS): Promise<void> {
    const group = this.#group(filter)
    group.joining++
    try {
      await group.prepare(Math.min(qos, SHARED_QOS_MAX) as QoS)
    } catch (error) {
      this.settled(filter)
      throw error
    }
  }

  /** Whoever was about to join has, or won't. */
  settled (filter: string): void {
    const group = this.#group(filter)
    group.joining--
    group.endIfEmpty()
  }

  /** The session has subscribed to it. */
  joined (session: Session, filter: string, qos: QoS): void { this.#join(session, filter, qos) }

  #join (session: Session, filter: string, qos: QoS): SharedGroup {
    const group = this.#group(filter)
    const member = session.membership ??= new Member(session, this.#options.follower)
    ;(member as Member).join(group, qos)
    return group
  }

  #group (name: string): SharedGroup {
    let group = this.#groups.get(name)
    if (group === undefined) {
      group = new SharedGroup(name, this.#options, this.passed, {
        missing: (qos) => { void this.#mend(name, qos) },
        ended: () => { this.#groups.delete(name) }
      })
      this.#groups.set(name, group)
    }
    return group
  }
}

interface GroupEvents {
  /** Members are there, and no session that keeps anything for them: it is made, if that can be done. */
  missing (qos: QoS): void
  ended (): void
}

class SharedGroup implements GroupOfMember {
  readonly name: string
  /** Attached members are its link; without one there is none. */
  link: SharedLink | undefined
  /** Who is about to become a member: it does not end meanwhile. */
  joining = 0
  readonly #options: SharesOptions
  readonly #passed: Passed
  readonly #events: GroupEvents
  readonly #members = new Map<Session, QoS>()
  /** Connections of clean members that ended with a message. */
  readonly #ends = new WeakMap<Flight, { count: number, readonly first: ClientId, isOfOne: boolean }>()
  #session: Session | undefined
  /** At which it is durable that its filter is subscribed to; -1: it is not. */
  #qos = -1

  constructor (name: string, options: SharesOptions, passed: Passed, events: GroupEvents) {
    this.name = name
    this.#options = options
    this.#passed = passed
    this.#events = events
  }

  isReady (qos: QoS): boolean { return this.#qos >= Math.min(qos, SHARED_QOS_MAX) }

  restored (session: Session): void {
    this.#session = session
    this.#qos = session.subscriptions.get(filterBehind(this.name))?.qos ?? -1
  }

  async prepare (qos: QoS): Promise<void> {
    if (this.isReady(qos)) return
    const { sessions, subscribing } = this.#options
    const { session } = await sessions.connect(
      { clientId: this.name as ClientId, principal: GROUP, clean: false, expiryMs: EXPIRY_MS })
    this.#session = session
    try {
      const asked = Math.max(qos, this.#qos) as QoS
      await subscribing.subscribe(session, filterBehind(this.name), asked, {})
      this.#qos = Math.max(asked, this.#qos)
    } finally {
      sessions.release(session)
    }
    for (const member of this.#members.keys()) if (member.live !== undefined) this.attached(member)
  }

  // --- members

  join (member: Session, qos: QoS): void {
    this.#members.set(member, qos)
    if (member.live !== undefined) this.attached(member)
  }

  /** A member has a connection. */
  attached (member: Session): void {
    if (this.#qos === -1) return this.#events.missing(this.#members.get(member)!)
    if (this.link === undefined && this.#session !== undefined) {
      const link = new SharedLink({
        session: this.#session,
        follower: this.#options.follower,
        passed: this.#passed,
        idle: () => { this.#rest() },
        closed: (reason) => { this.#closed(reason) },
        failed: (delivery, { clean, clientId }) => { if (clean) this.#failed(delivery, clientId) }
      })
      this.link = link
      link.attachment = this.#options.broker.attach(this.#session, link)
    }
    this.link?.join(member, this.#members.get(member)!)
  }

  /** A member is subscribed no more. */
  left (member: Session): void {
    this.#members.delete(member)
    this.link?.retire(member)
    this.endIfEmpty()
  }

  /** What is out and what comes waits for the next member that has a connection [G2]. */
  #rest (): void {
    const link = this.link!
    this.link = undefined
    link.attachment?.detach()
    link.stop()
  }

  /** The group can't follow the log now, as where a disk can't be read: its members find out by coming again. */
  #closed (reason: CloseReason): void {
    this.link = undefined
    const members = [...this.#members.keys()]
    queueMicrotask(() => { for (const member of members) this.#options.follower.cut(member, reason) })
  }

  /**
   * What ends each clean member that gets it would go round for ever. A single one, whose link may be at fault, is no
   * evidence; kept members are judged as any session (session/poison.ts).
   */
  #failed (delivery: Flight, clientId: ClientId): void {
    const { broker } = this.#options
    const ends = this.#ends.get(delivery) ?? { count: 0, first: clientId, isOfOne: true }
    this.#ends.set(delivery, ends)
    ends.count++
    ends.isOfOne &&= ends.first === clientId
    if (ends.isOfOne || ends.count < broker.limits.redeliveriesMax || this.#session === undefined) return
    broker.setAside(this.#session, delivery, ends.count).catch(() => {}) // what can't be written now is tried again
  }

  endIfEmpty (): void {
    if (this.#members.size > 0 || this.joining > 0) return
    this.#qos = -1
    if (this.link !== undefined) this.#rest()
    if (this.#session !== undefined) this.#options.sessions.end(this.#session, 'left')
    this.#session = undefined
    this.#events.ended()
  }
}
