/**
 * All sessions: making, finding, ending, and how they are written down. Who a session belongs to is checked here [G7],
 * and that it ends loudly [G5].
 */
import type { EventEmitter } from 'node:events'
import type { Clock } from '../system/clock.ts'
import { HoldfastError } from '../model/errors.ts'
import type { BrokerEvents, EndReason } from '../system/events.ts'
import type { HeapGuard } from '../system/heap-guard.ts'
import type { Limits } from '../model/limits.ts'
import type { LogIndex } from '../log/log-index.ts'
import type { Log, RecordChange } from '../log/log.ts'
import type { Subscription } from '../log/route.ts'
import { loadSessions, subscribeTo, type Loaded } from './load.ts'
import type { ClientId, Offset, Principal, QoS, TimeMs } from '../model/message.ts'
import type { CloseReason } from '../session/link.ts'
import { Session } from '../session/session.ts'
import { cursorChange, sessionChange } from '../session/records.ts'
import { Removals, removalOf } from './removals.ts'
import type { Recovery, Store } from '../store/store.ts'
import { inboxName, isShared, show } from '../model/topics.ts'
import type { ConnectRequest } from '../broker.ts'
import type { Connected } from '../core.ts'

export interface SessionsOptions {
  readonly store: Store
  readonly index: LogIndex<Session>
  readonly log: Log
  readonly limits: Limits
  readonly clock: Clock
  readonly guard: HeapGuard
  readonly events: EventEmitter<BrokerEvents>
  /** Closes the connection of a session, if it has one, and lets it hear nothing more. */
  cut (session: Session, reason: CloseReason): void
}

/** Whom the sessions belong to that stand for the groups of shared subscriptions. */
export const GROUP = '$share' as Principal
/** And those that keep messages for people without a session (messages/inboxes.ts). */
export const INBOX = '$inbox' as Principal

/** Sessions whose cursors share one write. */
const FLUSH_SESSIONS_MAX = 4_096

export class Sessions {
  readonly #options: SessionsOptions
  #all = new Map<ClientId, Session>()
  #lastInstance = 0
  readonly #turns = new Map<ClientId, Promise<void>>()
  readonly removals: Removals
  readonly #dirty = new Set<Session>()
  /** Those of them whose cursor was noted since it was last written. */
  readonly #noted = new Set<Session>()
  #isClosed = false
  #flushes = 0
  /** The first flush after which nothing older was left unwritten. */
  #soundFrom = 1
  /** All that was noted before the notes last turned is in the records. */
  #isCovered = false
  /** Where the last slice of the round through all sessions ended. */
  #round: Iterator<Session> | undefined

  constructor (options: SessionsOptions) {
    this.#options = options
    this.removals = new Removals(options.log)
  }

