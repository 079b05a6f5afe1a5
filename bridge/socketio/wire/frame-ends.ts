/**
 * Where the frames of a WebSocket end (RFC 6455, 5.2), in the bytes as they come. Checks nothing, which is for whoever
 * reads the frames; owns no socket, and no memory besides numbers, as every connection has one.
 */

/** Besides the length: a byte of flags, a byte of mask bit and short length, and the mask. */
const FIXED_BYTES = 2
const MASK_BYTES = 4
const MASKED = 0x80

export class FrameEnds {
  /** Bytes of the payload under way that are still to come. */
  #payload = 0
  /** Of the header under way: how many of its bytes have come, the second of them, and the long length so far. */
  #headerBytes = 0
  #second = 0
  #length = 0

  /** Where in the chunk the frame ends that is under way, or begins, at `from`; the end of the chunk if behind it. */
  next (chunk: Uint8Array, from: number): number {
    let at = from
    while (this.#payload === 0) {
      if (at === chunk.length) return at
      const payload = this.#read(chunk[at++])
      if (payload === undefined) continue
      this.#headerBytes = 0
      if (payload === 0) return at
      this.#payload = payload
    }
    const step = Math.min(this.#payload, chunk.length - at)
    this.#payload -= step
    return at + step
  }

  /** The length of the payload, once the byte is the last of the header. */
  #read (byte: number): number | undefined {
    const at = this.#headerBytes++
    if (at === 0) return undefined
    if (at === 1) {
      this.#second = byte
      this.#length = 0
    }
    const short = this.#second & ~MASKED
    const lengthEnd = FIXED_BYTES + (short === 127 ? 8 : short === 126 ? 2 : 0)
    if (at >= FIXED_BYTES && at < lengthEnd) this.#length = this.#length * 256 + byte
    if (this.#headerBytes < lengthEnd + ((this.#second & MASKED) === 0 ? 0 : MASK_BYTES)) return undefined
    return lengthEnd === FIXED_BYTES ? short : this.#length
  }
}
