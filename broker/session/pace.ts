/**
 * How often a session is taken over, and how long the next newcomer waits for that: a pure state machine. It counts
 * takeovers and forgets one in each takeoverQuietMs; what is beyond takeoversFreeMax waits, each time twice as long.
 */
import type { Limits } from '../model/limits.ts'

export type PaceLimits = Pick<Limits, 'takeoversFreeMax' | 'takeoverQuietMs' | 'takeoverWaitMsMax' | 'connectTimeoutMs'>

/** The first wait. */
export const WAIT_MS_MIN = 250

export class Pace {
  /** Takeovers that are not forgotten, at `#atMs`. */
  #remembered = 0
  #atMs = 0
  #lastMs = 0
  /** When the program was last told of it. */
  toldAtMs = -Infinity
  /** In a row: since all were forgotten. */
  inARow = 0

  /** From now on; 0: at once. */
  waitMs (nowMs: number, limits: PaceLimits): number {
    const beyond = Math.ceil(this.#rememberedAt(nowMs, limits)) + 1 - limits.takeoversFreeMax
    if (beyond <= 0) return 0
    const waitMs = Math.min(WAIT_MS_MIN * 2 ** (beyond - 1), waitMsMax(limits))
    // a clock that was put back must not make it longer
    return Math.min(waitMs, Math.max(0, this.#lastMs + waitMs - nowMs))
  }

  taken (nowMs: number, limits: PaceLimits): void {
    const remembered = this.#rememberedAt(nowMs, limits)
    if (remembered === 0) this.inARow = 0
    this.inARow++
    // what would not make the wait any longer is not remembered: it would only make it last
    const doublings = Math.ceil(Math.log2(Math.max(1, waitMsMax(limits) / WAIT_MS_MIN)))
    this.#remembered = Math.min(remembered + 1, limits.takeoversFreeMax + doublings)
    this.#atMs = this.#lastMs = nowMs
  }

  /** Everything is forgotten. */
  isOver (nowMs: number, limits: PaceLimits): boolean { return this.#rememberedAt(nowMs, limits) === 0 }

  #rememberedAt (nowMs: number, { takeoverQuietMs }: PaceLimits): number {
    return Math.max(0, this.#remembered - Math.max(0, nowMs - this.#atMs) / takeoverQuietMs)
  }
}

/** Whoever waits for longer would be taken for a client that never connects. */
function waitMsMax ({ takeoverWaitMsMax, connectTimeoutMs }: PaceLimits): number {
  return Math.min(takeoverWaitMsMax, connectTimeoutMs / 2)
}
