/**
 * Aedes speaks the protocol; what it must never do is promise. This file and engine-client.ts know how Aedes works
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
 * What it does with a connection and its client is in engine-client.ts.
 */
import { Aedes } from 'aedes'
import type { Broker, PublishRequest } from '../../broker.ts'
import { HoldfastError, type ErrorCode } from '../../model/errors.ts'
import type { Logger } from '../../system/logger.ts'
import type { ClientId, PacketId, Principal, QoS } from '../../model/message.ts'
import type { Who } from '../../system/refusals.ts'
import { breaksProtocol, isBridgeNotice, show } from '../../model/topics.ts'
import type { Turns } from '../../system/turns.ts'
import type { MqttConnection } from '../connection.ts'
import {
  CONNECTION, EARLY_PACKETS_MAX, openClient, type Callback, type EngineClientOptions, type InnerClient
} from './client.ts'
import { REFUSED_FILTER, REPEATED_FILTER } from '../wire/packet-gate.ts'
import type { MqttRefusals } from '../refusals.ts'
import {
  SessionPersistence, willMessage, type ContractClient, type ContractPacket, type ContractSubscription
} from './persistence.ts'

/** pass: to whoever is connected; keep: as if it had come at QoS 1, without a receipt. */
export type Qos0Messages = 'pass' | 'keep'

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

type Receipt = (error?: HoldfastError) => void
interface Expected { topic: string, qos: QoS, packetId: number, bytes: number }
interface InnerConnect { clientId: string, clean: boolean, bridgeMode?: boolean, will?: ContractPacket }

const PRESENT_MARKER: readonly ContractSubscription[] = [{ topic: '$holdfast/present', qos: 0 }]
/** What a message costs in memory besides its topic and payload, about. */
const MESSAGE_OVERHEAD_BYTES = 256
/** Client identifiers that the Socket.IO bridge makes (bridge/socketio). */
const BRIDGE_PREFIX = 'io:'

/** Return codes of CONNACK (MQTT 3.1.1, 3.2.2.3). */
const REFUSED = { identifier: 2, unavailable: 3, credentials: 4, notAuthorized: 5 } as const

/** The error of a client that has not sent CONNECT within the time for it. */
const CONNECT_LATE = 'connect did not arrive in time'

const RETURN_CODES: Partial<Record<ErrorCode, number>> = {
  CLIENT_ID_INVALID: REFUSED.identifier,
  SESSION_FOREIGN: REFUSED.notAuthorized,
  NOT_AUTHORIZED: REFUSED.notAuthorized
}

