/**
 * Filters coming and going. A subscription has its place in the log like a message: it counts for what comes after it.
 */
import type { Rights } from '../auth/rights.ts'
import type { CoreSubscribeOptions } from '../core.ts'
import { HoldfastError } from '../model/errors.ts'
import type { Events } from '../system/events.ts'
import type { HeapGuard } from '../system/heap-guard.ts'
import type { InOrder } from '../system/in-order.ts'
import type { Limits } from '../model/limits.ts'
import type { LogIndex } from '../log/log-index.ts'
import type { Log, RecordChange } from '../log/log.ts'
import { PENDING, type Subscription } from '../log/route.ts'
import type { ClientId, Offset, QoS } from '../model/message.ts'
import type { Inboxes } from './inboxes.ts'
import type { Retained } from './retained.ts'
import type { Follower } from '../session/follower.ts'
import { lostWithout } from '../session/backlog.ts'
import { filterChange } from '../session/records.ts'
import { RetainedDue } from '../session/retained-due.ts'
import type { Session } from '../session/session.ts'
import { isOfServer, type Sessions } from '../sessions/sessions.ts'
import type { Shares } from '../shared/shares.ts'
import { checkFilter, filterBehind, isShared, SHARED_QOS_MAX, show } from '../model/topics.ts'

export interface SubscribingOptions {
  readonly index: LogIndex<Session>
  readonly log: Log
  readonly retained: Retained
  readonly sessions: Sessions
  readonly follower: Follower
  readonly limits: Limits
  readonly guard: HeapGuard
  readonly events: Events
  readonly inOrder: InOrder
  /** Asked when it is needed, as it needs this. */
  shares (): Shares
  readonly inboxes: Pick<Inboxes, 'inherit'> | undefined
}

const NO_CHANGES: readonly RecordChange[] = []

export class Subscribing {
  readonly #index
  readonly #log
  readonly #retained
  readonly #sessions
  readonly #follower
  readonly #limits
  readonly #guard
  readonly #events
  readonly #inOrder
  readonly #shares
  readonly #inboxes
  /** Filters whose record counts from another place than they do, and who waits until that is mended. */
  readonly #inexact = new Map<Subscription<Session>, Array<(error?: HoldfastError) => void>>()

  constructor (options: SubscribingOptions) {
    this.#index = options.index
    this.#log = options.log
    this.#retained = options.retained
    this.#sessions = options.sessions
    this.#follower = options.follower
    this.#limits = options.limits
    this.#guard = options.guard
    this.#events = options.events
    this.#inOrder = options.inOrder
    this.#shares = () => options.shares()
    this.#inboxes = options.inboxes
  }

  /** Throws what subscribe() would, for a session that may not be there yet, and changes nothing. */
  async check (clientId: ClientId, rights: Rights, filters: readonly string[], mayShare = false): Promise<void> {
    const subscriptions = this.#sessions.get(clientId)?.subscriptions
    const added = filters.filter((filter) => subscriptions?.get(filter) === undefined).length
    if (added > 0) this.#checkRoom((subscriptions?.size ?? 0) + added)
    for (const filter of filters) {
      checkFilter(filter, this.#limits, mayShare)
      if (!(await rights.maySubscribe(clientId, filterBehind(filter)))) throw notAllowed(filter)
    }
  }

  #checkRoom (filters: number): void {
    const { filtersPerSessionMax } = this.#limits
    if (filters > filtersPerSessionMax) {
      throw new HoldfastError('FILTERS_FULL', `filtersPerSessionMax = ${filtersPerSessionMax}`)
    }
  }

