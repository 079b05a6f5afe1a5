/**
 * What is on its way to the links: gathered while a batch is delivered or a read of a socket is answered, and handed
 * over in as few calls as possible. A link gets no more than it takes [G6], and sessions take turns [G8].
 */
import type { Clock } from '../system/clock.ts'
import type { Limits } from '../model/limits.ts'
import type { Meters } from '../system/meters.ts'
import { messageBytes, type Entry, type Message, type Offset, type PacketId, type QoS, type TimeMs
} from '../model/message.ts'
import type { CloseReason, Delivery } from './link.ts'
import type { Live, Session } from './session.ts'
import { NOT_SENT, type Flight } from './window.ts'

const NO_PACKET_ID = 0 as PacketId
/** What a write costs, in messages. */
const WRITE_UNITS = 10
const COMPACT_MIN = 1_024

export interface OutboxOptions {
  readonly limits: Limits
  readonly clock: Clock
  readonly meters: Meters
  /** Messages that are handed over before others have their turn; each write counts for some. */
  readonly turnUnits: number
  /** Puts into the outbox what the session may be sent now. */
  fill (session: Session, live: Live): void
  /** Could more be put there? */
  isBehind (session: Session, live: Live): boolean
  /** One more is in flight. */
  sent (session: Session): void
  /** Asked before anything goes to a link. */
  sending (): void
  /** What of it the client may read, where it may not read all; the rest is passed over. */
  readable (session: Session, live: Live, deliveries: readonly Delivery[]): readonly Delivery[]
  detach (session: Session): void
}

export class Outbox {
  readonly #options: OutboxOptions
  readonly #bytesMax: number
  /** Something was posted to them by a batch of the log of which more may come. */
  #offered: Session[] = []
  #gathered: Session[] = []
  #head = 0
  /** What is left of this turn. */
  #left: number
  #isWaiting = false
  #isScheduled = false
  delivered = 0
  droppedQos0 = 0
  /** Of the last tick: good enough to say since when a message is out, and not asked for each. */
  #now: TimeMs

  constructor (options: OutboxOptions) {
    this.#options = options
    this.#bytesMax = options.limits.writeBufferBytesMax
    this.#left = options.turnUnits
    this.#now = options.clock.now()
  }

