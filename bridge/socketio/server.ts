/**
 * Socket.IO clients, unmodified, as followers of broker sessions. Which versions and transports, and what each event
 * means, is in docs/socketio.md; the proofs of receipt are in proof/.
 */
import { randomInt } from 'node:crypto'
import { type Server as HttpServer, ServerResponse } from 'node:http'
import type { Namespace, Server } from 'socket.io'
import {
  Refusals, Suspects, Turns, type Broker, type ClientId, type Logger, type Principal, type Publisher
} from '../../broker/index.ts'
import { Admission } from './admission/admission.ts'
import { DeviceCookies } from './admission/cookie.ts'
import type { Identify } from './admission/identity.ts'
import { Leftovers } from './admission/leftovers.ts'
import { Holders } from './admission/liveness.ts'
import { hookedNamespaces, hookNamespaces } from './admission/namespace-hook.ts'
import { Seats } from './admission/recovery.ts'
import { ApplicationEmits, type Member } from './application-emits.ts'
import { Clients } from './clients.ts'
import { Connection, type Eio3Proof } from './connection.ts'
import type { Durable } from './durable.ts'
import { randomIds } from './ids.ts'
import { DeafClients } from './proof/deaf.ts'
import { EndingsBySession } from './proof/endings.ts'
import type { RecoveryOffset } from './proof/recovery-offset.ts'
import { RepeatsBySession, RetriesBySession } from './repeats.ts'
import { NO_RULES, type RuleSet } from './rules/rule.ts'
import { Rules } from './rules/rules.ts'
import { Tally, type Tallies } from './tally.ts'
import { sessionId } from '../../protocol/index.ts'
import { keepAdapter } from './wire/adapter.ts'
import { handshakeEio3, isOpenedByGet, refusedTransport } from './wire/eio3.ts'
import { engineOf, type EngineRequest, type EngineServer, type EngineSocket } from './wire/engine.ts'
import { ACK_ID_MAX, ACK_ID_MIN, Frames } from './wire/frames.ts'
import { guardPolling } from './wire/guard.ts'
import { Inlets } from './wire/inlets.ts'
import { createOwnIo, guardProgramIo, warnOfDynamicNamespaces, type OriginGate } from './wire/own-io.ts'
import { tellRefusedRequests } from './wire/refused-requests.ts'
import { namespacesOf, privateOf } from './wire/socketio.ts'
import { Strangers } from './wire/strangers.ts'
import { Writing } from './wire/wire.ts'

export interface SocketioBridgeOptions {
  readonly broker: Broker
  /** Gets a handler for requests and upgrades under `path`; everything else stays with whoever had it. */
  readonly http: HttpServer
  /**
   * A program's own Socket.IO server, on an HTTP server already, instead of one of ours: its options, middlewares and
   * handlers stay in force. Its handlers get the events that no rule is for; what it emits to rooms and everybody, and
   * the rooms of its sockets, are carried by the log. Options below that are Socket.IO's own are left alone.
   */
  readonly program?: {
    readonly io: Server
    /** Publishes what it emits; what access control says of clients does not hold for it. */
    readonly publisher: Publisher
    /** Which of its emits are kept for who is away; default: all that can be. */
    readonly durable?: Durable | undefined
  }
  /** Who publishes for the program, whose events are what it means them to be. */
  readonly trusted?: Principal
  readonly log: Logger
  /** Shared with whatever else lets clients in. */
  readonly refusals?: Refusals | undefined
  /** Which pages may connect; default: all, of which those of other origins can't use polling. */
  readonly origins?: OriginGate
  /** How long the session of a client with a client id, or a device cookie, is kept after its connection is gone. */
  readonly sessionExpiryMs: number
  /** The same for a client that has neither, and can only come back soon. */
  readonly recoveryExpiryMs?: number
  /** Where clients find the offset that they bring back. Default 'event'. */
  readonly recoveryOffset?: RecoveryOffset
  /** Name of the cookie that browsers are known by; '' for none. Default 'holdfast'. */
  readonly deviceCookie?: string
  readonly identify?: Identify
  /** A dead link is noticed after at most pingIntervalMs + pingTimeoutMs (Engine.IO 4). */
  readonly pingIntervalMs: number
  readonly pingTimeoutMs: number
  /** Of clients of version 2, who prove what they handled with it; at most that of others. Default: 5,000. */
  readonly eio3PingIntervalMs?: number
  /** Window of a session that a client of version 2 follows. Default: 1,024. */
  readonly eio3InflightMessagesMax?: number
  /** What counts for a client of version 2: its heartbeat (default), or a ping of the WebSocket or the next poll. */
  readonly eio3Proof?: Eio3Proof
  /** Compresses what goes over WebSockets (RFC 7692). Default: no. */
  readonly perMessageDeflate?: boolean
  /** Largest packet or polling request taken from a client. */
  readonly httpBufferBytesMax: number
  /** Default: those of docs/socketio.md. */
  readonly rules?: RuleSet
  /**
   * After a link that may have broken inside a binary event: how long nothing counts that a silent client before 4.6
   * proves, at most half of ackTimeoutMs; 0: not at all. Default: 10,000.
   */
  readonly tornEventHoldMs?: number
  /** Shared with whatever else reads from clients of the same process. */
  readonly turns?: Turns
  /** '/socket.io/' */
  readonly path?: string
  /** Makes message ids, and session ids for clients without one. */
  readonly makeId?: () => string
  /** Makes what nobody may guess: 24 characters of base64url. */
  readonly makeSecret?: () => string
}

