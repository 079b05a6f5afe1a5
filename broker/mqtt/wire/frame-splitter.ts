/**
 * The WebSocket frames of a client, made small before they are gathered: MQTT over WebSocket is a stream of bytes, and
 * where a message begins says nothing [MQTT-6.0.0-2]. What comes of a large frame becomes a message of its own at once,
 * and so does each fragment, so that nothing large is ever held for being one message [G6]. What is against RFC 6455
 * stays so, and is passed on to whoever ends the connection for it. Pure: owns no socket. (RFC 6455, 5.2 to 5.4)
 */
const FIN = 0x80
const RESERVED_BITS = 0x70
const OPCODE = 0x0f
const CONTINUATION = 0
const TEXT = 1
const BINARY = 2
const CONTROL = 8
const MASKED = 0x80
const LENGTH_16 = 126
const LENGTH_64 = 127
const MASK_BYTES = 4
const NO_BYTES = Buffer.alloc(0)

/** A larger frame is split. Not more than a length of 16 bits says. */
export const PIECE_BYTES_MAX = 32_768

export class FrameSplitter {
  /** A header of which more is to come. */
  #header = NO_BYTES
  /** Of the payload of the present frame, still to come; if it is split, what came before, and its mask. */
  #left = 0
  #past = 0
  #mask: Buffer | undefined
  /** What kind of message has begun and is not over; CONTINUATION: none. */
  #begun: typeof CONTINUATION | typeof TEXT | typeof BINARY = CONTINUATION
  /** The connection is about to end. */
  #isBroken = false
  #out: Buffer[] = []
  /** What comes before is in #out. */
  #passed = 0

  /** What is to be read in place of what was received, which may change. */
  feed (received: Buffer): Buffer {
    if (this.#isBroken) return received
    const chunk = this.#header.length === 0 ? received : Buffer.concat([this.#header, received])
    this.#header = NO_BYTES
    this.#out = []
    this.#passed = 0
    let at = 0
    while (at < chunk.length && !this.#isBroken) at = this.#left > 0 ? this.#payload(chunk, at) : this.#frame(chunk, at)
    if (this.#passed < chunk.length) this.#out.push(chunk.subarray(this.#passed))
    return this.#out.length === 1 ? this.#out[0] : Buffer.concat(this.#out)
  }

  #payload (chunk: Buffer, at: number): number {
    const mask = this.#mask
    const some = Math.min(this.#left, chunk.length - at, mask === undefined ? Infinity : PIECE_BYTES_MAX)
    this.#left -= some
    if (mask !== undefined) {
      this.#out.push(pieceHeader(some, mask, this.#past), chunk.subarray(at, at + some))
      this.#passed = at + some
      this.#past += some
    }
    return at + some
  }

  /** Returns where its payload begins. */
  #frame (chunk: Buffer, at: number): number {
    const short = chunk[at + 1] & ~MASKED
    const lengthEnd = at + 2 + (short === LENGTH_64 ? 8 : short === LENGTH_16 ? 2 : 0)
    const end = lengthEnd + MASK_BYTES
    if (at + 1 >= chunk.length || end > chunk.length) {
      this.#pass(chunk, at)
      this.#header = Buffer.from(chunk.subarray(at))
      this.#passed = chunk.length
      return chunk.length
    }
    const length = short === LENGTH_64
      ? chunk.readUInt32BE(at + 2) * 2 ** 32 + chunk.readUInt32BE(at + 6)
      : short === LENGTH_16 ? chunk.readUInt16BE(at + 2) : short
    const opcode = chunk[at] & OPCODE
    if ((chunk[at + 1] & MASKED) === 0 || (chunk[at] & RESERVED_BITS) !== 0 || !Number.isSafeInteger(length)) {
      this.#isBroken = true
      return chunk.length
    }
    this.#left = length
    this.#past = 0
    this.#mask = undefined
    if (opcode < CONTROL && this.#isBinary(chunk, at, opcode) && length > PIECE_BYTES_MAX) {
      this.#mask = Buffer.from(chunk.subarray(lengthEnd, end))
      this.#pass(chunk, at)
      this.#passed = end
    }
    return end
  }

  /** A frame of a binary message becomes a whole one. */
  #isBinary (chunk: Buffer, at: number, opcode: number): boolean {
    const isLast = (chunk[at] & FIN) !== 0
    const kind = opcode === CONTINUATION ? this.#begun : opcode
    if ((opcode === CONTINUATION) === (this.#begun === CONTINUATION) || kind > BINARY) {
      // a message in another, or a continuation of none: it must be neither once what began it is a message of its own
      if (this.#begun === BINARY) chunk[at] = FIN | CONTINUATION
      this.#isBroken = true
      return false
    }
    this.#begun = isLast ? CONTINUATION : kind as typeof TEXT | typeof BINARY
    if (kind === TEXT) return false
    chunk[at] = FIN | BINARY
    return true
  }

  #pass (chunk: Buffer, to: number): void {
    if (this.#passed < to) this.#out.push(chunk.subarray(this.#passed, to))
  }
}

/** Of a message that holds so many bytes of a frame, behind `past` others. */
function pieceHeader (bytes: number, mask: Buffer, past: number): Buffer {
  const isShort = bytes < LENGTH_16
  const header = Buffer.allocUnsafe((isShort ? 2 : 4) + MASK_BYTES)
  header[0] = FIN | BINARY
  header[1] = MASKED | (isShort ? bytes : LENGTH_16)
  if (!isShort) header.writeUInt16BE(bytes, 2)
  for (let i = 0; i < MASK_BYTES; i++) header[header.length - MASK_BYTES + i] = mask[(past + i) % MASK_BYTES]
  return header
}
