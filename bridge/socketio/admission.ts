/** Who may open a connection or a namespace, and as which session. */
import type { Namespace, Socket } from 'socket.io'
import { HoldfastError, type Broker, type Connected, type Logger } from '../../broker/index.ts'
import type { Connection } from './connection.ts'
import { engineOf, type EngineRequest, type EngineServer, type EngineSocket } from './engine.ts'
import { MISSING_T } from './guard.ts'
import { identify, IdentityError, type Identity } from './identity.ts'
import { scopeFilter, type Scope } from './names.ts'

/** A namespace whose client may come in: its session is there and subscribed, and nothing is delivered yet. */
export interface Admitted extends Connected {
  readonly identity: Identity
}

export interface AdmissionOptions {
  readonly broker: Broker
  readonly connections: WeakMap<EngineSocket, Connection>
  readonly makeId: () => string
  readonly sessionExpiryMs: number
  readonly log: Logger
}

/** Sessions that one connection can open. */
export const NAMESPACES_PER_CONNECTION_MAX = 32

/** Refused for a reason that the client is told as `connect_error`, with a code in `error.data.code`. */
class RefusedError extends Error {
  readonly data: { readonly code: string }

  constructor (code: string, message: string) {
    super(message)
    this.data = { code }
  }
}

export class Admission {
  readonly #options: AdmissionOptions
  /** Admitted, and `connect` not yet sent. */
  readonly #admitted = new Map<Connection, Map<Socket, Admitted>>()
  /** Namespaces of a connection that were asked for and are not open yet. */
  readonly #opening = new WeakMap<Connection, Set<string>>()
  closed = false

  constructor (options: AdmissionOptions) {
    this.#options = options
  }

  /** Socket.IO's allowRequest: asked once for each connection, before anything is kept for it. */
  mayConnect (request: EngineRequest, engine: EngineServer): string | undefined {
    const { connectionsMax } = this.#options.broker.limits
    if (this.closed) return 'the server is shutting down'
    if (engine.clientsCount >= connectionsMax) return `too many connections (connectionsMax = ${connectionsMax})`
    if (request._query.transport === 'polling' && request._query.t === undefined) return MISSING_T
    return undefined
  }

  /** Middleware of a namespace: resolves and subscribes the session before `connect` reaches the client. */
  readonly middleware: Parameters<Namespace['use']>[0] = (socket, next) => {
    this.#admit(socket).then(() => next(), (error: unknown) => next(this.#refusal(socket, error)))
  }

  /** What middleware found; once. */
  take (connection: Connection, socket: Socket): Admitted | undefined {
    const waiting = this.#admitted.get(connection)
    const admitted = waiting?.get(socket)
    waiting?.delete(socket)
    if (waiting?.size === 0) this.#admitted.delete(connection)
    return admitted
  }

  /** The connection has closed. */
  gone (connection: Connection): void {
    for (const { session } of this.#admitted.get(connection)?.values() ?? []) this.#options.broker.release(session)
    this.#admitted.delete(connection)
  }

  async #admit (socket: Socket): Promise<void> {
    const { broker, connections, makeId, sessionExpiryMs } = this.#options
    const connection = connections.get(engineOf(socket))
    if (this.closed || connection === undefined) throw new RefusedError('CLOSED', 'the server is shutting down')
    const namespace = socket.nsp.name
    const leave = this.#enter(connection, namespace)
    try {
      const identity = identify(socket.handshake, namespace, makeId, broker.limits.clientIdBytesMax)
      const { clientId } = identity
      const principal = await broker.auth.authenticate(identity.credentials)
      if (principal === undefined) throw new RefusedError('NOT_AUTHORIZED', 'not allowed')
      const clean = identity.name === undefined
      const connected = await broker.connect({ clientId, principal, clean, expiryMs: sessionExpiryMs })
      const { session } = connected
      try {
        const scopes: Scope[] = clean ? [{ all: true }] : [{ all: true }, { user: identity.name }]
        // One that is there already counts from where it was; again, it would repeat retained messages.
        const known = new Set(broker.session(clientId)?.filters.map(({ filter }) => filter))
        const missing = scopes.map(scope => scopeFilter(namespace, scope)).filter(filter => !known.has(filter))
        await Promise.all(missing.map(filter => broker.subscribe(session, filter, 1)))
        if (!connection.open) throw new RefusedError('CLOSED', 'the connection is gone')
        const waiting = this.#admitted.get(connection) ?? new Map<Socket, Admitted>()
        this.#admitted.set(connection, waiting.set(socket, { ...connected, identity }))
      } catch (error) {
        broker.release(session)
        throw error
      }
    } finally {
      leave()
    }
  }

  /** A namespace opens once at a time, and a connection has a bounded number of them [G6]. */
  #enter (connection: Connection, namespace: string): () => void {
    let opening = this.#opening.get(connection)
    if (opening === undefined) this.#opening.set(connection, opening = new Set())
    const isOpening = opening
    if (opening.has(namespace)) throw new RefusedError('PROTOCOL', 'the namespace is already being connected to')
    if (opening.size + connection.channelCount >= NAMESPACES_PER_CONNECTION_MAX) {
      throw new RefusedError('NAMESPACES_FULL',
        `a connection can have ${NAMESPACES_PER_CONNECTION_MAX} namespaces; open another one with forceNew: true`)
    }
    opening.add(namespace)
    return () => isOpening.delete(namespace)
  }

  #refusal (socket: Socket, error: unknown): Error {
    const fields = { namespace: socket.nsp.name.slice(0, 80), remoteAddress: socket.handshake.address }
    if (error instanceof RefusedError || error instanceof IdentityError) {
      this.#options.log.info({ ...fields, code: error.data.code }, `a Socket.IO client was refused: ${error.message}`)
      return error
    }
    if (error instanceof HoldfastError) {
      this.#options.log.info({ ...fields, code: error.code }, `a Socket.IO client was refused: ${error.message}`)
      return new RefusedError(error.code, error.message)
    }
    this.#options.log.error({ ...fields, err: error }, 'a Socket.IO client could not be let in')
    return new RefusedError('INTERNAL', 'the server could not handle the request; its log says why')
  }
}
