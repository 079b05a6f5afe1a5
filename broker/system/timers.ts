/** What is done again and again until the server stops; each time so long after it was done last. */
import type { Clock } from './clock.ts'

export class Timers {
  readonly #clock: Clock
  readonly #cancels: Array<() => void> = []
  #isClosed = false

  constructor (clock: Clock) {
    this.#clock = clock
  }

  every (ms: number, work: () => void): void {
    const slot = this.#cancels.push(() => {}) - 1
    const again = (): void => {
      this.#cancels[slot] = this.#clock.after(ms, () => {
        if (this.#isClosed) return
        work()
        again()
      })
    }
    again()
  }

  close (): void {
    this.#isClosed = true
    for (const cancel of this.#cancels) cancel()
  }
}