  tick (now: TimeMs): void { this.#now = now }

  isFull (live: Live): boolean {
    return live.outboxBytes >= this.#bytesMax || !live.link.writable
  }

  /** Takes a packet identifier and posts; a held flight is posted later by the caller. See post(). */
  send (session: Session, live: Live, message: Message | Entry, qos: QoS, offset: Offset, dup: boolean,
    isHeld = false, retain = false): Flight {
    const flight = session.window!.send(message, qos, offset, retain, dup, NOT_SENT)
    if (offset > 0) this.#options.sent(session)
    if (!isHeld) this.post(live, flight)
    return flight
  }

  /** At most once: a slow reader does without [G8]. */
  sendVolatile (live: Live, message: Message, retain: boolean): void {
    if (this.isFull(live)) this.droppedQos0++
    else this.post(live, { packetId: NO_PACKET_ID, qos: 0, dup: false, retain, message })
  }

  /** The caller is in fill(), or has to call offered() or wake(). */
  post (live: Live, delivery: Delivery): void {
    live.outbox.push(delivery)
    live.outboxBytes += messageBytes(delivery.message)
  }

  /** Takes back what has not left and is not wanted any more. */
  takeBack (session: Session, live: Live, isWanted: (message: Message | Entry) => boolean): void {
    if (live.outbox.length === 0) return
    live.outbox = live.outbox.filter((one) => {
      if (one.dup || isWanted(one.message)) return true // what was sent before is completed [MQTT-3.10.4-3]
      if (session.membership?.has(one) === true) return true // the group counts on it
      if (one.qos > 0) session.window!.acknowledge(one.packetId)
      return false
    })
    live.outboxBytes = live.outbox.reduce((bytes, { message }) => bytes + messageBytes(message), 0)
  }

  /** Takes back one that has not left; false where it has. */
  drop (live: Live, delivery: Delivery): boolean {
    const at = live.outbox.indexOf(delivery)
    if (at === -1) return false
    live.outbox.splice(at, 1)
    live.outboxBytes -= messageBytes(delivery.message)
    return true
  }

  /** Something was posted, or could be: handed over when all of the batch was offered, by flush() or flushSoon(). */
  offered (session: Session, live: Live): void {
    if (live.gathered) return
    live.gathered = true
    this.#offered.push(session)
  }

  /** Something has changed for the session (room, a new filter, bytes taken): looks whether more can be sent. */
  wake (session: Session): void {
    const live = session.live
    if (live === undefined) return
    this.#gather(session, live)
    this.#handOverSoon()
  }

  /** As flush(): what one read of a socket brings is answered with one write. */
  flushSoon (): void {
    this.#takeOffered()
    this.#handOverSoon()
  }

  /** Hands over what was offered. */
  flush (): void {
    this.#takeOffered()
    this.#handOver()
  }

  #takeOffered (): void {
    if (this.#gathered.length === 0) this.#gathered = this.#offered
    else for (const session of this.#offered) this.#gathered.push(session)
    this.#offered = []
  }

  #gather (session: Session, live: Live): void {
    if (live.gathered) return
    live.gathered = true
    this.#gathered.push(session)
  }

  #handOverSoon (): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    queueMicrotask(() => {
      this.#isScheduled = false
      this.#handOver()
    })
  }

  /** Hands what was gathered to the links: so much of it at once, and the rest when others have had their turn [G8]. */
  #handOver (): void {
    while (this.#head < this.#gathered.length) {
      if (this.#left <= 0) return this.#wait()
      this.flushOne(this.#gathered[this.#head++])
    }
    this.#gathered = []
    this.#head = 0
  }

  /** Hands over what was gathered for a session, before its turn comes. */
  flushOne (session: Session): void {
    const { live } = session
    if (live === undefined || !live.gathered) return
    live.gathered = false
    const before = this.delivered
    this.#options.fill(session, live)
    this.#deliver(session, live)
    this.#left -= this.delivered - before + WRITE_UNITS
    if (this.#options.isBehind(session, live)) this.#gather(session, live) // after everybody else's turn [G8]
  }

  #wait (): void {
    if (this.#isWaiting) return
    this.#isWaiting = true
    if (this.#head > COMPACT_MIN && this.#head * 2 > this.#gathered.length) {
      this.#gathered = this.#gathered.slice(this.#head)
      this.#head = 0
    }
    this.#options.clock.after(0, () => {
      this.#isWaiting = false
      this.#left = this.#options.turnUnits
      this.#handOver()
    })
  }

  /** As much as the link takes; the rest goes when it has drained. */
  #deliver (session: Session, live: Live): void {
    while (live.outbox.length > 0 && live.link.writable) {
      let some: readonly Delivery[] = live.outbox
      const bytesMax = Math.min(live.link.roomBytes ?? this.#bytesMax, this.#bytesMax)
      const countMax = live.link.roomMessages ?? Infinity
      if (live.outboxBytes <= bytesMax && some.length <= countMax) {
        live.outbox = []
        live.outboxBytes = 0
      } else {
        let count = 1
        let bytes = messageBytes(some[0].message)
        for (; count < some.length && count < countMax; count++) {
          const more = messageBytes(some[count].message)
          if (bytes + more > bytesMax) break
          bytes += more
        }
        live.outbox = live.outbox.slice(count)
        live.outboxBytes -= bytes
        some = some.slice(0, count)
      }
      if (live.readable !== undefined) {
        this.#left -= some.length
        some = this.#options.readable(session, live, some)
        if (some.length === 0) continue
      }
      const counts = this.#options.meters.delivered[live.link.carrier ?? 'program']
      for (const one of some) {
        counts[one.qos]++
        if (one.dup) this.#options.meters.redelivered++
        if (one.qos > 0) (one as Flight).sentAt = this.#now
      }
      this.delivered += some.length
      this.#options.sending()
      live.link.deliver(some)
    }
  }

  /** Closes a connection from this side; the link hears nothing more. */
  cut (session: Session, live: Live, reason: CloseReason): void {
    if (session.live !== live) return
    live.link.close(reason)
    this.#options.detach(session)
  }
}