export async function createAedes (
  { broker, log, refusals, qos0Messages, turns, makeId, sessionExpiryMs }: AedesOptions
): Promise<AedesServer> {
  const { limits } = broker
  const keepsQos0 = qos0Messages === 'keep'
  /** Set for the one call of subscriptionsByClient that follows in the same turn. */
  let isPresent = false

  /** CONNECTs since the start. */
  let connects = 0
  /** The client that connected last under an identifier. */
  const latest = new Map<string, InnerClient>()

  const connectionOf = (client: ContractClient): MqttConnection | undefined => (client as InnerClient)[CONNECTION]

  class AedesPersistence extends SessionPersistence {
    override subscriptionsByClient (): ReturnType<SessionPersistence['subscriptionsByClient']> {
      return Promise.resolve(isPresent ? PRESENT_MARKER : [])
    }

    /**
     * Aedes forgets the will of a client when it connects and again when its connection has ended. In a takeover the
     * latter comes after the new connection has put its own will, which must stay.
     */
    override async delWill (client: ContractClient): Promise<void> {
      const last = latest.get(client.id)
      if (client === last || last === undefined || last.closed) await broker.wills.remove(client.id as ClientId)
    }
  }
  const persistence = new AedesPersistence({
    broker,
    sessionOf: (client) => connectionOf(client)?.session,
    acknowledge: (client, packetId) => { connectionOf(client)?.acknowledge(packetId) },
    received: async (client, packetId) => { await connectionOf(client)?.received(packetId) },
    failed: (client) => { connectionOf(client)?.close('store-unavailable') }
  })

  const aedes = await Aedes.createBroker({
    persistence,
    mq: silentEmitter,
    queueLimit: EARLY_PACKETS_MAX,
    connectTimeout: limits.connectTimeoutMs,
    drainTimeout: limits.stallTimeoutMs,
    maxInflightInbound: 0, // incomingMax is looked after by the broker
    maxClientsIdLength: limits.clientIdBytesMax, // 23 in MQTT 3.1, else; in bytes the broker looks at it

    preConnect (client, packet, done) {
      const connection = connectionOf(client)!
      const connect = packet as unknown as InnerConnect
      connection.clean = connect.clean
      connection.isBridge = connect.bridgeMode === true
      connection.order = ++connects
      if (connect.clientId === '') {
        if (connect.clean) connect.clientId = makeId() // [MQTT-3.1.3-6]
        else connection.refusal = REFUSED.identifier // [MQTT-3.1.3-8]
      }
      // Sessions of the Socket.IO bridge have names of their own, which a device must not take [G7].
      if (connect.clientId.startsWith(BRIDGE_PREFIX)) connection.refusal = REFUSED.identifier
      connect.clean = false
      if (connect.will !== undefined && breaksProtocol(connect.will.topic)) connection.refusal = REFUSED.notAuthorized
      done(null, true)
    },

    authenticate (client, username, password, done) {
      const connection = connectionOf(client)!
      connect(client as InnerClient, connection, username, password).then((present) => {
        if (connection.isClosed) {
          if (connection.session !== undefined) broker.release(connection.session, { endsNew: true })
          return
        }
        latest.set(client.id, client as InnerClient)
        isPresent = present
        done(null, true)
        isPresent = false
      }, (error: Error) => {
        if (connection.isClosed) return
        const known = error instanceof HoldfastError ? RETURN_CODES[error.code] : undefined
        const returnCode = connection.refusal ?? known ?? REFUSED.unavailable
        const code = error instanceof HoldfastError ? error.code : 'INTERNAL'
        // one that has a later connection, or comes while the server stops, was not refused
        if (code !== 'CLOSED') {
          refusals.client(toldOf(client as InnerClient), { code, message: error.message }, returnCode)
        }
        done(Object.assign(error, { returnCode }) as Parameters<typeof done>[0], null)
      })
    },

    authorizeSubscribe (client, subscription, done) {
      const session = connectionOf(client)?.session
      if (session === undefined || subscription.topic === PRESENT_MARKER[0].topic ||
        subscription.topic.startsWith(REFUSED_FILTER)) {
        done(null, null)
        return
      }
      if (subscription.topic.startsWith(REPEATED_FILTER)) {
        done(null, subscription)
        return
      }
      broker.subscribe(session, subscription.topic, subscription.qos as QoS, { mayShare: true }).then((qos) => {
        done(null, { ...subscription, qos })
      }, (error: HoldfastError) => {
        refusals.filter(toldOf(client as InnerClient), subscription.topic, error)
        if (error.retriable) done(error)
        else done(null, null) // 0x80 (3.9.3)
      })
    },

    authorizePublish (client, packet, done) {
      const inner = client as InnerClient | null
      const publish = packet as unknown as ContractPacket
      const connection = inner === null ? undefined : connectionOf(inner)
      const session = connection?.session
      if (inner === null || connection === undefined || session === undefined) {
        done(new Error('nobody may publish before CONNACK')) // the gate is there so that nobody does
        return
      }
      if (inner.closed) { // its will: it stays owed until it is durable, which Aedes would not wait for
        if (inner.will !== null) broker.wills.publish(willMessage(session, publish, broker))
        done(new Error('published as a will'))
        return
      }
      const { topic, payload, qos, retain, messageId } = publish
      publish.qos = 0
      publish.retain = false
      const copy = Buffer.from(payload) // as in takeDirectly()
      accept(inner, connection, { topic, payload: copy, qos, retain, id: '' }, messageId!, done)
    }
  })

  async function connect (client: InnerClient, connection: MqttConnection, username: string | undefined,
    password: Buffer | undefined): Promise<boolean> {
    if (connection.refusal !== undefined) {
      throw new HoldfastError('CLIENT_ID_INVALID',
        `it is empty with CleanSession 0, begins with ${BRIDGE_PREFIX}, or its will has a topic that is not allowed`)
    }
    const clientId = client.id as ClientId
    const { via, remoteAddress, certificate } = connection.wire
    const principal = await broker.auth.authenticate({ clientId, username, password, via, remoteAddress, certificate })
    if (principal === undefined) {
      connection.refusal = username === undefined ? REFUSED.notAuthorized : REFUSED.credentials
      throw new HoldfastError('NOT_AUTHORIZED', 'unknown user or wrong password')
    }
    if (connection.isClosed) throw new HoldfastError('CLOSED', 'the connection is gone') // nothing is made for nobody
    await checkWill(client, principal)
    const last = latest.get(clientId)
    if (connection.isClosed || (last !== undefined && last[CONNECTION].order > connection.order)) {
      throw new HoldfastError('CLOSED', 'the client has gone, or has a later connection') // [MQTT-3.1.4-2]
    }
    const { clean } = connection
    const connected = await broker.connect({
      clientId, principal, clean, expiryMs: sessionExpiryMs(via), remoteAddress, isWanted: () => !connection.isClosed
    })
    connection.session = connected.session
    return connected.present
  }

  /** A will that can never be published is taken off, or its client is refused. */
  async function checkWill (client: InnerClient, principal: Principal): Promise<void> {
    const will = client._will
    if (will == null) return
    const clientId = client.id as ClientId
    try {
      broker.checkMessage(will.topic, will.payload.length)
      if (!(await broker.auth.mayPublish(principal, clientId, will.topic))) {
        throw new HoldfastError('NOT_AUTHORIZED', `a will on ${show(will.topic)}`)
      }
    } catch (error) {
      const refusal = error as HoldfastError
      if (refusal.retriable) throw refusal
      if (!isBridgeNotice(will.topic)) {
        broker.refuse(clientId, will.topic, refusal, () => {})
        if (!refusals.will(toldOf(client), will.topic, refusal)) {
          throw new HoldfastError('NOT_AUTHORIZED', `its will: ${refusal.message}`)
        }
      }
      client._will = undefined
    }
  }

  /**
   * PUBLISH, of any QoS: appended, then its receipt [G1].
   * @param done called when it is done with; with an error the connection ends
   */
  function accept (client: InnerClient, connection: MqttConnection, request: PublishRequest, packetId: number,
    done: Callback): void {
    const { topic, payload, qos } = request
    const bytes = topic.length + payload.length + MESSAGE_OVERHEAD_BYTES
    const receipt = receiptOf(client, { topic, qos, packetId, bytes }, done)
    if (qos === 2) broker.publishOnce(connection.session!, packetId as PacketId, request, receipt)
    else broker.publish(connection.session!, qos === 0 && keepsQos0 ? { ...request, qos: 1 } : request, receipt)
  }

  /** A message of so many bytes in memory is on its way; what is done when it has arrived, or was refused. */
  function receiptOf (client: InnerClient, { topic, qos, packetId, bytes }: Expected, done: Callback): Receipt {
    const connection = client[CONNECTION]
    connection.took(bytes)
    return (error) => {
      if (error !== undefined && !refusals.message(toldOf(client), topic, error)) {
        done(error)
        return
      }
      if (qos > 0) connection.receipt(packetId, qos)
      connection.gave(bytes)
      done(null)
    }
  }

  // Its own bound disconnects; ours is behind authorizePublish, or answers 0x80. As an option it is 150 at most.
  ;(aedes as unknown as { maxTopicLevels: number }).maxTopicLevels = Infinity

  aedes.on('connackSent', (connack, client) => {
    const connection = connectionOf(client)!
    if (connack.returnCode !== 0 || connection.isClosed || connection.session === undefined) return
    connection.guard.packetBytesMax = limits.packetBytesMax
    // One that can't be told anything follows nothing; what it sent is carried out all the same.
    if (!connection.isDead) connection.attach(broker, connection.session)
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

  const clients = new Set<InnerClient>()
  const options: EngineClientOptions = {
    aedes,
    broker,
    log,
    turns,
    publish (client, packet, packetId) {
      accept(client, client[CONNECTION], packet, packetId, (error) => {
        if (error != null) client.emit('error', error)
      })
    },
    refuse (client, { qos, bytes }, topic, packetId) {
      const error = new HoldfastError('MESSAGE_TOO_LARGE',
        `${bytes} bytes on ${show(topic)}; packetBytesMax = ${limits.packetBytesMax}`)
      broker.refuse(client.id as ClientId, topic, error,
        receiptOf(client, { topic, qos, packetId, bytes: MESSAGE_OVERHEAD_BYTES }, (error) => {
          if (error != null) client.emit('error', error)
        }))
    },
    skippedBytesMax: refusals.isAcknowledging ? limits.skippedPacketBytesMax : 0,
    over (client) {
      clients.delete(client)
      if (latest.get(client.id) === client) latest.delete(client.id)
    }
  }
  return {
    handle (connection) { clients.add(openClient(connection, options)) },
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

function toldOf (client: InnerClient): Who {
  return { ...client[CONNECTION].who, clientId: client.id }
}

/** Carries nothing: Aedes's own topics ($SYS) would tell everybody who is connected and what he subscribes to. */
const silentEmitter = {
  on (_topic: string, _listener: unknown, done?: () => void) { done?.() },
  removeListener (_topic: string, _listener: unknown, done?: () => void) { done?.() },
  emit (_packet: unknown, done?: () => void) { done?.() },
  close (done?: () => void) { done?.() }
}
