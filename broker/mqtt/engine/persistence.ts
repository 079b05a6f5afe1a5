/**
 * The persistence that Aedes is given. The peers and the hooks of aedes.ts have done nearly all of it before Aedes asks
 * for it: each method says who does it. The contract itself, whole and over the broker, is tried by its abstract suite
 * (test/conformance/aedes-persistence.test.ts).
 */
import { Readable } from 'node:stream'
import type { Broker, Peer } from '../../broker.ts'
import type { ClientId, PacketId } from '../../model/message.ts'
import {
  willMessage, type ClientSubscription, type ContractBroker, type ContractClient, type ContractPacket,
  type ContractSubscription
} from './contract.ts'
import { Resolved } from './resolved.ts'

const NOTHING = new Resolved<undefined>(undefined)
const NOBODY: readonly ClientSubscription[] = []

/** How the transport finds the peer of a client, and what an acknowledgement does. */
export interface PersistenceOptions {
  readonly broker: Pick<Broker, 'clock' | 'wills'>
  peerOf (client: ContractClient): Peer | undefined
  /** For the one call that follows in the turn in which a client was let in. */
  presence (): readonly ContractSubscription[]
  /** Of two connections under one identifier, is this the one whose will counts? */
  isLatest (client: ContractClient): boolean
  acknowledge (client: ContractClient, packetId: PacketId): void
  received (client: ContractClient, packetId: PacketId): Promise<void>
  /** The store could not forget an identifier: PUBCOMP must not be sent. */
  failed (client: ContractClient): void
}

export class SessionPersistence {
  readonly #options: PersistenceOptions
  broker: ContractBroker | undefined

  constructor (options: PersistenceOptions) {
    this.#options = options
  }

  async setup (broker: ContractBroker): Promise<void> { this.broker = broker }
  async destroy (): Promise<void> {}

  // --- subscriptions: the session restores and routes by itself; for Aedes there are none

  subscriptionsByClient (): Promise<readonly ContractSubscription[]> {
    return Promise.resolve(this.#options.presence())
  }

  async subscriptionsByTopic (): Promise<readonly ClientSubscription[]> { return NOBODY }

  /** authorizeSubscribe has made them, where it is known which are refused. */
  async addSubscriptions (): Promise<void> {}

  /** Of the session that the connection follows, which may be a clean one. */
  async removeSubscriptions (client: ContractClient, filters: readonly string[]): Promise<void> {
    const peer = this.#options.peerOf(client)
    if (peer === undefined) return
    await Promise.all(filters.map(async (filter) => { await peer.unsubscribe(filter) }))
  }

  /** A clean session begins without any. */
  async cleanSubscriptions (): Promise<void> {}

  // --- retained messages: authorizePublish has stored them, the session sends them

  async storeRetained (): Promise<void> {}
  createRetainedStreamCombi (): Readable { return Readable.from([]) }

  // --- the window of the session stands for the outgoing queue

  outgoingEnqueue (): PromiseLike<unknown> { return NOTHING }
  outgoingEnqueueCombi (): PromiseLike<unknown> { return NOTHING }
  outgoingStream (): Readable { return Readable.from([]) }

  /** PUBREC: PUBREL follows when it resolves. */
  outgoingUpdate (client: ContractClient, packet: ContractPacket): PromiseLike<unknown> {
    return this.#options.received(client, packet.messageId as PacketId)
  }

  /** PUBACK and PUBCOMP. */
  outgoingClearMessageId (client: ContractClient, packet: ContractPacket): PromiseLike<unknown> {
    this.#options.acknowledge(client, packet.messageId as PacketId)
    return NOTHING
  }

  // --- incoming QoS 2: authorizePublish has stored it, in the session that the connection follows

  async incomingStorePacket (): Promise<void> {}
  async cleanIncoming (): Promise<void> {}

  async incomingGetPacket (client: ContractClient, packet: ContractPacket): Promise<Partial<ContractPacket>> {
    if (this.#options.peerOf(client)?.hasIncoming(packet.messageId as PacketId) === true) return packet
    throw new Error('no such packet')
  }

  async incomingDelPacket (client: ContractClient, packet: ContractPacket): Promise<void> {
    const peer = this.#options.peerOf(client)
    if (peer === undefined) throw new Error('no such packet')
    try {
      await peer.releaseIncoming(packet.messageId as PacketId)
    } catch (error) {
      this.#options.failed(client)
      throw error
    }
  }

  // --- wills

  async putWill (client: ContractClient, packet: ContractPacket): Promise<void> {
    const peer = this.#options.peerOf(client)
    const { wills } = this.#options.broker
    if (peer !== undefined) await wills.put(willMessage(peer, packet, this.#options.broker))
  }

  /**
   * Aedes forgets the will of a client when it connects and again when its connection has ended. In a takeover the
   * latter comes after the new connection has put its own will, which must stay.
   */
  async delWill (client: ContractClient): Promise<void> {
    const { broker, isLatest } = this.#options
    if (isLatest(client)) await broker.wills.remove(client.id as ClientId) // by then it has no peer any more
  }

  /** Wills of clients that a crash took are published by the broker when it opens. */
  streamWill (): Readable { return Readable.from([]) }
}
