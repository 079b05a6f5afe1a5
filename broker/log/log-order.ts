/**
 * The topic of each entry by its offset: the log in its own order. Reading on from any place costs the entries that
 * are read, in however many topics they lie [G8]. Kept in blocks of a fixed range of offsets, which go when they are
 * empty: 8 bytes for an entry, 16 where most of its block are gone.
 */
import type { Offset } from '../model/message.ts'

/** Offsets in a block: what has to be looked at, at most, for an entry that is known to be in it. */
export const BLOCK_OFFSETS = 128

export class Block<T> {
  /** The offset of the first place. */
  readonly start: number
  /** By place, undefined where the entry is gone. */
  topics: Array<T | undefined> = []
  /** The offsets of the places, once most entries are gone; before that they are consecutive. */
  #offsets: number[] | undefined
  left = 0

  constructor (start: number) {
    this.start = start
  }

  offsetAt (place: number): Offset {
    return (this.#offsets === undefined ? this.start + place : this.#offsets[place]) as Offset
  }

  /** The first place with an offset after this one; as many as there are places if there is none. */
  placeAfter (offset: Offset): number {
    if (this.#offsets === undefined) return Math.min(this.topics.length, Math.max(0, offset + 1 - this.start))
    let place = 0
    while (place < this.#offsets.length && this.#offsets[place] <= offset) place++
    return place
  }

  /** In the order of offsets, before anything was compacted. */
  append (offset: Offset, topic: T): void {
    while (this.start + this.topics.length < offset) this.topics.push(undefined)
    this.topics.push(topic)
    this.left++
  }

  at (offset: Offset): T | undefined {
    return this.topics[this.#offsets === undefined ? offset - this.start : this.#offsets.indexOf(offset)]
  }

  /** False where it is not there. */
  remove (offset: Offset): boolean {
    const place = this.#offsets === undefined ? offset - this.start : this.#offsets.indexOf(offset)
    if (this.topics[place] === undefined) return false
    this.topics[place] = undefined
    this.left--
    return true
  }

  /** No further entry will come. */
  close (): void {
    this.topics = this.topics.slice() // no spare capacity
    this.compact()
  }

  /** Closes the gaps, where it is worth it. */
  compact (): void {
    if (this.left * 3 > this.topics.length) return
    const offsets: number[] = []
    const topics: T[] = []
    for (let place = 0; place < this.topics.length; place++) {
      const topic = this.topics[place]
      if (topic === undefined) continue
      offsets.push(this.offsetAt(place))
      topics.push(topic)
    }
    this.#offsets = offsets.slice() // no spare capacity
    this.topics = topics.slice()
  }
}

export function blockOf (offset: Offset): number {
  return Math.floor(offset / BLOCK_OFFSETS)
}

export class LogOrder<T> {
  readonly #blocks = new Map<number, Block<T>>()
  #tail: Block<T> | undefined
  /** From which an entry was removed last; the next one is often in it, too. */
  #trimmed: Block<T> | undefined
  /** The highest offset that was ever appended. */
  last = 0 as Offset

  get blocks (): number { return this.#blocks.size }

  /** The offset of the oldest entry that is there. */
  get first (): Offset | undefined {
    for (const block of this.#blocks.values()) {
      const place = block.topics.findIndex((topic) => topic !== undefined)
      if (place >= 0) return block.offsetAt(place)
    }
    return undefined
  }

  block (number: number): Block<T> | undefined { return this.#blocks.get(number) }

  at (offset: Offset): T | undefined { return this.#blocks.get(blockOf(offset))?.at(offset) }

  /** In the order of offsets. */
  append (offset: Offset, topic: T): void {
    if (this.#tail === undefined || offset >= this.#tail.start + BLOCK_OFFSETS) {
      this.#tail?.close()
      const number = blockOf(offset)
      this.#blocks.set(number, this.#tail = new Block(number * BLOCK_OFFSETS))
    }
    this.#tail.append(offset, topic)
    this.last = offset
  }

  remove (offset: Offset): void {
    const number = blockOf(offset)
    const block = this.#trimmed?.start === number * BLOCK_OFFSETS ? this.#trimmed : this.#blocks.get(number)
    this.#trimmed = block
    if (block === undefined || !block.remove(offset)) return
    if (block.left === 0) {
      this.#blocks.delete(number)
      this.#trimmed = undefined
      if (block === this.#tail) this.#tail = undefined
    } else if (block !== this.#tail) block.compact()
  }
}
