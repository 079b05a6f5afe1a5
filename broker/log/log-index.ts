/**
 * What is in the log and who still needs it, in memory: topics to entries, topics to filters to sessions.
 * A session finds what comes after its cursor here, so reading a backlog and following live messages are one
 * operation and no switch from one to the other can leave a gap or an overlap [G3].
 */
import { messageBytes, type Entry, type Offset } from '../message.ts'
import { EntryCache } from './entry-cache.ts'
import { FilterTree } from './filter-tree.ts'
import { Route, type Subscriber, type Subscription } from './route.ts'
import { merge, type Source } from './merge.ts'
import { TopicLog, type Found } from './topic-log.ts'

/** Entries that are looked up for a session in one go, where they lie in many topics. */
export const PULL_AHEAD_MAX = 1_024

export class LogIndex<S extends Subscriber> {
  readonly filters = new FilterTree<Route<S>>()
  readonly #topics = new Map<string, TopicLog<Route<S>>>()
  readonly #dirty: TopicLog<Route<S>>[] = []
  readonly #cache: EntryCache
  /** The last routes that several filters gave a topic; the next one nearly always takes the same. */
  #several: ReadonlyArray<Route<S>> = []
  #messages = 0
  #bytes = 0

  constructor (cacheBytesMax: number) {
    this.#cache = new EntryCache(cacheBytesMax)
  }

