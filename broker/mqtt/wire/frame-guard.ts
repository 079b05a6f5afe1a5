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

  /** Feeds what belongs to the packet under way, whose header has been fed; returns how many bytes that are. */
  feedOpen (chunk: Uint8Array): number {
    const step = Math.min(this.#skip, chunk.length)
    this.#skip -= step
    return step
  }

  /** The next byte is a packet's first: what was refused is not fed on. */
  reset (): void { this.#lengthByte = this.#skip = 0 }

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
