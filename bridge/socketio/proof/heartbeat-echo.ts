/**
 * The safe proof of Engine.IO 3 on a WebSocket: the heartbeat echo.
 *
 * With version 2 the client pings and the server answers. The client sends its next ping an interval after it has
 * processed the answer to the one before. So that ping comes from a later turn of its event loop than everything that
 * was written before the answer: the handlers were called, and returned. Only what is known to have arrived when the
 * answer was written is counted (transport-ping.ts), since clients in other languages may ping by the clock, whether
 * or not the answer has come. Delay: one to two ping intervals. It costs nothing, the heartbeats are there anyway.
 *
 * An answer that goes out in the response to a poll proves nothing: next-poll.ts speaks for what was written there.
 */
import type { Evidence, Probe } from './evidence.ts'

export class HeartbeatEcho<Mark> {
  readonly #evidence: Evidence<Mark>
  /** The last answer that the client has not followed with a ping. */
  #answer: Probe | undefined

  constructor (evidence: Evidence<Mark>) {
    this.#evidence = evidence
  }

  /** A ping of the client came. Returns what is proven by it, in the order of writing. */
  pinged (): readonly Mark[] {
    const answer = this.#answer
    this.#answer = undefined
    return answer === undefined ? [] : this.#evidence.confirmed(answer)
  }

  /** The answer to it is being written. `isProbe`: on a WebSocket. */
  ponged (isProbe: boolean): void {
    this.#answer = isProbe ? this.#evidence.probe() : undefined
  }
}
