/**
 * Names of events, rooms, users and namespaces as levels of MQTT topics, and back.
 *
 * `io/<namespace>/all/<event>`, `io/<namespace>/room/<room>/<event>`, `io/<namespace>/user/<user>/<event>`
 *
 * One level holds one name. Bytes that would break a topic are written as `%XX` (UTF-8, upper case): `% / + #`, control
 * characters, U+FEFF, and a `$` at the start. A lone surrogate, which UTF-8 can't hold (MQTT 1.5.3-1), is `%uXXXX`, and
 * the empty name is `%-`. Two different names never encode alike, and decoding gives back exactly what was encoded.
 */

/** First level of every topic of the bridge. */
const ROOT = 'io'
/** The namespace `/`. */
const ROOT_NAMESPACE = '_'
const EMPTY = '%-'
/** No topic of MQTT can hold more (1.5.3), in bytes, of which a character takes one at least. */
const LEVEL_LENGTH_MAX = 65_535

// Lone surrogates; what can't stand in a level; a leading `$`, which brokers keep for themselves (MQTT 4.7.2).
const UNSAFE = new RegExp([
  '[\\ud800-\\udbff](?![\\udc00-\\udfff])', '(?<![\\ud800-\\udbff])[\\udc00-\\udfff]',
  '[\\u0000-\\u001f\\u007f-\\u009f%/+#\\ufeff]', '^\\$'
].join('|'), 'g')
const ESCAPE = /%(?:-$|u(D[89A-F][0-9A-F]{2})|((?:[0-9A-F]{2})(?:%[0-9A-F]{2})*))/g

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const encoder = new TextEncoder()

/**
 * One level of a topic for any string: valid UTF-8, not empty, nothing special in a topic or filter. A name that no
 * topic can hold is not looked at [G8]; whatever it becomes a part of is refused by its length.
 */
export function encodeName (name: string): string {
  if (name === '') return EMPTY
  return name.length > LEVEL_LENGTH_MAX ? name : name.replace(UNSAFE, escape)
}

/** The name that a level stands for. A level that encodeName never makes (`100%`) stands for itself. */
export function decodeName (level: string): string {
  if (level.length > LEVEL_LENGTH_MAX || !level.includes('%')) return level
  try {
    const name = level === EMPTY ? '' : level.replace(ESCAPE, unescape)
    return encodeName(name) === level ? name : level
  } catch { // bytes that are not UTF-8
    return level
  }
}

/** Socket.IO namespaces begin with a slash: `/` is `_`, `/chat` is `chat`, `/_` is `%5F`. */
export function encodeNamespace (namespace: string): string {
  if (namespace === '/') return ROOT_NAMESPACE
  const name = namespace.startsWith('/') ? namespace.slice(1) : namespace
  return name === ROOT_NAMESPACE ? '%5F' : encodeName(name)
}

export type Scope = { readonly all: true } | { readonly room: string } | { readonly user: string }

/** The topic an event travels on. */
export function eventTopic (namespace: string, scope: Scope, event: string): string {
  return `${scopePrefix(namespace, scope)}/${encodeName(event)}`
}

/** The filter that matches every event of a scope. */
export function scopeFilter (namespace: string, scope: Scope): string {
  return `${scopePrefix(namespace, scope)}/+`
}

/** What stands around the room in the filter of a room. */
export function roomFilterAround (namespace: string): { readonly before: string, readonly after: string } {
  return { before: `${ROOT}/${encodeNamespace(namespace)}/room/`, after: '/+' }
}

/** `io/<namespace>/user/<user>/<event>`: the user, and the filter for all that is for them; else undefined. */
export function inboxOf (topic: string): { readonly user: string, readonly filter: string } | undefined {
  if (!topic.startsWith(`${ROOT}/`)) return undefined
  const levels = topic.split('/')
  if (levels.length !== 5 || levels[2] !== 'user') return undefined
  return { user: decodeName(levels[3]), filter: `${levels.slice(0, 4).join('/')}/+` }
}

/** The event that a topic of the bridge carries: its last level. */
export function topicEvent (topic: string): string {
  return decodeName(topic.slice(topic.lastIndexOf('/') + 1))
}

/**
 * Identifier of the broker session of a client in a namespace: `io:<namespace>:<client>`. The colon is escaped in both
 * parts, so no two pairs of names meet in one session.
 */
export function sessionId (namespace: string, clientId: string): string {
  return `${ROOT}:${escapeColons(encodeNamespace(namespace))}:${escapeColons(encodeName(clientId))}`
}

/** Identifier of a session of a client without a name. No name gives it: it has one colon more. */
export function transientSessionId (namespace: string, id: string): string {
  return `${ROOT}:${escapeColons(encodeNamespace(namespace))}::${escapeColons(id)}`
}

/** Identifier of a session of a device: one of several, as a browser has several tabs. It has two colons more. */
export function deviceSessionId (namespace: string, device: string, slot: number): string {
  return `${ROOT}:${escapeColons(encodeNamespace(namespace))}:::${escapeColons(device)}:${slot}`
}

/**
 * The name that a client gave, of the broker session that it has: `U1` of `io:_:U1`, and of any session that is not of
 * Socket.IO the identifier itself. Undefined for a client of Socket.IO that gave none.
 */
export function clientNameOf (session: string): string | undefined {
  if (!session.startsWith(`${ROOT}:`)) return session
  const [, , name, more] = session.split(':')
  return name === undefined || name === '' || more !== undefined ? undefined : decodeName(name.replaceAll('%3A', ':'))
}

function scopePrefix (namespace: string, scope: Scope): string {
  const prefix = `${ROOT}/${encodeNamespace(namespace)}`
  if ('room' in scope) return `${prefix}/room/${encodeName(scope.room)}`
  if ('user' in scope) return `${prefix}/user/${encodeName(scope.user)}`
  return `${prefix}/all`
}

/** What encodeName makes of the characters below U+0100. */
const ESCAPES = Array.from({ length: 0x100 }, (_, code) => percent(String.fromCharCode(code)))

function escape (character: string): string {
  const code = character.charCodeAt(0)
  if (code < ESCAPES.length) return ESCAPES[code]
  if (code >= 0xd800 && code <= 0xdfff) return `%u${code.toString(16).toUpperCase()}`
  return percent(character)
}

function percent (character: string): string {
  return [...encoder.encode(character)].map(byte => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('')
}

function unescape (_match: string, surrogate: string | undefined, bytes: string | undefined): string {
  if (surrogate !== undefined) return String.fromCharCode(parseInt(surrogate, 16))
  if (bytes === undefined) throw new RangeError('an escape for the empty name inside a name')
  return decoder.decode(Uint8Array.from(bytes.split('%'), byte => parseInt(byte, 16)))
}

function escapeColons (text: string): string {
  return text.replaceAll(':', '%3A')
}
