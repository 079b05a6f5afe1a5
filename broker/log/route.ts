/**
 * One filter with everybody who subscribed to it. Sessions meet topics here: a message costs the filters that match
 * and the sessions that are attached, however many detached ones there are [G8].
 */
import { ORIGIN, type Offset, type QoS } from '../model/message.ts'
import { hasWildcard } from '../model/topics.ts'
import type { Postings } from './postings.ts'

/** What the index needs to know of a session. */
export interface Subscriber {
  /** True where nothing is written down: the session ends with its connection. */
  readonly clean: boolean
  /** The entries up to this one are not needed by the session any more. */
  readonly position: Offset
  /** Filters that could not be trimmed further because of this session; they are looked at again when it has moved. */
  holds: Route[] | undefined
}

/** `from` of a subscription that is not durable yet: no message counts for it. */
export const PENDING = Number.MAX_SAFE_INTEGER as Offset

export interface Subscription<S extends Subscriber = Subscriber> {
  readonly session: S
  readonly route: Route<S>
  qos: QoS
  /** What was asked for and is being written: messages are stored for it already, but not yet delivered at it. */
  asked: QoS
  /** Messages after this offset count. */
  from: Offset
  /** Places in route.all and route.attached, -1 where it does not stand there; kept for removal without a search. */
  place: number
  attachedPlace: number
  /** Writes of it that are under way. */
  writes: number
}

export class Route<S extends Subscriber = Subscriber> {
  readonly filter: string
  /** Without a wildcard it matches one topic, whose entries are its own. */
  readonly isExact: boolean
  all: Array<Subscription<S>> = NONE
  attached: Array<Subscription<S>> = NONE
  /** How many of all are of sessions that are kept, at QoS 1 or 2: while there is one, messages are stored. */
  durable = 0
  /** Where the log holds entries that match, for a filter with a wildcard; since messages are stored for it. */
  postings: Postings | undefined
  /** No subscription needs the entries up to this one any more. */
  floor: Offset = ORIGIN
  /** Who needs the next one; knows of it by `holds`. */
  holder: S | undefined
  /** Waits for the trimmer. */
  dirty = false

  #alone: ReadonlyArray<Route<S>> | undefined

  constructor (filter: string) {
    this.filter = filter
    this.isExact = !hasWildcard(filter)
  }

  /** A list of this one, shared by all topics that take no other. */
  get alone (): ReadonlyArray<Route<S>> { return (this.#alone ??= [this]) }

  add (subscription: Subscription<S>): void {
    if (this.all.length === 0) this.all = [subscription] // most filters have one subscriber: no spare capacity
    else this.all.push(subscription)
    subscription.place = this.all.length - 1
    if (isDurable(subscription)) this.durable++
  }

  remove (subscription: Subscription<S>): void {
    this.detach(subscription)
    if (subscription.place === -1) return
    const last = this.all.pop()!
    if (last !== subscription) {
      this.all[subscription.place] = last
      last.place = subscription.place
    }
    subscription.place = -1
    if (isDurable(subscription)) this.durable--
  }

  attach (subscription: Subscription<S>): void {
    if (subscription.attachedPlace !== -1) return
    if (this.attached.length === 0) this.attached = [subscription]
    else this.attached.push(subscription)
    subscription.attachedPlace = this.attached.length - 1
  }

  detach (subscription: Subscription<S>): void {
    if (subscription.attachedPlace === -1) return
    const last = this.attached.pop()!
    if (last !== subscription) {
      this.attached[subscription.attachedPlace] = last
      last.attachedPlace = subscription.attachedPlace
    }
    subscription.attachedPlace = -1
    if (this.attached.length === 0) this.attached = NONE // gives its capacity back
  }

  setQos (subscription: Subscription<S>, qos: QoS, asked = qos): void {
    if (isDurable(subscription)) this.durable--
    subscription.qos = qos
    subscription.asked = asked
    if (isDurable(subscription)) this.durable++
  }
}

export function isDurable (subscription: Subscription): boolean {
  return (subscription.qos > 0 || subscription.asked > 0) && !subscription.session.clean
}

const NONE: never[] = []

/** Not yet in its route: see Route.add(). */
export function makeSubscription<S extends Subscriber> (session: S, route: Route<S>, qos: QoS,
  from: Offset): Subscription<S> {
  return { session, route, qos, asked: qos, from, place: -1, attachedPlace: -1, writes: 0 }
}
