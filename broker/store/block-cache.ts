import { Placed } from '../message.ts'
import type { Entry, Offset } from '../message.ts'
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

  constructor (first: Offset, bytes: Buffer) {
    this.#block = new Block(bytes)
    this.first = first
    this.end = first + this.#block.count as Offset
    this.bytes = BLOCK_BYTES + bytes.length * 2 + this.#block.count * ENTRY_BYTES
  }

  /** The offset lies between `first` and `end`. Undefined where the message was trimmed before the block was written. */
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

/** The blocks that were read last, up to a number of bytes; one more than that only if it is alone. */
export class BlockCache {
  readonly #bytesMax: number
  /** In order of use. */
  readonly #blocks = new Map<Offset, CachedBlock>()
  #bytes = 0

  constructor (bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get (first: Offset): CachedBlock | undefined {
    const block = this.#blocks.get(first)
    if (block !== undefined) {
      this.#blocks.delete(first)
      this.#blocks.set(first, block)
    }
    return block
  }

  set (block: CachedBlock): void {
    this.delete(block.first)
    this.#blocks.set(block.first, block)
    this.#bytes += block.bytes
    for (const [first] of this.#blocks) {
      if (this.#bytes <= this.#bytesMax || first === block.first) return
      this.delete(first)
    }
  }

  delete (first: Offset): void {
    const block = this.#blocks.get(first)
    if (block === undefined) return
    this.#blocks.delete(first)
    this.#bytes -= block.bytes
  }
}
