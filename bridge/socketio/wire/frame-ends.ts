/**
 * Where the frames of a WebSocket end (RFC 6455, 5.2), in the bytes as they come. Checks nothing, which is for whoever
 * reads the frames; owns no socket.
 */

/** Two bytes, eight for the length, four for the mask. */
const HEADER_BYTES_MAX = 14
const MASKED = 0x80

export class FrameEnds {
  /** Bytes of the payload under way that are still to come. */
  #payload = 0
  /** Of the header under way. */
  readonly #header = Buffer.alloc(HEADER_BYTES_MAX)
  #headerBytes = 0

  /** How many bytes of the chunk belong to the frame that is under way or begins with it. */
  next (chunk: Uint8Array): number {
    let at = 0
    while (this.#payload === 0) {
      if (at === chunk.length) return at
      this.#header[this.#headerBytes++] = chunk[at++]
      const payload = this.#payloadBytes()
      if (payload === undefined) continue
      this.#headerBytes = 0
      if (payload === 0) return at
      this.#payload = payload
    }
    const step = Math.min(this.#payload, chunk.length - at)
    this.#payload -= step
    return at + step
  }

  /** By the header; undefined while it is not complete. */
  #payloadBytes (): number | undefined {
    const header = this.#header
    if (this.#headerBytes < 2) return undefined
    const short = header[1] & ~MASKED
    const lengthBytes = short === 127 ? 8 : short === 126 ? 2 : 0
    if (this.#headerBytes < 2 + lengthBytes + ((header[1] & MASKED) === 0 ? 0 : 4)) return undefined
    if (lengthBytes === 0) return short
    return lengthBytes === 2 ? header.readUInt16BE(2) : Number(header.readBigUInt64BE(2))
  }
}
