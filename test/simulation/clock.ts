/**
 * Virtual time: what is due next happens next, without waiting. Of several things due at the same moment, chance
 * decides which comes first, so that no order that the real world does not promise is relied upon.
 */
import type { Clock } from '../../broker/clock.ts'
import type { TimeMs } from '../../broker/message.ts'
import type { Random } from './random.ts'

/** Where virtual time begins; any day will do. */
const START_MS = 1_700_000_000_000

interface Due {
  readonly timeMs: number
  readonly tie: number
  /** Undefined once it was cancelled. */
  callback: (() => void) | undefined
}

/** The clock of one server process: when the process dies, so do its timers. */
export interface ProcessClock extends Clock {
  kill (): void
}

export class VirtualClock implements Clock {
  readonly #random: Random
  readonly #heap: Due[] = []
  readonly #eventsMax: number
  #elapsedMs = 0
  #events = 0

  /** @param eventsMax a world that needs more events than this is going round in circles */
  constructor (random: Random, eventsMax: number) {
    this.#random = random
    this.#eventsMax = eventsMax
  }

  /** Milliseconds since the world began, with fractions. */
  get elapsedMs (): number { return this.#elapsedMs }
  get events (): number { return this.#events }

  now (): TimeMs {
    return START_MS + Math.floor(this.#elapsedMs) as TimeMs
  }

  after (ms: number, callback: () => void): () => void {
    const due: Due = { timeMs: this.#elapsedMs + Math.max(0, ms), tie: this.#random.fraction(), callback }
    this.#push(due)
    return () => { due.callback = undefined }
  }

  forProcess (): ProcessClock {
    let alive = true
    return {
      now: () => this.now(),
      after: (ms, callback) => this.after(ms, () => { if (alive) callback() }),
      kill: () => { alive = false }
    }
  }

  /**
   * Lets time pass until `untilMs` (elapsed), or until `isOver` says so. After each event every promise that can go on
   * does so before the next event: setImmediate, of the real world, comes after all microtasks.
   */
  async run (untilMs: number, isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      const next = this.#heap[0]
      if (next === undefined || next.timeMs > untilMs) {
        this.#elapsedMs = Math.max(this.#elapsedMs, untilMs)
        return
      }
      this.#pop()
      if (next.callback === undefined) continue
      this.#elapsedMs = next.timeMs
      if (++this.#events > this.#eventsMax) throw new Error(`no rest in ${this.#eventsMax} events`)
      next.callback()
      await settled()
    }
  }

  #push (due: Due): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(due)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBefore(due, heap[parent])) break
      heap[at] = heap[parent]
      at = parent
    }
    heap[at] = due
  }

  #pop (): void {
    const heap = this.#heap
    const last = heap.pop()!
    if (heap.length === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1], heap[child])) child++
      if (!isBefore(heap[child], last)) break
      heap[at] = heap[child]
      at = child
    }
    heap[at] = last
  }
}

function isBefore (a: Due, b: Due): boolean {
  return a.timeMs < b.timeMs || (a.timeMs === b.timeMs && a.tie < b.tie)
}

function settled (): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}
