/**
 * What is in the log and who still needs it, in memory: topics to entries, topics to filters to sessions.
 * A session finds what comes after its cursor here, so reading a backlog and following live messages are one
 * operation and no switch from one to the other can leave a gap or an overlap [G3].
 */
import { ENTRY_BYTES, messageBytes, type Entry, type Offset, type TimeMs } from '../model/message.ts'
import { tableBytes } from '../system/table-bytes.ts'
import { EntryCache } from './entry-cache.ts'
import { Expiries } from './expiries.ts'
import { FilterTree } from './filter-tree.ts'
import { blockOf, LogOrder, type Block } from './log-order.ts'
import { LogSource, Merge, TopicSource, type Source } from './merge.ts'
import { Postings } from './postings.ts'
import { Route, type Subscriber, type Subscription } from './route.ts'
import { TopicLog, type Found } from './topic-log.ts'
import { Trimmer } from './trimmer.ts'

/** Entries that are looked up for a session in one go, where it has many filters. */
export const PULL_AHEAD_MAX = 1_024

export interface Sum { messages: number, bytes: number }

/** An entry that is no part of the log any more. */
export interface Expired { readonly offset: Offset, readonly topic: string, readonly bytes: number }

/** Of a message: its place in the order of the log. */
const PLACE_BYTES = 10
/** And outside of the heap: its place in its topic, and the size that the store remembers. */
const OUTSIDE_BYTES = 24
/** A topic with its name, but for the letters. */
const TOPIC_BYTES = 112
/** A message that expires: its time. */
const EXPIRY_BYTES = 48
/** What is forgotten of messages that are gone, once they are so many. */
const EXPIRIES_MIN = 1_024
/** A filter with its subscription. */
const FILTER_BYTES = 500

export class LogIndex<S extends Subscriber> {
  readonly filters = new FilterTree<Route<S>>()
  readonly #topics = new Map<string, TopicLog<Route<S>>>()
  readonly #order = new LogOrder<TopicLog<Route<S>>>()
  readonly #trimmer: Trimmer<S>
  readonly #cache: EntryCache
  readonly #expiries = new Expiries<Offset>()
  /** The last routes that several filters gave a topic; the next one nearly always takes the same. */
  #several: ReadonlyArray<Route<S>> = []
  #messages = 0
  /** Of the names of all topics. */
  #topicBytes = 0
  #bytes = 0

