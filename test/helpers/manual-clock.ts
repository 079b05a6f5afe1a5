/** A clock that goes only when it is told to. */
import type { Clock, TimeSource } from '../../broker/system/clock.ts'
import type { TimeMs } from '../../broker/model/message.ts'

export interface ManualClock extends Clock, TimeSource {
  /** Lets time pass; what falls due is called in its order, each at its own time. */
  advance (ms: number): void
}

export function createManualClock (startMs: number): ManualClock {
  let nowMs = startMs
  let timers: Array<{ readonly at: number, readonly callback: () => void }> = []
  return {
    now: () => nowMs as TimeMs,
    wall: (time) => time,
    wallNow: () => nowMs,
    sinceBoot: () => nowMs,
    boot: undefined,
    after (ms, callback) {
      const timer = { at: nowMs + ms, callback }
      timers.push(timer)
      return () => { timers = timers.filter((one) => one !== timer) }
    },
    advance (ms) {
      const end = nowMs + ms
      for (;;) {
        const due = timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
        if (due === undefined) break
        timers = timers.filter((one) => one !== due)
        nowMs = Math.max(nowMs, due.at)
        due.callback()
      }
      nowMs = end
    }
  }
}
