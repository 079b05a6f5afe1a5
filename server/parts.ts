/** What was started, and has to be stopped in the opposite order. */
import type { Logger } from '../broker/index.ts'

export class Parts {
  readonly #log: Logger
  readonly #ends: Array<() => Promise<void>> = []

  constructor (log: Logger) {
    this.#log = log
  }

  /** A part that is there now, and how it ends. */
  add (end: () => Promise<void>): void { this.#ends.push(end) }

  /** Stops all of them; rejects with what went wrong first. A part that can't end does not keep others from ending. */
  async stop (): Promise<void> {
    const failures: unknown[] = []
    for (const end of this.#ends.splice(0).reverse()) {
      await end().catch((err: unknown) => {
        this.#log.error({ err }, 'a part of the server did not stop as it should')
        failures.push(err)
      })
    }
    if (failures.length > 0) throw failures[0]
  }
}
