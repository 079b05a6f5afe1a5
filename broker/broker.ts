/**
 * What the broker promises to its callers, method by method. How it keeps it is in holdfast-broker.ts.
 */
import type { EventEmitter } from 'node:events'
import type { Auth, Credentials } from './auth/auth.ts'
import type { Identity } from './auth/identity.ts'
import type { Rights } from './auth/rights.ts'
import type { Clock, TimeSource } from './system/clock.ts'
import type { BrokerEvents } from './system/events.ts'
import type { HoldfastError } from './model/errors.ts'
import type { Heap } from './system/heap.ts'
import type { Meters } from './system/meters.ts'
import type { HeapUsage } from './system/heap-guard.ts'
import type { Limits } from './model/limits.ts'
import type { SetAsideMessage, ClientId, Message, Offset, PacketId, Principal, QoS, TimeMs } from './model/message.ts'
import type { Attachment, Delivery, Link } from './session/link.ts'
import type { Recovery, Store, StoreUsage } from './store/store.ts'
import type { Wills } from './messages/wills.ts'

/** Whose messages a topic carries, and the filter for all of them; undefined where they are for nobody at all. */
export type InboxOf = (topic: string) => { readonly filter: string, readonly principal: Principal } | undefined

export interface BrokerOptions {
  readonly store: Store
  readonly auth: Auth
  readonly limits: Limits
  readonly clock: TimeSource
  /** Of the process; nothing watches it where it is left out. */
  readonly heap?: Heap
  /** Makes the identifiers of clients that came without one; an argument so that tests can repeat a run. */
  readonly makeId: () => string
  /**
   * Messages that are offered to sessions, or handed to their links, before others have their turn [G8]; an argument so
   * that tests see many turns.
   */
  readonly turnUnits?: number
  /** For whom a topic is, by whose filter; with limits.keepForUsersMs. Default: for nobody in particular. */
  readonly inboxOf?: InboxOf
  /** How long messages last whose publisher does not say it: the first filter that matches decides. */
  readonly messageExpiry?: ReadonlyArray<{ readonly filter: string, readonly expiryMs: number }>
  /** Makes `secret`, where the log has none yet: 32 bytes that nobody can guess. Default: from the system. */
  readonly makeSecret?: () => Buffer
}

export interface ConnectRequest {
  readonly clientId: ClientId
  readonly principal: Principal
  /** MQTT CleanSession: true starts anew and leaves nothing behind (MQTT 3.1.1, 3.1.2.4). */
  readonly clean: boolean
  /** How long the session is kept after its connection is gone. Not used for a clean session. */
  readonly expiryMs: number
  /**
   * For whom, where several people come under one principal, as those of an application that authenticates by itself:
   * the session belongs to the first one that is told [G7].
   */
  readonly owner?: string | undefined
  /**
   * Which of the clients that use the session one after the other is the present one, in words of the transport: kept
   * with the session, as durable as it is. Called in the turn of this request with the tag of the request before (of
   * a session that was there already, else undefined); returns the one from now on. Without it the session has none.
   */
  readonly tag?: ((previous: string | undefined) => string | undefined) | undefined
  /** Where the client is; for the operator. */
  readonly remoteAddress?: string | undefined
  /** False once the connection that asks is gone: it takes no session over then. */
  readonly isWanted?: (() => boolean) | undefined
}

/** A session that is to wait for its client; see ConnectRequest. */
export interface Provision extends Pick<ConnectRequest, 'clientId' | 'principal' | 'owner' | 'expiryMs'> {
  readonly filters: ReadonlyArray<{ readonly filter: string, readonly qos: QoS }>
  /** Default: what authentication says of the principal. */
  readonly rights?: Rights | undefined
}

/** What a client shows of who it is. */
export type Proof = Pick<Credentials, 'username' | 'password' | 'cookies'>

/** A message that is to be published if its client goes without a word. */
export interface WillRequest {
  readonly topic: string
  readonly payloadBytes: number
  /** It can never be published. True lets the client in without it; false refuses the client. */
  refused (error: HoldfastError): boolean
}

