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

/** The same for each of several, of which the one that was told longest ago is forgotten beyond a number. */
export class SeldomEach {
  readonly #clock: Clock
  readonly #pauseMs: number
  readonly #knownMax: number
  /** In the order in which they were told. */
  readonly #known = new Map<string, Seldom>()

  constructor (clock: Clock, pauseMs: number, knownMax: number) {
    this.#clock = clock
    this.#pauseMs = pauseMs
    this.#knownMax = knownMax
  }

  get size (): number { return this.#known.size }

  happened (key: string): number {
    const seldom = this.#known.get(key) ?? new Seldom(this.#clock, this.#pauseMs)
    const times = seldom.happened()
    if (times === 0) return 0
    this.#known.delete(key)
    this.#known.set(key, seldom)
    if (this.#known.size > this.#knownMax) this.#known.delete(this.#known.keys().next().value!)
    return times
  }
}
