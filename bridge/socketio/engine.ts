/**
 * What the bridge uses of Engine.IO, the layer below Socket.IO, by name. `sendPacket` and `transport.socket` are marked
 * private there; a contract test fails when an upgrade changes them.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'socket.io'

export interface EnginePacket {
  readonly type: 'open' | 'close' | 'ping' | 'pong' | 'message' | 'upgrade' | 'noop' | 'error'
  readonly data?: string | Buffer
}

/** What ws has, as far as it is needed. */
export interface EngineWebSocket {
  readonly bufferedAmount: number
  readonly isPaused: boolean
  pause (): void
  resume (): void
  terminate (): void
}

export interface EngineSocket {
  readonly id: string
  readonly readyState: 'opening' | 'open' | 'closing' | 'closed'
  readonly remoteAddress: string
  readonly transport:
    | { readonly name: 'polling', closeTimeout: number }
    | { readonly name: 'websocket', readonly socket: EngineWebSocket }
  /** Packets that were handed over and not yet to the transport. */
  readonly writeBuffer: readonly EnginePacket[]
  /** `taken` is called when the transport has taken everything up to this packet. */
  sendPacket (type: 'ping', data: undefined, options: object, taken: () => void): void
  /** With `discard` at once; otherwise what was written goes out first. */
  close (discard?: boolean): void
  /** Every packet that is about to be written, heartbeats too. */
  on (event: 'packetCreate' | 'packet', listener: (packet: EnginePacket) => void): this
  /** The packets in writeBuffer go to the transport now. */
  on (event: 'flush', listener: () => void): this
  /** The client has left long polling for a WebSocket. */
  on (event: 'upgrade', listener: () => void): this
  on (event: 'close', listener: (reason: string) => void): this
}

export interface EngineRequest extends IncomingMessage {
  /** The query, parsed before any middleware runs. */
  readonly _query: Readonly<Record<string, string>>
}

export interface EngineServer {
  readonly clientsCount: number
  readonly clients: Readonly<Record<string, EngineSocket>>
  use (middleware: (request: EngineRequest, response: ServerResponse, next: (error?: Error) => void) => void): void
  on (event: 'connection', listener: (engine: EngineSocket) => void): this
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