/** Somebody at the edge who wants in; the session as in ConnectRequest. */
export interface EnterRequest extends Omit<ConnectRequest, 'principal'> {
  /** What the client shows; left out for the program itself, whose identity is given. */
  readonly credentials?: Credentials | undefined
  /** Who it is, where authenticate() has said so already. */
  readonly identity?: Identity | undefined
  /**
   * What it will subscribe to before it follows: what would be refused is refused before there is a session, and is
   * not asked again.
   */
  readonly filters?: readonly string[] | undefined
  readonly will?: WillRequest | undefined
}

/**
 * A client that was let in: its session, seen from one connection. What it may do is asked here and at delivery [G7],
 * so that a transport does nothing but translate.
 */
export interface Peer extends Publisher {
  readonly identity: Identity
  /** True if the session was there already, with everything it missed [G5]. */
  readonly present: boolean
  /** Nothing of the session stays when the connection is gone. */
  readonly clean: boolean
  /** The session has ended: the connection is of no more use. */
  readonly ended: boolean
  /** Some connection follows the session, this one or another. */
  readonly isFollowed: boolean
  /** Stands for the session: the same object for each of its connections, as long as the process lives. */
  readonly sessionKey: object
  /** As Broker.publish(), as far as the identity may. */
  publish (request: PublishRequest, receipt: (error?: HoldfastError, keepers?: number) => void): void
  /**
   * QoS 2: as publish(), and a packet identifier that was received before and not released is a duplicate: it gets a
   * receipt and nothing else (MQTT 4.3.3, method A). Survives a restart for a session that is kept.
   */
  publishOnce (packetId: PacketId, request: PublishRequest, receipt: (error?: HoldfastError) => void): void
  /** A message that a transport can't take for `error` is refused as by publish(): in its turn, counted and told. */
  refuse (topic: string, error: HoldfastError, receipt: (error?: HoldfastError) => void): void
  /** PUBREL: resolves when it is durable that the packet identifier may be used again, so that PUBCOMP may be sent. */
  releaseIncoming (packetId: PacketId): Promise<void>
  /** Is the packet identifier of a QoS 2 message still to be released? */
  hasIncoming (packetId: PacketId): boolean
  /**
   * Durable when it resolves. Every message appended afterwards reaches the session [G2]. An existing subscription of
   * the same filter is replaced. Retained messages that match are delivered, then too [MQTT-3.8.4-3].
   * Resolves to the QoS that is granted. Throws FILTER_INVALID, FILTERS_FULL, NOT_AUTHORIZED, MEMORY_FULL,
   * STORE_UNAVAILABLE.
   */
  subscribe (filter: string, qos: QoS, options?: SubscribeOptions): Promise<QoS>
  /**
   * Durable when it resolves. Nothing of the filter is sent any more, not even what was queued for it alone; what was
   * sent before is completed [MQTT-3.10.4-3].
   */
  unsubscribe (filter: string): Promise<void>
  hasFilter (filter: string): boolean
  /** It has it, at QoS 1 or 2; it may have it; and no change of it is on its way. */
  keepsFilter (filter: string): boolean
  readonly filterCount: number
  filters (): Iterable<string>
  /**
   * Starts delivery: what is in flight first (original identifiers, DUP), then the backlog, then live messages [G3]. A
   * link that followed the session before is closed with 'taken-over'. Once for each peer.
   */
  follow (link: Link, options?: AttachOptions): Attachment
  /** Everything up to this place was handed to the link; undefined while it is behind. */
  readonly sentThrough: Offset | undefined
  /** Everything up to this place is acknowledged. */
  readonly position: Offset
  /** Since when the oldest message is out that was not acknowledged; undefined where none is. */
  readonly openSince: TimeMs | undefined
  /** As Core.setAside(). */
  setAside (delivery: Delivery, attempts: number): Promise<boolean>
  /**
   * A fresh proof takes the place of the one that let it in: rights and expiry are those of the new one at once.
   * Throws NOT_AUTHORIZED where it proves nothing, or somebody else [G7]; what was before goes on then.
   */
  renew (proof: Proof): Promise<void>
  /**
   * The connection is gone. The session goes on by itself until it expires; a clean one ends. Idempotent. With
   * `endsNew`, a session that no connection ever followed ends: its client knows nothing of it.
   */
  leave (options?: { readonly endsNew?: boolean }): void
}

