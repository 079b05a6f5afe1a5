/** Sessions as they were written down, at start. Pure reading: what has to be cleared away is returned. */
import type { LogIndex } from '../log/log-index.ts'
import type { RecordChange } from '../log/log.ts'
import { makeSubscription, PENDING, type Subscription } from '../log/route.ts'
import { ORIGIN, type ClientId, type Offset, type TimeMs } from '../model/message.ts'
import type { Limits } from '../model/limits.ts'
import { readSetAside, readCursor, type Cursor, readFilter, readIncoming, readSession } from '../session/records.ts'
import { Session } from '../session/session.ts'
import { Window } from '../session/window.ts'
import { splitSessionKey } from '../store/keys.ts'
import type { Note, Recovery, Store, StoredRecord, Table } from '../store/store.ts'

export interface LoadOptions {
  readonly store: Pick<Store, 'records' | 'notes'>
  readonly recovery: Pick<Recovery, 'clean' | 'tail' | 'damaged' | 'damagedRecords'>
  /** How many there are in the log. */
  readonly messages: number
  readonly limits: Limits
  readonly now: TimeMs
  /** When the server was last known to run: sessions that were attached then count as detached since. */
  readonly aliveAt: TimeMs
  readonly index: LogIndex<Session>
  /** Called after each batch of records; throws where the heap can hold no more [G6]. */
  readonly assertRoom?: () => void
}

export interface Loaded {
  readonly sessions: Map<ClientId, Session>
  /** Sessions that were attached when the server went away: their records are to be written anew. */
  readonly surprised: Session[]
  /** Sessions whose cursor was noted after it was last written: it is to be written. */
  readonly noted: ReadonlySet<Session>
  /** Sessions that lost, or may have lost, something to damage: that is to be written down until they are told [G5]. */
  readonly told: Session[]
  /** Sessions whose own record was damaged: they are gone [G5]. */
  readonly lost: Set<ClientId>
  /** Subscriptions that are owed the retained messages of their time. */
  readonly pendingRetained: Array<{ readonly subscription: Subscription<Session>, readonly notAfter: Offset }>
  /** Records of sessions that have ended, left because a disk was full: to be removed. */
  readonly stale: RecordChange[]
  /** The highest number of a session so far. */
  readonly lastInstance: number
}

export async function loadSessions (options: LoadOptions): Promise<Loaded> {
  return await new Loader(options).load()
}

class Loader {
  readonly #options: LoadOptions
  readonly #sessions = new Map<ClientId, Session>()
  readonly #surprised: Session[] = []
  readonly #noted = new Set<Session>()
  readonly #lost: Set<ClientId>
  readonly #pendingRetained: Loaded['pendingRetained'] = []
  readonly #stale: RecordChange[] = []
  /** Those whose cursor may be the one that is damaged. */
  #uncertain: Set<Session> | undefined
  #lastInstance = 0

  constructor (options: LoadOptions) {
    this.#options = options
    const { damagedRecords } = options.recovery
    this.#lost = new Set(damagedRecords.flatMap(({ table, key }) => table === 'sessions' ? key as ClientId : []))
  }

