/**
 * What the broker promises inside its own house, where a session is seen: the edge makes peers of it, and the suites of
 * sessions and the simulation are about it. Nobody here asks for rights unless they are given.
 */
import type { Rights } from './auth/rights.ts'
import type { AttachOptions, Broker, ConnectRequest, PublishRequest, SubscribeOptions } from './broker.ts'
import type { HoldfastError } from './model/errors.ts'
import type { ClientId, PacketId, QoS } from './model/message.ts'
import type { Delivery, Following, Link, Readable } from './session/link.ts'
import type { Session } from './session/session.ts'

export interface Connected {
  readonly session: Session
  /** True if the session was there already, with everything it missed [G5]. */
  readonly present: boolean
}

/** Whose rights are asked; left out: nobody's. */
export interface CoreSubscribeOptions extends SubscribeOptions {
  readonly rights?: Rights | undefined
}

export interface CoreAttachOptions extends AttachOptions {
  /** What the client may be sent, by topic; undefined: all that its filters match. */
  readonly readable?: Readable | undefined
}

export interface Core extends Broker {
  /**
   * Finds or makes the session; resolves when what it changed is durable. While another connection has the session, and
   * it was taken over again and again, that takes up to takeoverWaitMsMax.
   * Throws CLIENT_ID_INVALID, SESSION_FOREIGN [G7], SESSIONS_FULL, MEMORY_FULL, STORE_UNAVAILABLE, CLOSED.
   */
  connect (request: ConnectRequest): Promise<Connected>

  /**
   * Starts delivery: what is in flight first (original identifiers, DUP), then the backlog, then live messages [G3].
   * A link that was attached before is closed with 'taken-over'.
   */
  attach (session: Session, link: Link, options?: CoreAttachOptions): Following

  /**
   * Durable when it resolves. Every message appended afterwards reaches the session [G2]. An existing subscription of
   * the same filter is replaced. Retained messages that match are delivered, then too [MQTT-3.8.4-3].
   * Resolves to the QoS that is granted. Throws FILTER_INVALID, FILTERS_FULL, MEMORY_FULL, STORE_UNAVAILABLE, and
   * NOT_AUTHORIZED where `rights` don't allow it.
   */
  subscribe (session: Session, filter: string, qos: QoS, options?: CoreSubscribeOptions): Promise<QoS>

  /**
   * Durable when it resolves. Nothing of the filter is sent any more, not even what was queued for it alone; what was
   * sent before is completed [MQTT-3.10.4-3].
   */
  unsubscribe (session: Session, filter: string): Promise<void>

  /**
   * QoS 2: as publish(), and a packet identifier that was received before and not released is a duplicate: it gets a
   * receipt and nothing else (MQTT 4.3.3, method A). Survives a restart for a session that is kept.
   */
  publishOnce (session: Session, packetId: PacketId, request: PublishRequest,
    receipt: (error?: HoldfastError) => void): void

  /** A message that a transport can't take for `error` is refused as by publish(): in its turn, counted and told. */
  refuse (publisher: ClientId, topic: string, error: HoldfastError, receipt: (error?: HoldfastError) => void): void

  /** PUBREL: resolves when it is durable that the packet identifier may be used again, so that PUBCOMP may be sent. */
  releaseIncoming (session: Session, packetId: PacketId): Promise<void>

  /** Is the packet identifier of a QoS 2 message still to be released? */
  hasIncoming (session: Session, packetId: PacketId): boolean

  /**
   * The session goes on without a message whose delivery breaks the connection again and again: it is kept among those
   * set aside, at most setAsideMessagesMax for a session, and acknowledged; at QoS 2 its identifier is released, and
   * free again with PUBCOMP [G5]. Resolves to true when that is durable; to false, with nothing done, if the delivery
   * is not out any more, or is none at QoS 1 or 2 of a session that is kept.
   * The link that calls it must not have written it, and must not.
   * Throws STORE_UNAVAILABLE, CLOSED: then it is still out, for the next connection.
   */
  setAside (session: Session, delivery: Delivery, attempts: number): Promise<boolean>

  /**
   * The connection that connect() was called for never attached: after each connect() comes attach() or release().
   * With `endsNew`, a session that no connection was ever attached to ends: its client knows nothing of it, and may
   * have been refused.
   */
  release (session: Session, options?: { readonly endsNew?: boolean }): void
}
