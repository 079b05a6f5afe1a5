/** Where what is seen is put in order, written down for the reader of a run, and held against the promise. */
import type { VirtualClock } from './clock.ts'

export const CLAUSES = ['G1', 'G2', 'G3', 'G4', 'G5', 'G6', 'G7', 'G8', 'contract', 'crash'] as const
export type Clause = typeof CLAUSES[number]

/** Questions within one moment. */
const WORK_MAX = 200_000

export interface Violation {
  readonly clause: Clause
  readonly text: string
  /** Virtual milliseconds since the world began. */
  readonly atMs: number
}

export type Trace = (line: string) => void

export class Referee {
  readonly #clock: VirtualClock
  readonly #counts = new Map<string, number>()
  #step = 0
  #workedAt = 0
  #worked = 0
  /** The first one; what comes after it may be its consequence. */
  violation: Violation | undefined
  /** Undefined where nobody reads along, so that lines are not even made: `trace?.(...)`. */
  readonly trace: Trace | undefined

  constructor (clock: VirtualClock, trace: Trace | undefined) {
    this.#clock = clock
    this.trace = trace && (line => trace(`${clock.elapsedMs.toFixed(2).padStart(9)}  ${line}`))
  }

  get nowMs (): number { return this.#clock.elapsedMs }
  /** Strictly increasing: what was seen before has a lower one. */
  step (): number { return ++this.#step }
  get counts (): ReadonlyMap<string, number> { return this.#counts }

  /**
   * Something was asked of the world. A broker that asks again and again within one moment would never let time pass,
   * and could not be stopped otherwise: it is, by an exception.
   */
  working (): void {
    if (this.#workedAt !== this.#clock.events) {
      this.#workedAt = this.#clock.events
      this.#worked = 0
    }
    if (++this.#worked <= WORK_MAX) return
    this.violate('crash', 'the broker goes round in circles without letting time pass')
    throw new Error('stopped by the simulation')
  }

  /** Calls back when everything that goes on at this moment has gone on. */
  soon (callback: () => void): void { this.#clock.after(0, callback) }

  /** Says that something worth meeting was met, so that a test can tell whether the worlds are rich enough. */
  count (what: string, by = 1): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + by)
  }

  violate (clause: Clause, text: string): void {
    this.trace?.(`*** [${clause}] ${text}`)
    this.violation ??= { clause, text, atMs: this.nowMs }
  }
}
