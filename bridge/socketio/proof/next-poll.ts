/**
 * The proof of long polling: the next poll.
 *
 * A client asks for more when its engine has taken the response before. The next GET, which is a new one (the guard
 * keeps repeated ones away), proves that everything in that response has arrived. At the upgrade to a WebSocket the
 * client has taken the last response before it says so: that answers it too.
 *
 * With version 3 and 4 that is all it says; what has arrived is confirmed by a ping (double-ping.ts), whose pong comes
 * by POST, behind everything that the client has said before. A GET may overtake a POST: a client that leaves a
 * namespace polls on until its POST is through, and drops what comes meanwhile.
 *
 * A client of version 2 answers no ping. Its next GET but one comes in a later turn of its event loop: the handlers of
 * what had arrived before were called, and returned, unless the client has left the namespace and both GETs have
 * overtaken the POST that says so. While more is written the responses follow each other by themselves; when nothing is
 * due, an empty one (`noop`) makes the client ask again. Delay: two polls, one for 'received'.
 */
import type { Evidence, Probe } from './evidence.ts'

export class NextPoll<Mark> {
  readonly #evidence: Evidence<Mark>
  readonly #confirms: boolean
  /** A response was written and the next poll has not come. */
  #isResponding = false
  /** Its end, as soon as something was written behind it. */
  #response: Probe | undefined

  /** `confirms`: the next poll says that what had arrived before the response is handled (version 2). */
  constructor (evidence: Evidence<Mark>, confirms: boolean) {
    this.#evidence = evidence
    this.#confirms = confirms
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
    return this.#confirms ? this.#evidence.answered(response) : this.#evidence.arrived(response)
  }

  /** True when the client should be made to poll again, if nothing else does: what it has is not confirmed. */
  get wantsPoll (): boolean {
    return this.#confirms && !this.#isResponding && this.#evidence.unconfirmed
  }
}
