/**
 * Topic names as they come over one connection. Most clients publish to the same topic again and again: what came last
 * is known by its bytes, and is then one string in memory, however many messages carry it. Pure.
 */

/** Longer ones are decoded each time: comparing them is no faster. */
const KNOWN_BYTES_MAX = 256

export class TopicReader {
  readonly #bytes = new Uint8Array(KNOWN_BYTES_MAX)
  #length = 0
  #topic = ''

  /** @param to not beyond the end of the chunk */
  read (chunk: Buffer, from: number, to: number): string {
    const length = to - from
    if (length > KNOWN_BYTES_MAX) return chunk.toString('utf8', from, to)
    if (!this.#isKnown(chunk, from, length)) {
      this.#topic = chunk.toString('utf8', from, to)
      for (let i = 0; i < length; i++) this.#bytes[i] = chunk[from + i]
      this.#length = length
    }
    return this.#topic
  }

  #isKnown (chunk: Buffer, from: number, length: number): boolean {
    if (length !== this.#length) return false
    for (let i = length - 1; i >= 0; i--) if (this.#bytes[i] !== chunk[from + i]) return false // they differ at the end
    return true
  }
}
