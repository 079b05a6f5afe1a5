/**
 * The end of a connection comes behind everything that was received before it: packets that wait for the disk or for
 * access control are carried out first [G3]. Owns no socket.
 */
import type { Clock } from '../system/clock.ts'

export interface EndingOptions {
  readonly clock: Clock
  /** So long it waits at most [G6]. */
  readonly waitMsMax: number
  /** Is something in process that was received? */
  isBusy (): boolean
  /** Called once. `isLate` where something was still in process. */
  end (isLate: boolean): void
}

export class Ending {
  readonly #options: EndingOptions
  #cancel: (() => void) | undefined
  #isOver = false

  constructor (options: EndingOptions) {
    this.#options = options
  }

  /** Nothing more comes. */
  begin (): void {
    if (this.#cancel !== undefined) return
    const { clock, waitMsMax } = this.#options
    this.#cancel = clock.after(waitMsMax, () => { this.#end(true) })
    this.changed()
  }

  /** Something is not in process any more. */
  changed (): void {
    if (this.#cancel === undefined || this.#isOver) return
    setImmediate(() => { if (!this.#options.isBusy()) this.#end(false) }) // its answer is written first
  }

  #end (isLate: boolean): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#cancel?.()
    this.#options.end(isLate)
  }
}