  get size (): number { return this.#all.size }
  get (clientId: ClientId): Session | undefined { return this.#all.get(clientId) }
  values (): IterableIterator<Session> { return this.#all.values() }

  count (): { sessions: number, attached: number, setAside: number } {
    let attached = 0
    let setAside = 0
    for (const session of this.#all.values()) {
      if (session.live !== undefined) attached++
      if (session.setAside !== undefined) setAside += session.setAside.size
    }
    return { sessions: this.#all.size, attached, setAside }
  }

  // --- at start

  /** Returns the subscriptions that are owed retained messages. */
  async load (recovery: Recovery, aliveAt: TimeMs): Promise<Loaded['pendingRetained']> {
    const { store, limits, clock, index, guard } = this.#options
    const { messages } = store.usage()
    const assertRoom = (): void => { guard.assertStartable() }
    const loaded = await loadSessions(
      { store, recovery, messages, limits, now: clock.now(), aliveAt, index, assertRoom })
    this.#all = loaded.sessions
    this.#lastInstance = loaded.lastInstance
    for (const session of loaded.surprised) this.touch(session, true)
    for (const session of loaded.told) this.touch(session)
    for (const clientId of loaded.lost) this.#options.events.emit('session-ended', { clientId, reason: 'damaged' })
    for (const session of loaded.noted) {
      this.touch(session)
      this.#noted.add(session)
    }
    while (this.#noted.size > 0) this.flush() // before notes of this run take the place of those
    if (loaded.stale.length > 0) this.#options.log.record(loaded.stale, () => {}) // otherwise at the next start
    return loaded.pendingRetained
  }

  // --- making and ending

  /** Those who ask for the same client identifier take turns. The session is held until it is attached or released. */
  async connect (request: ConnectRequest): Promise<Connected> {
    const { clientId } = request
    if (isShared(clientId) !== (request.principal === GROUP) || isInbox(clientId) !== (request.principal === INBOX)) {
      throw new HoldfastError('CLIENT_ID_INVALID', // [G7]
        `${show(clientId)}: $share/..., $inbox/... and their principals belong to the server`)
    }
    const turn = (this.#turns.get(clientId) ?? Promise.resolve()).then(async () => {
      this.#assertOpen()
      const connected = await this.#connect(request)
      if (this.#isClosed) this.release(connected.session, true) // or it passes for the one before it [G5]
      this.#assertOpen()
      return connected
    })
    const over = turn.then(() => {}, () => {})
    this.#turns.set(clientId, over)
    try {
      return await turn
    } finally {
      if (this.#turns.get(clientId) === over) this.#turns.delete(clientId)
    }
  }

  /** Nobody gets a session any more; resolves when those are answered who have asked for one. */
  async close (): Promise<void> {
    this.#isClosed = true
    await Promise.all(this.#turns.values())
  }

  #assertOpen (): void {
    if (this.#isClosed) throw new HoldfastError('CLOSED', 'the server is shutting down')
  }

  async #connect ({ clientId, principal, clean, expiryMs, owner, tag }: ConnectRequest): Promise<Connected> {
    const { log, limits, clock, events } = this.#options
    const bytes = Buffer.byteLength(clientId)
    if (bytes === 0 || (bytes > limits.clientIdBytesMax && !isOfServer(principal)) || /[\u0000\uFFFD]/.test(clientId)) {
      throw new HoldfastError('CLIENT_ID_INVALID',
        `${show(clientId)} has ${bytes} bytes; clientIdBytesMax = ${limits.clientIdBytesMax}`)
    }
    let existing = this.#all.get(clientId)
    if (existing !== undefined && !isOwnedBy(existing, principal, owner)) { // [G7]
      throw new HoldfastError('SESSION_FOREIGN', `${show(clientId)}; choose another client identifier`)
    }
    if (existing !== undefined && this.#isExpired(existing, clock.now())) {
      this.end(existing, 'expired')
      existing = undefined
    }
    if (existing !== undefined && !existing.clean && !clean) {
      existing.expiryMs = expiryMs
      existing.detachedAt = undefined
      existing.connecting++
      const { tag: previousTag, owner: previousOwner } = existing
      existing.owner ??= owner
      existing.tag = tag?.(previousTag)
      try {
        await log.recorded([sessionChange(existing)])
        assertNotEnded(existing)
      } catch (error) {
        existing.owner = previousOwner
        existing.tag = previousTag // what its client holds still counts
        this.release(existing)
        throw error
      }
      return { session: existing, present: true }
    }
    if (existing === undefined && this.#all.size >= limits.sessionsMax) {
      throw new HoldfastError('SESSIONS_FULL', `sessionsMax = ${limits.sessionsMax}`)
    }
    if (existing === undefined) this.#options.guard.assertRoom(`a session for ${show(clientId)}`) // [G6]
    const session = new Session(clientId, principal, clean, expiryMs, log.tail)
    session.instance = ++this.#lastInstance
    session.isNew = true
    session.owner = owner
    session.tag = tag?.(undefined)
    session.pace = existing?.pace
    // The old one goes and the new one comes in one step: if it fails, nothing has changed.
    const removal = existing === undefined || existing.clean ? [] : removalOf(existing)
    if (existing !== undefined) existing.leaving = true // nothing of it is written behind its removal
    try {
      await this.removals.replace(clientId, removal, clean ? [] : [sessionChange(session)])
    } catch (error) {
      if (existing !== undefined) {
        existing.leaving = false
        if (!existing.ended) { // otherwise it ended meanwhile and left its removal to this step, which is owed now
          if (!existing.clean) this.removals.settled(clientId)
          this.touch(existing, true)
        }
      }
      throw error
    }
    if (existing !== undefined) {
      this.end(existing, 'clean-connect')
      this.#options.cut(existing, 'taken-over')
    }
    session.connecting++
    this.#all.set(clientId, session)
    events.emit('session-created', { clientId, principal, clean })
    return { session, present: false }
  }

  /** A connection that has asked for it never attached. */
  release (session: Session, endsNew = false): void {
    if (session.connecting > 0) session.connecting--
    if (endsNew && session.isNew && !session.clean && session.connecting === 0) this.end(session, 'never-attached')
    else this.detached(session)
  }

  /** The connection that asked for it is attached now. */
  attached (session: Session): void {
    if (session.connecting > 0) session.connecting--
    session.detachedAt = undefined
    session.isNew = false
    this.touch(session, true)
  }

  /** It has no connection any more, unless another one is on its way. A clean session ends with its connection. */
  detached (session: Session): void {
    if (session.live !== undefined || session.connecting > 0 || session.ended) return
    if (session.clean) this.end(session, 'disconnected')
    else {
      const { clock, limits } = this.#options
      session.detachedAt = clock.now()
      if (session.pace?.isOver(session.detachedAt, limits) === true) session.pace = undefined
      this.touch(session, true)
    }
  }

  /** Forgets a session for good [G5]. Its records go with the next write. */
  end (session: Session, reason: EndReason): void {
    if (session.ended) return
    // One that is leaving has its removal on the way; another behind it would take the new session's records along.
    const changes = session.clean || session.leaving ? [] : removalOf(session)
    this.#remove(session)
    if (changes.length > 0) this.removals.remove(session.clientId, changes)
    this.#options.events.emit('session-ended', { clientId: session.clientId, reason })
  }

  #remove (session: Session): void {
    session.ended = true
    for (const subscription of session.subscriptions.values()) this.#options.index.unsubscribe(subscription)
    session.subscriptions.clear()
    session.membership?.ended()
    if (this.#all.get(session.clientId) === session) this.#all.delete(session.clientId)
  }

  // --- subscriptions

  /** As yet without a place: `from` is set when it is durable. */
  addSubscription (session: Session, filter: string, qos: QoS, from: Offset): Subscription<Session> {
    return subscribeTo(this.#options.index, session, filter, qos, from)
  }

  removeSubscription (subscription: Subscription<Session>): void {
    const { session, route } = subscription
    if (session.subscriptions.get(route.filter) === subscription) session.subscriptions.delete(route.filter)
    session.tally = undefined
    this.#options.index.unsubscribe(subscription)
    session.membership?.left(route.filter)
  }

  // --- writing behind

  /** The cursor, or with `record` the session itself, is written with the next flush. */
  touch (session: Session, record = false): void {
    if (session.clean || session.ended || session.leaving) return
    if (record) session.recordDirty = true
    else session.moves++
    if (session.cursorDirty) return
    session.cursorDirty = true
    this.#dirty.add(session)
  }

  /** As touch(). */
  acknowledged (session: Session): void {
    this.touch(session)
    session.unnoted++
  }

  /**
   * As touch(). A kill repeats what is out and what was acknowledged since the cursor was written: where that comes to
   * two windows, the cursor is noted before this one leaves [G4]. A note is as true as a record, and no more [G2].
   */
  sent (session: Session): void {
    this.touch(session)
    const window = session.window!
    const { notes } = this.#options.store
    if (session.unnoted + window.ofLog < 2 * window.sizeMax || notes === undefined || !session.cursorDirty) return
    session.unnoted = 0
    this.#noted.add(session)
    const { key, value } = cursorChange(session)
    notes.write(key, value!)
  }

  /**
   * Writes cursors that have moved: a crash costs duplicates inside what was not yet written or noted, never a loss
   * [G4]. What was noted goes first, as notes are cleared once all of them are in the records.
   */
  flush (): void {
    this.removals.retry((clientId) => this.#turns.has(clientId))
    const number = ++this.#flushes
    const changes: RecordChange[] = []
    const written: Array<{ session: Session, record: boolean }> = []
    for (const session of chain(this.#noted, this.#dirty)) {
      if (written.length === FLUSH_SESSIONS_MAX) break
      this.#noted.delete(session)
      this.#dirty.delete(session)
      const record = session.recordDirty
      session.cursorDirty = session.recordDirty = false
      session.unnoted = 0
      if (session.ended || session.leaving) continue
      changes.push(cursorChange(session))
      if (record) changes.push(sessionChange(session))
      written.push({ session, record })
    }
    const covers = this.#noted.size === 0
    if (changes.length === 0) return
    if (covers && this.#isCovered) {
      this.#options.store.notes?.turn()
      this.#isCovered = false
    }
    this.#options.log.record(changes, (error) => {
      if (error === undefined) {
        if (covers && number >= this.#soundFrom) this.#isCovered = true
        return
      }
      this.#soundFrom = this.#flushes + 1
      for (const { session, record } of written) {
        this.touch(session, record)
        this.#noted.add(session)
      }
    })
  }

  /** Everything at once, for a clean stop. */
  async flushAll (): Promise<void> {
    do {
      this.flush()
      await this.#options.log.settled()
    } while (this.#dirty.size > 0 && !this.#options.log.failing)
  }

  // --- looking after all of them, a slice at a time [G8]

  /**
   * Calls back for at most `count` sessions, or until it says false, going on where the last call ended; expired ones
   * end first.
   */
  round (count: number, visit: (session: Session) => boolean): void {
    const now = this.#options.clock.now()
    for (let i = 0; i < count; i++) {
      this.#round ??= this.#all.values()
      const next = this.#round.next()
      if (next.done === true) {
        this.#round = undefined
        return
      }
      if (this.#isExpired(next.value, now)) this.end(next.value, 'expired')
      else if (!visit(next.value)) return
    }
  }

  #isExpired (session: Session, now: TimeMs): boolean {
    const { live, connecting, detachedAt, expiryMs } = session
    return live === undefined && connecting === 0 && detachedAt !== undefined && now - detachedAt >= expiryMs
  }
}

/** It stands for a group, or for somebody who is not there yet. */
export function isOfServer (principal: Principal): boolean { return principal === GROUP || principal === INBOX }

function isInbox (clientId: ClientId): boolean { return clientId.startsWith(INBOX_PREFIX) }
const INBOX_PREFIX = inboxName('')

function * chain (...sets: Array<Iterable<Session>>): IterableIterator<Session> {
  for (const set of sets) yield * set
}

/** Who makes a session without an owner leaves it to the first one that is told; nobody else gets at it [G7]. */
function isOwnedBy (session: Session, principal: Principal, owner: string | undefined): boolean {
  return session.principal === principal && (session.owner === undefined || session.owner === owner)
}

/** It was ended while it was written down that a connection asked for it. */
function assertNotEnded (session: Session): void {
  if (session.ended) throw new HoldfastError('CLOSED', 'the session has just ended')
}
