/** The program as a subscriber: a session like any other, whose link is a queue in this process. */
import {
  HoldfastError, type Attachment, type Broker, type ClientId, type CloseReason, type Delivery, type GapReason,
  type Identity, type Link, type Peer, type QoS, type TimeMs
} from '../broker/index.ts'
import { propertiesOf, type MessageProperties } from './properties.ts'

export interface ReceivedMessage extends MessageProperties {
  readonly topic: string
  /** The reader's own: nobody else sees what is changed in it. */
  readonly payload: Buffer
  /** As it was published. */
  readonly qos: QoS
  /** True for one that was there before, as the last of its topic (MQTT 3.3.1-8). */
  readonly retain: boolean
  /** Place in the log: grows with the order. Undefined for one that is in no log. */
  readonly offset: number | undefined
  /** It may have come before, to this name [G4]. */
  readonly duplicate: boolean
  /** Who published it: the identifier of the session, and whom authentication found. */
  readonly clientId: string
  readonly principal: string
  /** When it was taken in: milliseconds since 1970, by the wall clock as it is set now. */
  readonly time: number
}

export interface SubscriptionOptions {
  /** With a name it is durable: what comes while nobody reads waits for the next subscribe() under that name [G2]. */
  readonly name?: string
  /** At 0 nothing waits: what is not taken at once is left out, and counted. Default 1. */
  readonly qos?: 0 | 1
  /** With a name: how long it is kept while nobody reads. Default: mqttSessionExpiryMs. */
  readonly expiryMs?: number
  /**
   * So many messages will never come, as a bound was reached [G5]; also those that were lost while nobody read. What
   * it throws ends the reading.
   */
  readonly onGap?: (gap: { readonly count: number, readonly reason: GapReason }) => void
}

/**
 * Messages in the order of the log, for one reader. Asking for the next one acknowledges the one before. A loop that
 * ends closes it; what it was given last is not acknowledged then, and comes again under that name.
 */
export interface Subscription extends AsyncIterableIterator<ReceivedMessage> {
  /** Was it there already, with all that waits? */
  readonly present: boolean
  /** What was given last is done: for a loop that ends at it. */
  acknowledge (): void
  /** Reading ends; under a name, messages wait from now on. */
  close (): void
}

export type Subscribe = (filters: string | readonly string[], options?: SubscriptionOptions) => Promise<Subscription>

export interface SubscribingOptions {
  readonly broker: Broker
  readonly program: { readonly clientId: ClientId, readonly identity: Identity }
  readonly expiryMs: number
  readonly makeId: () => string
}

/** As Holdfast.subscribe(). */
export function createSubscribe ({ broker, program, expiryMs, makeId }: SubscribingOptions): Subscribe {
  const { clientId: prefix, identity } = program
  const names = new Set<string>() // with a reader; each has a session of its own, so sessionsMax bounds them [G6]
  return async (asked, options = {}) => {
    const filters = [...new Set(typeof asked === 'string' ? [asked] : asked)]
    check(filters, options)
    const { name, qos = 1, onGap } = options
    if (name !== undefined && names.has(name)) {
      throw new HoldfastError('NAME_IN_USE', `${JSON.stringify(name)}; close that subscription first`)
    }
    const free = (): void => { if (name !== undefined) names.delete(name) }
    const reader = new Reader(broker, free, onGap)
    if (name !== undefined) names.add(name)
    try {
      const present = name === undefined
        ? await live(broker, reader, { clientId: `${prefix}/${makeId()}` as ClientId, identity }, filters, qos)
        : await durable(broker, reader, { clientId: `${prefix}:${name}` as ClientId, identity },
          filters, qos, options.expiryMs ?? expiryMs)
      return subscriptionOf(reader, present)
    } catch (error) {
      reader.leave()
      throw error
    }
  }
}

interface Who { readonly clientId: ClientId, readonly identity: Identity }

/** What comes from now on. */
async function live (broker: Broker, reader: Reader, who: Who, filters: readonly string[], qos: QoS): Promise<false> {
  const peer = await broker.enter({ ...who, clean: true, expiryMs: 0, filters })
  reader.follow(peer) // before it subscribes, so that nothing is missed behind a retained message
  await Promise.all(filters.map((filter) => peer.subscribe(filter, qos)))
  return false
}

/** What waits, and what comes from now on; its filters are those that are asked for now. */
async function durable (broker: Broker, reader: Reader, who: Who, filters: readonly string[], qos: QoS,
  expiryMs: number): Promise<boolean> {
  const { clientId, identity: { principal, rights } } = who
  const wanted = filters.map((filter) => ({ filter, qos }))
  const isNew = await broker.provision({ clientId, principal, rights, owner: undefined, expiryMs, filters: wanted })
  const peer = await broker.enter({ ...who, clean: false, expiryMs, filters })
  try {
    const had = broker.session(clientId)?.filters ?? []
    const gone = had.filter(({ filter }) => !filters.includes(filter))
    // not those it has: a second SUBSCRIBE brings the retained messages again
    const added = filters.filter((one) => !had.some(({ filter, qos: granted }) => filter === one && granted === qos))
    await Promise.all([
      ...gone.map(({ filter }) => peer.unsubscribe(filter)),
      ...added.map((filter) => peer.subscribe(filter, qos))
    ])
  } catch (error) {
    peer.leave()
    throw error
  }
  reader.follow(peer)
  return peer.present && !isNew
}

