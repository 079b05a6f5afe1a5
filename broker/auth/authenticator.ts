/**
 * The seam of one way to know people: a users file, tokens, certificates, an application that is asked, a program's own
 * function. The chain (chain.ts) asks them in the order of the configuration.
 */
import type { Credentials } from './auth.ts'
import type { Known } from './identity.ts'

export type Verdict =
  | { readonly kind: 'known', readonly known: Known }
  /**
   * It is for this authenticator to say, and the proof is wrong. `why` is for the log alone. A genuine one, as a token
   * that has expired, is no guess: it does not slow its address down.
   */
  | { readonly kind: 'refused', readonly why: string, readonly isGenuine?: boolean | undefined }
  /** What was shown means nothing to this one: the next is asked. With none left, the client is refused. */
  | { readonly kind: 'pass' }

export interface Authenticator {
  /** As the configuration and the log call it: `users`, `jwt`, `authUrl`, `certificate`, `program`. */
  readonly name: string
  /**
   * Never blocks the event loop, and comes to an end when `signal` does. Rejects where it can't say (a service is
   * down): nobody comes in, and the client may try again.
   */
  authenticate (credentials: Credentials, signal: AbortSignal): Promise<Verdict>
  /**
   * What it would say of them today, without a proof: after users or rules were loaded anew. Undefined where they are
   * known no more: their connections are closed, and their sessions stay. Left out where only a proof can tell.
   */
  refresh? (known: Known): Known | undefined
  /** Somebody of this name, without a proof; left out where only a proof can tell. */
  lookUp? (principal: string): Known | undefined
  /** Takes what changed outside (files, keys); rejects with what is wrong, and goes on with what it had. */
  reload? (): Promise<void>
  close? (): Promise<void>
}
