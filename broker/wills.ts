/**
 * Wills (MQTT 3.1.1, 3.1.2.5): written down before CONNACK, published when the connection breaks, or at the next start
 * if the server itself went away. Publishing a will and forgetting it is one step, so it is published once.
 */
import type { HoldfastError } from './errors.ts'
import type { Log, RecordChange } from './log/log.ts'
import type { ClientId, Message } from './message.ts'
import { decodeMessage, encodeMessage } from './session/records.ts'
import type { Store } from './store/store.ts'

export interface WillsOptions {
  readonly store: Store
  readonly log: Log
  /** Appends the message and removes the record in one step. */
  readonly publish: (message: Message, changes: readonly RecordChange[],
    receipt: (error?: HoldfastError) => void) => void
}

export class Wills {
  readonly #options: WillsOptions
  /** Wills whose publication failed because the log could not be written. */
  readonly #owed = new Map<ClientId, Message>()
  /** Clients with a will that is written down. */
  readonly #stored = new Set<ClientId>()

  constructor (options: WillsOptions) {
    this.#options = options
  }

  /** Durable when it resolves. `message.publisher` is the client; an earlier will of it is replaced. */
  async put (message: Message): Promise<void> {
    this.#owed.delete(message.publisher)
    this.#stored.add(message.publisher)
    await this.#options.log.recorded([{ table: 'wills', key: message.publisher, value: encodeMessage(message) }])
  }

  /** Forgotten without being published, as after DISCONNECT [MQTT-3.1.2-10]. */
  async remove (clientId: ClientId): Promise<void> {
    if (this.#owed.has(clientId) || !this.#stored.delete(clientId)) return
    await this.#options.log.recorded([{ table: 'wills', key: clientId, value: null }])
  }

  async get (clientId: ClientId): Promise<Message | undefined> {
    const record = await this.#options.store.get('wills', clientId)
    return record === undefined ? undefined : decodeMessage(record)
  }

  async * all (): AsyncIterableIterator<Message> {
    for await (const records of this.#options.store.records('wills')) {
      for (const record of records) yield decodeMessage(record)
    }
  }

  /** Publishes it and forgets it; while the log can't be written it stays owed. */
  publish (message: Message): void {
    this.#owed.set(message.publisher, message)
    this.#stored.delete(message.publisher)
    const changes: RecordChange[] = [{ table: 'wills', key: message.publisher, value: null }]
    this.#options.publish(message, changes, (error) => {
      const isLasting = error !== undefined && !error.retriable // a topic that is not allowed will never be
      if ((error === undefined || isLasting) && this.#owed.get(message.publisher) === message) {
        this.#owed.delete(message.publisher)
      }
    })
  }

  /** Tries again what is owed. */
  retry (): void {
    for (const message of [...this.#owed.values()]) this.publish(message)
  }

  get owed (): number { return this.#owed.size }

  /** At start: the clients of all wills that are still written down were connected when the server went away. */
  async publishAll (): Promise<void> {
    for await (const message of this.all()) this.publish(message)
  }
}
