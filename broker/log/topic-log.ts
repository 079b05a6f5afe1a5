/**
 * The entries of one topic that are still in the log, as the index holds them: where they are, and how many bytes.
 * There may be millions of topics, nearly all with one entry at a time: that one needs no list.
 */
import { ORIGIN, type Entry, type Offset, type QoS } from '../model/message.ts'
import { Places } from './places.ts'

/** An entry that a session is to receive, as the index knows it. */
export interface Found {
  readonly offset: Offset
  readonly topic: TopicLog
  /** Kept from when it was found; what is not here has to be read from the store. */
  entry: Entry | undefined
  /** Highest QoS of the session's filters that match [MQTT-3.3.5-1]. */
  qos: QoS
}

/** @typeParam R what the index remembers of each filter that matches the topic */
export class TopicLog<R = unknown> {
  readonly topic: string
  /** The filters that match the topic, as of `routesVersion` of the filter tree. */
  routes: readonly R[] = NO_ROUTES
  routesVersion = -1
  /** Waits for the sweeper to look whether something can be trimmed. */
  dirty = false
  /** The entry, where it is the only one; ORIGIN where there is none. */
  #only: Offset = ORIGIN
  #onlyBytes = 0
  /** All of them, where they are more. */
  #places: Places | undefined

  constructor (topic: string) {
    this.topic = topic
  }

  /** Indexes go up to the one before `end`; they are good until the next change. */
  get end (): number { return this.#places === undefined ? (this.#only === ORIGIN ? 0 : 1) : this.#places.end }
  get length (): number { return this.#places === undefined ? this.end : this.#places.length }
  get first (): Offset { return this.#places === undefined ? this.#only : this.#places.first }
  get last (): Offset { return this.#places === undefined ? this.#only : this.#places.last }
  get bytes (): number { return this.#places === undefined ? this.#onlyBytes : this.#places.bytes }

  append (offset: Offset, bytes: number): void {
    if (this.#places === undefined) {
      if (this.#only === ORIGIN) {
        this.#only = offset
        this.#onlyBytes = bytes
        return
      }
      this.#places = new Places()
      this.#places.append(this.#only, this.#onlyBytes)
      this.#clear()
    }
    this.#places.append(offset, bytes)
  }

  #clear (): void {
    this.#only = ORIGIN
    this.#onlyBytes = 0
  }

  offsetAt (index: number): Offset { return this.#places === undefined ? this.#only : this.#places.offsetAt(index) }

  /** Index of the first entry after `offset`, `end` if there is none. */
  indexAfter (offset: Offset): number {
    return this.#places === undefined ? (this.#only > offset ? 0 : this.end) : this.#places.indexAfter(offset)
  }

  countAfter (offset: Offset): number { return this.end - this.indexAfter(offset) }

  bytesAfter (offset: Offset): number {
    return this.#places === undefined
      ? (this.#only > offset ? this.#onlyBytes : 0)
      : this.#places.bytesAfter(offset)
  }

  foundAt (index: number, qos: QoS): Found {
    return { offset: this.offsetAt(index), topic: this, entry: undefined, qos }
  }

  /** Removes the entries up to `offset`, but at most `limit`, appending their offsets to `into`. */
  dropThrough (offset: Offset, limit: number, into: number[]): void {
    if (this.#places !== undefined) {
      this.#places.dropThrough(offset, limit, into)
      if (this.#places.length === 0) this.#places = undefined
    } else if (limit > 0 && this.#only !== ORIGIN && this.#only <= offset) {
      into.push(this.#only)
      this.#clear()
    }
  }

  /** Removes one entry, wherever it stands; false if it is not there. */
  drop (offset: Offset): boolean {
    if (this.#places !== undefined) {
      const isThere = this.#places.drop(offset)
      if (this.#places.length === 0) this.#places = undefined
      return isThere
    }
    if (this.#only === ORIGIN || this.#only !== offset) return false
    this.#clear()
    return true
  }
}

const NO_ROUTES: readonly never[] = []
