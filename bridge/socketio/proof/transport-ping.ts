/**
 * The fast proof of Engine.IO 3 on a WebSocket: a ping of the WebSocket itself (RFC 6455, 5.5.2).
 *
 * It proves that the other end of the WebSocket has everything that was written before it, and no more: in Node that is
 * the client's engine, in a browser its network stack, which answers while the page is busy, behind a proxy that ends
 * WebSockets the proxy. So it proves that a message has arrived, and never that it was handled; what a client had not
 * handled when it was killed is lost with this proof. Delay: one round trip, two while a ping is under way.
 *
 * It bounds what is written and not yet taken, whatever is waited for. One ping is under way at a time: an endpoint may
 * leave all but the last unanswered (RFC 6455, 5.5.3). It must not overtake what still waits in the engine.
 */
import type { Evidence, Probe } from './evidence.ts'

export class TransportPing<Mark> {
  readonly #evidence: Evidence<Mark>
  #probe: Probe | undefined
  #payload = 0

  constructor (evidence: Evidence<Mark>) {
    this.#evidence = evidence
  }

  get wantsPing (): boolean {
    return this.#probe === undefined && this.#evidence.unarrived > 0
  }

  /** The ping is being written, behind everything that was delivered. Returns what it carries, which comes back. */
  pinged (): string {
    this.#probe = this.#evidence.probe()
    return String(++this.#payload)
  }

  /**
   * A pong came. Returns what is proven by it, in the order of writing; pongs that nobody asked for are allowed
   * (RFC 6455, 5.5.3) and prove nothing.
   */
  answered (payload: string): readonly Mark[] {
    const probe = this.#probe
    if (probe === undefined || payload !== String(this.#payload)) return []
    this.#probe = undefined
    return this.#evidence.arrived(probe)
  }
}
