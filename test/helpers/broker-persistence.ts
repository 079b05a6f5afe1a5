/**
 * The aedes-persistence contract over the broker, whole: what is stored through it is in the sessions and the log, and
 * what they hold is found through it. So the abstract suite of that contract is about our sessions. What Aedes is given
 * in a server is broker/mqtt/engine/persistence.ts, where most of this has been done already.
 *
 * There is no outgoing queue: a session follows its cursor by itself. Enqueueing has happened when the message was
 * appended, updating is nothing, clearing a packet identifier is the acknowledgement, the stream is empty.
 */
import { Readable } from 'node:stream'
import { ANONYMOUS } from '../../broker/auth/anonymous.ts'
import type { PublishRequest, SessionInfo } from '../../broker/broker.ts'
import type { Core } from '../../broker/core.ts'
import type { ClientId, Message, PacketId } from '../../broker/model/message.ts'
import { hasWildcard, matches } from '../../broker/model/topics.ts'
import {
  willMessage, type ClientSubscription, type ContractBroker, type ContractClient, type ContractPacket,
  type ContractSubscription
} from '../../broker/mqtt/engine/contract.ts'
import { Resolved } from '../../broker/mqtt/engine/resolved.ts'
import type { Session } from '../../broker/session/session.ts'

/** How long a session is kept that nobody but the contract has asked for. */
const SESSION_EXPIRY_MS = 86_400_000
const PUBLISHER = { clientId: '$persistence' as ClientId, principal: ANONYMOUS }
const NOTHING = new Resolved<undefined>(undefined)

export class BrokerPersistence {
  readonly #holdfast: Core
  readonly #sessions = new Map<string, Session>()
  /** Incoming packets by client and identifier: durable is the identifier, the packet is for whoever asks for it. */
  readonly #incoming = new Map<string, Map<number, ContractPacket>>()
  /** Which Aedes a client with a will is connected to. */
  readonly #brokerIds = new Map<string, string>()
  #broker: ContractBroker | undefined

  constructor (broker: Core) {
    this.#holdfast = broker
  }

