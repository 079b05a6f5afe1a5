/** Who is at the other end, as authentication found; kept with the connection, and its principal with the session. */
import type { JsonObject } from '../model/json.ts'
import type { Principal } from '../model/message.ts'
import type { Rights } from './rights.ts'

/**
 * What a proof allows by itself (a claim of a token, an answer of `authUrl`), as it was written there: topic filters,
 * `{principal}` and `{clientId}` not filled in yet, well-formed or not. A list that is left out is left to the rules;
 * an empty one allows nothing. The rules make Rights of it.
 */
export interface Grants {
  readonly publish?: readonly string[] | undefined
  readonly subscribe?: readonly string[] | undefined
  readonly read?: readonly string[] | undefined
}

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
  /** Undefined where the rules alone say what they may do. */
  readonly grants: Grants | undefined
  /** The only client identifier that the proof is for; undefined where it is for any. */
  readonly clientId: string | undefined
  /** Name of the authenticator that knew them: for the log, and to ask it again. */
  readonly by: string
}

export interface Identity extends Omit<Known, 'grants' | 'clientId'> {
  readonly rights: Rights
}
