/** Who a connecting client says it is. */
import type { Socket } from 'socket.io'
import type { ClientId, Credentials } from '../../broker/index.ts'
import { sessionId, transientSessionId } from './names.ts'

export interface Identity {
  /** As the client gave it; undefined where it gave none. */
  readonly name: string | undefined
  /** Identifier of the broker session. */
  readonly clientId: ClientId
  readonly credentials: Credentials
}

/** What the client says can't be an identity; the message is for the client and says what to do. */
export class IdentityError extends Error {
  readonly data = { code: 'CLIENT_ID_INVALID' }
}

/**
 * `auth.clientId`, else the query parameter `clientId`; `auth.username` and `auth.password` go to authentication.
 * Without a client id the session is bound to the connection and gets the made-up identifier.
 * Throws IdentityError.
 */
export function identify (
  handshake: Pick<Socket['handshake'], 'auth' | 'query' | 'address'>, namespace: string, makeId: () => string,
  idBytesMax: number
): Identity {
  const name = own(handshake.auth, 'clientId') ?? own(handshake.query, 'clientId')
  if (name !== undefined && typeof name !== 'string') throw new IdentityError('auth.clientId must be a string')
  if (name === '') throw new IdentityError('clientId is empty; leave it out or give each client its own')
  const id = name === undefined ? transientSessionId(namespace, makeId()) : sessionId(namespace, name)
  const bytes = Buffer.byteLength(id)
  if (bytes > idBytesMax) {
    throw new IdentityError(
      `clientId is too long: with its namespace it takes ${bytes} bytes, the limit is ${idBytesMax} (clientIdBytesMax)`)
  }
  const password = text(own(handshake.auth, 'password'))
  return {
    name,
    clientId: id as ClientId,
    credentials: {
      clientId: id as ClientId,
      username: text(own(handshake.auth, 'username')),
      password: password === undefined ? undefined : Buffer.from(password),
      via: 'socketio',
      remoteAddress: handshake.address
    }
  }
}

/** Only what the client itself sent: not what every object has, as `constructor`. */
function own (object: Readonly<Record<string, unknown>>, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key] : undefined
}

function text (value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}
