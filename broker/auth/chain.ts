/**
 * One chain of authenticators, the same for all transports: the first that understands what was shown says who it is.
 * Whoever none of them understands is refused, and never told what was wrong, not by the time that it took either.
 */
import { createHmac } from 'node:crypto'
import { clientNameOf } from '../../protocol/index.ts'
import type { Clock } from '../system/clock.ts'
import { addressGroup } from '../system/address-group.ts'
import type { Principal } from '../model/message.ts'
import type { Refusals } from '../system/refusals.ts'
import { pause, type AddressDelays } from './address-delays.ts'
import { ANONYMOUS } from './anonymous.ts'
import type { Auth, Credentials } from './auth.ts'
import type { Authenticator, Verdict } from './authenticator.ts'
import type { Identity, Known } from './identity.ts'
import type { Rights } from './rights.ts'

export interface ChainOptions {
  /** A program's own functions: asked first. Whom they don't know, the others may. */
  readonly program: Auth | undefined
  /** In the order in which they are asked. */
  readonly authenticators: readonly Authenticator[]
  /** Who shows nothing comes in as `anonymous`. */
  readonly allowAnonymous: boolean
  readonly rightsOf: (known: Known) => Rights
  readonly clock: Pick<Clock, 'now' | 'after'>
  readonly delays: AddressDelays
  /** A refusal takes so long at least, whoever found it. */
  readonly refusalMs: number
  readonly refusals: Refusals
  /** Work of an address that waits is given up where the address fails again and again. */
  readonly giveUp: (address: string) => void
  /** Made by chance when the server starts. */
  readonly secret: Buffer
}

/** From this delay on, what an address has waiting is no storm of its clients. */
const GIVE_UP_DELAYS = 4
const PRINCIPAL_BYTES_MAX = 256
const BY_ANONYMOUS = 'anonymous'
const NOT_FOR_NAMES = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]/u

export class Chain implements Auth {
  readonly anonymous = false
  readonly #options: ChainOptions
  readonly #byName: ReadonlyMap<string, Authenticator>
  /** What an identity was made of. */
  readonly #known = new WeakMap<Identity, Known>()
  #failures = 0

  constructor (options: ChainOptions) {
    this.#options = options
    this.#byName = new Map(options.authenticators.map((authenticator) => [authenticator.name, authenticator]))
  }

  /** Undefined to refuse; rejects with AUTH_UNAVAILABLE where it can't be said now. */
  async authenticate (credentials: Credentials, signal: AbortSignal): Promise<Identity | undefined> {
    const { clock, delays, refusalMs } = this.#options
    const beganMs = clock.now()
    const address = addressGroup(credentials.remoteAddress)
    const name = this.#nameOf(credentials)
    if (!showsNothing(credentials) || credentials.cookies !== undefined) await delays.turn(address, name, signal)
    const found = await this.#ask(credentials, signal)
    if (!('kind' in found)) {
      delays.cameIn(address, name)
      return found
    }
    if (found.kind === 'known') {
      const wrong = wrongWith(found.known, credentials)
      if (wrong === undefined) {
        delays.cameIn(address, name)
        return this.#identity(found.known)
      }
      this.#refused(credentials, { kind: 'refused', why: wrong, isGenuine: true }, address, name)
    } else this.#refused(credentials, found, address, name)
    const leftMs = beganMs + refusalMs - clock.now()
    if (leftMs > 0) await pause(clock, leftMs, signal)
    return undefined
  }

  /** Who they are today; undefined where they are known no more. A program's own are as it said. */
  refresh (identity: Identity): Identity | undefined {
    const known = this.#known.get(identity)
    if (known === undefined) {
      const { program } = this.#options
      return program?.refresh === undefined ? identity : program.refresh(identity)
    }
    const authenticator = this.#byName.get(known.by)
    const today = authenticator?.refresh === undefined ? known : authenticator.refresh(known)
    return today === undefined ? undefined : this.#identity(today)
  }

  /** Of somebody who has shown nothing yet. */
  rightsOf (principal: Principal): Rights {
    const { program, authenticators, rightsOf } = this.#options
    for (const authenticator of authenticators) {
      const known = authenticator.lookUp?.(principal)
      if (known !== undefined) return rightsOf(known)
    }
    if (program !== undefined) return program.rightsOf(principal)
    return rightsOf(named(principal, principal === ANONYMOUS ? BY_ANONYMOUS : ''))
  }

