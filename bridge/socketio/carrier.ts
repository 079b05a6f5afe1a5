/**
 * Carries by the log what an application emits through its own Socket.IO server and which rooms its sockets are in:
 * `io.emit`, `io.to(room).emit`, `socket.to(room).emit`, `socket.broadcast.emit`; `socket.join`, `socket.leave`.
 *
 * It takes the place of four methods of a namespace's adapter and leaves the adapter itself where it is. What can't be
 * carried goes as it always went, to whoever is connected: volatile and local emits, emits that ask for answers, emits
 * to a socket without a name, and exceptions other than "all but the sender".
 */
import type { Namespace } from 'socket.io'
import type { Broker, Logger, Publisher, Session } from '../../broker/index.ts'
import { encodeEnvelope } from './translation/envelope.ts'
import { decodeName, eventTopic, roomFilterAround, scopeFilter, type Scope } from './translation/names.ts'
import { isReservedEvent, NO_ECHO_MARK, SEVERAL_MARK } from './translation/translate.ts'

/** Who is behind a socket of the application. */
export interface Member {
  readonly session: Session
  /** As the client gave it; undefined where it gave none. */
  readonly name: string | undefined
}

export interface CarrierOptions {
  readonly broker: Broker
  /** Emits of the application are its own: access control of clients is not asked. */
  readonly program: Publisher
  /** By the id of the socket. */
  readonly members: ReadonlyMap<string, Member>
  /** What topics name the namespace by, if that is another name. */
  readonly namespaceName: string
  readonly makeId: () => string
  readonly log: Logger
}

interface EventPacket {
  readonly type: number
  readonly data: readonly unknown[]
  readonly id?: number
}

interface BroadcastOptions {
  readonly rooms: ReadonlySet<string>
  readonly except?: ReadonlySet<string>
  readonly flags?: { readonly volatile?: boolean, readonly local?: boolean }
}

/** Of socket.io-adapter, as far as it is used. */
export interface CarriedAdapter {
  addAll (socket: string, rooms: ReadonlySet<string>): Promise<void> | void
  del (socket: string, room: string): Promise<void> | void
  broadcast (packet: EventPacket, options: BroadcastOptions): void
}

const EVENT = 2
const NOBODY: ReadonlySet<string> = new Set()

export class Carrier {
  readonly #options: CarrierOptions
  readonly #namespace: Namespace
  /** The methods as they were. */
  readonly #live: CarriedAdapter

  constructor (namespace: Namespace, options: CarrierOptions) {
    this.#options = options
    this.#namespace = namespace
    const adapter = namespace.adapter as unknown as CarriedAdapter
    this.#live = {
      addAll: adapter.addAll.bind(adapter),
      del: adapter.del.bind(adapter),
      broadcast: adapter.broadcast.bind(adapter)
    }
    adapter.addAll = (socket, rooms) => this.#join(socket, rooms)
    adapter.del = (socket, room) => this.#leave(socket, room)
    adapter.broadcast = (packet, options) => this.#broadcast(packet, options)
  }

  /** Leaves the adapter as it was found. */
  detach (): void {
    Object.assign(this.#namespace.adapter, this.#live)
  }

  /** The rooms that the session is in count for the application's `socket.rooms` and live emits too. */
  restore (socket: string, session: Session): void {
    const { before, after } = roomFilterAround(this.#options.namespaceName)
    const rooms = new Set<string>()
    for (const { filter } of this.#options.broker.session(session.clientId)?.filters ?? []) {
      if (!filter.startsWith(before) || !filter.endsWith(after)) continue
      const level = filter.slice(before.length, filter.length - after.length)
      if (level !== '' && !level.includes('/')) rooms.add(decodeName(level))
    }
    if (rooms.size > 0) void this.#live.addAll(socket, rooms)
  }

  /** Resolves when it is durable [G1]; a socket's own room, which has its id as name, is no room of the session. */
  #join (socket: string, rooms: ReadonlySet<string>): Promise<void> | void {
    const { broker, members } = this.#options
    const member = members.get(socket)
    const joined = [...rooms].filter(room => room !== socket)
    if (member === undefined || joined.length === 0) return this.#live.addAll(socket, rooms)
    return this.#durably(joined, async room => {
      await broker.subscribe(member.session, scopeFilter(this.#options.namespaceName, { room }), 1)
    }, 'joined').then(() => this.#live.addAll(socket, rooms))
  }

  #leave (socket: string, room: string): Promise<void> | void {
    const { broker, members } = this.#options
    const member = members.get(socket)
    const left = this.#live.del(socket, room)
    if (member === undefined || room === socket) return left
    return this.#durably([room], async () => {
      await broker.unsubscribe(member.session, scopeFilter(this.#options.namespaceName, { room }))
    }, 'left')
  }

  /** Most applications don't wait for join() and leave(): what fails is logged, and rejected for those who do. */
  #durably (rooms: readonly string[], change: (room: string) => Promise<void>, done: string): Promise<void> {
    const all = Promise.all(rooms.map(change)).then(() => {})
    all.catch((error: unknown) => {
      this.#options.log.warn({ err: error, namespace: this.#namespace.name }, `a room could not be ${done} durably`)
    })
    return all
  }

  #broadcast (packet: EventPacket, options: BroadcastOptions): void {
    const carried = this.#carried(packet, options)
    if (carried === undefined) return this.#live.broadcast(packet, options)
    const { publisher, id, scopes } = carried
    const { broker, log } = this.#options
    const [event, ...args] = packet.data as [string, ...unknown[]]
    const bytes = encodeEnvelope({ id, args }) // throws what the application should know: circles, a BigInt
    const payload = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    for (const scope of scopes) {
      const topic = eventTopic(this.#options.namespaceName, scope, event)
      broker.publish(publisher, { topic, payload, id, qos: 1, retain: false }, error => {
        if (error !== undefined) {
          log.error({ err: error, namespace: this.#namespace.name }, 'an emit of the application was not kept')
        }
      })
    }
  }

  /** How an emit travels by the log; undefined where it can't. */
  #carried ({ type, data, id }: EventPacket, { rooms, except = NOBODY, flags = {} }: BroadcastOptions):
  { publisher: Publisher, id: string, scopes: readonly Scope[] } | undefined {
    const { members, program, makeId } = this.#options
    if (type !== EVENT || id !== undefined || flags.volatile === true || flags.local === true) return undefined
    if (typeof data[0] !== 'string' || isReservedEvent(data[0])) return undefined
    const scopes: Scope[] = []
    for (const room of rooms) {
      const member = members.get(room)
      if (member === undefined) scopes.push({ room })
      else if (member.name === undefined) return undefined
      else scopes.push({ user: member.name })
    }
    if (rooms.size === 0) scopes.push({ all: true })
    const own = scopes.length > 1 ? SEVERAL_MARK + makeId() : makeId()
    if (except.size === 0) return { publisher: program, id: own, scopes }
    const [only] = except
    const sender = members.get(only)
    if (except.size > 1 || sender === undefined) return undefined
    const publisher = { clientId: sender.session.clientId, principal: program.principal }
    return { publisher, id: NO_ECHO_MARK + own, scopes }
  }
}
