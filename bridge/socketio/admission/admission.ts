/** Who may open a connection or a namespace, and as which session. */
import type { Socket } from 'socket.io'
import { HoldfastError, inTime, type Broker, type Connected, type Logger, type Offset, type Principal
} from '../../../broker/index.ts'
import type { Connection } from '../connection.ts'
import { readToken } from '../proof/recovery-offset.ts'
import type { NamespaceRules, Rules } from '../rules/rules.ts'
import { engineOf, type EngineRequest, type EngineServer, type EngineSocket } from '../wire/engine.ts'
import { MISSING_T } from '../wire/guard.ts'
import type { DeviceCookies } from './cookie.ts'
import { IdentityError, readIdentity, type Identify, type Identified, type Identity } from './identity.ts'
import { readPid, sidOf, type Candidate, type Pid, type Seats, type Seeker, type Sid } from './recovery.ts'

/**
 * A namespace whose client may come in: its session is there and subscribed, and nothing is delivered yet. Either it is
 * attached, or the session is released.
 */
export interface Admitted extends Connected {
  readonly connection: Connection
  readonly rules: NamespaceRules
  /** As the client gave it; undefined where it gave none. */
  readonly name: string | undefined
  /** Undefined where clients have none (Engine.IO 3). */
  readonly pid: Pid | undefined
  readonly sid: Sid | undefined
  /** It is the very client that used the session last, and the session is as it left it. */
  readonly recovered: boolean
  /** A recovered client's claim; undefined where it made none that means something here. */
  readonly receivedThrough: Offset | undefined
  /** It showed a pid, whosever: such a client is of 4.6 or later. */
  readonly bringsPid: boolean
}

type Taken = Omit<Admitted, 'connection' | 'rules' | 'name' | 'bringsPid'>

export interface AdmissionOptions {
  readonly broker: Broker
  readonly connections: WeakMap<EngineSocket, Connection>
  readonly rules: Rules
  readonly seats: Seats
  readonly cookies: DeviceCookies
  readonly identify: Identify | undefined
  readonly log: Logger
}

/** Sessions that one connection can open. */
export const NAMESPACES_PER_CONNECTION_MAX = 32