  get broker (): ContractBroker | undefined { return this.#broker }

  async setup (broker: ContractBroker): Promise<void> { this.#broker = broker }
  async destroy (): Promise<void> {}

  // --- subscriptions

  async addSubscriptions (client: ContractClient, subscriptions: readonly ContractSubscription[]): Promise<void> {
    const session = await this.#open(client)
    for (const { topic, qos } of subscriptions) await this.#holdfast.subscribe(session, topic, qos)
  }

  async removeSubscriptions (client: ContractClient, filters: readonly string[]): Promise<void> {
    if (this.#holdfast.session(client.id as ClientId) === undefined) return
    const session = await this.#open(client)
    for (const filter of filters) await this.#holdfast.unsubscribe(session, filter)
  }

  async cleanSubscriptions (client: ContractClient): Promise<void> {
    const filters = this.#holdfast.session(client.id as ClientId)?.filters ?? []
    await this.removeSubscriptions(client, filters.map(({ filter }) => filter))
  }

  async subscriptionsByClient (client: ContractClient): Promise<readonly ContractSubscription[]> {
    const filters = this.#holdfast.session(client.id as ClientId)?.filters ?? []
    return filters.map(({ filter, qos }) => ({ topic: filter, qos }))
  }

  /** Who gets a message even while he is away: kept sessions, at QoS 1 and 2; filters with wildcards first. */
  async subscriptionsByTopic (topic: string): Promise<readonly ClientSubscription[]> {
    const found: ClientSubscription[] = []
    for (const { clientId, filters } of this.#kept()) {
      for (const { filter, qos } of filters) {
        if (qos > 0 && matches(filter, topic)) found.push({ clientId, topic: filter, qos })
      }
    }
    return found.sort((a, b) => Number(hasWildcard(b.topic)) - Number(hasWildcard(a.topic)))
  }

  async countOffline (): Promise<{ subsCount: number, clientsCount: number }> {
    let subsCount = 0
    let clientsCount = 0
    for (const { filters } of this.#kept()) {
      subsCount += filters.filter(({ qos }) => qos > 0).length
      if (filters.length > 0) clientsCount++
    }
    return { subsCount, clientsCount }
  }

  /** Identifiers of the clients that have exactly this filter. */
  getClientList (filter: string): Readable {
    const clients: string[] = []
    for (const { clientId, filters } of this.#kept()) {
      if (filters.some((one) => one.filter === filter)) clients.push(clientId)
    }
    return Readable.from(clients)
  }

  * #kept (): IterableIterator<SessionInfo> {
    for (const session of this.#holdfast.sessions()) if (!session.clean) yield session
  }

  /** The session of a client that is only known by its id; it is made where there is none. */
  async #open (client: ContractClient): Promise<Session> {
    const known = this.#sessions.get(client.id)
    if (known !== undefined && !known.ended) return known
    const { session } = await this.#holdfast.connect(
      { clientId: client.id as ClientId, principal: ANONYMOUS, clean: false, expiryMs: SESSION_EXPIRY_MS })
    this.#holdfast.release(session)
    this.#sessions.set(client.id, session)
    return session
  }

  // --- retained messages

  /** Publishing it is how it is stored: the sessions whose filters match get it, too. */
  async storeRetained (packet: ContractPacket): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#holdfast.publish(PUBLISHER, requestOf(packet), (error) => {
        if (error === undefined) resolve()
        else reject(error)
      })
    })
  }

  createRetainedStream (filter: string): Readable { return this.createRetainedStreamCombi([filter]) }

  /** A message that several of the filters match comes once. */
  createRetainedStreamCombi (filters: readonly string[]): Readable {
    return Readable.from(this.#retained(filters))
  }

  async * #retained (filters: readonly string[]): AsyncIterableIterator<ContractPacket> {
    const seen = new Set<string>()
    for (const filter of filters) {
      for await (const { topic, payload, qos, id } of this.#holdfast.retained(filter)) {
        if (seen.has(topic)) continue
        seen.add(topic)
        yield { cmd: 'publish', id, topic, payload, qos, retain: true }
      }
    }
  }

  // --- the outgoing queue, which does not exist

  outgoingEnqueue (): PromiseLike<unknown> { return NOTHING }
  outgoingEnqueueCombi (): PromiseLike<unknown> { return NOTHING }
  outgoingUpdate (_client: ContractClient, _packet: ContractPacket): PromiseLike<unknown> { return NOTHING }
  outgoingClearMessageId (_client: ContractClient, _packet: ContractPacket): PromiseLike<unknown> { return NOTHING }
  outgoingStream (): Readable { return Readable.from([]) }

  // --- incoming QoS 2 (MQTT 4.3.3, method A): the message goes into the log, its identifier is kept until PUBREL

  async incomingStorePacket (client: ContractClient, packet: ContractPacket): Promise<void> {
    const session = await this.#open(client)
    const { messageId } = packet
    await new Promise<void>((resolve, reject) => {
      this.#holdfast.publishOnce(session, messageId as PacketId, requestOf(packet), (error) => {
        if (error === undefined) resolve()
        else reject(error)
      })
    })
    let packets = this.#incoming.get(client.id)
    if (packets === undefined) this.#incoming.set(client.id, packets = new Map())
    const { cmd, topic, payload, qos, dup, retain } = packet
    packets.set(messageId!, { cmd, topic, payload, qos, dup, retain, messageId })
  }

  /** Rejects where the identifier is not known. After a restart only the identifier is left of the packet. */
  async incomingGetPacket (client: ContractClient, { messageId }: ContractPacket): Promise<Partial<ContractPacket>> {
    const session = await this.#open(client)
    if (!this.#holdfast.hasIncoming(session, messageId as PacketId)) throw noSuchPacket(messageId)
    return this.#incoming.get(client.id)?.get(messageId!) ?? { messageId }
  }

  async incomingDelPacket (client: ContractClient, packet: ContractPacket): Promise<void> {
    const session = await this.#open(client)
    const messageId = packet.messageId as PacketId
    if (!this.#holdfast.hasIncoming(session, messageId)) throw noSuchPacket(messageId)
    await this.#holdfast.releaseIncoming(session, messageId)
    this.#incoming.get(client.id)?.delete(messageId)
  }

  async cleanIncoming (client: ContractClient): Promise<void> {
    this.#incoming.delete(client.id)
    if (this.#holdfast.session(client.id as ClientId) === undefined) return
    const session = await this.#open(client)
    for (const packetId of [...session.incoming?.keys() ?? []]) {
      await this.#holdfast.releaseIncoming(session, packetId as PacketId)
    }
  }

  // --- wills

  async putWill (client: ContractClient, packet: ContractPacket): Promise<void> {
    if (this.#broker !== undefined) this.#brokerIds.set(client.id, this.#broker.id)
    const owner = { clientId: client.id as ClientId, principal: ANONYMOUS }
    await this.#holdfast.wills.put(willMessage(owner, packet, this.#holdfast))
  }

  async getWill (client: ContractClient): Promise<ContractPacket | undefined> {
    const will = await this.#holdfast.wills.get(client.id as ClientId)
    return will === undefined ? undefined : willPacket(will)
  }

  /** Resolves to the will that there was. */
  async delWill (client: ContractClient): Promise<ContractPacket | void> {
    const will = await this.getWill(client)
    await this.#holdfast.wills.remove(client.id as ClientId)
    this.#brokerIds.delete(client.id)
    return will
  }

  /** @param brokers when each Aedes was last heard of: the wills of their clients are left to them */
  streamWill (brokers: Readonly<Record<string, number>> = {}): Readable {
    return Readable.from(this.#willsBut(brokers))
  }

  async * #willsBut (brokers: Readonly<Record<string, number>>): AsyncIterableIterator<ContractPacket> {
    for await (const will of this.#holdfast.wills.all()) {
      const brokerId = this.#brokerIds.get(will.publisher)
      if (brokerId !== undefined && Object.hasOwn(brokers, brokerId)) continue
      yield { clientId: will.publisher, brokerId, ...willPacket(will) }
    }
  }
}

function requestOf ({ topic, payload, qos, retain, id }: ContractPacket): PublishRequest {
  return { topic, payload: Buffer.from(payload), qos, retain, id: id ?? '' }
}

function willPacket ({ topic, payload, qos, retain }: Message): ContractPacket {
  return { topic, payload, qos, retain }
}

function noSuchPacket (messageId: number | undefined): Error {
  return new Error(`packet identifier ${messageId} is not out`)
}
