/**
 * A publisher that got no receipt sends again, and both may be in the log. Where it gave the message an id (see
 * docs/envelope.md), the second is recognised here, so that a handler runs once [G4]: the same publisher, topic and
 * bytes, id included. In memory, for the messages that a session got last; a restart of the server forgets it.
 */
import type { ClientId } from '../../broker/index.ts'

/** Messages with an id that a session remembers. */
export const REPEATS_PER_SESSION_MAX = 256
/** Sessions that remember; the one that was used least recently forgets. */
export const REPEATS_SESSIONS_MAX = 1_024

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

export class RepeatsBySession {
  readonly #sessions = new Map<ClientId, Repeats>()

  of (clientId: ClientId): Repeats {
    const repeats = this.#sessions.get(clientId) ?? new Repeats()
    this.#sessions.delete(clientId)
    this.#sessions.set(clientId, repeats)
    if (this.#sessions.size > REPEATS_SESSIONS_MAX) this.#sessions.delete(this.#sessions.keys().next().value!)
    return repeats
  }
}
