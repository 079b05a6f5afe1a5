/**
 * What travels: a message as it was published, and an entry, which is a message that has a place in the log.
 */
import type { Encoding } from './encodings.ts'

declare const brand: unique symbol
/** A value that can't be mixed up with another of the same shape. */
export type Brand<T, Name extends string> = T & { readonly [brand]: Name }

/**
 * Place of an entry in the log: a global, strictly increasing integer, never used twice, not across restarts either.
 * 0 stands for "before the first entry".
 */
export type Offset = Brand<number, 'Offset'>
/** MQTT client identifier; also names the session (UTF-8, no U+0000). */
export type ClientId = Brand<string, 'ClientId'>
/** Who is at the other end, as authentication found; 'anonymous' where there is none. */
export type Principal = Brand<string, 'Principal'>
/** MQTT packet identifier, 1 to 65,535. */
export type PacketId = Brand<number, 'PacketId'>
/** Milliseconds of Holdfast's own time (own-time.ts): near those since 1970 in UTC, unless the clock was set. */
export type TimeMs = Brand<number, 'TimeMs'>

export const QOS = { atMostOnce: 0, atLeastOnce: 1, exactlyOnce: 2 } as const
export type QoS = typeof QOS[keyof typeof QOS]

export const ORIGIN = 0 as Offset

/**
 * What most messages do not have: properties as MQTT 5 has them (3.3.2.3), passed on unaltered, and what Holdfast
 * itself keeps with a message. It stands beside the message as one object, so that one without it costs nothing.
 */
export interface Extension {
  /** In Holdfast's own time: from then on it is delivered to nobody. */
  readonly expiresAt?: TimeMs | undefined
  /** MIME type of the payload. */
  readonly contentType?: string | undefined
  readonly responseTopic?: string | undefined
  /** What belongs to the request, for its answer. */
  readonly correlationData?: Buffer | undefined
  /** In the publisher's order; a name may come more than once. */
  readonly userProperties?: ReadonlyArray<readonly [name: string, value: string]> | undefined
  /** Who counts its messages, and which of them this is. */
  readonly producer?: { readonly name: string, readonly sequence: number } | undefined
  /** Fields that a later version wrote, as they stand in the store: kept with the message, not understood. */
  readonly unknown?: Buffer | undefined
}

/** A message as it was published. The bytes of `payload` must not change after it was handed over. */
export interface Message {
  readonly topic: string
  readonly payload: Buffer
  readonly qos: QoS
  /** True where the publisher set RETAIN (MQTT 3.1.1, 3.3.1.3). */
  readonly retain: boolean
  readonly publisher: ClientId
  readonly principal: Principal
  /** When the broker took it in. */
  readonly time: TimeMs
  /** Identifier given by the publishing client library or bridge; '' where there is none. */
  readonly id: string
  /** Undefined for most. */
  readonly extension?: Extension | undefined
  /** See encodings.ts; null where it was encoded for the first, and that was not kept. */
  encodings?: Encoding | null | undefined
}

/** A message with its place in the log. */
export interface Entry extends Message {
  readonly offset: Offset
}

/** Gives a message its place. Made for every message on the hot path, so it is a class: one shape, one allocation. */
export class Placed implements Entry {
  readonly topic: string
  readonly payload: Buffer
  readonly qos: QoS
  readonly retain: boolean
  readonly publisher: ClientId
  readonly principal: Principal
  readonly time: TimeMs
  readonly id: string
  readonly offset: Offset
  readonly extension: Extension | undefined
  encodings: Encoding | null | undefined

  constructor (message: Message, offset: Offset) {
    this.topic = message.topic
    this.payload = message.payload
    this.qos = message.qos
    this.retain = message.retain
    this.publisher = message.publisher
    this.principal = message.principal
    this.time = message.time
    this.id = message.id
    this.offset = offset
    this.extension = message.extension
    this.encodings = message.encodings
  }
}

/** A message that a session goes on without, as its delivery broke the connection again and again. */
export interface SetAsideMessage {
  /** Names it within its session. */
  readonly id: string
  /** ORIGIN for a retained message that was due on a subscription. */
  readonly offset: Offset
  /** How often its delivery was tried. */
  readonly attempts: number
  readonly setAsideAt: TimeMs
  readonly message: Message
}

/** Bytes that a message counts for in every limit: topic and payload, and its properties where it has any. */
export function messageBytes (message: Pick<Message, 'topic' | 'payload' | 'extension'>): number {
  return message.topic.length + message.payload.length + extensionBytes(message.extension)
}

/** From its time of expiry on; most messages have none. */
export function isExpired ({ extension }: Pick<Message, 'extension'>, now: TimeMs): boolean {
  return extension?.expiresAt !== undefined && extension.expiresAt <= now
}

/** Bytes that it adds to a message in every limit. */
export function extensionBytes (extension: Extension | undefined): number {
  if (extension === undefined) return 0
  const { contentType = '', responseTopic = '', correlationData, userProperties = [], producer, unknown } = extension
  let bytes = contentType.length + responseTopic.length + (correlationData?.length ?? 0) + (unknown?.length ?? 0) +
    (producer?.name.length ?? 0)
  for (const [name, value] of userProperties) bytes += name.length + value.length
  return bytes
}

/** An entry and its strings, its place in lists, and the objects that a transport makes of it. */
export const ENTRY_BYTES = 400

/** Bytes of memory that a message takes, once a transport has made of it what it sends, beside what its payload is a
 * view of. */
export function entryBytes (message: Pick<Message, 'topic' | 'payload' | 'extension'>): number {
  return ENTRY_BYTES + messageBytes(message)
}
