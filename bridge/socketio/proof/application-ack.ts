/**
 * The application's own ack as proof, for the messages of a rule that asks for it: the client's handler called the
 * function that it got as its last argument.
 *
 * It proves what the application means by it, asynchronous work included, and nothing less: a handler that ignores the
 * function, or an event that nobody listens for, is never proven, and the message comes again on the next connection.
 * That is why it is for applications that were written for it alone; a handler that was not sees an extra argument.
 *
 * An answer names the event by a number, and a callback that a client keeps may answer on a later connection. So the
 * number stays with the message while the server runs, and begins at random, so that after a restart it is no other's.
 *
 * A pure table of what waits for its answer on one connection: bounded by the window of the session.
 */
import type { Offset, PacketId } from '../../../broker/index.ts'

interface Waiting {
  readonly packetId: PacketId
  /** Undefined for a message without a place in the log. */
  readonly offset: Offset | undefined
}

export class ApplicationAcks {
  readonly #waiting = new Map<number, Waiting>()

  /** An event was written that asks for an answer under this number. */
  sent (ackId: number, packetId: PacketId, offset: Offset | undefined): void {
    this.#waiting.set(ackId, { packetId, offset })
  }

  /** The message that is proven by an answer; undefined where none waited for it. */
  answered (ackId: number): PacketId | undefined {
    const waiting = this.#waiting.get(ackId)
    this.#waiting.delete(ackId)
    return waiting?.packetId
  }

  /** The first place in the log that waits; a recovery token must not claim it. */
  get firstOffset (): Offset | undefined {
    let first: Offset | undefined
    for (const { offset } of this.#waiting.values()) {
      if (offset !== undefined && (first === undefined || offset < first)) first = offset
    }
    return first
  }

  get count (): number {
    return this.#waiting.size
  }
}
