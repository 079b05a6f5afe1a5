/**
 * What the server refuses: counted by kind, and told in the log once in a while, with who, what and what to do. All
 * that refuses goes through here, so that nothing is refused in silence and nobody fills the log by being refused [G8].
 */
import type { Clock } from './clock.ts'
import type { ErrorCode } from '../model/errors.ts'
import type { Logger } from './logger.ts'
import { SeldomEach } from './seldom.ts'

/** docs/errors.md has a row for each. */
export const REFUSAL_KINDS = [
  /** A connection beyond connectionsMax, or one that the system could not hand over. */
  'connections',
  /** A connection of an address that has, or begins, too many. */
  'addresses',
  /** A connection whose TLS failed, or whose proxy did not say for whom it speaks. */
  'handshakes',
  /** Another protocol than the one that is spoken at the port, as TLS. */
  'foreign',
  /** HTTP, or a WebSocket, at a path where there is nothing. */
  'paths',
  /** A page whose origin is not one of allowedOrigins, or anybody while a server is open to all by mistake. */
  'origins',
  /** A request for metrics or administration by somebody who has not the right. */
  'administration',
  /** A request that comes while the server starts or stops. */
  'unready',
  /** A request over HTTP that makes no sense to HTTP, to Engine.IO or to a WebSocket. */
  'requests',
  /** CONNECT, of MQTT or of a namespace of Socket.IO. */
  'clients',
  /** Credentials that are wrong, over any transport; the client is refused besides. */
  'logins',
  /** A connection whose client broke the protocol. */
  'violations',
  /** A connection whose client sent more at once than is taken. */
  'oversize',
  /** A message that is dropped, or whose publisher is cut for it. */
  'messages',
  /** A will, alone or with its client. */
  'wills',
  /** A subscription. */
  'filters'
] as const
export type RefusalKind = typeof REFUSAL_KINDS[number]
export type RefusalCounts = Readonly<Record<RefusalKind, number>>

/** As far as it is known. */
export interface Who {
  readonly remoteAddress?: string | undefined
  readonly clientId?: string | undefined
  readonly principal?: string | undefined
}

export interface Refusal {
  readonly kind: RefusalKind
  readonly who: Who
  /** What was refused, in words of ours. */
  readonly what: string
  /** What somebody can do about it. */
  readonly toDo: string
  /** What else is known of it; may come from the wire. */
  readonly about?: Readonly<Record<string, string | number | undefined>>
  /** What makes it another one than the last of the same client. Default: `what`. */
  readonly sameAs?: string
}

/** In this time the same refusal of the same client is told once, ... */
export const TOLD_PAUSE_MS = 60_000
/** ... so many of a kind from one address, ... */
export const TOLD_BY_ADDRESS_MAX = 10
/** ... and so many of a kind. */
export const TOLD_BY_KIND_MAX = 30
/** Of logins more: what watches the log counts them by address. */
export const TOLD_LOGINS_MAX = 300
const KNOWN_MAX = 1_000
const FIELD_CHARS_MAX = 300

export class Refusals {
  readonly #log: Logger
  readonly #seldom: SeldomEach
  readonly #counts = Object.fromEntries(REFUSAL_KINDS.map((kind) => [kind, 0])) as Record<RefusalKind, number>

  constructor (options: { readonly clock: Clock, readonly log: Logger }) {
    this.#log = options.log
    this.#seldom = new SeldomEach(options.clock, TOLD_PAUSE_MS, KNOWN_MAX)
  }

  /** Since the start. */
  get counts (): RefusalCounts { return { ...this.#counts } }

  note ({ kind, who, what, toDo, about, sameAs = what }: Refusal): void {
    const count = ++this.#counts[kind]
    const { remoteAddress, clientId, principal } = who
    const times = this.#seldom.happened(JSON.stringify([kind, remoteAddress, clientId, sameAs]), [
      { name: kind, toldMax: kind === 'logins' ? TOLD_LOGINS_MAX : TOLD_BY_KIND_MAX },
      { name: `${kind} ${remoteAddress}`, toldMax: TOLD_BY_ADDRESS_MAX }
    ])
    if (times === 0) return
    const fields = Object.entries({ remoteAddress, clientId, principal, ...about })
      .flatMap(([name, value]) => value === undefined ? [] : [[name, printable(value)] as const])
    this.#log.warn({ refused: kind, ...Object.fromEntries(fields), times, count }, `${what}; ${toDo}`)
  }
}

/** Nothing that ends or turns around a line, whoever writes the log, and not too long. */
export function printable (value: string | number, charsMax = FIELD_CHARS_MAX): string | number {
  if (typeof value === 'number') return value
  const shown = value.length > charsMax ? `${value.slice(0, charsMax)}...` : value
  return shown.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (char) => `\\u{${char.codePointAt(0)!.toString(16)}}`)
}

/** It would be served a moment later, or had been a moment before. */
export function unready (remoteAddress: string | undefined, is: string): Refusal {
  return {
    kind: 'unready',
    who: { remoteAddress },
    what: `a request was refused, as the server is ${is}`,
    toDo: 'nothing, as clients come again; a load balancer that asks /readyz sends them elsewhere meanwhile'
  }
}

const TO_DO: Partial<Record<ErrorCode, string>> = {
  STORE_UNAVAILABLE: 'make room on the disk, or repair it: the log has another line about it',
  LOG_FULL: 'end or shorten the sessions that stay away, or raise logBytesMax',
  MEMORY_FULL: 'end or shorten the sessions that stay away, or give Node.js more heap (--max-old-space-size)',
  CLIENT_ID_INVALID: 'give the client an identifier of its own, of at most clientIdBytesMax bytes',
  SESSION_FOREIGN: 'give the client another identifier, or the credentials of whoever made the session',
  SESSIONS_FULL: 'raise sessionsMax, or let sessions expire sooner',
  FILTER_INVALID: 'correct the filter in the client, or raise the limit that the error names',
  FILTERS_FULL: 'let the client subscribe to less, by wildcards, or raise filtersPerSessionMax',
  TOPIC_INVALID: 'correct the topic in the client, or raise the limit that the error names',
  NOT_AUTHORIZED: 'correct the credentials of the client, or what the application allows it',
  AUTH_UNAVAILABLE: 'look at what the application asks when it is asked (a database, another service)',
  MESSAGE_TOO_LARGE: 'let the client send less at once, or raise packetBytesMax',
  RETAINED_FULL: 'clear retained messages with empty ones, or raise retainedMessagesMax',
  INCOMING_FULL: 'let the client complete its handshakes of QoS 2 (PUBREL), or raise incomingMax'
}

/** What to do about an error by which somebody is refused. */
export function toDoAbout (code: string): string {
  return (Object.hasOwn(TO_DO, code) ? TO_DO[code as ErrorCode] : undefined) ?? 'see docs/errors.md'
}
