/**
 * The packets of a polling request, one at a time: a megabyte can hold half a million of them. Engine.IO 4 puts a
 * separator between packets; Engine.IO 3 a length before each, in text or in bytes. Each is still encoded as a payload
 * of one, for Engine.IO's own parser. Pure.
 */

const SEPARATOR = '\x1e'
/** Of Engine.IO 3: ends the length, which is in digits from 0 to 9 behind a byte for the kind. */
const LENGTH_END = 0xff
/** Digits of a length; no payload is as long as that says. */
const LENGTH_DIGITS_MAX = 10

export class Payload {
  readonly #data: string | Buffer
  readonly #revision: 3 | 4
  #at = 0
  #isOver = false

  constructor (data: string | Buffer, revision: 3 | 4) {
    this.#data = data
    this.#revision = revision
  }

  /** A payload of one packet, or of what is no packet; undefined behind the last. */
  next (): string | Buffer | undefined {
    if (this.#isOver) return undefined
    const from = this.#at
    const end = this.#end(from)
    if (end === undefined) { // nothing can be told apart any more
      this.#isOver = true
      return this.#data.slice(from)
    }
    this.#at = this.#revision === 4 ? end + 1 : end
    this.#isOver = this.#revision === 4 ? end === this.#data.length : this.#at >= this.#data.length
    return this.#data.slice(from, end)
  }

  #end (from: number): number | undefined {
    const data = this.#data
    if (typeof data !== 'string') return endOfBytes(data, from)
    if (this.#revision === 3) return endOfText(data, from)
    const end = data.indexOf(SEPARATOR, from)
    return end < 0 ? data.length : end
  }
}

function endOfText (data: string, from: number): number | undefined {
  let length = 0
  for (let at = from; at <= from + LENGTH_DIGITS_MAX && at < data.length; at++) {
    const digit = data.charCodeAt(at) - 48
    if (digit === 10) return at === from || at + 1 + length > data.length ? undefined : at + 1 + length // a colon
    if (digit < 0 || digit > 9) return undefined
    length = length * 10 + digit
  }
  return undefined
}

function endOfBytes (data: Buffer, from: number): number | undefined {
  let length = 0
  for (let at = from + 1; at <= from + 1 + LENGTH_DIGITS_MAX && at < data.length; at++) {
    const digit = data[at]
    if (digit === LENGTH_END) return at === from + 1 || at + 1 + length > data.length ? undefined : at + 1 + length
    if (digit > 9) return undefined
    length = length * 10 + digit
  }
  return undefined
}
