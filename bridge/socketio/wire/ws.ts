/**
 * What the bridge uses of ws, which Engine.IO makes WebSockets with. `_socket`, `_receiver`, `_extensions` and the
 * listeners `socketOnData`, `socketOnEnd` and `socketOnClose` are private there: missingOfWs() looks at the start
 * whether they are there, and a contract test fails when an upgrade changes what they do.
 */
import type { IncomingMessage } from 'node:http'
import type { Socket as TcpSocket } from 'node:net'
import { Duplex, type Writable } from 'node:stream'
import { missingIn } from './missing.ts'

export interface EngineWebSocket {
  /** 1 is open. */
  readonly readyState: number
  /** Names of those in use, such as compression; '' where there are none. */
  readonly extensions: string
  /** Where frames are written to; private. */
  readonly _socket: TcpSocket
  readonly bufferedAmount: number
  readonly isPaused: boolean
  /** Reads frames; private. Null once it is closed, undefined where a program has chosen another library. */
  readonly _receiver: (Writable & { _maxPayload: number }) | null | undefined
  /** Those in use; private. */
  readonly _extensions: Readonly<Record<string, { _maxPayload: number } | undefined>>
  pause (): void
  resume (): void
  terminate (): void
  /** `sent` is called when the system has taken it. */
  ping (payload: string, mask: false, sent: () => void): void
  on (event: 'pong', listener: (payload: Buffer) => void): this
  on (event: 'error', listener: (error: NodeJS.ErrnoException) => void): this
}

/** Where its frames are written to. */
export function tcpOf (socket: EngineWebSocket): TcpSocket { return socket._socket }

/** What reads its frames; none once it is closed, or where a program has chosen another library. */
export function receiverOf (socket: EngineWebSocket): Writable | undefined { return socket._receiver ?? undefined }

/** From now on a message, inflated or not, may have so many bytes. */
export function limitPayload (socket: EngineWebSocket, bytesMax: number): void {
  const { _receiver: receiver, _extensions: extensions } = socket
  if (receiver != null) receiver._maxPayload = bytesMax
  const deflate = extensions['permessage-deflate']
  if (deflate !== undefined) deflate._maxPayload = bytesMax
}

/** The module, as far as it is looked at. */
export interface WsModule {
  readonly WebSocketServer: new (options: object) => {
    readonly options?: object
    handleUpgrade (
      request: IncomingMessage, socket: Duplex, head: Buffer, opened: (socket: EngineWebSocket) => void
    ): void
  }
}

const LISTENERS = { data: 'socketOnData', end: 'socketOnEnd', close: 'socketOnClose' } as const
/** RFC 6455, 1.3. */
const HANDSHAKE = {
  upgrade: 'websocket',
  connection: 'Upgrade',
  'sec-websocket-version': '13',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ=='
}

/** Names that are not there as they should be, on a WebSocket that leads nowhere, and that WebSocket. */
export function missingOfWs ({ WebSocketServer }: WsModule):
{ missing: readonly string[], ws: EngineWebSocket | undefined } {
  const server = new WebSocketServer({ noServer: true })
  const tcp = new Duplex({ read () {}, write (_chunk, _encoding, done) { done() } })
  let ws: EngineWebSocket | undefined
  server.handleUpgrade({ method: 'GET', url: '/', headers: HANDSHAKE } as unknown as IncomingMessage, tcp,
    Buffer.alloc(0), socket => { ws = socket })
  const listeners = Object.entries(LISTENERS).filter(([event, name]) =>
    !tcp.listeners(event).some(listener => listener.name === name))
  const missing = [
    ...missingIn('WebSocketServer', server, { options: 'object' }),
    ...missingIn('WebSocketServer.options', server.options, { maxPayload: 'number' }),
    ...missingIn('WebSocket', ws, {
      _socket: 'object', _receiver: 'object', _extensions: 'object', bufferedAmount: 'number', isPaused: 'boolean'
    }),
    ...missingIn('Receiver', ws?._receiver, { _maxPayload: 'number' }),
    ...listeners.map(([, name]) => `the listener ${name}`)
  ]
  ws?.terminate()
  return { missing, ws }
}
