/** Which offset was the last one at a time? One point a second is enough to find what is older than a bound. */
import type { Clock } from '../system/clock.ts'
import type { Offset, TimeMs } from '../model/message.ts'

const STEP_MS = 1_000

export class Timeline {
  #times: number[] = []
  #offsets: number[] = []

  /** Called for entries in offset order. A clock that jumps back is held at the latest time seen. */
  note (offset: Offset, time: number): void {
    const last = this.#times.length - 1
    if (last >= 0 && time < this.#times[last] + STEP_MS) this.#offsets[last] = offset
    else {
      this.#times.push(time)
      this.#offsets.push(offset)
    }
  }

  /** The last offset of which it is certain that it came before `time`; 0 if there is none. */
  before (time: TimeMs): Offset {
    let low = 0
    let high = this.#times.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#times[middle] + STEP_MS <= time) low = middle + 1
      else high = middle
    }
    return (low === 0 ? 0 : this.#offsets[low - 1]) as Offset
  }

  /** When an entry came, to the second; undefined where all that is known is older. */
  timeOf (offset: Offset): TimeMs | undefined {
    let low = 0
    let high = this.#offsets.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#offsets[middle] < offset) low = middle + 1
      else high = middle
    }
    return this.#times[low] as TimeMs | undefined
  }

  /** Nobody will ask for a time before this one any more. */
  forgetBefore (time: TimeMs): void {
    let count = 0
    while (count < this.#times.length - 1 && this.#times[count + 1] + STEP_MS <= time) count++
    if (count < 64) return
    this.#times = this.#times.slice(count)
    this.#offsets = this.#offsets.slice(count)
  }
}

/** How long ago an entry came, to the second; 0 where there is none. */
export function ageOf (offset: Offset | undefined, timeline: Timeline, clock: Pick<Clock, 'now'>): number {
  const time = offset === undefined ? undefined : timeline.timeOf(offset)
  return time === undefined ? 0 : Math.max(0, clock.now() - time)
}
