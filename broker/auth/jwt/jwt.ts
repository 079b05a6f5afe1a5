/** Signed tokens (JWT, RFC 7519) in place of a password. All that is known of jose stands here. */
import { decodeProtectedHeader, errors, jwtVerify, type JWTPayload, type ProtectedHeaderParameters } from 'jose'
import type { Clock } from '../../system/clock.ts'
import type { JsonObject } from '../../model/json.ts'
import type { Credentials } from '../auth.ts'
import type { Authenticator, Verdict } from '../authenticator.ts'
import { KnownError } from '../read-known.ts'
import { knownOf, type ClaimNames } from './claims.ts'
import type { KeySource } from './key-source.ts'
import { ALGORITHMS, type VerifyKey } from './keys.ts'

export interface TokensOptions {
  readonly keys: KeySource
  readonly clock: Pick<Clock, 'now' | 'wall'>
  /** One of them must have issued it; none: whoever has the key. */
  readonly issuers: readonly string[]
  /** It must be for one of them; none: it is not asked for whom it is. */
  readonly audiences: readonly string[]
  readonly clockToleranceMs: number
  readonly bytesMax: number
  readonly mayLackExpiry: boolean
  /** User name beside which a password is a token; '' for any. Without a user name it is always looked at. */
  readonly username: string
  /** Name of the cookie that holds it, for who shows nothing else; '' for none. */
  readonly cookie: string
  readonly claims: ClaimNames
}

const PASS: Verdict = { kind: 'pass' }
const FORM = /^[\w-]+\.[\w-]+\.[\w-]*$/

export class Tokens implements Authenticator {
  readonly name = 'jwt'
  readonly #options: TokensOptions

  constructor (options: TokensOptions) {
    this.#options = options
  }

  async authenticate (credentials: Credentials): Promise<Verdict> {
    const token = this.#tokenOf(credentials)
    if (token === undefined) return PASS
    const header = headerOf(token)
    if (header === undefined) return PASS
    const { alg, kid } = header
    if (!ALGORITHMS.some((one) => one === alg)) return refused('a token whose algorithm is not allowed')
    const keys = await this.#options.keys.find(alg!, kid)
    for (const key of keys) {
      const verdict = await this.#verify(token, alg!, key)
      if (verdict !== undefined) return verdict
    }
    return refused(keys.length === 0 ? 'a token that no key is for' : 'a token with a wrong signature')
  }

  reload (): Promise<void> { return this.#options.keys.reload() }

  /** What has the form of one; anything else is for others to understand. */
  #tokenOf ({ username, password, cookies }: Credentials): string | undefined {
    const { username: only, bytesMax, cookie } = this.#options
    if (username === undefined && password === undefined) {
      const sent = cookie === '' || cookies === undefined ? undefined : cookieOf(cookies, cookie)
      return sent !== undefined && sent.length <= bytesMax && FORM.test(sent) ? sent : undefined
    }
    if (password === undefined || password.length > bytesMax) return undefined
    if (only !== '' && username !== undefined && username !== only) return undefined
    const text = password.toString('latin1')
    return FORM.test(text) ? text : undefined
  }

  /** Undefined where this key has not signed it. */
  async #verify (token: string, algorithm: string, { key }: VerifyKey): Promise<Verdict | undefined> {
    const { clock, issuers, audiences, clockToleranceMs, mayLackExpiry, claims } = this.#options
    let payload: JWTPayload
    try {
      ({ payload } = await jwtVerify(token, key, {
        algorithms: [algorithm],
        currentDate: new Date(clock.wall(clock.now())),
        clockTolerance: clockToleranceMs / 1_000,
        ...issuers.length > 0 && { issuer: [...issuers] },
        ...audiences.length > 0 && { audience: [...audiences] },
        requiredClaims: mayLackExpiry ? [] : ['exp']
      }))
    } catch (error) {
      if (error instanceof errors.JWSSignatureVerificationFailed) return undefined
      // claims are looked at after the signature: such a token was given to somebody, and is no guess
      if (error instanceof errors.JWTExpired) return refused('an expired token', true)
      if (error instanceof errors.JWTClaimValidationFailed) {
        return refused(`a token whose ${error.claim} is wrong`, true)
      }
      return refused('a malformed token')
    }
    try {
      return { kind: 'known', known: knownOf(payload as JsonObject, claims, clockToleranceMs) }
    } catch (error) {
      if (error instanceof KnownError) return refused(`a token: ${error.message}`, true)
      throw error
    }
  }
}

function refused (why: string, isGenuine = false): Verdict {
  return { kind: 'refused', why, isGenuine }
}

function headerOf (token: string): ProtectedHeaderParameters | undefined {
  try {
    const header = decodeProtectedHeader(token)
    return header.kid === undefined || typeof header.kid === 'string' ? header : undefined
  } catch {
    return undefined
  }
}

/** The first of this name (RFC 6265, 5.4). */
function cookieOf (cookies: string, name: string): string | undefined {
  for (const pair of cookies.split(';')) {
    const at = pair.indexOf('=')
    if (at > 0 && pair.slice(0, at).trim() === name) return pair.slice(at + 1).trim()
  }
  return undefined
}