  /** Sessions first: the other records belong to them. */
  async load (): Promise<Loaded> {
    await this.#each('sessions', record => this.#readSession(record))
    await this.#each('filters', record => this.#readFilter(record))
    this.#uncertain = this.#damagedIn('cursors').length > 0 ? new Set(this.#sessions.values()) : undefined
    await this.#each('cursors', record => this.#readCursor(record))
    this.#readNotes()
    // Without its cursor a session begins where its filters do, and may have got any of it before [G4].
    for (const session of this.#uncertain ?? []) session.uncertainThrough = this.#options.recovery.tail
    await this.#each('incoming', record => {
      const [session, part] = this.#ownerOfPart('incoming', readIncoming(record).instance, record)
      if (session !== undefined) (session.incoming ??= new Map()).set(Number(part), null)
    })
    await this.#each('setAside', record => {
      const [session, part] = this.#ownerOfPart('setAside', readSetAside(record).instance, record)
      if (session !== undefined) (session.setAside ??= new Set()).add(part)
    })
    return {
      sessions: this.#sessions,
      surprised: this.#surprised,
      noted: this.#noted,
      told: [...this.#tellDamage()],
      lost: this.#lost,
      pendingRetained: this.#pendingRetained,
      stale: this.#stale,
      lastInstance: this.#lastInstance
    }
  }

  async #each (table: Table, read: (record: StoredRecord) => void): Promise<void> {
    for await (const records of this.#options.store.records(table)) {
      for (const record of records) read(record)
      this.#options.assertRoom?.()
    }
  }

  /** Keys of damaged records that are of the table, or may be. */
  #damagedIn (table: Table): string[] {
    return this.#options.recovery.damagedRecords.filter(one => (one.table ?? table) === table).map(({ key }) => key)
  }

  /** The session that a record belongs to; undefined, and the record stale, if it is of an earlier one. */
  #owner (table: Table, clientId: ClientId, instance: number, record: StoredRecord): Session | undefined {
    this.#lastInstance = Math.max(this.#lastInstance, instance)
    const session = this.#sessions.get(clientId)
    if (session?.instance === instance) return session
    if (session === undefined && this.#damagedIn('sessions').length > 0) this.#lost.add(clientId)
    this.#stale.push({ table, key: record.key, value: null })
    return undefined
  }

  #ownerOfPart (table: Table, instance: number, record: StoredRecord): readonly [Session | undefined, string] {
    const { clientId, part } = splitSessionKey(record.key)
    return [this.#owner(table, clientId, instance, record), part]
  }

  #readSession (record: StoredRecord): void {
    const { recovery, aliveAt } = this.#options
    const { clientId, principal, expiryMs, detachedAt, instance, tag, owner } = readSession(record)
    const session = new Session(clientId, principal, false, expiryMs, ORIGIN)
    session.instance = instance
    session.tag = tag
    session.owner = owner
    this.#lastInstance = Math.max(this.#lastInstance, instance)
    session.detachedAt = detachedAt ?? aliveAt
    if (detachedAt === undefined) this.#surprised.push(session)
    // After a crash it may have got any of these before [G4].
    if (detachedAt === undefined && !recovery.clean) session.uncertainThrough = recovery.tail
    this.#sessions.set(clientId, session)
  }

  #readFilter (record: StoredRecord): void {
    const { qos, retainedDue, instance, from } = readFilter(record)
    const [session, filter] = this.#ownerOfPart('filters', instance, record)
    if (session === undefined) return
    const subscription = subscribeTo(this.#options.index, session, filter, qos, from)
    if (retainedDue) this.#pendingRetained.push({ subscription, notAfter: record.at })
  }

  #readCursor (record: StoredRecord): void {
    const cursor = readCursor(record)
    const session = this.#owner('cursors', record.key as ClientId, cursor.instance, record)
    if (session !== undefined) this.#put(session, cursor)
  }

  #readNotes (): void {
    const { store, recovery } = this.#options
    for (const note of store.notes?.read() ?? []) {
      const session = this.#sessions.get(note.key as ClientId)
      const cursor = session === undefined ? undefined : notedCursor(note)
      if (session === undefined || session.instance !== cursor?.instance || cursor.moves <= session.moves) continue
      if (cursor.sent > recovery.tail) continue // [G2] of a log that is not this one
      this.#put(session, cursor)
      this.#noted.add(session)
    }
  }

  #put (session: Session, cursor: Cursor): void {
    putCursor(session, cursor, this.#options)
    this.#uncertain?.delete(session)
  }

  /** Counts for sessions what damage may have cost them [G5]; returns those. */
  #tellDamage (): Set<Session> {
    const { recovery, messages } = this.#options
    const told = new Set<Session>()
    for (const session of this.#sessions.values()) {
      if (recovery.damaged.length > 0 && tellOfDamage(session, recovery.damaged)) told.add(session)
    }
    for (const key of this.#damagedIn('filters')) {
      const owner = this.#sessions.get(splitSessionKey(key).clientId)
      for (const session of owner === undefined ? this.#sessions.values() : [owner]) {
        // Its topics are not known, and what comes from now on is lost to it, too, until it subscribes again.
        tell(session, Math.max(1, Math.min(recovery.tail - session.sent, messages)))
        told.add(session)
      }
    }
    return told
  }
}

/** A note is a hint: one that can't be read, as another version wrote it, is none. */
function notedCursor (note: Note): Cursor | undefined {
  try {
    return readCursor(note)
  } catch {
    return undefined
  }
}

/** Replaces what was read before: as far as it came, and what is in flight. */
function putCursor (session: Session, { sent, uncertainThrough, flights, gaps, moves }: Cursor,
  { limits, now }: LoadOptions): void {
  session.moves = moves
  session.sent = sent
  session.uncertainThrough = Math.max(session.uncertainThrough, uncertainThrough) as Offset
  session.window = flights.length > 0 ? new Window(limits.inflightMessagesMax) : undefined
  for (const { packetId, qos, offset, state } of flights) session.window!.restore(packetId, qos, offset, state, now)
  session.gaps = gaps.length > 0 ? new Map(gaps) : undefined
}

/** The topics of damaged entries are lost with them: whoever may have been owed one is told, once each [G5]. */
function tellOfDamage (session: Session, damaged: readonly Offset[]): boolean {
  let from: Offset = PENDING
  for (const subscription of session.subscriptions.values()) {
    if (subscription.qos > 0 && subscription.from < from) from = subscription.from
  }
  const count = damaged.filter((offset) => offset > session.sent && offset > from).length
  if (count > 0) tell(session, count)
  return count > 0
}

function tell (session: Session, count: number): void {
  session.gaps ??= new Map()
  session.gaps.set('damaged', (session.gaps.get('damaged') ?? 0) + count)
}

export function subscribeTo (index: LogIndex<Session>, session: Session, filter: string, qos: 0 | 1 | 2,
  from: Offset): Subscription<Session> {
  const route = index.route(filter)
  const subscription = makeSubscription(session, route, qos, from)
  route.add(subscription)
  if (session.live !== undefined) route.attach(subscription)
  session.subscriptions.add(subscription)
  return subscription
}
