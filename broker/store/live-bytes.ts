import type { Offset } from '../model/message.ts'

/** Offsets whose sizes share an array; large enough to be cheap, small enough that one survivor costs little. */
const PAGE = 128

/**
 * Which offsets are live, and the bytes each counts for: 4 to 7 bytes of memory for a message in a dense log, less
 * than 1 KB for one that outlived all its neighbours.
 */
export class LiveBytes {
  /** At place k the bytes of an offset plus 1, 0 where it is not live; at PAGE the number of live ones. */
  readonly #pages = new Map<number, Uint32Array>()
  #messages = 0
  #bytes = 0

  get messages (): number { return this.#messages }
  get bytes (): number { return this.#bytes }

  /** The offset must not be live. */
  add (offset: Offset, bytes: number): void {
    const number = Math.floor(offset / PAGE)
    let page = this.#pages.get(number)
    if (page === undefined) {
      page = new Uint32Array(PAGE + 1)
      this.#pages.set(number, page)
    }
    page[offset % PAGE] = bytes + 1
    page[PAGE]++
    this.#messages++
    this.#bytes += bytes
  }

  /** Bytes of a live offset, -1 if it is not live. */
  get (offset: Offset): number {
    const page = this.#pages.get(Math.floor(offset / PAGE))
    return page === undefined ? -1 : page[offset % PAGE] - 1
  }

  remove (offset: Offset): void {
    const number = Math.floor(offset / PAGE)
    const page = this.#pages.get(number)
    if (page === undefined || page[offset % PAGE] === 0) return
    this.#messages--
    this.#bytes -= page[offset % PAGE] - 1
    page[offset % PAGE] = 0
    if (--page[PAGE] === 0) this.#pages.delete(number)
  }
}
