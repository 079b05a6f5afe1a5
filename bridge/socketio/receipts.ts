/**
 * The proof that an unmodified Engine.IO 4 client has handled what was sent to it: the double ping.
 *
 * A client answers an engine ping with a pong as soon as its engine reads it, in order. The pong carries no data, so
 * pings, the regular heartbeats too, are matched with pongs first in, first out. One answered ping proves that the
 * engine has everything sent before it; handlers may still wait for the next turn of the event loop (socket.io-client
 * from 4.5). A second ping, sent after the pong of the first, is answered only in a later turn: then the handlers of
 * everything before the first ping were called, and returned. In a steady flow the ping of the next batch is that
 * second ping. It proves nothing about handlers that go on asynchronously, or that were never registered.
 *
 * A pure state machine: it is told what was sent and what came back, and says what to do. One for a connection, over
 * all its namespaces. How many marks it holds is bounded by the windows of the sessions, how many pings by a constant.
 */

/** Regular heartbeats come on top. More would prove nothing sooner. */
export const PINGS_OUTSTANDING_MAX = 16

interface Ping<Mark> {
  /** Sent before this ping. */
  readonly covers: Mark[]
  /** Sent before an earlier ping that had been answered when this one was sent: its pong is their proof. */
  readonly proves: Mark[]
}

export class Receipts<Mark> {
  /** Sent, with no ping behind it yet. */
  #sent: Mark[] = []
  /** In the client's engine; the next ping will prove that it was handled. */
  #arrived: Mark[] = []
  readonly #pings: Array<Ping<Mark>> = []

  /** Something was written to the connection; its mark comes back from answered() when it is proven handled. */
  delivered (mark: Mark): void {
    this.#sent.push(mark)
  }

  /**
   * True when a ping should be written now: something has no ping behind it, or waits for a second one that no ping
   * under way can be.
   */
  get wantsPing (): boolean {
    if (this.#pings.length >= PINGS_OUTSTANDING_MAX) return false
    return this.#sent.length > 0 || (this.#arrived.length > 0 && this.#pings.length === 0)
  }

  /** A ping was written: one that was asked for, or a regular heartbeat. */
  pinged (): void {
    this.#pings.push({ covers: this.#sent, proves: this.#arrived })
    this.#sent = []
    this.#arrived = []
  }

  /**
   * A pong came. Returns what is proven by it, in the order of delivery; undefined when there was no ping to answer,
   * which is a repeated request or a client that makes pongs up: the connection must be closed and nothing counted.
   */
  answered (): readonly Mark[] | undefined {
    const ping = this.#pings.shift()
    if (ping === undefined) return undefined
    // What `covers` held longest arrived first; earlier arrivals are in `proves` of a ping still under way, or here.
    this.#arrived = this.#arrived.length === 0 ? ping.covers : this.#arrived.concat(ping.covers)
    return ping.proves
  }

  /** Deliveries that are not proven yet. */
  get unproven (): number {
    return this.#pings.reduce((sum, ping) => sum + ping.covers.length + ping.proves.length,
      this.#sent.length + this.#arrived.length)
  }
}
