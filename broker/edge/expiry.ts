/** When what a client has shown expires: it is told before, and closed then. By the wall clock, which may be set. */
import type { Clock } from '../system/clock.ts'

export interface ExpiryOptions {
  readonly clock: Clock
  /** So long before its end it is told, but not before half of its time is over: short proofs are no storm. */
  readonly renewBeforeMs: number
  expiring (leftMs: number): void
  expired (): void
}

/** How often the wall clock is looked at, at least. */
const LOOK_MS = 60_000

export class Expiry {
  readonly #options: ExpiryOptions
  #expiresAt = Infinity
  /** Undefined once it was told. */
  #tellAt: number | undefined
  #cancel = (): void => {}

  constructor (options: ExpiryOptions) {
    this.#options = options
  }

  /** @param expiresAt milliseconds since 1970; undefined: never */
  until (expiresAt: number | undefined): void {
    this.#cancel()
    this.#expiresAt = expiresAt ?? Infinity
    if (expiresAt === undefined) return
    this.#tellAt = Math.max(expiresAt - this.#options.renewBeforeMs, (this.#now + expiresAt) / 2)
    this.#wait()
  }

  end (): void { this.#cancel() }

  #wait (): void {
    const next = Math.min(this.#tellAt ?? Infinity, this.#expiresAt)
    const ms = Math.min(Math.max(Math.ceil(next - this.#now), 1), LOOK_MS)
    this.#cancel = this.#options.clock.after(ms, () => { this.#look() })
  }

  #look (): void {
    const now = this.#now
    if (now >= this.#expiresAt) {
      this.#options.expired()
      return
    }
    const isTold = this.#tellAt === undefined
    if (!isTold && now >= this.#tellAt!) {
      this.#tellAt = undefined
      this.#options.expiring(Math.floor(this.#expiresAt - now))
    }
    this.#wait()
  }

  get #now (): number {
    const { clock } = this.#options
    return clock.wall(clock.now())
  }
}
