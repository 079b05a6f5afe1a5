/** Who a connecting client says it is: the name it goes by, and what it shows for it. */
import { createHash } from 'node:crypto'
import type { Socket } from 'socket.io'
import type { Credentials } from '../../../broker/index.ts'

export type Handshake = Pick<Socket['handshake'], 'auth' | 'query' | 'headers' | 'address'>

/** What a program makes of a handshake, in its own way. */
export interface Identified {
  /** The client goes by this name, whatever it says itself. */
  readonly clientId?: string | undefined
  /** Goes to authentication, in place of what the client sent. */
  readonly username?: string | undefined
  readonly password?: string | undefined
}

/**
 * A program's own way to know its clients. What it leaves open is taken from the handshake. An exception refuses the
 * client.
 */
export type Identify = (handshake: Handshake & {
  readonly namespace: string
  /** What the middlewares of a program's own server have put into `socket.data`; else empty. */
  readonly data: Readonly<Record<string, unknown>>
}) =>
  Identified | undefined | Promise<Identified | undefined>

export interface Identity {
  /** Undefined where the client gave none. */
  readonly name: string | undefined
  readonly credentials: Pick<Credentials, 'username' | 'password'>
}

/** What the client says can't be an identity; the message is for the client and says what to do. */
export class IdentityError extends Error {
  readonly data = { code: 'CLIENT_ID_INVALID' }
}

type Source = Readonly<Record<string, unknown>>

/**
 * The name: from the program, `auth.clientId`, the query parameter `clientId` (clients of version 2: of the connection,
 * or of the namespace, which Socket.IO hands over as auth). The credentials: from the first of program, auth, query and
 * `Authorization` header that has any; `token` stands for a password without a user. Throws IdentityError.
 *
 * @param bytesMax of a name
 */
export function readIdentity (
  { auth, query, headers }: Handshake, given: Identified | undefined, bytesMax: number
): Identity {
  const name = given?.clientId ?? own(auth, 'clientId') ?? own(query, 'clientId')
  if (name !== undefined && typeof name !== 'string') throw new IdentityError('clientId must be a string')
  if (name === '') throw new IdentityError('clientId is empty; leave it out or give each client its own')
  if (name !== undefined && name.length > bytesMax) { // and so it is in bytes; nothing has looked at it yet [G8]
    throw new IdentityError(`clientId is too long: the limit is ${bytesMax} bytes (clientIdBytesMax)`)
  }
  const credentials = shown({ ...given }) ?? shown(auth) ?? shown(query) ?? authorization(headers.authorization)
  return { name, credentials: credentials ?? NOTHING_SHOWN }
}

/** As in `auth`; a text alone is a token. */
export function readProof (given: unknown): Identity['credentials'] {
  const source = typeof given === 'string' ? { token: given } : given
  if (typeof source !== 'object' || source === null) return NOTHING_SHOWN
  return shown(source as Source) ?? NOTHING_SHOWN
}

const NOTHING_SHOWN: Identity['credentials'] = { username: undefined, password: undefined }

const SAID: ReadonlyArray<keyof Identified> = ['clientId', 'username', 'password']

/**
 * What identify answered, if it can be meant. Anything else would leave open who a client is, so that the client's own
 * word counts [G7]. Throws TypeError.
 */
export function checkIdentified (answer: unknown): Identified | undefined {
  if (answer === undefined || answer === null) return undefined
  if (typeof answer !== 'object') throw notMeant(`a value of type ${typeof answer}`)
  const given = answer as { readonly [key in keyof Identified]: unknown }
  const wrong = SAID.find(key => given[key] !== undefined && given[key] !== null && typeof given[key] !== 'string')
  if (wrong !== undefined) throw notMeant(`${wrong} of type ${typeof given[wrong]}`)
  const keys = Object.keys(given)
  const isMeant = keys.length === 0 || SAID.some(key => key in given)
  if (!isMeant) throw notMeant(`an object with ${keys.slice(0, 3).join(', ')}`)
  return given as Identified
}

function notMeant (answer: string): TypeError {
  return new TypeError('identify must resolve to { clientId, username, password }, of which each is a text or left ' +
    `out, or to undefined; it resolved to ${answer}`)
}

const OWNER_CHARS_MAX = 128

/**
 * For whom a session of an application's own server is: whom `identify` names, else `socket.data.user` as middlewares
 * have set it: a text, a number, or an object with an `id` or a `username`. Undefined where nobody says.
 */
export function ownerOf (identified: Identified | undefined, data: { readonly user?: unknown }): string | undefined {
  const owner = (identified?.clientId ?? identified?.username) || userOf(data.user) // '' is nobody
  return owner === undefined || owner.length <= OWNER_CHARS_MAX ? owner : digest(owner)
}

function userOf (user: unknown): string | undefined {
  if (typeof user !== 'object' || user === null) return idOf(user)
  const { id, username } = user as { readonly id?: unknown, readonly username?: unknown }
  return idOf(id) ?? idOf(username)
}

/** Objects too: databases have identifiers of their own that say themselves as text. */
function idOf (id: unknown): string | undefined {
  if (typeof id === 'string') return id === '' ? undefined : id
  if (typeof id === 'number' || typeof id === 'bigint') return Number.isNaN(id) ? undefined : String(id)
  if (typeof id !== 'object' || id === null || id.toString === Object.prototype.toString) return undefined
  const text: unknown = typeof id.toString === 'function' ? id.toString() : undefined
  return typeof text === 'string' && text !== '' ? text : undefined
}

/**
 * What a client shows of who it is, where the application does not say who that is: with something else it is taken for
 * somebody else, and its recovery identifier opens nothing.
 */
export function shownBy ({ auth, query, headers }: Handshake): string {
  const { pid: _pid, offset: _offset, ...rest } = auth
  try {
    return digest(JSON.stringify([rest, own(query, 'token'), own(query, 'username'), headers.authorization]))
  } catch (error) { // JSON can be read deeper than it can be written
    throw new IdentityError('auth is nested too deep', { cause: error })
  }
}

function digest (text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}

function shown (source: Source): Identity['credentials'] | undefined {
  const username = text(own(source, 'username'))
  const password = text(own(source, 'password')) ?? text(own(source, 'token'))
  return username === undefined && password === undefined
    ? undefined
    : { username, password: password === undefined ? undefined : Buffer.from(password) }
}

/** Basic (RFC 7617) and Bearer (RFC 6750); any other scheme is left to a program's own hook. */
function authorization (header: string | undefined): Identity['credentials'] | undefined {
  const [, scheme, value] = /^(basic|bearer) +([\w~+/.-]+=*) *$/i.exec(header ?? '') ?? []
  if (scheme === undefined) return undefined
  if (scheme.toLowerCase() === 'bearer') return { username: undefined, password: Buffer.from(value) }
  const pair = Buffer.from(value, 'base64').toString()
  const at = pair.indexOf(':')
  return at < 0 ? undefined : { username: pair.slice(0, at), password: Buffer.from(pair.slice(at + 1)) }
}

/** Only what the client itself sent: not what every object has, as `constructor`. */
function own (object: Source, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key] : undefined
}

function text (value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}
