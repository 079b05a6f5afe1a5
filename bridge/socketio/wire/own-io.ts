/** The Socket.IO server below the bridge: one of our own, or the one that a program has made for itself. */
import type { IncomingMessage, Server as HttpServer, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { Server } from 'socket.io'
import type { Limits, Logger } from '../../../broker/index.ts'
import type { Config } from '../../../config/schema.ts'
import type { EngineRequest } from './engine.ts'
import { keepsChildNamespaces } from './socketio.ts'

/** Asked for every upgrade and every polling request, before anything is done with it. */
export interface OriginGate {
  allows (request: Pick<IncomingMessage, 'headers'>, isOpenedByGet?: boolean): boolean
  /** Answers a request that is not allowed; `to` is the response, or the socket of an upgrade. */
  refuse (request: IncomingMessage, to: ServerResponse | Duplex): void
}

/** Says why a connection may not be opened, or undefined where it may. */
export type Gate = (request: EngineRequest) => string | undefined

export interface OwnIoOptions {
  readonly config: Pick<Config, 'pingIntervalMs' | 'pingTimeoutMs' | 'socketioDeflate' | 'socketioPath'>
  readonly limits: Limits
  readonly origins: OriginGate | undefined
  readonly gate: Gate
}

export function createOwnIo (http: HttpServer, { config, limits, origins, gate }: OwnIoOptions): Server {
  const io = new Server(http, {
    path: `${config.socketioPath}/`,
    transports: ['polling', 'websocket'], // a client with default options begins with polling and upgrades
    allowEIO3: true,
    perMessageDeflate: config.socketioDeflate,
    pingInterval: config.pingIntervalMs,
    pingTimeout: config.pingTimeoutMs,
    maxHttpBufferSize: limits.packetBytesMax,
    connectTimeout: limits.connectTimeoutMs,
    upgradeTimeout: limits.connectTimeoutMs,
    destroyUpgrade: false, // other upgrades on this server belong to others
    cleanupEmptyChildNamespaces: true,
    // clients send credentials with their requests if the page wants it; a WebSocket would send them in any case
    cors: origins && ((request, answer) => {
      answer(null, { origin: origins.allows(request), methods: ['GET', 'POST'], credentials: true })
    }),
    allowRequest: (request, answer) => {
      const refused = gate(request as EngineRequest)
      answer(refused, refused === undefined)
    }
  })
  io.of(/.*/)
  return io
}

/** Puts the gate before the program's own allowRequest; everything else stays as the program has set it. */
export function guardProgramIo (io: Server, gate: Gate): void {
  const { opts } = io.engine as unknown as { readonly opts: ProgramEngineOptions }
  const { allowRequest } = opts
  opts.allowRequest = (request, answer) => {
    const refused = gate(request)
    if (refused !== undefined) answer(refused, false)
    else if (allowRequest === undefined) answer(null, true)
    else allowRequest(request, answer)
  }
}

/** Called for each namespace of a program: tells once of what stays in memory for ever, under names clients choose. */
export function warnOfDynamicNamespaces (io: Server, log: Logger): () => void {
  let isTold = false
  return () => {
    if (isTold || !keepsChildNamespaces(io)) return
    isTold = true
    log.warn({}, 'this Socket.IO server has dynamic namespaces (io.of(/.../), or a function) and keeps each that a ' +
      'client names for ever; make it with cleanupEmptyChildNamespaces: true')
  }
}

interface ProgramEngineOptions {
  allowRequest?: (request: EngineRequest, answer: (refused: string | null, success: boolean) => void) => void
}
