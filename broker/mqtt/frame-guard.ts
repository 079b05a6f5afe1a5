/**
 * Watches the packet lengths in a byte stream (MQTT 2.2.3), so that a packet is refused when its length is announced
 * and not when it has been buffered. Knows nothing of the contents; owns no socket. Whole packets of an allowed length
 * need not be fed.
 */
export class FrameGuard {
  #packetBytesMax: number
  /** Bytes of the current packet that are still to come. */
  #skip = 0
  /** 0: at a packet's first byte; from 1 on: reading that byte of the length. */
  #lengthByte = 0
  #length = 0

  constructor (packetBytesMax: number) {
    this.#packetBytesMax = packetBytesMax
  }

  /** From the next packet on. */
  set packetBytesMax (bytes: number) { this.#packetBytesMax = bytes }

  get packetBytesMax (): number { return this.#packetBytesMax }

  /** Feeds what belongs to the packet under way; returns how many bytes that are, or what is wrong with them. */
  feedOpen (chunk: Uint8Array): number | string {
    let fed = 0
    while (this.#lengthByte > 0 && fed < chunk.length) { // cut in the middle of its length
      const wrong = this.feed(chunk.subarray(fed, ++fed))
      if (wrong !== undefined) return wrong
    }
    const step = Math.min(this.#skip, chunk.length - fed)
    this.#skip -= step
    return fed + step
  }

  /** Returns what is wrong with the bytes, undefined if nothing is. */
  feed (chunk: Uint8Array): string | undefined {
    let at = 0
    while (at < chunk.length) {
      if (this.#skip > 0) {
        const step = Math.min(this.#skip, chunk.length - at)
        this.#skip -= step
        at += step
      } else if (this.#lengthByte === 0) {
        at++
        this.#lengthByte = 1
        this.#length = 0
      } else {
        const byte = chunk[at++]
        this.#length |= (byte & 0x7f) << 7 * (this.#lengthByte - 1)
        if (byte < 0x80) {
          if (this.#length > this.#packetBytesMax) {
            return `a packet of ${this.#length} bytes; the limit is ${this.#packetBytesMax}`
          }
          this.#skip = this.#length
          this.#lengthByte = 0
        } else if (++this.#lengthByte > 4) return 'a packet length of more than four bytes'
      }
    }
    return undefined
  }
}
