/** What client and server say to each other: MQTT 3.1.1 in spirit, without its bytes. */
import type { ClientId, Message, PacketId, QoS } from '../../broker/model/message.ts'
import type { CloseReason } from '../../broker/session/link.ts'

export interface Sent {
  readonly packetId: PacketId
  readonly qos: QoS
  readonly dup: boolean
  readonly retain: boolean
  readonly message: Message
}

export type ToServer =
  | { readonly type: 'connect', readonly clientId: ClientId, readonly clean: boolean, readonly expiryMs: number,
    readonly hasWill: boolean }
  | { readonly type: 'publish', readonly key: string, readonly topic: string, readonly qos: QoS,
    readonly padding: number, readonly retain: boolean, readonly packetId: PacketId }
  /** PUBREL of a message that the client published */
  | { readonly type: 'completed', readonly packetId: PacketId }
  /** PUBACK, PUBCOMP */
  | { readonly type: 'acknowledge', readonly packetId: PacketId }
  /** PUBREC */
  | { readonly type: 'received', readonly packetId: PacketId }
  | { readonly type: 'subscribe', readonly filter: string, readonly qos: QoS }
  | { readonly type: 'unsubscribe', readonly filter: string }
  | { readonly type: 'disconnect' }

export type ToClient =
  | { readonly type: 'connected', readonly present: boolean, readonly life: number,
    /** How often it may have become another session, as far as can be seen from outside. */
    readonly doubts: number }
  | { readonly type: 'deliver', readonly deliveries: readonly Sent[] }
  /** PUBREL */
  | { readonly type: 'release', readonly packetId: PacketId }
  /** PUBACK, PUBREC */
  | { readonly type: 'receipt', readonly key: string }
  /** PUBCOMP of a message that the client published */
  | { readonly type: 'completed', readonly packetId: PacketId }
  | { readonly type: 'closed', readonly reason: CloseReason | 'refused' }
