import type { Clock } from './clock.ts'

/** For what may happen very often and is told once in a while, with how often it did. */
export class Seldom {
  readonly #clock: Clock
  readonly #pauseMs: number
  #toldAtMs = -Infinity
  #untold = 0

  constructor (clock: Clock, pauseMs: number) {
    this.#clock = clock
    this.#pauseMs = pauseMs
  }

  /** It happened: 0 where it is not to be told now, else how often it did since it was told last. */
  happened (): number {
    this.#untold++
    const nowMs = this.#clock.now()
    if (Math.abs(nowMs - this.#toldAtMs) < this.#pauseMs) return 0
    const times = this.#untold
    this.#toldAtMs = nowMs
    this.#untold = 0
    return times
  }
}
