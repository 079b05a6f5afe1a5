/**
 * Carries by the log what an application emits through its own Socket.IO server and which rooms its sockets are in:
 * `io.emit`, `io.to(room).emit`, `socket.to(room).emit`, `socket.broadcast.emit`; `socket.join`, `socket.leave`.
 *
 * It takes the place of three methods of a namespace's adapter and leaves the adapter itself where it is. What can't be
 * carried goes as it always went, to whoever is connected: volatile and local emits, emits that ask for answers, emits
 * to a socket without a name, and exceptions other than "all but the sender". So does what the application wants live.
 *
 * Applications pass on what clients send, as room, event and arguments. So nothing throws here that does not throw in
 * Socket.IO: of what no topic or message can be made stays live, is counted and logged.
 */
import type { Namespace } from 'socket.io'
import { HoldfastError, type Broker, type Peer, type Publisher } from '../../broker/index.ts'
import { isDurable, type Durable } from './durable.ts'
import type { Tally } from './tally.ts'
import {
  decodeName, encodeEnvelope, EnvelopeError, eventTopic, roomFilterAround, type Scope, scopeFilter
} from '../../protocol/index.ts'
import { isReservedEvent, NO_ECHO_MARK, SEVERAL_MARK } from './translation/translate.ts'

/** Who is behind a socket of the application. */
export interface Member {
  readonly peer: Peer
  /** As the client gave it; undefined where it gave none. */
  readonly name: string | undefined
}

export interface ApplicationEmitsOptions {
  readonly broker: Broker
  /** Emits of the application are its own: access control of clients is not asked. */
  readonly program: Publisher
  /** By the id of the socket. */
  readonly members: ReadonlyMap<string, Member>
  /** What topics name the namespace by, if that is another name. */
  readonly namespaceName: string
  /** Default: all are kept that can be. */
  readonly durable?: Durable | undefined
  readonly makeId: () => string
  readonly tally: Tally
}

interface EventPacket {
  readonly type: number
  readonly data: readonly unknown[]
  readonly id?: number
}

/** Rooms are what the application gave, whatever that is: Socket.IO takes every value. */
interface BroadcastOptions {
  readonly rooms: ReadonlySet<unknown>
  readonly except?: ReadonlySet<unknown>
  readonly flags?: { readonly volatile?: boolean, readonly local?: boolean }
}

/** Of socket.io-adapter, as far as it is used. */
export interface BroadcastAdapter {
  addAll (socket: string, rooms: ReadonlySet<unknown>): Promise<void> | void
  del (socket: string, room: unknown): Promise<void> | void
  broadcast (packet: EventPacket, options: BroadcastOptions): void
}

/** An emit on its way by the log. */
interface DurableEmit {
  readonly publisher: Publisher
  readonly id: string
  readonly topics: readonly string[]
  readonly payload: Buffer
}

const EVENT = 2
const NOBODY: ReadonlySet<unknown> = new Set()
const REASON_CHARS_MAX = 300
/** As a number is written. */
const NUMBER = /^-?(?:0|[1-9]\d{0,14})$/

export class ApplicationEmits {
  readonly #options: ApplicationEmitsOptions
  readonly #namespace: Namespace
  /** The methods as they were. */
  readonly #live: BroadcastAdapter
  /** Rooms from before that the application has not joined again, by the id of the socket. */
  readonly #others = new Map<string, Set<string>>()

