/**
 * Long polling of clients whose polls carry no `t`: nothing tells a repeated poll from a new one (guard.ts), so the
 * next poll proves nothing. They get one answer at a time (Engine.IO 4).
 *
 * An answer that carries messages carries pings behind them, and the next poll waits until all are answered. A client
 * that has the answer sends its pongs, by POST, whatever becomes of its poll; one that has not, whose poll was sent
 * again in silence, never does: its ping timeout ends the connection and the session delivers again [G2].
 *
 * A POST without `t` may be a repeated one, too, and a pong that is told twice must not speak for an answer that came
 * later. So there are three pings, of which the last alone says that all has arrived; and between two such answers is
 * one with a ping and nothing else. A repetition of the POST that answered that one is a pong too few for the next
 * answer, one of the POST before it is one too many for this one, and ends the connection.
 *
 * While a WebSocket takes over, a client holds its pongs back until its poll is answered. So that is answered with
 * nothing, and the pongs come over the WebSocket, before anything is written there.
 *
 * A pure state machine, one for a connection.
 */
import type { Poll, PollStep } from './poll-step.ts'

/** Behind the messages of an answer. */
export const PINGS = 3

export class LockStep implements PollStep {
  readonly #pinging: () => void
  #isUntimed = false
  /** Pings that were written in answers and are not answered. */
  #unanswered = 0
  /** The last answer was one with messages. */
  #isLoaded = false
  #held: Poll | undefined

  /** `pinging`: a ping is about to be written, as an answer of its own. */
  constructor (pinging: () => void) {
    this.#pinging = pinging
  }

  /** The poll that waits for an answer, or came last, is one without `t`. */
  get isOn (): boolean { return this.#isUntimed }

  /** The last answer is not proven to have arrived. */
  get awaitsPong (): boolean { return this.#isUntimed && this.#unanswered > 0 }

  get isHolding (): boolean { return this.#held !== undefined }

  polled (poll: Poll, isUpgrading: boolean): void {
    const awaitsPong = poll.isUntimed && this.awaitsPong
    this.#isUntimed = poll.isUntimed
    if (!awaitsPong) this.#pass(poll)
    else if (isUpgrading) poll.answer('6')
    else this.#held = poll
  }

  /** An answer with so many pings is written; `isLoaded`: it is one with messages, and with PINGS of its own. */
  answering (pings: number, isLoaded: boolean): void {
    this.#unanswered += pings
    this.#isLoaded = isLoaded
  }

  ponged (): void { if (this.#unanswered > 0) this.#unanswered-- }

  /** All that came with the last pong has been read. */
  release (): void { if (this.#unanswered === 0) this.#let(poll => this.#pass(poll)) }

  upgrading (): void { this.#let(poll => poll.answer('6')) }

  closed (): void { this.#let(poll => poll.pass()) }

  #pass (poll: Poll): void {
    if (!poll.isUntimed || !this.#isLoaded) return poll.pass()
    this.#pinging()
    this.answering(1, false)
    poll.answer('2')
  }

  #let (how: (poll: Poll) => void): void {
    const held = this.#held
    this.#held = undefined
    if (held !== undefined) how(held)
  }
}
