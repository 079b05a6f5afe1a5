/**
 * Long polling of clients of Engine.IO 3 whose polls carry no `t`: nothing tells a repeated poll from a new one
 * (guard.ts), and they can't be asked. They ping by themselves, an interval after they have read the answer to their
 * last ping. So a poll is answered when there is such an answer to give, and it is the last packet behind all that was
 * written: the next ping says that all of it has arrived and is handled. Who never had it, because the poll was sent
 * again in silence, pings no more: the ping timeout ends the connection and the session delivers again [G2].
 *
 * A ping that comes before its time has waited for no answer: its POST was sent again, or the client pings by the
 * clock. Nothing that it says can be believed. To tell them, the answer to a ping waits a moment, in which more is
 * gathered.
 *
 * While a WebSocket takes over, polls are answered with nothing.
 *
 * A pure state machine, one for a connection.
 */
import type { Clock, TimeMs } from '../../../broker/index.ts'
import type { EngineServer } from './engine.ts'
import type { Poll, PollStep } from './poll-step.ts'

/** Share of the ping interval, and of the ping timeout, for which the answer to a ping waits at most. */
const GATHERED_OF_INTERVAL = 0.1
const GATHERED_OF_TIMEOUT = 0.5

export class PongStep implements PollStep {
  readonly #clock: Clock
  readonly #gatherMs: number
  /** No ping follows an answer sooner; clocks differ a little. */
  readonly #quietMs: number
  /** Until a poll says otherwise: what is written before must not go out before. */
  #isUntimed = true
  #isDue = false
  #cancel: (() => void) | undefined
  #held: Poll | undefined
  #answeredAt: TimeMs | undefined

  constructor (clock: Clock, { pingInterval, pingTimeout }: EngineServer['opts']) {
    this.#clock = clock
    this.#gatherMs = Math.min(pingInterval * GATHERED_OF_INTERVAL, pingTimeout * GATHERED_OF_TIMEOUT)
    this.#quietMs = pingInterval - this.#gatherMs / 2
  }

  get isOn (): boolean { return this.#isUntimed }
  get isHolding (): boolean { return this.#held !== undefined }

  /** A ping that comes now can't have waited for the answer to the one before. */
  get isEarly (): boolean {
    if (!this.#isUntimed) return false
    if (this.#isDue || this.#cancel !== undefined) return true
    const at = this.#answeredAt
    return at !== undefined && this.#clock.now() - at < this.#quietMs
  }

  polled (poll: Poll, isUpgrading: boolean): void {
    this.#isUntimed = poll.isUntimed
    if (!poll.isUntimed || this.#isDue) poll.pass()
    else if (isUpgrading) poll.answer('6')
    else this.#held = poll
  }

  /** The answer to a ping is being written, and waits for a poll. */
  ponged (): void {
    this.#cancel = this.#clock.after(this.#gatherMs, () => {
      this.#cancel = undefined
      this.#isDue = true
      this.#let(poll => poll.pass())
    })
  }

  /** It goes to the client now. */
  answering (): void {
    this.#isDue = false
    this.#answeredAt = this.#clock.now()
  }

  upgrading (): void { this.#let(poll => poll.answer('6')) }

  closed (): void {
    this.#cancel?.()
    this.#let(poll => poll.answer('6'))
  }

  #let (how: (poll: Poll) => void): void {
    const held = this.#held
    this.#held = undefined
    if (held !== undefined) how(held)
  }
}