  constructor (namespace: Namespace, options: ApplicationEmitsOptions) {
    this.#options = options
    this.#namespace = namespace
    const adapter = namespace.adapter as unknown as BroadcastAdapter
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
  restore (socket: string, { clientId }: Peer): void {
    const { before, after } = roomFilterAround(this.#options.namespaceName)
    const rooms = new Set<unknown>()
    const others = new Set<string>()
    for (const { filter } of this.#options.broker.session(clientId)?.filters ?? []) {
      if (!filter.startsWith(before) || !filter.endsWith(after)) continue
      const level = filter.slice(before.length, filter.length - after.length)
      if (level === '' || level.includes('/')) continue
      const room = decodeName(level)
      rooms.add(room)
      others.add(room)
      if (NUMBER.test(room)) rooms.add(Number(room)) // the application may have joined it as either
    }
    if (rooms.size === 0) return
    void this.#live.addAll(socket, rooms)
    this.#others.set(socket, others)
  }

  hasOthers (socket: string): boolean {
    return this.#others.has(socket)
  }

  /** The rooms from before stay. */
  keepOthers (socket: string): void {
    this.#others.delete(socket)
  }

  /** The client has what waited in rooms from before: those that the application has not joined again are left. */
  leaveOthers (socket: string, peer: Peer): void {
    const others = this.#others.get(socket)
    this.#others.delete(socket)
    if (others === undefined || this.#options.members.get(socket)?.peer !== peer) return
    for (const room of others) void this.#leave(socket, room)
  }

  /**
   * In the room at once, as in Socket.IO; resolves when it is durable [G1]. A socket's own room, which has its id as
   * name, is no room of the session.
   */
  #join (socket: string, rooms: ReadonlySet<unknown>): Promise<void> | void {
    const { members } = this.#options
    const member = members.get(socket)
    const joined = [...rooms].filter(room => room !== socket)
    const added = this.#live.addAll(socket, rooms)
    const others = this.#others.get(socket)
    if (others !== undefined) for (const room of joined) others.delete(nameOf(room) ?? '')
    if (member === undefined || joined.length === 0) return added
    return this.#durably('joined', joined, async (filter, room) => {
      try {
        await member.peer.subscribe(filter, 1)
      } catch (error) {
        if (isCode(error, 'NOT_AUTHORIZED')) void this.#live.del(socket, room)
        throw error
      }
    })
  }