  async subscribe (session: Session, filter: string, qos: QoS, { rights, mayShare = false }: CoreSubscribeOptions
  ): Promise<QoS> {
    checkFilter(filter, this.#limits, mayShare)
    const allowed = rights?.maySubscribe(session.clientId, filterBehind(filter)) ?? true
    if (isShared(filter)) return await this.#share(session, filter, Math.min(qos, SHARED_QOS_MAX) as QoS, allowed)
    return await this.#inTurn(session, allowed, filter, () => this.#subscribe(session, filter, qos))
  }

  /** First the group is durable, then that the session is a member. */
  async #share (session: Session, filter: string, qos: QoS, allowed: boolean | Promise<boolean>): Promise<QoS> {
    const shares = this.#shares()
    let isPrepared = false
    let failure: unknown
    const prepared = Promise.resolve(allowed).then(async (isAllowed) => {
      if (isAllowed) {
        await shares.prepare(filter, qos).catch((error: unknown) => {
          failure = error
          throw error
        })
        isPrepared = true
      }
      return isAllowed
    })
    try {
      return await this.#inTurn(session, prepared, filter, () => this.#subscribe(session, filter, qos))
    } catch (error) {
      throw failure ?? error
    } finally {
      if (isPrepared) shares.settled(filter)
    }
  }

