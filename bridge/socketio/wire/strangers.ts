/**
 * Bounds what is held of a client before its first CONNECT is accepted, and of all its CONNECT packets, which carry
 * `auth` [G6]. Engine.IO lets a stranger send what it lets everybody send, and Socket.IO keeps `auth` as long as the
 * namespace is open.
 *
 * A WebSocket begins with the small limit of the server that makes it, long polling when its connection is made; both
 * get the usual one when the client is let in.
 */
import type { Who } from '../../../broker/index.ts'
import { queryOf, type EnginePacket, type EngineServer, type EngineSocket, type EngineTransport } from './engine.ts'
import { limitPayload, type EngineWebSocket } from './ws.ts'

/** Type digit of a Socket.IO CONNECT packet: `0{"token":"..."}`, `0/chat,{"token":"..."}` (protocol 5). */
const CONNECT = '0'

export interface StrangersOptions {
  readonly engine: EngineServer
  /** Of a program, which may listen to its connections itself, and answer. */
  readonly isProgram: boolean
  /** What one packet may take before CONNECT is accepted, and all CONNECT packets that are in force together. */
  readonly connectPacketBytesMax: number
  /** The option that bounds a packet of who was let in. */
  readonly inLimit: string
  /** More came at once than is taken: the connection is closed, unless only a request was refused. */
  oversize (who: Who, error: string, limit: string): void
  /** It began with something else than CONNECT, and is closed. */
  violation (who: Who, error: string): void
  /** Socket.IO cut it after connectTimeoutMs, as no namespace was open. */
  late (who: Who): void
  readonly connectTimeoutMs: number
  readonly now: () => number
}

/** Timers are that much early. */
const EARLY_MS_MAX = 2
/** Engine.IO's reason for a connection that was closed from here. */
const CLOSED_HERE = 'forced close'

/** How ws calls it. */
const TOO_LARGE = 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH'
const CONTENT_TOO_LARGE = 413
const STRANGERS_LIMIT = 'connectPacketBytesMax'

/** Of a WebSocket: whose it is. */
const ENGINE = Symbol('engine')
type OwnedWebSocket = EngineWebSocket & { [ENGINE]: EngineSocket }

interface Stranger {
  readonly since: number
  /** Why it is not let in was told. */
  isTold: boolean
  /** Of Socket.IO, on a program's engine. */
  readonly readers: readonly unknown[]
  /** When it was let in. */
  who: Who | undefined
  /** Of CONNECT packets in force, by namespace; undefined while there are none. */
  bytes: Map<string, number> | undefined
  total: number
}

export class Strangers {
  readonly #options: StrangersOptions
  readonly #bytesMax: number
  readonly #known = new WeakMap<EngineSocket, Stranger>()

  // There are very many idle connections, so they share their listeners.
  readonly #onPacket: (this: EngineSocket, packet: EnginePacket) => void
  readonly #onClose: (this: EngineSocket, reason: string) => void
  readonly #onError: (this: EngineWebSocket, error: { readonly code?: string }) => void

