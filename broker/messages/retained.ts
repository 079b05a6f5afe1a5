/**
 * Retained messages (MQTT 3.1.1, 3.3.1.3): the topics in memory, the messages in the store.
 * A retained message becomes durable in the same step as its entry in the log.
 */
import type { Clock } from '../system/clock.ts'
import { encodeMessage, decodeMessage, expiryOf } from '../session/records.ts'
import { HoldfastError } from '../model/errors.ts'
import type { RecordChange } from '../log/log.ts'
import { Expiries } from '../log/expiries.ts'
import { TopicTree, type TopicWalk } from '../log/topic-tree.ts'
import { isExpired, type Message, type Offset, type TimeMs } from '../model/message.ts'
import type { Store, StoredRecord } from '../store/store.ts'

/** Nodes that are looked at in one go: for a yes or no, and for all that a program asks for. */
const LOOK_UNITS = 64
const SLICE_UNITS = 256
/** Retained messages that expire, and are cleared away, in one go. */
const EXPIRE_MAX = 1_000
/** A message on a topic waits for the disk: looked at again after so long. */
const EXPIRE_PAUSE_MS = 1_000
/** What is forgotten of messages that were replaced, once they are so many. */
const EXPIRIES_MIN = 1_024

export class Retained {
  readonly #store: Store
  readonly #clock: Clock
  readonly #messagesMax: number
  /** Topic to the position of the log at which it was set. */
  readonly #topics = new TopicTree<Offset>()
  /** Of the message that stands on a topic now, where it has one. */
  readonly #expiresAt = new Map<string, TimeMs>()
  readonly #expiries = new Expiries<{ readonly topic: string, readonly at: TimeMs }>()
  /** Topics with changes that wait for the disk, and how many. */
  readonly #queued = new Map<string, number>()
  expired = 0

  constructor (store: Store, messagesMax: number, clock: Clock) {
    this.#store = store
    this.#clock = clock
    this.#messagesMax = messagesMax
  }

  get size (): number { return this.#topics.size }

  async load (): Promise<void> {
    for await (const records of this.#store.records('retained')) {
      for (const record of records) {
        this.#topics.set(record.key, record.at)
        this.#expires(record.key, expiryOf(record))
      }
    }
  }

  /** Does it stand on a topic that has none? */
  grows ({ retain, payload, topic }: Message): boolean {
    return retain && payload.length > 0 && this.#topics.get(topic) === undefined
  }

  #expires (topic: string, at: TimeMs | undefined): void {
    if (at === undefined) {
      this.#expiresAt.delete(topic)
      return
    }
    this.#expiresAt.set(topic, at)
    this.#expiries.add(at, { topic, at })
    const { size } = this.#expiries
    if (size > EXPIRIES_MIN && size > this.#topics.size * 2) {
      this.#expiries.keep((one) => this.#expiresAt.get(one.topic) === one.at)
    }
  }

  /** Forgets some of those whose time is over; what has to be written for it [G9]. */
  expire (now: TimeMs): RecordChange[] {
    const changes: RecordChange[] = []
    for (let n = 0; n < EXPIRE_MAX; n++) {
      const one = this.#expiries.take(now)
      if (one === undefined) break
      if (this.#expiresAt.get(one.topic) !== one.at) continue // another one stands there, or none
      if (this.#queued.has(one.topic)) { // what takes its place must not be cleared behind it
        this.#expiries.add((now + EXPIRE_PAUSE_MS) as TimeMs, one)
        continue
      }
      this.#topics.delete(one.topic)
      this.#expiresAt.delete(one.topic)
      this.expired++
      changes.push({ table: 'retained', key: one.topic, value: null })
    }
    return changes
  }

  /** A change waits for the disk; call what is returned when it does no more. */
  queued (topic: string): () => void {
    this.#queued.set(topic, (this.#queued.get(topic) ?? 0) + 1)
    return () => {
      const left = this.#queued.get(topic)! - 1
      if (left === 0) this.#queued.delete(topic)
      else this.#queued.set(topic, left)
    }
  }

  /** What has to be written with a message that has RETAIN set: an empty payload clears [MQTT-3.3.1-10, -11]. */
  change (message: Message): RecordChange {
    if (message.payload.length === 0) return { table: 'retained', key: message.topic, value: null }
    if (this.#topics.size >= this.#messagesMax && this.grows(message)) {
      throw new HoldfastError('RETAINED_FULL',
        `retainedMessagesMax = ${this.#messagesMax}; clear one with an empty payload`)
    }
    return { table: 'retained', key: message.topic, value: encodeMessage(message) }
  }

  /** The change has become durable. */
  applied (message: Message, at: Offset): void {
    const isCleared = message.payload.length === 0
    if (isCleared) this.#topics.delete(message.topic)
    else this.#topics.set(message.topic, at)
    this.#expires(message.topic, isCleared ? undefined : message.extension?.expiresAt)
  }

  /** Looks for the topics that a filter matches. */
  walk (filter: string): TopicWalk<Offset> { return this.#topics.walk(filter) }

  /** False where a filter matches none; true also where that takes a long search to know [G8]. */
  mayMatch (filter: string): boolean {
    const walk = this.walk(filter)
    return walk.next({ left: LOOK_UNITS }) !== undefined || !walk.isOver
  }

  /** The messages that a filter matches, as they are when they are asked for; in slices [G8]. */
  async * messages (filter: string): AsyncIterableIterator<Message> {
    const walk = this.walk(filter)
    const slice = { left: SLICE_UNITS }
    while (!walk.isOver) {
      const topic = walk.next(slice)
      const record = topic === undefined ? undefined : await this.#store.get('retained', topic)
      const message = record === undefined ? undefined : decodeMessage(record)
      if (message !== undefined && !isExpired(message, this.#clock.now())) yield message
      if (slice.left > 0) continue
      slice.left = SLICE_UNITS
      await new Promise<void>((resolve) => { this.#clock.after(0, resolve) })
    }
  }

  /** The message, if it is the one that stood there at `notAfter`: a later one reaches subscribers by the log. */
  get (topic: string, notAfter: Offset): Message | undefined | Promise<Message | undefined> {
    const at = this.#topics.get(topic)
    if (at === undefined || at > notAfter) return undefined
    const message = (record: StoredRecord | undefined): Message | undefined => {
      if (record === undefined || record.at > notAfter) return undefined
      const found = decodeMessage(record)
      return isExpired(found, this.#clock.now()) ? undefined : found
    }
    const answer = this.#store.get('retained', topic)
    return answer instanceof Promise ? answer.then(message) : message(answer)
  }
}