const OLD_PROTOCOL = 3

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

  /** Finds and subscribes the session; throws an Error for the client, with a code in `data`. */
  async admit (socket: Socket): Promise<Admitted> {
    try {
      return await this.#admit(socket)
    } catch (error) {
      // A client that gets connect_error stays away for good. What may pass is no refusal: to it the network broke.
      if (mayPass(error)) this.#options.connections.get(engineOf(socket))?.close()
      throw this.#refusal(socket, error)
    }
  }

  async #admit (socket: Socket): Promise<Admitted> {
    const { broker, connections, rules } = this.#options
    const connection = connections.get(engineOf(socket))
    if (this.closed) throw new HoldfastError('CLOSED', 'the server is shutting down')
    if (connection === undefined) throw new HoldfastError('CLOSED', 'the connection is gone')
    // A session is named by both; the length comes before anything that reads them [G8].
    const { clientIdBytesMax } = broker.limits
    if (socket.nsp.name.length > clientIdBytesMax) {
      throw new RefusedError('NAMESPACE_INVALID',
        `the name of the namespace is longer than ${clientIdBytesMax} characters (clientIdBytesMax)`)
    }
    const leave = this.#enter(connection, socket.nsp.name)
    try {
      const here = rules.namespace(socket.nsp.name)
      if (!here.allowed) throw new RefusedError('NAMESPACE_INVALID', 'Invalid namespace')
      const identity = readIdentity(socket.handshake, await this.#identified(socket), clientIdBytesMax)
      const taken = await this.#take(socket, identity, here.name)
      const { session } = taken
      try {
        // One that is there already counts from where it was; again, it would repeat retained messages.
        const known = new Set(broker.session(session.clientId)?.filters.map(({ filter }) => filter))
        const missing = here.filters({ name: identity.name, principal: session.principal })
          .filter(filter => !known.has(filter))
        await Promise.all(missing.map(filter => broker.subscribe(session, filter, 1)))
        if (!connection.open) throw new HoldfastError('CLOSED', 'the connection is gone')
      } catch (error) {
        broker.release(session)
        throw error
      }
      const bringsPid = socket.handshake.auth.pid !== undefined
      return { ...taken, connection, rules: here, name: identity.name, bringsPid }
    } finally {
      leave()
    }
  }

  async #identified (socket: Socket): Promise<Identified | undefined> {
    const { auth, query, headers, address } = socket.handshake
    const { clock, limits } = this.#options.broker
    try {
      const identified = this.#options.identify?.({ auth, query, headers, address, namespace: socket.nsp.name })
      return await inTime(clock, limits.connectTimeoutMs, identified, () => new HoldfastError('AUTH_UNAVAILABLE',
        `identify gave no answer within connectTimeoutMs = ${limits.connectTimeoutMs}`))
    } catch (error) {
      if (error instanceof HoldfastError) throw error
      this.#options.log.warn({ err: error, remoteAddress: address },
        'the program\'s identify() refused a Socket.IO client with an exception')
      throw new RefusedError('NOT_AUTHORIZED', 'not allowed')
    }
  }

  /** The first session that can be had. */
  async #take (socket: Socket, identity: Identity, namespace: string): Promise<Taken> {
    const { cookies, seats } = this.#options
    const takesPid = engineOf(socket).protocol !== OLD_PROTOCOL
    const { auth } = socket.handshake
    const seeker: Omit<Seeker, 'principal'> = {
      namespace,
      name: identity.name,
      claimed: takesPid ? readPid(auth.pid) : undefined,
      device: cookies.device(socket.request),
      takesPid
    }
    const clientId = seats.first(seeker)
    const bytes = Buffer.byteLength(clientId)
    const { clientIdBytesMax } = this.#options.broker.limits
    if (bytes > clientIdBytesMax) {
      throw new IdentityError('clientId is too long: with its namespace it takes ' +
        `${bytes} bytes, the limit is ${clientIdBytesMax} (clientIdBytesMax)`)
    }
    const principal = await this.#options.broker.auth.authenticate(
      { ...identity.credentials, clientId, via: 'socketio', remoteAddress: socket.handshake.address })
    if (principal === undefined) throw new RefusedError('NOT_AUTHORIZED', 'not allowed')
    // nothing is made for nobody
    if (!this.#isHere(socket)) throw new HoldfastError('CLOSED', 'the connection is gone')
    for await (const candidate of seats.candidates({ ...seeker, principal })) {
      const taken = await this.#connect(socket, candidate, principal, seeker.claimed)
      if (taken !== undefined) return taken
    }
    throw new Error('there is always a session to be had, at last a new one')
  }

  async #connect (
    socket: Socket, candidate: Candidate, principal: Principal, claimed: Pid | undefined
  ): Promise<Taken | undefined> {
    const { broker } = this.#options
    const { auth, address } = socket.handshake
    const { clientId, clean, expiryMs, isClaim, pid } = candidate
    const claimedSid = claimed === undefined ? undefined : sidOf(claimed)
    const freshSid = pid === undefined ? undefined : sidOf(pid)
    let recovered = false
    const connected = await broker.connect({
      clientId,
      principal,
      clean,
      expiryMs,
      remoteAddress: address,
      isWanted: () => this.#isHere(socket),
      // Who has no pid still takes the place of who had one: the offset of that one means nothing any more.
      tag: previous => {
        recovered = previous !== undefined && previous === claimedSid
        return recovered ? previous! : freshSid ?? ''
      }
    })
    recovered &&= connected.present
    if (isClaim && !recovered) { // it has ended meanwhile, or somebody else has it
      broker.release(connected.session)
      return undefined
    }
    return {
      ...connected,
      recovered,
      pid: recovered ? claimed : pid,
      sid: recovered ? claimedSid : freshSid,
      receivedThrough: recovered ? readToken(broker.epoch, auth.offset) : undefined
    }
  }

  #isHere (socket: Socket): boolean {
    return this.#options.connections.get(engineOf(socket))?.open === true
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

/** Trying again can help: the server stops, the disk is full, or it is a fault of ours. */
function mayPass (error: unknown): boolean {
  if (error instanceof RefusedError || error instanceof IdentityError) return false
  return !(error instanceof HoldfastError) || error.retriable
}
