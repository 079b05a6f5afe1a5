/**
 * Delivery: how a session's connection follows the log.
 *
 * There is one position, `session.sent`. A session that has caught up gets a message as it is appended; any other
 * pulls from the index what comes after its position whenever its window has room. Both move the same position in the
 * same synchronous step, so a live message can't overtake the backlog, and none is left out or sent twice [G3].
 */
import type { Clock } from '../clock.ts'
import type { LogIndex } from '../log/log-index.ts'
import type { Log } from '../log/log.ts'
import type { Found } from '../log/topic-log.ts'
import { messageBytes, ORIGIN, type Entry, type Message, type Offset, type PacketId, type QoS } from '../message.ts'
import type { Limits } from '../limits.ts'
import type { Store } from '../store/store.ts'
import { matches } from '../topics.ts'
import type { Attachment, CloseReason, Delivery, GapReason, Link } from './link.ts'
import { cursorChange } from './records.ts'
import { Live, RetainedQueue, type Session } from './session.ts'
import { FLIGHT_DONE, FLIGHT_RELEASED, FLIGHT_RELEASING, FLIGHT_SENT, Window, type Flight } from './window.ts'

export interface FollowerEvents {
  /** The cursor has moved and is to be written down some time soon. */
  cursorMoved (session: Session): void
  detached (session: Session): void
  /** The session lost messages [G5]; it is told by the follower. */
  gap (session: Session, count: number, reason: GapReason): void
  /** A retained message that is due; undefined where it was replaced meanwhile. */
  retained (topic: string, notAfter: Offset): Promise<Message | undefined>
  /** A subscription has got all its retained messages. */
  retainedDone (session: Session, filter: string): void
}

export interface FollowerOptions {
  readonly index: LogIndex<Session>
  readonly log: Log
  readonly store: Store
  readonly limits: Limits
  readonly clock: Clock
  readonly events: FollowerEvents
  /** Offsets that were lost to damage when the store was opened. */
  readonly damaged: ReadonlySet<Offset>
}

const PULL_MAX = 256
const NO_PACKET_ID = 0 as PacketId

export class Follower {
  readonly #index: LogIndex<Session>
  readonly #log: Log
  readonly #store: Store
  readonly #limits: Limits
  readonly #clock: Clock
  readonly #events: FollowerEvents
  readonly #damaged: ReadonlySet<Offset>
  #gathered: Session[] = []
  #flushing = false
  delivered = 0
  acknowledged = 0
  droppedQos0 = 0

  constructor (options: FollowerOptions) {
    this.#index = options.index
    this.#log = options.log
    this.#store = options.store
    this.#limits = options.limits
    this.#clock = options.clock
    this.#events = options.events
    this.#damaged = options.damaged
  }

  // --- connections

