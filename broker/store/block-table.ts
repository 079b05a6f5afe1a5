import assert from 'node:assert/strict'
import type { Offset } from '../model/message.ts'

const CAPACITY_MIN = 1_024

// Columns of #numbers; the count is the first.
const LIVE = 1
const LIVE_BYTES = 2
const HELD_BYTES = 3
const COLUMNS = 4

/** What is known of a block without reading it. */
export interface BlockFacts {
  readonly first: Offset
  /** Offsets that the block covers, trimmed ones included. */
  readonly count: number
  readonly live: number
  /** As messageBytes() counts. */
  readonly liveBytes: number
  /** The same of all messages that its bytes hold, live or not. */
  readonly heldBytes: number
}

/** All blocks of the log in order, in columns: 24 bytes of memory for a block, whatever it holds. */
export class BlockTable {
  #first = new Float64Array(CAPACITY_MIN)
  #numbers = new Uint32Array(CAPACITY_MIN * COLUMNS)
  #length = 0
  #dead = 0

  /** Adds the block that follows all others. */
  push ({ first, count, live, liveBytes, heldBytes }: BlockFacts): void {
    assert(this.#length === 0 || first > this.#first[this.#length - 1], `block ${first} comes after the last one`)
    if (this.#length === this.#first.length) this.#resize(this.#length * 2)
    this.#first[this.#length] = first
    this.#numbers.set([count, live, liveBytes, heldBytes], this.#length++ * COLUMNS)
  }

  /** The block that covers the offset, unless none is left. */
  find (offset: Offset): BlockFacts | undefined {
    const i = this.#search(offset)
    if (i < 0) return undefined
    const n = i * COLUMNS
    const [count, live] = [this.#numbers[n], this.#numbers[n + LIVE]]
    const first = this.#first[i] as Offset
    if (offset >= first + count || live === 0) return undefined
    return { first, count, live, liveBytes: this.#numbers[n + LIVE_BYTES], heldBytes: this.#numbers[n + HELD_BYTES] }
  }

  /** Takes new numbers for a block that is there; without live messages it is forgotten. */
  update ({ first, live, liveBytes, heldBytes }: Omit<BlockFacts, 'count'>): void {
    const i = this.#search(first)
    assert(i >= 0 && this.#first[i] === first, `block ${first} is known`)
    this.#numbers.set([live, liveBytes, heldBytes], i * COLUMNS + LIVE)
    if (live > 0) return
    this.#dead++
    if (this.#dead * 2 > this.#length && this.#length > CAPACITY_MIN) this.#compact()
  }

  /** Index of the last block that begins at the offset or before it, -1 if there is none. */
  #search (offset: Offset): number {
    let low = 0
    let high = this.#length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#first[middle] <= offset) low = middle + 1
      else high = middle
    }
    return low - 1
  }

  #compact (): void {
    let to = 0
    for (let from = 0; from < this.#length; from++) {
      if (this.#numbers[from * COLUMNS + LIVE] === 0) continue
      this.#first[to] = this.#first[from]
      this.#numbers.copyWithin(to++ * COLUMNS, from * COLUMNS, (from + 1) * COLUMNS)
    }
    this.#length = to
    this.#dead = 0
    this.#resize(Math.max(CAPACITY_MIN, to * 2))
  }

  #resize (capacity: number): void {
    const first = new Float64Array(capacity)
    const numbers = new Uint32Array(capacity * COLUMNS)
    first.set(this.#first.subarray(0, this.#length))
    numbers.set(this.#numbers.subarray(0, this.#length * COLUMNS))
    this.#first = first
    this.#numbers = numbers
  }
}
