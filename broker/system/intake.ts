/**
 * What one connection sends, taken in turns with the others: a part of it, then the others, then the next part [G8].
 * Without that a client that floods has the event loop to itself for as long as it fills the buffers of the system:
 * megabytes of packets of a few bytes each, which is seconds.
 *
 * Bytes that were read and have to wait are kept here, and the stream is not read on meanwhile: so there are no more of
 * them than it holds [G6]. The end of the connection does not overtake them, whichever way it comes.
 */
import type { Duplex } from 'node:stream'
import type { Taker, Turn, Turns } from './turns.ts'

/** Packets of a connection that are in process; beyond it nothing more is taken until some are done. */
const PROCESSED_MAX = 256

/** Payloads are copied: a unit for each KB. */
export function copyUnits (bytes: number): number { return bytes >>> 10 }

/** Whose bytes they are. Each idle connection has one, so it is the object that reads, and no set of functions. */
export interface IntakeSource {
  readonly stream: Duplex
  /**
   * Takes packets while the turn has units left, and counts them there.
   * @returns bytes taken; the others come again
   */
  take (chunk: Buffer, turn: Turn): number
  /** Packets that are in process. */
  processed (): number
  /** Nothing more comes, and all that came was taken. Called once. */
  over (): void
}

export class Intake implements Taker {
  readonly turn: Turn
  readonly #source: IntakeSource
  /** Was read and has to wait. */
  #rest: Buffer | undefined
  #hasEnded = false
  #isOver = false
  #isPaused = false
  #isStopped = false
  /** Too much is in process. */
  #isHeld = false

  constructor (source: IntakeSource, turns: Turns) {
    this.#source = source
    this.turn = turns.turn(this)
  }

  /** There is something to read, or the end. */
  readable (): void {
    if (this.#isPaused && this.#rest === undefined) this.#source.stream.read(0) // so that it says where it ends
    if (!this.#isPaused) this.turn.ask()
  }

  /** A turn of it; for Turns alone. */
  take (): boolean {
    if (this.#isPaused) return false
    let isEmpty = false
    do {
      this.#isHeld = this.#source.processed() > PROCESSED_MAX
      if (!this.#isHeld) isEmpty = !this.#takeChunk()
    } while (!isEmpty && !this.#isHeld && this.turn.left > 0)
    if (isEmpty && this.#hasEnded) this.#end()
    return !isEmpty && !this.#isHeld && !this.#isPaused
  }

  /** False where there is nothing. */
  #takeChunk (): boolean {
    const chunk = this.#rest ?? this.#source.stream.read() as Buffer | null
    this.#rest = undefined
    if (chunk === null) return false
    const taken = this.#source.take(chunk, this.turn)
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
    this.#rest = this.#source.stream.read() as Buffer | null ?? undefined
    return this.#rest !== undefined
  }

  #end (): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#source.over()
  }

  /** One packet is not in process any more. */
  processedOne (): void {
    if (!this.#isHeld || this.#source.processed() > PROCESSED_MAX) return
    this.#isHeld = false
    this.turn.askLater()
  }

  /** Takes nothing more, not even the packets that were read already. */
  pause (): void {
    this.#isPaused = true
    this.turn.stop()
  }

  /** Goes on in the next turn: what made room was done for this connection, and now it is for others. */
  resume (): void {
    if (this.#isStopped) return
    this.#isPaused = false
    this.turn.askLater()
  }

  /** Takes nothing more, whoever resumes it. */
  stop (): void {
    this.#isStopped = true
    this.#rest = undefined
    this.pause()
    if (this.#hasEnded) this.#end()
  }
}
