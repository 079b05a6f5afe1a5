/** Wires with latency that can be cut, freeze, or go silent. What was on its way when a wire is cut never arrives. */
import type { VirtualClock } from './clock.ts'

interface Packet<T> {
  readonly content: T
  readonly bytes: number
  readonly dueMs: number
}

export interface PipeOptions<T> {
  readonly clock: VirtualClock
  readonly latencyMs: () => number
  /** Bytes on the way beyond which `writable` is false. */
  readonly bytesMax: number
  readonly arrives: (content: T) => void
  /** There is room again after there was none. */
  readonly drained: () => void
}

/** One direction: in order, late, and not at all once it is cut. */
export class Pipe<T> {
  readonly #options: PipeOptions<T>
  #queue: Array<Packet<T>> = []
  #bytes = 0
  #isFrozen = false
  #isCut = false
  #wasFull = false
  #cancel: (() => void) | undefined

  constructor (options: PipeOptions<T>) {
    this.#options = options
  }

  get writable (): boolean { return this.#bytes < this.#options.bytesMax }
  get frozen (): boolean { return this.#isFrozen }
  /** On the way. */
  get bytes (): number { return this.#bytes }

  send (content: T, bytes = 0): void {
    if (this.#isCut) return
    const { clock, latencyMs } = this.#options
    this.#queue.push({ content, bytes, dueMs: clock.elapsedMs + latencyMs() })
    this.#bytes += bytes
    if (!this.writable) this.#wasFull = true
    this.#await()
  }

  freeze (): void {
    this.#isFrozen = true
    this.#stop()
  }

  thaw (): void {
    if (!this.#isFrozen) return
    this.#isFrozen = false
    this.#await()
  }

  cut (): void {
    this.#isCut = true
    this.#queue = []
    this.#stop()
  }

  #await (): void {
    if (this.#cancel !== undefined || this.#isFrozen || this.#queue.length === 0) return
    const { clock } = this.#options
    this.#cancel = clock.after(this.#queue[0].dueMs - clock.elapsedMs, () => {
      this.#cancel = undefined
      this.#deliver()
    })
  }

  #deliver (): void {
    const { clock, arrives, drained } = this.#options
    while (this.#queue.length > 0 && this.#queue[0].dueMs <= clock.elapsedMs + 1e-6 && !this.#isFrozen) {
      const { content, bytes } = this.#queue.shift()!
      this.#bytes -= bytes
      arrives(content)
    }
    if (this.#wasFull && this.writable && !this.#isCut) {
      this.#wasFull = false
      drained()
    }
    this.#await()
  }

  #stop (): void {
    this.#cancel?.()
    this.#cancel = undefined
  }
}
