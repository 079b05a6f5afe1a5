/**
 * Which blocks of the log hold entries of one filter, and how many: three numbers for a block, however many entries and
 * topics it has. How much comes after a place is a binary search, and reading on looks at these blocks only [G8].
 * What was counted once stays counted when it is trimmed: nobody asks for what is before their position.
 */
import type { Offset } from '../model/message.ts'
import { blockOf } from './log-order.ts'

/** Number of the block, and the messages and bytes that were counted before it. */
const FIELDS = 3
const COMPACT_MIN = 512

export class Postings {
  readonly #since: Offset
  #items: number[] = []
  #head = 0
  #messages = 0
  #bytes = 0

  /** @param since entries up to this one are not counted */
  constructor (since: Offset) {
    this.#since = since
  }

  get messages (): number { return this.#messages }
  get bytes (): number { return this.#bytes }
  /** Blocks that hold entries of the filter. */
  get length (): number { return (this.#items.length - this.#head) / FIELDS }

  /** An entry that matches, in the order of offsets. */
  note (offset: Offset, bytes: number): void {
    const block = blockOf(offset)
    const items = this.#items
    if (items.length === 0) this.#items = [block, this.#messages, this.#bytes] // no spare capacity
    else if (items[items.length - FIELDS] !== block) items.push(block, this.#messages, this.#bytes)
    this.#messages++
    this.#bytes += bytes
  }

  /** An entry that was noted turned out to be none. */
  forget (offset: Offset, bytes: number): void {
    if (offset <= this.#since) return
    const next = this.seek(blockOf(offset) + 1)
    if (next === 0 || this.blockAt(next - 1) !== blockOf(offset)) return
    for (let at = this.#head + next * FIELDS; at < this.#items.length; at += FIELDS) {
      this.#items[at + 1]--
      this.#items[at + 2] -= bytes
    }
    this.#messages--
    this.#bytes -= bytes
  }

  blockAt (index: number): number { return this.#items[this.#head + index * FIELDS] }

  /** Index of the first block with this number or a later one; `length` if there is none. */
  seek (block: number): number {
    let low = 0
    let high = this.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.blockAt(middle) < block) low = middle + 1
      else high = middle
    }
    return low
  }

  messagesFrom (index: number): number {
    return index >= this.length ? 0 : this.#messages - this.#items[this.#head + index * FIELDS + 1]
  }

  bytesFrom (index: number): number {
    return index >= this.length ? 0 : this.#bytes - this.#items[this.#head + index * FIELDS + 2]
  }

  /** Nobody looks at the first block any more. */
  dropFirst (): void {
    this.#head += FIELDS
    if (this.#head === this.#items.length) this.#items = []
    else if (this.#head < COMPACT_MIN || this.#head * 2 < this.#items.length) return
    else this.#items = this.#items.slice(this.#head)
    this.#head = 0
  }
}
