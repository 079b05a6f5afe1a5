/**
 * The records of a data folder, each looked at when it is opened: what one flipped bit has damaged is put right, what
 * is damaged beyond that is put aside and told. A damaged key may lead anywhere, so every key is met, known or not.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { Block, blockFault } from './block.ts'
import type { Engine } from './engine.ts'
import {
  afterKey, blockKey, BLOCKS_START, DAMAGED_END, DAMAGED_START, damagedKey, decodeRecord, keyOfRecord, mendRecord,
  tableOf, type Operation
} from './layout.ts'
import { STATE_KEYS } from './state.ts'
import type { DamagedRecord } from './store.ts'

export const CHUNK_RECORDS = 1_000
export const CHUNK_BYTES = 16_777_216
/** Sentences in the log; what is beyond is counted. */
const NOTES_MAX = 20
const KEY_CHARS_MAX = 200

export interface CheckedRecords {
  /** Puts right, or aside. */
  readonly changes: readonly Operation[]
  /** Brings blocks to where they belong; must be done before blocks are read. */
  readonly moves: readonly Operation[]
  readonly damaged: readonly DamagedRecord[]
  readonly notes: readonly string[]
}

export async function checkRecords (folder: string, engine: Engine): Promise<CheckedRecords> {
  const changes: Operation[] = []
  const moves: Operation[] = []
  const damaged: DamagedRecord[] = []
  const notes: string[] = []
  const stretches = [[STATE_KEYS[0], DAMAGED_START], [DAMAGED_END, BLOCKS_START]]
  for (const [from, end] of stretches) {
    for (let start = from; ;) {
      const found = engine.range(start, end, CHUNK_RECORDS, CHUNK_BYTES)
      if (found.length === 0) break
      for (const { key, value } of found) {
        if (decodeRecord(key, value) !== undefined || STATE_KEYS.some(one => one.equals(key))) continue
        const block = mendedBlock(value)
        const right = block ?? mendRecord(key, value)
        if (right !== undefined && (right.key.equals(key) || engine.get(right.key) === undefined)) {
          const where = block === undefined ? changes : moves
          if (!right.key.equals(key)) where.push({ key, value: null })
          where.push(right)
          notes.push(`${nameOf(right.key)} in ${folder} was damaged and could be put right; nothing of it is lost.`)
          continue
        }
        changes.push({ key, value: null }, { key: damagedKey(key), value })
        damaged.push({ table: tableOf(key), key: keyOfRecord(key) })
        notes.push(`${nameOf(key)} in ${folder} is damaged and lost; its bytes are kept.`)
      }
      start = afterKey(found[found.length - 1].key)
      await nextTurn()
    }
  }
  if (notes.length > NOTES_MAX) {
    notes.splice(NOTES_MAX, Infinity, `${notes.length - NOTES_MAX} more records in ${folder} were damaged.`)
  }
  return { changes, moves, damaged, notes }
}

/** A sound block under a key that is not its own. */
export function mendedBlock (value: Buffer): { key: Buffer, value: Buffer } | undefined {
  const place = Block.placeOf(value)
  if (place === undefined || blockFault(value, place.first, place.count) !== undefined) return undefined
  return { key: blockKey(place.first, place.count), value }
}

/** For the log. */
export function nameOf (key: Buffer): string {
  const table = tableOf(key)
  if (table === undefined) return key[0] === BLOCKS_START[0] ? 'A block of messages' : 'A record of an unknown kind'
  const text = JSON.stringify(keyOfRecord(key))
  return `The record ${text.length <= KEY_CHARS_MAX ? text : text.slice(0, KEY_CHARS_MAX) + '..."'} of '${table}'`
}
