/** What a message of the log is to a Socket.IO client: an event with arguments. */
import { createHash } from 'node:crypto'
import type { Message } from '../../broker/index.ts'
import { decodePayload } from './envelope.ts'
import { topicEvent } from './names.ts'

export interface SocketEvent {
  readonly event: string
  readonly args: readonly unknown[]
  /** Two messages with the same key are one that was sent again; undefined where that can't be told. */
  readonly repeatKey: string | undefined
}

/** What the bridge itself tells a client. Nobody else can emit an event whose name begins so. */
export const OWN_EVENTS = 'holdfast:'

/** Names that mean something else to every Socket.IO client or server (socket.io-parser, RESERVED_EVENTS). */
const RESERVED = new Set(['connect', 'connect_error', 'disconnect', 'disconnecting', 'newListener', 'removeListener'])

export function isReservedEvent (event: string): boolean {
  return RESERVED.has(event) || event.startsWith(OWN_EVENTS)
}

/** One message reaches many clients and is translated once. */
const translated = new WeakMap<Message, SocketEvent>()

export function translate (message: Message): SocketEvent {
  let event = translated.get(message)
  if (event === undefined) {
    event = read(message)
    translated.set(message, event)
  }
  return event
}

function read (message: Message): SocketEvent {
  const event = topicEvent(message.topic)
  if (!isReservedEvent(event)) {
    const { id, args } = decodePayload(message.payload)
    // What came through the bridge has an id of its own making, which is never used twice.
    return { event, args, repeatKey: id === '' || message.id !== '' ? undefined : repeatKey(message) }
  }
  // An MQTT client published it. No Socket.IO client could receive it, and nothing is dropped in silence [G5].
  const args = [{ topic: message.topic, reason: 'reserved-event' }]
  return { event: `${OWN_EVENTS}undeliverable`, args, repeatKey: undefined }
}

function repeatKey ({ publisher, topic, payload }: Message): string {
  return createHash('sha256').update(`${publisher}\0${topic}\0`).update(payload).digest('base64')
}
