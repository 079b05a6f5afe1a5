/** What a message of the log is to a Socket.IO client without a rule: an event with arguments. */
import { createHash } from 'node:crypto'
import { CODECS, encodingOf, type Message } from '../../../broker/index.ts'
import type { ProofLevel } from '../rules/rule.ts'
import { decodeEnvelope, decodePayload, topicEvent } from '../../../protocol/index.ts'
import { OwnEnvelope } from './own-envelope.ts'

export interface SocketEvent {
  /** '' where the message is ignored. */
  readonly event: string
  readonly args: readonly unknown[]
  /** The arguments as a JSON array, where they are that already. */
  readonly json?: Buffer
  /** Two messages with the same key are one that was sent again; undefined where that can't be told. */
  readonly repeatKey: string | undefined
  /** What must be known before the message counts as delivered. */
  readonly level: ProofLevel
  /** Nothing is written to the client; the message counts as delivered at once. */
  readonly ignored: boolean
}

/** What the bridge itself tells a client. Nobody else can emit an event whose name begins so. */
export const OWN_EVENTS = 'holdfast:'

/** Names that mean something else to every Socket.IO client or server (socket.io-parser, RESERVED_EVENTS). */
const RESERVED = new Set(['connect', 'connect_error', 'disconnect', 'disconnecting', 'newListener', 'removeListener'])

export function isReservedEvent (event: string): boolean {
  return RESERVED.has(event) || event.startsWith(OWN_EVENTS)
}

/**
 * What a client of version 2 emits of its own life on the very object that events of others come from: its `events`,
 * and what its Manager emits on all its sockets (socket.io-client 2.5, lib/socket.js and lib/manager.js). From version
 * 3 on the Manager keeps them to itself.
 */
const LIFE_OF_VERSION_2 = new Set(['connecting', 'connect_timeout', 'error', 'reconnect', 'reconnect_attempt',
  'reconnecting', 'reconnect_error', 'reconnect_failed', 'ping', 'pong'])

/** A client of version 2 would take it for something that happened to itself. */
export function isLifeOfVersion2 (event: string): boolean {
  return LIFE_OF_VERSION_2.has(event)
}

export const IGNORED: SocketEvent = { event: '', args: [], repeatKey: undefined, level: 'handled', ignored: true }

/** By the topic's last level, as docs/socketio.md says. */
export function readEvent (message: Message): SocketEvent {
  const event = topicEvent(message.topic)
  if (isReservedEvent(event)) return undeliverable(message, 'reserved-event')
  const { payload } = message
  const own = encodingOf(message, CODECS.envelope)
  if (own instanceof OwnEnvelope) return new OwnEnvelopeEvent(event, repeatKeyOf(message, ''), payload, own)
  const { id, args } = decodePayload(payload)
  return { event, args, repeatKey: repeatKeyOf(message, id), level: 'handled', ignored: false }
}

/** An event whose arguments are JSON already. */
class OwnEnvelopeEvent implements SocketEvent {
  readonly event: string
  readonly repeatKey: string | undefined
  readonly level = 'handled'
  readonly ignored = false
  readonly #payload: Buffer
  readonly #argsAt: number

  constructor (event: string, repeatKey: string | undefined, payload: Buffer, { argsAt }: OwnEnvelope) {
    this.event = event
    this.repeatKey = repeatKey
    this.#payload = payload
    this.#argsAt = argsAt
  }

  get args (): readonly unknown[] {
    return decodeEnvelope(this.#payload)!.args
  }

  get json (): Buffer {
    return this.#payload.subarray(this.#argsAt, this.#payload.length - 1)
  }
}

/** Before the id of a message in the log: its client gave it, by a rule, and may send the message again with it. */
export const CLIENT_ID_MARK = '~'

/** Before everything else in the id of a message in the log: it is not for the session that published it. */
export const NO_ECHO_MARK = '!'
/** Before the id of a message that was published to several topics: a session that has more of them gets one. */
export const SEVERAL_MARK = '='

/** @param id of the envelope in its payload; '' where there is none */
export function repeatKeyOf (message: Message, id: string): string | undefined {
  const { publisher, topic, payload } = message
  const given = message.id.startsWith(NO_ECHO_MARK) ? message.id.slice(NO_ECHO_MARK.length) : message.id
  if (given.startsWith(CLIENT_ID_MARK)) return hash(`${publisher}\0${topic}\0${given}`)
  if (given.startsWith(SEVERAL_MARK)) return hash(`${publisher}\0${given}`)
  // Any other that came through the bridge has an id of its own making, which is never used twice.
  return id === '' || message.id !== '' ? undefined : hash(`${publisher}\0${topic}\0`, payload)
}

/** No Socket.IO client could receive the message as it should be, and nothing is dropped in silence [G5]. */
export function undeliverable ({ topic }: Message, reason: UndeliverableReason): SocketEvent {
  const args = [{ topic, reason }]
  return { event: `${OWN_EVENTS}undeliverable`, args, repeatKey: undefined, level: 'handled', ignored: false }
}

export const UNDELIVERABLE_REASONS = [
  'reserved-event', // it was published under a name that Socket.IO uses itself, in the version of the client
  'no-rule', // no rule says what it is, and the defaults are off
  'payload', // it can't be read as the rule says
  'rule' // the rule's template or function could not make an event of it
] as const
export type UndeliverableReason = typeof UNDELIVERABLE_REASONS[number]

function hash (text: string, bytes: Uint8Array = NO_BYTES): string {
  return createHash('sha256').update(text).update(bytes).digest('base64')
}

const NO_BYTES = new Uint8Array(0)
