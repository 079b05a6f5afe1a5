/**
 * An application's own Auth as the broker asks it: an answer comes in time or is given up, whatever comes of it later,
 * and an exception costs whoever asked, and nobody else.
 */
import type { Clock } from '../system/clock.ts'
import { HoldfastError } from '../model/errors.ts'
import type { AuthHook, Events } from '../system/events.ts'
import { inTime } from '../system/in-time.ts'
import type { Limits } from '../model/limits.ts'
import type { ClientId, Principal } from '../model/message.ts'
import { Seldom } from '../system/seldom.ts'
import type { Credentials } from './auth.ts'
import type { ProgramAuth } from './program.ts'

export interface TimelyAuthOptions {
  readonly auth: ProgramAuth
  readonly clock: Clock
  readonly limits: Pick<Limits, 'connectTimeoutMs'>
  readonly events: Events
}

const TOLD_PAUSE_MS = 1_000

export class TimelyAuth implements ProgramAuth {
  readonly anonymous: boolean
  readonly #options: TimelyAuthOptions
  readonly #seldom: Seldom
  /** Since start: no answer, or an exception. */
  failures = 0

  constructor (options: TimelyAuthOptions) {
    this.#options = options
    this.#seldom = new Seldom(options.clock, TOLD_PAUSE_MS)
    this.anonymous = options.auth.anonymous
  }

  /** Rejects with AUTH_UNAVAILABLE where there is no answer, or one that says nothing. */
  async authenticate (credentials: Credentials): Promise<Principal | undefined> {
    try {
      return principalOf(await this.#inTime('authenticate', this.#options.auth.authenticate(credentials)))
    } catch (error) {
      throw this.#unavailable('authenticate', error)
    }
  }

  /**
   * Throws or rejects with AUTH_UNAVAILABLE where there is no answer: a no is for good, and a message that is refused
   * for good is gone.
   */
  mayPublish (principal: Principal, clientId: ClientId, topic: string): boolean | Promise<boolean> {
    try {
      const answer = this.#options.auth.mayPublish(principal, clientId, topic)
      if (typeof answer === 'boolean') return answer
      return this.#inTime('mayPublish', answer)
        .catch((error: unknown) => { throw this.#unavailable('mayPublish', error) })
    } catch (error) {
      throw this.#unavailable('mayPublish', error)
    }
  }

  maySubscribe (principal: Principal, clientId: ClientId, filter: string): boolean | Promise<boolean> {
    try {
      const answer = this.#options.auth.maySubscribe(principal, clientId, filter)
      if (typeof answer === 'boolean') return answer
      return this.#inTime('maySubscribe', answer).catch((error: unknown) => this.#no('maySubscribe', error))
    } catch (error) {
      return this.#no('maySubscribe', error)
    }
  }

  #no (hook: AuthHook, error: unknown): false {
    this.#failed(hook, error)
    return false
  }

  #unavailable (hook: AuthHook, error: unknown): HoldfastError {
    this.#failed(hook, error)
    if (error instanceof HoldfastError) return error
    // what a program's exception says is for its operator, not for a stranger
    return new HoldfastError('AUTH_UNAVAILABLE', `${hook} failed`, { cause: error })
  }

  #inTime<T> (hook: AuthHook, answer: Promise<T>): Promise<T> {
    const { clock, limits: { connectTimeoutMs } } = this.#options
    return inTime(clock, connectTimeoutMs, answer, () => new HoldfastError('AUTH_UNAVAILABLE',
      `${hook} gave no answer within connectTimeoutMs = ${connectTimeoutMs}`))
  }

  #failed (hook: AuthHook, cause: unknown): void {
    this.failures++
    const times = this.#seldom.happened()
    if (times === 0) return
    const error = cause instanceof Error ? cause : new Error(String(cause))
    this.#options.events.emit('auth-failed', { hook, error, times })
  }
}

/** What programs in JavaScript mean by a no is one; what can't be written down and compared later is a fault [G7]. */
function principalOf (answer: unknown): Principal | undefined {
  if (answer === undefined || answer === null || answer === false || answer === '') return undefined
  if (typeof answer === 'string' && Buffer.from(answer).toString() === answer) return answer as Principal
  throw new TypeError('authenticate must resolve to a text that names the principal, or to undefined to refuse; ' +
    `it resolved to ${typeof answer === 'string' ? 'a text that is not Unicode' : `a value of type ${typeof answer}`}`)
}