/** A queue: the window of the session bounds it, and for what has no window (QoS 0) the limits of a connection [G6]. */
class Reader implements Link {
  /** Nothing waits for a proof: a program may take its time, and holds up nobody [G8]. */
  readonly waitingSince = Infinity as TimeMs
  readonly #broker: Broker
  readonly #free: () => void
  readonly #onGap: SubscriptionOptions['onGap']
  #peer: Peer | undefined
  #attachment: Attachment | undefined
  #queue: Delivery[] = []
  #head = 0
  #bytes = 0
  /** Given to the program, and not acknowledged. */
  #given: Delivery | undefined
  #wake: (() => void) | undefined
  #end: { readonly error: unknown } | undefined

  constructor (broker: Broker, free: () => void, onGap: SubscriptionOptions['onGap']) {
    this.#broker = broker
    this.#free = free
    this.#onGap = onGap
  }

  follow (peer: Peer): void {
    this.#peer = peer
    if (this.#end === undefined) this.#attachment = peer.follow(this)
    else peer.leave()
  }

  // --- from the session

  get writable (): boolean {
    const { cleanQueueMessagesMax, writeBufferBytesMax } = this.#broker.limits
    return this.#queue.length - this.#head < cleanQueueMessagesMax && this.#bytes < writeBufferBytesMax
  }

  get roomBytes (): number { return this.#broker.limits.writeBufferBytesMax - this.#bytes }

  deliver (deliveries: readonly Delivery[]): void {
    for (const delivery of deliveries) {
      this.#queue.push(delivery)
      this.#bytes += bytesOf(delivery)
    }
    this.#wake?.()
  }

  release (): void {} // never at QoS 2

  gap (count: number, reason: GapReason): void {
    queueMicrotask(() => {
      try {
        this.#onGap?.({ count, reason })
      } catch (error) {
        this.leave(error)
      }
    })
  }

  close (reason: CloseReason): void {
    if (reason === 'shutdown') this.#stop(undefined)
    else if (reason === 'store-unavailable') this.#stop(new HoldfastError('STORE_UNAVAILABLE', 'subscribe again'))
    else this.#stop(new HoldfastError('CLOSED', `the session of this subscription was ${reason}`))
  }

  // --- from the program

  /** The next one; undefined at the end, or what ended it is thrown. */
  async take (): Promise<Delivery | undefined> {
    while (this.#end === undefined && this.#head === this.#queue.length) {
      await new Promise<void>((resolve) => { this.#wake = resolve })
      this.#wake = undefined
    }
    if (this.#end !== undefined) {
      if (this.#end.error !== undefined) throw this.#end.error
      return undefined
    }
    const wasFull = !this.writable
    const next = this.#queue[this.#head++]
    if (this.#head * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head)
      this.#head = 0
    }
    this.#bytes -= bytesOf(next)
    if (wasFull && this.writable) this.#attachment?.drained()
    this.#given = next
    return next
  }

  acknowledge (): void {
    const given = this.#given
    this.#given = undefined // its identifier may be that of another one from here on
    if (given !== undefined) this.#attachment?.acknowledge(given.packetId)
  }

  leave (error?: unknown): void {
    this.#stop(error)
  }

  #stop (error: unknown): void {
    if (this.#end !== undefined) return
    this.#end = { error }
    this.#peer?.leave()
    this.#queue = []
    this.#head = 0
    this.#free()
    this.#wake?.()
  }

  /** As the program sees it. */
  shown ({ message, dup, retain }: Delivery): ReceivedMessage {
    return {
      topic: message.topic,
      payload: Buffer.copyBytesFrom(message.payload),
      qos: message.qos,
      retain,
      offset: 'offset' in message ? message.offset : undefined,
      duplicate: dup,
      clientId: message.publisher,
      principal: message.principal,
      time: this.#broker.clock.wall(message.time),
      ...propertiesOf(message.extension)
    }
  }
}

function subscriptionOf (reader: Reader, present: boolean): Subscription {
  async function * read (): AsyncGenerator<ReceivedMessage, undefined> {
    for (let one = await reader.take(); one !== undefined; one = await reader.take()) {
      yield reader.shown(one)
      reader.acknowledge()
    }
  }
  const messages = read()
  const close = (): void => { reader.leave() }
  return {
    present,
    acknowledge: () => { reader.acknowledge() },
    close,
    next: () => messages.next(),
    return () { // first, as it would wait behind a next() that nothing comes for
      close()
      return messages.return(undefined)
    },
    [Symbol.asyncIterator] () { return this }
  }
}

function bytesOf ({ message: { topic, payload } }: Delivery): number { return topic.length + payload.length }

/** What no type check has looked at, in a program without one. */
function check (filters: readonly unknown[], options: SubscriptionOptions): void {
  const { name, qos, expiryMs, onGap, ...rest } = options
  const [unknown] = Object.keys(rest)
  const wrong = filters.length === 0 || filters.some((filter) => typeof filter !== 'string')
    ? 'filters: one topic filter, or a list of them'
    : unknown !== undefined
      ? `${JSON.stringify(unknown)} is no option; there are name, qos, expiryMs and onGap`
      : name !== undefined && (typeof name !== 'string' || name === '' || Buffer.from(name).toString() !== name)
        ? 'name: a text in Unicode that is not empty; leave it out for what comes from now on'
        : qos !== undefined && qos !== 0 && qos !== 1
          ? 'qos: 0 or 1'
          : onGap !== undefined && typeof onGap !== 'function'
            ? 'onGap: a function'
            : undefined
  if (wrong !== undefined) throw new TypeError(`subscribe(): ${wrong}`)
  if (expiryMs === undefined) return
  if (name === undefined) throw new TypeError('subscribe(): expiryMs is for a subscription with a name')
  if (!Number.isSafeInteger(expiryMs) || expiryMs < 1) {
    throw new TypeError('subscribe(): expiryMs: whole milliseconds, 1 or more')
  }
}
