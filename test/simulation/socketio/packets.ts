/** What a Socket.IO client and the server say to each other: Engine.IO packets around Socket.IO's, without bytes. */
import type { ClientId } from '../../../broker/model/message.ts'
import type { EnginePacket } from '../../../bridge/socketio/wire/engine.ts'
import type { Sent } from '../wire.ts'

export type ToServer =
  | { readonly type: 'connect', readonly clientId: ClientId, readonly expiryMs: number,
    /** What a client from 4.6 on brings when it comes back. */
    readonly pid: string | undefined, readonly offset: string | undefined }
  | { readonly type: 'disconnect' }
  | { readonly type: 'publish', readonly key: string, readonly topic: string, readonly padding: number,
    readonly retain: boolean }
  | { readonly type: 'subscribe' | 'unsubscribe', readonly filter: string }
  /** The application's own ack. */
  | { readonly type: 'answer', readonly ackId: number }

export type ToClient =
  | { readonly type: 'connected', readonly pid: string, readonly recovered: boolean, readonly life: number,
    /** For the checker: the offset was taken for what it says. */
    readonly isExact: boolean }
  | { readonly type: 'event', readonly sent: Sent, readonly token: string | undefined,
    readonly ackId: number | undefined,
    /** For the checker: where it was sent. */
    readonly life: number, readonly connection: number }
  /** An event of the server's own that carries a token and nothing else. */
  | { readonly type: 'marker', readonly token: string | undefined }
  | { readonly type: 'receipt', readonly key: string }
  | { readonly type: 'disconnect' }

export interface Packet extends EnginePacket {
  readonly up?: ToServer
  readonly down?: ToClient
}

/** What passes on a WebSocket in one write, or a control frame of the WebSocket itself (RFC 6455, 5.5). */
export type Frames =
  | { readonly type: 'packets', readonly packets: readonly Packet[] }
  | { readonly type: 'ping' | 'pong', readonly payload: string }
  | { readonly type: 'close' }

/** The type digit of Socket.IO, which the bridge looks at. */
const DIGITS = { connect: '0', disconnect: '1', publish: '2', subscribe: '2', unsubscribe: '2', answer: '3' } as const

export function upward (up: ToServer): Packet {
  return { type: 'message', data: DIGITS[up.type], up }
}

export function downward (down: ToClient): Packet {
  return { type: 'message', data: down.type === 'event' ? down.sent.message.payload : down.type, down }
}

export function bytesOf (packets: readonly Packet[]): number {
  let bytes = 0
  for (const { data } of packets) bytes += 1 + (data?.length ?? 0)
  return bytes
}
