/**
 * Wills (MQTT 3.1.1, 3.1.2.5): written down before CONNACK, published when the connection breaks, or at the next start
 * if the server itself went away. Publishing a will and forgetting it is one step, so it is published once.
 */
import type { Clock } from '../system/clock.ts'
import type { HoldfastError } from '../model/errors.ts'
import type { Log, RecordChange } from '../log/log.ts'
import type { ClientId, Message } from '../model/message.ts'
import { decodeMessage, encodeMessage } from '../session/records.ts'
import type { Store } from '../store/store.ts'

export interface WillsOptions {
  readonly store: Store
  readonly log: Log
  readonly clock: Clock
  /** Appends the message and removes the record in one step. */
  readonly publish: (message: Message, changes: readonly RecordChange[],
    receipt: (error?: HoldfastError) => void) => void
}

export class Wills {
  readonly #options: WillsOptions
  /** The will that is written down for a client. */
  readonly #stored = new Map<ClientId, Message>()
  /** Wills that must be published, until they are durable. */
  readonly #leaving = new Set<Message>()
  /** Those of them that the log would not take; tried again. */
  readonly #unwritten = new Set<Message>()

  constructor (options: WillsOptions) {
    this.#options = options
  }

  /** Durable when it resolves. `message.publisher` is the client; an earlier will of it is replaced. */
  async put (message: Message): Promise<void> {
    const { publisher } = message
    const before = this.#stored.get(publisher)
    this.#stored.set(publisher, message)
    await new Promise<void>((resolve, reject) => {
      this.#options.log.record([{ table: 'wills', key: publisher, value: encodeMessage(message) }], (error) => {
        if (error === undefined) return resolve()
        if (this.#stored.get(publisher) === message) { // what is on the disk is what was there before
          if (before === undefined) this.#stored.delete(publisher)
          else this.#stored.set(publisher, before)
        }
        reject(error)
      })
    })
  }

  /** Forgotten without being published, as after DISCONNECT [MQTT-3.1.2-10]; one that must be published stays. */
  async remove (clientId: ClientId): Promise<void> {
    const message = this.#stored.get(clientId)
    if (message === undefined || this.#leaving.has(message)) return
    this.#stored.delete(clientId)
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

  /**
   * Publishes a will, the same object that was put, and forgets it in the same step; while the log can't be written it
   * stays owed. In a takeover the next connection has put its own will by now: that one stays written down.
   */
  publish (message: Message): void {
    const { publisher } = message
    this.#leaving.add(message)
    const changes: RecordChange[] =
      this.#stored.get(publisher) === message ? [{ table: 'wills', key: publisher, value: null }] : []
    this.#options.publish({ ...message, time: this.#options.clock.now() }, changes, (error) => {
      if (error?.retriable === true) {
        this.#unwritten.add(message)
        return
      }
      this.#leaving.delete(message)
      if (this.#stored.get(publisher) !== message) return
      this.#stored.delete(publisher)
      // Another one was to replace it, and could not: its record is still there.
      if (changes.length === 0) this.#options.log.record([{ table: 'wills', key: publisher, value: null }], () => {})
    })
  }

  /** Tries again what is owed. */
  retry (): void {
    const wills = [...this.#unwritten]
    this.#unwritten.clear()
    for (const message of wills) this.publish(message)
  }

  get unwritten (): number { return this.#unwritten.size }

  /** At start: the clients of all wills that are still written down were connected when the server went away. */
  async publishAll (): Promise<void> {
    for await (const message of this.all()) {
      this.#stored.set(message.publisher, message)
      this.publish(message)
    }
  }
}
