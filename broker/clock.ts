import type { TimeMs } from './message.ts'

/** Time as an argument: the simulation drives a virtual one. */
export interface Clock {
  /** Wall-clock time. May jump; used for expiry, which must count the time while the server was down. */
  now (): TimeMs
  /**
   * Calls back once after `ms`; the returned function cancels. Never keeps the process alive. With 0 it is as soon as
   * what has come in meanwhile was looked at: work in slices goes on so, and others have their turn between [G8].
   */
  after (ms: number, callback: () => void): () => void
}

const TIMER_MS_MAX = 2_147_483_647

export const systemClock: Clock = {
  now: () => Date.now() as TimeMs,
  after (ms, callback) {
    if (ms === 0) {
      const immediate = setImmediate(callback)
      return () => clearImmediate(immediate)
    }
    const timer = setTimeout(callback, Math.min(ms, TIMER_MS_MAX))
    timer.unref()
    return () => clearTimeout(timer)
  }
}
