/**
 * What MQTT refuses, as the log is to tell it, and what becomes of a message that was refused. MQTT 3.1.1 has no word
 * for that, and a client that is cut sends it again, for ever, and before all that comes behind it. So one that can
 * never be taken gets its receipt and is dropped.
 */
import type { ErrorCode, HoldfastError } from '../model/errors.ts'
import { type Refusals, type Who, toDoAbout } from '../system/refusals.ts'
import { breaksProtocol, show } from '../model/topics.ts'
import type { Foreign } from './foreign.ts'

/** acknowledge: a receipt, and the connection goes on; disconnect: no receipt, and the connection ends. */
export type RefusedMessages = 'acknowledge' | 'disconnect'

export interface MqttRefusalsOptions {
  readonly refusals: Refusals
  readonly refusedMessages: RefusedMessages
}

type ToDo = Partial<Record<ErrorCode, string>>
const MESSAGE_TO_DO: ToDo = { NOT_AUTHORIZED: 'allow it (mayPublish), or keep the client from publishing there' }
const FILTER_TO_DO: ToDo = { NOT_AUTHORIZED: 'allow it (maySubscribe), or keep the client from subscribing there' }
const FOREIGN_TO_DO: Record<Foreign['name'], string> = {
  TLS: 'have the client connect without TLS (mqtt://), or to mqttsPort, which speaks TLS once tlsCert is set',
  HTTP: 'HTTP, WebSockets and Socket.IO have a port of their own (httpPort)',
  'PROXY protocol': 'turn it off in the proxy (as send-proxy of HAProxy, proxy_protocol of nginx)',
  MQTT: 'set MQTT 3.1.1 in the client (protocol version 4); it was told so by return code 1'
}

export class MqttRefusals {
  readonly #refusals: Refusals
  readonly #refusedMessages: RefusedMessages

  constructor ({ refusals, refusedMessages }: MqttRefusalsOptions) {
    this.#refusals = refusals
    this.#refusedMessages = refusedMessages
  }

  /**
   * Is a message refused for good, so that it gets its receipt all the same [G1]? What may pass later gets none, and
   * what is against MQTT itself ends the connection.
   */
  isAcknowledged (topic: string, error: HoldfastError): boolean {
    return !error.retriable && this.isAcknowledging && !breaksProtocol(topic)
  }

  get isAcknowledging (): boolean { return this.#refusedMessages === 'acknowledge' }

  message (who: Who, topic: string, error: HoldfastError): boolean {
    const isAcknowledged = this.isAcknowledged(topic, error)
    this.#about('messages', who, topic, error, MESSAGE_TO_DO, isAcknowledged
      ? 'a message was refused for good: it is dropped, and its publisher got a receipt'
      : 'message refused; its publisher is disconnected without a receipt')
    return isAcknowledged
  }

  /** A will costs itself alone. */
  will (who: Who, topic: string, error: HoldfastError): boolean {
    const isDropped = this.isAcknowledged(topic, error)
    this.#about('wills', who, topic, error, MESSAGE_TO_DO, isDropped
      ? 'a will was refused: the client is let in without it'
      : 'a will was refused, and its client with it')
    return isDropped
  }

  /** Answered with 0x80, or with the end of the connection where it may pass later (3.9.3). */
  filter (who: Who, filter: string, error: HoldfastError): void {
    this.#about('filters', who, filter, error, FILTER_TO_DO, 'a subscription was refused')
  }

  /** CONNECT, with the return code that says so (3.2.2.3). */
  client (who: Who, { code, message }: { readonly code: string, readonly message: string }, returnCode: number): void {
    const about = { error: message, returnCode }
    this.#refusals.note({
      kind: 'clients', who, about, sameAs: code, what: 'an MQTT client was refused', toDo: toDoAbout(code)
    })
  }

  /** No CONNECT came. */
  late ({ remoteAddress }: Who, connectTimeoutMs: number): void {
    this.#refusals.note({
      kind: 'clients',
      who: { remoteAddress },
      about: { connectTimeoutMs },
      what: 'a connection was closed, as no CONNECT came over it within connectTimeoutMs',
      toDo: 'look at what connects there, or raise connectTimeoutMs for a slow link'
    })
  }

  /** `sentence` names the statement of MQTT 3.1.1 that was broken. */
  violation (who: Who, sentence: string): void {
    this.#refusals.note({
      kind: 'violations',
      who,
      about: { broken: sentence },
      sameAs: sentence,
      what: 'a client broke the protocol and was cut, as MQTT wants it',
      toDo: 'update or mend the client'
    })
  }

  /** Its first bytes are no MQTT 3.1.1. */
  foreign (who: Who, { name, level }: Foreign): void {
    const spoken = level === undefined
      ? name === 'PROXY protocol' ? `the ${name}` : name
      : level === 5 ? 'MQTT 5' : `MQTT of protocol level ${level}`
    this.#refusals.note({
      kind: 'foreign', who, what: `somebody speaks ${spoken} where MQTT 3.1.1 is spoken`, toDo: FOREIGN_TO_DO[name]
    })
  }

  /** The connection ends: nothing behind such a packet can be read. `limit` is the option to raise. */
  oversize (who: Who, error: string, limit: 'packetBytesMax' | 'connectPacketBytesMax'): void {
    this.#refusals.note({
      kind: 'oversize',
      who,
      about: { error },
      sameAs: limit,
      what: 'a client sent more at once than is taken and was cut',
      toDo: `let it send less at once, or raise ${limit}`
    })
  }

  /** What came over a WebSocket is none (RFC 6455). */
  websocket (who: Who, error: string): void {
    this.#refusals.note({
      kind: 'violations', who, about: { error }, what: 'a client broke the protocol of WebSockets and was cut',
      toDo: 'update or mend the client, or what stands between'
    })
  }

  #about (kind: 'messages' | 'wills' | 'filters', who: Who, topic: string, { code, message }: HoldfastError, toDo: ToDo,
    what: string): void {
    this.#refusals.note({
      kind,
      who,
      about: { topic: show(topic), error: message },
      sameAs: `${what} ${code}`,
      what,
      toDo: toDo[code] ?? toDoAbout(code)
    })
  }
}
