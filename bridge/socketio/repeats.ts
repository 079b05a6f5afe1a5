/**
 * What is sent again because no receipt came. In memory, for what a session sent or got last; a restart of the server
 * forgets it.
 *
 * Retries: a Socket.IO client emits again, and a rule says where the id is. The second is not appended [G4].
 * Repeats: both are in the log, as an MQTT client published again, or the server was restarted between the two. Where
 * the publisher gave the message an id (see docs/envelope.md), a handler runs once for both [G4].
 */
import { createHash } from 'node:crypto'
import type { ClientId, HoldfastError } from '../../broker/index.ts'

/** Messages with an id that a session remembers. */
export const REPEATS_PER_SESSION_MAX = 256
/** Sessions that remember; the one that was used least recently forgets. */
export const REPEATS_SESSIONS_MAX = 1_024
/** Emits with an id that a session remembers. */
export const RETRIES_PER_SESSION_MAX = 256

/** As Broker.publish calls it. */
export type Receipt = (error?: HoldfastError, keepers?: number) => void

const PROVEN = Symbol('handled for certain')

export class Repeats {
  /** By message: proven handled, or the connection it was written to. Oldest first. */
  readonly #seen = new Map<string, object | typeof PROVEN>()

  /**
   * True when the client has handled the message, or gets it before this one on the same connection. Otherwise it is
   * remembered as written to `connection`.
   */
  repeated (key: string, connection: object): boolean {
    const before = this.#seen.get(key)
    if (before === PROVEN || before === connection) return true
    this.#seen.delete(key)
    this.#seen.set(key, connection)
    if (this.#seen.size > REPEATS_PER_SESSION_MAX) this.#seen.delete(this.#seen.keys().next().value!)
    return false
  }

  proven (key: string): void {
    if (this.#seen.has(key)) this.#seen.set(key, PROVEN)
  }
}

export class Retries {
  /** By topic and id: who waits for the receipt, or for how many it was given. Oldest first. */
  readonly #seen = new Map<string, Receipt[] | number>()

  /**
   * Publishes what was not published before. Whatever came before it, the receipt means the same: the message is in the
   * log [G1]. A message that could not be kept is forgotten, so that it can be sent again.
   */
  once (topic: string, id: string, publish: (receipt: Receipt) => void, receipt: Receipt): void {
    const key = createHash('sha256').update(`${topic}\0${id}`).digest('base64')
    const before = this.#seen.get(key)
    if (typeof before === 'number') return receipt(undefined, before)
    if (before !== undefined) {
      before.push(receipt)
      return
    }
    const waiting = [receipt]
    this.#seen.set(key, waiting)
    if (this.#seen.size > RETRIES_PER_SESSION_MAX) this.#seen.delete(this.#seen.keys().next().value!)
    publish((error, keepers = 0) => {
      if (this.#seen.get(key) === waiting) {
        if (error === undefined) this.#seen.set(key, keepers)
        else this.#seen.delete(key)
      }
      for (const told of waiting) told(error, keepers)
    })
  }
}

/** What a session remembers, found by the next connection too. */
class BySession<T> {
  readonly #make: () => T
  readonly #sessions = new Map<ClientId, T>()

  constructor (make: () => T) {
    this.#make = make
  }

  of (clientId: ClientId): T {
    const found = this.#sessions.get(clientId) ?? this.#make()
    this.#sessions.delete(clientId)
    this.#sessions.set(clientId, found)
    if (this.#sessions.size > REPEATS_SESSIONS_MAX) this.#sessions.delete(this.#sessions.keys().next().value!)
    return found
  }
}

export class RepeatsBySession extends BySession<Repeats> {
  constructor () { super(() => new Repeats()) }
}

export class RetriesBySession extends BySession<Retries> {
  constructor () { super(() => new Retries()) }
}