  constructor (cacheBytesMax: number) {
    this.#cache = new EntryCache(cacheBytesMax)
    this.#trimmer = new Trimmer<S>({
      order: this.#order,
      topic: (name) => this.#topics.get(name),
      routesOf: (topic) => this.#routesOf(topic),
      drop: (topic, through, limit, gone) => { this.#drop(topic, through, limit, gone) }
    })
  }

  get messages (): number { return this.#messages }
  get bytes (): number { return this.#bytes }
  /** The offset of the oldest message. */
  get oldest (): Offset | undefined { return this.#order.first }
  get topics (): number { return this.#topics.size }

  /** What all this takes of the heap, roughly. */
  get heapBytes (): number {
    return this.#topicBytes + this.#topics.size * TOPIC_BYTES + tableBytes(this.#topics.size) +
      this.#messages * PLACE_BYTES + this.#expiries.size * EXPIRY_BYTES +
      this.#cache.count * ENTRY_BYTES + this.filters.size * FILTER_BYTES
  }

  /** And outside of it, with what the store keeps of each message. */
  get outsideBytes (): number { return this.#messages * OUTSIDE_BYTES }

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
    this.released(subscription)
    if (route.all.length === 0 && this.filters.get(route.filter) === route) this.filters.remove(route.filter)
  }

  /** A subscription asks for less than before. */
  released (subscription: Subscription<S>): void { this.#trimmer.released(subscription) }

  /** The routes a message on this topic takes; remembered while the topic has entries in the log. */
  match (topic: string): ReadonlyArray<Route<S>> {
    const log = this.#topics.get(topic)
    return log === undefined ? this.filters.match(topic) : this.#routesOf(log)
  }

  /**
   * For how many sessions that are kept a message on this topic is stored; for none, it need not be. One whose filters
   * overlap counts for each of those that match, so that nobody looks at sessions here.
   */
  keepers (topic: string): number {
    const routes = this.match(topic)
    let keepers = 0
    for (let i = 0; i < routes.length; i++) keepers += routes[i].durable
    return keepers
  }

  #routesOf (log: TopicLog<Route<S>>): ReadonlyArray<Route<S>> {
    if (log.routesVersion !== this.filters.version) {
      const routes = this.#shared(this.filters.match(log.topic))
      log.routes = routes
      log.routesVersion = this.filters.version
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
    if (entry.extension !== undefined) this.#expires(entry.offset, entry.extension.expiresAt)
    return log.routes
  }

  /** Takes in an entry found at start; its bytes stay in the store. */
  restore (topic: string, offset: Offset, bytes: number, expiresAt?: TimeMs): void {
    this.#append(topic, offset, bytes)
    if (expiresAt !== undefined) this.#expires(offset, expiresAt)
  }

  #expires (offset: Offset, at: TimeMs | undefined): void {
    if (at === undefined) return
    this.#expiries.add(at, offset)
    // Most are gone before their time.
    const { size } = this.#expiries
    if (size > EXPIRIES_MIN && size > this.#messages * 2) {
      this.#expiries.keep((one) => this.#order.at(one) !== undefined)
    }
  }

  /**
   * Drops entries whose time is over, until about `steps` are done [G8]; returns them in the order of their time. What
   * of them is out already stays with those who are being sent it [G9].
   */
  expire (now: TimeMs, steps: number): Expired[] {
    const gone: Expired[] = []
    for (let left = steps; left > 0; left--) {
      const offset = this.#expiries.take(now)
      if (offset === undefined) break
      const topic = this.#order.at(offset)
      if (topic === undefined) continue // everybody had it
      if (topic.first !== offset) left -= topic.length
      for (const route of this.#routesOf(topic)) left -= route.postings?.length ?? 0
      const bytes = this.#forget({ offset, topic, entry: undefined, qos: 0 })
      if (bytes !== undefined) gone.push({ offset, topic: topic.topic, bytes })
    }
    return gone
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
    return this.#forget(found) === undefined ? new Set() : losers
  }

  /** How many bytes it had; undefined where it is not there any more. */
  #forget (found: Found): number | undefined {
    const topic = found.topic as TopicLog<Route<S>>
    const before = topic.bytes
    if (!topic.drop(found.offset)) return undefined
    const bytes = before - topic.bytes
    this.#order.remove(found.offset)
    this.#cache.delete(found.offset)
    if (topic.length === 0) this.#remove(topic)
    this.#messages--
    this.#bytes -= bytes
    for (const route of this.#routesOf(topic)) route.postings?.forget(found.offset, bytes)
    return bytes
  }

  #append (topic: string, offset: Offset, bytes: number): TopicLog<Route<S>> {
    let log = this.#topics.get(topic)
    if (log === undefined) {
      this.#topics.set(topic, log = new TopicLog<Route<S>>(topic))
      this.#topicBytes += topic.length
    }
    log.append(offset, bytes)
    this.#order.append(offset, log)
    let isWanted = false
    for (const route of this.#routesOf(log)) {
      if (route.durable === 0) continue
      isWanted = true
      if (!route.isExact) (route.postings ??= new Postings((offset - 1) as Offset)).note(offset, bytes)
      this.#trimmer.added(route)
    }
    if (!isWanted) this.#trimmer.unwanted(log)
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
    const merge = this.entriesAfter(subscriptions, after)
    // Looking at many filters is worth more than a few entries.
    const most = Math.max(limit, Math.min(merge.width, PULL_AHEAD_MAX))
    const found: Found[] = []
    for (let one = merge.next(); one !== undefined; one = merge.next()) {
      if (found.length < limit) one.entry = this.#cache.get(one.offset) // what is sent later is not kept for so long
      found.push(one)
      if (found.length === most) break
    }
    return found
  }

  /** What comes for a session after an offset, to be read on from; good until the next change of the index. */
  entriesAfter (subscriptions: Iterable<Subscription<S>>, after: Offset): Merge {
    const sources: Source[] = []
    for (const { qos, from, route } of subscriptions) {
      const start = Math.max(after, from) as Offset
      if (qos === 0 || start >= this.#order.last) continue
      const topic = route.isExact ? this.#topics.get(route.filter) : undefined
      if (topic !== undefined) sources.push(new TopicSource(topic, start, qos))
      else if (route.postings !== undefined) {
        sources.push(new LogSource(this.#order, route.postings, this.#isOf(route), start, qos))
      }
    }
    return new Merge(sources)
  }

  #isOf (route: Route<S>): (topic: TopicLog<Route<S>>) => boolean {
    return (topic) => this.#routesOf(topic).includes(route)
  }

  /**
   * How many entries, and bytes, the filters of a session have after an offset, counted filter by filter: exact where
   * no two of them match one topic. It costs a search for each filter and, unless `isRounded`, a look at a block.
   * @param isRounded true where it may be more, by what lies in the same block before
   */
  count (subscriptions: Iterable<Subscription<S>>, after: Offset, isRounded = false): Sum {
    const sum = { messages: 0, bytes: 0 }
    for (const { qos, from, route } of subscriptions) {
      const start = Math.max(after, from) as Offset
      if (qos === 0 || start >= this.#order.last) continue
      const topic = route.isExact ? this.#topics.get(route.filter) : undefined
      if (topic !== undefined) {
        sum.messages += topic.countAfter(start)
        sum.bytes += topic.bytesAfter(start)
      } else if (route.postings !== undefined) this.#countPostings(route, route.postings, start, isRounded, sum)
    }
    return sum
  }

  #countPostings (route: Route<S>, postings: Postings, start: Offset, isRounded: boolean, sum: Sum): void {
    const first = blockOf((start + 1) as Offset)
    let index = postings.seek(first)
    if (!isRounded && index < postings.length && postings.blockAt(index) === first) {
      const block = this.#order.block(first)
      if (block === undefined) index++ // all of it was trimmed
      else if (start >= block.start) {
        index++
        this.#countBlock(route, block, start, sum)
      }
    }
    sum.messages += postings.messagesFrom(index)
    sum.bytes += postings.bytesFrom(index)
  }

  #countBlock (route: Route<S>, block: Block<TopicLog<Route<S>>>, start: Offset, sum: Sum): void {
    for (let place = block.placeAfter(start); place < block.topics.length; place++) {
      const topic = block.topics[place]
      if (topic === undefined || !this.#routesOf(topic).includes(route)) continue
      const offset = block.offsetAt(place)
      sum.messages++
      sum.bytes += topic.bytesAfter((offset - 1) as Offset) - topic.bytesAfter(offset)
    }
  }

  // --- trimming

  /** The session's position may have moved: what it held back is looked at again. */
  moved (session: S): void { this.#trimmer.moved(session) }

  /** Something is left over that trim() is to look at. */
  get isTrimDue (): boolean { return this.#trimmer.isDue }

  /**
   * Drops what every session has moved past, and returns the offsets, ascending. It looks at about `visitsMax` places
   * and drops at most `entriesMax`; what is left over comes with the next call.
   * An entry stays while one session that is kept has a matching filter from before it and a cursor below it [G2].
   */
  trim (visitsMax: number, tail: Offset, entriesMax = Infinity): Offset[] {
    return this.#trimmer.trim(visitsMax, tail, entriesMax)
  }

  /** Drops the first entries of a topic. */
  #drop (topic: TopicLog<Route<S>>, through: Offset, limit: number, gone: number[]): void {
    const { bytes, length } = topic
    const known = gone.length
    topic.dropThrough(through, limit, gone)
    this.#messages -= length - topic.length
    this.#bytes -= bytes - topic.bytes
    for (let i = known; i < gone.length; i++) {
      this.#order.remove(gone[i] as Offset)
      this.#cache.delete(gone[i] as Offset)
    }
    if (topic.length === 0) this.#remove(topic)
  }

  #remove ({ topic }: TopicLog<Route<S>>): void {
    if (this.#topics.delete(topic)) this.#topicBytes -= topic.length
  }
}