  constructor (options: StrangersOptions) {
    const strangers = this
    this.#onPacket = function ({ type, data }) {
      if (type === 'message' && data !== undefined) strangers.#read(this, data)
    }
    this.#onError = function ({ code }) {
      const { [ENGINE]: socket } = this as OwnedWebSocket
      if (code !== TOO_LARGE) return
      strangers.#oversize(socket.remoteAddress, strangers.#known.get(socket), 'a packet over a WebSocket')
    }
    this.#onClose = function (reason) { strangers.#closed(this, reason) }
    const { engine, connectPacketBytesMax } = options
    this.#options = options
    this.#bytesMax = Math.min(connectPacketBytesMax, engine.opts.maxHttpBufferSize)
    if (engine.ws?.options !== undefined) engine.ws.options.maxPayload = this.#bytesMax
    engine.use((request, response, next) => { // whatever Engine.IO answers
      const { sid = '' } = queryOf(request)
      const socket = Object.hasOwn(engine.clients, sid) ? engine.clients[sid] : undefined
      if (request.method === 'POST' && socket !== undefined) {
        response.once('close', () => {
          if (response.statusCode !== CONTENT_TOO_LARGE) return
          this.#oversize(request.socket.remoteAddress, this.#known.get(socket), 'the body of a polling request')
        })
      }
      next()
    })
  }

  /** A connection was made; before anybody else listens to its packets. */
  watch (socket: EngineSocket): void {
    const readers = this.#options.isProgram ? socket.listeners('data') : []
    const since = this.#options.now()
    const stranger: Stranger = { since, isTold: false, readers, who: undefined, bytes: undefined, total: 0 }
    this.#known.set(socket, stranger)
    socket.on('packet', this.#onPacket).on('close', this.#onClose)
    if (socket.transport.name !== 'polling') return this.#listen(socket, socket.transport)
    socket.transport.maxHttpBufferSize = this.#bytesMax
    socket.on('upgrading', transport => {
      if (stranger.who !== undefined) this.#open(transport)
      this.#listen(socket, transport)
    })
  }

  /** A namespace was opened. `isKept`: its auth stays in memory. */
  accepted (socket: EngineSocket, namespace: string, who: Who, isKept: boolean): void {
    const stranger = this.#known.get(socket)
    if (stranger === undefined) return
    if (!isKept) this.left(socket, namespace)
    if (stranger.who !== undefined) return
    stranger.who = who
    this.#open(socket.transport)
  }

  /** Why it is not let in is told elsewhere. */
  refused (socket: EngineSocket): void {
    const stranger = this.#known.get(socket)
    if (stranger !== undefined) stranger.isTold = true
  }

  left (socket: EngineSocket, namespace: string): void {
    const stranger = this.#known.get(socket)
    if (stranger?.bytes === undefined) return
    stranger.total -= stranger.bytes.get(namespace) ?? 0
    stranger.bytes.delete(namespace)
    if (stranger.bytes.size === 0) stranger.bytes = undefined
  }

  #open (transport: EngineTransport): void {
    const { maxHttpBufferSize } = this.#options.engine.opts
    if (transport.name === 'polling') {
      transport.maxHttpBufferSize = maxHttpBufferSize
      return
    }
    limitPayload(transport.socket, maxHttpBufferSize)
  }

  #listen (engine: EngineSocket, transport: EngineTransport): void {
    if (transport.name === 'websocket') Object.assign(transport.socket, { [ENGINE]: engine }).on('error', this.#onError)
  }

  #oversize (remoteAddress: string | undefined, stranger: Stranger | undefined, what: string): void {
    const { engine, inLimit, oversize } = this.#options
    if (stranger?.who === undefined) {
      oversize({ remoteAddress }, `${what} of more than ${STRANGERS_LIMIT} = ${this.#bytesMax} bytes, before a ` +
        'CONNECT was accepted', STRANGERS_LIMIT)
    } else {
      oversize(stranger.who, `${what} of more than ${inLimit} = ${engine.opts.maxHttpBufferSize} bytes`, inLimit)
    }
  }

  #closed (socket: EngineSocket, reason: string): void {
    const { now, connectTimeoutMs, late } = this.#options
    const stranger = this.#known.get(socket)
    if (stranger === undefined || stranger.who !== undefined || stranger.isTold || reason !== CLOSED_HERE) return
    if (isTakenOver(socket, stranger) || now() - stranger.since < connectTimeoutMs - EARLY_MS_MAX) return
    late({ remoteAddress: socket.remoteAddress })
  }

  #read (socket: EngineSocket, data: string | Buffer): void {
    const stranger = this.#known.get(socket)
    if (stranger === undefined || isTakenOver(socket, stranger) || this.#mayPass(socket, stranger, data)) return
    if (!this.#options.isProgram) socket.close(true) // before Socket.IO reads it
    else process.nextTick(() => socket.close()) // Socket.IO would, too; what the program's listeners answer goes out
  }

  #mayPass (socket: EngineSocket, stranger: Stranger, data: string | Buffer): boolean {
    if (stranger.who !== undefined && (typeof data !== 'string' || !data.startsWith(CONNECT))) return true
    const who = stranger.who ?? { remoteAddress: socket.remoteAddress }
    const { violation, oversize } = this.#options
    if (typeof data !== 'string' || !data.startsWith(CONNECT)) {
      stranger.isTold = true
      violation(who, 'something else came before its CONNECT was accepted')
      return false
    }
    const [, namespace = '/'] = /^0(\/[^,]*)/.exec(data) ?? []
    const before = stranger.bytes?.get(namespace) ?? 0
    const total = stranger.total - before + data.length
    if (total > this.#bytesMax) {
      stranger.isTold = true
      oversize(who, `its CONNECT packets take more than ${STRANGERS_LIMIT} = ${this.#bytesMax} bytes ` +
        'together', STRANGERS_LIMIT)
      return false
    }
    if (stranger.who === undefined && !isConnect(data)) { // Socket.IO closes it
      stranger.isTold = true
      violation(who, 'its CONNECT is no packet of Socket.IO')
    }
    stranger.total = total
    ;(stranger.bytes ??= new Map()).set(namespace, data.length)
    return true
  }
}

/** As Socket.IO's parser has it: a namespace and an object may follow. */
function isConnect (packet: string): boolean {
  const [, payload = ''] = /^0(?:\/[^,]*(?:,|$))?\d*(.*)$/s.exec(packet) ?? []
  if (payload === '') return true
  try {
    const value: unknown = JSON.parse(payload)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
  } catch {
    return false
  }
}

/** The program has taken Socket.IO off the connection and speaks a protocol of its own: nothing of it is held here. */
function isTakenOver (socket: EngineSocket, { readers }: Stranger): boolean {
  return readers.length > 0 && !socket.listeners('data').some(listener => readers.includes(listener))
}
