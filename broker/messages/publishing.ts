/**
 * Messages on their way in: may they, are they wanted, into the log, receipt [G1].
 */
import type { Rights } from '../auth/rights.ts'
import type { Publisher, PublishRequest } from '../broker.ts'
import type { Clock } from '../system/clock.ts'
import { HoldfastError } from '../model/errors.ts'
import type { Events } from '../system/events.ts'
import type { HeapGuard } from '../system/heap-guard.ts'
import type { InOrder } from '../system/in-order.ts'
import type { Limits } from '../model/limits.ts'
import type { Meters } from '../system/meters.ts'
import type { LogIndex } from '../log/log-index.ts'
import type { Log, Receipt, RecordChange } from '../log/log.ts'
import {
  extensionBytes, messageBytes, type ClientId, type Message, type PacketId, type TimeMs
} from '../model/message.ts'
import type { Inboxes } from './inboxes.ts'
import type { Retained } from './retained.ts'
import { incomingChange } from '../session/records.ts'
import type { Session } from '../session/session.ts'
import { sessionKey } from '../store/keys.ts'
import { checkTopic, isBridgeNotice, matches, show } from '../model/topics.ts'

export interface PublishingOptions {
  readonly index: LogIndex<Session>
  readonly log: Log
  readonly retained: Retained
  readonly limits: Limits
  readonly clock: Clock
  readonly guard: HeapGuard
  readonly inOrder: InOrder
  readonly events: Events
  /** How long a message lasts whose publisher does not say it: the first filter that matches. */
  readonly messageExpiry: readonly ExpiryRule[]
  /** What has to be durable before a message on a topic is appended, if anything. */
  readonly inboxes: Pick<Inboxes, 'ready'> | undefined
  readonly meters: Meters
  /** QoS 0: passes by the log, which promises nothing for it. */
  passOn (message: Message): void
}

export interface ExpiryRule { readonly filter: string, readonly expiryMs: number }

const NO_CHANGES: readonly RecordChange[] = []

export class Publishing {
  readonly #index
  readonly #log
  readonly #retained
  readonly #limits
  readonly #clock
  readonly #guard
  readonly #passOn
  readonly #inOrder
  readonly #events
  readonly #inboxes
  readonly #meters
  readonly #messageExpiry
  #isClosed = false
  published = 0
  /** For good. */
  refused = 0

  constructor (options: PublishingOptions) {
    this.#index = options.index
    this.#log = options.log
    this.#retained = options.retained
    this.#limits = options.limits
    this.#clock = options.clock
    this.#guard = options.guard
    this.#inOrder = options.inOrder
    this.#events = options.events
    this.#inboxes = options.inboxes
    this.#meters = options.meters
    this.#messageExpiry = options.messageExpiry
    this.#passOn = (message: Message): void => { options.passOn(message) }
  }