  get messages (): number { return this.#messages }
  get bytes (): number { return this.#bytes }
  get topics (): number { return this.#topics.size }

  // --- filters

  route (filter: string): Route<S> {
    let route = this.filters.get(filter)
    if (route === undefined) {
      route = new Route<S>(filter)
      this.filters.add(filter, route)
    }
    return route
  }

  /** Forgets a subscription, and the filter with it if it was the last. What only it held back may now be trimmed. */
  unsubscribe (subscription: Subscription<S>): void {
    const { route } = subscription
    route.remove(subscription)
    this.released(route)
    if (route.all.length === 0 && this.filters.get(route.filter) === route) this.filters.remove(route.filter)
  }

  /** A subscription of the route asks for less than before. */
  released (route: Route<S>): void {
    if (route.topics !== undefined) for (const topic of route.topics) this.touch(topic)
  }

  /** The routes a message on this topic takes; remembered while the topic has entries in the log. */
  match (topic: string): ReadonlyArray<Route<S>> {
    const log = this.#topics.get(topic)
    return log === undefined ? this.filters.match(topic) : this.#routesOf(log)
  }

  /** Must a message on this topic be stored? Only if a session that is kept wants it. */
  isWanted (topic: string): boolean {
    const routes = this.match(topic)
    for (let i = 0; i < routes.length; i++) if (routes[i].durable > 0) return true
    return false
  }

  #routesOf (log: TopicLog<Route<S>>): ReadonlyArray<Route<S>> {
    if (log.routesVersion !== this.filters.version) {
      const routes = this.#shared(this.filters.match(log.topic))
      log.routes = routes
      log.routesVersion = this.filters.version
      for (const route of routes) (route.topics ??= new Set()).add(log)
    }
    return log.routes
  }

  /** The same list for the topics that take the same routes: there may be millions of them. */
  #shared (routes: ReadonlyArray<Route<S>>): ReadonlyArray<Route<S>> {
    if (routes.length === 1) return routes[0].alone
    const several = this.#several
    if (routes.length === several.length && routes.every((route, i) => route === several[i])) return several
    return (this.#several = routes.slice()) // without the spare capacity of a list that grew
  }

  // --- entries

  /** Takes in an entry that has just become durable, in offset order. Returns the routes it takes. */
  add (entry: Entry): ReadonlyArray<Route<S>> {
    const log = this.#append(entry.topic, entry.offset, messageBytes(entry))
    this.#cache.add(entry)
    return this.#routesOf(log)
  }

  /** Takes in an entry found at start; its bytes stay in the store. */
  restore (topic: string, offset: Offset, bytes: number): void {
    const log = this.#append(topic, offset, bytes)
    this.#routesOf(log)
  }

  /** An entry that turned out to be unreadable is no part of the log any more. Returns the sessions that lose it. */
  forget (found: Found): Set<S> {
    const topic = found.topic as TopicLog<Route<S>>
    const losers = new Set<S>()
    for (const route of this.#routesOf(topic)) {
      for (const { session, qos, from } of route.all) {
        if (qos > 0 && !session.clean && from < found.offset && session.position < found.offset) losers.add(session)
      }
    }
    const bytes = topic.bytes
    if (!topic.drop(found.offset)) return new Set()
    this.#messages--
    this.#bytes -= bytes - topic.bytes
    return losers
  }

  #append (topic: string, offset: Offset, bytes: number): TopicLog<Route<S>> {
    let log = this.#topics.get(topic)
    if (log === undefined) this.#topics.set(topic, log = new TopicLog<Route<S>>(topic))
    if (log.length === 0) this.touch(log) // a topic with entries waits for a look, or is held by a session
    log.append(offset, bytes)
    this.#messages++
    this.#bytes += bytes
    return log
  }

  // --- following a cursor

  /**
   * The next entries for a session after `after`, in offset order, each once [G3]: at least `limit`, if there are so
   * many, and at most PULL_AHEAD_MAX.
   */
  next (subscriptions: Iterable<Subscription<S>>, after: Offset, limit: number): Found[] {
    const sources: Source[] = []
    for (const { qos, from, route } of subscriptions) {
      if (qos === 0 || route.topics === undefined) continue
      const start = Math.max(after, from) as Offset
      for (const topic of route.topics) {
        if (topic.length > 0 && topic.last > start) sources.push({ topic, after: start, qos })
      }
    }
    if (sources.length === 0) return []
    // Looking at many topics is worth more than a few entries.
    const found = merge(sources, Math.max(limit, Math.min(sources.length, PULL_AHEAD_MAX)))
    const kept = Math.min(limit, found.length) // what is sent later is not kept in memory for so long
    for (let i = 0; i < kept; i++) found[i].entry = this.#cache.get(found[i].offset)
    return found
  }

  /** How many entries, and bytes, a session has after an offset; each entry once. */
  pending (subscriptions: Iterable<Subscription<S>>, after: Offset): { messages: number, bytes: number } {
    const topics = new Map<TopicLog<Route<S>>, Offset>()
    for (const subscription of subscriptions) {
      if (subscription.qos === 0 || subscription.route.topics === undefined) continue
      const start = Math.max(after, subscription.from) as Offset
      for (const topic of subscription.route.topics) {
        const known = topics.get(topic)
        if (known === undefined || start < known) topics.set(topic, start)
      }
    }
    let messages = 0
    let bytes = 0
    for (const [topic, start] of topics) {
      messages += topic.countAfter(start)
      bytes += topic.bytesAfter(start)
    }
    return { messages, bytes }
  }

  // --- trimming

  /** Says that somebody moved past entries of this topic. */
  touch (topic: TopicLog<Route<S>>): void {
    if (topic.dirty) return
    topic.dirty = true
    this.#dirty.push(topic)
  }

  /** The session's position may have moved: what it held back is looked at again. */
  moved (session: S): void {
    if (session.holds === undefined) return
    for (const topic of session.holds) this.touch(topic as TopicLog<Route<S>>)
    session.holds = undefined
  }

  touchAll (): void {
    for (const topic of this.#topics.values()) this.touch(topic)
  }

  /**
   * Drops what every session has moved past, from at most `topicsMax` topics and about `entriesMax` entries, and
   * returns the offsets, ascending. What is left over is looked at with the next call.
   * An entry stays while one session that is kept has a matching filter from before it and a cursor below it [G2].
   */
  trim (topicsMax: number, tail: Offset, entriesMax = Infinity): Offset[] {
    const gone: number[] = []
    for (let looked = 0; looked < topicsMax && gone.length < entriesMax; looked++) {
      const topic = this.#dirty.pop()
      if (topic === undefined) break
      topic.dirty = false
      if (topic.length === 0) continue
      const { floor, holder } = this.#floor(topic, tail)
      if (holder !== undefined) (holder.holds ??= new Set()).add(topic)
      if (floor < topic.first) continue
      const before = topic.bytes
      const count = topic.length
      const from = gone.length
      topic.dropThrough(floor, entriesMax - from, gone)
      for (let i = from; i < gone.length; i++) this.#cache.delete(gone[i] as Offset)
      this.#messages -= count - topic.length
      this.#bytes -= before - topic.bytes
      if (topic.length === 0) this.#remove(topic)
      else if (topic.first <= floor) this.touch(topic)
    }
    return gone.sort((a, b) => a - b) as Offset[]
  }

  /** The offset up to which nobody needs the topic's entries any more, and a session that needs the next one. */
  #floor (topic: TopicLog<Route<S>>, tail: Offset): { floor: Offset, holder: S | undefined } {
    const first = topic.first
    let floor = tail
    let holder: S | undefined
    for (const route of this.#routesOf(topic)) {
      if (route.durable === 0) continue
      for (const subscription of route.all) {
        if (subscription.qos === 0 || subscription.session.clean) continue
        const passed = Math.max(subscription.session.position, subscription.from) as Offset
        if (passed < floor) {
          floor = passed
          holder = subscription.session
          if (floor < first) return { floor, holder }
        }
      }
    }
    return { floor, holder }
  }

  #remove (topic: TopicLog<Route<S>>): void {
    this.#topics.delete(topic.topic)
    for (const route of topic.routes) route.topics?.delete(topic)
  }
}
