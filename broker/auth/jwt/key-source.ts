/** Where keys come from: a file that is read at the start and at a reload, or a URL whose keys change by themselves. */
import type { Clock } from '../../system/clock.ts'
import { HoldfastError } from '../../model/errors.ts'
import { keysFor, keysOfFile, keysOfUrl, type VerifyKey } from './keys.ts'

export interface KeySource {
  /** Those that such a token may have been signed with. Rejects with AUTH_UNAVAILABLE where that can't be known now. */
  find (algorithm: string, kid: string | undefined): Promise<readonly VerifyKey[]>
  /** Rejects with what is wrong; then the keys are those of before. */
  reload (): Promise<void>
}

export class KeyFile implements KeySource {
  readonly #read: () => Promise<Buffer>
  #keys: readonly VerifyKey[] = []

  constructor (read: () => Promise<Buffer>) {
    this.#read = read
  }

  async find (algorithm: string, kid: string | undefined): Promise<readonly VerifyKey[]> {
    return keysFor(this.#keys, algorithm, kid)
  }

  async reload (): Promise<void> {
    this.#keys = keysOfFile(await this.#read())
  }
}

export interface KeyUrlOptions {
  /** Fetches the JWKS, in time and of bounded size. */
  readonly fetch: () => Promise<string>
  readonly clock: Pick<Clock, 'now'>
  /** Older keys are fetched anew when they are used next; meanwhile, and while the URL fails, they count. */
  readonly ageMsMax: number
  /** An unknown `kid` has the keys fetched, but not twice in this time. */
  readonly pauseMs: number
  /** It could not be fetched: told once until it can. */
  readonly failed: (error: Error) => void
}

/** The server starts without the URL; until it answers, tokens get AUTH_UNAVAILABLE, and their clients come again. */
export class KeyUrl implements KeySource {
  readonly #options: KeyUrlOptions
  #keys: readonly VerifyKey[] | undefined
  #fetchedAtMs = -Infinity
  #triedAtMs = -Infinity
  /** Why the last fetch brought nothing. */
  #failure: Error | undefined
  #fetching: Promise<void> | undefined

  constructor (options: KeyUrlOptions) {
    this.#options = options
  }

  async find (algorithm: string, kid: string | undefined): Promise<readonly VerifyKey[]> {
    const { clock, ageMsMax, pauseMs } = this.#options
    const mayFetch = this.#fetching !== undefined || clock.now() - this.#triedAtMs >= pauseMs
    if (mayFetch && clock.now() - this.#fetchedAtMs >= ageMsMax && this.#keys !== undefined) {
      this.reload().catch(() => {}) // told; the keys of before count
    }
    const known = keysFor(this.#keys ?? [], algorithm, kid)
    if (known.length > 0) return known
    if (mayFetch) await this.reload().catch(() => {})
    if (this.#failure !== undefined) {
      throw new HoldfastError('AUTH_UNAVAILABLE', 'the keys of tokens can\'t be fetched (jwksUrl)',
        { cause: this.#failure })
    }
    return keysFor(this.#keys ?? [], algorithm, kid)
  }

  /** Fetches now; all who ask meanwhile wait for the same answer. */
  reload (): Promise<void> {
    this.#fetching ??= this.#fetch().finally(() => { this.#fetching = undefined })
    return this.#fetching
  }

  async #fetch (): Promise<void> {
    const { fetch, clock, failed } = this.#options
    this.#triedAtMs = clock.now()
    try {
      this.#keys = keysOfUrl(await fetch())
      this.#fetchedAtMs = clock.now()
      this.#failure = undefined
    } catch (cause) {
      const error = cause instanceof Error ? cause : new Error(String(cause))
      if (this.#failure === undefined) failed(error)
      this.#failure = error
      throw error
    }
  }
}
