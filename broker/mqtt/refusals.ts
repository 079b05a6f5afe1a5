/**
 * What becomes of a message that was refused. MQTT 3.1.1 has no word for it, and a client that is cut sends it again,
 * for ever, and before all that comes behind it. So one that can never be taken gets its receipt and is dropped.
 */
import type { Clock } from '../clock.ts'
import type { ErrorCode, HoldfastError } from '../errors.ts'
import type { Logger } from '../logger.ts'
import { SeldomEach } from '../seldom.ts'
import { breaksProtocol, show } from '../topics.ts'

/** acknowledge: a receipt, and the connection goes on; disconnect: no receipt, and the connection ends. */
export type RefusedMessages = 'acknowledge' | 'disconnect'

export interface RefusalsOptions {
  readonly clock: Clock
  readonly log: Logger
  readonly refusedMessages: RefusedMessages
}

export interface RefusedClient {
  readonly clientId: string
  readonly remoteAddress: string
}

/** Each client and code is logged once in this time. */
const TOLD_PAUSE_MS = 60_000
const TOLD_MAX = 1_000

const WHAT_TO_DO: Partial<Record<ErrorCode, string>> = {
  NOT_AUTHORIZED: 'allow it (mayPublish), or keep the client from publishing there',
  TOPIC_INVALID: 'correct the topic in the client, or raise the limit that the error names',
  MESSAGE_TOO_LARGE: 'let the client send less at once, or raise packetBytesMax'
}

const FILTER_TO_DO: typeof WHAT_TO_DO = {
  NOT_AUTHORIZED: 'allow it (maySubscribe), or keep the client from subscribing there',
  FILTER_INVALID: 'correct the filter in the client, or raise the limit that the error names',
  FILTERS_FULL: 'let the client subscribe to less, by wildcards, or raise filtersPerSessionMax'
}

export class Refusals {
  readonly #options: RefusalsOptions
  readonly #seldom: SeldomEach

  constructor (options: RefusalsOptions) {
    this.#options = options
    this.#seldom = new SeldomEach(options.clock, TOLD_PAUSE_MS, TOLD_MAX)
  }

  /**
   * Is a message refused for good, so that it gets its receipt all the same [G1]? What may pass later gets none, and
   * what is against MQTT itself ends the connection.
   */
  isAcknowledged (topic: string, error: HoldfastError): boolean {
    return !error.retriable && this.isAcknowledging && !breaksProtocol(topic)
  }

  get isAcknowledging (): boolean { return this.#options.refusedMessages === 'acknowledge' }

  message (client: RefusedClient, topic: string, error: HoldfastError): boolean {
    const isAcknowledged = this.isAcknowledged(topic, error)
    this.#tell(client, topic, error, isAcknowledged
      ? 'a message was refused for good: it is dropped, and its publisher got a receipt'
      : 'message refused; its publisher is disconnected without a receipt')
    return isAcknowledged
  }

  /** A will costs itself alone. */
  will (client: RefusedClient, topic: string, error: HoldfastError): boolean {
    const isDropped = this.isAcknowledged(topic, error)
    this.#tell(client, topic, error, isDropped
      ? 'a will was refused: the client is let in without it'
      : 'a will was refused, and its client with it')
    return isDropped
  }

  /** Answered with 0x80, or with the end of the connection where it may pass later (3.9.3). */
  filter (client: RefusedClient, filter: string, error: HoldfastError): void {
    this.#tell(client, filter, error, 'a subscription was refused', FILTER_TO_DO)
  }

  #tell ({ clientId, remoteAddress }: RefusedClient, topic: string, error: HoldfastError, sentence: string,
    whatToDo = WHAT_TO_DO): void {
    const times = this.#seldom.happened(`${sentence} ${error.code} ${clientId}`)
    if (times === 0) return
    const todo = whatToDo[error.code]
    this.#options.log.warn({ clientId, remoteAddress, topic: show(topic), error: error.message, times },
      todo === undefined ? sentence : `${sentence}; ${todo}`)
  }
}
