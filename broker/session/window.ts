/**
 * The in-flight window of a session: which packet identifiers are out, for what, and how far all is acknowledged.
 * Pure: no socket, disk or clock. (MQTT 3.1.1, 2.3.1, 4.3 and 4.4)
 */
import type { Entry, Message, Offset, PacketId, QoS, TimeMs } from '../model/message.ts'
import type { Answer, Delivery } from './link.ts'

export const FLIGHT_SENT = 0
/** PUBREC has come; PUBREL is out (QoS 2). */
export const FLIGHT_RELEASED = 1
export const FLIGHT_DONE = 2
/** PUBREC has come, but that is not durable yet: PUBREL must wait (QoS 2). */
export const FLIGHT_RELEASING = 3
export type FlightState =
  typeof FLIGHT_SENT | typeof FLIGHT_RELEASED | typeof FLIGHT_DONE | typeof FLIGHT_RELEASING

/** The client is not to blame for what waits for its link [G2]. */
export const NOT_SENT = Infinity as TimeMs

const PACKET_ID_MAX = 65_535
const PLACES_MIN = 8
/** Acknowledged flights that may stand between those that are out, before they are cleared away. */
const ORDER_SLACK = 1_024

/** What is held against a message that is out: see unanswered.ts. */
export class Doubt {
  /** Connections that were cut for want of its acknowledgement. */
  timeouts = 0
  /** Those of them that count against it. */
  tries = 0
  /** The client acknowledged something that was sent behind it. */
  isPassed = false
  /** It takes no place in the window. */
  isWaived = false
}

export class Flight implements Delivery {
  readonly packetId: PacketId
  readonly qos: QoS
  readonly retain: boolean
  /** 0 for a retained message that was sent on SUBSCRIBE: it has no place in the cursor. */
  readonly offset: Offset
  dup: boolean
  state: FlightState = FLIGHT_SENT
  /** When the link was handed it, or NOT_SENT. */
  sentAt: TimeMs
  /** undefined for a flight restored after a restart, until it was read from the log. */
  entry: Message | Entry | undefined
  /** What was sent later has a higher one. */
  order = 0
  doubt: Doubt | undefined

  constructor (packetId: PacketId, qos: QoS, retain: boolean, offset: Offset, dup: boolean, sentAt: TimeMs,
    entry: Message | Entry | undefined) {
    this.packetId = packetId
    this.qos = qos
    this.retain = retain
    this.offset = offset
    this.dup = dup
    this.sentAt = sentAt
    this.entry = entry
  }

  get message (): Message | Entry { return this.entry! }
}

/**
 * What is out, by its identifier: in a place that the last bits of the identifier name. Only those are given out whose
 * place is free, so finding one is a look at one place. A hash table cost a third of a fan-out's time.
 */
class Places {
  /** As many as a power of two. */
  #places: Array<Flight | undefined> = new Array(PLACES_MIN).fill(undefined)
  size = 0

  get (packetId: number): Flight | undefined {
    const flight = this.#places[packetId & this.#places.length - 1]
    return flight?.packetId === packetId ? flight : undefined
  }

