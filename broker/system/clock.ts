/** Time as an argument: the simulation drives a virtual one. */
import { readFileSync } from 'node:fs'
import { uptime } from 'node:os'
import type { TimeMs } from '../model/message.ts'

export interface Clock {
  /**
   * Holdfast's own time (own-time.ts): it goes on evenly, whatever the wall clock is set to, and while the server is
   * down. All that is compared, kept and counted is in it.
   */
  now (): TimeMs
  /** The same moment by the wall clock, as that is set now. For all that is shown. */
  wall (time: TimeMs): TimeMs
  /**
   * Calls back once after `ms`; the returned function cancels. Never keeps the process alive. With 0 it is as soon as
   * what has come in meanwhile was looked at: work in slices goes on so, and others have their turn between [G8].
   */
  after (ms: number, callback: () => void): () => void
}

/** What the machine has of time. */
export interface TimeSource extends Pick<Clock, 'after'> {
  /** Milliseconds since 1970 in UTC, as the wall clock says. It may be set, by seconds or by decades. */
  wallNow (): number
  /** Milliseconds that have passed since some moment of this run of the machine; can't be set. */
  sinceBoot (): number
  /** Names the run of the machine in which sinceBoot() counts; undefined where that can't be known. */
  readonly boot: string | undefined
}

const TIMER_MS_MAX = 2_147_483_647
/** How often it is looked whether the machine was suspended. */
const SUSPEND_CHECK_MS = 1_000
/** Shorter ones are not told from the rounding of the system's figures. */
const SUSPEND_MS_MIN = 5_000

/** Where performance.now() began, which every message asks for: it costs a fifth of what hrtime() does. */
const startMs = Number(process.hrtime.bigint()) / 1e6 - performance.now()

let suspendedMs = 0
let lookedMs = -Infinity

/** Linux's monotonic clock stands still while the machine is suspended, its uptime does not. */
function sinceBoot (): number {
  const ms = startMs + performance.now()
  if (process.platform === 'linux' && ms - lookedMs >= SUSPEND_CHECK_MS) {
    lookedMs = ms
    const difference = uptime() * 1_000 - ms
    if (difference - suspendedMs >= SUSPEND_MS_MIN) suspendedMs = difference
  }
  return ms + suspendedMs
}

export const systemClock: Clock & TimeSource = {
  now: () => sinceBoot() as TimeMs,
  wall: time => Date.now() - sinceBoot() + time as TimeMs,
  wallNow: () => Date.now(),
  sinceBoot,
  boot: bootOfSystem(),
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

function bootOfSystem (): string | undefined {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  } catch {
    return undefined // not Linux
  }
}
