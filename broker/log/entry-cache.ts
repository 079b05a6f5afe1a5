/**
 * The entries that came last, in memory for sessions that lag a little. What each takes is counted as it is, not as
 * what its publisher sent: at the bound the oldest go, and are read from the store by who still needs them [G6].
 */
import { entryBytes, type Entry, type Offset } from '../model/message.ts'

/** A place in both lists, whatever stands there: what was trimmed in the middle keeps its place until its turn. */
const PLACE_BYTES = 16
/** Places that are gone, before the lists are copied. */
const COMPACT_MIN = 4_096

export class EntryCache {
  readonly #bytesMax: number
  /** In the order of the log, without a gap. */
  #entries: Array<Entry | undefined> = []
  #sizes: number[] = []
  /** Offset of the first place of the lists. */
  #base = 0
  #head = 0
  #bytes = 0
  /** Many payloads are views of what one read of a socket brought, which lives as long as the last of them. */
  #chunk: ArrayBufferLike | undefined
  #count = 0

  constructor (bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get count (): number { return this.#count }

  /** Bytes of memory, as far as they can be known: an upper bound, as several payloads may share their memory. */
  get bytes (): number { return this.#bytes + (this.#entries.length - this.#head) * PLACE_BYTES }

  get (offset: Offset): Entry | undefined {
    const place = offset - this.#base
    return place < this.#head ? undefined : this.#entries[place]
  }

  /** In the order of the log. */
  add (entry: Entry): void {
    if (entry.offset !== this.#base + this.#entries.length) this.#restart(entry.offset)
    const chunk = entry.payload.buffer
    const size = entryBytes(entry) + (chunk === this.#chunk ? 0 : chunk.byteLength)
    this.#chunk = chunk
    this.#entries.push(entry)
    this.#sizes.push(size)
    this.#bytes += size
    this.#count++
    this.#shrink()
  }

  /** It was trimmed. */
  delete (offset: Offset): void {
    const place = offset - this.#base
    if (place < this.#head || this.#entries[place] === undefined) return
    this.#bytes -= this.#sizes[place]
    this.#count--
    this.#entries[place] = undefined
  }

  #shrink (): void {
    while (this.#head < this.#entries.length &&
      (this.#entries[this.#head] === undefined || this.bytes > this.#bytesMax)) {
      this.delete(this.#base + this.#head as Offset)
      this.#head++
    }
    if (this.#head === this.#entries.length) this.#restart(this.#base + this.#head)
    else if (this.#head > COMPACT_MIN && this.#head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head)
      this.#sizes = this.#sizes.slice(this.#head)
      this.#base += this.#head
      this.#head = 0
    }
  }

  #restart (base: number): void {
    this.#entries = []
    this.#sizes = []
    this.#base = base
    this.#head = 0
    this.#bytes = 0
    this.#count = 0
    this.#chunk = undefined
  }
}
