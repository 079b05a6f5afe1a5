/**
 * Who may open a connection or a namespace, and as which session. What can be refused is asked before there is a
 * session, so that nothing is kept of somebody who is refused.
 */
import type { Socket } from 'socket.io'
import {
  HoldfastError, certificateOf, inTime, printable, toDoAbout, type Broker, type ClientCertificate, type ClientId,
  type Credentials, type Identity as Person, type Logger, type Offset, type Peer, type Refusals
} from '../../../broker/index.ts'
import type { Connection } from '../connection.ts'
import type { EndingsBySession } from '../proof/endings.ts'
import { isToken, readToken } from '../proof/recovery-offset.ts'
import type { NamespaceRules, Rules } from '../rules/rules.ts'
import { engineOf, type EngineServer, type EngineSocket, type NewEngineSocket } from '../wire/engine.ts'
import { STOPPING, TOO_MANY } from '../wire/refused-requests.ts'
import type { DeviceCookies } from './cookie.ts'
import {
  IdentityError, checkIdentified, ownerOf, readIdentity, shownBy, type Identify, type Identified, type Identity
} from './identity.ts'
import { readPid, sidOf, type Candidate, type Pid, type Seats, type Seeker, type Sid } from './recovery.ts'

/**
 * A namespace whose client may come in: its session is there and subscribed, and nothing is delivered yet. Either it is
 * attached, or the session is released.
 */
export interface Admitted {
  readonly peer: Peer
  readonly connection: Connection
  readonly rules: NamespaceRules
  /** As the client gave it; undefined where it gave none. */
  readonly name: string | undefined
  /** Undefined where clients have none (Engine.IO 3). */
  readonly pid: Pid | undefined
  readonly sid: Sid | undefined
  /** For whom the session is, as the application says; undefined where it does not, or has no say. */
  readonly owner: string | undefined
  /** It is the very client that used the session last, and the session is as it left it. */
  readonly recovered: boolean
  /** A recovered client's claim; undefined where it made none that means something here. */
  readonly receivedThrough: Offset | undefined
  /** It showed a pid, whosever: such a client is of 4.6 or later. */
  readonly bringsPid: boolean
  /** It showed what a session is known by; who did not can't have had one, and misses none [G5]. */
  readonly isKnown: boolean
  /** What it brings as its offset, whatever that is. */
  readonly told: unknown
}

type Taken = Omit<Admitted, 'connection' | 'rules' | 'name' | 'bringsPid' | 'told'>

/** What a client asks for with its CONNECT. */
interface Request {
  readonly identity: Identity
  readonly rules: NamespaceRules
  readonly owner: string | undefined
}

export interface AdmissionOptions {
  readonly broker: Broker
  readonly connections: WeakMap<EngineSocket, Connection>
  readonly rules: Rules
  readonly seats: Seats
  readonly cookies: DeviceCookies
  readonly identify: Identify | undefined
  readonly endings: Pick<EndingsBySession, 'placeOf'>
  /** A program's own server: its middlewares have run, and may have said who this is. */
  readonly isProgram: boolean
  readonly log: Logger
  readonly refusals: Refusals
}

/** Sessions that one connection can open. */
export const NAMESPACES_PER_CONNECTION_MAX = 32

const TO_DO: Readonly<Record<string, string>> = {
  NAMESPACE_INVALID: 'correct the namespace in the client, or let it in by the rules (namespaces)',
  NAMESPACES_FULL: 'let the client open more connections (forceNew: true), or use fewer namespaces',
  PROTOCOL: 'let the client connect to a namespace once, and wait for the answer'
}

const OLD_PROTOCOL = 3
const STACK_CHARS_MAX = 2_000

/** Refused for a reason that the client is told as `connect_error`, with a code in `error.data.code`. */
class RefusedError extends Error {
  readonly data: { readonly code: string }
  /** For the log alone. */
  override readonly cause: string | undefined

  constructor (code: string, message: string, cause?: string) {
    super(message)
    this.data = { code }
    this.cause = cause
  }
}

