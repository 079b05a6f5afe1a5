/**
 * What a client of 4.6 or later tells in place of its token: the last argument of the event that it handled last, where
 * that is a text of an application, or the name of an event without arguments. It does so where the link broke before
 * the token came that follows the event (recovery-offset.ts), or where its application left in that very handler.
 *
 * The server knows what it wrote to the connection, in what order, and what each event ended in. The client has handled
 * an event that ended so, and all before it; of several the first is meant, so that nothing is taken for handled that
 * was not [G2]. That holds as long as the list is complete: what is not known to be of ours might have ended in
 * anything. What an event ended in is kept as a number that others may share, which makes the answer an earlier one.
 *
 * Pure, and in memory: after a restart of the server such a client gets again what it had not proven.
 */
import type { ClientId, Offset, PacketId } from '../../../broker/index.ts'
import { endingOf } from './recovery-offset.ts'

/** Beyond that the older half is remembered as one event that may have ended in anything. */
export const ENDINGS_MAX = 256
/** The session whose connection came first is forgotten. */
export const ENDINGS_SESSIONS_MAX = 4_096

const ANYTHING = undefined

interface Entry {
  /** Undefined: anything. */
  readonly ending: number | undefined
  /** Where the client is in the log once it has handled the event; undefined: where it was before the connection. */
  readonly place: Offset | undefined
  packetId: PacketId | undefined
}

/** Of the events in one namespace of one connection. */
export class Endings {
  #entries: Entry[]

  /** @param told what the client told last, on a connection before this one */
  constructor (told: unknown) {
    this.#entries = typeof told === 'string' ? [{ ending: endingOf(told), place: undefined, packetId: undefined }] : []
  }

  /** An event was written that ends in a text. */
  wrote (ending: number, place: Offset | undefined, packetId: PacketId | undefined): void {
    this.#add({ ending, place, packetId })
  }

  /** A client that told this may mean another event. */
  has (ending: number): boolean {
    return this.#entries.some(entry => entry.ending === ending || entry.ending === ANYTHING)
  }

  /** Somebody else wrote an event. */
  wroteUnknown (place: Offset | undefined): void {
    if (this.#entries.at(-1)?.ending !== ANYTHING) this.#add({ ending: ANYTHING, place, packetId: undefined })
  }

  /** The client has handled it: what it tells from now on is of this event, or of a later one. */
  proven (packetId: PacketId): void {
    const at = this.#entries.findIndex(entry => entry.packetId === packetId)
    if (at === -1) return
    this.#entries.splice(0, at)
    this.#entries[0].packetId = undefined // which may be used again
  }

  /** What is handled for certain by a client that tells this; undefined where that is nothing. */
  placeOf (told: string): Offset | undefined {
    const ending = endingOf(told)
    return this.#entries.find(entry => entry.ending === ANYTHING || entry.ending === ending)?.place
  }

  #add (entry: Entry): void {
    if (this.#entries.length === ENDINGS_MAX) {
      const [{ place }] = this.#entries
      this.#entries.splice(0, ENDINGS_MAX / 2, { ending: ANYTHING, place, packetId: undefined })
    }
    this.#entries.push(entry)
  }
}

/** Of the last connection of each session, found by the next one. */
export class EndingsBySession {
  readonly #sessions = new Map<ClientId, Endings>()

  /** A connection begins to write what ends in texts. */
  begin (clientId: ClientId, told: unknown): Endings {
    const endings = new Endings(told)
    this.#sessions.delete(clientId)
    this.#sessions.set(clientId, endings)
    if (this.#sessions.size > ENDINGS_SESSIONS_MAX) this.#sessions.delete(this.#sessions.keys().next().value!)
    return endings
  }

  placeOf (clientId: ClientId, told: unknown): Offset | undefined {
    return typeof told === 'string' ? this.#sessions.get(clientId)?.placeOf(told) : undefined
  }

  /** The session has ended, or another client has it. */
  forget (clientId: ClientId): void { this.#sessions.delete(clientId) }
}
