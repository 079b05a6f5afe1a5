/**
 * Retained messages (MQTT 3.1.1, 3.3.1.3): the topics in memory, the messages in the store.
 * A retained message becomes durable in the same step as its entry in the log.
 */
import { encodeMessage, decodeMessage } from './session/records.ts'
import { HoldfastError } from './errors.ts'
import type { RecordChange } from './log/log.ts'
import { TopicTree } from './log/topic-tree.ts'
import type { Message, Offset } from './message.ts'
import type { Store } from './store/store.ts'

export class Retained {
  readonly #store: Store
  readonly #messagesMax: number
  /** Topic to the position of the log at which it was set. */
  readonly #topics = new TopicTree<Offset>()

  constructor (store: Store, messagesMax: number) {
    this.#store = store
    this.#messagesMax = messagesMax
  }

  get size (): number { return this.#topics.size }

  async load (): Promise<void> {
    for await (const records of this.#store.records('retained')) {
      for (const record of records) this.#topics.set(record.key, record.at)
    }
  }

  /** What has to be written with a message that has RETAIN set: an empty payload clears [MQTT-3.3.1-10, -11]. */
  change (message: Message): RecordChange {
    if (message.payload.length === 0) return { table: 'retained', key: message.topic, value: null }
    if (this.#topics.size >= this.#messagesMax && this.#topics.get(message.topic) === undefined) {
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

  /** The topics that a filter matches; costs what it matches, however many there are [G8]. */
  matching (filter: string): IterableIterator<string> { return this.#topics.match(filter) }

  /** The messages that a filter matches, as they are when they are asked for. */
  async * messages (filter: string): AsyncIterableIterator<Message> {
    for (const topic of [...this.matching(filter)]) {
      const record = await this.#store.get('retained', topic)
      if (record !== undefined) yield decodeMessage(record)
    }
  }

  /** The message, if it is the one that stood there at `notAfter`: a later one reaches subscribers by the log. */
  async get (topic: string, notAfter: Offset): Promise<Message | undefined> {
    const at = this.#topics.get(topic)
    if (at === undefined || at > notAfter) return undefined
    const record = await this.#store.get('retained', topic)
    return record === undefined || record.at > notAfter ? undefined : decodeMessage(record)
  }
}
