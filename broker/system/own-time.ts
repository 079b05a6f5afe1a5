/**
 * Holdfast's own time. It begins with the wall clock when a log is made, and from then on is what has passed: by the
 * monotonic clock while the server runs, and by what was last written down while it does not. The wall clock may be set
 * by hand, by NTP, or begin in 1970 on a machine without a battery: that is noted, and is not time that has passed.
 *
 * Over a restart, in this order:
 *   the machine still runs since     what its monotonic clock says has passed
 *   a wall clock that was never set  nothing is known, so nothing has passed
 *   one that is behind what was last written down: the same
 *   otherwise                        what the wall clock says has passed
 */
import type { Clock, TimeSource } from './clock.ts'
import type { TimeMs } from '../model/message.ts'

/** A moment, in all the ways in which it can be found again. */
export interface Mark {
  readonly own: TimeMs
  readonly wall: number
  readonly sinceBoot: number
  readonly boot: string | undefined
}

/** Why it is not known how long the server was down. */
export type ClockDoubt = 'never-set' | 'behind'

/** Before that no machine could run this (Node 20 is of April 2023): such a clock was never set. */
const SET_MS_MIN = Date.UTC(2023, 3)
/** What is less is followed without a word: steps of NTP, leap seconds. */
const JUMP_MS_MIN = 1_000

export class OwnTime implements Clock {
  readonly #source: TimeSource
  /** Own time when the machine was started. */
  #origin: number
  /** How far the wall clock is ahead. */
  #aheadMs = 0

  constructor (source: TimeSource) {
    this.#source = source
    this.#origin = source.wallNow() - source.sinceBoot()
  }

  now (): TimeMs { return Math.floor(this.#origin + this.#source.sinceBoot()) as TimeMs }
  wall (time: TimeMs): TimeMs { return time + this.#aheadMs as TimeMs }
  after (ms: number, callback: () => void): () => void { return this.#source.after(ms, callback) }

  mark (): Mark {
    const { boot } = this.#source
    return { own: this.now(), wall: this.#source.wallNow(), sinceBoot: this.#source.sinceBoot(), boot }
  }

  /**
   * Goes on from what was written down last. Once, before time is asked for. Returns why it is not certain, if so.
   * @param isRestored of a copy: nothing has passed since it was made
   */
  resume (mark: Mark, isRestored = false): ClockDoubt | undefined {
    const wall = this.#source.wallNow()
    const sinceBoot = this.#source.sinceBoot()
    const isSameRun = mark.boot !== undefined && mark.boot === this.#source.boot && sinceBoot >= mark.sinceBoot
    let downMs = 0
    let doubt: ClockDoubt | undefined
    if (isRestored) downMs = 0
    else if (isSameRun) downMs = sinceBoot - mark.sinceBoot
    else if (wall < SET_MS_MIN || mark.wall < SET_MS_MIN) doubt = 'never-set'
    else if (wall < mark.wall) doubt = 'behind'
    else downMs = wall - mark.wall
    this.#origin = mark.own + downMs - sinceBoot
    this.#aheadMs = Math.round(wall - mark.own - downMs)
    return doubt
  }

  /** By how many milliseconds the wall clock was set since the last look; 0 if it was not. */
  takeJump (): number {
    const aheadMs = Math.round(this.#source.wallNow() - this.#source.sinceBoot() - this.#origin)
    const byMs = aheadMs - this.#aheadMs
    this.#aheadMs = aheadMs
    return Math.abs(byMs) < JUMP_MS_MIN ? 0 : byMs
  }
}
