/** What a client's event asks for. Pure; Socket.IO's own refusals (reserved names, malformed packets) came before. */
import { EnvelopeError, eventTopic, roomFilterAround, type Scope, scopeFilter } from '../../../protocol/index.ts'
import { encodeOwnEnvelope, type EncodedEnvelope } from './own-envelope.ts'
import { isReservedEvent } from './translate.ts'

export type Command = Asked & {
  /** Its ack callback takes an error first, null where there is none. */
  readonly isErrorFirst?: true
}

type Asked =
  | PublishCommand
  | { readonly kind: 'subscribe' | 'unsubscribe', readonly filters: readonly string[] }
  /** What stands between `before` and `after` in each filter of the session, decoded; one level. */
  | { readonly kind: 'list', readonly before: string, readonly after: string }
  | { readonly kind: 'ignored' }
  | { readonly kind: 'refused', readonly code: RefusalCode, readonly message: string }

export interface PublishCommand {
  readonly kind: 'publish'
  readonly topic: string
  readonly payload: Buffer
  readonly encodings?: EncodedEnvelope['encodings']
  /** Of the message in the log, with the marks of translate.ts. */
  readonly id: string
  /** As the client gave it, by which the emit is known when it is sent again. */
  readonly retryId?: string | undefined
  readonly qos: 0 | 1
  readonly retain: boolean
}

export const REFUSAL_CODES = ['EVENT_INVALID', 'ARGUMENTS_INVALID', 'REFUSED', 'NO_RULE', 'RULE_FAILED'] as const
export type RefusalCode = typeof REFUSAL_CODES[number]

/**
 * What an event means without a rule:
 * - `join`, room and `leave`, room: the room's messages, durably; `rooms`: the rooms that the session is in
 * - `send`, { user } or { room }, event, ...args: to that user or room
 * - any other event, ...args: to everyone in the namespace, the sender too
 *
 * @param asks whether the client waits for an answer
 */
export function parseCommand (
  namespace: string, packet: readonly unknown[], asks: boolean, makeId: () => string
): Command {
  const event = packet[0]
  if (typeof event !== 'string') return refuse('EVENT_INVALID', 'the name of an event must be a string')
  switch (event) {
    case 'join':
    case 'leave':
      if (typeof packet[1] !== 'string') {
        return refuse('ARGUMENTS_INVALID', `emit('${event}', room): room must be a string`)
      }
      return {
        kind: event === 'join' ? 'subscribe' : 'unsubscribe', filters: [scopeFilter(namespace, { room: packet[1] })]
      }
    case 'rooms':
      if (!asks || packet.length > 1) {
        return refuse('ARGUMENTS_INVALID', 'emit(\'rooms\', callback): takes a callback and nothing else')
      }
      return { kind: 'list', ...roomFilterAround(namespace) }
    case 'send': {
      const scope = parseTarget(packet[1])
      if (scope === undefined || typeof packet[2] !== 'string') {
        return refuse('ARGUMENTS_INVALID',
          'emit(\'send\', { user } or { room }, event, ...args): either user or room, a string as event is')
      }
      return publish(namespace, scope, packet[2], packet.slice(3), makeId())
    }
    default:
      return publish(namespace, { all: true }, event, packet.slice(1), makeId())
  }
}

function publish (namespace: string, scope: Scope, event: string, args: readonly unknown[], id: string): Command {
  if (isReservedEvent(event)) {
    return refuse('EVENT_INVALID', `the event name ${JSON.stringify(event.slice(0, 80))} is reserved`)
  }
  try {
    const { payload, encodings } = encodeOwnEnvelope({ id, args })
    const topic = eventTopic(namespace, scope, event)
    return { kind: 'publish', topic, payload, encodings, id, qos: 1, retain: false }
  } catch (error) {
    if (error instanceof EnvelopeError) return refuse('ARGUMENTS_INVALID', error.message)
    throw error
  }
}

function parseTarget (target: unknown): Scope | undefined {
  if (typeof target !== 'object' || target === null) return undefined
  const user: unknown = Object.hasOwn(target, 'user') ? (target as { user: unknown }).user : undefined
  const room: unknown = Object.hasOwn(target, 'room') ? (target as { room: unknown }).room : undefined
  if (typeof user === 'string' && room === undefined) return { user }
  if (typeof room === 'string' && user === undefined) return { room }
  return undefined
}

export function refuse (code: RefusalCode, message: string): Command {
  return { kind: 'refused', code, message }
}
