/**
 * Sends what sessions are owed since they subscribed: at the pace of who reads, nothing left out at any QoS, and in
 * slices, so that nobody waits for somebody who subscribes to a million retained messages [G8].
 */
import type { Clock } from '../system/clock.ts'
import type { Budget } from '../log/topic-tree.ts'
import { messageBytes, ORIGIN, type Message, type Offset, type PacketId, type QoS } from '../model/message.ts'
import type { Outbox } from './outbox.ts'
import type { Due, Walk } from './retained-due.ts'
import type { Live, Session } from './session.ts'
import type { Flight } from './window.ts'

export interface RetainedSource {
  /** Looks for the topics that a filter matches. */
  walk (filter: string): Walk
  /** The message of a topic; undefined where it was replaced or cleared after that place of the log. */
  get (topic: string, notAfter: Offset): Message | undefined | Promise<Message | undefined>
  /** A subscription has got all of them. */
  done (session: Session, filter: string): void
}

export interface RetainedSenderOptions {
  readonly source: RetainedSource
  readonly clock: Clock
  readonly outbox: Outbox
  hasRoom (session: Session, live: Live): boolean
  /** QoS 2: posts it when it is durable that its identifier is out. */
  hold (session: Session, live: Live, held: readonly Flight[]): void
}

/** What is done for one session, and for all of them, in a turn. A node that is looked at is a unit. */
const SLICE_UNITS = 512
const TURN_UNITS = 2_048
/** A message that is read and sent costs about so many, and one more for each KB. */
const MESSAGE_UNITS = 8

const NO_PACKET_ID = 0 as PacketId

export class RetainedSender {
  readonly #options: RetainedSenderOptions
  /** What is left of this turn; undefined where nothing was done in it. */
  #turn: Budget | undefined
  /** Those whose next slice has to wait for another turn. */
  readonly #waiting = new Map<Session, Live>()

  constructor (options: RetainedSenderOptions) {
    this.#options = options
  }

  /** The session is owed some and has room. Until it has all of them, or no room, `live.reading` is set. */
  fill (session: Session, live: Live): void {
    const turn = this.#turn ??= this.#begin()
    if (session.retainedDue!.isNew) this.#putOff(session, live)
    else this.#send(session, live, turn)
  }

  /** Once none is out (only they have no offset), those that were sent need not be sent again. */
  acknowledged (session: Session): void {
    if (session.retainedSent === undefined || session.window!.size > session.window!.ofLog) return
    for (const filter of session.retainedSent) this.#options.source.done(session, filter)
    session.retainedSent = undefined
  }

  #begin (): Budget {
    this.#options.clock.after(0, () => { this.#next() })
    return { left: TURN_UNITS }
  }

  #putOff (session: Session, live: Live): void {
    live.reading = true
    this.#waiting.set(session, live)
  }

  /** The next turn: those who wait go first, each with its slice. */
  #next (): void {
    const turn = this.#turn = this.#waiting.size > 0 ? this.#begin() : undefined
    for (const [session, live] of this.#waiting) {
      if (turn!.left <= 0) break
      this.#waiting.delete(session)
      live.reading = false
      if (session.live !== live) continue
      if (session.retainedDue !== undefined) session.retainedDue.isNew = false
      this.#send(session, live, turn!)
      this.#options.outbox.wake(session)
    }
  }

  #send (session: Session, live: Live, turn: Budget): void {
    const slice = { left: Math.min(SLICE_UNITS, turn.left) }
    const before = slice.left
    while (session.live === live && session.retainedDue !== undefined && this.#options.hasRoom(session, live)) {
      if (session.retainedDue.size === 0) session.retainedDue = undefined // unsubscribed
      else if (slice.left <= 0) this.#putOff(session, live)
      else {
        const due = session.retainedDue.peek((filter) => this.#options.source.walk(filter), slice)
        if (due !== undefined) this.#take(session, live, due, slice)
      }
    }
    turn.left -= before - slice.left
  }

  #take (session: Session, live: Live, due: Due, slice: Budget): void {
    if (due.topic === undefined) {
      this.#over(session, due)
      return
    }
    const answer = this.#read(due.topic, due.notAfter)
    if (!(answer instanceof Promise)) {
      this.#sendOne(session, live, due, answer, slice)
      return
    }
    live.reading = true
    answer.then((message) => {
      live.reading = false
      if (session.live !== live) return // it is still due
      this.#sendOne(session, live, due, message, slice)
      this.#options.outbox.wake(session)
    }, () => { this.#options.outbox.cut(session, live, 'store-unavailable') })
  }

  #read (topic: string, notAfter: Offset): ReturnType<RetainedSource['get']> {
    try {
      return this.#options.source.get(topic, notAfter)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  #sendOne (session: Session, live: Live, due: Due, message: Message | undefined, slice: Budget): void {
    const subscription = session.subscriptions.get(due.filter)
    if (session.retainedDue?.has(due.filter) !== true) return // unsubscribed while it was read
    session.retainedDue.taken(due)
    slice.left -= MESSAGE_UNITS
    if (message === undefined || subscription === undefined) return
    slice.left -= messageBytes(message) >>> 10
    const { outbox } = this.#options
    const qos = Math.min(message.qos, subscription.qos) as QoS
    if (qos === 0) outbox.post(live, { packetId: NO_PACKET_ID, qos, dup: false, retain: true, message })
    else {
      const isHeld = qos === 2 && !session.clean
      const flight = outbox.send(session, live, message, qos, ORIGIN, false, isHeld, true)
      if (isHeld) this.#options.hold(session, live, [flight])
    }
  }

  #over (session: Session, due: Due): void {
    session.retainedDue!.taken(due)
    if (session.retainedDue!.size === 0) session.retainedDue = undefined
    if (session.clean || !session.subscriptions.has(due.filter)) return
    (session.retainedSent ??= new Set()).add(due.filter)
    this.acknowledged(session)
  }
}
