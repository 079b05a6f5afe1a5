/** How sessions, filters, cursors and single messages are written down. Pure; versioned by their first byte. */
import { Block, encodeBlock } from '../store/block.ts'
import { sessionKey, splitSessionKey } from '../store/keys.ts'
import type { Store, StoredRecord } from '../store/store.ts'
import type { RecordChange } from '../log/log.ts'
import type { Mark } from '../system/own-time.ts'
import { ORIGIN } from '../model/message.ts'
import type { SetAsideMessage, ClientId, Message, Offset, PacketId, Principal, QoS, TimeMs } from '../model/message.ts'
import { GAP_REASONS, type GapReason } from './link.ts'
import type { Session } from './session.ts'
import { FLIGHT_RELEASED, FLIGHT_RELEASING, type FlightState } from './window.ts'

const VERSION = 1

// --- sessions: who, how long, since when detached

/** Records from before there were tags or owners have none. */
interface SessionFields {
  principal: string
  expiryMs: number
  detachedAt: number
  instance: number
  tag?: string | undefined
  owner?: string | undefined
}

export function sessionChange (session: Session): RecordChange {
  const fields: SessionFields =
    { principal: session.principal, expiryMs: session.expiryMs, detachedAt: session.detachedAt ?? 0,
      instance: session.instance, tag: session.tag, owner: session.owner }
  return { table: 'sessions', key: session.clientId, value: versioned(Buffer.from(JSON.stringify(fields))) }
}

export function readSession (record: StoredRecord):
{ clientId: ClientId, principal: Principal, expiryMs: number, detachedAt: TimeMs | undefined, instance: number,
  tag: string | undefined, owner: string | undefined } {
  const fields = JSON.parse(unversioned(record.value, record.key).toString()) as SessionFields
  return {
    clientId: record.key as ClientId,
    principal: fields.principal as Principal,
    expiryMs: fields.expiryMs,
    detachedAt: fields.detachedAt === 0 ? undefined : fields.detachedAt as TimeMs,
    instance: fields.instance,
    tag: fields.tag,
    owner: fields.owner
  }
}

// --- filters: the record's stamp says from where they count

const RETAINED_DUE = 0x80

/** @param from where it counts from, if that is not the place of this change itself */
export function filterChange (session: Session, filter: string, qos: QoS, retainedDue: boolean,
  from?: Offset): RecordChange {
  const value = Buffer.alloc(from === undefined ? 10 : 18)
  value[0] = VERSION
  value[1] = qos | (retainedDue ? RETAINED_DUE : 0)
  value.writeDoubleBE(session.instance, 2)
  if (from !== undefined) value.writeDoubleBE(from, 10)
  return { table: 'filters', key: sessionKey(session.clientId, filter), value }
}

export function readFilter (record: StoredRecord):
{ qos: QoS, retainedDue: boolean, instance: number, from: Offset } {
  const value = unversioned(record.value, record.key)
  return {
    qos: (value[0] & 3) as QoS,
    retainedDue: (value[0] & RETAINED_DUE) !== 0,
    instance: value.readDoubleBE(1),
    from: value.length >= 17 ? value.readDoubleBE(9) as Offset : record.at
  }
}

// --- QoS 2 messages received and not yet released: their packet identifiers

export function incomingChange (session: Session, packetId: PacketId): RecordChange {
  const value = Buffer.alloc(9)
  value[0] = VERSION
  value.writeDoubleBE(session.instance, 1)
  return { table: 'incoming', key: sessionKey(session.clientId, String(packetId)), value }
}

export function readIncoming (record: StoredRecord): { instance: number } {
  return { instance: unversioned(record.value, record.key).readDoubleBE(0) }
}

// --- cursors: how far all was sent, what of it is not acknowledged, what has to be told

export interface CursorFlight { packetId: PacketId, offset: Offset, qos: QoS, state: FlightState }

const FLIGHT_BYTES = 11
const GAP_BYTES = 5

export function cursorChange (session: Session): RecordChange {
  const flights = session.window?.ofCursor() ?? []
  const gaps = [...session.gaps ?? []]
  const value = Buffer.alloc(1 + 8 + 8 + 8 + 2 + flights.length * FLIGHT_BYTES + 1 + gaps.length * GAP_BYTES + 8)
  let at = value.writeUInt8(VERSION, 0)
  at = value.writeDoubleBE(session.instance, at)
  // A session that has caught up stands at the entry it was last sent; later ones did not match.
  at = value.writeDoubleBE(session.sent, at)
  at = value.writeDoubleBE(session.uncertainThrough, at)
  at = value.writeUInt16BE(flights.length, at)
  for (const flight of flights) {
    at = value.writeUInt16BE(flight.packetId, at)
    at = value.writeDoubleBE(flight.offset, at)
    const state = flight.state === FLIGHT_RELEASING ? FLIGHT_RELEASED : flight.state // true once this is durable
    at = value.writeUInt8(flight.qos | state << 2, at)
  }
  at = value.writeUInt8(gaps.length, at)
  for (const [reason, count] of gaps) {
    at = value.writeUInt8(GAP_REASONS.indexOf(reason), at)
    at = value.writeUInt32BE(Math.min(count, 0xffff_ffff), at)
  }
  value.writeDoubleBE(session.moves, at)
  return { table: 'cursors', key: session.clientId, value }
}

