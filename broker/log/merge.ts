/** The entries of several filters in the order of the log, each once. Pure. */
import type { Offset, QoS } from '../model/message.ts'
import { blockOf, type Block, type LogOrder } from './log-order.ts'
import type { Postings } from './postings.ts'
import type { Found, TopicLog } from './topic-log.ts'

/** What it counts for; it has to be in the log still. */
export function bytesOf ({ topic, offset }: Found): number {
  return topic.bytesAfter((offset - 1) as Offset) - topic.bytesAfter(offset)
}

/** The entries of one filter, ascending. */
export interface Source {
  /** Of the entry at which it stands; undefined at the end. */
  readonly offset: Offset | undefined
  found (): Found
  advance (): void
}

/** Of a filter without a wildcard. */
export class TopicSource implements Source {
  readonly #topic: TopicLog
  readonly #qos: QoS
  readonly #end: number
  #index: number
  offset: Offset | undefined

  constructor (topic: TopicLog, after: Offset, qos: QoS) {
    this.#topic = topic
    this.#qos = qos
    this.#end = topic.end
    this.#index = topic.indexAfter(after)
    this.offset = this.#index < this.#end ? topic.offsetAt(this.#index) : undefined
  }

  found (): Found { return this.#topic.foundAt(this.#index, this.#qos) }

  advance (): void {
    this.#index++
    this.offset = this.#index < this.#end ? this.#topic.offsetAt(this.#index) : undefined
  }
}

/** Of a filter with a wildcard: reads the log itself, in those blocks that have something for it. */
export class LogSource<T extends TopicLog> implements Source {
  readonly #order: LogOrder<T>
  readonly #postings: Postings
  readonly #isWanted: (topic: T) => boolean
  readonly #qos: QoS
  #posting: number
  #block: Block<T> | undefined
  #place = 0
  offset: Offset | undefined
  /** Where the last one stood in its topic: the next one is often the next there. */
  #topic: T | undefined
  #index = 0

  constructor (order: LogOrder<T>, postings: Postings, isWanted: (topic: T) => boolean, after: Offset, qos: QoS) {
    this.#order = order
    this.#postings = postings
    this.#isWanted = isWanted
    this.#qos = qos
    this.#posting = postings.seek(blockOf((after + 1) as Offset))
    this.#enter()
    if (this.#block !== undefined) this.#place = this.#block.placeAfter(after)
    this.#settle()
  }

  found (): Found {
    const topic = this.#block!.topics[this.#place]!
    const next = this.#index + 1
    const isNext = topic === this.#topic && next < topic.end && topic.offsetAt(next) === this.offset
    this.#index = isNext ? next : topic.indexAfter((this.offset! - 1) as Offset)
    this.#topic = topic
    return topic.foundAt(this.#index, this.#qos)
  }

  advance (): void {
    this.#place++
    this.#settle()
  }

  #enter (): void {
    this.#block = this.#posting < this.#postings.length
      ? this.#order.block(this.#postings.blockAt(this.#posting))
      : undefined
    this.#place = 0
  }

  /** On to the next place that counts. */
  #settle (): void {
    for (; this.#posting < this.#postings.length; this.#posting++, this.#enter()) {
      const block = this.#block
      if (block === undefined) continue // all of it was trimmed
      for (; this.#place < block.topics.length; this.#place++) {
        const topic = block.topics[this.#place]
        if (topic === undefined || !this.#isWanted(topic)) continue
        this.offset = block.offsetAt(this.#place)
        return
      }
    }
    this.offset = undefined
  }
}

/** A binary heap of the sources by the entry at which each stands. */
export class Merge {
  readonly #heap: Source[]

  constructor (sources: readonly Source[]) {
    this.#heap = sources.filter(({ offset }) => offset !== undefined)
    for (let i = (this.#heap.length >>> 1) - 1; i >= 0; i--) sink(this.#heap, i)
  }

  /** Filters that have something left. */
  get width (): number { return this.#heap.length }
  /** Of the next entry; undefined at the end. */
  get offset (): Offset | undefined { return this.#heap.length === 0 ? undefined : this.#heap[0].offset }

  /** The next entry; where several filters match it, at the highest QoS. */
  next (): Found | undefined {
    if (this.#heap.length === 0) return undefined
    const found = this.#heap[0].found()
    this.#advance()
    while (this.#heap.length > 0 && this.#heap[0].offset === found.offset) {
      const { qos } = this.#heap[0].found()
      if (qos > found.qos) found.qos = qos
      this.#advance()
    }
    return found
  }

  #advance (): void {
    const heap = this.#heap
    heap[0].advance()
    if (heap[0].offset === undefined) {
      const last = heap.pop()!
      if (heap.length === 0) return
      heap[0] = last
    }
    if (heap.length > 1) sink(heap, 0)
  }
}

function sink (heap: Source[], from: number): void {
  const moved = heap[from]
  const offset = moved.offset!
  let at = from
  for (let child = 2 * at + 1; child < heap.length; child = 2 * at + 1) {
    if (child + 1 < heap.length && heap[child + 1].offset! < heap[child].offset!) child++
    if (heap[child].offset! >= offset) break
    heap[at] = heap[child]
    at = child
  }
  heap[at] = moved
}
