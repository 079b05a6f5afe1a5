/**
 * Socket.IO clients, unmodified, as followers of broker sessions. Which versions and transports, and what each event
 * means, is in docs/socketio.md; the proofs of receipt are in proof/.
 */
import { randomBytes } from 'node:crypto'
import { type IncomingMessage, type Server as HttpServer, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { Server, type Socket } from 'socket.io'
import type { Broker, Logger } from '../../broker/index.ts'
import { Admission } from './admission.ts'
import { Connection, type Eio3Proof } from './connection.ts'
import { pingEio3, refusedTransport } from './eio3.ts'
import { engineOf, type EngineRequest, type EngineServer, type EngineSocket } from './engine.ts'
import { guardPolling } from './guard.ts'
import { Inbound } from './inbound.ts'
import { SocketLink } from './link.ts'
import { RepeatsBySession } from './repeats.ts'
import type { RuleSet } from './rules/rule.ts'
import { Rules } from './rules/rules.ts'
import { OWN_EVENTS } from './translate.ts'

export interface SocketioBridgeOptions {
  readonly broker: Broker
  /** Gets a handler for requests and upgrades under `path`; everything else stays with whoever had it. */
  readonly http: HttpServer
  readonly log: Logger
  /** Which pages may connect; default: all, of which those of other origins can't use polling. */
  readonly origins?: OriginGate
  /** How long the session of a client with a client id is kept after its connection is gone. */
  readonly sessionExpiryMs: number
  /** A dead link is noticed after at most pingIntervalMs + pingTimeoutMs (Engine.IO 4). */
  readonly pingIntervalMs: number
  readonly pingTimeoutMs: number
  /** Ping interval of clients of version 2, who prove what they handled with it. Default: 5,000. */
  readonly eio3PingIntervalMs?: number
  /** Window of a session that a client of version 2 follows. Default: 1,024. */
  readonly eio3InflightMessagesMax?: number
  /** What counts for a client of version 2 on a WebSocket: its heartbeat (default), or a ping of the WebSocket. */
  readonly eio3Proof?: Eio3Proof
  /** Compresses what goes over WebSockets (RFC 7692). Default: no. */
  readonly perMessageDeflate?: boolean
  /** Largest packet or polling request taken from a client. */
  readonly httpBufferBytesMax: number
  /** Default: those of docs/socketio.md. */
  readonly rules?: RuleSet
  /** '/socket.io/' */
  readonly path?: string
  /** Makes message ids, and session ids for clients without one. */
  readonly makeId?: () => string
}

/** Asked for every upgrade and every polling request, before anything is done with it. */
export interface OriginGate {
  allows (request: Pick<IncomingMessage, 'headers'>): boolean
  /** Answers a request that is not allowed; `to` is the response, or the socket of an upgrade. */
  refuse (request: IncomingMessage, to: ServerResponse | Duplex): void
}

export interface SocketioBridge {
  /** Connections that are open now; each can have several namespaces. */
  readonly connections: number
  /**
   * Takes nothing more; what was taken gets its answer, for CLOSE_GRACE_MS at most; then closes the connections, with
   * CLOSE_FLUSH_MS for what is written. The HTTP server stays open.
   */
  close (): Promise<void>
}

export const CLOSE_GRACE_MS = 5_000
export const CLOSE_FLUSH_MS = 1_000

const EIO3_PING_INTERVAL_MS = 5_000
const EIO3_INFLIGHT_MESSAGES_MAX = 1_024

export function createSocketioBridge (options: SocketioBridgeOptions): SocketioBridge {
  const { broker, http, log, origins, sessionExpiryMs } = options
  const makeId = options.makeId ?? (() => randomBytes(12).toString('base64url'))
  const connections = new WeakMap<EngineSocket, Connection>()
  const inbounds = new Set<Inbound>()
  const repeats = new RepeatsBySession()
  const rules = new Rules({ rules: options.rules, makeId })
  const admission = new Admission({ broker, connections, makeId, sessionExpiryMs, log })

  const io = new Server(http, {
    path: options.path ?? '/socket.io/',
    transports: ['polling', 'websocket'], // a client with default options begins with polling and upgrades
    allowEIO3: true,
    perMessageDeflate: options.perMessageDeflate ?? false,
    pingInterval: options.pingIntervalMs,
    pingTimeout: options.pingTimeoutMs,
    maxHttpBufferSize: options.httpBufferBytesMax,
    connectTimeout: broker.limits.connectTimeoutMs,
    upgradeTimeout: broker.limits.connectTimeoutMs,
    destroyUpgrade: false, // other upgrades on this server belong to others
    cleanupEmptyChildNamespaces: true,
    // clients send credentials with their requests if the page wants it; a WebSocket would send them in any case
    cors: origins && ((request, answer) => {
      answer(null, { origin: origins.allows(request), methods: ['GET', 'POST'], credentials: true })
    }),
    allowRequest: (request, answer) => {
      const refused = refusedTransport((request as EngineRequest)._query) ??
        admission.mayConnect(request as EngineRequest, engine)
      answer(refused, refused === undefined)
    }
  })
  const engine = io.engine as unknown as EngineServer
  pingEio3(engine, options.eio3PingIntervalMs ?? EIO3_PING_INTERVAL_MS)
  const connectionOptions = {
    ...broker.limits,
    eio3InflightMessagesMax: options.eio3InflightMessagesMax ?? EIO3_INFLIGHT_MESSAGES_MAX,
    eio3Proof: options.eio3Proof ?? 'heartbeat'
  }
  engine.on('connection', socket => {
    const connection = new Connection(socket, connectionOptions, broker.clock, log)
    connections.set(socket, connection)
    socket.on('close', () => admission.gone(connection))
  })
  engine.on('connection_error', error => logRefused(log, error))
  if (origins !== undefined) {
    engine.use((request, response, next) => {
      if (origins.allows(request)) next()
      // for an upgrade Engine.IO hands over no real response, and would answer 400
      else origins.refuse(request, response instanceof ServerResponse ? response : request.socket)
    })
  }
  guardPolling(engine, log, broker.limits.writeBufferBytesMax)

  for (const namespace of [io.of('/'), io.of(/.*/)]) {
    namespace.use(admission.middleware)
    namespace.on('connection', (socket: Socket) => safely(log, follow, () => socket.disconnect())(socket))
  }

  async function atMost (ms: number, work: ReadonlyArray<Promise<unknown>>): Promise<void> {
    let cancel = (): void => {}
    await Promise.race([Promise.all(work), new Promise<void>(resolve => { cancel = broker.clock.after(ms, resolve) })])
    cancel()
  }

  /** The client's `connect` is on its way; from here on the session's messages follow it. */
  function follow (socket: Socket): void {
    const connection = connections.get(engineOf(socket))
    const admitted = connection && admission.take(connection, socket)
    if (connection === undefined || admitted === undefined) {
      socket.disconnect()
      return
    }
    const { session, present, identity } = admitted
    if (session.ended) return connection.close() // meanwhile; the client comes back and gets a new one
    const here = rules.namespace(socket.nsp.name)
    const link = new SocketLink(socket, connection, here, () => repeats.of(session.clientId))
    const inbound = new Inbound({ socket, connection, session, broker, rules: here, name: identity.name, log })
    connection.add(link)
    inbounds.add(inbound)
    socket.on('disconnect', safely(log, reason => {
      connection.remove(link)
      link.detach()
      inbound.stop().then(() => inbounds.delete(inbound), () => {})
      log.debug({ session: session.clientId, reason }, 'a Socket.IO client left')
    }))
    // Calls no next: nothing here listens to events. What was not handled has no receipt, so the client must notice.
    socket.use(safely(log, packet => inbound.handle(packet), () => connection.close()))
    if (identity.name !== undefined) socket.emit(`${OWN_EVENTS}session`, { clientId: identity.name, present }) // [G5]
    link.attached(broker.attach(session, link))
    log.debug({ session: session.clientId, present }, 'a Socket.IO client came')
  }

  return {
    get connections () { return engine.clientsCount },
    async close () {
      admission.closed = true
      await atMost(CLOSE_GRACE_MS, [...inbounds].map(inbound => inbound.stop()))
      await atMost(CLOSE_FLUSH_MS, Object.values(engine.clients).map(socket => flushed(socket)))
      engine.close()
    }
  }
}

/** Closes a connection; resolves when what was written to it is out. */
async function flushed (socket: EngineSocket): Promise<void> {
  await new Promise<void>(resolve => {
    socket.on('close', () => resolve())
    socket.close()
  })
}

/** Nothing that a client sends may end the process. `failed` is what becomes of the client after an exception. */
function safely<A extends unknown[]> (
  log: Logger, handler: (...args: A) => void, failed: () => void = () => {}
): (...args: A) => void {
  return (...args) => {
    try {
      handler(...args)
    } catch (error) {
      log.error({ err: error }, 'a Socket.IO client could not be served; this is a fault of the server')
      failed()
    }
  }
}

function logRefused (log: Logger, error: { req: EngineRequest, code: number, message: string, context: object }): void {
  const fields = { code: error.code, ...error.context, remoteAddress: error.req.socket.remoteAddress }
  log.info(fields, `a Socket.IO connection was refused: ${error.message}`)
}
