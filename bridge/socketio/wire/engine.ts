/**
 * What the bridge uses of Engine.IO, the layer below Socket.IO, by name. `sendPacket`, `resetPingTimeout`, `upgrading`,
 * `server`, `handshake`, `createTransport`, `transport.onData` and `transport.socket` are marked private there:
 * missingOfEngine() looks at the start whether they are there, and a contract test fails when an upgrade changes what
 * they do.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'socket.io'
import { missingIn } from './missing.ts'
import type { EngineWebSocket } from './ws.ts'

export interface EnginePacket {
  readonly type: 'open' | 'close' | 'ping' | 'pong' | 'message' | 'upgrade' | 'noop' | 'error'
  readonly data?: string | Buffer
}

export interface EngineWebSocketTransport {
  readonly name: 'websocket'
  readonly socket: EngineWebSocket
  /** The system has taken what was written before. */
  writable: boolean
  /** False where the client wants binary packets as text. */
  readonly supportsBinary: boolean
}

export type EngineTransport = EnginePolling | EngineWebSocketTransport

export interface PacketOptions {
  /** The packet as a WebSocket frame, in pieces; written instead of it where that is possible. Private. */
  readonly wsPreEncodedFrame?: readonly Buffer[]
}

export interface EnginePolling {
  readonly name: 'polling'
  /** Milliseconds after which it gives up closing politely. */
  closeTimeout: number
  /** Of a POST. */
  maxHttpBufferSize: number
  /** A poll waits for its response. */
  writable: boolean
  /** A poll came; the engine's own listener answers it if anything waits. */
  prependListener (event: 'ready', listener: () => void): this
}

/** What it reads with. Private. */
export interface EnginePollingReader extends EnginePolling {
  readonly protocol: 3 | 4
  readonly readyState: 'open' | 'closing' | 'closed'
  /** The body of a request, with all its packets. */
  onData: (data: string | Buffer) => void
  on (event: 'close', listener: () => void): this
}

export interface EngineSocket {
  readonly id: string
  readonly readyState: 'opening' | 'open' | 'closing' | 'closed'
  readonly remoteAddress: string
  /** Revision of Engine.IO that the client speaks: 3 for socket.io-client 2, 4 from 3.0 on. */
  readonly protocol: 3 | 4
  readonly transport: EngineTransport
  /** The one that made it. */
  readonly server: Pick<EngineServer, 'opts'>
  /** A WebSocket has come to take over from long polling, and has not yet. Private. */
  readonly upgrading: boolean
  /** Packets that were handed over and not yet to the transport. */
  readonly writeBuffer: EnginePacket[]
  /** A message packet. */
  write (data: string | Buffer, options: PacketOptions): void
  /** `taken` is called when the transport has taken everything up to this packet. */
  sendPacket (type: 'ping' | 'noop', data: undefined, options: object, taken: () => void): void
  /** Hands the write buffer to the transport, if that is writable. */
  flush (): void
  /** Expects the next heartbeat from now on: the answer to a ping (4), a ping of the client (3). */
  resetPingTimeout (): void
  /** With `discard` at once; otherwise what was written goes out first. */
  close (discard?: boolean): void
  /** Every packet that is about to be written, heartbeats too. */
  on (event: 'packetCreate' | 'packet', listener: (this: EngineSocket, packet: EnginePacket) => void): this
  /** Those who get what messages carry; Socket.IO's is one. */
  listeners (event: 'data'): readonly unknown[]
  /** The packets in writeBuffer go to the transport now. */
  on (event: 'flush', listener: (this: EngineSocket) => void): this
  /** The client has left long polling for a WebSocket. */
  on (event: 'upgrade', listener: () => void): this
  /** It is about to: the WebSocket has asked. */
  on (event: 'upgrading', listener: (transport: EngineTransport) => void): this
  /** The write buffer was handed to the transport. */
  once (event: 'drain', listener: () => void): this
  on (event: 'close', listener: (this: EngineSocket, reason: string) => void): this
}

/** It was made just now. */
export interface NewEngineSocket extends EngineSocket {
  /** The first one. */
  readonly request: EngineRequest
}

export interface EngineRequest extends IncomingMessage {
  /** The query, parsed before any middleware runs. */
  readonly _query: Readonly<Record<string, string>>
}

export function queryOf (request: EngineRequest): EngineRequest['_query'] { return request._query }

export type EngineHeaders = Record<string, string | string[]>

export interface EngineServer {
  clientsCount: number
  /** Each connection reads them through the server that made it. */
  readonly opts: { readonly pingInterval: number, readonly pingTimeout: number, readonly maxHttpBufferSize: number }
  /** Makes WebSockets, with these options; private. Undefined where there are none. */
  readonly ws?: { readonly options?: { maxPayload: number } }
  /** Makes the connection. */
  handshake (transport: string, request: EngineRequest, close: (code: number) => void): Promise<unknown>
  /** Makes what a connection is carried by. */
  createTransport (name: string, request: EngineRequest): EngineTransport
  readonly clients: Readonly<Record<string, EngineSocket>>
  /** Headers of the answer to the first request of a connection; of an upgrade, too. Set what is to be sent. */
  on (event: 'initial_headers', listener: (headers: EngineHeaders, request: EngineRequest) => void): this
  use (middleware: (request: EngineRequest, response: ServerResponse, next: (error?: Error) => void) => void): void
  on (event: 'connection', listener: (engine: NewEngineSocket) => void): this
  on (event: 'connection_error', listener: (error: {
    readonly req: EngineRequest, readonly code: number, readonly message: string, readonly context: object
  }) => void): this
  /** Closes every connection. */
  close (): void
}

/** The connection below a Socket.IO socket; all its namespaces share it. */
export function engineOf (socket: Socket): EngineSocket {
  return socket.conn as unknown as EngineSocket
}

/** The module, as far as it is looked at. */
export interface EngineModule {
  readonly Server: { readonly prototype: object }
  readonly Socket: { readonly prototype: object }
  readonly transports: Readonly<Record<'polling' | 'websocket', new (request: object) => object>>
}

/** Names that are not there as they should be. `server`, where there is one already, may be of another copy. */
export function missingOfEngine ({ Server, Socket, transports }: EngineModule, server: object, ws: object | undefined):
readonly string[] {
  const { polling: Polling, websocket: WebSocket } = transports
  const request = { _query: { EIO: '4' }, headers: {} }
  return [
    ...missingIn('Server', Server.prototype, { handshake: 'function', createTransport: 'function' }),
    ...missingIn('Server', server, { clients: 'object', clientsCount: 'number', opts: 'object' }),
    ...missingIn('Socket', Socket.prototype, {
      sendPacket: 'function', resetPingTimeout: 'function', flush: 'function', write: 'function', close: 'function'
    }),
    ...missingIn('Polling', new Polling(request), { onData: 'function', closeTimeout: 'number' }),
    ...ws === undefined
      ? []
      : missingIn('WebSocket', new WebSocket({ ...request, websocket: ws }), { socket: 'object' })
  ]
}
