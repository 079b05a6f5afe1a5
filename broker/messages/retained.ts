/**
 * Retained messages (MQTT 3.1.1, 3.3.1.3): the topics in memory, the messages in the store.
 * A retained message becomes durable in the same step as its entry in the log.
 */
import type { Clock } from '../system/clock.ts'
import { encodeMessage, decodeMessage } from '../session/records.ts'
import { HoldfastError } from '../model/errors.ts'
import type { RecordChange } from '../log/log.ts'
import { TopicTree, type TopicWalk } from '../log/topic-tree.ts'
import type { Message, Offset } from '../model/message.ts'
import type { Store, StoredRecord } from '../store/store.ts'

/** Nodes that are looked at in one go: for a yes or no, and for all that a program asks for. */
const LOOK_UNITS = 64
const SLICE_UNITS = 256

export class Retained {
  readonly #store: Store
  readonly #clock: Clock
  readonly #messagesMax: number
  /** Topic to the position of the log at which it was set. */
  readonly #topics = new TopicTree<Offset>()

  constructor (store: Store, messagesMax: number, clock: Clock) {
    this.#store = store
    this.#clock = clock
    this.#messagesMax = messagesMax
  }

  get size (): number { return this.#topics.size }

  async load (): Promise<void> {
    for await (const records of this.#store.records('retained')) {
      for (const record of records) this.#topics.set(record.key, record.at)
    }
  }

  /** Does it stand on a topic that has none? */
  grows ({ retain, payload, topic }: Message): boolean {
    return retain && payload.length > 0 && this.#topics.get(topic) === undefined
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
    if (message.payload.length === 0) this.#topics.delete(message.topic)
    else this.#topics.set(message.topic, at)
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
      if (record !== undefined) yield decodeMessage(record)
      if (slice.left > 0) continue
      slice.left = SLICE_UNITS
      await new Promise<void>((resolve) => { this.#clock.after(0, resolve) })
    }
  }

  /** The message, if it is the one that stood there at `notAfter`: a later one reaches subscribers by the log. */
  get (topic: string, notAfter: Offset): Message | undefined | Promise<Message | undefined> {
    const at = this.#topics.get(topic)
    if (at === undefined || at > notAfter) return undefined
    const message = (record: StoredRecord | undefined): Message | undefined =>
      record === undefined || record.at > notAfter ? undefined : decodeMessage(record)
    const answer = this.#store.get('retained', topic)
    return answer instanceof Promise ? answer.then(message) : message(answer)
  }
}