export interface Cursor {
  readonly instance: number
  readonly sent: Offset
  readonly uncertainThrough: Offset
  readonly flights: readonly CursorFlight[]
  readonly gaps: ReadonlyArray<[GapReason, number]>
  /** See Session.moves; 0 in records from before it was written. */
  readonly moves: number
}

export function readCursor (record: Omit<StoredRecord, 'at'>): Cursor {
  const value = unversioned(record.value, record.key)
  const instance = value.readDoubleBE(0)
  const sent = value.readDoubleBE(8) as Offset
  const uncertainThrough = value.readDoubleBE(16) as Offset
  const count = value.readUInt16BE(24)
  const flights: CursorFlight[] = []
  let at = 26
  for (let i = 0; i < count; i++, at += FLIGHT_BYTES) {
    const bits = value.readUInt8(at + 10)
    flights.push({
      packetId: value.readUInt16BE(at) as PacketId,
      offset: value.readDoubleBE(at + 2) as Offset,
      qos: (bits & 3) as QoS,
      state: (bits >> 2) as FlightState
    })
  }
  const gaps: Array<[GapReason, number]> = []
  const gapCount = value.readUInt8(at++)
  for (let i = 0; i < gapCount; i++, at += GAP_BYTES) {
    const reason = GAP_REASONS[value.readUInt8(at)]
    if (reason !== undefined) gaps.push([reason, value.readUInt32BE(at + 1)])
  }
  return { instance, sent, uncertainThrough, flights, gaps, moves: at + 8 <= value.length ? value.readDoubleBE(at) : 0 }
}

// --- when the server was last known to run, and whether it has stopped with all written down

const ALIVE_KEY = 'alive'

export function aliveChange (mark: Mark, isStopped: boolean): RecordChange {
  return { table: 'meta', key: ALIVE_KEY, value: versioned(Buffer.from(JSON.stringify({ ...mark, isStopped }))) }
}

/** Undefined for a log that no server has run on. */
export async function readAlive (store: Pick<Store, 'get'>):
Promise<Mark & { isStopped: boolean } | undefined> {
  const record = await store.get('meta', ALIVE_KEY)
  return record && JSON.parse(unversioned(record.value, record.key).toString())
}

// --- what a transport signs with

export const SECRET_BYTES = 32
const SECRET_KEY = 'secret'

export function secretChange (secret: Buffer): RecordChange {
  return { table: 'meta', key: SECRET_KEY, value: versioned(secret) }
}

/** Undefined where there is none, or none that is whole. */
export async function readSecret (store: Pick<Store, 'get'>): Promise<Buffer | undefined> {
  const record = await store.get('meta', SECRET_KEY)
  if (record?.value[0] !== VERSION || record.value.length !== 1 + SECRET_BYTES) return undefined
  return Buffer.from(unversioned(record.value, SECRET_KEY))
}

// --- messages that were set aside

const ASIDE_BYTES = 1 + 8 + 8 + 4 + 8

export function setAsideChange (session: Session, id: string,
  { offset, attempts, setAsideAt, message }: Omit<SetAsideMessage, 'id'>): RecordChange {
  const head = Buffer.alloc(ASIDE_BYTES)
  let at = head.writeUInt8(VERSION, 0)
  at = head.writeDoubleBE(session.instance, at)
  at = head.writeDoubleBE(offset, at)
  at = head.writeUInt32BE(attempts, at)
  head.writeDoubleBE(setAsideAt, at)
  const value = Buffer.concat([head, encodeMessage(message)])
  return { table: 'setAside', key: sessionKey(session.clientId, id), value }
}

export function readSetAside (record: StoredRecord): { instance: number, message: SetAsideMessage } {
  const value = unversioned(record.value, record.key)
  return {
    instance: value.readDoubleBE(0),
    message: {
      id: splitSessionKey(record.key).part,
      offset: value.readDoubleBE(8) as Offset,
      attempts: value.readUInt32BE(16),
      setAsideAt: value.readDoubleBE(20) as TimeMs,
      message: decodeMessage({ ...record, value: value.subarray(ASIDE_BYTES - 1) })
    }
  }
}

// --- single messages: retained ones and wills

/** A block of one. */
export function encodeMessage (message: Message): Buffer {
  return versioned(encodeBlock(ORIGIN, [message]))
}

export function decodeMessage (record: StoredRecord): Message {
  return new Block(unversioned(record.value, record.key)).message(0)!
}

/** When it expires, without reading the rest of it. */
export function expiryOf (record: StoredRecord): TimeMs | undefined {
  return new Block(unversioned(record.value, record.key)).extension(0)?.expiresAt
}

function versioned (value: Buffer): Buffer {
  return Buffer.concat([Buffer.from([VERSION]), value])
}

function unversioned (value: Buffer, key: string): Buffer {
  if (value[0] !== VERSION) throw new Error(`record ${JSON.stringify(key)} has unknown version ${value[0]}`)
  return value.subarray(1)
}
