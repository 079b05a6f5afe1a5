import type { IncomingMessage } from 'node:http'
import type { Refusals } from '../../broker/index.ts'
import type { HttpError } from './http-error.ts'

/** Counts what the router refuses, and says so in the log. */
export function tellRefused (
  refusals: Refusals, request: IncomingMessage, { status, code, message }: HttpError
): void {
  const hasNoRight = status === 401 || status === 403
  refusals.note({
    kind: hasNoRight ? 'administration' : 'requests',
    who: { remoteAddress: request.socket.remoteAddress },
    about: { method: request.method, path: request.url, status, says: message },
    sameAs: `${status} ${code}`,
    what: hasNoRight
      ? 'a request for metrics or administration was refused, as it had not the right'
      : 'a request to the server itself was refused',
    toDo: hasNoRight
      ? 'give the token of adminTokenFile to whoever may, and find out who else asks'
      : 'let whoever asks do as the answer says'
  })
}
