/**
 * Vocabulary of the session tests:
 * - a world holds the data of one store, as the disk keeps it; a server is a broker over it, with a clock of its own
 * - a link is a connection that writes down what it is handed; `got` is what was delivered, as words
 */
import type { Test } from 'tap'
import { createCore } from '../../broker/holdfast-broker.ts'
import type { BrokerOptions, PublishRequest } from '../../broker/broker.ts'
import type { Connected, Core } from '../../broker/core.ts'
import { DEFAULT_LIMITS, everybody, type AttachOptions, type Heap, type HoldfastError, type Limits
} from '../../broker/index.ts'
import type { Session } from '../../broker/session/session.ts'
import type { TimeSource } from '../../broker/system/clock.ts'
import type { ClientId, PacketId, Principal, QoS } from '../../broker/model/message.ts'
import type { Attachment, CloseReason, Delivery, GapReason, Link } from '../../broker/session/link.ts'
import type { Store } from '../../broker/store/store.ts'
import { createManualClock, type ManualClock } from '../helpers/manual-clock.ts'
import { createStoreDouble, type StoreDouble } from '../helpers/store-double.ts'
import { until } from '../helpers/wait.ts'

export interface World {
  /** A store over this world's data, not yet open. One at a time. */
  create (): Store
  /** Keeps what is on the disk at this moment, as `kill -9` would leave it. */
  crash (): void
}
export type WorldFactory = (t: Test) => World

export const DAY_MS = 86_400_000
const START_MS = 1_700_000_000_000
export class TestLink implements Link {
  writable = true
  readonly deliveries: Delivery[] = []
  readonly released: number[] = []
  readonly gaps: Array<[number, GapReason]> = []
  closed: CloseReason | undefined
  attachment: Attachment | undefined
  session: Session | undefined

  deliver (deliveries: readonly Delivery[]): void {
    if (this.closed !== undefined) throw new Error('delivered after close()')
    this.deliveries.push(...deliveries)
  }

  release (packetId: PacketId): void { this.released.push(packetId) }
  gap (count: number, reason: GapReason): void { this.gaps.push([count, reason]) }
  close (reason: CloseReason): void { this.closed ??= reason }

  get got (): string[] { return this.deliveries.map(({ message }) => message.payload.toString()) }
  get ids (): number[] { return this.deliveries.map(({ packetId }) => packetId) }
  get dups (): boolean[] { return this.deliveries.map(({ dup }) => dup) }

  ack (...packetIds: number[]): void { for (const id of packetIds) this.attachment!.acknowledge(id as PacketId) }
  async received (packetId: number): Promise<void> { await this.attachment!.received(packetId as PacketId) }
  detach (): void { this.attachment!.detach() }
}

export interface ConnectOptions {
  readonly principal?: string
  readonly clean?: boolean
  readonly expiryMs?: number
  readonly tag?: (previous: string | undefined) => string
}

interface More {
  heap?: Heap | undefined
  turnUnits?: number | undefined
  inboxOf?: BrokerOptions['inboxOf']
  messageExpiry?: BrokerOptions['messageExpiry']
}

export class Server {
  readonly broker: Core
  readonly clock: ManualClock
  readonly store: StoreDouble
  readonly limits: Limits
  readonly #world: World
  readonly #more: More

  /** @param turnUnits what is done in one turn, each of which is one of the event loop then */
  constructor (world: World, limits: Partial<Limits> = {}, startMs = START_MS, more: More = {}) {
    const { heap, turnUnits, inboxOf, messageExpiry } = more
    this.#more = more
    this.#world = world
    this.limits = { ...DEFAULT_LIMITS, ...limits }
    this.clock = createManualClock(startMs)
    this.store = createStoreDouble(world.create())
    const clock = turnUnits === undefined ? this.clock : withTurns(this.clock)
    this.broker = createCore({
      store: this.store,
      auth: everybody,
      limits: this.limits,
      clock,
      makeId: () => 'made',
      turnUnits: turnUnits ?? Infinity,
      ...(heap && { heap }),
      ...(inboxOf && { inboxOf }),
      ...(messageExpiry && { messageExpiry })
    })
  }

  static async start (t: Test, world: World, limits: Partial<Limits> = {}, startMs = START_MS,
    more?: More): Promise<Server> {
    const server = new Server(world, limits, startMs, more)
    await server.broker.open()
    t.teardown(async () => { await server.broker.close() })
    return server
  }

