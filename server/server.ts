/**
 * The composition root: store, broker, MQTT, Socket.IO and HTTP, wired, started in order and stopped in the opposite
 * order. The command and programs use the same.
 */
import { randomUUID } from 'node:crypto'
import { resolve } from 'node:path'
import { createSocketioBridge, type Tallies } from '../bridge/socketio/server.ts'
import {
  type SetAsideMessage, type Broker, type BrokerStats, type ClientId, type MqttServer, type RefusalCounts,
  type SessionInfo, anonymous, Refusals, Turns, createBroker, createMqttServer, processHeap, systemClock
} from '../broker/index.ts'
import { createEmbeddedStore } from '../broker/store/embedded.ts'
import type { Config } from '../config/schema.ts'
import { doorsOf, sayDoors } from './doors.ts'
import { unlessExposed, watchExposure } from './http/exposure.ts'
import { createFront } from './http/front.ts'
import { checkLibraries } from './libraries.ts'
import { type Address, addressOf, listen, orListenError } from './listen.ts'
import { createLog } from './log.ts'
import { narrate, narrateRecovery } from './narrate.ts'
import { type HoldfastOptions, checkFunctions, configOf, limitsOf, programsHttp } from './options.ts'
import { createOriginGate } from './http/origins.ts'
import { createOwnHttp } from './http/own-http.ts'
import {
  type NewSession, type PublishOptions, type Published, PROGRAM, createSession, inboxOfPerson, publish,
  trustingTheProgram
} from './program.ts'
import { rulesOf } from './rules.ts'
import { safeLogger } from './safe-logger.ts'
import { type Subscribe, createSubscribe } from './subscription.ts'

export { ListenError, type Address } from './listen.ts'
export type { Durable, HoldfastOptions, Identified, Identify, ProgramEmit } from './options.ts'
export type { NewSession, PublishOptions, Published } from './program.ts'
export type { ReceivedMessage, Subscription, SubscriptionOptions } from './subscription.ts'

export interface HoldfastAddresses {
  readonly mqtt?: Address
  readonly http?: Address
}

export interface HoldfastStats extends BrokerStats {
  readonly connections: { readonly mqtt: number, readonly socketio: number }
  /** What was refused since the start, by kind; the log tells of it once in a while (docs/errors.md). */
  readonly refusals: RefusalCounts
  /** What happened on the side of Socket.IO since start, and is logged once in a while. */
  readonly socketio: Tallies
}

export interface Holdfast {
  /** Where it can be reached now. */
  readonly addresses: HoldfastAddresses
  readonly events: Broker['events']
  /**
   * Resolves when the message is durable [G1] (QoS 0: passed on), with for how many sessions. Rejects with
   * HoldfastError: then it is not kept.
   */
  publish (message: PublishOptions): Promise<Published>
  /**
   * Messages of these topic filters, for this process: `for await (const message of await holdfast.subscribe('a/#'))`.
   * With a `name` they wait while nobody reads, over a restart too [G2]; without one they are those that come once this
   * has resolved. A slow reader holds up nobody [G8]: what waits for it is bounded like that of any other session, and
   * `onGap` hears what it loses [G5]. Rejects with TypeError, or HoldfastError: FILTER_INVALID, NAME_IN_USE, and what a
   * client would be refused for. Reading ends with the server; it throws where the session is ended.
   */
  readonly subscribe: Subscribe
  stats (): HoldfastStats
  sessions (): IterableIterator<SessionInfo>
  /**
   * Makes a session for a client that has not come yet, so that messages wait for it. It counts for sessionsMax and
   * expires like any other. Resolves to true when it is on disk, with its filters; to false, with nothing changed, if
   * the client has one. Rejects with HoldfastError: NOT_AUTHORIZED where the principal may not subscribe,
   * SESSION_FOREIGN where the session is somebody else's [G7], and whatever a client would be refused for.
   */
  createSession (session: NewSession): Promise<boolean>
  /**
   * Ends a session for good, as an administrator [G5]: its connection is closed, its filters and its backlog are gone.
   * `clientId` is as `sessions()` names it (`io:<namespace>:<clientId>` for Socket.IO). Resolves to false if there is
   * none, else to true when that is on disk (while the log can't be written: it is tried again until it is).
   * Rejects with HoldfastError CLOSED once the server stops.
   */
  endSession (clientId: string): Promise<boolean>
  /**
   * Closes the connection of a session, as when its token has expired or a right was withdrawn: its client has to
   * authenticate anew. A kept session goes on, and what comes meanwhile waits for it [G2]; a clean one ends. Several
   * namespaces of a Socket.IO client share a connection. False if the session has no connection, or there is none.
   * Throws HoldfastError CLOSED once the server stops.
   */
  disconnect (clientId: string): boolean
  /**
   * The messages that were set aside for a session, the oldest first: their delivery broke its connection again and
   * again (redeliveriesMax). To deliver one after all, publish it again, then drop it.
   */
  listSetAside (clientId: string): AsyncIterableIterator<SetAsideMessage>
  /**
   * Removes the message that was set aside under this `id`, or all of a session. Resolves to how many there were, when
   * that is on disk. Rejects with HoldfastError STORE_UNAVAILABLE or CLOSED.
   */
  dropSetAside (clientId: string, id?: string): Promise<number>
  /**
   * Stops accepting, syncs what was accepted, closes clients. Every call gives the same promise; it rejects where a
   * part could not stop as it should. What has a receipt is durable in any case [G1].
   */
  close (): Promise<void>
}

