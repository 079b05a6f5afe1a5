/**
 * The composition root: store, broker, MQTT, Socket.IO and HTTP, wired, started in order and stopped in the opposite
 * order. The command and programs use the same.
 */
import { randomUUID } from 'node:crypto'
import { createSocketioBridge, type SocketioBridge } from '../bridge/socketio/index.ts'
import {
  createMqttServer, Turns, type Broker, type ClientId, type MqttServer, type Principal
} from '../broker/index.ts'
import { sayDoors } from './doors.ts'
import type { Holdfast } from './holdfast.ts'
import { makeHttp, type Http } from './http/http.ts'
import { addressOf } from './listen.ts'
import { makeBroker, notReady } from './open-broker.ts'
import { Operation } from './operation.ts'
import type { HoldfastOptions } from './options.ts'
import { Parts } from './parts.ts'
import { createSession, PROGRAM, PROGRAM_IDENTITY, publish } from './program.ts'
import { setUp, type Setup } from './setup.ts'
import { createSubscribe } from './subscription.ts'

/** Everything that runs. */
interface Running {
  readonly broker: Broker
  readonly http: Http
  readonly mqtt: MqttServer
  readonly bridge: SocketioBridge
}

/**
 * Starts a server; resolves when it accepts connections.
 * Rejects with ConfigError (an option is wrong), ListenError (a port can't be had) or HoldfastError (the data folder);
 * then everything that was started is stopped again.
 */
export async function createHoldfast (options: HoldfastOptions = {}): Promise<Holdfast> {
  const setup = await setUp(options)
  const { network } = setup
  const parts = new Parts(setup.log)
  parts.add(async () => { network.close() })
  const closed = makeBroker(setup)
  const { broker } = closed
  const http = makeHttp(setup, parts, () => notReady(broker),
    (origins, reason) => new Operation({
      ...setup, broker, origins, notReady: reason, certificateEndsAt: () => network.certificateEndsAt
    }))
  try {
    // first, so that health can be asked for while a large log is opened; the rest is refused until then
    await http.listen()
    await closed.open(parts)
    const turns = new Turns()
    const mqtt = await startMqtt(setup, parts, broker, turns)
    http.attach(mqtt)
    if (setup.doors.mqtt) await network.listenMqtt(mqtt)
    const bridge = startSocketio(setup, parts, { broker, http, turns })
    network.proxies.watch(http.server, parts)
    const holdfast = handleOf(setup, parts, { broker, http, mqtt, bridge })
    parts.add(() => http.operation.close())
    await http.operation.start(holdfast)
    http.front.open()
    sayDoors(setup, http.server)
    network.sayUnencrypted()
    return holdfast
  } catch (error) {
    http.front.refuse('stopping')
    await parts.stop().catch(() => {}) // logged; what the caller needs to know is why the start failed
    throw error
  }
}

async function startMqtt ({ config, log, network, refusals }: Setup, parts: Parts, broker: Broker, turns: Turns):
Promise<MqttServer> {
  const mqtt = await createMqttServer({
    broker,
    log,
    refusals,
    addresses: network.gate('of MQTT over WebSocket'),
    turns,
    tcpSessionExpiryMs: config.mqttSessionExpiryMs,
    websocketSessionExpiryMs: config.websocketSessionExpiryMs,
    refusedMessages: config.refusedMessages,
    qos0Messages: config.qos0Messages
  })
  parts.add(async () => { await Promise.all([network.stop('mqtt'), mqtt.close()]) })
  return mqtt
}

function startSocketio (
  { config, durable, identify, io, log, network, refusals, rules }: Setup, parts: Parts,
  { broker, http, turns }: Pick<Running, 'broker' | 'http'> & { readonly turns: Turns }
): SocketioBridge {
  const bridge = createSocketioBridge({
    config,
    broker,
    addresses: network.gate('of Socket.IO'),
    turns,
    http: http.server,
    program: io && { io, publisher: PROGRAM, durable },
    trusted: PROGRAM.principal,
    log,
    refusals,
    origins: io === undefined ? http.origins : undefined, // a program's own server says by itself which pages may come
    identify,
    rules
  })
  parts.add(() => bridge.close())
  return bridge
}

function handleOf (
  { authentication, config, network, programs, refusals }: Setup, parts: Parts, { broker, http, mqtt, bridge }: Running
): Holdfast {
  let closing: Promise<void> | undefined
  return {
    get addresses () {
      const program = programs === undefined ? undefined : addressOf(programs)
      const metrics = http.operation.address
      return {
        ...network.addresses, ...program !== undefined && { http: program }, ...metrics !== undefined && { metrics }
      }
    },
    events: broker.events,
    publish: (message) => publish(broker, message),
    subscribe: createSubscribe({
      broker,
      program: { clientId: PROGRAM.clientId, identity: PROGRAM_IDENTITY },
      expiryMs: config.mqttSessionExpiryMs,
      makeId: randomUUID
    }),
    stats: () => ({
      ...broker.stats(),
      connections: { mqtt: mqtt.connections, websocket: mqtt.websockets, socketio: bridge.connections },
      refusals: refusals.counts,
      socketio: bridge.tallies
    }),
    sessions: () => broker.sessions(),
    session: (clientId) => broker.session(clientId as ClientId),
    createSession: (session) => createSession(broker, bridge, config, session),
    endSession: (clientId) => broker.end(clientId as ClientId),
    disconnect: (who) => broker.disconnect(typeof who === 'string'
      ? { clientId: who as ClientId }
      : { principal: who.principal as Principal }),
    async reload () {
      const access = async (): Promise<void> => {
        // what could be read counts at once, whatever else could not
        await authentication?.reload().finally(() => broker.refresh())
      }
      const all = await Promise.allSettled([access(), network.reload()]) // one does not stop the other
      for (const one of all) if (one.status === 'rejected') throw one.reason
    },
    listSetAside: (clientId) => broker.listSetAside(clientId as ClientId),
    dropSetAside: (clientId, id) => broker.dropSetAside(clientId as ClientId, id),
    close () {
      http.front.refuse('stopping')
      closing ??= parts.stop()
      return closing
    }
  }
}
