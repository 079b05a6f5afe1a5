/**
 * Bounds what is held of a client before its first CONNECT is accepted, and of all its CONNECT packets, which carry
 * `auth` [G6]. Engine.IO lets a stranger send what it lets everybody send, and Socket.IO keeps `auth` as long as the
 * namespace is open.
 *
 * A WebSocket begins with the small limit of the server that makes it, long polling when its connection is made; both
 * get the usual one when the client is let in.
 */
import type { EngineServer, EngineSocket, EngineTransport } from './engine.ts'

/** Type digit of a Socket.IO CONNECT packet: `0{"token":"..."}`, `0/chat,{"token":"..."}` (protocol 5). */
const CONNECT = '0'

export interface StrangersOptions {
  readonly engine: EngineServer
  /** What one packet may take before CONNECT is accepted, and all CONNECT packets that are in force together. */
  readonly connectPacketBytesMax: number
  /** The connection is closed; the sentence says why. */
  refused (socket: EngineSocket, sentence: string): void
}

interface Stranger {
  isIn: boolean
  /** Of CONNECT packets in force, by namespace. */
  readonly bytes: Map<string, number>
  total: number
}

export class Strangers {
  readonly #options: StrangersOptions
  readonly #bytesMax: number
  readonly #known = new WeakMap<EngineSocket, Stranger>()

  constructor (options: StrangersOptions) {
    const { engine, connectPacketBytesMax } = options
    this.#options = options
    this.#bytesMax = Math.min(connectPacketBytesMax, engine.opts.maxHttpBufferSize)
    if (engine.ws?.options !== undefined) engine.ws.options.maxPayload = this.#bytesMax
  }

  /** A connection was made; before anybody else listens to its packets. */
  watch (socket: EngineSocket): void {
    const stranger: Stranger = { isIn: false, bytes: new Map(), total: 0 }
    this.#known.set(socket, stranger)
    if (socket.transport.name === 'polling') socket.transport.maxHttpBufferSize = this.#bytesMax
    socket.on('packet', ({ type, data }) => {
      if (type !== 'message' || data === undefined) return
      const wrong = this.#wrongWith(stranger, data)
      if (wrong === undefined) return
      this.#options.refused(socket, wrong)
      socket.close(true) // before Socket.IO reads it
    })
    socket.on('upgrading', transport => { if (stranger.isIn) this.#open(transport) })
  }

  /** A namespace was opened. `isKept`: its auth stays in memory. */
  accepted (socket: EngineSocket, namespace: string, isKept: boolean): void {
    const stranger = this.#known.get(socket)
    if (stranger === undefined) return
    if (!isKept) this.left(socket, namespace)
    if (stranger.isIn) return
    stranger.isIn = true
    this.#open(socket.transport)
  }

  left (socket: EngineSocket, namespace: string): void {
    const stranger = this.#known.get(socket)
    if (stranger === undefined) return
    stranger.total -= stranger.bytes.get(namespace) ?? 0
    stranger.bytes.delete(namespace)
  }

  #open (transport: EngineTransport): void {
    const { maxHttpBufferSize } = this.#options.engine.opts
    if (transport.name === 'polling') {
      transport.maxHttpBufferSize = maxHttpBufferSize
      return
    }
    const { _receiver: receiver, _extensions: extensions } = transport.socket
    if (receiver != null) receiver._maxPayload = maxHttpBufferSize
    const deflate = extensions['permessage-deflate']
    if (deflate !== undefined) deflate._maxPayload = maxHttpBufferSize
  }

  #wrongWith (stranger: Stranger, data: string | Buffer): string | undefined {
    if (typeof data !== 'string' || !data.startsWith(CONNECT)) {
      return stranger.isIn ? undefined : 'something else came before its CONNECT was accepted'
    }
    const [, namespace = '/'] = /^0(\/[^,]*)/.exec(data) ?? []
    const before = stranger.bytes.get(namespace) ?? 0
    const total = stranger.total - before + data.length
    if (total > this.#bytesMax) {
      return `its CONNECT packets take more than ${this.#bytesMax} bytes together (connectPacketBytesMax)`
    }
    stranger.total = total
    stranger.bytes.set(namespace, data.length)
    return undefined
  }
}
