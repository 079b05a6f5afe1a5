/**
 * Delivery: how a session's connection follows the log.
 *
 * There is one position, `session.sent`. A session that has caught up gets a message as it is appended; any other
 * pulls from the index what comes after its position whenever its window has room. Both move the same position in the
 * same synchronous step, so a live message can't overtake the backlog, and none is left out or sent twice [G3].
 */
import type { Clock } from '../system/clock.ts'
import type { LogIndex } from '../log/log-index.ts'
import type { Log } from '../log/log.ts'
import { messageBytes, ORIGIN, type Entry, type Message, type Offset, type PacketId, type QoS, type TimeMs
} from '../model/message.ts'
import type { HeapGuard } from '../system/heap-guard.ts'
import type { Meters } from '../system/meters.ts'
import type { Limits } from '../model/limits.ts'
import type { Store } from '../store/store.ts'
import { matches } from '../model/topics.ts'
import { Attached } from './attached.ts'
import type { CloseReason, Delivery, Following, GapReason, Link, Readable } from './link.ts'
import { Outbox } from './outbox.ts'
import { NO_ENTRIES, Puller } from './puller.ts'
import { cursorChange } from './records.ts'
import type { RetainedSource } from './retained-sender.ts'
import type { FollowerEvents } from './follower-events.ts'
import { Live, type Session } from './session.ts'
import { FLIGHT_DONE, FLIGHT_RELEASED, FLIGHT_RELEASING, FLIGHT_SENT, NOT_SENT, Window, type Flight
} from './window.ts'

export interface FollowerOptions {
  readonly index: LogIndex<Session>
  readonly log: Log
  readonly store: Store
  readonly limits: Limits
  readonly clock: Clock
  readonly guard: HeapGuard
  readonly meters: Meters
  readonly turnUnits: number
  readonly events: FollowerEvents
  readonly retained: RetainedSource
  /** Offsets that were lost to damage when the store was opened. */
  readonly damaged: ReadonlySet<Offset>
}

export class Follower {
  readonly #index: LogIndex<Session>
  readonly #log: Log
  readonly #limits: Limits
  readonly #clock: Clock
  readonly #guard: HeapGuard
  readonly #events: FollowerEvents
  readonly #damaged: ReadonlySet<Offset>
  readonly #outbox: Outbox
  readonly #puller: Puller
  acknowledged = 0
  /** Messages that were not sent, as the client may not read them. */
  withheld = 0
  /** Messages offered to sessions. */
  offered = 0

