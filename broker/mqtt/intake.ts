/**
 * What one connection sends, taken in turns: a part of it, then the others, then the next part [G8]. Without that a
 * client that floods has the event loop to itself for as long as it fills the buffers of the system: megabytes of
 * packets of a few bytes each, which is seconds.
 *
 * Bytes that were read and have to wait are kept here, and the stream is not read on meanwhile: so there are no more of
 * them than it holds [G6]. The end of the connection does not overtake them, whichever way it comes.
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
   * @returns bytes taken; the others come again
   */
  take (chunk: Buffer, turn: Turn): number
  /** Packets that the engine has in process. */
  processed (): number
  /** Nothing more comes, and all that came was taken. Called once. */
  over (): void
}

export class Intake implements Turn {
  left = TURN_UNITS
  readonly #options: IntakeOptions
  /** Was read and has to wait. */
  #rest: Buffer | undefined
  #hasEnded = false
  #isOver = false
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
    if (this.#isPaused && this.#rest === undefined) this.#options.stream.read(0) // so that it says where it ends
    if (this.#isTaking || this.#isWaiting || this.#isPaused) return
    this.#isTaking = true // the stream of a WebSocket may say at once that it is readable when it was read
    let isEmpty = false
    do {
      this.#isHeld = this.#options.processed() > PROCESSED_MAX
      if (!this.#isHeld) isEmpty = !this.#take()
    } while (!isEmpty && !this.#isHeld && this.left > 0)
    this.#isTaking = false
    if (isEmpty && this.#hasEnded) this.#end()
    else if (this.left <= 0 && !this.#isPaused) this.#wait()
  }

  /** False where there is nothing. */
  #take (): boolean {
    const chunk = this.#rest ?? this.#options.stream.read() as Buffer | null
    this.#rest = undefined
    if (chunk === null) return false
    const taken = this.#options.take(chunk, this)
    if (taken < chunk.length && !this.#isStopped) this.#rest = chunk.subarray(taken)
    return true
  }

  /** Nothing more comes. What came before is taken, as it would have been. */
  end (): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    if (this.#isStopped) this.#end()
    else this.readable()
  }

  /** Nothing waits to be taken, as far as it was read; whoever ends reads all. */
  get isEmpty (): boolean { return this.#rest === undefined && !this.#read() }

  /** Takes what the stream has, which may have gone. */
  #read (): boolean {
    this.#rest = this.#options.stream.read() as Buffer | null ?? undefined
    return this.#rest !== undefined
  }

  #end (): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#options.over()
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
    this.#rest = undefined
    this.pause()
    if (this.#hasEnded) this.#end()
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
