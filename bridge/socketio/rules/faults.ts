/** Faults of functions in rules: told to the operator, however many there are, without a line for each. */
import type { Logger } from '../../../broker/index.ts'

export class Faults {
  readonly #log: Logger
  /** By the path of the rule: bounded by the number of rules. */
  readonly #counts = new Map<string, number>()

  constructor (log: Logger) {
    this.#log = log
  }

  /** Logs the first, second, fourth, eighth, ... fault of a rule. */
  report (path: string, error: unknown): void {
    const count = (this.#counts.get(path) ?? 0) + 1
    this.#counts.set(path, count)
    if ((count & (count - 1)) !== 0) return
    this.#log.warn({ rule: path, faults: count, err: error }, 'a function in the rules of the bridge failed')
  }
}
