/**
 * The seam between a session and the connection that follows it: MQTT, WebSocket, Socket.IO.
 * The session decides what is sent and when; the link only writes, and says when it can't.
 */
import type { LinkCarrier } from '../system/meters.ts'
import { ORIGIN } from '../model/message.ts'
import type { Entry, Message, Offset, PacketId, QoS, TimeMs } from '../model/message.ts'

/** Of a client to a message (MQTT 3.3.4); it may answer PUBREC again once it has done so. */
export type Answer = 'puback' | 'pubrec' | 'pubcomp'

export interface Delivery {
  /** 0 for QoS 0. */
  readonly packetId: PacketId
  readonly qos: QoS
  /** Sent before on another connection, or possibly so [G4]. */
  readonly dup: boolean
  /** RETAIN flag as the subscriber must see it (MQTT 3.3.1-8 and -9). */
  readonly retain: boolean
  readonly message: Message | Entry
}

export const CLOSE_REASONS = [
  'taken-over', // another connection took the session
  'stalled', // did not take bytes, or did not acknowledge, for too long
  'ended', // the session was ended by its owner, an administrator or a bound
  'disconnected', // a program asked for it, or its client is known no more; the session goes on
  'expired', // so has the proof that let it in, and no fresh one came in time; the session goes on
  'store-unavailable', // what it sent could not be made durable
  'protocol', // it broke the protocol
  'shutdown'
] as const
export type CloseReason = typeof CLOSE_REASONS[number]

/** Implemented by a transport. No method may throw or call back into the session synchronously. */
export interface Link {
  /** Where its client is, as far as the transport knows; for the operator. */
  readonly remoteAddress?: string | undefined
  /** How what it delivers travels; default: to the program. For metrics. */
  readonly carrier?: LinkCarrier | undefined
  /** False while the connection does not take more; the transport calls Attachment.drained() afterwards. */
  readonly writable: boolean
  /**
   * Bytes of messages that it takes now, counted as every limit counts them; default: limits.writeBufferBytesMax. One
   * message is handed over while it is writable, whatever its size [G6].
   */
  readonly roomBytes?: number | undefined
  /** Messages that it takes now at most, and one while it is writable; default: as many as its bytes allow. */
  readonly roomMessages?: number | undefined
  /**
   * How many messages may be out unacknowledged; default: limits.inflightMessagesMax. For a link whose proof takes
   * long, and that bounds what is written by itself. Asked once, at attach; at most 65,535 [G6].
   */
  readonly inflightMax?: number | undefined
  /**
   * For a link that writes later than it is handed: since when what it wrote waits for its proof; Infinity while
   * nothing does. limits.ackTimeoutMs counts from here, else from the hand-over [G2].
   */
  readonly waitingSince?: TimeMs | undefined
  /**
   * For a link whose client acknowledges each message by itself: when it was last heard. What the client never
   * acknowledges is then set aside, see unanswered.ts.
   */
  readonly heardAt?: TimeMs | undefined
  /** In order. All of one call may share a write. */
  deliver (deliveries: readonly Delivery[]): void
  /** PUBREL for QoS 2 (MQTT 4.3.3). */
  release (packetId: PacketId): void
  /** Messages the session will never receive, where it would have received them: `count` of them [G5]. */
  gap (count: number, reason: GapReason): void
  close (reason: CloseReason): void
  /** The proof that let its client in is good for so long: it should bring a fresh one, or will be closed. */
  expiring? (leftMs: number): void
}

/** May the client be sent what has this topic? It must be quick, and never throw. */
export type Readable = (topic: string) => boolean

export const GAP_REASONS = [
  'backlog-messages', 'backlog-bytes', 'backlog-age', 'queue-full', 'damaged', 'set-aside', 'qos-lowered'
] as const
export type GapReason = typeof GAP_REASONS[number]

/** The other direction: what a transport tells the session it is attached to. Calls after detach() do nothing. */
export interface Attachment {
  /** When it was attached: everything up to this place of the log that the session was to receive is acknowledged. */
  readonly position: Offset
  /** PUBACK, PUBCOMP, or any other proof that the message was received; unknown identifiers are ignored. */
  acknowledge (packetId: PacketId): void
  /** PUBREC: resolves when it is durable that PUBREL may be sent (MQTT 4.3.3). */
  received (packetId: PacketId): Promise<void>
  /** What the client has to answer to the message that is out under an identifier; undefined if none is. */
  awaits (packetId: PacketId): Answer | undefined
  /** The link takes bytes again. */
  drained (): void
  /** The connection is gone. The session goes on by itself until it expires; a clean one ends. */
  detach (): void
}

/** An attachment as the edge has it, which may end it, and say what goes over it. */
export interface Following extends Attachment {
  /** False once another link follows the session, or none. */
  readonly isFollowing: boolean
  /** Closes the link, if it still follows the session. */
  cut (reason: CloseReason): void
  /** From now on, for what is on its way too; undefined: all. */
  allow (readable: Readable | undefined): void
}

/** For a link that comes when the broker is closing. */
export const DETACHED: Following = {
  position: ORIGIN, isFollowing: false, acknowledge () {}, async received () {}, awaits () { return undefined },
  drained () {}, detach () {}, cut () {}, allow () {}
}
