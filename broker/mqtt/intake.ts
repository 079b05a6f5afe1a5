/**
 * What one connection sends, taken in turns: a part of it, then the others, then the next part [G8]. Without that a
 * client that floods has the event loop to itself for as long as it fills the buffers of the system: megabytes of
 * packets of a few bytes each, which is seconds.
 *
 * Bytes that were read and have to wait go back to the stream that they came from. There they count for its bound [G6],
 * the end of the connection does not overtake them, and they go when it is destroyed.
 */
import type { Duplex } from 'node:stream'

/**
 * What is taken of a connection in a turn, in units of a small PUBLISH that is taken directly, which costs some
 * microseconds. So few that a hundred connections which flood delay the others by some tens of milliseconds, and so
 * many that a window of messages, which is what an honest client has under way, goes by in one turn.
 */
export const TURN_UNITS = 256

/** What parser and engine do with a packet costs about so many units. */
export const PARSED_UNITS = 8

/** Packets of a connection that the engine has in process; beyond it nothing more is taken until some are done. */
const PROCESSED_MAX = 256

/** Of what waits so much is read again; not above the high water mark of the stream, which read() would raise. */
const SLICE_BYTES = 16_384

export interface Turn {
  /** Units that are left; nothing more is taken when there is none. */
  left: number
}

/** Payloads are copied: a unit for each KB. */
export function copyUnits (bytes: number): number { return bytes >>> 10 }
/** A packet with filters is work for each of them: a unit for 32 bytes. */
export function parseUnits (bytes: number): number { return PARSED_UNITS + (bytes >>> 5) }

export interface IntakeOptions {
  readonly stream: Duplex
  /**
   * Takes packets while the turn has units left, and counts them there.
   * @returns bytes taken; the others go back, and come again
   */
  take (chunk: Buffer, turn: Turn): number
  /** Packets that the engine has in process. */
  processed (): number
}

export class Intake implements Turn {
  left = TURN_UNITS
  readonly #options: IntakeOptions
  /** The stream has bytes that had to wait. */
  #hasRest = false
  #isTaking = false
  /** Its next turn will come. */
  #isWaiting = false
  #isPaused = false
  #isStopped = false
  /** Too much is in process. */
  #isHeld = false

  constructor (options: IntakeOptions) {
    this.#options = options
  }

  /** There is something to read, or the end. */
  readable (): void {
    if (this.#isTaking || this.#isWaiting || this.#isPaused) return
    this.#isTaking = true // the stream of a WebSocket may say at once that it is readable when it gets bytes back
    do {
      this.#isHeld = this.#options.processed() > PROCESSED_MAX
      if (!this.#isHeld) this.#take()
    } while (this.#hasRest && !this.#isHeld && this.left > 0)
    this.#isTaking = false
    if (this.left <= 0 && !this.#isPaused) this.#wait()
  }

  #take (): void {
    const { stream, take } = this.#options
    let chunk: Buffer | null = null
    if (stream.destroyed) { // what it still has is of no use, and begins anywhere
      this.#hasRest = false
      return
    }
    // Of a rest no more than a slice: whoever reads all lets the stream read on, and so the rest would grow.
    if (this.#hasRest) chunk = stream.read(SLICE_BYTES) as Buffer | null
    chunk ??= stream.read() as Buffer | null
    if (chunk === null) {
      this.#hasRest = false
      return
    }
    const taken = take(chunk, this)
    if (this.left <= 0) this.#hasRest = true
    if (taken < chunk.length && !stream.destroyed) stream.unshift(chunk.subarray(taken))
  }

  /** One packet is not in process any more. */
  processedOne (): void {
    if (!this.#isHeld || this.#options.processed() > PROCESSED_MAX) return
    this.#isHeld = false
    this.#wait()
  }

  /** Takes nothing more, not even the packets that were read already. */
  pause (): void {
    this.#isPaused = true
    this.left = 0
  }

  /** Goes on in the next turn: what made room was done for this connection, and now it is for others. */
  resume (): void {
    if (this.#isStopped) return
    this.#isPaused = false
    this.#wait()
  }

  /** Takes nothing more, whoever resumes it. */
  stop (): void {
    this.#isStopped = true
    this.pause()
  }

  #wait (): void {
    if (this.#isWaiting) return
    this.#isWaiting = true
    setImmediate(() => {
      this.#isWaiting = false
      if (this.#isPaused) return
      this.left = TURN_UNITS
      this.readable()
    })
  }
}
