/**
 * The proof of long polling, of every version: the next poll.
 *
 * A client asks for more when its engine has taken the response before. The next GET, which is a new one (the guard
 * keeps repeated ones away), proves that everything in that response has arrived; the GET after it comes in a later
 * turn of the client's event loop and proves that the handlers were called, and returned. While more is written the
 * responses follow each other by themselves; when nothing is due, an empty one (`noop`) makes the client ask again.
 * Delay: two polls, one for 'received'.
 *
 * At the upgrade to a WebSocket the client has taken the last response before it says so: that answers it too.
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
    return this.#evidence.answered(response)
  }

  /** True when the client should be made to poll again, if nothing else does: it has something that is not confirmed. */
  get wantsPoll (): boolean {
    return !this.#isResponding && this.#evidence.unconfirmed
  }
}