/** A sync takes milliseconds, and seconds on a disk that is overloaded. */
const LOG_SILENT_MS_MAX = 10_000

/** What was read from the disk last takes so small a part of the heap at most. */
const CACHE_PARTS = 16

/**
 * Starts a server; resolves when it accepts connections.
 * Rejects with ConfigError (an option is wrong), ListenError (a port can't be had) or HoldfastError (the data folder);
 * then everything that was started is stopped again.
 */
export async function createHoldfast (options: HoldfastOptions = {}): Promise<Holdfast> {
  checkFunctions(options)
  const { auth = anonymous, logger, store: given, http: _http, io, durable, identify, ...rest } = options
  const programs = programsHttp(options)
  checkLibraries(io)
  const asked = { ...options, auth, programs }
  const doors = doorsOf(asked)
  const config = configOf(rest, auth, programs, doors)
  const rules = await rulesOf(config)
  const log = logger === undefined ? createLog(config) : safeLogger(logger)
  const refusals = new Refusals({ clock: systemClock, log })
  const data = resolve(config.data)
  /** What was started, and must be stopped in the opposite order. */
  const started: Array<() => Promise<void>> = []
  async function stop (): Promise<void> {
    const failures: unknown[] = []
    for (const end of started.splice(0).reverse()) {
      // one part that can't end must not keep the others from ending
      await end().catch((err: unknown) => {
        log.error({ err }, 'a part of the server did not stop as it should')
        failures.push(err)
      })
    }
    if (failures.length > 0) throw failures[0]
  }

  const ownHttp = programs === undefined ? createOwnHttp(config, refusals) : undefined
  const http = programs ?? ownHttp!.server
  const heap = processHeap()
  const store = given ?? createEmbeddedStore({
    folder: data,
    cacheBytesMax: heap.bytesMax / CACHE_PARTS,
    notesBytesMax: config.notesBytesMax,
    report: (sentence) => log.error({ data }, sentence),
    broken: (why) => { broker.events.emit('store-broken', { why }) }
  })
  const broker = createBroker({
    store,
    auth: trustingTheProgram(auth),
    limits: limitsOf(config),
    clock: systemClock,
    heap,
    makeId: randomUUID,
    inboxOf: inboxOfPerson
  })
  narrate(broker.events, log)
  const pages = createOriginGate({ allowed: config.allowedOrigins, anonymous: auth.anonymous }, refusals)
  const exposure = doors.strangersByHttp && !config.allowAnonymous ? watchExposure(http, log) : undefined
  const origins = exposure === undefined ? pages : unlessExposed(exposure, pages, refusals)
  let mqtt: MqttServer | undefined
  const front = createFront({
    http,
    own: ownHttp !== undefined,
    mqttPath: doors.mqttWebsocket ? config.mqttPath : undefined,
    ownSocketioPath: config.socketioPath,
    program: io,
    origins,
    refusals,
    notReady: () => exposure?.reason ?? notReady(broker),
    upgrade: (request, socket, head) => mqtt?.upgrade(request, socket, head)
  })
  started.push(async () => {
    front.detach()
    exposure?.detach()
  })

  try {
    // first, so that health can be asked for while a large log is opened; the rest is refused until then
    if (ownHttp !== undefined) {
      await listen(ownHttp.server, 'HTTP', { host: config.host, port: config.httpPort }, 'httpPort',
        config.listenBacklogConnectionsMax)
      started.push(() => ownHttp.close())
    }
    // a broker that could not open can't close either; its store may hold the lock of the folder already
    narrateRecovery(await broker.open().catch(async (error) => {
      await store.close().catch(() => {})
      throw error
    }), data, log)
    started.push(() => broker.close())
    const turns = new Turns()
    const mqttServer = mqtt = await createMqttServer({
      broker,
      log,
      refusals,
      turns,
      tcpSessionExpiryMs: config.mqttSessionExpiryMs,
      websocketSessionExpiryMs: config.websocketSessionExpiryMs,
      refusedMessages: config.refusedMessages,
      qos0Messages: config.qos0Messages
    })
    started.push(() => mqttServer.close())
    const mqttAddress = doors.mqtt ? await listenMqtt(mqttServer, config) : undefined
    const bridge = createSocketioBridge({
      broker,
      turns,
      http,
      path: `${config.socketioPath}/`,
      program: io && { io, publisher: PROGRAM, durable },
      trusted: PROGRAM.principal,
      log,
      refusals,
      origins: io === undefined ? origins : undefined, // a program's own server says by itself which pages may come
      sessionExpiryMs: config.socketioSessionExpiryMs,
      recoveryExpiryMs: config.recoveryExpiryMs,
      recoveryOffset: config.recoveryOffset,
      deviceCookie: config.deviceCookie,
      identify,
      pingIntervalMs: config.pingIntervalMs,
      pingTimeoutMs: config.pingTimeoutMs,
      eio3PingIntervalMs: config.eio3PingIntervalMs,
      tornEventHoldMs: config.tornEventHoldMs,
      eio3InflightMessagesMax: config.eio3InflightMessagesMax,
      eio3Proof: config.eio3Proof,
      perMessageDeflate: config.socketioDeflate,
      httpBufferBytesMax: config.packetBytesMax,
      rules
    })
    started.push(() => bridge.close())
    front.open()
    sayDoors({ ...asked, doors, mqttAddress, mqttPath: config.mqttPath, socketioPath: config.socketioPath, http }, log)
    let closing: Promise<void> | undefined
    return {
      get addresses () { return { mqtt: closing === undefined ? mqttAddress : undefined, http: addressOf(http) } },
      events: broker.events,
      publish: (message) => publish(broker, message),
      subscribe: createSubscribe(
        { broker, program: PROGRAM, expiryMs: config.mqttSessionExpiryMs, makeId: randomUUID }),
      stats: () => ({
        ...broker.stats(),
        connections: { mqtt: mqttServer.connections, socketio: bridge.connections },
        refusals: refusals.counts,
        socketio: bridge.tallies
      }),
      sessions: () => broker.sessions(),
      createSession: (session) => createSession(broker, bridge, config, session),
      endSession: (clientId) => broker.end(clientId as ClientId),
      disconnect: (clientId) => broker.disconnect(clientId as ClientId),
      listSetAside: (clientId) => broker.listSetAside(clientId as ClientId),
      dropSetAside: (clientId, id) => broker.dropSetAside(clientId as ClientId, id),
      close () {
        front.refuse('stopping')
        closing ??= stop()
        return closing
      }
    }
  } catch (error) {
    front.refuse('stopping')
    await stop().catch(() => {}) // logged; what the caller needs to know is why the start failed
    throw error
  }
}

/** A question about health must not be what ends the server. */
function notReady (broker: Broker): string | undefined {
  try {
    const { storeFailing, logSilentMs, heap } = broker.stats()
    if (storeFailing) return 'the log can\'t be written'
    if (logSilentMs > LOG_SILENT_MS_MAX) return `the log has given no answer for ${logSilentMs} ms`
    return heap.isFull ? 'as much is held in memory as may be (heapPercentMax)' : undefined
  } catch (error) {
    return `the store does not answer: ${(error as Error).message}`
  }
}

async function listenMqtt (server: MqttServer, config: Config): Promise<Address> {
  const { host, mqttPort } = config
  const { address, port } = await orListenError('MQTT', { host, port: mqttPort }, 'mqttPort',
    () => server.listen(host, mqttPort, config.listenBacklogConnectionsMax))
  return { host: address, port }
}
