/**
 * The proof of Engine.IO 3: the heartbeat echo.
 *
 * With version 2 the client pings and the server answers. The client sends its next ping an interval after it has
 * processed the answer to the one before. So that ping comes from a later turn of its event loop than everything that
 * had arrived when the answer was written: the handlers were called, and returned. Only what is known to have arrived
 * by then is counted (transport-ping.ts, next-poll.ts), since clients in other languages may ping by the clock, whether
 * or not the answer has come. On long polling the ping comes by POST, behind whatever the client has said before: one
 * that has left has said so (a ping by the clock may have been on its way before: docs/legacy-clients.md). Delay: one
 * to two ping intervals. It costs nothing, the heartbeats are there anyway.
 */
import type { Evidence, Probe } from './evidence.ts'

export class HeartbeatEcho<Mark> {
  readonly #evidence: Evidence<Mark>
  /** The last answer that the client has not followed with a ping. */
  #answer: Probe | undefined
  /** It stood behind all that was written before it, in one response. */
  #isLast = false

  constructor (evidence: Evidence<Mark>) {
    this.#evidence = evidence
  }

  /** A ping of the client came. Returns what is proven by it, in the order of writing. */
  pinged (): readonly Mark[] {
    const answer = this.#answer
    this.#answer = undefined
    if (answer === undefined) return []
    if (!this.#isLast) return this.#evidence.confirmed(answer)
    const received = this.#evidence.arrived(answer)
    const handled = this.#evidence.confirmed(this.#evidence.confirming())
    return received.length === 0 ? handled : [...handled, ...received]
  }

  /**
   * The answer to it is being written; `isLast`: behind all else, in one response. Who pings an interval after that
   * has read and handled it.
   */
  ponged (isLast = false): void {
    this.#answer = this.#evidence.probe()
    this.#isLast = isLast
  }
}
