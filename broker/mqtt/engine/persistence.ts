/**
 * The persistence that Aedes is given: the contract of broker-persistence.ts, without what the session and the hooks of
 * aedes.ts have done before Aedes asks for it. Every override says who does it.
 */
import { Readable } from 'node:stream'
import type { Broker } from '../../broker.ts'
import type { PacketId } from '../../model/message.ts'
import type { Session } from '../../session/session.ts'
import {
  BrokerPersistence, willMessage, type ClientSubscription, type ContractClient, type ContractPacket,
  type ContractSubscription
} from './broker-persistence.ts'
import { Resolved } from './resolved.ts'

export { willMessage, type ContractClient, type ContractPacket, type ContractSubscription }

const NOTHING = new Resolved<undefined>(undefined)

/** How the transport finds the session of a client, and what an acknowledgement does. */
export interface PersistenceOptions {
  readonly broker: Broker
  sessionOf (client: ContractClient): Session | undefined
  acknowledge (client: ContractClient, packetId: PacketId): void
  received (client: ContractClient, packetId: PacketId): Promise<void>
  /** The store could not forget an identifier: PUBCOMP must not be sent. */
  failed (client: ContractClient): void
}

export class SessionPersistence extends BrokerPersistence {
  readonly #options: PersistenceOptions

  constructor (options: PersistenceOptions) {
    super(options.broker)
    this.#options = options
  }

  // --- subscriptions: the session restores and routes by itself; for Aedes there are none

  override async subscriptionsByClient (): Promise<readonly ContractSubscription[]> { return [] }
  override async subscriptionsByTopic (): Promise<readonly ClientSubscription[]> { return [] }

  /** authorizeSubscribe has made them, where it is known which are refused. */
  override async addSubscriptions (): Promise<void> {}

  /** Of the session that the connection follows, which may be a clean one. */
  override async removeSubscriptions (client: ContractClient, filters: readonly string[]): Promise<void> {
    const session = this.#options.sessionOf(client)
    if (session === undefined) return
    await Promise.all(filters.map(async (filter) => { await this.#options.broker.unsubscribe(session, filter) }))
  }

  /** A clean session begins without any. */
  override async cleanSubscriptions (): Promise<void> {}

  // --- retained messages: authorizePublish has stored them, the session sends them

  override async storeRetained (): Promise<void> {}
  override createRetainedStreamCombi (): Readable { return Readable.from([]) }

  // --- the window of the session stands for the outgoing queue

  /** PUBREC: PUBREL follows when it resolves. */
  override outgoingUpdate (client: ContractClient, packet: ContractPacket): PromiseLike<unknown> {
    return this.#options.received(client, packet.messageId as PacketId)
  }

  /** PUBACK and PUBCOMP. */
  override outgoingClearMessageId (client: ContractClient, packet: ContractPacket): PromiseLike<unknown> {
    this.#options.acknowledge(client, packet.messageId as PacketId)
    return NOTHING
  }

  // --- incoming QoS 2: authorizePublish has stored it, in the session that the connection follows

  override async incomingGetPacket (client: ContractClient, packet: ContractPacket): Promise<Partial<ContractPacket>> {
    const session = this.#options.sessionOf(client)
    if (session !== undefined && this.#options.broker.hasIncoming(session, packet.messageId as PacketId)) return packet
    throw new Error('no such packet')
  }

  override async incomingDelPacket (client: ContractClient, packet: ContractPacket): Promise<void> {
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

  /** With the principal of the session. */
  override async putWill (client: ContractClient, packet: ContractPacket): Promise<void> {
    const session = this.#options.sessionOf(client)
    if (session !== undefined) await this.#options.broker.wills.put(willMessage(session, packet, this.#options.broker))
  }

  override async delWill (client: ContractClient): Promise<ContractPacket | void> {
    const session = this.#options.sessionOf(client)
    if (session !== undefined) await this.#options.broker.wills.remove(session.clientId)
  }

  /** Wills of clients that a crash took are published by the broker when it opens. */
  override streamWill (): Readable { return Readable.from([]) }
}
