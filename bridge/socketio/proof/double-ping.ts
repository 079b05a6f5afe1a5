/**
 * The proof of Engine.IO 4: the double ping.
 *
 * A client answers an engine ping with a pong as soon as its engine reads it, in order. The pong carries no data, so
 * pings, the regular heartbeats too, are matched with pongs first in, first out. One answered ping proves that the
 * engine has everything sent before it; handlers may still wait for the next turn of the event loop (socket.io-client
 * from 4.5). A second ping, sent after the pong of the first, is answered only in a later turn: then the handlers of
 * everything before the first ping were called, and returned. In a steady flow the ping of the next batch is that
 * second ping. Delay: two round trips, one for 'received'.
 *
 * On long polling the first of the two is the response itself (next-poll.ts), as a pong costs a POST there. A ping that
 * went out in a response may be answered over the WebSocket after an upgrade; it is a ping like any other.
 */
import type { Evidence, Probe } from './evidence.ts'

/** Regular heartbeats come on top. More would prove nothing sooner. */
export const PINGS_OUTSTANDING_MAX = 16

export class DoublePing<Mark> {
  readonly #evidence: Evidence<Mark>
  readonly #pings: Probe[] = []

  constructor (evidence: Evidence<Mark>) {
    this.#evidence = evidence
  }

  /**
   * True when a ping should be written now: something has no ping behind it, or waits for a second one that no ping
   * under way can be.
   */
  get wantsPing (): boolean {
    if (this.#pings.length >= PINGS_OUTSTANDING_MAX) return false
    return this.#evidence.unprobed || this.wantsSecond
  }

  /** True when something waits for a second ping that no ping under way can be. */
  get wantsSecond (): boolean {
    return this.#pings.length === 0 && this.#evidence.unconfirmed
  }

  get underWay (): number {
    return this.#pings.length
  }

  /** A ping was written: one that was asked for, or a regular heartbeat. */
  pinged (): void {
    this.#pings.push(this.#evidence.probe())
  }

  /** A ping was written whose answer does not say that anything has arrived. */
  pingedAlone (): void {
    this.#pings.push(this.#evidence.confirming())
  }

  /**
   * A pong came. Returns what is proven by it, in the order of writing; undefined when there was no ping to answer,
   * which is a repeated request or a client that makes pongs up: the connection must be closed and nothing counted.
   */
  answered (): readonly Mark[] | undefined {
    const probe = this.#pings.shift()
    return probe === undefined ? undefined : this.#evidence.answered(probe)
  }
}