export type { Durable, ProgramEmit } from './durable.ts'
export type { Tallies } from './tally.ts'
export type { OriginGate } from './wire/own-io.ts'

export interface Place {
  readonly clientId: ClientId
  readonly filters: readonly string[]
}

export interface SocketioBridge {
  /** Connections that are open now; each can have several namespaces. */
  readonly connections: number
  readonly tallies: Tallies
  /**
   * The session that a client of this name has in the namespace, and what it is subscribed to when it comes. Undefined
   * where the rules let nobody in.
   */
  placeOf (namespace: string, name: string, principal: Principal): Place | undefined
  /**
   * Takes nothing more; what was taken gets its answer, for CLOSE_GRACE_MS at most; then closes the connections, with
   * CLOSE_FLUSH_MS for what is written. The HTTP server stays open.
   */
  close (): Promise<void>
}

export const CLOSE_GRACE_MS = 5_000
export const CLOSE_FLUSH_MS = 1_000

const RECOVERY_EXPIRY_MS = 120_000
const EIO3_PING_INTERVAL_MS = 5_000
const EIO3_INFLIGHT_MESSAGES_MAX = 1_024
const TORN_EVENT_HOLD_MS = 10_000

export function createSocketioBridge (options: SocketioBridgeOptions): SocketioBridge {
  const { broker, log, origins, sessionExpiryMs, program } = options
  const programs = program?.io
  const path = options.path ?? '/socket.io/'
  const makeId = options.makeId ?? randomIds(12)
  const tally = new Tally(broker.clock, log)
  const refusals = options.refusals ?? new Refusals({ clock: broker.clock, log })
  const connections = new WeakMap<EngineSocket, Connection>()
  const suspects = new Suspects({ clock: broker.clock, log, limits: broker.limits })
  const deaf = new DeafClients(log)
  const endings = new EndingsBySession()
  const forget = ({ clientId }: { readonly clientId: ClientId }): void => {
    suspects.forget(clientId)
    deaf.forget(clientId)
    endings.forget(clientId)
  }
  broker.events.on('session-ended', forget)
  const rules = new Rules({
    rules: programs === undefined ? options.rules : forProgram(options.rules),
    makeId,
    log,
    wall: (time) => broker.clock.wall(time)
  })
  const makeSecret = options.makeSecret ?? randomIds(18)
  const cookies = new DeviceCookies({
    name: options.deviceCookie ?? 'holdfast',
    path: programs?.path() ?? path,
    maxAgeMs: sessionExpiryMs,
    makeSecret,
    key: () => broker.secret
  })
  const holders = new Holders(broker.clock)
  const seats = new Seats({
    broker,
    makeSecret,
    makeId,
    sessionExpiryMs,
    recoveryExpiryMs: options.recoveryExpiryMs ?? RECOVERY_EXPIRY_MS,
    clear: clientIds => holders.clear(clientIds)
  })
  const admission = new Admission({
    broker, connections, rules, seats, cookies, identify: options.identify, endings,
    isProgram: program !== undefined, log, refusals
  })
  const members = new Map<string, Member>()
  /** Gone with their namespaces, whose names clients may choose. */
  const applicationEmits = new WeakMap<Namespace, ApplicationEmits>()

  const gate = (request: EngineRequest): string | undefined =>
    refusedTransport(request._query) ?? admission.mayConnect(engine)
  const io = programs ?? createOwnIo(options.http, {
    path,
    limits: broker.limits,
    origins,
    perMessageDeflate: options.perMessageDeflate ?? false,
    pingIntervalMs: options.pingIntervalMs,
    pingTimeoutMs: options.pingTimeoutMs,
    httpBufferBytesMax: options.httpBufferBytesMax,
    gate
  })
  if (programs !== undefined) guardProgramIo(programs, gate)
  const engine = io.engine as unknown as EngineServer
  handshakeEio3(engine, options.eio3PingIntervalMs ?? EIO3_PING_INTERVAL_MS)
  const inlets = new Inlets(options.turns ?? new Turns())
  inlets.attach(engine)
  const connectionOptions = {
    ...broker.limits,
    eio3InflightMessagesMax: options.eio3InflightMessagesMax ?? EIO3_INFLIGHT_MESSAGES_MAX,
    eio3Proof: options.eio3Proof ?? 'heartbeat',
    writing: new Writing(),
    inlets
  }
  const strangers = new Strangers({
    engine,
    isProgram: program !== undefined,
    connectPacketBytesMax: broker.limits.connectPacketBytesMax,
    inLimit: programs === undefined ? 'packetBytesMax' : 'maxHttpBufferSize',
    oversize: (who, error, limit) => refusals.note({
      kind: 'oversize',
      who,
      about: { error },
      sameAs: error,
      what: 'a Socket.IO client sent more at once than is taken',
      toDo: `let it send less at once, or raise ${limit}`
    }),
    violation: (who, error) => refusals.note({
      kind: 'violations', who, about: { error }, what: 'a Socket.IO client broke the protocol and was cut',
      toDo: 'update or mend the client'
    }),
    late: who => refusals.note({
      kind: 'clients',
      who,
      what: `a Socket.IO client opened no namespace within ${io.connectTimeout()} ms and was cut`,
      toDo: 'let it send CONNECT as soon as it is connected, or look at what keeps middlewares (io.use) so long'
    }),
    connectTimeoutMs: io.connectTimeout(),
    now: () => broker.clock.now()
  })
  engine.on('connection', socket => {
    strangers.watch(socket)
    const connection = new Connection(socket, connectionOptions, broker.clock, refusals)
    connections.set(socket, connection)
  })
  tellRefusedRequests(engine, refusals)
  if (origins !== undefined) {
    engine.use((request, response, next) => {
      if (origins.allows(request, isOpenedByGet(request._query))) next()
      // for an upgrade Engine.IO hands over no real response, and would answer 400
      else origins.refuse(request, response instanceof ServerResponse ? response : request.socket)
    })
  }
  engine.on('initial_headers', (headers, request) => cookies.give(headers, request))
  guardPolling({
    engine,
    inlets,
    log,
    refusals,
    answerBytesMax: broker.limits.writeBufferBytesMax,
    stepOf: socket => connections.get(socket)?.step
  })

  const releaseAdapter = programs && keepAdapter(programs)
  if (programs !== undefined) hookedNamespaces(programs, warnOfDynamicNamespaces(programs, log))
  if (program !== undefined) {
    hookedNamespaces(program.io, namespace => {
      const { name: namespaceName } = rules.namespace(namespace.name)
      applicationEmits.set(namespace, new ApplicationEmits(namespace,
        { broker, program: program.publisher, durable: program.durable, members, namespaceName, makeId, tally }))
    })
  }
  const clients = new Clients({
    broker,
    log,
    refusals,
    connections,
    holders,
    leftovers: new Leftovers(),
    endings,
    deaf,
    // whoever is held back for longer would be cut off as stalled
    tornEventHoldMs: Math.min(options.tornEventHoldMs ?? TORN_EVENT_HOLD_MS, broker.limits.ackTimeoutMs / 2),
    suspects,
    repeats: new RepeatsBySession(),
    tally,
    strangers,
    retries: new RetriesBySession(),
    recoveryOffset: options.recoveryOffset ?? 'event',
    makeFrames: () => new Frames({
      encoder: privateOf(io.of('/')).server.encoder,
      epoch: broker.epoch,
      trusted: options.trusted,
      firstAckId: randomInt(ACK_ID_MIN, ACK_ID_MAX)
    }),
    isProgram: program !== undefined,
    members,
    applicationEmits
  })
  hookNamespaces(io, async socket => {
    const admitted = await admission.admit(socket).catch((error: unknown) => {
      strangers.refused(engineOf(socket))
      throw error
    })
    return {
      enter: connect => clients.enter(socket, admitted, connect),
      abandon: () => broker.release(admitted.session, { endsNew: true })
    }
  })

  async function atMost (ms: number, work: ReadonlyArray<Promise<unknown>>): Promise<void> {
    let cancel = (): void => {}
    await Promise.race([Promise.all(work), new Promise<void>(resolve => { cancel = broker.clock.after(ms, resolve) })])
    cancel()
  }

  return {
    get connections () { return engine.clientsCount },
    get tallies () { return tally.counts },
    placeOf (namespace, name, principal) {
      const here = rules.namespace(namespace)
      if (!here.allowed) return undefined
      return { clientId: sessionId(here.name, name) as ClientId, filters: here.filters({ name, principal }) }
    },
    async close () {
      admission.closed = true
      await atMost(CLOSE_GRACE_MS, [clients.stop()])
      await atMost(CLOSE_FLUSH_MS, Object.values(engine.clients).map(socket => flushed(socket)))
      broker.events.off('session-ended', forget)
      for (const namespace of namespacesOf(io)) applicationEmits.get(namespace)?.detach()
      releaseAdapter?.()
      if (programs === undefined) engine.close()
    }
  }
}

/** What a program's clients emit is for its own handlers, unless a rule takes it. */
function forProgram (rules: RuleSet = NO_RULES): RuleSet {
  return { ...rules, defaults: rules.defaults === false ? false : 'deliver' }
}

/** Closes a connection; resolves when what was written to it is out. */
async function flushed (socket: EngineSocket): Promise<void> {
  const { transport } = socket
  if (transport.name === 'polling') transport.closeTimeout = CLOSE_FLUSH_MS // its timer keeps the process alive
  await new Promise<void>(resolve => {
    socket.on('close', () => resolve())
    socket.close()
  })
}