  #leave (socket: string, room: unknown): Promise<void> | void {
    const { members } = this.#options
    const member = members.get(socket)
    const left = this.#live.del(socket, room)
    if (member === undefined || room === socket) return left
    const name = nameOf(room)
    if (name !== undefined && NUMBER.test(name)) { // restored as both
      void this.#live.del(socket, typeof room === 'string' ? Number(room) : name)
    }
    return this.#durably('left', [room], filter => member.peer.unsubscribe(filter))
  }

  /**
   * Most applications don't wait for join() and leave(): that must not end them. Rejects, for those who do, where the
   * store fails; whatever a client can cause by what it sends, or by going, only stays live.
   */
  #durably (
    done: string, rooms: readonly unknown[], change: (filter: string, room: unknown) => Promise<void>
  ): Promise<void> {
    const all = Promise.all(rooms.map(async room => {
      try {
        await change(this.#filter(room), room)
      } catch (error) {
        if (isCode(error, 'CLOSED')) return // the session has just ended, or the server stops
        if (!(error instanceof HoldfastError) || isCode(error, 'STORE_UNAVAILABLE')) throw error
        this.#staysLive(`a room could not be ${done} durably`, error)
      }
    })).then(() => {})
    all.catch((error: unknown) => {
      this.#options.tally.note('notStored', { err: error, namespace: this.#namespace.name },
        `a room could not be ${done} durably; await socket.join() to know of it`)
    })
    return all
  }

  /** Throws HoldfastError, before anything is done with a name that is too long. */
  #filter (room: unknown): string {
    return scopeFilter(this.#options.namespaceName, { room: this.#name(room) })
  }

  #name (room: unknown): string {
    const name = nameOf(room)
    if (name === undefined) throw new HoldfastError('TOPIC_INVALID', 'a room that is neither text nor a number')
    this.#checkLength(name)
    return name
  }

  #checkLength (name: string): void {
    const { topicBytesMax } = this.#options.broker.limits
    if (name.length <= topicBytesMax) return
    throw new HoldfastError('TOPIC_INVALID',
      `the name of a room or event has ${name.length} characters; topicBytesMax = ${topicBytesMax}`)
  }

  #broadcast (packet: EventPacket, options: BroadcastOptions): void {
    let emit: DurableEmit | undefined
    try {
      emit = this.#durableEmit(packet, options)
    } catch (error) {
      if (!(error instanceof HoldfastError) && !(error instanceof EnvelopeError)) throw error
      this.#staysLive('an emit of the application can\'t be kept', error)
    }
    // where it throws what the application should know: circles, a BigInt
    if (emit === undefined) return this.#live.broadcast(packet, options)
    const { publisher, id, topics, payload } = emit
    const { broker, tally } = this.#options
    for (const topic of topics) {
      broker.meters.cameIn('program', 1)
      broker.publish(publisher, { topic, payload, id, qos: 1, retain: false }, error => {
        if (error === undefined) return
        tally.note('notStored', { err: error, namespace: this.#namespace.name },
          'an emit of the application was not kept')
      })
    }
  }

  /** How an emit travels by the log; undefined where it is not meant to, and an exception where it can't. */
  #durableEmit ({ type, data, id }: EventPacket, { rooms, except = NOBODY, flags = {} }: BroadcastOptions):
  DurableEmit | undefined {
    if (type !== EVENT || id !== undefined || flags.volatile === true || flags.local === true) return undefined
    const [event, ...args] = data
    if (typeof event !== 'string' || isReservedEvent(event)) return undefined
    if (!this.#isDurable(event, rooms)) return undefined
    const publisher = this.#publisher(except)
    if (publisher === undefined) return undefined
    const scopes = this.#scopes(rooms)
    if (scopes === undefined) return undefined
    this.#checkLength(event)
    const topics = scopes.map(scope => this.#topic(scope, event))
    const own = `${topics.length > 1 ? SEVERAL_MARK : ''}${this.#options.makeId()}`
    const messageId = except.size === 0 ? own : NO_ECHO_MARK + own
    return { publisher, id: messageId, topics, payload: this.#payload(messageId, args) }
  }

  #isDurable (event: string, rooms: ReadonlySet<unknown>): boolean {
    const { durable, tally } = this.#options
    if (durable === undefined) return true
    return isDurable(durable, { namespace: this.#namespace.name, event, rooms: [...rooms].map(String) }, tally)
  }

  /** The program; the sender where all but the sender get it; undefined for other exceptions, which no topic knows. */
  #publisher (except: ReadonlySet<unknown>): Publisher | undefined {
    const { members, program } = this.#options
    if (except.size === 0) return program
    const sender = except.size > 1 ? undefined : members.get(except.values().next().value as string)
    return sender && { clientId: sender.peer.clientId, principal: program.principal }
  }

  /** Undefined where one of the rooms is that of a socket without a name. */
  #scopes (rooms: ReadonlySet<unknown>): Scope[] | undefined {
    if (rooms.size === 0) return [{ all: true }]
    const scopes: Scope[] = []
    for (const room of rooms) {
      const member = this.#options.members.get(room as string)
      if (member === undefined) scopes.push({ room: this.#name(room) })
      else if (member.name === undefined) return undefined
      else scopes.push({ user: member.name })
    }
    return scopes
  }

  #topic (scope: Scope, event: string): string {
    const topic = eventTopic(this.#options.namespaceName, scope, event)
    this.#options.broker.checkMessage(topic, 0)
    return topic
  }

  #payload (id: string, args: readonly unknown[]): Buffer {
    const bytes = encodeEnvelope({ id, args })
    const { packetBytesMax } = this.#options.broker.limits
    if (bytes.length > packetBytesMax) {
      throw new HoldfastError('MESSAGE_TOO_LARGE', `${bytes.length} bytes; packetBytesMax = ${packetBytesMax}`)
    }
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  #staysLive (what: string, { message }: Error): void {
    const fields = { namespace: this.#namespace.name, reason: message.slice(0, REASON_CHARS_MAX) }
    this.#options.tally.note('liveOnly', fields,
      `${what}; it is for those who are connected now. Check what clients send before it becomes a room or an event`)
  }
}

/** Of a room in topics; undefined where it has none. 42 and '42' are one: topics know no numbers. */
function nameOf (room: unknown): string | undefined {
  return typeof room === 'string' ? room : typeof room === 'number' ? String(room) : undefined
}

function isCode (error: unknown, code: HoldfastError['code']): boolean {
  return error instanceof HoldfastError && error.code === code
}
