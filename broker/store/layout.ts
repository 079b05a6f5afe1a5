/**
 * Keys and values in the embedded store. The first byte of a key says what it is:
 *
 *   00, 01         the state of the log, twice (state.ts)
 *   10 + table     a record: table's place in TABLES, then the key in UTF-8; its value is the stamp (f64), the bytes,
 *                  and the CRC-32 (u32) of the key and all that comes before
 *   40             a damaged block or record, kept for whoever wants to look at it; the rest is the key it had
 *   FF             a block: offset of the first message (u64), number of messages (u32), both big-endian
 *
 * Blocks come last, so that appending fills the pages of the tree one after the other.
 */
import { crc32 } from 'node:zlib'
import type { Offset } from '../model/message.ts'
import { CRC_BYTES, CRC_RESIDUE, withoutFlippedBit } from './crc.ts'
import { TABLES } from './store.ts'
import type { StoredRecord, Table } from './store.ts'

const RECORDS = 0x10
const DAMAGED = 0x40
const BLOCKS = 0xFF
const BLOCK_KEY_BYTES = 13
const STAMP_BYTES = 8

export const BLOCKS_START = Buffer.from([BLOCKS])
/** Where what is damaged and kept lies: between records and blocks. */
export const DAMAGED_START = Buffer.from([DAMAGED])
export const DAMAGED_END = Buffer.from([DAMAGED + 1])
/** Behind every block: a key longer than any of theirs. */
export const BLOCKS_END = Buffer.alloc(BLOCK_KEY_BYTES + 1, 0xFF)

/** One write of a transaction. */
export interface Operation {
  readonly key: Buffer
  /** null removes the key. */
  readonly value: Buffer | null
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

/** Key and value are parts of one piece of memory, so that their CRC-32 is one call. */
export function encodeRecord (table: Table, key: string, value: Buffer, at: Offset): { key: Buffer, value: Buffer } {
  const keyEnd = 1 + Buffer.byteLength(key)
  const end = keyEnd + STAMP_BYTES + value.length
  const bytes = Buffer.allocUnsafe(end + CRC_BYTES)
  bytes[0] = RECORDS + TABLES.indexOf(table)
  bytes.write(key, 1)
  bytes.writeDoubleLE(at, keyEnd)
  bytes.set(value, keyEnd + STAMP_BYTES)
  bytes.writeUInt32LE(crc32(bytes.subarray(0, end)), end)
  return { key: bytes.subarray(0, keyEnd), value: bytes.subarray(keyEnd) }
}

/** The record of this key, its value a view of `bytes`; undefined if one of them is damaged, or it is no record. */
export function decodeRecord (key: Buffer, bytes: Buffer): StoredRecord | undefined {
  if (tableOf(key) === undefined || bytes.length < STAMP_BYTES + CRC_BYTES) return undefined
  if (crc32(bytes, crc32(key)) !== CRC_RESIDUE) return undefined
  const value = bytes.subarray(STAMP_BYTES, bytes.length - CRC_BYTES)
  return { key: keyOfRecord(key), value, at: bytes.readDoubleLE(0) as Offset }
}

/** The record as it was before one bit of it, or of its key, was flipped; undefined where that is not the damage. */
export function mendRecord (key: Buffer, bytes: Buffer): { key: Buffer, value: Buffer } | undefined {
  const right = withoutFlippedBit(Buffer.concat([key, bytes]))
  if (right === undefined) return undefined
  const mended = { key: right.subarray(0, key.length), value: right.subarray(key.length) }
  return decodeRecord(mended.key, mended.value) === undefined ? undefined : mended
}

/** As decodeRecord(), also where one bit of the value was flipped. */
export function readRecord (key: Buffer, bytes: Buffer): StoredRecord | undefined {
  const record = decodeRecord(key, bytes)
  if (record !== undefined) return record
  const right = mendRecord(key, bytes)
  return right?.key.equals(key) === true ? decodeRecord(key, right.value) : undefined
}

/** The table of a record's key; undefined for any other key. */
export function tableOf (key: Buffer): Table | undefined {
  return TABLES[key[0] - RECORDS]
}

export function keyOfRecord (key: Buffer): string {
  return key.toString('utf8', 1)
}
