/**
 * The broker: publish, subscribe, attach, detach, acknowledge. The order of the steps can be read here.
 */
import { SetAside } from './sessions/set-aside.ts'
import type { Credentials, Identity } from './auth/auth.ts'
import { ALL_RIGHTS } from './auth/rights.ts'
import { TimelyAuth } from './auth/timely.ts'
import { Delivering } from './messages/delivering.ts'
import { HoldfastError } from './model/errors.ts'
import { Events } from './system/events.ts'
import { ALIVE_MS, Heartbeat, HEARTBEAT_MS } from './heartbeat.ts'
import { unlimitedHeap } from './system/heap.ts'
import { HeapGuard } from './system/heap-guard.ts'
import { heapUse } from './heap-use.ts'
import { InOrder } from './system/in-order.ts'
import { LogIndex } from './log/log-index.ts'
import { Log, type Receipt } from './log/log.ts'
import { Timeline } from './log/timeline.ts'
import type { ClientId, Message, PacketId, Principal, QoS, SetAsideMessage } from './model/message.ts'
import { Meters } from './system/meters.ts'
import { OwnTime } from './system/own-time.ts'
import { provision } from './sessions/provision.ts'
import { createInboxes, type Inboxes } from './messages/inboxes.ts'
import { Publishing, checkSize } from './messages/publishing.ts'
import { Retained } from './messages/retained.ts'
import { Follower } from './session/follower.ts'
import { DETACHED, type CloseReason, type Delivery, type Following, type Link } from './session/link.ts'
import type { Session } from './session/session.ts'
import { setAsideByWall, infoOf } from './sessions/session-info.ts'
import { loadSecret, randomSecret } from './secret.ts'
import { Sessions } from './sessions/sessions.ts'
import type { Recovery } from './store/store.ts'
import { Shares } from './shared/shares.ts'
import { Subscribing } from './messages/subscribing.ts'
import { statsOf } from './stats.ts'
import { Sweeper } from './sessions/sweeper.ts'
import { Timers } from './system/timers.ts'
import { Takeovers } from './sessions/takeovers.ts'
import { checkTopic, isShared } from './model/topics.ts'
import { Wills } from './messages/wills.ts'
import { copyLog, restoreLog } from './whole-log.ts'
import type {
  Broker, BrokerOptions, BrokerStats, ConnectRequest, EnterRequest, Peer, Provision, Publisher, PublishRequest,
  SessionInfo
} from './broker.ts'
import type { Connected, Core, CoreAttachOptions, CoreSubscribeOptions } from './core.ts'
import { Edge } from './edge/edge.ts'

/** How often it is asked whether there is room in memory: more comes in than a sweep may wait for. */
const HEAP_CHECK_MS = 50
/** The cache takes so small a part of the heap at most, whatever cacheBytesMax is. */
const CACHE_PARTS = 8
/** Some milliseconds of work. */
const TURN_UNITS = 8_000
export function createBroker (options: BrokerOptions): Broker { return createCore(options) }
/** With its sessions seen. */
export function createCore (options: BrokerOptions): Core { return new HoldfastBroker(options) }

class HoldfastBroker implements Core {
  readonly events: Events
  readonly limits
  readonly #auth
  readonly clock
  readonly isAnonymous: boolean
  epoch = ''
  secret: Buffer = Buffer.alloc(0)
  readonly #options: BrokerOptions
  readonly #store
  readonly #index
  readonly #retained
  readonly #heap
  readonly #guard
  readonly #timeline = new Timeline()
  readonly #takeovers: Takeovers
  #log!: Log
  #heartbeat!: Heartbeat
  #sessions!: Sessions
  #follower!: Follower
  #wills!: Wills
  #setAside!: SetAside
  #sweeper!: Sweeper
  #delivering!: Delivering
  #publishing!: Publishing
  #subscribing!: Subscribing
  #shares!: Shares
  #edge!: Edge
  #inboxes: Inboxes | undefined
  readonly #timers: Timers
  #stopWatching: () => void = () => {}
  #isClosing = false
  #gapMessages = 0
  readonly meters = new Meters()