export interface SubscribeOptions {
  /** `$share/GROUP/FILTER` is a shared subscription; else it is refused. QoS 1 is the most that is granted for one. */
  readonly mayShare?: boolean
}

export interface AttachOptions {
  /**
   * The client has proven that it has handled everything up to this place that the session was sent: it is
   * acknowledged, and not sent again. A place that the log has not reached yet is no proof of anything and is ignored.
   * What is not of the log (retained messages), or is under way at QoS 2, is not acknowledged by it.
   */
  readonly receivedThrough?: Offset | undefined
  /** What can be sent is handed to the link before attach() returns, as far as the store answers at once. */
  readonly atOnce?: boolean
}

/** Who publishes. */
export interface Publisher {
  readonly clientId: ClientId
  readonly principal: Principal
}

export interface PublishRequest extends Omit<Message, 'time' | 'publisher' | 'principal'> {
  /** How long it lasts from when it is taken in [G9]; else as `extension` says, or by BrokerOptions.messageExpiry. */
  readonly expiryMs?: number | undefined
}

/** What is told about a session; nothing in it changes afterwards. */
export interface SessionInfo {
  readonly clientId: ClientId
  readonly principal: Principal
  readonly clean: boolean
  readonly attached: boolean
  /** See ConnectRequest.owner. */
  readonly owner: string | undefined
  /** See ConnectRequest.tag. */
  readonly tag: string | undefined
  readonly expiryMs: number
  /** When its connection went away; undefined while it is attached. */
  readonly detachedAt: TimeMs | undefined
  readonly filters: ReadonlyArray<{ readonly filter: string, readonly qos: QoS }>
  readonly backlogMessages: number
  readonly backlogBytes: number
  readonly inflightMessages: number
  /** Messages that were set aside and are kept. */
  readonly setAsideMessages: number
}

export interface BrokerStats {
  readonly sessions: number
  readonly attached: number
  readonly filters: number
  readonly retained: number
  /** Messages appended to the log since start. */
  readonly published: number
  /** Messages of clients, and wills, that were refused for good since start. */
  readonly refused: number
  readonly delivered: number
  readonly acknowledged: number
  /** Messages that sessions lost to a bound [G5]. */
  readonly gapMessages: number
  /** Messages since start that were kept, and whose time was over before everybody had them [G9]. */
  readonly expired: number
  /** Messages that are set aside now, of all sessions. */
  readonly setAside: number
  /** Messages set aside that went since start, as their session had setAsideMessagesMax of them. */
  readonly setAsideDropped: number
  /** QoS 0 messages that a slow connection did not take. */
  readonly droppedQos0: number
  /** Connections that took a session over from another one since start, and how many of them had to wait for it. */
  readonly takeovers: number
  readonly takeoversSlowed: number
  /** Questions to the program's own Auth that it did not answer since start: an exception, or too late. */
  readonly authFailures: number
  /** Messages that were passed over at delivery since start, as their client may not read them. */
  readonly withheld: number
  /** How long the oldest message of the log has been waiting, to the second; 0 where none is. */
  readonly oldestMessageAgeMs: number
  readonly storeFailing: boolean
  /** For how long the log has owed an answer, a yes or a no; 0 while it owes none. Grows where the disk hangs. */
  readonly logSilentMs: number
  readonly heap: HeapUsage
  readonly store: StoreUsage
}

export interface Broker {
  readonly events: EventEmitter<BrokerEvents>
  readonly limits: Limits
  readonly clock: Clock
  /** Nobody is asked who they are. */
  readonly isAnonymous: boolean
  /** Of the log, once open() has resolved: an offset of another epoch means nothing here. */
  readonly epoch: string
  /** Random, kept with the log: for what a transport gives away and wants to know again. Once open() has resolved. */
  readonly secret: Buffer

  /** Opens the store, recovers sessions, publishes the wills of clients that were connected when the server died. */
  open (): Promise<Recovery>

  /**
   * Who that is. Throws NOT_AUTHORIZED where nobody knows them, AUTH_UNAVAILABLE where nobody can say; the client may
   * try again then.
   */
  authenticate (credentials: Credentials): Promise<Identity>