export class Admission {
  readonly #options: AdmissionOptions
  /** Namespaces of a connection that were asked for and are not open yet. */
  readonly #opening = new WeakMap<Connection, Set<string>>()
  /** Shown to TLS with the first request, whose own connection may be gone when CONNECT comes. */
  readonly #certificates = new WeakMap<EngineSocket, ClientCertificate>()
  closed = false

  constructor (options: AdmissionOptions) {
    this.#options = options
  }

  /** Socket.IO's allowRequest: asked once for each connection, before anything is kept for it. */
  mayConnect (engine: EngineServer): string | undefined {
    const { connectionsMax } = this.#options.broker.limits
    if (this.closed) return STOPPING
    if (engine.clientsCount >= connectionsMax) return `${TOO_MANY} (connectionsMax = ${connectionsMax})`
    return undefined
  }

  /** A connection was made. */
  opened (engine: NewEngineSocket): void {
    const certificate = certificateOf(engine.request.socket)
    if (certificate !== undefined) this.#certificates.set(engine, certificate)
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
      const identified = await this.#identified(socket)
      const identity = readIdentity(socket.handshake, identified, broker.limits.clientIdBytesMax)
      const owner = this.#options.isProgram ? ownerOf(identified, socket.data) : undefined
      const { auth } = socket.handshake
      const taken = await this.#take(socket, { identity, rules: here, owner })
      const bringsPid = auth.pid !== undefined
      const isKnown = taken.isKnown || identity.name !== undefined || bringsPid
      return { ...taken, connection, rules: here, name: identity.name, bringsPid, isKnown, told: auth.offset }
    } finally {
      leave()
    }
  }

  async #identified (socket: Socket): Promise<Identified | undefined> {
    const { auth, query, headers, address } = socket.handshake
    const { clock, limits } = this.#options.broker
    try {
      const { data, nsp: { name: namespace } } = socket
      const identified = this.#options.identify?.({ auth, query, headers, address, namespace, data })
      const late = (): Error => new HoldfastError('AUTH_UNAVAILABLE',
        `identify gave no answer within connectTimeoutMs = ${limits.connectTimeoutMs}`)
      return checkIdentified(await inTime(clock, limits.connectTimeoutMs, identified, late))
    } catch (error) {
      if (error instanceof HoldfastError) throw error
      const { message, stack = message } = error instanceof Error ? error : new Error(String(error))
      this.#options.log.debug({ stack: printable(stack, STACK_CHARS_MAX) }, 'identify() of the program threw')
      throw new RefusedError('NOT_AUTHORIZED', 'not allowed', `identify() of the program threw: ${message}`)
    }
  }

  /** The first session that can be had. */
  async #take (socket: Socket, request: Request): Promise<Taken> {
    const { cookies, seats, isProgram } = this.#options
    const { identity, rules, owner } = request
    const takesPid = engineOf(socket).protocol !== OLD_PROTOCOL
    const isUnknown = isProgram && owner === undefined
    const seeker: Omit<Seeker, 'principal'> = {
      namespace: rules.name,
      name: identity.name,
      owner,
      claimed: takesPid ? readPid(socket.handshake.auth.pid) : undefined,
      shown: isUnknown ? shownBy(socket.handshake) : '',
      device: isUnknown ? undefined : cookies.device(socket.request), // a cookie knows browsers, not people
      takesPid
    }
    const clientId = seats.first(seeker)
    const bytes = Buffer.byteLength(clientId)
    const { clientIdBytesMax } = this.#options.broker.limits
    if (bytes > clientIdBytesMax) {
      throw new IdentityError('clientId is too long: with its namespace it takes ' +
        `${bytes} bytes, the limit is ${clientIdBytesMax} (clientIdBytesMax)`)
    }
    const { address: remoteAddress, headers: { cookie } } = socket.handshake
    const credentials: Credentials = {
      ...identity.credentials,
      clientId,
      via: 'socketio',
      remoteAddress,
      cookies: cookie,
      certificate: this.#certificates.get(engineOf(socket))
    }
    const person = await this.#options.broker.authenticate(credentials)
    const { principal } = person
    // nothing is made for nobody
    if (!this.#isHere(socket)) throw new HoldfastError('CLOSED', 'the connection is gone')
    for await (const candidate of seats.candidates({ ...seeker, principal })) {
      const asked = { ...request, person, credentials }
      const taken = await this.#connect(socket, candidate, { ...seeker, principal }, asked)
      if (taken !== undefined) return { ...taken, isKnown: seeker.device?.returned === true }
    }
    throw new Error('there is always a session to be had, at last a new one')
  }

  async #connect (
    socket: Socket, candidate: Candidate, seeker: Seeker,
    request: Request & { readonly person: Person, readonly credentials: Credentials }
  ): Promise<Omit<Taken, 'isKnown'> | undefined> {
    const { broker } = this.#options
    const { auth, address } = socket.handshake
    const { clientId, clean, expiryMs, isClaim, pid } = candidate
    const { owner, claimed, shown } = seeker
    const filters = this.#missing(candidate, seeker, request)
    const claimedSid = claimed === undefined ? undefined : sidOf(claimed, shown)
    const freshSid = pid === undefined ? undefined : sidOf(pid, shown)
    let recovered = false
    const peer = await broker.enter({
      credentials: request.credentials,
      identity: request.person,
      filters,
      clientId,
      owner,
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
    recovered &&= peer.present
    try {
      if (isClaim && !recovered) { // it has ended meanwhile, or somebody else has it
        peer.leave({ endsNew: true })
        return undefined
      }
      await Promise.all(filters.map(filter => peer.subscribe(filter, 1)))
      if (!this.#isHere(socket)) throw new HoldfastError('CLOSED', 'the connection is gone')
    } catch (error) {
      peer.leave({ endsNew: true })
      throw error
    }
    return {
      peer,
      recovered,
      owner,
      pid: recovered ? claimed : pid,
      sid: recovered ? claimedSid : freshSid,
      receivedThrough: recovered ? this.#placeOf(clientId, auth.offset) : undefined
    }
  }

  #placeOf (clientId: ClientId, told: unknown): Offset | undefined {
    const { broker, endings } = this.#options
    return isToken(told) ? readToken(broker.epoch, told) : endings.placeOf(clientId, told)
  }

  /** One that is there already counts from where it was; again, it would repeat retained messages. */
  #missing ({ clientId }: Candidate, { principal, name }: Seeker, { rules }: Request): string[] {
    const session = this.#options.broker.session(clientId)
    const known = new Set(session?.principal === principal ? session.filters.map(({ filter }) => filter) : [])
    return rules.filters({ name, principal }).filter(filter => !known.has(filter))
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

  #tell ({ nsp, handshake: { address, auth } }: Socket, code: string, { message, cause }: Error): void {
    const { clientId } = auth as { readonly clientId?: unknown }
    this.#options.refusals.note({
      kind: 'clients',
      who: { remoteAddress: address, clientId: typeof clientId === 'string' ? clientId : undefined },
      about: { namespace: nsp.name, code, error: typeof cause === 'string' ? cause : message },
      sameAs: code,
      what: 'a Socket.IO client was refused',
      toDo: TO_DO[code] ?? toDoAbout(code)
    })
  }

  #refusal (socket: Socket, error: unknown): Error {
    const fields = { namespace: socket.nsp.name.slice(0, 80), remoteAddress: socket.handshake.address }
    const isToldAsItIs = error instanceof RefusedError || error instanceof IdentityError
    if (isToldAsItIs || error instanceof HoldfastError) {
      const code = isToldAsItIs ? error.data.code : error.code
      // one whose connection has gone, or that comes while the server stops, was not refused
      if (code !== 'CLOSED') this.#tell(socket, code, error)
      return isToldAsItIs ? error : new RefusedError(code, error.message)
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
