/** Why a request is not done, as its sender is told: a status of HTTP, a code that stays, and a sentence. */
import type { HoldfastError } from '../../broker/index.ts'

export class HttpError extends Error {
  readonly status: number
  readonly code: string
  readonly headers: Readonly<Record<string, string>>

  constructor (status: number, code: string, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message)
    this.name = 'HttpError'
    this.status = status
    this.code = code
    this.headers = headers
  }

  get reply (): { status: number, json: object, headers: Readonly<Record<string, string>> } {
    const { status, code, message, headers } = this
    return { status, json: { error: { code, message } }, headers }
  }
}

const RETRY_SECONDS = '1'
const STATUS: Readonly<Record<string, number>> = {
  NOT_AUTHORIZED: 403, SESSION_FOREIGN: 403, NAME_IN_USE: 409, MESSAGE_TOO_LARGE: 413
}

/** What the broker refuses, in words of HTTP. What may succeed later says so. */
export function asHttpError ({ code, message, retriable }: HoldfastError): HttpError {
  const status = STATUS[code] ?? (retriable ? 503 : 400)
  return new HttpError(status, code, message, status === 503 ? { 'Retry-After': RETRY_SECONDS } : {})
}