  /**
   * Lets a client in: who it is, whether it may have its will and its filters, its session. Resolves when what changed
   * is durable; while another connection has the session, and it was taken over again and again, that takes up to
   * takeoverWaitMsMax. Nothing is kept of who is refused. Throws as authenticate(), and CLIENT_ID_INVALID,
   * SESSION_FOREIGN [G7], FILTER_INVALID, FILTERS_FULL, SESSIONS_FULL, MEMORY_FULL, STORE_UNAVAILABLE, CLOSED.
   */
  enter (request: EnterRequest): Promise<Peer>

  /**
   * Users or rules have changed: everybody who is here is asked about anew. Who is known no more is closed with
   * 'disconnected'; rights are those of today at once, and a session gets nothing of a filter that it could not have
   * any more. Sessions are kept. Resolves to how many connections were closed.
   */
  refresh (): Promise<number>

  /**
   * Makes a session before its client ever came: what is published from then on waits for it, until it expires.
   * Durable, with its filters, when it resolves to true; to false, with nothing changed, if that principal has one.
   * Rights are asked for the principal [G7]. Throws as enter() and Peer.subscribe(); then there is none.
   */
  provision (session: Provision): Promise<boolean>

  /**
   * For the program itself, which may do all; clients have Peer.publish(). `receipt` is called once: without an error
   * as soon as the message is durable [G1] (QoS 0: passed on), with one if it is not kept; where that is retriable it
   * must be sent again. Receipts of one publisher come in the order of the calls. `keepers`: for how many sessions that
   * are kept it was stored, where one whose filters overlap counts for each filter; with 0, or left out, nobody who is
   * away will get it.
   */
  publish (publisher: Publisher, request: PublishRequest,
    receipt: (error?: HoldfastError, keepers?: number) => void): void

  /**
   * Says something of the server itself, at QoS 0, to whoever listens now: it is kept nowhere, and access control is
   * asked for those who subscribe alone. The topic is one of those that nobody may publish to.
   */
  announce (publisher: Publisher, topic: string, payload: Buffer): void

  /** Messages to be published if their client goes away without saying so (MQTT 3.1.2.5); they survive a crash. */
  readonly wills: Wills

  /** The retained messages that a valid filter matches, as they are now (MQTT 3.3.1.3). */
  retained (filter: string): AsyncIterableIterator<Message>

  /** What was set aside for a session, the oldest first; nothing if there is no such session. */
  listSetAside (clientId: ClientId): AsyncIterableIterator<SetAsideMessage>

  /**
   * Removes a message that was set aside, or all of a session; durable when it resolves to how many there were.
   * Throws STORE_UNAVAILABLE, CLOSED.
   */
  dropSetAside (clientId: ClientId, id?: string): Promise<number>

  /** Throws TOPIC_INVALID or MESSAGE_TOO_LARGE, as publish() reports it through the receipt. */
  checkMessage (topic: string, payloadBytes: number): void

  /**
   * Ends a session for good [G5], as an administrator, or since its client has left for good; its connection is closed
   * with 'ended'. Resolves to false if there is none, else to true when that is written down; while the log can't be
   * written, as soon as it was tried: it is tried again, but until then a crash would bring the session back. Throws
   * CLOSED.
   */
  end (clientId: ClientId, reason?: 'administrator' | 'left'): Promise<boolean>
  /**
   * Closes the connection of a session, or of all sessions of a principal, with 'disconnected'; kept sessions go on,
   * and what comes waits for them [G2]. How many there were. Throws CLOSED.
   */
  disconnect (who: { readonly clientId: ClientId } | { readonly principal: Principal }): number
  sessions (): IterableIterator<SessionInfo>
  session (clientId: ClientId): SessionInfo | undefined
  stats (): BrokerStats
  /** What it counts of its own work. */
  readonly meters: Meters
  /** How often a message was offered to a session, so far: what publishing one costs besides the message itself. */
  readonly offered: number

  /** Resolves when everything handed over so far is durable and has its receipt. */
  settled (): Promise<void>

  /**
   * Puts a copy of the log and of all sessions, as they are now, into an empty folder of this machine (see copy.ts):
   * all that has its receipt when this is called is in it [G2]. Others go on meanwhile. Throws STORE_UNAVAILABLE,
   * CLOSED.
   */
  copyTo (folder: string): Promise<void>

  /** Finishes and syncs what was accepted; links are closed with 'shutdown' first. */
  close (): Promise<void>
}
