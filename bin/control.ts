/** Asks the server that runs on a data folder, over the socket in it. */
import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'
import { CONTROL_SOCKET, controlAgent } from '../server/control.ts'
import { FailedError } from './usage.ts'

/** Nobody answers: no server runs on the folder, or its user is another one. */
export class NoServerError extends FailedError {}

/** What the server answers, as JSON. @throws NoServerError, FailedError with what the server says */
export async function ask (folder: string, method: string, path: string, body?: object): Promise<unknown> {
  const json = body === undefined ? undefined : JSON.stringify(body)
  const headers = json === undefined
    ? {}
    : { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(json) }
  let response: IncomingMessage
  try {
    const asked = request({ agent: controlAgent(folder), method, path: `/admin/v1${path}`, headers }).end(json)
    ;[response] = await once(asked, 'response') as [IncomingMessage]
  } catch (error) {
    throw unreachable(folder, error as NodeJS.ErrnoException)
  }
  const answer = JSON.parse(await text(response)) as { readonly error?: { readonly message: string } }
  const { statusCode = 0 } = response
  if (statusCode >= 400) throw new FailedError(answer.error?.message ?? `the server says ${statusCode}`)
  return answer
}

function unreachable (folder: string, { code, message }: NodeJS.ErrnoException): FailedError {
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
    case 'ECONNREFUSED': return new NoServerError(`no server runs on ${folder}; name its folder with --data`)
    case 'EACCES': return new FailedError(`this user may not use ${CONTROL_SOCKET} in ${folder}; be the user of the ` +
      'server, as with sudo -u')
    default: return new FailedError(`the server on ${folder} gives no answer (${message})`)
  }
}
