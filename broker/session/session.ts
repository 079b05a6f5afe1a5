/**
 * A session: filters, a cursor into the log, and what is in flight. Detached it is little more than that, because
 * there may be very many; what only a connection needs is in Live.
 */
import type { HoldfastError } from '../model/errors.ts'
import type { Found } from '../log/topic-log.ts'
import { PENDING, type Route, type Subscriber } from '../log/route.ts'
import { messageBytes, type ClientId, type Message, type Offset, type Principal, type QoS, type TimeMs
} from '../model/message.ts'
import type { Delivery, GapReason, Link, Readable } from './link.ts'
import type { Membership } from './membership.ts'
import type { Pace } from './pace.ts'
import type { RetainedDue } from './retained-due.ts'
import { Subscriptions } from './subscriptions.ts'
import type { Tally } from './tally.ts'
import type { Flight, Window } from './window.ts'

export interface QueuedMessage {
  readonly message: Message
  readonly qos: QoS
}

/** The connected side of a session. */
export class Live {
  readonly link: Link
  /** Everything that matched up to the tail of the log was handed to the window. */
  caughtUp = false
  /** A read of the store is under way, or put off to another turn; nothing else is sent meanwhile. */
  reading = false
  /** Flights wait until it is written down that they are out (QoS 2). */
  holding = false
  outbox: Delivery[] = []
  outboxBytes = 0
  gathered = false
  /** Grows when a filter goes, so that what was found before is not sent after. */
  filtersVersion = 0
  /** Number of the message that was last offered, and the QoS of the filters that matched it. */
  offered = 0
  offeredQos: QoS = 0
  /** Found in the index after `session.sent`, with nothing left out between; not yet handed to the window. */
  found: readonly Found[] = NO_FOUND
  foundHead = 0
  /** Clean sessions only: what did not fit the window. */
  queue: QueuedMessage[] = []
  queueHead = 0
  queueBytes = 0
  /** See Cut.ackedOrder. */
  ackedOrder = 0
  /** What its client may be sent, by topic; undefined for nearly everybody: all that the filters match. */
  readable: Readable | undefined = undefined

  constructor (link: Link) {
    this.link = link
  }

  /** What comes next is looked up again. */
  forgetFound (): void {
    this.found = NO_FOUND
    this.foundHead = 0
  }

  filterQueue (isWanted: (message: Message) => boolean): void {
    if (this.queueHead === this.queue.length) return
    this.queue = this.queue.slice(this.queueHead).filter(({ message }) => isWanted(message))
    this.queueHead = 0
    this.queueBytes = this.queue.reduce((bytes, { message }) => bytes + messageBytes(message), 0)
  }
}

export class Session implements Subscriber {
  readonly clientId: ClientId
  readonly principal: Principal
  readonly clean: boolean
  expiryMs: number
  readonly subscriptions = new Subscriptions<Session>()
  /** Every matching entry up to this one was handed to the window; those not in the window are acknowledged. */
  sent: Offset
  window: Window | undefined
  live: Live | undefined
  detachedAt: TimeMs | undefined
  /** See ConnectRequest.owner. */
  owner: string | undefined
  /** See ConnectRequest.tag. */
  tag: string | undefined
  /** Tells the records of this session from those of an earlier one of the same name that could not be removed. */
  instance = 0
  /** Connections that have asked for it and are not attached yet: it does not expire meanwhile. */
  connecting = 0
  /**
   * Packet identifiers of QoS 2 messages that were received and not yet released (MQTT 4.3.3): null once that is
   * durable, until then those who wait for it.
   */
  incoming: Map<number, Array<(error?: HoldfastError) => void> | null> | undefined
  retainedDue: RetainedDue | undefined
  /** Filters whose retained messages were all sent, while some are not acknowledged. */
  retainedSent: Set<string> | undefined
  gaps: Map<GapReason, number> | undefined
  /** After a crash: entries up to this one may have been sent before, so they carry DUP [G4]. */
  uncertainThrough: Offset
  holds: Route[] | undefined
  /** Of a session that is, or was, in groups. */
  membership: Membership | undefined
  /** What waits for it, where that has to be counted entry by entry. */
  tally: Tally | undefined
  /** Flights that wait until it is durable that their identifiers are out (QoS 2). */
  held: readonly Flight[] | undefined
  /** Identifiers of the messages that were set aside, the oldest first. */
  setAside: Set<string> | undefined
  /** That is being written now. */
  isHoldWritten = false
  /** The cursor, or the record of the session itself, has changed and is to be written behind. */
  cursorDirty = false
  recordDirty = false
  /** Of takeovers that are not forgotten. */
  pace: Pace | undefined
  /** How often the cursor has moved: of two that were written down, the one with more is the newer. */
  moves = 0
  /** Acknowledgements since the cursor was last written or noted. */
  unnoted = 0
  ended = false
  /** No connection was attached to it yet. */
  isNew = false
  /** A clean connect is about to end it. */
  leaving = false

  constructor (clientId: ClientId, principal: Principal, clean: boolean, expiryMs: number, sent: Offset) {
    this.clientId = clientId
    this.principal = principal
    this.clean = clean
    this.expiryMs = expiryMs
    this.sent = sent
    this.uncertainThrough = 0 as Offset
  }

  /** Entries up to this one are not needed by the session any more [G2]. */
  get position (): Offset {
    const lowest = this.window?.lowest()
    if (lowest !== undefined) return (lowest - 1) as Offset
    return this.live?.caughtUp === true ? PENDING : this.sent
  }
}

const NO_FOUND: readonly Found[] = []
