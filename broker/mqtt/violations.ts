/** Connections that were closed since their client broke the protocol: counted, and told once in a while. */
import type { Clock } from '../clock.ts'
import type { Logger } from '../logger.ts'
import { Seldom } from '../seldom.ts'

/** Between two lines of the log, whoever it was. */
const TOLD_PAUSE_MS = 10_000

export interface Violator {
  /** Not known before CONNECT was understood. */
  readonly clientId: string | undefined
  readonly remoteAddress: string
}

export class Violations {
  readonly #log: Logger
  readonly #seldom: Seldom
  /** Since the start. */
  count = 0

  constructor (options: { readonly log: Logger, readonly clock: Clock }) {
    this.#log = options.log
    this.#seldom = new Seldom(options.clock, TOLD_PAUSE_MS)
  }

  /** `sentence` names the statement of MQTT 3.1.1 that was broken. */
  happened ({ clientId, remoteAddress }: Violator, sentence: string): void {
    this.count++
    const times = this.#seldom.happened()
    if (times === 0) return
    this.#log.warn({ clientId, remoteAddress, broken: sentence, times, count: this.count },
      'a client broke the protocol and was cut, as MQTT wants it; `times` counts all since the last such line. ' +
      'Update or mend the client')
  }
}