  isFree (packetId: number): boolean { return this.#places[packetId & this.#places.length - 1] === undefined }

  /** Before an identifier is looked for: there is a place for one more. */
  makeRoom (): void { if (this.size === this.#places.length) this.#grow() }

  put (flight: Flight): void {
    const { packetId } = flight
    if (this.get(packetId) === undefined) {
      while (!this.isFree(packetId)) this.#grow() // as identifiers were given out by a larger table, before a restart
      this.size++
    }
    this.#places[packetId & this.#places.length - 1] = flight
  }

  delete (packetId: number): void {
    this.#places[packetId & this.#places.length - 1] = undefined
    this.size--
  }

  #grow (): void {
    const known = this.#places
    this.#places = new Array(known.length * 2).fill(undefined)
    for (const one of known) if (one !== undefined) this.#places[one.packetId & this.#places.length - 1] = one
  }
}

export class Window {
  #sizeMax = 0
  readonly #byId = new Places()
  /** In the order of sending; done ones leave from the front. */
  #order: Flight[] = []
  #head = 0
  #nextId = 1
  #ofLog = 0
  #waived = 0
  #sent = 0

  /** @param sizeMax at most 65,535 */
  constructor (sizeMax: number) {
    this.resize(sizeMax)
  }

  /** What is out stays out, also where it is more than the new size: then nothing is sent until there is room. */
  resize (sizeMax: number): void { this.#sizeMax = Math.min(sizeMax, PACKET_ID_MAX) }

  get size (): number { return this.#byId.size }
  /** Not more than 0 where nothing may be sent. */
  get room (): number {
    if (this.#waived === 0) return this.#sizeMax - this.#byId.size
    const waived = Math.min(this.#waived, this.#sizeMax, PACKET_ID_MAX - this.#sizeMax)
    return this.#sizeMax + waived - this.#byId.size
  }

  /** Unacknowledged flights that stand for entries of the log. */
  get ofLog (): number { return this.#ofLog }

  /** The oldest that is not acknowledged. */
  get oldest (): Flight | undefined { return this.#order[this.#head] }

  /** Since when the oldest that its link was handed waits for an answer. */
  get openSince (): TimeMs | undefined {
    for (const { state, sentAt } of this.flights()) if (state === FLIGHT_SENT && sentAt !== NOT_SENT) return sentAt
  }

  has (packetId: number): boolean { return this.#byId.get(packetId) !== undefined }
  get (packetId: number): Flight | undefined { return this.#byId.get(packetId) }

  /** Which answer to the message under an identifier comes next; undefined if it is not out. */
  awaits (packetId: number): Answer | undefined {
    const flight = this.#byId.get(packetId)
    if (flight === undefined) return undefined
    if (flight.qos < 2) return 'puback'
    return flight.state === FLIGHT_SENT ? 'pubrec' : 'pubcomp'
  }

  /** Takes an identifier that is not in use [MQTT-2.3.1-2]; the caller has looked at `room`. */
  send (message: Message | Entry, qos: QoS, offset: Offset, retain: boolean, dup: boolean, now: TimeMs): Flight {
    this.#byId.makeRoom()
    while (!this.#byId.isFree(this.#nextId)) this.#nextId = this.#nextId % PACKET_ID_MAX + 1
    const flight = new Flight(this.#nextId as PacketId, qos, retain, offset, dup, now, message)
    this.#nextId = this.#nextId % PACKET_ID_MAX + 1
    this.#put(flight)
    return flight
  }

  /** Puts back a flight that was written down before a restart, in the order of offsets. */
  restore (packetId: PacketId, qos: QoS, offset: Offset, state: FlightState, now: TimeMs): void {
    const flight = new Flight(packetId, qos, false, offset, true, now, undefined)
    flight.state = state
    this.#put(flight)
    this.#nextId = packetId % PACKET_ID_MAX + 1
  }

  /** PUBACK, PUBCOMP, or another proof of receipt. Returns the flight, undefined if the identifier is not out. */
  acknowledge (packetId: number): Flight | undefined {
    const flight = this.#byId.get(packetId)
    if (flight === undefined) return undefined
    this.#byId.delete(packetId)
    if (flight.offset > 0) this.#ofLog--
    if (flight.doubt?.isWaived === true) this.#waived--
    flight.state = FLIGHT_DONE
    while (this.#head < this.#order.length && this.#order[this.#head].state === FLIGHT_DONE) this.#head++
    if (this.#head === this.#order.length) {
      this.#order.length = 0
      this.#head = 0
    } else if (this.#order.length > ORDER_SLACK + 2 * this.#byId.size) {
      this.#order = this.#order.filter((one) => one.state !== FLIGHT_DONE)
      this.#head = 0
    }
    return flight
  }

  /** From now on others may be sent past it: at most a window of them [G6]. */
  waive (flight: Flight): void {
    const doubt = flight.doubt ??= new Doubt()
    if (doubt.isWaived || this.#byId.get(flight.packetId) !== flight) return
    doubt.isWaived = true
    this.#waived++
  }

  /** The lowest offset of the log that is out and not acknowledged. */
  lowest (): Offset | undefined {
    if (this.#ofLog === 0) return undefined
    for (let i = this.#head; i < this.#order.length; i++) {
      const flight = this.#order[i]
      if (flight.state !== FLIGHT_DONE && flight.offset > 0) return flight.offset
    }
    return undefined
  }

  get sizeMax (): number { return this.#sizeMax }

  /** Those of flights() that have a place in the cursor, at once. */
  ofCursor (): Flight[] {
    const flights: Flight[] = []
    for (let i = this.#head; i < this.#order.length; i++) {
      const flight = this.#order[i]
      // A retained message is due again after a crash; but at QoS 2 its identifier is taken until PUBCOMP (MQTT 4.3.3).
      if (flight.state !== FLIGHT_DONE && (flight.offset > 0 || flight.qos === 2)) flights.push(flight)
    }
    return flights
  }

  /** All that are out, in the order of sending [MQTT-4.6.0-1]. */
  * flights (): IterableIterator<Flight> {
    for (let i = this.#head; i < this.#order.length; i++) {
      if (this.#order[i].state !== FLIGHT_DONE) yield this.#order[i]
    }
  }

  #put (flight: Flight): void {
    flight.order = ++this.#sent
    this.#byId.put(flight)
    this.#order.push(flight)
    if (flight.offset > 0) this.#ofLog++
  }
}
