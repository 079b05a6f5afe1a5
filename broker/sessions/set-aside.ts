/**
 * Messages that were set aside: their delivery broke the connection again and again, so the session goes on without
 * them, and they are kept where an operator finds them. They belong to the session and end with it.
 */
import { createHash } from 'node:crypto'
import type { EventEmitter } from 'node:events'
import type { Clock } from '../system/clock.ts'
import type { BrokerEvents } from '../system/events.ts'
import type { Limits } from '../model/limits.ts'
import type { Log, RecordChange } from '../log/log.ts'
import type { SetAsideMessage, Offset } from '../model/message.ts'
import type { Follower } from '../session/follower.ts'
import type { Delivery } from '../session/link.ts'
import { setAsideChange, readSetAside } from '../session/records.ts'
import type { Session } from '../session/session.ts'
import { Flight, FLIGHT_SENT } from '../session/window.ts'
import { sessionKey } from '../store/keys.ts'
import type { Store } from '../store/store.ts'

export interface SetAsideOptions {
  readonly store: Store
  readonly log: Log
  readonly limits: Limits
  readonly clock: Clock
  readonly events: EventEmitter<BrokerEvents>
  readonly follower: Follower
}

const OFFSET_DIGITS = 16

export class SetAside {
  readonly #options: SetAsideOptions
  /** Flights whose record is being written. */
  readonly #writing = new Map<Flight, Promise<boolean>>()
  /** Messages that went because a session had setAsideMessagesMax of them. */
  dropped = 0

  constructor (options: SetAsideOptions) {
    this.#options = options
  }

  /** As Broker.setAside(). */
  async set (session: Session, delivery: Delivery, attempts: number): Promise<boolean> {
    // The identifier alone might stand for another message by now.
    if (!(delivery instanceof Flight) || session.window?.get(delivery.packetId) !== delivery) return false
    if (session.clean || session.ended || session.leaving) return false
    if (delivery.qos === 0 || delivery.state !== FLIGHT_SENT) return false
    const known = this.#writing.get(delivery)
    if (known !== undefined) return await known
    const written = this.#set(session, delivery, attempts)
    this.#writing.set(delivery, written)
    try {
      return await written
    } finally {
      this.#writing.delete(delivery)
    }
  }

  /** It is kept first and dismissed then: a crash between the two only means that it is tried once more. */
  async #set (session: Session, flight: Flight, attempts: number): Promise<boolean> {
    const { log, limits, clock, events, follower } = this.#options
    const { message } = flight
    const isOfGroup = session.membership?.has(flight) === true
    const offset = isOfGroup && 'offset' in message ? message.offset : flight.offset
    const id = idOf(flight, offset)
    const ids = session.setAside ??= new Set()
    const others = [...ids].filter((one) => one !== id)
    const tooMany = others.slice(0, Math.max(0, ids.size + 1 - limits.setAsideMessagesMax))
    const isKnown = ids.has(id)
    ids.add(id) // from here on the end of the session takes it along
    try {
      await log.recorded([
        setAsideChange(session, id, { offset, attempts, setAsideAt: clock.now(), message }),
        ...tooMany.map((old) => removal(session, old))
      ])
    } catch (error) {
      if (!isKnown) ids.delete(id)
      throw error
    }
    for (const old of tooMany) ids.delete(old)
    this.dropped += tooMany.length
    if (session.ended) return false
    await follower.dismiss(session, flight)
    events.emit('set-aside',
      { clientId: session.clientId, topic: message.topic, id, attempts, dropped: tooMany.length })
    return true
  }

  /** What a session has, the oldest first; read one at a time. */
  async * list (session: Session): AsyncIterableIterator<SetAsideMessage> {
    for (const id of [...session.setAside ?? []]) {
      const record = await this.#options.store.get('setAside', sessionKey(session.clientId, id))
      if (record !== undefined) yield readSetAside(record).message
    }
  }

  /** Removes one, or all; durable when it resolves to how many there were. */
  async drop (session: Session, id?: string): Promise<number> {
    const ids = [...session.setAside ?? []].filter((one) => id === undefined || one === id)
    if (ids.length === 0) return 0
    await this.#options.log.recorded(ids.map((one) => removal(session, one)))
    for (const one of ids) session.setAside?.delete(one)
    return ids.length
  }
}

/** The same for the same message, so that it is never kept twice. In the order of the log. */
function idOf ({ message }: Flight, offset: Offset): string {
  return offset > 0
    ? String(offset).padStart(OFFSET_DIGITS, '0')
    : 'retained-' + createHash('sha256').update(message.topic).digest('base64url')
}

function removal (session: Session, id: string): RecordChange {
  return { table: 'setAside', key: sessionKey(session.clientId, id), value: null }
}
