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

/** Of all that belongs to it, `toldMax` are told in a pause. */
export interface SeldomGroup {
  readonly name: string
  readonly toldMax: number
}

interface Told { atMs: number, untold: number }

/**
 * The same for each of many, whose keys strangers may make up: of a group only so many are told in a pause. Beyond
 * `knownMax` the key that was told longest ago is forgotten.
 */
export class SeldomEach {
  readonly #clock: Clock
  readonly #pauseMs: number
  readonly #knownMax: number
  /** In the order in which they were told. */
  readonly #known = new Map<string, Told>()
  /** How many were told in this pause; no more groups than that. */
  readonly #byGroup = new Map<string, number>()
  #beganAtMs = -Infinity

  constructor (clock: Clock, pauseMs: number, knownMax: number) {
    this.#clock = clock
    this.#pauseMs = pauseMs
    this.#knownMax = knownMax
  }

  get size (): number { return this.#known.size }

  /** As in Seldom. */
  happened (key: string, groups: readonly SeldomGroup[]): number {
    const nowMs = this.#clock.now()
    if (Math.abs(nowMs - this.#beganAtMs) >= this.#pauseMs) {
      this.#beganAtMs = nowMs
      this.#byGroup.clear()
    }
    const before = this.#known.get(key)
    const isQuiet = before !== undefined && Math.abs(nowMs - before.atMs) < this.#pauseMs
    if (isQuiet || groups.some(({ name, toldMax }) => (this.#byGroup.get(name) ?? 0) >= toldMax)) {
      if (before !== undefined) before.untold++
      return 0
    }
    for (const { name } of groups) this.#byGroup.set(name, (this.#byGroup.get(name) ?? 0) + 1)
    this.#known.delete(key)
    this.#known.set(key, { atMs: nowMs, untold: 0 })
    if (this.#known.size > this.#knownMax) this.#known.delete(this.#known.keys().next().value!)
    return 1 + (before?.untold ?? 0)
  }
}
