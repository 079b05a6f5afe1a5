/**
 * Where the entries of a topic are, and how many bytes each counts for, the oldest first. There may be millions: so
 * what is full of them is packed in pages outside the heap, where growing copies nothing.
 */
import type { Offset } from '../model/message.ts'

/** Entries of a page, as a power of two. */
const PAGE_BITS = 9
const PAGE = 1 << PAGE_BITS
/** Numbers of an entry: its offset, then the bytes of all up to and including it. */
const COLUMNS = 2
/** Entries that are gone before what comes after them is copied. */
const COMPACT_MIN = 16

export class Places {
  /** Those that are full, the oldest first. */
  #pages: Float64Array[] = NO_PAGES
  /** What came after them, up to a page. */
  #recent: number[] = NONE
  /** Entries of the first page that are gone. */
  #head = 0
  /** Bytes before the first entry that is still there. */
  #base = 0

  /** Indexes go from the first entry to the one before `end`; they are good until the next change. */
  get end (): number { return (this.#pages.length << PAGE_BITS) + this.#recent.length / COLUMNS }
  get length (): number { return this.end - this.#head }
  get first (): Offset { return this.offsetAt(this.#head) }
  get last (): Offset { return this.offsetAt(this.end - 1) }
  get bytes (): number { return this.#total - this.#base }
  get #total (): number { return this.end === 0 ? this.#base : this.#endAt(this.end - 1) }

  append (offset: Offset, bytes: number): void {
    const end = this.#total + bytes
    if (this.#recent.length === 0) this.#recent = [offset, end]
    else if (this.#recent.push(offset, end) === PAGE * COLUMNS) {
      if (this.#pages.length === 0) this.#pages = []
      this.#pages.push(Float64Array.from(this.#recent))
      this.#recent = NONE
    }
  }

  offsetAt (index: number): Offset { return this.#at(index, 0) as Offset }
  #endAt (index: number): number { return this.#at(index, 1) }

  #at (index: number, column: number): number {
    const page = index >> PAGE_BITS
    const place = (index & (PAGE - 1)) * COLUMNS + column
    return page < this.#pages.length ? this.#pages[page][place] : this.#recent[place]
  }

  countAfter (offset: Offset): number {
    return this.end - this.indexAfter(offset)
  }

  bytesAfter (offset: Offset): number {
    return this.#total - this.#before(this.indexAfter(offset))
  }

  /** Bytes before the entry at an index. */
  #before (index: number): number { return index === this.#head ? this.#base : this.#endAt(index - 1) }

  /** Removes the entries up to `offset`, but at most `limit`, appending their offsets to `into`. */
  dropThrough (offset: Offset, limit: number, into: number[]): void {
    const stop = Math.min(this.indexAfter(offset), this.#head + limit)
    if (stop === this.#head) return
    for (let i = this.#head; i < stop; i++) into.push(this.offsetAt(i))
    this.#base = this.#endAt(stop - 1)
    this.#head = stop
    const gone = Math.min(stop >> PAGE_BITS, this.#pages.length)
    if (gone > 0) {
      this.#pages = gone === this.#pages.length ? NO_PAGES : this.#pages.slice(gone)
      this.#head -= gone << PAGE_BITS
    }
    if (this.#pages.length > 0) return
    const count = this.end
    if (this.#head < count && (this.#head < COMPACT_MIN || this.#head * 2 < count)) return
    this.#recent = this.#head === count ? NONE : this.#recent.slice(this.#head * COLUMNS)
    this.#head = 0
  }

  /** Removes one entry, wherever it stands; it is the first at little cost. False if it is not there. */
  drop (offset: Offset): boolean {
    const index = this.indexAfter((offset - 1) as Offset)
    if (index === this.end || this.offsetAt(index) !== offset) return false
    if (index === this.#head) {
      this.dropThrough(offset, 1, [])
      return true
    }
    const rest: Array<{ offset: Offset, bytes: number }> = []
    for (let i = this.#head; i < this.end; i++) {
      if (i !== index) rest.push({ offset: this.offsetAt(i), bytes: this.#endAt(i) - this.#before(i) })
    }
    this.#pages = NO_PAGES
    this.#recent = NONE
    this.#head = 0
    for (const { offset, bytes } of rest) this.append(offset, bytes)
    return true
  }

  /**
   * Index of the first entry after `offset`, `end` if there is none. Sessions are nearly always near the end, so that
   * is where to look first.
   */
  indexAfter (offset: Offset): number {
    let high = this.end
    let low = this.#head
    if (high === low || this.offsetAt(high - 1) <= offset) return high
    if (this.offsetAt(low) > offset) return low
    let step = 16
    while (high - step > low && this.offsetAt(high - step) > offset) {
      high -= step
      step *= 2
    }
    low = Math.max(low, high - step)
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.offsetAt(middle) <= offset) low = middle + 1
      else high = middle
    }
    return low
  }
}

const NO_PAGES: never[] = []
const NONE: never[] = []