  /** Rejects with all that is wrong, when each has done what it could. */
  async reload (): Promise<void> {
    const wrong: string[] = []
    await Promise.all(this.#options.authenticators.map(async (each) => {
      await each.reload?.().catch(({ message }: Error) => { wrong.push(`${each.name}: ${message}`) })
    }))
    if (wrong.length > 0) throw new Error(wrong.join('; '))
  }

  async close (): Promise<void> {
    await Promise.all(this.#options.authenticators.map(async (each) => each.close?.()))
  }

  async #ask (credentials: Credentials, signal: AbortSignal): Promise<Identity | Verdict> {
    const { program, authenticators, allowAnonymous } = this.#options
    const identity = await program?.authenticate(credentials, signal)
    if (identity !== undefined) return identity
    for (const authenticator of authenticators) {
      const verdict = await authenticator.authenticate(credentials, signal)
      if (verdict.kind !== 'pass') return verdict
    }
    if (!showsNothing(credentials)) return { kind: 'refused', why: 'nobody that is known' }
    return allowAnonymous
      ? { kind: 'known', known: named(ANONYMOUS, BY_ANONYMOUS) }
      : { kind: 'refused', why: 'it shows nothing', isGenuine: true }
  }

  #identity (known: Known): Identity {
    const { principal, groups, info, expiresAt, by } = known
    const identity: Identity = { principal, groups, info, expiresAt, by, rights: this.#options.rightsOf(known) }
    this.#known.set(identity, known)
    return identity
  }

  #refused (credentials: Credentials, verdict: Verdict, address: string, name: string): void {
    const { delays, refusals, giveUp } = this.#options
    const { why, isGenuine = false } = verdict.kind === 'refused' ? verdict : { why: '' }
    if (isGenuine) {
      refusals.note({
        kind: 'logins',
        who: whoIs(credentials),
        about: { via: credentials.via, why },
        what: 'somebody was not let in',
        toDo: 'let them show credentials that are still good, and are for this client',
        sameAs: why
      })
      return
    }
    delays.failed(address, name)
    if (delays.failuresOf(address) >= GIVE_UP_DELAYS) giveUp(address)
    refusals.note({
      kind: 'logins',
      who: whoIs(credentials),
      about: { user: credentials.username, via: credentials.via, why },
      what: LOGIN_FAILED,
      toDo: 'correct the credentials of the client; many of them are somebody who guesses',
      sameAs: String(++this.#failures) // each is told: what watches the log counts them
    })
  }

  /** What stands for the name that is tried: a token has none, and is not to be kept as it is. */
  #nameOf ({ username, password }: Credentials): string {
    const of = username === undefined ? ['token', password?.toString('base64') ?? ''] : ['user', username]
    return createHmac('sha256', this.#options.secret).update(JSON.stringify(of)).digest('base64url')
  }
}

/** What the filter for fail2ban looks for, at the beginning of a line's text. */
export const LOGIN_FAILED = 'authentication failed'

function whoIs ({ remoteAddress, clientId }: Credentials): { remoteAddress: string, clientId: string } {
  return { remoteAddress, clientId }
}

function showsNothing ({ username, password }: Credentials): boolean {
  return username === undefined && password === undefined
}

function named (principal: Principal, by: string): Known {
  return { principal, groups: [], info: {}, expiresAt: undefined, grants: undefined, clientId: undefined, by }
}

/** Nobody is taken for somebody of the server's own, or enters by a proof that is for another client [G7]. */
function wrongWith ({ principal, clientId, by }: Known, credentials: Credentials): string | undefined {
  if (by !== BY_ANONYMOUS && (principal === ANONYMOUS || principal.startsWith('$'))) {
    return 'its principal is a name of the server\'s own'
  }
  if (Buffer.byteLength(principal) > PRINCIPAL_BYTES_MAX || NOT_FOR_NAMES.test(principal)) {
    return `its principal is longer than ${PRINCIPAL_BYTES_MAX} bytes, or has characters that can't be seen`
  }
  const isForThem = clientId === undefined || clientId === clientNameOf(credentials.clientId)
  return isForThem ? undefined : 'what it shows is for another client identifier'
}
