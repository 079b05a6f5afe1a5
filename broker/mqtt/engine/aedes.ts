/**
 * Aedes speaks the protocol; what it must never do is promise. This file and client.ts know how Aedes works
 * inside, and test/integration/aedes-contract.test.ts fails when an upgrade changes one of these details:
 *
 * - `authorizePublish` runs before anything else is done with a PUBLISH, and may take its time. The message is
 *   appended there, the receipt is written from there, and what Aedes goes on with is a QoS 0 packet that its emitter
 *   swallows: so no PUBACK is Aedes's own [G1], and nothing is delivered by Aedes [G3].
 * - Every client is told to Aedes as CleanSession 0: then it passes SUBSCRIBE, UNSUBSCRIBE, PUBREC and PUBREL on to the
 *   persistence, whatever the session is.
 * - It calls `subscriptionsByClient` in the same turn in which `authenticate` calls back, and takes "has subscriptions"
 *   for "session present". It is given one marker that is never subscribed [G5].
 * - `maxTopicLevels` is looked at with each packet.
 * - The error of a CONNECT that does not come says CONNECT_LATE.
 * - 'connackSent' is emitted in the turn in which Aedes notes that CONNACK is out.
 *
 * Each packet that asks for something has a file: CONNECT connecting.ts, PUBLISH incoming.ts. What Aedes does with a
 * connection and its client is in client.ts.
 */
import { Aedes, type AedesOptions as EngineOptions } from 'aedes'
import type { Broker } from '../../broker.ts'
import type { HoldfastError } from '../../model/errors.ts'
import type { Logger } from '../../system/logger.ts'
import type { QoS } from '../../model/message.ts'
import type { Turns } from '../../system/turns.ts'
import type { MqttConnection } from '../connection.ts'
import {
  CONNECTION, EARLY_PACKETS_MAX, openClient, toldOf, type Callback, type EngineClientOptions, type InnerClient
} from './client.ts'
import { Connecting, type InnerConnect } from './connecting.ts'
import { willMessage, type ContractClient, type ContractPacket, type ContractSubscription } from './contract.ts'
import { Incoming, type Qos0Messages } from './incoming.ts'
import { REFUSED_FILTER, REPEATED_FILTER } from '../wire/packet-gate.ts'
import type { MqttRefusals } from '../refusals.ts'
import { SessionPersistence } from './persistence.ts'

export type { Qos0Messages } from './incoming.ts'

export interface AedesOptions {
  readonly broker: Broker
  readonly log: Logger
  readonly refusals: MqttRefusals
  readonly qos0Messages: Qos0Messages
  readonly makeId: () => string
  readonly turns: Turns
  sessionExpiryMs (via: 'mqtt' | 'websocket'): number
}

export interface AedesServer {
  /** Starts speaking MQTT on a connection. */
  handle (connection: MqttConnection): void
  /** Stops reading from all clients: nothing new is accepted. */
  pause (): void
  close (): Promise<void>
}

const PRESENT_MARKER: readonly ContractSubscription[] = [{ topic: '$holdfast/present', qos: 0 }]
const NO_MARKER: readonly ContractSubscription[] = []

/** The error of a client that has not sent CONNECT within the time for it. */
const CONNECT_LATE = 'connect did not arrive in time'

/** What the hooks share. */
interface Verbs {
  readonly broker: Broker
  readonly refusals: MqttRefusals
  readonly connecting: Connecting
  readonly incoming: Incoming
  /** Set for the one call of subscriptionsByClient that follows in the same turn. */
  isPresent: boolean
}

const connectionOf = (client: ContractClient): MqttConnection | undefined => (client as InnerClient)[CONNECTION]

export async function createAedes (options: AedesOptions): Promise<AedesServer> {
  const { broker, log, refusals, turns } = options
  const verbs: Verbs = {
    broker,
    refusals,
    connecting: new Connecting(options),
    incoming: new Incoming({ ...options, limits: broker.limits, meters: broker.meters }),
    isPresent: false
  }
  const { connecting, incoming } = verbs
  const aedes = await createEngine(verbs)
  listen(aedes, options)
  const clients = new Set<InnerClient>()
  /** What is taken past the engine ends its client by itself. */
  const doneOf = (client: InnerClient): Callback => (error) => { if (error != null) client.emit('error', error) }
  const clientOptions: EngineClientOptions = {
    aedes,
    broker,
    log,
    turns,
    publish: (client, packet, packetId) => { incoming.accept(client, packet, packetId, doneOf(client)) },
    refuse: (client, packet, topic, packetId) => { incoming.refuse(client, packet, topic, packetId, doneOf(client)) },
    skippedBytesMax: refusals.isAcknowledging ? broker.limits.skippedPacketBytesMax : 0,
    over (client) {
      clients.delete(client)
      connecting.over(client)
    }
  }
  return {
    handle (connection) { clients.add(openClient(connection, clientOptions)) },
    pause () { for (const client of clients) client[CONNECTION].intake?.stop() },
    async close () {
      await new Promise<void>((resolve) => { aedes.close(() => { resolve() }) })
      for (const client of clients) {
        client.close()
        client[CONNECTION].wire.stream.destroy() // whatever it has not taken
      }
    }
  }
}