  /** What a client subscribes to, unsubscribes and publishes takes effect in its order. */
  async #inTurn<T> ({ clientId }: Session, allowed: boolean | Promise<boolean>, filter: string,
    then: () => Promise<T>): Promise<T> {
    return await new Promise((resolve, reject) => {
      this.#inOrder.run(clientId, allowed, () => { then().then(resolve, reject) }, () => { reject(notAllowed(filter)) })
    })
  }

  async #subscribe (session: Session, filter: string, qos: QoS): Promise<QoS> {
    const existing = session.subscriptions.get(filter)
    if (existing === undefined) {
      this.#checkRoom(session.subscriptions.size + 1)
      this.#guard.assertRoom(`the filter ${show(filter)}`) // [G6]
    }
    if (session.ended) throw new HoldfastError('CLOSED', 'the session has ended')
    const subscription = existing ?? this.#sessions.addSubscription(session, filter, qos, PENDING)
    const before = subscription.qos
    const asked = Math.max(subscription.writes > 0 ? subscription.asked : before, qos) as QoS
    subscription.route.setQos(subscription, before, asked) // from here on messages are stored for it
    const hasRetained = !isOfServer(session.principal) && this.#retained.mayMatch(filter)
    const inherited = existing === undefined ? this.#inboxes?.inherit(session, filter) : undefined
    const keepsFrom = existing !== undefined && before > 0 && existing.from !== PENDING
    // Where an earlier one is still on its way, a crash must not find a later place than that will have [G2].
    const from = keepsFrom ? existing.from : existing?.from === PENDING ? this.#log.tail : inherited?.from
    const changes = session.clean
      ? NO_CHANGES
      : [filterChange(session, filter, qos, hasRetained, from), ...inherited?.changes ?? NO_CHANGES]
    subscription.writes++
    return await new Promise((resolve, reject) => {
      this.#log.record(changes, (error, end) => { // its place is between the messages before it and those after it
        subscription.writes--
        const at = inherited?.from ?? end
        if (error !== undefined) inherited?.failed()
        if (subscription.place === -1) { // unsubscribed meanwhile, or the session has ended
          this.#settle(subscription, true)
          if (error === undefined) resolve(qos)
          else reject(error)
          return
        }
        if (error !== undefined) {
          if (subscription.from !== PENDING) this.#setQos(subscription, subscription.qos)
          else if (subscription.writes === 0) this.#sessions.removeSubscription(subscription) // nor was an earlier one
          if (subscription.writes === 0) this.#settle(subscription, false)
          reject(error)
          return
        }
        this.#sessions.removals.filterWritten(session, filter)
        if (subscription.from === PENDING || subscription.qos === 0) subscription.from = at
        this.#replace(subscription, qos)
        if (isShared(filter)) this.#shares().joined(session, filter, qos)
        this.#events.emit('subscribed', { clientId: session.clientId, filter, qos })
        this.sendRetained(subscription, at) // [MQTT-3.3.1-6], [MQTT-3.8.4-3]
        // What is written must count from where the subscription does, which an earlier one may have begun.
        const isExact = session.clean || subscription.from === (from ?? at)
        if (!isExact) this.#inexact.set(subscription, this.#inexact.get(subscription) ?? [])
        const waiting = this.#inexact.get(subscription)
        if (waiting === undefined) resolve(qos)
        else waiting.push((failure) => { if (failure === undefined) resolve(qos); else reject(failure) })
        if (subscription.writes === 0) this.#settle(subscription, isExact)
      })
    })
  }

  /**
   * The last SUBSCRIBE of a filter that was on its way is applied or has failed: unless the record on the disk is
   * exact, it is written once more, and those who wait for it are told.
   */
  #settle (subscription: Subscription<Session>, isExact: boolean): void {
    const waiting = this.#inexact.get(subscription)
    if (waiting === undefined) return
    this.#inexact.delete(subscription)
    const tell = (failure?: HoldfastError): void => { for (const told of waiting) told(failure) }
    if (isExact) return tell()
    const { session, route, qos, from } = subscription
    const isOwed = session.retainedDue?.has(route.filter) === true || session.retainedSent?.has(route.filter) === true
    this.#log.record([filterChange(session, route.filter, qos, isOwed, from)], tell)
  }

  /** At QoS 0 nothing waits for a filter: what did, for it and for no other, is told as a gap [G5]. */
  #replace (subscription: Subscription<Session>, qos: QoS): void {
    const { session } = subscription
    if (qos > 0 || subscription.qos === 0 || session.clean || session.live?.caughtUp === true) {
      this.#setQos(subscription, qos)
      return
    }
    const lost = lostWithout(session, subscription, this.#index, () => { this.#setQos(subscription, qos) })
    this.#follower.unsubscribed(session) // what was found for it is not sent
    if (lost > 0) this.#follower.lose(session, lost, 'qos-lowered')
  }

  #setQos (subscription: Subscription<Session>, qos: QoS): void {
    const asked = subscription.writes > 0 ? Math.max(qos, subscription.asked) as QoS : qos
    subscription.route.setQos(subscription, qos, asked)
    subscription.session.tally = undefined
    if (qos === 0) this.#index.released(subscription)
  }

  async unsubscribe (session: Session, filter: string): Promise<void> {
    await this.#inTurn(session, true, filter, () => this.#unsubscribe(session, filter))
  }

  async #unsubscribe (session: Session, filter: string): Promise<void> {
    const { removals } = this.#sessions
    const subscription = session.subscriptions.get(filter)
    if (subscription === undefined && !removals.owesFilter(session, filter)) return
    if (subscription !== undefined) {
      this.#sessions.removeSubscription(subscription)
      session.retainedDue?.remove(filter)
      session.retainedSent?.delete(filter)
      this.#follower.unsubscribed(session)
    }
    if (!session.clean) await removals.removeFilter(session, filter)
  }

  /** The subscription is owed the retained messages that match. */
  sendRetained ({ session, route }: Subscription<Session>, notAfter: Offset): void {
    session.retainedSent?.delete(route.filter)
    if (isOfServer(session.principal) || !this.#retained.mayMatch(route.filter)) return
    (session.retainedDue ??= new RetainedDue()).add(route.filter, notAfter)
    if (session.live !== undefined) this.#follower.wake(session)
  }

  /** All retained messages of a subscription were sent: after a restart they are not due again. */
  retainedDone (session: Session, filter: string): void {
    const subscription = session.subscriptions.get(filter)
    if (session.clean || subscription === undefined || subscription.from === PENDING) return
    if (subscription.writes > 0) return // a SUBSCRIBE is on its way, for which they are due anew
    this.#log.record([filterChange(session, filter, subscription.qos, false, subscription.from)], () => {})
  }
}

function notAllowed (filter: string): HoldfastError {
  return new HoldfastError('NOT_AUTHORIZED', `subscribing to ${show(filter)}`)
}
