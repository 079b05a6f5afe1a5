/**
 * The state of the log: one record, kept twice and written together, so that damage to one costs nothing. JSON, and for
 * every format to come the last field is `crc`, the CRC-32 of the text before it: so it can be told whether a folder is
 * of another version or damaged.
 */
import { crc32 } from 'node:zlib'
import { HoldfastError } from '../model/errors.ts'
import type { Offset } from '../model/message.ts'
import type { Operation } from './layout.ts'

/**
 * Format of all that is in the folder. One more means: an older version must not touch it, and this one must know how
 * to bring older folders up to it, or refuse them. 1 had no checksums of
 * records, 2 no room for a message to grow; neither was released.
 */
export const FORMAT = 3

export const STATE_KEYS: readonly Buffer[] = [Buffer.from([0]), Buffer.from([1])]

const CRC = /,"crc":(\d+)\}$/

export interface State {
  readonly format: number
  readonly epoch: string
  /** The highest offset ever given when this was written; the blocks may know of higher ones. */
  readonly tail: Offset
  readonly clean: boolean
  /** Differs each time the store is opened. */
  readonly run?: string | undefined
  /** A backup made it, and no server has opened it yet: its epoch is not its own. */
  readonly isCopy?: boolean | undefined
}

export function stateOperations (state: State): Operation[] {
  const value = encodeState(state)
  return STATE_KEYS.map(key => ({ key, value }))
}

export function encodeState ({ format, epoch, tail, clean, run, isCopy }: State): Buffer {
  const text = JSON.stringify({ format, epoch, tail, clean, run, isCopy }).slice(0, -1)
  return Buffer.from(`${text},"crc":${crc32(text)}}`)
}

/**
 * What the copies say, and whether one of them is damaged; undefined where there is none.
 * Throws an Error if no copy is sound, HoldfastError DATA_NEWER or DATA_OLDER if they are of another format.
 */
export function readState (folder: string, copies: ReadonlyArray<Buffer | undefined>):
{ state: State, isHalf: boolean } | undefined {
  if (copies.every(copy => copy === undefined)) return undefined
  const states = copies.map(copy => copy === undefined ? undefined : decodeState(copy))
  const state = states.find(one => one !== undefined)
  if (state === undefined) throw new Error('the state record is malformed')
  if (state.format > FORMAT) {
    throw new HoldfastError('DATA_NEWER',
      `${folder} has format ${state.format}, this version reads ${FORMAT}. Use the version that wrote it`)
  }
  if (state.format < FORMAT) {
    throw new HoldfastError('DATA_OLDER',
      `${folder} has format ${state.format}, this version reads ${FORMAT} and can't convert it. ` +
      'Drain it with the version that wrote it, or move it away to begin with an empty log')
  }
  return { state, isHalf: states.includes(undefined) }
}

/** Undefined where these are not the bytes of a state. The first format had no checksum. */
function decodeState (value: Buffer): State | undefined {
  const text = value.toString()
  const crc = CRC.exec(text)
  if (crc !== null && crc32(text.slice(0, crc.index)) !== Number(crc[1])) return undefined
  try {
    const { format, epoch, tail, clean, run, isCopy } = JSON.parse(text) as Partial<State>
    const isSound = Number.isInteger(format) && typeof epoch === 'string' && Number.isSafeInteger(tail) &&
      typeof clean === 'boolean' && (run === undefined || typeof run === 'string') &&
      (isCopy === undefined || typeof isCopy === 'boolean') && (crc !== null || format === 1)
    return isSound ? { format: format!, epoch, tail: tail!, clean, run, isCopy } : undefined
  } catch {
    return undefined
  }
}