  /** The caller has closed a link that was attached before. */
  attach (session: Session, link: Link): Attachment {
    const live = new Live(link)
    session.live = live
    session.window ??= new Window(this.#limits.inflightMessagesMax)
    for (const subscription of session.subscriptions.values()) subscription.route.attach(subscription)
    this.#tellGaps(session, live)
    this.#redeliver(session, live)
    return {
      acknowledge: (packetId) => { if (session.live === live) this.#acknowledge(session, live, packetId) },
      received: async (packetId) => { if (session.live === live) await this.#received(session, packetId) },
      drained: () => { if (session.live === live) this.wake(session) },
      detach: () => { if (session.live === live) this.detach(session) }
    }
  }

  detach (session: Session): void {
    const live = session.live
    if (live === undefined) return
    for (const subscription of session.subscriptions.values()) subscription.route.detach(subscription)
    if (live.caughtUp && session.sent < this.#log.tail) session.sent = this.#log.tail // nothing up to here was left out
    session.live = undefined
    if (session.window?.size === 0) session.window = undefined
    this.#index.moved(session)
    this.#events.detached(session)
  }

  /** Closes a connection from this side; the link hears nothing more. */
  cut (session: Session, live: Live, reason: CloseReason): void {
    if (session.live !== live) return
    live.link.close(reason)
    this.detach(session)
  }

  /** A filter of the session is gone: nothing that only it matched is sent any more. */
  unsubscribed (session: Session): void {
    const live = session.live
    if (live === undefined) return
    live.filtersVersion++
    forgetFound(live)
    const rest = [...session.subscriptions.values()]
    const isWanted = (message: Message | Entry): boolean => rest.some(({ route, from }) =>
      matches(route.filter, message.topic) && (!('offset' in message) || from < message.offset))
    if (live.queueHead < live.queue.length) {
      live.queue = live.queue.slice(live.queueHead).filter(({ message }) => isWanted(message))
      live.queueHead = 0
      live.queueBytes = live.queue.reduce((bytes, { message }) => bytes + messageBytes(message), 0)
    }
    if (live.outbox.length > 0) {
      live.outbox = live.outbox.filter((one) => one.dup || isWanted(one.message) || this.#takeBack(session, one))
      live.outboxBytes = live.outbox.reduce((bytes, { message }) => bytes + messageBytes(message), 0)
    }
  }

  /** A flight that never left. */
  #takeBack (session: Session, delivery: Delivery): false {
    if (delivery.qos > 0) session.window!.acknowledge(delivery.packetId)
    return false
  }

  /** Something has changed for the session (room, a new filter, bytes taken): looks whether more can be sent. */
  wake (session: Session): void {
    const live = session.live
    if (live === undefined) return
    this.#gather(session, live)
    if (this.#flushing) return
    this.#flushing = true
    queueMicrotask(() => { // what one read of a socket acknowledges is answered with one write
      this.#flushing = false
      this.flush()
    })
  }

  // --- live messages

  /** Offers a message that has just been appended, or that passes through unstored. flush() has to follow. */
  offer (session: Session, message: Message | Entry, offset: Offset, qos: QoS): void {
    const live = session.live!
    // Without an offset nobody durable wanted it when it came: a filter that was raised since does not count for it.
    if (qos === 0 || (offset === ORIGIN && !session.clean)) this.#offerVolatile(session, live, message)
    else if (session.clean) this.#offerClean(session, live, message, qos)
    else if (live.caughtUp && qos === 1 && this.#hasRoom(session, live)) {
      this.#send(session, live, message, qos, offset, false)
      session.sent = offset
    } else {
      live.caughtUp = false // it is found in the index when there is room
      if (this.#hasRoom(session, live)) this.#gather(session, live)
    }
  }

  /** Hands what was gathered to the links. */
  flush (): void {
    while (this.#gathered.length > 0) {
      const gathered = this.#gathered
      this.#gathered = []
      for (const session of gathered) {
        const live = session.live
        if (live === undefined || !live.gathered) continue
        live.gathered = false
        this.#fill(session, live)
        this.#deliver(live)
        if (this.#isBehind(session, live)) this.#gather(session, live) // next round, after everybody else's turn [G8]
      }
    }
  }

  /** As much as the link takes; the rest goes when it has drained [G6]. */
  #deliver (live: Live): void {
    while (live.outbox.length > 0 && live.link.writable) {
      let some = live.outbox
      if (live.outboxBytes <= this.#limits.writeBufferBytesMax) {
        live.outbox = []
        live.outboxBytes = 0
      } else {
        let bytes = 0
        let count = 0
        while (bytes < this.#limits.writeBufferBytesMax) bytes += messageBytes(some[count++].message)
        live.outbox = some.slice(count)
        live.outboxBytes -= bytes
        some = some.slice(0, count)
      }
      this.delivered += some.length
      live.link.deliver(some)
    }
  }

  #offerVolatile (session: Session, live: Live, message: Message): void {
    if (!live.link.writable || live.outboxBytes >= this.#limits.writeBufferBytesMax) {
      this.droppedQos0++ // at most once: a slow reader does without [G8]
      return
    }
    this.#post(session, live, { packetId: NO_PACKET_ID, qos: 0, dup: false, retain: false, message }, message)
  }

  #offerClean (session: Session, live: Live, message: Message, qos: QoS): void {
    if (live.queueHead === live.queue.length && this.#hasRoom(session, live)) {
      this.#send(session, live, message, qos, ORIGIN, false)
      return
    }
    const bytes = messageBytes(message)
    if (live.queue.length - live.queueHead >= this.#limits.cleanQueueMessagesMax ||
      live.queueBytes + bytes > this.#limits.cleanQueueBytesMax) {
      this.lose(session, 1, 'queue-full') // [G5], [G6]
      return
    }
    live.queue.push({ message, qos })
    live.queueBytes += bytes
  }

  // --- what comes after the position

  #hasRoom (session: Session, live: Live): boolean {
    return !live.reading && !live.holding && session.window!.room > 0 && live.link.writable &&
      live.outboxBytes < this.#limits.writeBufferBytesMax
  }

  #isBehind (session: Session, live: Live): boolean {
    return this.#hasRoom(session, live) &&
      (session.clean ? live.queueHead < live.queue.length : !live.caughtUp || session.retainedDue !== undefined)
  }

  #fill (session: Session, live: Live): void {
    while (this.#hasRoom(session, live)) {
      if (session.retainedDue !== undefined) {
        this.#sendRetained(session, live, session.retainedDue)
        return // goes on when it was read
      }
      if (session.clean) {
        if (live.queueHead === live.queue.length) return
        this.#sendQueued(session, live)
        continue
      }
      if (live.caughtUp) return
      const limit = Math.min(session.window!.room, PULL_MAX)
      if (live.foundHead === live.found.length) {
        live.found = this.#index.next(session.subscriptions.values(), session.sent, limit)
        live.foundHead = 0
      }
      if (live.found.length === 0) {
        live.caughtUp = true
        this.#index.moved(session)
        return
      }
      const some = live.found.slice(live.foundHead, live.foundHead + limit)
      live.foundHead += some.length
      this.#sendFound(session, live, some)
    }
  }

  #sendQueued (session: Session, live: Live): void {
    const { message, qos } = live.queue[live.queueHead]
    live.queueBytes -= messageBytes(message)
    if (++live.queueHead >= 256 && live.queueHead * 2 > live.queue.length) {
      live.queue = live.queue.slice(live.queueHead)
      live.queueHead = 0
    }
    this.#send(session, live, message, qos, ORIGIN, false)
  }

  #sendFound (session: Session, live: Live, found: readonly Found[]): void {
    const missing: Offset[] = []
    for (const { entry, offset } of found) if (entry === undefined) missing.push(offset)
    if (missing.length === 0) this.#place(session, live, found, NO_ENTRIES)
    else {
      const version = live.filtersVersion
      this.#read(session, live, missing, (entries) => {
        if (live.filtersVersion === version) this.#place(session, live, found, entries)
        else forgetFound(live)
      })
    }
  }

  /** Reads entries; `then` runs at once where the store answers at once, and never for a connection that is gone. */
  #read (session: Session, live: Live, offsets: readonly Offset[], then: (entries: Map<Offset, Entry>) => void): void {
    const answer = this.#store.read(offsets)
    const byOffset = (entries: readonly Entry[]): Map<Offset, Entry> => new Map(entries.map((one) => [one.offset, one]))
    if (!(answer instanceof Promise)) {
      then(byOffset(answer))
      return
    }
    live.reading = true
    answer.then((entries) => {
      live.reading = false
      if (session.live !== live) return
      then(byOffset(entries))
      this.wake(session)
    }, () => { this.cut(session, live, 'store-unavailable') })
  }

  #place (session: Session, live: Live, found: readonly Found[], read: Map<Offset, Entry>): void {
    const held: Flight[] = []
    const limit = this.#limits.writeBufferBytesMax
    for (const one of found) {
      if (live.outboxBytes >= limit) { // the rest is found again when the link has taken this
        forgetFound(live)
        break
      }
      if (one.offset <= session.sent) continue // a bound has moved the session on while it was read
      const entry = one.entry ?? read.get(one.offset)
      if (entry === undefined) {
        for (const loser of this.#index.forget(one)) this.lose(loser, 1, 'damaged')
        session.sent = one.offset
        continue
      }
      session.sent = one.offset
      const qos = Math.min(one.qos, entry.qos) as QoS
      const isUncertain = session.uncertainThrough >= one.offset
      const flight = this.#send(session, live, entry, qos, one.offset, isUncertain, qos === 2 || held.length > 0)
      if (qos === 2 || held.length > 0) held.push(flight)
    }
    if (held.length > 0) this.#hold(session, live, held)
  }

  /** QoS 2: that the identifier is out is durable before it is out, so it is never sent under another (MQTT 4.3.3). */
  #hold (session: Session, live: Live, held: readonly Flight[]): void {
    live.holding = true
    const version = live.filtersVersion
    this.#log.record([cursorChange(session)], (error) => {
      live.holding = false
      if (session.live !== live) return
      if (error !== undefined) this.cut(session, live, 'store-unavailable')
      else {
        for (const flight of held) this.#post(session, live, flight, flight.message)
        if (live.filtersVersion !== version) this.unsubscribed(session)
        this.wake(session)
      }
    })
  }

  #sendRetained (session: Session, live: Live, due: RetainedQueue): void {
    const { topic, subscription } = due.take()
    const filter = subscription.route.filter
    const isLast = due.peek()?.subscription !== subscription
    if (due.peek() === undefined) session.retainedDue = undefined
    live.reading = true
    this.#events.retained(topic, subscription.from).then((message) => {
      live.reading = false
      const isSubscribed = session.subscriptions.get(filter) === subscription
      if (session.live !== live) {
        if (isSubscribed) (session.retainedDue ??= new RetainedQueue()).putBack({ topic, subscription })
        return
      }
      if (message !== undefined && isSubscribed) {
        const qos = Math.min(message.qos, subscription.qos) as QoS
        if (qos > 0) this.#send(session, live, message, qos, ORIGIN, false, false, true)
        else this.#post(session, live, { packetId: NO_PACKET_ID, qos: 0, dup: false, retain: true, message }, message)
      }
      if (isLast && isSubscribed) this.#events.retainedDone(session, filter)
      this.wake(session)
    }, () => { this.cut(session, live, 'store-unavailable') })
  }

  #send (session: Session, live: Live, message: Message | Entry, qos: QoS, offset: Offset, dup: boolean,
    isHeld = false, retain = false): Flight {
    const flight = session.window!.send(message, qos, offset, retain, dup, this.#clock.now())
    if (offset > 0) this.#events.cursorMoved(session)
    if (!isHeld) this.#post(session, live, flight, message)
    return flight
  }

  #post (session: Session, live: Live, delivery: Delivery, message: Message): void {
    live.outbox.push(delivery)
    live.outboxBytes += messageBytes(message)
    this.#gather(session, live)
  }

  #gather (session: Session, live: Live): void {
    if (live.gathered) return
    live.gathered = true
    this.#gathered.push(session)
  }

  // --- what comes back

  #acknowledge (session: Session, live: Live, packetId: PacketId): void {
    const flight = session.window!.acknowledge(packetId)
    if (flight === undefined) return
    this.acknowledged++
    if (flight.offset > 0) {
      this.#index.moved(session)
      this.#events.cursorMoved(session)
    }
    if (this.#isBehind(session, live)) this.wake(session)
  }

  async #received (session: Session, packetId: PacketId): Promise<void> {
    const flight = session.window!.get(packetId)
    if (flight === undefined || flight.state === FLIGHT_RELEASED) return
    if (!session.clean) {
      flight.state = FLIGHT_RELEASING // a redelivery meanwhile is still PUBLISH, which the client recognises
      try {
        await this.#log.recorded([cursorChange(session)])
      } catch (error) {
        if (flight.state === FLIGHT_RELEASING) flight.state = FLIGHT_SENT
        throw error
      }
    }
    if (flight.state !== FLIGHT_DONE) flight.state = FLIGHT_RELEASED
  }

  // --- what was in flight when the last connection broke

  #redeliver (session: Session, live: Live): void {
    const flights = [...session.window!.flights()]
    const missing = flights.filter((flight) => flight.entry === undefined).map((flight) => flight.offset)
    const resend = (read: Map<Offset, Entry>): void => {
      for (const flight of flights) {
        flight.entry ??= read.get(flight.offset)
        flight.dup = true // [MQTT-3.3.1-1]
        flight.sentAt = this.#clock.now()
        if (flight.entry === undefined) {
          // Gone while it was out: it was acknowledged and trimmed, and only that was not yet written down.
          session.window!.acknowledge(flight.packetId)
          if (this.#damaged.has(flight.offset)) this.lose(session, 1, 'damaged')
        } else if (flight.state === FLIGHT_RELEASED) live.link.release(flight.packetId)
        else this.#post(session, live, flight, flight.message)
      }
      this.wake(session)
    }
    if (missing.length === 0) resend(NO_ENTRIES)
    else this.#read(session, live, missing.sort((a, b) => a - b), resend)
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

const NO_ENTRIES: Map<Offset, Entry> = new Map()

function forgetFound (live: Live): void {
  live.found = []
  live.foundHead = 0
}
