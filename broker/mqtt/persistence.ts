/**
 * The aedes-persistence contract over the broker: what Aedes asks for is answered from the log and the sessions.
 *
 * Its outgoing queue does not exist: a session follows its cursor by itself. Enqueueing has happened when the message
 * was appended, updating is nothing, clearing a packet identifier is the acknowledgement, the stream is empty.
 */
import { Readable } from 'node:stream'
import type { Broker } from '../broker.ts'
import type { ClientId, Message, PacketId, QoS } from '../message.ts'
import type { Session } from '../session/session.ts'

/** What the contract passes as a client: Aedes's Client, or just its id. */
export interface ContractClient { readonly id: string, readonly closed?: boolean }
export interface ContractSubscription { topic: string, qos: QoS, rh?: number, rap?: boolean, nl?: boolean }
export interface ContractPacket {
  cmd?: string
  topic: string
  payload: Buffer | string
  qos: QoS
  retain: boolean
  messageId?: number
  brokerId?: string
  clientId?: string
}

/** A promise that has already been kept, without the detour through the microtask queue: for the hot path. */
class Kept<T> implements PromiseLike<T> {
  readonly #value: T
  constructor (value: T) { this.#value = value }

  then<A = T, B = never> (onKept?: ((value: T) => A | PromiseLike<A>) | null,
    _onBroken?: ((reason: unknown) => B | PromiseLike<B>) | null): PromiseLike<A | B> {
    return onKept == null ? this as unknown as PromiseLike<A> : new Kept(onKept(this.#value)) as unknown as PromiseLike<A>
  }
}
const NOTHING = new Kept<undefined>(undefined)
const NO_SUBSCRIPTIONS = new Kept<readonly never[]>([])

/** How the transport finds the session of a client, and what an acknowledgement does. */
export interface PersistenceOptions {
  readonly broker: Broker
  sessionOf (client: ContractClient): Session | undefined
  acknowledge (client: ContractClient, packetId: PacketId): void
  received (client: ContractClient, packetId: PacketId): Promise<void>
  /** The store could not forget an identifier: PUBCOMP must not be sent. */
  failed (client: ContractClient): void
}

export class SessionPersistence {
  readonly #options: PersistenceOptions

  constructor (options: PersistenceOptions) {
    this.#options = options
  }

  async setup (): Promise<void> {}
  async destroy (): Promise<void> {}

  // --- what Aedes asks when it restores, subscribes and routes: the session does all of that itself

  subscriptionsByClient (_client: ContractClient): PromiseLike<readonly ContractSubscription[]> { return NO_SUBSCRIPTIONS }
  subscriptionsByTopic (_topic: string): PromiseLike<readonly never[]> { return NO_SUBSCRIPTIONS }
  addSubscriptions (_client: ContractClient, _subscriptions: readonly ContractSubscription[]): PromiseLike<undefined> {
    return NOTHING // authorizeSubscribe did, where it is known which are refused
  }

  async removeSubscriptions (client: ContractClient, filters: readonly string[]): Promise<void> {
    const session = this.#options.sessionOf(client)
    if (session === undefined) return
    await Promise.all(filters.map(async (filter) => { await this.#options.broker.unsubscribe(session, filter) }))
  }

  cleanSubscriptions (_client: ContractClient): PromiseLike<undefined> { return NOTHING }
  createRetainedStreamCombi (_filters: readonly string[]): Readable { return Readable.from([]) }
  storeRetained (_packet: ContractPacket): PromiseLike<undefined> { return NOTHING }

  // --- the outgoing queue

  outgoingEnqueueCombi (): PromiseLike<undefined> { return NOTHING }
  outgoingStream (): Readable { return Readable.from([]) }

  /** PUBREC: PUBREL follows when it resolves. */
  outgoingUpdate (client: ContractClient, packet: ContractPacket): PromiseLike<void> {
    return this.#options.received(client, packet.messageId as PacketId)
  }

  /** PUBACK and PUBCOMP. */
  outgoingClearMessageId (client: ContractClient, packet: ContractPacket): PromiseLike<undefined> {
    this.#options.acknowledge(client, packet.messageId as PacketId)
    return NOTHING
  }

  // --- incoming QoS 2 (MQTT 4.3.3): the message itself is in the log, only its identifier is kept

  async incomingGetPacket (client: ContractClient, packet: ContractPacket): Promise<ContractPacket> {
    const session = this.#options.sessionOf(client)
    if (session !== undefined && this.#options.broker.hasIncoming(session, packet.messageId as PacketId)) return packet
    throw new Error('no such packet')
  }

  async incomingDelPacket (client: ContractClient, packet: ContractPacket): Promise<void> {
    const session = this.#options.sessionOf(client)
    if (session === undefined) throw new Error('no such packet')
    try {
      await this.#options.broker.releaseIncoming(session, packet.messageId as PacketId)
    } catch (error) {
      this.#options.failed(client)
      throw error
    }
  }

  // --- wills

  async putWill (client: ContractClient, packet: ContractPacket): Promise<void> {
    const session = this.#options.sessionOf(client)
    if (session !== undefined) await this.#options.broker.wills.put(willMessage(session, packet, this.#options.broker))
  }

  async delWill (client: ContractClient): Promise<void> {
    const session = this.#options.sessionOf(client)
    if (session !== undefined) await this.#options.broker.wills.remove(session.clientId)
  }

  /** Wills of clients that a crash took are published by the broker when it opens. */
  streamWill (): Readable { return Readable.from([]) }
}

export function willMessage (session: { clientId: ClientId, principal: Session['principal'] }, packet: ContractPacket,
  broker: Broker): Message {
  return {
    topic: packet.topic,
    payload: Buffer.from(packet.payload),
    qos: packet.qos,
    retain: packet.retain,
    publisher: session.clientId,
    principal: session.principal,
    time: broker.clock.now(),
    id: '',
    wire: undefined
  }
}
