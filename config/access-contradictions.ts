/** What the options of rights must hold together. */
import { authenticates } from './auth-contradictions.ts'
import type { Contradiction } from './contradiction.ts'

export const ACCESS_CONTRADICTIONS: readonly Contradiction[] = (['access', 'aclFile'] as const).map((option) => ({
  options: [option],
  broken: (config) => config[option].length > 0 && !authenticates(config)
    ? `${option} says what people may do who come in by usersFile, jwtKeyFile, jwksUrl, authUrl or ` +
      'certificatePrincipal, and none of them is set: set one (allowAnonymous lets in who shows nothing), or leave ' +
      'it out'
    : undefined
}))
