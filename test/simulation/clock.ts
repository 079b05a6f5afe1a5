/**
 * Virtual time: what is due next happens next, without waiting. Of several things due at the same moment, chance
 * decides which comes first, so that no order that the real world does not promise is relied upon.
 */
import type { TimeSource } from '../../broker/system/clock.ts'
import type { Random } from './random.ts'

/** How far the wall clock is set at most from the truth, either way. */
export const SET_MS_MAX = 60 * 86_400_000
/** Where virtual time begins; any day will do. */
const START_MS = 1_700_000_000_000

interface Due {
  readonly timeMs: number
  readonly tie: number
  /** Undefined once it was cancelled. */
  callback: (() => void) | undefined
}

/** The clock of one server process: when the process dies, so do its timers. */
export interface ProcessClock extends TimeSource {
  kill (): void
}

export class VirtualClock implements TimeSource {
  readonly #random: Random
  readonly #heap: Due[] = []
  readonly #eventsMax: number
  #elapsedMs = 0
  #events = 0
  /** How far the wall clock is ahead of the truth. */
  #aheadMs = 0
  #boots = 0

  /** @param eventsMax a world that needs more events than this is going round in circles */
  constructor (random: Random, eventsMax: number) {
    this.#random = random
    this.#eventsMax = eventsMax
  }

  /** Milliseconds since the world began, with fractions. */
  get elapsedMs (): number { return this.#elapsedMs }
  get events (): number { return this.#events }

  get boot (): string { return `boot-${this.#boots}` }
  wallNow (): number { return START_MS + Math.floor(this.#elapsedMs) + this.#aheadMs }
  sinceBoot (): number { return this.#elapsedMs }

  /** The wall clock is set so far from the truth. */
  setWall (aheadMs: number): void { this.#aheadMs = aheadMs }

  /** The machine is started anew without a battery: with a clock that was never set, or one that is behind. */
  reboot (isSet: boolean): void {
    this.#boots++
    this.#aheadMs = (isSet ? START_MS - 2 * SET_MS_MAX : 0) - START_MS - Math.floor(this.#elapsedMs)
  }

  after (ms: number, callback: () => void): () => void {
    const due: Due = { timeMs: this.#elapsedMs + Math.max(0, ms), tie: this.#random.fraction(), callback }
    this.#push(due)
    return () => { due.callback = undefined }
  }

  forProcess (): ProcessClock {
    let alive = true
    return {
      wallNow: () => this.wallNow(),
      sinceBoot: () => this.sinceBoot(),
      boot: this.boot,
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