  /** From now on nothing is accepted. */
  close (): void { this.#isClosed = true }

  publish (publisher: Publisher, rights: Rights, request: PublishRequest, receipt: Receipt): void {
    const allowed = this.#mayPublish(publisher, rights, request, receipt)
    if (allowed === true && this.#inOrder.isFree(publisher.clientId)) { // nearly always
      this.append(this.#message(publisher, request), receipt, NO_CHANGES)
    } else if (allowed !== undefined) {
      this.#whenAllowed(allowed, publisher, request, receipt, () => {
        this.append(this.#message(publisher, request), receipt, NO_CHANGES)
      })
    }
  }

  publishOnce (session: Session, rights: Rights, packetId: PacketId, request: PublishRequest,
    receipt: Receipt): void {
    const allowed = this.#mayPublish(session, rights, request, receipt)
    if (allowed === undefined) return
    this.#whenAllowed(allowed, session, request, receipt, () => {
      if (session.ended) { // its packet identifiers ended with it
        receipt(new HoldfastError('CLOSED', 'the session has ended'))
        return
      }
      const incoming = session.incoming ??= new Map()
      const known = incoming.get(packetId)
      if (known !== undefined) this.#meters.receivedAgain++
      if (known === null) inTurn(incoming.values(), receipt) // [MQTT-4.3.3-2]
      else if (known !== undefined) known.push(receipt)
      else if (incoming.size >= this.#limits.incomingMax) {
        receipt(new HoldfastError('INCOMING_FULL', `incomingMax = ${this.#limits.incomingMax}`))
      } else {
        const waiting = [receipt]
        incoming.set(packetId, waiting)
        const changes = session.clean
          ? NO_CHANGES
          : [incomingChange(session, packetId)]
        this.append(this.#message(session, request), (error) => {
          if (incoming.get(packetId) === waiting) { // not released meanwhile
            if (error === undefined) incoming.set(packetId, null)
            else incoming.delete(packetId)
          }
          for (const one of waiting) one(error)
        }, changes)
      }
    })
  }

  /** Said to whoever listens now, and kept nowhere: it is the server's own, so that nothing is asked about it. */
  announce (publisher: Publisher, topic: string, payload: Buffer): void {
    this.#passOn(this.#message(publisher, { topic, payload, qos: 0, retain: false, id: '' }))
  }

  async releaseIncoming (session: Session, packetId: PacketId): Promise<void> {
    if (session.ended || session.incoming?.has(packetId) !== true) return
    if (!session.clean) {
      const key = sessionKey(session.clientId, String(packetId))
      await this.#log.recorded([{ table: 'incoming', key, value: null }])
    }
    session.incoming?.delete(packetId)
  }

  #message ({ clientId, principal }: Publisher, request: PublishRequest): Message {
    const { topic, payload, qos, retain, id, encodings, expiryMs } = request
    const time = this.#clock.now()
    const extension = expiryMs === undefined
      ? request.extension
      : { ...request.extension, expiresAt: (time + expiryMs) as TimeMs }
    return { topic, payload, qos, retain, publisher: clientId, principal, time, id, extension, encodings }
  }

  /** What access control says; undefined where the message was refused without asking it. */
  #mayPublish ({ clientId }: Publisher, rights: Rights, { topic, payload, qos, extension }: PublishRequest,
    receipt: Receipt): boolean | Promise<boolean> | undefined {
    try {
      if (this.#isClosed) throw new HoldfastError('CLOSED', 'the server is shutting down')
      checkTopic(topic, this.#limits)
      checkSize(topic, payload.length + extensionBytes(extension), this.#limits)
      const allowed = rights.mayPublish(clientId, topic)
      return this.#inboxes === undefined || qos === 0 ? allowed : this.#whenReady(this.#inboxes, allowed, topic)
    } catch (error) {
      this.refuse(clientId, topic, error as HoldfastError, receipt)
      return undefined
    }
  }

  /** A person without a session has an inbox before the message is appended, and only if it may be [G2]. */
  #whenReady (inboxes: Pick<Inboxes, 'ready'>, allowed: boolean | Promise<boolean>, topic: string
  ): boolean | Promise<boolean> {
    if (allowed === false) return false
    if (allowed === true) {
      const ready = inboxes.ready(topic)
      return ready === undefined || ready.then(() => true)
    }
    return allowed.then(async (isAllowed) => {
      if (isAllowed) await inboxes.ready(topic)
      return isAllowed
    })
  }

  /** Calls `then` at once where access control answered at once; a publisher's messages never overtake each other. */
  #whenAllowed (allowed: boolean | Promise<boolean>, { clientId }: Publisher, { topic }: PublishRequest,
    receipt: Receipt, then: () => void): void {
    this.#inOrder.run(clientId, allowed, then, (noAnswer) => {
      const error = noAnswer ?? new HoldfastError('NOT_AUTHORIZED', `publishing to ${show(topic)}`)
      this.#refuse(clientId, topic, error, receipt)
    })
  }

  /** Behind what the client sent before, as every receipt [MQTT-4.6.0-2]. */
  refuse (clientId: ClientId, topic: string, error: HoldfastError, receipt: Receipt): void {
    this.#inOrder.run(clientId, false, () => {}, () => { this.#refuse(clientId, topic, error, receipt) })
  }

  #refuse (clientId: ClientId, topic: string, error: HoldfastError, receipt: Receipt): void {
    if (error.code === 'TOPIC_INVALID' && isBridgeNotice(topic)) {
      this.#log.inTurn(receipt)
      return
    }
    this.#log.inTurn(() => {
      if (!error.retriable) {
        this.refused++
        this.#events.emit('refused', { clientId, topic, code: error.code, reason: error.message })
      }
      receipt(error)
    })
  }

  /** A message that may be published: into the log, together with the changes. */
  append (published: Message, receipt: Receipt, changes: readonly RecordChange[]): void {
    const message = this.#messageExpiry.length === 0 ? published : this.#lasting(published)
    if (message.qos === 0 && !message.retain && changes.length === 0) {
      this.#passOn(message)
      receipt()
      return
    }
    const keepers = message.qos > 0 ? this.#index.keepers(message.topic) : 0
    const isKept = keepers > 0
    if (isKept && this.#index.bytes + messageBytes(message) > this.#limits.logBytesMax) { // [G6]
      receipt(new HoldfastError('LOG_FULL',
        `logBytesMax = ${this.#limits.logBytesMax}; sessions that stay away hold it, see their expiry`))
      return
    }
    if (this.#guard.isFull && (isKept || this.#retained.grows(message))) { // [G6]
      receipt(this.#guard.refusal(`a message on ${show(message.topic)}`))
      return
    }
    if (message.retain) this.#appendRetained(message, keepers, receipt, changes)
    else {
      this.published++
      this.#log.publish(message, keepers, receipt, changes)
    }
  }

  #appendRetained (message: Message, keepers: number, receipt: Receipt, changes: readonly RecordChange[]): void {
    let change
    try {
      change = this.#retained.change(message)
    } catch (error) {
      receipt(error as HoldfastError)
      return
    }
    const written = this.#retained.queued(message.topic)
    this.published++
    this.#log.publish(message, keepers, (...outcome) => {
      written()
      receipt(...outcome)
    }, [...changes, change])
  }

  /** With the time of expiry that a rule gives it, if one does. */
  #lasting (message: Message): Message {
    if (message.extension?.expiresAt !== undefined) return message
    const rule = this.#messageExpiry.find(({ filter }) => matches(filter, message.topic))
    if (rule === undefined) return message
    const expiresAt = (this.#clock.now() + rule.expiryMs) as TimeMs
    return { ...message, extension: { ...message.extension, expiresAt } }
  }
}

/** Throws MESSAGE_TOO_LARGE. */
export function checkSize (topic: string, bytes: number, { packetBytesMax }: Limits): void {
  if (bytes <= packetBytesMax) return
  throw new HoldfastError('MESSAGE_TOO_LARGE', `${bytes} bytes on ${show(topic)}; packetBytesMax = ${packetBytesMax}`)
}

/** Receipts come in the order of their messages [MQTT-4.6.0-3]: behind those that still wait for the disk. */
function inTurn (incoming: Iterable<Receipt[] | null>, receipt: Receipt): void {
  let last: Receipt[] | undefined
  for (const waiting of incoming) if (waiting !== null) last = waiting
  if (last === undefined) receipt()
  else last.push(() => { receipt() })
}
