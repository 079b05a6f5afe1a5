/**
 * What long polling says by itself: the next poll.
 *
 * A client asks for more when its engine has taken the response before. The next GET, which is a new one (the guard
 * keeps repeated ones away), proves that everything in that response has arrived. At the upgrade to a WebSocket the
 * client has taken the last response before it says so: that answers it too.
 *
 * It never says that what has arrived is handled, however many polls follow. A GET may overtake a POST: a client that
 * leaves a namespace polls on until its POST is through, and drops what comes meanwhile. So what has arrived is
 * confirmed by something that comes by POST, behind everything that the client has said before: the pong of a ping
 * (double-ping.ts), or with version 2 its heartbeat (heartbeat-echo.ts).
 */
import type { Evidence, Probe } from './evidence.ts'

export class NextPoll<Mark> {
  readonly #evidence: Evidence<Mark>
  /** A response was written and the next poll has not come. */
  #isResponding = false
  /** Its end, as soon as something was written behind it. */
  #response: Probe | undefined

  constructor (evidence: Evidence<Mark>) {
    this.#evidence = evidence
  }

  /** What waits in the engine's write buffer becomes the response. */
  responding (): void {
    this.#isResponding = true
    this.#response = undefined
  }

  /**
   * A message is about to be marked as delivered. `isOut`: none of it waits for the response after the present one, to
   * which it then belongs: the first packet after a poll is the response, all others wait, attachments too.
   */
  delivering (isOut: boolean): void {
    if (this.#isResponding && !isOut) this.#response ??= this.#evidence.probe()
  }

  /** A new poll came, or the upgrade. Returns what is proven by it, in the order of writing. */
  polled (): readonly Mark[] {
    if (!this.#isResponding) return []
    this.#isResponding = false
    const response = this.#response ?? this.#evidence.probe()
    this.#response = undefined
    return this.#evidence.arrived(response)
  }
}
