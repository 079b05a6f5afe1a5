/**
 * How a session that is behind catches up: it pulls from the index what comes after its position, whenever its window
 * has room, and has caught up when nothing is left.
 */
import type { Clock } from '../system/clock.ts'
import type { LogIndex } from '../log/log-index.ts'
import type { Log } from '../log/log.ts'
import type { Found } from '../log/topic-log.ts'
import { isExpired, messageBytes, ORIGIN, type Entry, type Offset, type QoS } from '../model/message.ts'
import type { Store } from '../store/store.ts'
import type { GapReason } from './link.ts'
import type { Outbox } from './outbox.ts'
import { cursorChange } from './records.ts'
import { RetainedSender, type RetainedSource } from './retained-sender.ts'
import type { Live, Session } from './session.ts'
import type { Flight } from './window.ts'

export interface PullerOptions {
  readonly index: LogIndex<Session>
  readonly log: Log
  readonly store: Store
  readonly outbox: Outbox
  readonly clock: Clock
  readonly retained: RetainedSource
  lose (session: Session, count: number, reason: GapReason): void
  /** A filter went while flights were held. */
  unsubscribed (session: Session): void
}

const PULL_MAX = 256

export class Puller {
  readonly #options: PullerOptions
  readonly #outbox: Outbox
  readonly #index: LogIndex<Session>
  readonly #retained: RetainedSender
  /** Messages that waited for a clean session until they expired. */
  expired = 0

  constructor (options: PullerOptions) {
    this.#options = options
    this.#outbox = options.outbox
    this.#index = options.index
    this.#retained = new RetainedSender({
      source: options.retained,
      clock: options.clock,
      outbox: options.outbox,
      hasRoom: (session, live) => this.hasRoom(session, live),
      hold: (session, live, held) => { this.hold(session, live, held) }
    })
  }

  hasRoom (session: Session, live: Live): boolean {
    return !live.reading && !live.holding && session.window!.room > 0 && !this.#outbox.isFull(live)
  }

  isBehind (session: Session, live: Live): boolean {
    return this.hasRoom(session, live) && (session.retainedDue !== undefined ||
      (session.clean ? live.queueHead < live.queue.length : !live.caughtUp))
  }

  fill (session: Session, live: Live): void {
    while (this.hasRoom(session, live)) {
      if (session.retainedDue !== undefined) {
        this.#retained.fill(session, live)
      } else if (session.clean) {
        if (live.queueHead === live.queue.length) return
        this.#sendQueued(session, live)
      } else {
        if (live.caughtUp) return
        this.#sendNext(session, live)
      }
    }
  }

  /** One that was sent was acknowledged. */
  retainedAcknowledged (session: Session): void { this.#retained.acknowledged(session) }

  #sendQueued (session: Session, live: Live): void {
    const { message, qos } = live.queue[live.queueHead]
    live.queueBytes -= messageBytes(message)
    if (++live.queueHead >= PULL_MAX && live.queueHead * 2 > live.queue.length) {
      live.queue = live.queue.slice(live.queueHead)
      live.queueHead = 0
    }
    if (isExpired(message, this.#options.clock.now())) this.expired++ // [G9]
    else this.#outbox.send(session, live, message, qos, ORIGIN, false)
  }

  #sendNext (session: Session, live: Live): void {
    const limit = Math.min(session.window!.room, PULL_MAX)
    if (live.foundHead === live.found.length) {
      live.found = this.#index.next(session.subscriptions.values(), session.sent, limit)
      live.foundHead = 0
      if (live.found.length === 0) {
        live.caughtUp = true
        session.tally = undefined
        this.#index.moved(session)
        return
      }
    }
    const some = live.found.slice(live.foundHead, live.foundHead + limit)
    live.foundHead += some.length
    const missing: Offset[] = []
    for (const { entry, offset } of some) if (entry === undefined) missing.push(offset)
    if (missing.length === 0) this.#place(session, live, some, NO_ENTRIES)
    else {
      const version = live.filtersVersion
      this.read(session, live, missing, (entries) => {
        if (live.filtersVersion === version) this.#place(session, live, some, entries)
        else live.forgetFound()
      })
    }
  }

  /** Reads entries; `then` runs at once where the store answers at once, and never for a connection that is gone. */
  read (session: Session, live: Live, offsets: readonly Offset[], then: (entries: Map<Offset, Entry>) => void): void {
    const answer = this.#options.store.read(offsets)
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
      this.#outbox.wake(session)
    }, () => { this.#outbox.cut(session, live, 'store-unavailable') })
  }

  /** Moves the position over what was found, and what the filters want of it into the window. */
  #place (session: Session, live: Live, found: readonly Found[], read: Map<Offset, Entry>): void {
    const held: Flight[] = []
    for (const one of found) {
      if (this.#outbox.isFull(live)) { // the rest is found again when the link has taken this
        live.forgetFound()
        break
      }
      if (one.offset <= session.sent) continue // a bound has moved the session on while it was read
      session.sent = one.offset
      session.tally?.pass(one)
      const entry = one.entry ?? read.get(one.offset)
      if (entry === undefined) {
        session.sent = (one.offset - 1) as Offset // so that it counts among those who lose it
        for (const loser of this.#index.forget(one)) {
          loser.tally = undefined
          this.#options.lose(loser, 1, 'damaged')
        }
        session.sent = one.offset
        continue
      }
      if (isExpired(entry, this.#options.clock.now())) continue // [G9]; the sweeper takes it out of the log
      const qos = Math.min(one.qos, entry.qos) as QoS
      const isHeld = qos === 2 || held.length > 0
      const isUncertain = session.uncertainThrough >= one.offset
      const flight = this.#outbox.send(session, live, entry, qos, one.offset, isUncertain, isHeld)
      if (isHeld) held.push(flight)
    }
    if (held.length > 0) this.hold(session, live, held)
  }

  /**
   * QoS 2: that the identifier is out is durable before it is out, so it is never sent under another (MQTT 4.3.3).
   * If it can't be written, the flights stay held for the next connection.
   */
  hold (session: Session, live: Live, held: readonly Flight[]): void {
    session.held = held
    session.isHoldWritten = true
    live.holding = true
    const version = live.filtersVersion
    this.#options.log.record([cursorChange(session)], (error) => {
      session.isHoldWritten = false
      const current = session.live // perhaps another connection by now, which waits for the same
      if (error !== undefined) {
        if (current !== undefined) this.#outbox.cut(session, current, 'store-unavailable')
        return
      }
      session.held = undefined
      if (current === undefined) return
      current.holding = false
      for (const flight of held) this.#outbox.post(current, flight)
      if (current !== live || current.filtersVersion !== version) this.#options.unsubscribed(session)
      this.#outbox.wake(session)
    })
  }
}

export const NO_ENTRIES: Map<Offset, Entry> = new Map()
