/** Who is at the other end, as authentication found; kept with the connection, and its principal with the session. */
import type { JsonObject } from '../model/json.ts'
import type { Principal } from '../model/message.ts'
import type { Rights } from './rights.ts'

/** What an authenticator knows of somebody, before the rules say what it comes to. */
export interface Known {
  /** The person or thing: the user of `io/<ns>/user/<user>/...`. A session belongs to them [G7]. */
  readonly principal: Principal
  /** For the rules; from the users file, a claim, or an answer. */
  readonly groups: readonly string[]
  /** Claims, for the application and for presence. */
  readonly info: JsonObject
  /** Milliseconds since 1970 by the wall clock; the connection renews before, or is closed [G7]. */
  readonly expiresAt: number | undefined
  /** What the proof itself allows (a claim, an answer of `authUrl`); undefined where the rules alone say so. */
  readonly rights: Rights | undefined
  /** The only client identifier that the proof is for; undefined where it is for any. */
  readonly clientId: string | undefined
  /** Name of the authenticator that knew them: for the log, and to ask it again. */
  readonly by: string
}

export interface Identity extends Omit<Known, 'rights' | 'clientId'> {
  readonly rights: Rights
}
