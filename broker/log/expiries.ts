/** What expires, the earliest first: a binary heap. Pure. */
import type { TimeMs } from '../model/message.ts'

interface Due<T> { readonly at: TimeMs, readonly item: T }

export class Expiries<T> {
  #heap: Array<Due<T>> = []

  get size (): number { return this.#heap.length }

  add (at: TimeMs, item: T): void {
    const heap = this.#heap
    let place = heap.length
    const due = { at, item }
    heap.push(due)
    while (place > 0) {
      const parent = (place - 1) >> 1
      if (heap[parent].at <= at) break
      heap[place] = heap[parent]
      place = parent
    }
    heap[place] = due
  }

  /** The earliest of those whose time has come; it is forgotten. */
  take (now: TimeMs): T | undefined {
    const heap = this.#heap
    if (heap.length === 0 || heap[0].at > now) return undefined
    const { item } = heap[0]
    const last = heap.pop()!
    if (heap.length > 0) this.#sink(last)
    return item
  }

  #sink (due: Due<T>): void {
    const heap = this.#heap
    let place = 0
    for (;;) {
      let child = place * 2 + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && heap[child + 1].at < heap[child].at) child++
      if (heap[child].at >= due.at) break
      heap[place] = heap[child]
      place = child
    }
    heap[place] = due
  }

  /** Forgets the others. */
  keep (isWanted: (item: T) => boolean): void {
    const kept = this.#heap.filter(({ item }) => isWanted(item))
    this.#heap = []
    for (const { at, item } of kept.sort((a, b) => a.at - b.at)) this.add(at, item)
  }
}
