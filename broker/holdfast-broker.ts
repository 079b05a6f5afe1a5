/**
 * The broker: publish, subscribe, attach, detach, acknowledge. The order of the steps can be read here.
 */
import { EventEmitter } from 'node:events'
import { HoldfastError } from './errors.ts'
import type { BrokerEvents } from './events.ts'
import { LogIndex } from './log/log-index.ts'
import { Log, type Receipt, type RecordChange } from './log/log.ts'
import { PENDING, type Subscription } from './log/route.ts'
import { Timeline } from './log/timeline.ts'
import { messageBytes, ORIGIN, type ClientId, type Entry, type Message, type Offset, type PacketId, type QoS,
  type TimeMs } from './message.ts'
import { Retained } from './retained.ts'
import { overBounds } from './session/bounds.ts'
import { Follower } from './session/follower.ts'
import type { Attachment, Link } from './session/link.ts'
import { filterChange } from './session/records.ts'
import { RetainedQueue, type Session } from './session/session.ts'
import { Sessions } from './sessions.ts'
import { sessionKey } from './store/keys.ts'
import type { Recovery } from './store/store.ts'
import { checkFilter, checkTopic } from './topics.ts'
import { Wills } from './wills.ts'
import type { Broker, BrokerOptions, BrokerStats, Connected, ConnectRequest, PublishRequest, SessionInfo } from './broker.ts'

type Publisher = Parameters<Broker['publish']>[0]

/** How often the time is written down, so that a crash does not count as time attached; also probes a failed store. */
const ALIVE_MS = 5_000
const ALIVE_KEY = 'alive'
/** Sessions and topics that one sweep looks at. */
const SWEEP_SESSIONS = 5_000
const SWEEP_TOPICS = 5_000
const NO_CHANGES: readonly RecordChange[] = []
const INCOMING_VALUE = Buffer.from([1])

export class HoldfastBroker implements Broker {
  readonly events = new EventEmitter<BrokerEvents>()
  readonly limits
  readonly auth
  readonly clock
  readonly #store
  readonly #index
  readonly #retained
  readonly #timeline = new Timeline()
  #log!: Log
  #sessions!: Sessions
  #follower!: Follower
  #wills!: Wills
  #timers: Array<() => void> = []
  #authorizing = new Map<ClientId, Promise<void>>()
  #isClosing = false
  #offerNumber = 0
  #offered: Session[] = []
  #flushScheduled = false
  #published = 0
  #gapMessages = 0

  constructor (options: BrokerOptions) {
    this.limits = options.limits
    this.auth = options.auth
    this.clock = options.clock
    this.#store = options.store
    this.#index = new LogIndex<Session>(options.limits.cacheBytesMax)
    this.#retained = new Retained(options.store, options.limits.retainedMessagesMax)
  }

