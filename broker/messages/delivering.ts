/** One way out: what the log yields, in its order, to the sessions that are attached [G3]. */
import type { Clock } from '../system/clock.ts'
import type { LogIndex } from '../log/log-index.ts'
import { PENDING, type Route } from '../log/route.ts'
import type { Timeline } from '../log/timeline.ts'
import { isExpired, ORIGIN, type Entry, type Message, type Offset, type QoS } from '../model/message.ts'
import type { Retained } from './retained.ts'
import type { Follower } from '../session/follower.ts'
import type { Session } from '../session/session.ts'

export interface DeliveringOptions {
  readonly index: LogIndex<Session>
  readonly timeline: Timeline
  readonly retained: Retained
  readonly follower: Follower
  readonly clock: Clock
  /** See BrokerOptions. */
  readonly turnUnits: number
}

export class Delivering {
  readonly #options: DeliveringOptions
  readonly #follower: Follower
  #number = 0
  #offered: Session[] = []
  /** Messages that only this filter matches, and that were not offered yet. */
  #run: Array<Message | Entry> = []
  #route: Route<Session> | undefined
  /** Messages that had been offered when the turn began. */
  #turnBegan = 0

  constructor (options: DeliveringOptions) {
    this.#options = options
    this.#follower = options.follower
  }

  /** As LogEvents.deliver(). */
  deliver (message: Message | Entry, at: Offset): void {
    const { index, timeline, retained } = this.#options
    const offset = offsetOf(message)
    const routes = 'offset' in message ? index.add(message) : index.match(message.topic)
    if (offset !== ORIGIN) timeline.note(offset, message.time)
    if (message.retain) retained.applied(message, offset === ORIGIN ? at : offset)
    if (routes.length === 0 || this.#isOver(message)) return
    if (routes.length > 1 || routes[0] !== this.#route) this.settle()
    if (routes.length > 1) this.#deliverOverlapping(routes, message, offset)
    else {
      this.#route = routes[0]
      this.#run.push(message)
    }
  }

  /** The disk may have taken longer than it lasts [G9]. */
  #isOver (message: Message): boolean {
    return message.extension !== undefined && isExpired(message, this.#options.clock.now())
  }

  /** As LogEvents.settle(): session by session, as going from one to the next costs more than a message does. */
  settle (): void {
    if (this.#route === undefined) return
    for (const { session, qos, from } of this.#route.attached) {
      if (from === PENDING) continue
      for (const message of this.#run) {
        this.#follower.offer(session, message, offsetOf(message), Math.min(qos, message.qos) as QoS)
      }
    }
    this.#route = undefined
    this.#run = []
  }

  /** Several filters match: a session gets it once, at the highest QoS of its filters [MQTT-3.3.5-1]. */
  #deliverOverlapping (routes: ReadonlyArray<Route<Session>>, message: Message, offset: Offset): void {
    const number = ++this.#number
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

  /** A batch that goes to very many is delivered in slices, between its messages [G8]. As LogEvents.turn(). */
  turn (): Promise<void> | undefined {
    const waiting = this.#route === undefined ? 0 : this.#run.length * this.#route.attached.length
    if (this.#follower.offered + waiting - this.#turnBegan < this.#options.turnUnits) return undefined
    this.settle()
    return new Promise((resolve) => {
      this.#options.clock.after(0, () => {
        this.#turnBegan = this.#follower.offered
        resolve()
      })
    })
  }
}

function offsetOf (message: Message | Entry): Offset { return 'offset' in message ? message.offset : ORIGIN }