async function createEngine (verbs: Verbs): Promise<Aedes> {
  const { broker, connecting } = verbs
  const { limits } = broker
  const persistence = new SessionPersistence({
    broker,
    peerOf: (client) => connectionOf(client)?.peer,
    presence: () => verbs.isPresent ? PRESENT_MARKER : NO_MARKER,
    isLatest: (client) => connecting.isLast(client),
    acknowledge: (client, packetId) => { connectionOf(client)?.acknowledge(packetId) },
    received: async (client, packetId) => { await connectionOf(client)?.received(packetId) },
    failed: (client) => { connectionOf(client)?.close('store-unavailable') }
  })
  const engine: EngineOptions & { persistence: SessionPersistence, mq: typeof silentEmitter } = {
    persistence,
    mq: silentEmitter,
    queueLimit: EARLY_PACKETS_MAX,
    connectTimeout: limits.connectTimeoutMs,
    drainTimeout: limits.stallTimeoutMs,
    maxInflightInbound: 0, // incomingMax is looked after by the broker
    maxClientsIdLength: limits.clientIdBytesMax, // 23 in MQTT 3.1, else; in bytes the broker looks at it
    ...connectHooks(verbs),
    authorizeSubscribe: subscribeHook(verbs),
    authorizePublish: publishHook(verbs)
  }
  const aedes = await Aedes.createBroker(engine)
  // Its own bound disconnects; ours is behind authorizePublish, or answers 0x80. As an option it is 150 at most.
  ;(aedes as unknown as { maxTopicLevels: number }).maxTopicLevels = Infinity
  return aedes
}

function connectHooks (verbs: Verbs): Required<Pick<EngineOptions, 'preConnect' | 'authenticate'>> {
  const { connecting } = verbs
  return {
    preConnect (client, packet, done) {
      connecting.begin(connectionOf(client)!, packet as unknown as InnerConnect)
      done(null, true)
    },

    authenticate (client, username, password, done) {
      const inner = client as InnerClient
      connecting.enter(inner, username, password).then((present) => {
        if (present === undefined) return
        verbs.isPresent = present
        done(null, true)
        verbs.isPresent = false
      }, (error: Error) => {
        if (inner[CONNECTION].isClosed) return
        const returnCode = connecting.refuse(inner, error)
        done(Object.assign(error, { returnCode }) as Parameters<typeof done>[0], null)
      })
    }
  }
}

function subscribeHook ({ refusals }: Verbs): Required<EngineOptions>['authorizeSubscribe'] {
  return (client, subscription, done) => {
    const peer = connectionOf(client)?.peer
    if (peer === undefined || subscription.topic === PRESENT_MARKER[0].topic ||
      subscription.topic.startsWith(REFUSED_FILTER)) {
      done(null, null)
      return
    }
    if (subscription.topic.startsWith(REPEATED_FILTER)) {
      done(null, subscription)
      return
    }
    peer.subscribe(subscription.topic, subscription.qos as QoS, { mayShare: true }).then((qos) => {
      done(null, { ...subscription, qos })
    }, (error: HoldfastError) => {
      refusals.filter(toldOf(client as InnerClient), subscription.topic, error)
      if (error.retriable) done(error)
      else done(null, null) // 0x80 (3.9.3)
    })
  }
}

function publishHook ({ broker, incoming }: Verbs): Required<EngineOptions>['authorizePublish'] {
  return (client, packet, done) => {
    const inner = client as InnerClient | null
    const publish = packet as unknown as ContractPacket
    const peer = inner === null ? undefined : connectionOf(inner)?.peer
    if (inner === null || peer === undefined) {
      done(new Error('nobody may publish before CONNACK')) // the gate is there so that nobody does
      return
    }
    if (inner.closed) { // its will: it stays owed until it is durable, which Aedes would not wait for
      if (inner.will !== null) broker.wills.publish(willMessage(peer, publish, broker))
      done(new Error('published as a will'))
      return
    }
    const { topic, payload, qos, retain, messageId } = publish
    publish.qos = 0
    publish.retain = false
    const copy = Buffer.from(payload) // as in takeDirectly()
    incoming.accept(inner, { topic, payload: copy, qos, retain, id: '' }, messageId!, done)
  }
}

function listen (aedes: Aedes, { broker, log, refusals }: AedesOptions): void {
  const { limits } = broker
  aedes.on('connackSent', (connack, client) => {
    const connection = connectionOf(client)!
    if (connack.returnCode !== 0 || connection.isClosed || connection.peer === undefined) return
    connection.guard.packetBytesMax = limits.packetBytesMax
    // One that can't be told anything follows nothing; what it sent is carried out all the same.
    if (!connection.isDead) connection.attach(connection.peer)
    queueMicrotask(() => { connection.gate?.open() }) // when Aedes has noted it, before anything else is read
  })
  // What is refused has its line already, and anybody can have a connection that breaks.
  aedes.on('clientError', (client, error) => {
    log.debug({ clientId: client.id, error: error.message }, 'connection closed after an error')
  })
  aedes.on('connectionError', (client, error) => {
    log.debug({ remoteAddress: connectionOf(client)?.wire.remoteAddress, error: error.message },
      'connection closed before it had a session')
    if (error.message === CONNECT_LATE) refusals.late(toldOf(client as InnerClient), limits.connectTimeoutMs)
  })
  ;(aedes as unknown as NodeJS.EventEmitter).on('error', (error: Error) => {
    log.error({ error: error.message }, 'MQTT engine')
  })
}

/** Carries nothing: Aedes's own topics ($SYS) would tell everybody who is connected and what they subscribe to. */
const silentEmitter = {
  on (_topic: string, _listener: unknown, done?: () => void) { done?.() },
  removeListener (_topic: string, _listener: unknown, done?: () => void) { done?.() },
  emit (_packet: unknown, done?: () => void) { done?.() },
  close (done?: () => void) { done?.() }
}
