/**
 * What clients or the program can make happen as often as they like: counted each time, and logged once in a while, so
 * that nobody fills the log.
 */
import type { Clock, Logger } from '../../broker/index.ts'

export const TALLIES = [
  /** Joins and emits of the program that could not be made durable, and went to who is connected. */
  'liveOnly',
  /** Emits, joins and leaves of the program that the store did not take. */
  'notStored',
  /** Emits of the program that its option `durable` had no answer for; they were kept. */
  'undecided',
  /** Messages that a client of version 2 would have taken for events of its own life. */
  'forged'
] as const
export type TallyKind = typeof TALLIES[number]
export type Tallies = Readonly<Record<TallyKind, number>>

/** A kind is logged once in this time. */
export const TALLY_LOG_MS = 10_000

export class Tally {
  readonly #clock: Clock
  readonly #log: Logger
  readonly #counts = new Map<TallyKind, number>()
  /** Logged a while ago; the number is what had been counted then. */
  readonly #logged = new Map<TallyKind, number>()
  readonly #quiet = new Set<TallyKind>()

  constructor (clock: Clock, log: Logger) {
    this.#clock = clock
    this.#log = log
  }

  /** The sentence says what to do; `times` in the log is how often it happened since the line before. */
  note (kind: TallyKind, fields: object, sentence: string): void {
    const count = (this.#counts.get(kind) ?? 0) + 1
    this.#counts.set(kind, count)
    if (this.#quiet.has(kind)) return
    this.#quiet.add(kind)
    this.#clock.after(TALLY_LOG_MS, () => this.#quiet.delete(kind))
    this.#log.warn({ ...fields, times: count - (this.#logged.get(kind) ?? 0) }, sentence)
    this.#logged.set(kind, count)
  }

  /** Since the start. */
  get counts (): Tallies {
    return Object.fromEntries(TALLIES.map(kind => [kind, this.#counts.get(kind) ?? 0])) as Tallies
  }
}
