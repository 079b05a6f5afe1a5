/**
 * Who may administer the server over the network: whoever shows the token. No page of a foreign origin gets that far.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import type { OriginGate } from '../../bridge/socketio/index.ts'
import { ConfigError } from '../../config/problem.ts'
import { HttpError } from './http-error.ts'

const TOKEN_CHARS_MIN = 32
const TOKEN_CHARS = /^[\x21-\x7e]+$/
const BEARER = /^bearer +(\S+)$/i
/** Of a file that others on the machine may read or write. */
const OPEN_TO_OTHERS = 0o007

/** Undefined where there is no such file by the configuration. @throws ConfigError */
export function readAdminToken (file: string, stat: (file: string) => { readonly mode: number }): string | undefined {
  if (file === '') return undefined
  let token: string
  try {
    if ((stat(file).mode & OPEN_TO_OTHERS) !== 0) throw wrong(`everybody on this machine may use ${file}: chmod 600`)
    token = readFileSync(file, 'utf8').trim()
  } catch (error) {
    if (error instanceof ConfigError) throw error
    throw wrong(`${file} can't be read (${(error as NodeJS.ErrnoException).code ?? 'unknown reason'})`)
  }
  if (token.length < TOKEN_CHARS_MIN || !TOKEN_CHARS.test(token)) {
    throw wrong(`${file} must hold one secret of at least ${TOKEN_CHARS_MIN} characters and no spaces, as from ` +
      '"openssl rand -base64 32"')
  }
  return token
}

/** Throws HttpError 403 for a page of another origin, 401 without the token. */
export function createAdminGate (token: string, origins: OriginGate): (request: IncomingMessage) => void {
  const right = digest(token)
  return (request) => {
    if (!origins.allows(request)) {
      throw new HttpError(403, 'NOT_AUTHORIZED', 'a page of another origin may not administer this server')
    }
    const shown = BEARER.exec(request.headers.authorization ?? '')?.[1]
    // of digests, so that the time tells nothing of the length either
    if (shown === undefined || !timingSafeEqual(digest(shown), right)) {
      throw new HttpError(401, 'NOT_AUTHORIZED', 'send the token of adminTokenFile, as Authorization: Bearer TOKEN',
        { 'WWW-Authenticate': 'Bearer realm="holdfast"' })
    }
  }
}

function digest (text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

function wrong (says: string): ConfigError {
  return new ConfigError([{ option: 'adminTokenFile', where: 'adminTokenFile', says }])
}
