/** Every message that was ever handed to the broker, when it was on disk, and what its publisher was told. */
import type { ClientId, Message, Offset, QoS } from '../../broker/model/message.ts'
import type { Life } from './life.ts'

/**
 * One call of publish(); a publisher at QoS 1 that got no receipt and tries again makes another one, with another key.
 * At QoS 2 it is one message however often it is sent.
 */
export interface Publication {
  /** In the payload, so that it is known again wherever it turns up. */
  readonly key: string
  readonly topic: string
  readonly qos: QoS
  readonly publisher: ClientId
  readonly retain: boolean
  /** Steps of the checker, which order all that is seen. */
  calledAt: number
  /** Step of the last call, where it was handed over again. */
  handedAt: number
  readonly calledMs: number
  /** The server process it was handed to. */
  process: number
  /** Sessions that are kept and that certainly had a matching subscription at QoS 1 or 2 when it was handed over. */
  wantedBy: readonly Life[]
  /** It was taken in before, or may have been: then it is not taken in again. */
  mayBeKnown: boolean
  offset: Offset | undefined
  /** Steps between which it was the retained message of its topic; from Infinity on for not at all. */
  retainedFrom: number
  retainedTo: number
  durableMs: number
  receipt: 'kept' | 'refused' | undefined
  receiptAt: number
}

const PADDING = '|'

export function payloadOf (key: string, paddingBytes: number): Buffer {
  return Buffer.from(key + PADDING + '.'.repeat(paddingBytes))
}

/** Of the messages of each publisher, some end the process of a client that is poisoned by them. */
export function isPoisonous (key: string): boolean {
  return Number(key.split('.')[1]) % 19 === 7
}

export class Ledger {
  readonly #byKey = new Map<string, Publication>()
  readonly #byPayload = new WeakMap<Buffer, Publication>()
  readonly #waiting = new Set<Publication>()
  /** Highest step of a call whose message is durable, and of one whose receipt was given, for each publisher. */
  readonly #lastDurable = new Map<ClientId, number>()
  readonly #lastReceipt = new Map<string, number>()

  get size (): number { return this.#byKey.size }
  values (): IterableIterator<Publication> { return this.#byKey.values() }

  add (publication: Publication): void {
    this.#byKey.set(publication.key, publication)
    this.#waiting.add(publication)
  }

  /** It is handed over anew: to another process, or after it was refused. */
  again (publication: Publication, step: number, process: number, wantedBy: readonly Life[]): void {
    publication.process = process
    publication.mayBeKnown ||= publication.receipt !== 'refused'
    const { mayBeKnown, wantedBy: before } = publication
    publication.wantedBy = mayBeKnown ? wantedBy.filter(life => before.includes(life)) : wantedBy
    publication.handedAt = step
    if (publication.offset === undefined) publication.calledAt = step
    publication.receipt = undefined
    publication.receiptAt = Infinity
    this.#waiting.add(publication)
  }

  /** By the payload, which is nearly always the very object that was published. */
  find ({ payload }: Pick<Message, 'payload'>): Publication | undefined {
    let publication = this.#byPayload.get(payload)
    if (publication === undefined) {
      const text = payload.toString()
      publication = this.#byKey.get(text.slice(0, text.indexOf(PADDING)))
      if (publication !== undefined) this.#byPayload.set(payload, publication)
    }
    return publication
  }

  named (key: string): Publication | undefined {
    return this.#byKey.get(key)
  }

  /** Returns what is wrong with it. */
  durable (publication: Publication, offset: Offset, nowMs: number): string | undefined {
    const { key } = publication
    if (publication.offset !== undefined) return `${key} was appended twice, at ${publication.offset} and ${offset}`
    publication.offset = offset
    publication.durableMs = nowMs
    if (publication.receipt === 'refused') return `${key} was refused, but is durable at ${offset}`
    const last = this.#lastDurable.get(publication.publisher) ?? -1
    this.#lastDurable.set(publication.publisher, publication.calledAt)
    if (last > publication.calledAt) return `${key} at ${offset} stands after a later message of its publisher`
    return undefined
  }

  receipt (publication: Publication, kept: boolean, step: number): string | undefined {
    if (publication.receipt !== undefined) {
      return publication.qos === 2 && publication.receipt === 'kept' ? undefined : `${publication.key} got two receipts`
    }
    publication.receipt = kept ? 'kept' : 'refused'
    publication.receiptAt = step
    this.#waiting.delete(publication)
    const isOnDisk = publication.offset !== undefined
    if (!kept && isOnDisk && publication.qos < 2) return `${publication.key} was refused, but is durable`
    if (publication.qos === 0 || !kept) return undefined
    const line = `${publication.publisher} ${publication.qos}` // PUBACK and PUBREC may overtake each other [MQTT-4.6.0]
    const last = this.#lastReceipt.get(line) ?? -1
    this.#lastReceipt.set(line, publication.handedAt)
    if (last > publication.handedAt) return `${publication.key} got its receipt after a later message of its publisher`
    return undefined
  }

  /** No receipt comes any more for what a process that died had taken in. */
  forgetWaiting (): void {
    this.#waiting.clear()
  }

  /** No receipt is to come. */
  settle (publication: Publication): void { this.#waiting.delete(publication) }

  oldestWaiting (): Publication | undefined {
    for (const publication of this.#waiting) return publication
    return undefined
  }
}
