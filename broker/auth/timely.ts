/**
 * An Auth as the broker asks it: an answer comes in time or is given up, whatever comes of it later, and an exception
 * costs whoever asked, and nobody else.
 */
import type { Clock } from '../system/clock.ts'
import { HoldfastError } from '../model/errors.ts'
import type { AuthHook, Events } from '../system/events.ts'
import { inTime } from '../system/in-time.ts'
import type { Limits } from '../model/limits.ts'
import type { ClientId, Principal } from '../model/message.ts'
import { Seldom } from '../system/seldom.ts'
import type { Auth, Credentials } from './auth.ts'
import type { Identity } from './identity.ts'
import { ALL_RIGHTS, type Rights } from './rights.ts'

export interface TimelyAuthOptions {
  readonly auth: Auth
  readonly clock: Clock
  readonly limits: Pick<Limits, 'connectTimeoutMs'>
  readonly events: Events
}

const TOLD_PAUSE_MS = 1_000

export class TimelyAuth {
  readonly #options: TimelyAuthOptions
  readonly #seldom: Seldom
  /** Since start: no answer, or an exception. */
  failures = 0

  constructor (options: TimelyAuthOptions) {
    this.#options = options
    this.#seldom = new Seldom(options.clock, TOLD_PAUSE_MS)
  }

  /** Rejects with AUTH_UNAVAILABLE where there is no answer, or one that says nothing. */
  async authenticate (credentials: Credentials): Promise<Identity | undefined> {
    const given = new AbortController()
    try {
      const answer = this.#options.auth.authenticate(credentials, given.signal)
      const identity = await this.inTime('authenticate', answer)
      return identity && this.#timely(identity)
    } catch (error) {
      given.abort()
      throw this.unavailable('authenticate', error)
    }
  }

  /** The same object where nothing has changed, or it could not be said. */
  refresh (identity: Identity): Identity | undefined {
    const { auth } = this.#options
    if (auth.refresh === undefined) return identity
    const known = asked(identity)
    try {
      const today = auth.refresh(known)
      return today === known ? identity : today && this.#timely(today)
    } catch (error) {
      this.failed('refresh', error)
      return identity
    }
  }

  rightsOf (principal: Principal): Rights {
    const rights = this.#options.auth.rightsOf(principal)
    return rights === ALL_RIGHTS ? rights : new TimelyRights(rights, this)
  }

  /**
   * As Rights.maySubscribe(), for what was granted before: rejects with AUTH_UNAVAILABLE where there is no answer, as
   * that takes nothing from anybody.
   */
  async mayStill (rights: Rights, clientId: ClientId, filter: string): Promise<boolean> {
    return await (rights instanceof TimelyRights ? rights.ask(clientId, filter) : rights.maySubscribe(clientId, filter))
  }

  #timely (identity: Identity): Identity {
    if (identity.rights === ALL_RIGHTS) return identity
    return { ...identity, rights: new TimelyRights(identity.rights, this, identity) }
  }

  no (hook: AuthHook, error: unknown): false {
    this.failed(hook, error)
    return false
  }

  unavailable (hook: AuthHook, error: unknown): HoldfastError {
    this.failed(hook, error)
    if (error instanceof HoldfastError) return error
    // what a program's exception says is for its operator, not for a stranger
    return new HoldfastError('AUTH_UNAVAILABLE', `${hook} failed`, { cause: error })
  }

  inTime<T> (hook: AuthHook, answer: Promise<T>): Promise<T> {
    const { clock, limits: { connectTimeoutMs } } = this.#options
    return inTime(clock, connectTimeoutMs, answer, () => new HoldfastError('AUTH_UNAVAILABLE',
      `${hook} gave no answer within connectTimeoutMs = ${connectTimeoutMs}`))
  }

  failed (hook: AuthHook, cause: unknown): void {
    this.failures++
    const times = this.#seldom.happened()
    if (times === 0) return
    const error = cause instanceof Error ? cause : new Error(String(cause))
    this.#options.events.emit('auth-failed', { hook, error, times })
  }
}

/** Rights that are asked in the same way. */
class TimelyRights implements Rights {
  readonly #rights: Rights
  readonly #auth: TimelyAuth
  /** As the Auth made it; undefined where nobody has shown anything. */
  readonly identity: Identity | undefined
  readonly mayRead: Rights['mayRead']

  constructor (rights: Rights, auth: TimelyAuth, identity?: Identity) {
    this.#rights = rights
    this.#auth = auth
    this.identity = identity
    this.mayRead = rights.mayRead === undefined ? undefined : (clientId, topic) => this.#mayRead(clientId, topic)
  }

  /**
   * Throws or rejects with AUTH_UNAVAILABLE where there is no answer: a no is for good, and a message that is refused
   * for good is gone.
   */
  mayPublish (clientId: ClientId, topic: string): boolean | Promise<boolean> {
    try {
      const answer = this.#rights.mayPublish(clientId, topic)
      if (typeof answer === 'boolean') return answer
      return this.#auth.inTime('mayPublish', answer)
        .catch((error: unknown) => { throw this.#auth.unavailable('mayPublish', error) })
    } catch (error) {
      throw this.#auth.unavailable('mayPublish', error)
    }
  }

  maySubscribe (clientId: ClientId, filter: string): boolean | Promise<boolean> {
    try {
      const answer = this.#rights.maySubscribe(clientId, filter)
      if (typeof answer === 'boolean') return answer
      return this.#auth.inTime('maySubscribe', answer)
        .catch((error: unknown) => this.#auth.no('maySubscribe', error))
    } catch (error) {
      return this.#auth.no('maySubscribe', error)
    }
  }

  async ask (clientId: ClientId, filter: string): Promise<boolean> {
    try {
      const answer = this.#rights.maySubscribe(clientId, filter)
      return typeof answer === 'boolean' ? answer : await this.#auth.inTime('maySubscribe', answer)
    } catch (error) {
      throw this.#auth.unavailable('maySubscribe', error)
    }
  }

  #mayRead (clientId: ClientId, topic: string): boolean {
    try {
      const answer: unknown = this.#rights.mayRead!(clientId, topic)
      if (typeof answer === 'boolean') return answer
      throw new TypeError(`mayRead must answer true or false; it answered a value of type ${typeof answer}`)
    } catch (error) {
      return this.#auth.no('mayRead', error)
    }
  }
}

function asked (identity: Identity): Identity {
  return identity.rights instanceof TimelyRights ? identity.rights.identity ?? identity : identity
}
