/**
 * Before the parser: packets are put together from what was read, and each is looked at as a whole before the parser
 * sees any of it. No packet is longer than allowed: its length was looked at when it began. Owns no socket.
 */
import { malformed, takeBackMissing } from './well-formed.ts'

export interface WholePacketsOptions {
  /** One or more whole packets, none of them malformed. */
  readonly parse: (packets: Buffer) => void
  /** The packet behind those that were parsed is malformed; nothing is parsed any more. */
  readonly refuse: (sentence: string) => void
  /** The connection has ended: what comes does not count. */
  readonly isOver: () => boolean
}

const NO_BYTES = Buffer.alloc(0)
const CONNECT = 0x10

export class WholePackets {
  readonly #options: WholePacketsOptions
  /** What has come of a packet that is not whole yet, and room for as much again: in however small pieces it comes, it
   * takes no more than twice its bytes [G6]. */
  #held = NO_BYTES
  #bytes = 0
  /** So many bytes of it are needed to go on. */
  #bytesWanted = 0
  #isBroken = false

  constructor (options: WholePacketsOptions) {
    this.#options = options
  }

  /** The next bytes, however they are cut. What is held of them is a copy. */
  take (chunk: Buffer): void {
    if (this.#isBroken) return
    if (this.#bytes === 0) {
      this.#takeFrom(chunk)
      return
    }
    this.#hold(chunk)
    if (this.#bytes < this.#bytesWanted) return
    const joined = this.#held.subarray(0, this.#bytes)
    this.#held = NO_BYTES
    this.#bytes = 0
    this.#takeFrom(joined)
  }

  #takeFrom (chunk: Buffer): void {
    let at = 0
    let wrong: string | undefined
    while (at < chunk.length && wrong === undefined) {
      let body = at + 1
      let length = 0
      let byte = 0x80
      for (let shift = 0; byte >= 0x80 && body < chunk.length && shift <= 21; shift += 7) {
        byte = chunk[body++]
        length |= (byte & 0x7f) << shift
      }
      const isCut = byte >= 0x80
      const end = body + length
      if (isCut || end > chunk.length) {
        this.#bytesWanted = isCut ? chunk.length - at + 1 : end - at
        this.#hold(chunk.subarray(at))
        break
      }
      if (chunk[at] === CONNECT) takeBackMissing(chunk, body, end)
      wrong = malformed(chunk, at, body, end)
      if (wrong === undefined) at = end
    }
    if (at > 0) this.#options.parse(chunk.subarray(0, at))
    if (wrong === undefined) return
    this.#isBroken = true
    if (!this.#options.isOver()) this.#options.refuse(wrong)
  }

  #hold (bytes: Buffer): void {
    const needed = this.#bytes + bytes.length
    if (needed > this.#held.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(needed, Math.min(2 * needed, this.#bytesWanted)))
      this.#held.copy(larger, 0, 0, this.#bytes)
      this.#held = larger
    }
    bytes.copy(this.#held, this.#bytes)
    this.#bytes = needed
  }
}
