/**
 * The proof of Engine.IO 4 on a WebSocket: the double ping.
 *
 * A client answers an engine ping with a pong as soon as its engine reads it, in order. The pong carries no data, so
 * pings, the regular heartbeats too, are matched with pongs first in, first out. One answered ping proves that the
 * engine has everything sent before it; handlers may still wait for the next turn of the event loop (socket.io-client
 * from 4.5). A second ping, sent after the pong of the first, is answered only in a later turn: then the handlers of
 * everything before the first ping were called, and returned. In a steady flow the ping of the next batch is that
 * second ping. Delay: two round trips, one for 'received'.
 *
 * A heartbeat that goes out in the response to a poll may be answered over the WebSocket after an upgrade. It is
 * matched like any other, and proves nothing: next-poll.ts speaks for what was written there.
 */
import type { Evidence, Probe } from './evidence.ts'

/** Regular heartbeats come on top. More would prove nothing sooner. */
export const PINGS_OUTSTANDING_MAX = 16

export class DoublePing<Mark> {
  readonly #evidence: Evidence<Mark>
  readonly #pings: Array<Probe | undefined> = []

  constructor (evidence: Evidence<Mark>) {
    this.#evidence = evidence
  }

  /**
   * True when a ping should be written now: something has no ping behind it, or waits for a second one that no ping
   * under way can be.
   */
  get wantsPing (): boolean {
    if (this.#pings.length >= PINGS_OUTSTANDING_MAX) return false
    return this.#evidence.unprobed || (this.#pings.length === 0 && this.#evidence.unconfirmed)
  }

  get underWay (): number {
    return this.#pings.length
  }

  /** A ping was written: one that was asked for, or a regular heartbeat. `isProbe`: on a WebSocket. */
  pinged (isProbe = true): void {
    this.#pings.push(isProbe ? this.#evidence.probe() : undefined)
  }

  /**
   * A pong came. Returns what is proven by it, in the order of writing; undefined when there was no ping to answer,
   * which is a repeated request or a client that makes pongs up: the connection must be closed and nothing counted.
   */
  answered (): readonly Mark[] | undefined {
    if (this.#pings.length === 0) return undefined
    const probe = this.#pings.shift()
    return probe === undefined ? [] : this.#evidence.answered(probe)
  }
}