  constructor (options: FollowerOptions) {
    const { index, log, store, limits, clock, events } = options
    this.#index = index
    this.#log = log
    this.#limits = limits
    this.#clock = clock
    this.#guard = options.guard
    this.#events = events
    this.#damaged = options.damaged
    this.#outbox = new Outbox({
      limits,
      clock,
      meters: options.meters,
      turnUnits: options.turnUnits,
      fill: (session, live) => {
        this.#puller.fill(session, live)
        session.membership?.resume()
      },
      isBehind: (session, live) => this.#puller.isBehind(session, live),
      sent: (session) => { events.sent(session) },
      sending: () => { events.sending() },
      readable: (session, live, some) => this.#readable(session, live, some),
      detach: (session) => { this.detach(session) }
    })
    this.#puller = new Puller({
      index,
      log,
      store,
      clock,
      outbox: this.#outbox,
      retained: options.retained,
      lose: (session, count, reason) => { this.lose(session, count, reason) },
      unsubscribed: (session) => { this.unsubscribed(session) }
    })
  }

  /** Called regularly: from here on messages count as sent at this time. */
  tick (now: TimeMs): void { this.#outbox.tick(now) }

  get delivered (): number { return this.#outbox.delivered }
  get droppedQos0 (): number { return this.#outbox.droppedQos0 }

  // --- connections

  /** The caller has cut a link that was attached before. */
  attach (session: Session, link: Link, receivedThrough?: Offset, readable?: Readable): Following {
    if (receivedThrough !== undefined && receivedThrough <= this.#log.tail) {
      this.#acknowledgeThrough(session, receivedThrough)
    }
    const { position } = session
    const live = new Live(link)
    live.readable = readable
    live.holding = session.held !== undefined
    session.live = live
    const inflightMax = link.inflightMax ?? this.#limits.inflightMessagesMax
    if (session.window === undefined) session.window = new Window(inflightMax)
    else session.window.resize(inflightMax)
    for (const subscription of session.subscriptions.values()) subscription.route.attach(subscription)
    this.#tellGaps(session, live)
    this.#redeliver(session, live)
    if (session.held !== undefined && !session.isHoldWritten) this.#puller.hold(session, live, session.held)
    session.membership?.attached()
    return new Attached(position, session, live, this)
  }

  acknowledge (session: Session, live: Live, packetId: PacketId): void {
    if (session.live === live) this.#acknowledge(session, live, packetId)
  }

  async received (session: Session, live: Live, packetId: PacketId): Promise<void> {
    if (session.live === live) await this.#received(session, live, packetId)
  }

  detach (session: Session): void {
    const live = session.live
    if (live === undefined) return
    for (const subscription of session.subscriptions.values()) subscription.route.detach(subscription)
    if (live.caughtUp && session.sent < this.#log.tail) session.sent = this.#log.tail // nothing up to here was left out
    session.live = undefined
    session.membership?.detached()
    if (session.window?.size === 0) session.window = undefined
    this.#index.moved(session)
    this.#events.detached(session)
  }

  /** Closes the connection of a session, if it has one; its link hears nothing more. */
  cut (session: Session, reason: CloseReason): void {
    if (session.live !== undefined) this.#outbox.cut(session, session.live, reason)
  }

  /** Something has changed for the session (a new filter, retained messages): looks whether more can be sent. */
  wake (session: Session): void { this.#outbox.wake(session) }

  flush (): void { this.#outbox.flush() }
  flushOne (session: Session): void { this.#outbox.flushOne(session) }
  flushSoon (): void { this.#outbox.flushSoon() }

  /** A filter of the session is gone: what only it matched is not sent any more, unless it was sent before. */
  unsubscribed (session: Session): void {
    const live = session.live
    if (live === undefined) return
    live.filtersVersion++
    live.forgetFound()
    const rest = [...session.subscriptions.values()]
    const isWanted = (message: Message | Entry): boolean => rest.some(({ route, from }) =>
      matches(route.filter, message.topic) && (!('offset' in message) || from < message.offset))
    live.filterQueue(isWanted)
    this.#outbox.takeBack(session, live, isWanted)
  }

  /** Messages that waited for a clean session until they expired. */
  get expired (): number { return this.#puller.expired }

  // --- live messages

  /** Offers a message that has just been appended, or that passes through unstored. flush() has to follow. */
  offer (session: Session, message: Message | Entry, offset: Offset, qos: QoS): void {
    const live = session.live!
    this.offered++
    if (live.readable?.(message.topic) === false) {
      this.#passOver(session, live, offset)
      return
    }
    this.#outbox.offered(session, live)
    // Without an offset nobody durable wanted it when it came: a filter that was raised since does not count for it.
    if (qos === 0 || (offset === ORIGIN && !session.clean)) this.#outbox.sendVolatile(live, message, false)
    else if (session.clean) this.#offerClean(session, live, message, qos)
    else if (live.caughtUp && qos === 1 && this.#puller.hasRoom(session, live)) {
      session.sent = offset
      this.#outbox.send(session, live, message, qos, offset, false)
    } else live.caughtUp = false // it is found in the index when there is room
  }

  #offerClean (session: Session, live: Live, message: Message, qos: QoS): void {
    if (live.queueHead === live.queue.length && this.#puller.hasRoom(session, live)) {
      this.#outbox.send(session, live, message, qos, ORIGIN, false)
      return
    }
    const bytes = messageBytes(message)
    if (live.queue.length - live.queueHead >= this.#limits.cleanQueueMessagesMax ||
      live.queueBytes + bytes > this.#limits.cleanQueueBytesMax || this.#guard.isFull) {
      this.lose(session, 1, 'queue-full') // [G5], [G6]
      return
    }
    live.queue.push({ message, qos })
    live.queueBytes += bytes
  }

  // --- what a group gives to a member

  mayRead ({ live }: Session, topic: string): boolean { return live?.readable?.(topic) !== false }

  hasRoom (session: Session, qos: QoS): boolean {
    const { live } = session
    return live !== undefined && (qos === 0 ? !this.#outbox.isFull(live) : this.#puller.hasRoom(session, live))
  }

  /** For a session that has room; undefined at QoS 0. It has no place in the cursor: the group has. */
  give (session: Session, message: Message | Entry, qos: QoS, dup: boolean): Flight | undefined {
    const live = session.live!
    if (qos === 0) this.#outbox.sendVolatile(live, message, false)
    const flight = qos === 0 ? undefined : this.#outbox.send(session, live, message, qos, ORIGIN, dup)
    this.#outbox.wake(session)
    return flight
  }

  /** The group takes back what a session was given, whose connection is gone. */
  withdraw (session: Session, flight: Flight): void { session.window!.acknowledge(flight.packetId) }

  /** As wake(), if there is anything to be sent. */
  wakeIfBehind (session: Session): void {
    const { live } = session
    if (live !== undefined && (live.outbox.length > 0 || this.#puller.isBehind(session, live))) this.wake(session)
  }

  // --- what comes back

  #acknowledge (session: Session, live: Live, packetId: PacketId): void {
    const flight = session.window!.acknowledge(packetId)
    if (flight === undefined) return
    this.acknowledged++
    if (flight.order > live.ackedOrder) live.ackedOrder = flight.order
    this.#passed(session, live, flight)
  }

  /** It is out no more. */
  #passed (session: Session, live: Live, flight: Flight): void {
    if (flight.offset > 0) {
      this.#index.moved(session)
      this.#events.acknowledged(session)
    } else {
      if (flight.qos === 2) this.#events.cursorMoved(session)
      if (session.retainedSent !== undefined) this.#puller.retainedAcknowledged(session)
    }
    if (session.membership !== undefined) session.membership.acknowledged(flight)
    if (this.#puller.isBehind(session, live)) this.wake(session)
  }

  // --- what a client may not read [G7]

  /** It counts as passed: nothing waits for it, and it is no gap, as it was never meant for this client. */
  #passOver (session: Session, live: Live, offset: Offset): void {
    this.withheld++
    if (offset === ORIGIN || session.clean || !live.caughtUp) return // behind, it is met again in the index
    session.sent = offset
    this.#events.cursorMoved(session)
  }

  /** The deliveries that may be sent; the others are passed over. Asked of everything that goes to such a link. */
  #readable (session: Session, live: Live, deliveries: readonly Delivery[]): readonly Delivery[] {
    return deliveries.filter((one) => {
      if (live.readable!(one.message.topic)) return true
      this.withheld++
      if (one.qos > 0) this.#withhold(session, live, one as Flight)
      return false
    })
  }

  #withhold (session: Session, live: Live, flight: Flight): void {
    if (flight.qos === 2 && flight.dup) { // the client may hold the identifier, which PUBREL sets free
      this.#release(session, flight).then((isOut) => {
        if (isOut && session.live === live) live.link.release(flight.packetId)
      }, () => { this.#outbox.cut(session, live, 'store-unavailable') })
    } else if (session.window!.acknowledge(flight.packetId) !== undefined) this.#passed(session, live, flight)
  }

  /** The session goes on without a message that nobody is being sent now [G5]. */
  async dismiss (session: Session, flight: Flight): Promise<void> {
    if (session.window?.get(flight.packetId) !== flight) return // proven meanwhile, in another way
    if (flight.qos === 2) {
      if (flight.state !== FLIGHT_SENT) return // the same
      this.lose(session, 1, 'set-aside') // as durable as what follows
      // The client may hold the identifier, as PUBREC can be lost: PUBREL sets it free, whatever the client has seen.
      const isOut = await this.#release(session, flight)
      if (isOut && session.live !== undefined) {
        this.#outbox.drop(session.live, flight)
        session.live.link.release(flight.packetId)
      }
      return
    }
    const { live } = session
    session.window.acknowledge(flight.packetId)
    if (live !== undefined) this.#outbox.drop(live, flight)
    if (live === undefined && session.window.size === 0) session.window = undefined
    if (flight.offset > 0) this.#index.moved(session)
    else if (session.retainedSent !== undefined && live !== undefined) this.#puller.retainedAcknowledged(session)
    session.membership?.acknowledged(flight)
    this.lose(session, 1, 'set-aside')
    if (live !== undefined && this.#puller.isBehind(session, live)) this.wake(session)
  }

  /** The client says how far it has come: more than is known of what is out, or of what was sent unrecorded. */
  #acknowledgeThrough (session: Session, through: Offset): void {
    const proven = [...session.window?.flights() ?? []].filter(({ offset, qos }) =>
      offset > ORIGIN && offset <= through && qos === 1)
    for (const { packetId } of proven) session.window!.acknowledge(packetId)
    this.acknowledged += proven.length
    if (session.sent < through) session.sent = through
    session.tally = undefined
    this.#index.moved(session)
    this.#events.cursorMoved(session)
  }

  async #received (session: Session, live: Live, packetId: PacketId): Promise<void> {
    const flight = session.window!.get(packetId)
    if (flight === undefined || flight.state === FLIGHT_RELEASED) return
    if (!await this.#release(session, flight)) return
    const { live: current } = session // another one by now was about to get PUBLISH again
    if (current !== undefined && current !== live && this.#outbox.drop(current, flight)) current.link.release(packetId)
  }

  /** Resolves when it is durable that PUBREL may go; to false where PUBCOMP has come meanwhile. */
  async #release (session: Session, flight: Flight): Promise<boolean> {
    if (!session.clean) {
      flight.state = FLIGHT_RELEASING // a redelivery meanwhile is still PUBLISH, which the client recognises
      try {
        await this.#log.recorded([cursorChange(session)])
      } catch (error) {
        if (flight.state === FLIGHT_RELEASING) flight.state = FLIGHT_SENT
        throw error
      }
    }
    if (flight.state === FLIGHT_DONE) return false
    flight.state = FLIGHT_RELEASED
    return true
  }

  // --- what was in flight when the last connection broke

  #redeliver (session: Session, live: Live): void {
    const flights = [...session.window!.flights()].filter((flight) => session.held?.includes(flight) !== true)
    const missing = flights.filter(({ entry, state, offset }) =>
      entry === undefined && state !== FLIGHT_RELEASED && offset > ORIGIN) // a retained one is in no log
      .map((flight) => flight.offset)
    const resend = (read: Map<Offset, Entry>): void => {
      for (const flight of flights) {
        flight.entry ??= read.get(flight.offset)
        flight.dup = true // [MQTT-3.3.1-1]
        // Gone while it was out: acknowledged, or unsubscribed, and only that was not yet written down. At QoS 2 the
        // client may still hold the identifier, which PUBREL sets free whatever it has seen.
        if (flight.entry === undefined && flight.qos === 2) flight.state = FLIGHT_RELEASED
        flight.sentAt = flight.state === FLIGHT_RELEASED ? this.#clock.now() : NOT_SENT
        if (flight.state === FLIGHT_RELEASED) live.link.release(flight.packetId)
        else if (flight.entry !== undefined) this.#outbox.post(live, flight)
        else session.window!.acknowledge(flight.packetId)
        if (flight.entry === undefined && this.#damaged.has(flight.offset)) this.lose(session, 1, 'damaged')
      }
      this.wake(session)
    }
    if (missing.length === 0) resend(NO_ENTRIES)
    else this.#puller.read(session, live, missing.sort((a, b) => a - b), resend)
  }

  // --- gaps

  /** Says that the session will not get `count` messages it should have got [G5]. */
  lose (session: Session, count: number, reason: GapReason): void {
    session.gaps ??= new Map()
    session.gaps.set(reason, (session.gaps.get(reason) ?? 0) + count)
    this.#events.gap(session, count, reason)
    this.#events.cursorMoved(session)
    if (session.live !== undefined) this.#tellGaps(session, session.live)
  }

  #tellGaps (session: Session, live: Live): void {
    if (session.gaps === undefined) return
    for (const [reason, count] of session.gaps) live.link.gap(count, reason)
    session.gaps = undefined
    this.#events.cursorMoved(session)
  }
}
