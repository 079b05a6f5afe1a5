/** How long a client is not read, as the disk or the client itself does not keep up with what it sends [G6]. */

interface Readable { pause (): void, resume (): void }

export interface Pressed {
  readonly open: boolean
  /** What was written to it waits, as much as may. */
  readonly full: boolean
  /** What is read of it; undefined where nothing can be paused. */
  readable (): Readable | undefined
  /** Calls back once, when what was written so far is taken. */
  whenTaken (taken: () => void): void
}

export class BackPressure {
  readonly #client: Pressed
  readonly #pendingBytesMax: number
  /** Taken from the client and not yet durable. */
  #pendingBytes = 0
  /** Of them: answered, and the answers are not taken. */
  #untakenBytes = 0
  #isUntaken = false
  /** What is not read now. */
  #paused: Readable | undefined

  constructor (client: Pressed, pendingBytesMax: number) {
    this.#client = client
    this.#pendingBytesMax = pendingBytesMax
  }

  /** Counts bytes taken from the client. Beyond pendingBytesMax it is not read until the disk has caught up. */
  take (bytes: number): void {
    this.#pendingBytes += bytes
    if (this.#pendingBytes > this.#pendingBytesMax) this.#pause()
  }

  /**
   * The bytes are durable, or refused, and `isAnswered` where that is told. A client that does not take answers is not
   * read until it does: it could go on asking for ever.
   */
  settle (bytes: number, isAnswered: boolean): void {
    if (!isAnswered || !this.#client.full) return this.#release(bytes)
    this.#untakenBytes += bytes
    this.owe()
  }

  /** Reads nothing until what was written is taken. */
  owe (): void {
    if (!this.#isUntaken) this.#client.whenTaken(() => this.#taken())
    this.#isUntaken = true
    this.#pause()
  }

  /** The connection is gone: what is left means nothing any more. */
  drop (): void { this.#paused?.resume() }

  #taken (): void {
    if (!this.#client.open) return
    if (this.#client.full) return this.#client.whenTaken(() => this.#taken())
    const bytes = this.#untakenBytes
    this.#untakenBytes = 0
    this.#isUntaken = false
    this.#release(bytes)
  }

  #release (bytes: number): void {
    this.#pendingBytes -= bytes
    if (this.#paused === undefined || this.#isUntaken || this.#pendingBytes > this.#pendingBytesMax / 2) return
    this.#paused.resume()
    this.#paused = undefined
  }

  #pause (): void {
    if (this.#paused !== undefined) return
    this.#paused = this.#client.readable()
    this.#paused?.pause()
  }
}
