/**
 * Before the parser: packets are put together from what was read, and each is looked at as a whole before the parser
 * sees any of it. No packet is longer than allowed: its length was looked at when it began. Owns no socket.
 */
import { malformed } from './well-formed.ts'

export interface WholePacketsOptions {
  /** One or more whole packets, none of them malformed. */
  readonly parse: (packets: Buffer) => void
  /** The packet behind those that were parsed is malformed; nothing is parsed any more. */
  readonly refuse: (sentence: string) => void
  /** The connection has ended: what comes does not count. */
  readonly isOver: () => boolean
}

export class WholePackets {
  readonly #options: WholePacketsOptions
  /** Of a packet that is not whole yet. */
  #parts: Buffer[] = []
  #bytes = 0
  /** So many bytes of it are needed to go on. */
  #bytesWanted = 0
  #isBroken = false

  constructor (options: WholePacketsOptions) {
    this.#options = options
  }

  /** The next bytes, however they are cut. */
  take (chunk: Buffer): void {
    if (this.#isBroken) return
    if (this.#parts.length === 0) {
      this.#takeFrom(chunk)
      return
    }
    this.#parts.push(chunk)
    this.#bytes += chunk.length
    if (this.#bytes < this.#bytesWanted) return
    const joined = Buffer.concat(this.#parts, this.#bytes)
    this.#parts = []
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
        this.#keep(chunk.subarray(at), isCut ? chunk.length - at + 1 : end - at)
        break
      }
      wrong = malformed(chunk, at, body, end)
      if (wrong === undefined) at = end
    }
    if (at > 0) this.#options.parse(chunk.subarray(0, at))
    if (wrong === undefined) return
    this.#isBroken = true
    if (!this.#options.isOver()) this.#options.refuse(wrong)
  }

  #keep (bytes: Buffer, bytesWanted: number): void {
    this.#parts = [bytes]
    this.#bytes = bytes.length
    this.#bytesWanted = bytesWanted
  }
}
