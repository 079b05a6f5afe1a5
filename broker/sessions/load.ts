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
  const { store, recovery } = options
  const sessions = new Map<ClientId, Session>()
  const surprised: Session[] = []
  const noted = new Set<Session>()
  const damagedIn = (table: Table): string[] =>
    recovery.damagedRecords.filter((one) => (one.table ?? table) === table).map(({ key }) => key)
  const damagedSessions = damagedIn('sessions')
  const lost = new Set(recovery.damagedRecords.flatMap(({ table, key }) => table === 'sessions' ? key as ClientId : []))
  const pendingRetained: Loaded['pendingRetained'] = []
  const stale: RecordChange[] = []
  let lastInstance = 0

  /** The session that a record belongs to; undefined, and the record stale, if it is of an earlier one. */
  function owner (table: Table, clientId: ClientId, instance: number, record: StoredRecord): Session | undefined {
    lastInstance = Math.max(lastInstance, instance)
    const session = sessions.get(clientId)
    if (session?.instance === instance) return session
    if (session === undefined && damagedSessions.length > 0) lost.add(clientId)
    stale.push({ table, key: record.key, value: null })
    return undefined
  }

  for await (const records of store.records('sessions')) {
    for (const record of records) {
      const { clientId, principal, expiryMs, detachedAt, instance, tag, owner } = readSession(record)
      const session = new Session(clientId, principal, false, expiryMs, ORIGIN)
      session.instance = instance
      session.tag = tag
      session.owner = owner
      lastInstance = Math.max(lastInstance, instance)
      session.detachedAt = detachedAt ?? options.aliveAt
      if (detachedAt === undefined) surprised.push(session)
      // After a crash it may have got any of these before [G4].
      if (detachedAt === undefined && !recovery.clean) session.uncertainThrough = recovery.tail
      sessions.set(clientId, session)
    }
    options.assertRoom?.()
  }
  for await (const records of store.records('filters')) {
    for (const record of records) {
      const { clientId, part } = splitSessionKey(record.key)
      const { qos, retainedDue, instance, from } = readFilter(record)
      const session = owner('filters', clientId, instance, record)
      if (session === undefined) continue
      const subscription = subscribeTo(options.index, session, part, qos, from)
      if (retainedDue) pendingRetained.push({ subscription, notAfter: record.at })
    }
    options.assertRoom?.()
  }
  const uncertain = damagedIn('cursors').length > 0 ? new Set(sessions.values()) : undefined
  for await (const records of store.records('cursors')) {
    for (const record of records) {
      const cursor = readCursor(record)
      const session = owner('cursors', record.key as ClientId, cursor.instance, record)
      if (session === undefined) continue
      uncertain?.delete(session)
      putCursor(session, cursor, options)
    }
    options.assertRoom?.()
  }
  for (const note of store.notes?.read() ?? []) {
    const session = sessions.get(note.key as ClientId)
    const cursor = session === undefined ? undefined : notedCursor(note)
    if (session === undefined || session.instance !== cursor?.instance || cursor.moves <= session.moves) continue
    if (cursor.sent > recovery.tail) continue // [G2] of a log that is not this one
    putCursor(session, cursor, options)
    uncertain?.delete(session)
    noted.add(session)
  }
  // Without its cursor a session begins where its filters do, and may have got any of it before [G4].
  for (const session of uncertain ?? []) session.uncertainThrough = recovery.tail
  for await (const records of store.records('incoming')) {
    for (const record of records) {
      const { clientId, part } = splitSessionKey(record.key)
      const session = owner('incoming', clientId, readIncoming(record).instance, record)
      if (session !== undefined) (session.incoming ??= new Map()).set(Number(part), null)
    }
    options.assertRoom?.()
  }
  for await (const records of store.records('setAside')) {
    for (const record of records) {
      const { clientId, part } = splitSessionKey(record.key)
      const session = owner('setAside', clientId, readSetAside(record).instance, record)
      if (session !== undefined) (session.setAside ??= new Set()).add(part)
    }
    options.assertRoom?.()
  }
  const told = new Set<Session>()
  for (const session of sessions.values()) {
    if (recovery.damaged.length > 0 && tellOfDamage(session, recovery.damaged)) told.add(session)
  }
  for (const key of damagedIn('filters')) {
    const owner = sessions.get(splitSessionKey(key).clientId)
    for (const session of owner === undefined ? sessions.values() : [owner]) {
      // Its topics are not known, and what comes from now on is lost to it, too, until it subscribes again.
      tell(session, Math.max(1, Math.min(recovery.tail - session.sent, options.messages)))
      told.add(session)
    }
  }
  return { sessions, surprised, noted, told: [...told], lost, pendingRetained, stale, lastInstance }
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