  constructor (options: BrokerOptions) {
    this.limits = options.limits
    this.clock = new OwnTime(options.clock)
    this.events = new Events(this.clock)
    this.#timers = new Timers(this.clock)
    this.isAnonymous = options.auth.anonymous
    this.#auth = new TimelyAuth({ ...options, clock: this.clock, events: this.events })
    this.#options = options
    this.#store = options.store
    this.#takeovers = new Takeovers({ clock: this.clock, limits: this.limits, events: this.events })
    this.#heap = options.heap ?? unlimitedHeap
    this.#index = new LogIndex<Session>(Math.min(options.limits.cacheBytesMax, this.#heap.bytesMax / CACHE_PARTS))
    this.#retained = new Retained(options.store, options.limits.retainedMessagesMax, this.clock)
    this.#guard = new HeapGuard({
      heap: this.#heap,
      heapPercentMax: options.limits.heapPercentMax,
      ...heapUse(this.#index, this.#retained, () => this.#sessions?.size ?? 0),
      changed: (usage) => { this.events.emit(usage.isFull ? 'heap-full' : 'heap-free', usage) }
    })
  }

  get wills (): Wills { return this.#wills }
  get offered (): number { return this.#follower.offered }

  // --- start and stop

  async open (): Promise<Recovery> {
    const recovery = await this.#store.open()
    this.epoch = recovery.epoch
    const { events, limits, clock, meters } = this
    meters.syncs = this.#store.syncs
    this.#log = new Log(this.#store, recovery.tail, limits.batchBytesMax, {
      deliver: (message, at) => { this.#delivering.deliver(message, at) },
      turn: () => this.#delivering.turn(),
      settle: () => { this.#delivering.settle() },
      delivered: () => { this.#follower.flush() },
      mayTrim: () => !this.#sessions.removals.hasFailed,
      failed: (error) => { events.emit('store-failed', { error }) },
      recovered: () => {
        this.#heartbeat.beat() // the first one of all may have failed, and the stop before it counts as the last
        events.emit('store-recovered')
      },
      receipts: { now: () => clock.now(), note: (ms) => { meters.receipts.note(ms) } }
    })
    this.#heartbeat = new Heartbeat({ time: clock, log: this.#log, store: this.#store, events })
    const shared = { store: this.#store, index: this.#index, log: this.#log, limits, clock, guard: this.#guard, meters }
    this.#sessions = new Sessions({ ...shared, events, cut: (session, reason) => { this.#cut(session, reason) } })
    const turnUnits = this.#options.turnUnits ?? TURN_UNITS
    this.#follower = new Follower({
      ...shared,
      turnUnits,
      damaged: new Set(recovery.damaged),
      events: {
        cursorMoved: (session) => { this.#sessions.touch(session) },
        sent: (session) => { this.#sessions.sent(session) },
        sending: () => { this.#store.notes?.flush() },
        acknowledged: (session) => { this.#sessions.acknowledged(session) },
        detached: (session) => {
          this.#sessions.detached(session)
          this.#takeovers.free(session)
          events.emit('detached', { clientId: session.clientId })
        },
        gap: (session, count, reason) => {
          this.#gapMessages += count
          events.emit('gap', { clientId: session.clientId, count, reason })
        }
      },
      retained: {
        walk: (filter) => this.#retained.walk(filter),
        get: (topic, notAfter) => this.#retained.get(topic, notAfter),
        done: (session, filter) => { this.#subscribing.retainedDone(session, filter) }
      }
    })
    this.#setAside = new SetAside({ ...shared, events, follower: this.#follower })
    const following = { ...shared, timeline: this.#timeline, follower: this.#follower }
    this.#sweeper = new Sweeper({
      ...following,
      sessions: this.#sessions,
      expireRetained: (now) => this.#retained.expire(now),
      setAside: (session, flight, attempts) => {
        this.#setAside.set(session, flight, attempts).catch(() => {}) // what can't be written now is tried again
      }
    })
    this.#delivering = new Delivering({ ...following, retained: this.#retained, turnUnits })
    const access = { ...shared, events, retained: this.#retained, inOrder: new InOrder() }
    this.#inboxes = createInboxes(this.#options.inboxOf, {
      ...access,
      sessions: this.#sessions,
      subscribe: async (session, filter) => await this.#subscribing.subscribe(session, filter, 1, {})
    })
    this.#publishing = new Publishing({
      ...access,
      inboxes: this.#inboxes,
      messageExpiry: this.#options.messageExpiry ?? [],
      passOn: (message) => {
        this.#delivering.deliver(message, this.#log.tail)
        this.#delivering.settle()
        this.#follower.flushSoon()
      }
    })
    const subscribed = { sessions: this.#sessions, follower: this.#follower }
    const [inboxes, shares] = [this.#inboxes, (): Shares => this.#shares]
    this.#subscribing = new Subscribing({ ...access, ...subscribed, inboxes, shares })
    this.#shares = new Shares({ ...subscribed, broker: this, subscribing: this.#subscribing })
    this.#edge = new Edge(this, this.#auth, this.#publishing, this.#subscribing)
    this.#wills = new Wills({
      store: this.#store,
      log: this.#log,
      clock,
      publish: (message, changes, receipt) => { this.#publishing.append(message, receipt, changes) }
    })

    await this.#retained.load()
    this.secret = await loadSecret(this.#store, this.#log, this.#options.makeSecret ?? randomSecret)
    const { aliveAt, isClean } = await this.#heartbeat.resume(recovery)
    this.#follower.tick(clock.now()) // as it counts from here on
    const pendingRetained = await this.#sessions.load({ ...recovery, clean: recovery.clean && isClean }, aliveAt)
    for (const { subscription, notAfter } of pendingRetained) this.#subscribing.sendRetained(subscription, notAfter)
    await restoreLog({ ...shared, timeline: this.#timeline })
    this.#heartbeat.beat()
    await this.#shares.load()
    this.#inboxes?.load()
    await this.#wills.publishAll()
    await this.#log.settled()
    this.#stopWatching = this.#heap.onCollected(() => { this.#guard.collected() })
    this.#guard.check()
    this.#timers.every(HEAP_CHECK_MS, () => { this.#guard.check() })
    this.#timers.every(limits.cursorFlushMs, () => { this.#sessions.flush() })
    this.#timers.every(limits.sweepMs, () => {
      this.#sweeper.sweep()
      if (this.#wills.unwritten > 0 && !this.#log.failing && !this.#guard.isFull) this.#wills.retry()
    })
    this.#timers.every(ALIVE_MS, () => { this.#heartbeat.beat() })
    this.#timers.every(HEARTBEAT_MS, () => { this.#heartbeat.check() })
    return recovery
  }

  async settled (): Promise<void> { await this.#log.settled() }
  async copyTo (folder: string): Promise<void> {
    this.#assertOpen()
    await copyLog({ store: this.#store, log: this.#log, sessions: this.#sessions, heartbeat: this.#heartbeat }, folder)
  }

  async close (): Promise<void> {
    if (this.#isClosing) return
    this.#isClosing = true
    this.#publishing.close()
    this.#takeovers.close()
    this.#timers.close()
    this.#stopWatching()
    await this.#sessions.close()
    await this.#log.settled() // what was accepted gets its receipt
    for (const session of [...this.#sessions.values()]) {
      this.#cut(session, 'shutdown')
    }
    this.#sweeper.close()
    await this.#sessions.flushAll()
    if (!this.#log.failing) this.#heartbeat.beat(true)
    await this.#log.settled()
    await this.#store.close()
  }

  // --- sessions and connections

  async connect (request: ConnectRequest): Promise<Connected> {
    this.#assertOpen()
    await this.#takeovers.turn(this.#sessions.get(request.clientId), request)
    return await this.#sessions.connect(request)
  }

  async provision (session: Provision): Promise<boolean> {
    this.#assertOpen()
    const rights = session.rights ?? this.#auth.rightsOf(session.principal)
    return await provision(this, this.#subscribing, session, rights)
  }

  #assertOpen (): void {
    if (this.#isClosing) throw new HoldfastError('CLOSED', 'the server is shutting down')
  }

  attach (session: Session, link: Link, options: CoreAttachOptions = {}): Following {
    if (this.#isClosing || session.ended) {
      link.close(this.#isClosing ? 'shutdown' : 'taken-over')
      this.#sessions.release(session)
      return DETACHED
    }
    this.#cut(session, 'taken-over') // [MQTT-3.1.4-2]
    this.#sessions.attached(session)
    this.#inboxes?.attached(session)
    this.#sweeper.attaching(session)
    const attachment = this.#follower.attach(session, link, options.receivedThrough, options.readable)
    if (options.atOnce === true) this.#follower.flushOne(session)
    this.events.emit('attached', { clientId: session.clientId })
    return attachment
  }

  #cut (session: Session, reason: CloseReason): void { this.#follower.cut(session, reason) }

  release (session: Session, { endsNew = false }: { readonly endsNew?: boolean } = {}): void {
    this.#sessions.release(session, endsNew)
  }

  async end (clientId: ClientId, reason: 'administrator' | 'left' = 'administrator'): Promise<boolean> {
    this.#assertOpen()
    const session = this.#sessions.get(clientId)
    if (session === undefined || isShared(clientId)) return false
    this.#sessions.end(session, reason)
    this.#cut(session, 'ended')
    await this.#log.recorded([]) // its turn comes after that of the removal
    return true
  }

  disconnect (who: { readonly clientId: ClientId } | { readonly principal: Principal }): number {
    this.#assertOpen()
    if ('principal' in who) return this.#edge.disconnect(who.principal)
    const session = this.#sessions.get(who.clientId)
    if (session?.live === undefined || isShared(who.clientId)) return 0
    this.#cut(session, 'disconnected')
    return 1
  }

  // --- the edge

  authenticate (credentials: Credentials): Promise<Identity> { return this.#edge.authenticate(credentials) }
  enter (request: EnterRequest): Promise<Peer> { return this.#edge.enter(request) }
  refresh (): Promise<number> { return this.#edge.refresh() }

  // --- messages that were set aside

  async setAside (session: Session, delivery: Delivery, attempts: number): Promise<boolean> {
    this.#assertOpen()
    return await this.#setAside.set(session, delivery, attempts)
  }

  async * listSetAside (clientId: ClientId): AsyncIterableIterator<SetAsideMessage> {
    const session = this.#sessions.get(clientId)
    if (session === undefined) return
    for await (const one of this.#setAside.list(session)) yield setAsideByWall(one, time => this.clock.wall(time))
  }

  async dropSetAside (clientId: ClientId, id?: string): Promise<number> {
    this.#assertOpen()
    const session = this.#sessions.get(clientId)
    return session === undefined ? 0 : await this.#setAside.drop(session, id)
  }

  // --- subscriptions and messages

  async subscribe (session: Session, filter: string, qos: QoS, options: CoreSubscribeOptions = {}): Promise<QoS> {
    this.#assertOpen()
    return await this.#subscribing.subscribe(session, filter, qos, options)
  }

  async unsubscribe (session: Session, filter: string): Promise<void> {
    this.#assertOpen()
    await this.#subscribing.unsubscribe(session, filter)
  }

  checkMessage (topic: string, payloadBytes: number): void {
    checkTopic(topic, this.limits)
    checkSize(topic, payloadBytes, this.limits)
  }

  publish (publisher: Publisher, request: PublishRequest, receipt: Receipt): void {
    this.#publishing.publish(publisher, ALL_RIGHTS, request, receipt)
  }

  publishOnce (session: Session, packetId: PacketId, request: PublishRequest, receipt: Receipt): void {
    this.#publishing.publishOnce(session, ALL_RIGHTS, packetId, request, receipt)
  }

  refuse (publisher: ClientId, topic: string, error: HoldfastError, receipt: Receipt): void {
    this.#publishing.refuse(publisher, topic, error, receipt)
  }

  hasIncoming (session: Session, packetId: PacketId): boolean { return session.incoming?.has(packetId) === true }
  releaseIncoming (session: Session, packetId: PacketId): Promise<void> {
    return this.#publishing.releaseIncoming(session, packetId)
  }

  announce (by: Publisher, topic: string, payload: Buffer): void { this.#publishing.announce(by, topic, payload) }

  retained (filter: string): AsyncIterableIterator<Message> { return this.#retained.messages(filter) }

  // --- looking in

  * sessions (): IterableIterator<SessionInfo> {
    for (const session of this.#sessions.values()) yield infoOf(session, this.#index, this.clock)
  }

  session (clientId: ClientId): SessionInfo | undefined {
    const session = this.#sessions.get(clientId)
    return session === undefined ? undefined : infoOf(session, this.#index, this.clock)
  }

  stats (): BrokerStats {
    return statsOf({
      sessions: this.#sessions, index: this.#index, retained: this.#retained, publishing: this.#publishing,
      follower: this.#follower, shares: this.#shares, setAside: this.#setAside, takeovers: this.#takeovers,
      auth: this.#auth, log: this.#log, heartbeat: this.#heartbeat, guard: this.#guard, store: this.#store,
      sweeper: this.#sweeper, timeline: this.#timeline, clock: this.clock
    }, this.#gapMessages)
  }
}
