/** What the claims of a token say of whoever shows it, by the names that the configuration has for them. */
import type { Json, JsonObject } from '../../model/json.ts'
import type { Principal } from '../../model/message.ts'
import type { Known } from '../identity.ts'
import { KnownError, isObject, own, readGrants, readGroups, readName } from '../read-known.ts'

/**
 * Names of claims; '' for none. One that the token does not have as it is written is a path, as `realm_access.roles`.
 */
export interface ClaimNames {
  readonly principal: string
  readonly clientId: string
  readonly groups: string
  readonly rights: string
  /** Copied for the application. */
  readonly info: readonly string[]
}

/** @throws KnownError @param toleranceMs clocks differ by so much: what was let in by it must not end at once */
export function knownOf (claims: JsonObject, names: ClaimNames, toleranceMs: number): Known {
  const principal = readName(claim(claims, names.principal), `claim ${names.principal}`)
  if (principal === undefined) throw new KnownError(`it has no claim ${names.principal} (jwtPrincipalClaim)`)
  const exp = own(claims, 'exp')
  return {
    principal: principal as Principal,
    groups: readGroups(claim(claims, names.groups), `claim ${names.groups}`),
    info: Object.fromEntries(names.info.flatMap((name) => {
      const value = claim(claims, name)
      return value === undefined ? [] : [[name, value] as const]
    })),
    expiresAt: typeof exp === 'number' ? exp * 1_000 + toleranceMs : undefined,
    grants: readGrants(claim(claims, names.rights), `claim ${names.rights}`),
    clientId: readName(claim(claims, names.clientId), `claim ${names.clientId}`),
    by: 'jwt'
  }
}

function claim (claims: JsonObject, name: string): Json | undefined {
  if (name === '') return undefined
  return own(claims, name) ??
    name.split('.').reduce<Json | undefined>((at, part) => isObject(at) ? own(at, part) : undefined, claims)
}