  get wills (): Wills { return this.#wills }

  // --- start and stop

  async open (): Promise<Recovery> {
    const recovery = await this.#store.open()
    const { events, limits, clock } = this
    this.#log = new Log(this.#store, recovery.tail, limits.batchBytesMax, {
      deliver: (message, at) => { this.#deliver(message, at) },
      delivered: () => { this.#follower.flush() },
      failed: (error) => { events.emit('store-failed', { error }) },
      recovered: () => { events.emit('store-recovered') }
    })
    const shared = { store: this.#store, index: this.#index, log: this.#log, limits, clock }
    this.#sessions = new Sessions({ ...shared, events })
    this.#follower = new Follower({
      ...shared,
      events: {
        cursorMoved: (session) => { this.#sessions.touch(session) },
        passed: (topic) => { this.#index.passed(topic) },
        detached: (session) => {
          this.#sessions.release(session)
          events.emit('detached', { clientId: session.clientId })
        },
        gap: (session, count, reason) => {
          this.#gapMessages += count
          events.emit('gap', { clientId: session.clientId, count, reason })
        },
        retained: async (topic, notAfter) => await this.#retained.get(topic, notAfter),
        retainedDone: (session, filter) => { this.#retainedDone(session, filter) }
      }
    })
    this.#wills = new Wills({
      store: this.#store,
      log: this.#log,
      publish: (message, changes, receipt) => { this.#publish(message, receipt, changes) }
    })

    await this.#retained.load()
    const alive = await this.#store.get('meta', ALIVE_KEY)
    const aliveAt = (alive === undefined ? clock.now() : alive.value.readDoubleBE(0)) as TimeMs
    await this.#sessions.load(recovery, aliveAt, (subscription) => { this.#owe(subscription) })
    for await (const headers of this.#store.scan()) {
      for (const { topic, offset, bytes, time } of headers) {
        this.#index.restore(topic, offset, bytes)
        this.#timeline.note(offset, time)
      }
    }
    await this.#wills.publishAll()
    await this.#log.settled()
    this.#repeat(limits.cursorFlushMs, () => { this.#sessions.flush() })
    this.#repeat(limits.sweepMs, () => { this.#sweep() })
    this.#repeat(ALIVE_MS, () => { this.#log.record([this.#alive()], () => {}) })
    return recovery
  }

  async settled (): Promise<void> { await this.#log.settled() }

  async close (): Promise<void> {
    if (this.#isClosing) return
    this.#isClosing = true
    for (const cancel of this.#timers) cancel()
    await this.#log.settled() // what was accepted gets its receipt
    for (const session of [...this.#sessions.values()]) {
      session.live?.link.close('shutdown')
      this.#follower.detach(session)
    }
    this.#log.trim(this.#index.trim(Infinity, this.#log.tail))
    this.#log.record([this.#alive()], () => {})
    await this.#sessions.flushAll()
    await this.#log.settled()
    await this.#store.close()
  }

  #repeat (ms: number, work: () => void): void {
    const slot = this.#timers.push(() => {}) - 1
    const again = (): void => {
      this.#timers[slot] = this.clock.after(ms, () => {
        if (this.#isClosing) return
        work()
        again()
      })
    }
    again()
  }

  #alive (): RecordChange {
    const value = Buffer.alloc(8)
    value.writeDoubleBE(this.clock.now())
    return { table: 'meta', key: ALIVE_KEY, value }
  }

  // --- sessions and connections

  async connect (request: ConnectRequest): Promise<Connected> {
    if (this.#isClosing) throw new HoldfastError('CLOSED')
    return await this.#sessions.connect(request)
  }

  attach (session: Session, link: Link): Attachment {
    if (session.live !== undefined) { // [MQTT-3.1.4-2]
      session.live.link.close('taken-over')
      this.#follower.detach(session)
    }
    session.detachedAt = undefined
    this.#bound(session)
    const attachment = this.#follower.attach(session, link)
    this.events.emit('attached', { clientId: session.clientId })
    return attachment
  }

  release (session: Session): void { this.#sessions.release(session) }

  async end (clientId: ClientId): Promise<boolean> {
    const session = this.#sessions.get(clientId)
    if (session === undefined) return false
    session.live?.link.close('ended')
    this.#sessions.end(session, 'administrator')
    await this.#log.settled()
    return true
  }

  // --- subscriptions

  async subscribe (session: Session, filter: string, qos: QoS): Promise<QoS> {
    checkFilter(filter, this.limits)
    const allowed = this.auth.maySubscribe(session.principal, session.clientId, filter)
    if (!(typeof allowed === 'boolean' ? allowed : await allowed)) {
      throw new HoldfastError('NOT_AUTHORIZED', `subscribing to ${JSON.stringify(filter)}`)
    }
    const existing = session.subscriptions.get(filter)
    if (existing === undefined && session.subscriptions.size >= this.limits.filtersPerSessionMax) {
      throw new HoldfastError('FILTERS_FULL', `filtersPerSessionMax = ${this.limits.filtersPerSessionMax}`)
    }
    if (session.ended) throw new HoldfastError('CLOSED', 'the session has ended')
    const subscription = existing ?? this.#sessions.addSubscription(session, filter, qos, PENDING)
    const keepsFrom = existing !== undefined && existing.qos > 0 && qos > 0
    if (existing !== undefined) {
      existing.route.setQos(existing, qos) // from here on messages are stored for it
      if (!keepsFrom) existing.from = PENDING
    }
    const hasRetained = this.#retained.matching(filter).next().done !== true
    const from = keepsFrom && subscription.from !== PENDING ? subscription.from : undefined
    const changes = session.clean ? NO_CHANGES : [filterChange(session.clientId, filter, qos, hasRetained, from)]
    return await new Promise((resolve, reject) => {
      this.#log.record(changes, (error, at) => { // its place is between the messages before it and those after it
        if (error !== undefined) {
          if (existing === undefined) this.#sessions.removeSubscription(subscription)
          else if (!keepsFrom) subscription.from = at
          reject(error)
          return
        }
        if (subscription.from === PENDING) subscription.from = at
        this.#owe(subscription) // [MQTT-3.3.1-6], [MQTT-3.8.4-3]
        if (session.clean || from !== undefined || subscription.from === at) resolve(qos)
        else { // it was already on its way when this one came: what is written must count from there
          const earlier = filterChange(session.clientId, filter, subscription.qos, hasRetained, subscription.from)
          this.#log.recorded([earlier]).then(() => { resolve(qos) }, reject)
        }
      })
    })
  }

  async unsubscribe (session: Session, filter: string): Promise<void> {
    const subscription = session.subscriptions.get(filter)
    if (subscription === undefined) return
    this.#sessions.removeSubscription(subscription)
    if (session.clean) return
    await this.#log.recorded([{ table: 'filters', key: sessionKey(session.clientId, filter), value: null }])
  }

  /** The subscription is owed the retained messages that match. */
  #owe (subscription: Subscription<Session>): void {
    const { session, route } = subscription
    for (const topic of this.#retained.matching(route.filter)) {
      (session.retainedDue ??= new RetainedQueue()).add(topic, subscription)
    }
    if (session.live !== undefined && session.retainedDue !== undefined) this.#follower.wake(session)
  }

  #retainedDone (session: Session, filter: string): void {
    const subscription = session.subscriptions.get(filter)
    if (session.clean || subscription === undefined || subscription.from === PENDING) return
    this.#log.record([filterChange(session.clientId, filter, subscription.qos, false, subscription.from)], () => {})
  }

  // --- publishing

  checkTopic (topic: string, allowReserved = false): void { checkTopic(topic, this.limits, allowReserved) }

  publish (publisher: Publisher, request: PublishRequest, receipt: Receipt): void {
    this.#authorize(publisher, request, receipt, () => {
      this.#publish(this.#message(publisher, request), receipt, NO_CHANGES)
    })
  }

  publishOnce (session: Session, packetId: PacketId, request: PublishRequest, receipt: Receipt): void {
    this.#authorize(session, request, receipt, () => {
      const incoming = session.incoming ??= new Map()
      const known = incoming.get(packetId)
      if (known === null) receipt() // [MQTT-4.3.3-2]
      else if (known !== undefined) known.push(receipt)
      else if (incoming.size >= this.limits.incomingMax) {
        receipt(new HoldfastError('INCOMING_FULL', `incomingMax = ${this.limits.incomingMax}`))
      } else {
        const waiting = [receipt]
        incoming.set(packetId, waiting)
        const changes = session.clean
          ? NO_CHANGES
          : [{ table: 'incoming' as const, key: sessionKey(session.clientId, String(packetId)), value: INCOMING_VALUE }]
        this.#publish(this.#message(session, request), (error) => {
          if (incoming.get(packetId) === waiting) { // not released meanwhile
            if (error === undefined) incoming.set(packetId, null)
            else incoming.delete(packetId)
          }
          for (const one of waiting) one(error)
        }, changes)
      }
    })
  }

  hasIncoming (session: Session, packetId: PacketId): boolean {
    return session.incoming?.has(packetId) === true
  }

  async releaseIncoming (session: Session, packetId: PacketId): Promise<void> {
    if (session.incoming?.has(packetId) !== true) return
    if (!session.clean) {
      await this.#log.recorded([{ table: 'incoming', key: sessionKey(session.clientId, String(packetId)), value: null }])
    }
    session.incoming?.delete(packetId)
  }

  #message ({ clientId, principal }: Publisher, { topic, payload, qos, retain, id }: PublishRequest): Message {
    const time = this.clock.now()
    return { topic, payload, qos, retain, publisher: clientId, principal, time, id, wire: undefined }
  }

  /** Calls `then` at once where access control answers at once; the messages of a publisher never overtake each other. */
  #authorize (publisher: Publisher, request: PublishRequest, receipt: Receipt, then: () => void): void {
    const { clientId, principal } = publisher
    try {
      if (this.#isClosing) throw new HoldfastError('CLOSED')
      checkTopic(request.topic, this.limits)
      if (request.payload.length > this.limits.packetBytesMax) {
        throw new HoldfastError('MESSAGE_TOO_LARGE',
          `${request.payload.length} bytes on ${JSON.stringify(request.topic)}; packetBytesMax = ${this.limits.packetBytesMax}`)
      }
    } catch (error) {
      receipt(error as HoldfastError)
      return
    }
    const refused = (): void => {
      receipt(new HoldfastError('NOT_AUTHORIZED', `publishing to ${JSON.stringify(request.topic)}`))
    }
    const before = this.#authorizing.size === 0 ? undefined : this.#authorizing.get(clientId)
    const allowed = this.auth.mayPublish(principal, clientId, request.topic)
    if (typeof allowed === 'boolean' && before === undefined) {
      if (allowed) then()
      else refused()
      return
    }
    const turn = Promise.all([allowed, before]).then(([isAllowed]) => {
      if (isAllowed) then()
      else refused()
    }, refused).finally(() => { if (this.#authorizing.get(clientId) === turn) this.#authorizing.delete(clientId) })
    this.#authorizing.set(clientId, turn)
  }

  #publish (message: Message, receipt: Receipt, changes: readonly RecordChange[]): void {
    if (message.qos === 0 && !message.retain && changes.length === 0) {
      this.#deliver(message, this.#log.tail)
      this.#flushSoon()
      receipt()
      return
    }
    const isKept = message.qos > 0 && this.#index.isWanted(message.topic)
    if (isKept && this.#index.bytes + messageBytes(message) > this.limits.logBytesMax) { // [G6]
      receipt(new HoldfastError('LOG_FULL',
        `logBytesMax = ${this.limits.logBytesMax}; sessions that stay away hold it, see their expiry`))
      return
    }
    let all = changes
    if (message.retain) {
      try {
        all = [...changes, this.#retained.change(message)]
      } catch (error) {
        receipt(error as HoldfastError)
        return
      }
    }
    this.#published++
    this.#log.publish(message, isKept, receipt, all)
  }

  /** One way out: what the log yields, in its order, to the sessions that are attached [G3]. */
  #deliver (message: Message | Entry, at: Offset): void {
    const offset = 'offset' in message ? message.offset : ORIGIN
    const routes = 'offset' in message ? this.#index.add(message) : this.#index.match(message.topic)
    if (offset !== ORIGIN) this.#timeline.note(offset, message.time)
    if (message.retain) this.#retained.applied(message, offset === ORIGIN ? at : offset)
    if (routes.length === 1) {
      for (const { session, qos, from } of routes[0].attached) {
        if (from !== PENDING) this.#follower.offer(session, message, offset, Math.min(qos, message.qos) as QoS)
      }
    } else if (routes.length > 1) this.#deliverOverlapping(routes, message, offset)
  }

  /** Several filters match: a session gets it once, at the highest QoS of its filters [MQTT-3.3.5-1]. */
  #deliverOverlapping (routes: ReturnType<LogIndex<Session>['match']>, message: Message, offset: Offset): void {
    const number = ++this.#offerNumber
    const offered = this.#offered
    for (const route of routes) {
      for (const { session, qos, from } of route.attached) {
        if (from === PENDING) continue
        const live = session.live!
        if (live.offered === number) live.offeredQos = Math.max(live.offeredQos, qos) as QoS
        else {
          live.offered = number
          live.offeredQos = qos
          offered.push(session)
        }
      }
    }
    for (const session of offered) {
      this.#follower.offer(session, message, offset, Math.min(session.live!.offeredQos, message.qos) as QoS)
    }
    offered.length = 0
  }

  #flushSoon (): void {
    if (this.#flushScheduled) return
    this.#flushScheduled = true
    queueMicrotask(() => {
      this.#flushScheduled = false
      this.#follower.flush()
    })
  }

  // --- looking after it all, a slice at a time [G8]

  #sweep (): void {
    const now = this.clock.now()
    this.#log.trim(this.#index.trim(SWEEP_TOPICS, this.#log.tail))
    this.#sessions.round(SWEEP_SESSIONS, (session) => {
      const oldest = session.live === undefined ? undefined : session.window?.oldest
      if (oldest !== undefined && now - oldest.sentAt >= this.limits.ackTimeoutMs) session.live?.link.close('stalled')
      this.#bound(session)
    })
    this.#timeline.forgetBefore((now - this.limits.backlogAgeMsMax) as TimeMs)
    if (this.#wills.owed > 0 && !this.#log.failing) this.#wills.retry()
  }

  /** Keeps a session within its bounds [G6], and tells it what it lost [G5]. */
  #bound (session: Session): void {
    const cut = overBounds(session, this.#index, this.#timeline, this.limits, this.clock.now(), this.#log.tail)
    if (cut === undefined) return
    session.sent = cut.through
    for (const { route } of session.subscriptions.values()) {
      for (const topic of route.topics ?? []) this.#index.touch(topic)
    }
    this.#follower.lose(session, cut.messages, cut.reason)
  }

  // --- looking in

  * sessions (): IterableIterator<SessionInfo> {
    for (const session of this.#sessions.values()) yield this.#info(session)
  }

  session (clientId: ClientId): SessionInfo | undefined {
    const session = this.#sessions.get(clientId)
    return session === undefined ? undefined : this.#info(session)
  }

  #info (session: Session): SessionInfo {
    const { clientId, principal, clean, expiryMs, detachedAt, live, subscriptions } = session
    const queued = live === undefined ? 0 : live.queue.length - live.queueHead
    const isCaughtUp = clean || live?.caughtUp === true
    const pending = isCaughtUp ? 0 : this.#index.pending(subscriptions.values(), session.sent).messages
    return {
      clientId,
      principal,
      clean,
      attached: live !== undefined,
      expiryMs,
      detachedAt,
      filters: [...session.subscriptions.values()].map(({ route, qos }) => ({ filter: route.filter, qos })),
      backlogMessages: pending + queued,
      inflightMessages: session.window?.size ?? 0
    }
  }

  stats (): BrokerStats {
    let attached = 0
    for (const session of this.#sessions.values()) if (session.live !== undefined) attached++
    return {
      sessions: this.#sessions.size,
      attached,
      filters: this.#index.filters.size,
      retained: this.#retained.size,
      published: this.#published,
      delivered: this.#follower.delivered,
      acknowledged: this.#follower.acknowledged,
      gapMessages: this.#gapMessages,
      droppedQos0: this.#follower.droppedQos0,
      storeFailing: this.#log.failing,
      store: this.#store.usage()
    }
  }
}

