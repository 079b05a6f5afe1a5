/**
 * What nobody needs any more. For each filter it is known how far all its subscriptions have come (`floor`) and who
 * keeps it there (`holder`). When that one moves, the log is read on from there, and what all filters of a topic have
 * left behind goes. So a session that moves costs what it moved past, a slice at a time [G8].
 */
import type { Offset } from '../model/message.ts'
import { BLOCK_OFFSETS, type LogOrder } from './log-order.ts'
import { Route, type Subscriber, type Subscription } from './route.ts'
import type { TopicLog } from './topic-log.ts'

type Topic<S extends Subscriber> = TopicLog<Route<S>>

export interface TrimmerOptions<S extends Subscriber> {
  readonly order: LogOrder<Topic<S>>
  topic (name: string): Topic<S> | undefined
  routesOf (topic: Topic<S>): ReadonlyArray<Route<S>>
  /** Drops the entries of a topic up to an offset, at most `limit`, and appends their offsets. */
  drop (topic: Topic<S>, through: Offset, limit: number, gone: number[]): void
}

/** One call of trim(). */
interface Slice {
  visits: number
  readonly tail: Offset
  readonly entriesMax: number
  readonly gone: number[]
}

const COMPACT_MIN = 1_024

export class Trimmer<S extends Subscriber> {
  readonly #options: TrimmerOptions<S>
  /** Filters to be looked at, in turns. */
  #routes: Array<Route<S>> = []
  #head = 0
  /** Topics with entries that were stored for no filter that is there. */
  #unwanted: Array<Topic<S>> = []

  constructor (options: TrimmerOptions<S>) {
    this.#options = options
  }

  get isDue (): boolean { return this.#head < this.#routes.length || this.#unwanted.length > 0 }

  // --- what there is to look at

  /** An entry came that the filter wants: it is looked at, unless somebody is known to need what was before it. */
  added (route: Route<S>): void { if (route.holder === undefined) this.#touch(route) }

  unwanted (topic: Topic<S>): void {
    if (topic.dirty) return
    topic.dirty = true
    this.#unwanted.push(topic)
  }

  moved (session: S): void {
    const { holds } = session
    if (holds === undefined) return
    session.holds = undefined
    for (const route of holds as Array<Route<S>>) {
      route.holder = undefined
      this.#touch(route)
    }
  }

  /** A subscription asks for less than before, or is gone. */
  released ({ session, route }: Subscription<S>): void {
    if (route.holder === session) {
      const holds = session.holds as Array<Route<S>>
      holds.splice(holds.indexOf(route), 1)
      route.holder = undefined
    }
    if (route.durable > 0) return this.#touch(route)
    // Nothing is stored for it from now on. What was is looked at whatever becomes of the filter.
    const past = new Route<S>(route.filter)
    past.postings = route.postings
    route.postings = undefined
    if (route.isExact || past.postings !== undefined) this.#touch(past)
  }

  #touch (route: Route<S>): void {
    if (route.dirty) return
    route.dirty = true
    this.#routes.push(route)
  }

  // --- trimming

  trim (visitsMax: number, tail: Offset, entriesMax: number): Offset[] {
    const slice: Slice = { visits: visitsMax, tail, entriesMax, gone: [] }
    while (slice.visits > 0 && slice.gone.length < entriesMax) {
      const topic = this.#unwanted.pop()
      if (topic === undefined) break
      topic.dirty = false
      if (!this.#trimTopic(topic, slice)) this.unwanted(topic)
    }
    while (slice.visits > 0 && slice.gone.length < entriesMax && this.#head < this.#routes.length) {
      const route = this.#routes[this.#head++]
      route.dirty = false
      if (!this.#trimRoute(route, slice)) this.#touch(route) // behind the others
    }
    if (this.#head > COMPACT_MIN && this.#head * 2 > this.#routes.length) {
      this.#routes = this.#routes.slice(this.#head)
      this.#head = 0
    }
    return slice.gone.sort((a, b) => a - b) as Offset[]
  }

  /** False where something is left to do. */
  #trimRoute (route: Route<S>, slice: Slice): boolean {
    const isPast = route.durable === 0
    if (!isPast && route.holder === undefined) this.#raise(route, slice)
    const floor = isPast ? slice.tail : route.floor
    slice.visits--
    if (route.isExact) {
      const topic = this.#options.topic(route.filter)
      return topic === undefined || this.#trimTopic(topic, slice)
    }
    const { postings } = route
    while (postings !== undefined && postings.length > 0) {
      const number = postings.blockAt(0)
      const start = number * BLOCK_OFFSETS
      if (start > floor) break
      if (slice.visits <= 0) return false
      if (!this.#trimBlock(number, floor, isPast ? undefined : route, slice)) return false
      if (start + BLOCK_OFFSETS - 1 > floor) break
      postings.dropFirst()
    }
    if (postings?.length === 0) route.postings = undefined
    return true
  }

  /** @param route the filter whose entries are looked at; undefined for all */
  #trimBlock (number: number, floor: Offset, route: Route<S> | undefined, slice: Slice): boolean {
    const block = this.#options.order.block(number)
    if (block === undefined) return true
    let { topics } = block
    for (let place = 0; place < topics.length; place++) {
      const topic = topics[place]
      if (topic === undefined) continue
      const offset = block.offsetAt(place)
      if (offset > floor) return true
      slice.visits--
      if (route !== undefined && !this.#options.routesOf(topic).includes(route)) continue
      if (!this.#trimTopic(topic, slice)) return false
      if (topics !== block.topics) { // it was compacted
        topics = block.topics
        place = block.placeAfter(offset) - 1
      }
    }
    return true
  }

  /** Drops what all filters of the topic have left behind; false where there is more of it than may go now. */
  #trimTopic (topic: Topic<S>, slice: Slice): boolean {
    if (topic.length === 0) return true
    let floor = slice.tail
    for (const route of this.#options.routesOf(topic)) {
      if (route.durable === 0 || route.floor >= floor) continue
      if (route.holder === undefined) this.#raise(route, slice)
      if (route.floor < floor) floor = route.floor
      if (floor < topic.first) return true
    }
    this.#options.drop(topic, floor, slice.entriesMax - slice.gone.length, slice.gone)
    return topic.length === 0 || topic.first > floor
  }

  /** How far have all subscriptions of the filter come? The one that is behind is to say when it has moved. */
  #raise (route: Route<S>, slice: Slice): void {
    let floor = slice.tail
    let holder: S | undefined
    for (const { session, qos, from } of route.all) {
      if (qos === 0 || session.clean) continue
      slice.visits--
      const passed = Math.max(session.position, from) as Offset
      if (passed >= floor) continue
      floor = passed
      holder = session
      if (floor <= route.floor) break // no further than before
    }
    if (floor > route.floor) route.floor = floor
    if (holder === undefined) return
    route.holder = holder
    if (holder.holds === undefined) holder.holds = [route as Route]
    else holder.holds.push(route as Route)
  }
}
