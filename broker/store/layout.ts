/**
 * Keys and values in the embedded store. The first byte of a key says what it is:
 *
 *   00             the state of the log, one record
 *   10 + table     a record: table's place in TABLES, then the key in UTF-8; its value is the stamp (f64) and the bytes
 *   40             a damaged block, kept for whoever wants to look at it; the rest is the key it had
 *   FF             a block: offset of the first message (u64), number of messages (u32), both big-endian
 *
 * Blocks come last, so that appending fills the pages of the tree one after the other.
 */
import type { Offset } from '../message.ts'
import { TABLES } from './store.ts'
import type { StoredRecord, Table } from './store.ts'

/** Format of all this. One more means: an older version must not touch it. */
export const FORMAT = 1

const RECORDS = 0x10
const DAMAGED = 0x40
const BLOCKS = 0xFF
const BLOCK_KEY_BYTES = 13
const STAMP_BYTES = 8

export const STATE_KEY = Buffer.from([0])
export const BLOCKS_START = Buffer.from([BLOCKS])
/** Behind every block: a key longer than any of theirs. */
export const BLOCKS_END = Buffer.alloc(BLOCK_KEY_BYTES + 1, 0xFF)

/** One write of a transaction. */
export interface Operation {
  readonly key: Buffer
  /** null removes the key. */
  readonly value: Buffer | null
}

export interface State {
  readonly format: number
  readonly epoch: string
  /** The highest offset ever given when this was written; the blocks may know of higher ones. */
  readonly tail: Offset
  readonly clean: boolean
  /** Differs each time the store is opened; absent in logs from before there were notes. */
  readonly run?: string | undefined
}

export function encodeState (state: State): Buffer {
  return Buffer.from(JSON.stringify(state))
}

/** Throws where these are not the bytes of a state. */
export function decodeState (value: Buffer): State {
  const state = JSON.parse(value.toString()) as Partial<State>
  const { format, epoch, tail, clean, run } = state
  const sound = Number.isInteger(format) && typeof epoch === 'string' && Number.isSafeInteger(tail) &&
    typeof clean === 'boolean' && (run === undefined || typeof run === 'string')
  if (!sound) throw new Error('the state record is malformed')
  return state as State
}

export function blockKey (first: Offset, count: number): Buffer {
  const key = Buffer.allocUnsafe(BLOCK_KEY_BYTES)
  key[0] = BLOCKS
  key.writeBigUInt64BE(BigInt(first), 1)
  key.writeUInt32BE(count, 9)
  return key
}

export function splitBlockKey (key: Buffer): { first: Offset, count: number } {
  return { first: Number(key.readBigUInt64BE(1)) as Offset, count: key.readUInt32BE(9) }
}

/** Sorts after the key of this block and before the next. */
export function afterKey (key: Buffer): Buffer {
  return Buffer.concat([key, Buffer.alloc(1)])
}

export function damagedKey (key: Buffer): Buffer {
  return Buffer.concat([Buffer.from([DAMAGED]), key])
}

export function recordKey (table: Table, key: string): Buffer {
  const bytes = Buffer.allocUnsafe(1 + Buffer.byteLength(key))
  bytes[0] = RECORDS + TABLES.indexOf(table)
  bytes.write(key, 1)
  return bytes
}

/** Where the records of a table begin, and where those of the next do. */
export function tableRange (table: Table): { start: Buffer, end: Buffer } {
  const first = RECORDS + TABLES.indexOf(table)
  return { start: Buffer.from([first]), end: Buffer.from([first + 1]) }
}

export function encodeRecord (value: Buffer, at: Offset): Buffer {
  const bytes = Buffer.allocUnsafe(STAMP_BYTES + value.length)
  bytes.writeDoubleLE(at, 0)
  bytes.set(value, STAMP_BYTES)
  return bytes
}

/** @param key without the byte of the table; the value becomes a view of `bytes` */
export function decodeRecord (key: string, bytes: Buffer): StoredRecord {
  return { key, value: bytes.subarray(STAMP_BYTES), at: bytes.readDoubleLE(0) as Offset }
}

export function keyOfRecord (key: Buffer): string {
  return key.toString('utf8', 1)
}
