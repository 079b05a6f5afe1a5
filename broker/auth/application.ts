/**
 * Asks the application: a request with what the client showed, answered with who that is. Answers are kept as long as
 * they say, under a digest of what was shown.
 */
import { createHmac } from 'node:crypto'
import type { Clock } from '../system/clock.ts'
import { clientNameOf } from '../../protocol/index.ts'
import { addressGroup } from '../system/address-group.ts'
import { HoldfastError } from '../model/errors.ts'
import type { Json } from '../model/json.ts'
import type { Principal } from '../model/message.ts'
import type { Credentials } from './auth.ts'
import type { Authenticator, Verdict } from './authenticator.ts'
import type { FairWork } from './fair-work.ts'
import type { Known } from './identity.ts'
import { KnownError, isObject, own, readGrants, readGroups, readName } from './read-known.ts'

export interface Answer {
  readonly status: number
  readonly body: string
}

export interface ApplicationOptions {
  /** Sends the JSON and brings the answer, of bounded size; rejects where there is none. */
  readonly ask: (body: string, signal: AbortSignal) => Promise<Answer>
  readonly clock: Pick<Clock, 'now' | 'wall'>
  readonly work: FairWork
  /** Answers that are kept; beyond it the one used longest ago goes. */
  readonly answersMax: number
  /** While the application gives no answer, who was known so short a time ago still is; 0: nobody. */
  readonly keepMs: number
  /** Made by chance when the server starts. */
  readonly secret: Buffer
  /** It gave no answer, or one that says nothing: counted here, told by whoever made this. */
  readonly failed: (error: Error) => void
  /** What it is asked with is read anew. */
  readonly reload?: () => Promise<void>
}

interface Kept {
  readonly known: Known
  /** Until when it is not asked again, and until when this counts while it is down; by own time. */
  readonly freshUntilMs: number
  readonly goodUntilMs: number
}

/** What the application must answer within its own bound, in any case. */
const CACHE_MS_MAX = 86_400_000

export class Application implements Authenticator {
  readonly name = 'authUrl'
  readonly #options: ApplicationOptions
  /** The one used longest ago first. */
  readonly #kept = new Map<string, Kept>()
  /** Since start: no answer, or one that says nothing. */
  failures = 0

  constructor (options: ApplicationOptions) {
    this.#options = options
  }

  get size (): number { return this.#kept.size }

  async authenticate (credentials: Credentials, signal: AbortSignal): Promise<Verdict> {
    const { clock, work, ask, secret } = this.#options
    const { username, password, cookies, certificate } = credentials
    if ((username ?? password ?? cookies ?? certificate) === undefined) return { kind: 'pass' } // nothing to ask about
    const question = JSON.stringify(questionOf(credentials))
    const key = createHmac('sha256', secret).update(question).digest('base64url')
    const kept = this.#look(key)
    if (kept !== undefined && clock.now() < kept.freshUntilMs) return { kind: 'known', known: kept.known }
    try {
      const answer = await work.run(addressGroup(credentials.remoteAddress), signal, () => ask(question, signal))
      return this.#read(key, answer)
    } catch (cause) {
      if (!(cause instanceof HoldfastError)) this.#failed(cause) // its turn did not come: nothing was asked
      if (kept !== undefined && clock.now() < kept.goodUntilMs) return { kind: 'known', known: kept.known }
      throw new HoldfastError('AUTH_UNAVAILABLE', 'the application gave no answer (authUrl)', { cause })
    }
  }

  /** Whom the application knows no more, it says at the next question: nothing is kept beyond a reload. */
  async reload (): Promise<void> {
    this.#kept.clear()
    await this.#options.reload?.()
  }

  #failed (cause: unknown): void {
    this.failures++
    this.#options.failed(cause instanceof Error ? cause : new Error(String(cause)))
  }

  #look (key: string): Kept | undefined {
    const kept = this.#kept.get(key)
    if (kept === undefined) return undefined
    this.#kept.delete(key)
    if (this.#options.clock.now() >= Math.max(kept.freshUntilMs, kept.goodUntilMs)) return undefined
    this.#kept.set(key, kept)
    return kept
  }

  #read (key: string, { status, body }: Answer): Verdict {
    if (status === 401 || status === 403) {
      this.#kept.delete(key)
      return { kind: 'refused', why: `the application said ${status}` }
    }
    if (status !== 200) throw new KnownError(`it answered ${status}; 200, 401 and 403 mean something`)
    const answer: unknown = JSON.parse(body)
    if (!isObject(answer)) throw new KnownError('its answer is no JSON object')
    const known = knownOf(answer)
    this.#keep(key, known, readMs(own(answer, 'cacheMs'), 'cacheMs') ?? 0)
    return { kind: 'known', known }
  }

  #keep (key: string, known: Known, cacheMs: number): void {
    const { clock, keepMs, answersMax } = this.#options
    const nowMs = clock.now()
    const leftMs = known.expiresAt === undefined ? Infinity : known.expiresAt - clock.wall(nowMs)
    const freshUntilMs = nowMs + Math.min(cacheMs, CACHE_MS_MAX, leftMs)
    const goodUntilMs = nowMs + Math.min(keepMs, leftMs)
    this.#kept.delete(key)
    if (Math.max(freshUntilMs, goodUntilMs) <= nowMs) return
    this.#kept.set(key, { known, freshUntilMs, goodUntilMs })
    if (this.#kept.size > answersMax) this.#kept.delete(this.#kept.keys().next().value!)
  }
}

/** Bytes that are no text go as base64; a password is UTF-8 nearly always. */
function questionOf (credentials: Credentials): Readonly<Record<string, unknown>> {
  const { clientId, username, password, via, remoteAddress, certificate, cookies } = credentials
  const text = password?.toString()
  const isText = password === undefined || Buffer.from(text!).equals(password)
  return {
    via,
    clientId: clientNameOf(clientId), // undefined where a client of Socket.IO gave none
    remoteAddress,
    username,
    ...isText ? { password: text } : { passwordBase64: password.toString('base64') },
    cookies,
    certificate
  }
}

function knownOf (answer: { readonly [name: string]: Json }): Known {
  const principal = readName(own(answer, 'principal'), 'principal')
  if (principal === undefined) throw new KnownError('its answer has no principal; to refuse somebody, answer 403')
  const info = own(answer, 'info') ?? {}
  if (!isObject(info)) throw new KnownError('info must be an object')
  return {
    principal: principal as Principal,
    groups: readGroups(own(answer, 'groups'), 'groups'),
    info,
    expiresAt: readMs(own(answer, 'expiresAt'), 'expiresAt'),
    grants: readGrants(own(answer, 'rights'), 'rights'),
    clientId: readName(own(answer, 'clientId'), 'clientId'),
    by: 'authUrl'
  }
}

function readMs (value: Json | undefined, what: string): number | undefined {
  if (value === undefined || value === null) return undefined
  if (typeof value === 'number' && Number.isFinite(value) && value >= 0) return value
  throw new KnownError(`${what} must be a number of milliseconds`)
}
