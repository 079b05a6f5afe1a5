/**
 * Says when nothing more may be kept in memory, in time [G6]. What the process holds is known for certain only after
 * its whole heap was collected; from then on it is what was left, and what the broker counts that it has taken in since
 * or let go. Pure: where the figures come from is an argument.
 */
import { HoldfastError } from '../model/errors.ts'
import type { Heap } from './heap.ts'

export interface HeapUsage {
  /** Bytes that are held, as far as is known, and that may be at most. */
  readonly heldBytes: number
  readonly heldBytesMax: number
  /** Nothing that would be kept is taken in now. */
  readonly isFull: boolean
  /** What was refused since start: messages, sessions, filters. */
  readonly refused: number
}

export interface HeapGuardOptions {
  readonly heap: Heap
  readonly heapPercentMax: number
  /** What the broker holds in the heap by its own account; only its changes count. */
  counted (): number
  /** What it holds outside of it, which has no limit of its own. */
  outside (): number
  changed (usage: HeapUsage): void
}

/** Room there must be before more is taken in, as a share of the bound. */
const ROOM = 1 / 10
/** A log may take so much of what is kept free when it is opened: what it took before, it may take again. */
const START_ROOM = 1 / 4
/** What is in use grows by this share of the heap before it is collected once more. */
const START_STEP = 1 / 32
const MIB = 1_048_576
/**
 * While it is full the heap is collected after so many looks, and ever more: what fills it may be gone, and V8 has no
 * reason to look where nothing is taken in.
 */
const COLLECT_CHECKS = 100
const COLLECT_CHECKS_MAX = 6_400

export class HeapGuard {
  readonly #options: HeapGuardOptions
  readonly #heldBytesMax: number
  #isFull = false
  #refused = 0
  /** Held when the heap was last collected, and counted then. */
  #known: number
  #countedThen: number
  /** Looks until the heap is collected, and how many there were to be the last time. */
  #checksLeft = 0
  #pause = 0

  constructor (options: HeapGuardOptions) {
    this.#options = options
    this.#heldBytesMax = Math.floor(options.heap.bytesMax * options.heapPercentMax / 100)
    this.#known = options.heap.used()
    this.#countedThen = options.counted()
  }

  get isFull (): boolean { return this.#isFull }

  get usage (): HeapUsage {
    return {
      heldBytes: this.#held(), heldBytesMax: this.#heldBytesMax, isFull: this.#isFull, refused: this.#refused
    }
  }

  /** Throws where there is no room for it. */
  assertRoom (what: string): void {
    if (this.#isFull) throw this.refusal(what)
  }

  refusal (what: string): HoldfastError {
    this.#refused++
    return new HoldfastError('MEMORY_FULL',
      `${what}; heapPercentMax = ${this.#options.heapPercentMax}; sessions that stay away hold it, see their expiry, ` +
      'or give Node.js more with --max-old-space-size')
  }

  /** The whole heap has just been collected. */
  collected (): void {
    this.#known = this.#options.heap.used()
    this.#countedThen = this.#options.counted()
  }

  /** Called again and again. */
  check (): void {
    const held = this.#held()
    if (!this.#isFull) {
      if (held < this.#heldBytesMax) return
      this.#isFull = true
      this.#checksLeft = this.#pause = COLLECT_CHECKS
      this.#options.changed(this.usage)
    } else if (held < this.#heldBytesMax * (1 - ROOM)) {
      this.#isFull = false
      this.#options.changed(this.usage)
    } else if (--this.#checksLeft === 0) {
      this.#checksLeft = this.#pause = Math.min(this.#pause * 2, COLLECT_CHECKS_MAX)
      this.#options.heap.collect()
      this.collected()
    }
  }

  /**
   * While a log is opened, when there is nobody yet to be refused: throws before the heap is at its end. V8 gives up
   * some way before that, once collecting brings little; so what is in use is collected, and then counts as it is.
   */
  assertStartable (): void {
    const { bytesMax, used, collect } = this.#options.heap
    const startableMax = this.#heldBytesMax * (1 - START_ROOM) + bytesMax * START_ROOM
    if (used() < Math.max(startableMax, this.#known + bytesMax * START_STEP)) return
    collect()
    this.collected()
    if (this.#known < startableMax) return
    throw new HoldfastError('MEMORY_FULL', `the log has more than the heap of ${Math.round(bytesMax / MIB)} MiB can ` +
      'hold; start with more, as NODE_OPTIONS=--max-old-space-size=MIB. Nothing is lost')
  }

  #held (): number {
    const { heap, counted, outside } = this.#options
    return outside() + Math.min(heap.used(), this.#known + counted() - this.#countedThen)
  }
}
