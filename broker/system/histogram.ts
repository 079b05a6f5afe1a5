/** How often something took how long: plain numbers, counted where it happens and read when somebody asks. */

export interface HistogramCounts {
  /** Upper bounds in seconds, ascending. */
  readonly bounds: readonly number[]
  /** How many were at most as long, and longer than the bound before; the last is beyond all bounds. */
  readonly counts: readonly number[]
  readonly sumSeconds: number
}

/** From a tenth of a millisecond, which a good disk takes for a sync, to what only a failing one does. */
const BOUNDS_MS: readonly number[] = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000]

export class Histogram implements HistogramCounts {
  readonly bounds: readonly number[] = BOUNDS_MS.map((ms) => ms / 1_000)
  readonly counts: number[] = new Array(BOUNDS_MS.length + 1).fill(0)
  #sumMs = 0

  get sumSeconds (): number { return this.#sumMs / 1_000 }

  /** @param times so many took as long */
  note (ms: number, times = 1): void {
    let place = 0
    while (place < BOUNDS_MS.length && ms > BOUNDS_MS[place]) place++
    this.counts[place] += times
    this.#sumMs += ms * times
  }
}
