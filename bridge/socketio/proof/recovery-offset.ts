/**
 * The proof that a client of Socket.IO 4.6 or later gives when it comes back: the offset of the last event it handled.
 *
 * Such a client keeps the last argument of each event, if it is a string, after the handlers for the event have
 * returned without throwing, and reports it when it connects again (connection state recovery). So the server appends
 * a token to each event that names the event's place in the log. Reported, it proves that this event and all that the
 * session was sent before it were handled: the session goes on exactly behind it.
 *
 * What it does not prove: that a handler which goes on asynchronously is done, or that there was one. It says nothing
 * about a message that waits for the application's own ack: while one does, the tokens after it must name a place
 * before it. A token counts only together with the identifier of the session that it was sent to (see identity.ts),
 * because the offset is a place in the log, and what another session was sent before it is not known.
 *
 * A link that breaks between an event and the one behind it that brings its token leaves a client that has handled the
 * first and can't say so, unless it ends in a text (endings.ts). Nothing can close this gap: no other state of a client
 * comes back with it, and a WebSocket carries one event a message. An event that brings its own token has no such gap.
 *
 * Pure: text in, text out.
 */
import { createHash } from 'node:crypto'
import type { Offset } from '../../../broker/index.ts'

/**
 * Where a client finds its token: in an event of its own, behind each write or response to a poll and, within a write,
 * behind each event that does not end in a text of its own (then only events that end in what looks like a token carry
 * one too); as the last argument of each event; or nowhere. Clients of version 2 get none.
 */
export const RECOVERY_OFFSETS = ['event', 'argument', 'off'] as const
export type RecoveryOffset = typeof RECOVERY_OFFSETS[number]

const MARK = 'hf~'
/** Longest token, in characters: mark, log, separator, offset in base 36. */
export const TOKEN_LENGTH_MAX = 24
const TOKEN = /^hf~([\w-]{8})~(0|[1-9a-z][0-9a-z]{0,10})$/
const LOG_LENGTH = 8
const ENDING_CHARACTERS_MAX = 64

/** `hf~<log>~<offset in base 36>`; the log is a hash of its epoch, shortened, since it travels with each event. */
export function formatToken (epoch: string, offset: Offset): string {
  return `${MARK}${logOf(epoch)}~${offset.toString(36)}`
}

/** The offset of a token that was made for this log; undefined for anything else, a token of another log too. */
export function readToken (epoch: string, value: unknown): Offset | undefined {
  if (!isToken(value)) return undefined
  const [, log, digits] = TOKEN.exec(value)!
  const offset = Number.parseInt(digits, 36)
  return log === logOf(epoch) && Number.isSafeInteger(offset) ? offset as Offset : undefined
}

/** Looks like a token, of whatever log: an application's own argument of this kind would be taken for an offset. */
export function isToken (value: unknown): value is string {
  return typeof value === 'string' && value.length <= TOKEN_LENGTH_MAX && value.startsWith(MARK) && TOKEN.test(value)
}

let last = { epoch: '', log: '' }

/** A server has one. */
function logOf (epoch: string): string {
  if (last.epoch !== epoch || last.log === '') {
    last = { epoch, log: createHash('sha256').update(`log ${epoch}`).digest('base64url').slice(0, LOG_LENGTH) }
  }
  return last.log
}

/** Stands for a text that a client may tell in place of its token (endings.ts): FNV-1a over its end. */
export function endingOf (text: string): number {
  let hash = 0x811c9dc5 ^ text.length
  for (let at = Math.max(0, text.length - ENDING_CHARACTERS_MAX); at < text.length; at++) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  }
  return hash >>> 0
}