  /** The next server over the same data, `downMs` later. */
  async stopped (t: Test, downMs = 0): Promise<Server> {
    await this.broker.close()
    return await Server.start(t, this.#world, this.limits, this.clock.now() + downMs, this.#more)
  }

  async crashed (t: Test, downMs = 0): Promise<Server> {
    this.#world.crash()
    return await Server.start(t, this.#world, this.limits, this.clock.now() + downMs, this.#more)
  }

  async session (clientId: string, options: ConnectOptions = {}): Promise<Session> {
    return (await this.connect(clientId, options)).session
  }

  async connect (clientId: string, { principal = 'me', clean = false, expiryMs = DAY_MS, tag }: ConnectOptions = {}):
  Promise<Connected> {
    return await this.broker.connect(
      { clientId: clientId as ClientId, principal: principal as Principal, clean, expiryMs, tag })
  }

  attach (session: Session, options?: AttachOptions): TestLink {
    const link = new TestLink()
    link.session = session
    link.attachment = this.broker.attach(session, link, options)
    return link
  }

  /** Connects, subscribes and attaches. */
  async follower (clientId: string, filters: Readonly<Record<string, QoS>>, options: ConnectOptions = {}):
  Promise<{ session: Session, link: TestLink }> {
    const session = await this.session(clientId, options)
    const link = this.attach(session)
    for (const [filter, qos] of Object.entries(filters)) await this.broker.subscribe(session, filter, qos)
    return { session, link }
  }

  /** As follower(), and away again. */
  async away (clientId: string, filters: Readonly<Record<string, QoS>>, options: ConnectOptions = {}): Promise<void> {
    (await this.follower(clientId, filters, options)).link.detach()
  }

  async back (clientId: string, options: ConnectOptions = {}): Promise<TestLink> {
    return this.attach(await this.session(clientId, options))
  }

  /** Resolves with the receipt, or rejects with what it says. */
  async publish (topic: string, payload: string | Buffer, qos: QoS = 1, retain = false): Promise<void> {
    await new Promise<void>((resolve, reject) => { this.publishThen(topic, payload, qos, retain, resolve, reject) })
  }

  /** With more than MQTT 3.1.1 has. */
  async publishWith (topic: string, payload: string, more: Partial<PublishRequest>): Promise<void> {
    const publisher = { clientId: 'publisher' as ClientId, principal: 'me' as Principal }
    await new Promise<void>((resolve, reject) => {
      this.broker.publish(publisher, { topic, payload: Buffer.from(payload), qos: 1, retain: false, id: '', ...more },
        (error) => { if (error === undefined) resolve(); else reject(error) })
    })
  }

  publishThen (topic: string, payload: string | Buffer, qos: QoS, retain: boolean, kept: () => void,
    refused: (error: HoldfastError) => void): void {
    const publisher = { clientId: 'publisher' as ClientId, principal: 'me' as Principal }
    this.broker.publish(publisher, { topic, payload: Buffer.from(payload), qos, retain, id: '' },
      (error) => { if (error === undefined) kept(); else refused(error) })
  }

  /** `from` to `to` - 1, in one go. */
  async publishMany (topic: string, from: number, to: number, qos: QoS = 1): Promise<void> {
    await Promise.all(numbers(from, to).map(async (payload) => { await this.publish(topic, payload, qos) }))
  }

  /** Until nothing is on its way any more. */
  async quiet (): Promise<void> {
    for (let i = 0; i < 3; i++) {
      await this.broker.settled()
      this.clock.advance(0) // what was put off to the next turn
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  /** Time passes, in steps of a sweep. */
  async pass (ms: number): Promise<void> {
    for (let rest = ms; rest > 0; rest -= this.limits.sweepMs) {
      this.clock.advance(Math.min(rest, this.limits.sweepMs))
      await this.quiet()
    }
  }

  /** What moved is written down, and what nobody needs is trimmed. */
  async flushed (): Promise<void> { await this.pass(2 * Math.max(this.limits.cursorFlushMs, this.limits.sweepMs)) }

  /** Acknowledges everything that comes, until there are `count` deliveries. */
  async drain (link: TestLink, count: number): Promise<void> {
    let next = 0
    await until(() => {
      for (; next < link.deliveries.length; next++) link.ack(link.deliveries[next].packetId)
      return next >= count
    }, `${count} deliveries, ${link.deliveries.length} came`, undefined, 1)
    await this.quiet()
  }

  get stored (): number { return this.store.usage().messages }
}

function withTurns (clock: ManualClock): TimeSource {
  return {
    ...clock,
    after (ms, callback) {
      if (ms > 0) return clock.after(ms, callback)
      const immediate = setImmediate(callback)
      return () => clearImmediate(immediate)
    }
  }
}

export function numbers (from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, i) => String(from + i))
}
