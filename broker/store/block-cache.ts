import { Placed } from '../model/message.ts'
import type { Entry, Offset } from '../model/message.ts'
import { Block } from './block.ts'

/** An entry and its strings beside the bytes of the block, and what a transport keeps with it. */
const ENTRY_BYTES = 400
/** Bytes of the table and the block for each that is held. */
const BLOCK_BYTES = 500

/** A block in memory. Its entries are made once, and shared by all sessions that read it. */
export class CachedBlock {
  readonly first: Offset
  readonly end: Offset
  readonly bytes: number
  readonly #block: Block
  readonly #entries: Array<Entry | undefined> = []

  constructor (bytes: Buffer) {
    this.#block = new Block(bytes)
    this.first = this.#block.first
    this.end = this.first + this.#block.count as Offset
    this.bytes = BLOCK_BYTES + bytes.length * 2 + this.#block.count * ENTRY_BYTES
  }

  /** The offset lies between `first` and `end`. Undefined where the message was trimmed before that was written. */
  entry (offset: Offset): Entry | undefined {
    const k = offset - this.first
    let entry = this.#entries[k]
    if (entry === undefined) {
      const message = this.#block.message(k)
      if (message !== undefined) entry = this.#entries[k] = new Placed(message, offset)
    }
    return entry
  }
}

/**
 * The blocks that were read last, about as many bytes as it was given, at least one. Two halves: what is not asked
 * for while one half fills up goes. (One ordered Map would be slow: it is searched through all that was deleted.)
 */
export class BlockCache {
  readonly #halfMax: number
  #young = new Map<Offset, CachedBlock>()
  #old = new Map<Offset, CachedBlock>()
  #youngBytes = 0

  constructor (bytesMax: number) {
    this.#halfMax = bytesMax / 2
  }

  get (first: Offset): CachedBlock | undefined {
    const young = this.#young.get(first)
    if (young !== undefined) return young
    const old = this.#old.get(first)
    if (old !== undefined) this.set(old)
    return old
  }

  /** The block must not be there, or be one that get() gave. */
  set (block: CachedBlock): void {
    this.#old.delete(block.first)
    if (this.#youngBytes + block.bytes > this.#halfMax) {
      this.#old = this.#young
      this.#young = new Map()
      this.#youngBytes = 0
    }
    this.#young.set(block.first, block)
    this.#youngBytes += block.bytes
  }

  delete (first: Offset): void {
    this.#old.delete(first)
    const young = this.#young.get(first)
    if (young === undefined) return
    this.#young.delete(first)
    this.#youngBytes -= young.bytes
  }
}
