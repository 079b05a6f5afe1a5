/**
 * The entries of one topic that are still in the log, as the index holds them: where they are, how many bytes, and
 * the entry itself while it is recent. Three flat arrays, because there may be millions of entries.
 */
import type { Entry, Offset, QoS } from '../message.ts'

/** An entry that a session is to receive, as the index knows it. */
export interface Found {
  readonly offset: Offset
  readonly topic: TopicLog
  /** Kept from when it was found; what is not here has to be read from the store. */
  entry: Entry | undefined
  /** Highest QoS of the session's filters that match [MQTT-3.3.5-1]. */
  qos: QoS
}

const COMPACT_MIN = 512

/** @typeParam R what the index remembers of each filter that matches the topic */
export class TopicLog<R = unknown> {
  readonly topic: string
  /** The filters that match the topic, as of `routesVersion` of the filter tree. */
  routes: readonly R[] = NO_ROUTES
  routesVersion = -1
  /** Waits for the sweeper to look whether something can be trimmed. */
  dirty = false
  #offsets: number[] = []
  /** Bytes of this topic up to and including the entry, since the index was made. */
  #ends: number[] = []
  #entries: Array<Entry | undefined> = []
  #head = 0
  /** Bytes of this topic before the first entry that is still there. */
  #base = 0

  constructor (topic: string) {
    this.topic = topic
  }

  get length (): number { return this.#offsets.length - this.#head }
  get first (): Offset { return this.#offsets[this.#head] as Offset }
  get last (): Offset { return this.#offsets[this.#offsets.length - 1] as Offset }
  get bytes (): number { return this.#total - this.#base }
  get #total (): number { return this.#ends.length === 0 ? this.#base : this.#ends[this.#ends.length - 1] }

  append (offset: Offset, bytes: number, entry: Entry | undefined): void {
    const end = this.#total + bytes
    if (this.#offsets.length === 0) { // most topics hold one entry at a time: no spare capacity
      this.#offsets = [offset]
      this.#ends = [end]
      this.#entries = [entry]
      this.#head = 0
    } else {
      this.#offsets.push(offset)
      this.#ends.push(end)
      this.#entries.push(entry)
    }
  }

  countAfter (offset: Offset): number {
    return this.#offsets.length - this.indexAfter(offset)
  }

  bytesAfter (offset: Offset): number {
    const index = this.indexAfter(offset)
    return this.#total - (index === this.#head ? this.#base : this.#ends[index - 1])
  }

  get end (): number { return this.#offsets.length }
  offsetAt (index: number): Offset { return this.#offsets[index] as Offset }

  foundAt (index: number, qos: QoS): Found {
    return { offset: this.#offsets[index] as Offset, topic: this, entry: this.#entries[index], qos }
  }

  /** Appends to `into` at most `limit` entries after an offset, ascending. */
  findAfter (after: Offset, limit: number, qos: QoS, into: Found[]): void {
    const start = this.indexAfter(after)
    const stop = Math.min(this.#offsets.length, start + limit)
    for (let i = start; i < stop; i++) into.push(this.foundAt(i, qos))
  }

  /** Lets go of the entry in memory; it can be read from the store. Returns the bytes set free. */
  evict (offset: Offset): number {
    const index = this.indexAfter((offset - 1) as Offset)
    if (this.#offsets[index] !== offset || this.#entries[index] === undefined) return 0
    this.#entries[index] = undefined
    return this.#ends[index] - (index === this.#head ? this.#base : this.#ends[index - 1])
  }

  /**
   * Removes the entries up to `offset`, but at most `limit`, appending their offsets to `into`. Returns the bytes set
   * free in memory.
   */
  dropThrough (offset: Offset, limit: number, into: number[]): number {
    const stop = Math.min(this.indexAfter(offset), this.#head + limit)
    let cached = 0
    for (let i = this.#head; i < stop; i++) {
      into.push(this.#offsets[i])
      if (this.#entries[i] !== undefined) {
        cached += this.#ends[i] - this.#base
        this.#entries[i] = undefined
      }
      this.#base = this.#ends[i]
    }
    this.#head = stop
    this.#compact()
    return cached
  }

  /** Removes one entry from the middle; false if it is not there. */
  drop (offset: Offset): boolean {
    const index = this.indexAfter((offset - 1) as Offset)
    if (this.#offsets[index] !== offset) return false
    const bytes = this.#ends[index] - (index === this.#head ? this.#base : this.#ends[index - 1])
    this.#offsets.splice(index, 1)
    this.#ends.splice(index, 1)
    this.#entries.splice(index, 1)
    for (let i = index; i < this.#ends.length; i++) this.#ends[i] -= bytes
    return true
  }

  /**
   * Index of the first entry after `offset`, `end` if there is none; good until the next change. Sessions are nearly
   * always near the end, so that is where to look first.
   */
  indexAfter (offset: Offset): number {
    const offsets = this.#offsets
    let high = offsets.length
    if (high === this.#head || offsets[high - 1] <= offset) return high
    let low = this.#head
    if (offsets[low] > offset) return low
    let step = 16
    while (high - step > low && offsets[high - step] > offset) {
      high -= step
      step *= 2
    }
    low = Math.max(low, high - step)
    while (low < high) {
      const middle = (low + high) >>> 1
      if (offsets[middle] <= offset) low = middle + 1
      else high = middle
    }
    return low
  }

  #compact (): void {
    if (this.#head < COMPACT_MIN || this.#head * 2 < this.#offsets.length) return
    this.#offsets = this.#offsets.slice(this.#head)
    this.#ends = this.#ends.slice(this.#head)
    this.#entries = this.#entries.slice(this.#head)
    this.#head = 0
  }
}

const NO_ROUTES: readonly never[] = []
