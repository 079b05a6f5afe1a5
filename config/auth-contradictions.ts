/** What the options of authentication must hold together. */
import type { Contradiction } from './contradiction.ts'
import { AUTH_OPTIONS } from './auth-options.ts'
import { isLoopback } from './loopback.ts'
import type { Config, OptionName } from './schema.ts'

type AuthOption = keyof typeof AUTH_OPTIONS

/** True where the configuration itself says who may come in. */
export function authenticates (
  config: Pick<Config, 'usersFile' | 'jwtKeyFile' | 'jwksUrl' | 'authUrl' | 'certificatePrincipal'>
): boolean {
  const { usersFile, jwtKeyFile, jwksUrl, authUrl, certificatePrincipal } = config
  return [usersFile, jwtKeyFile, jwksUrl, authUrl].some((value) => value !== '') || certificatePrincipal !== 'off'
}

const OF_TOKENS: readonly AuthOption[] = [
  'jwtIssuer', 'jwtAudience', 'jwtClockToleranceMs', 'jwtExpiryRequired', 'jwtBytesMax', 'jwtUsername', 'jwtCookie',
  'jwtPrincipalClaim', 'jwtClientIdClaim', 'jwtGroupsClaim', 'jwtRightsClaim', 'jwtInfoClaims'
]
const OF_JWKS: readonly AuthOption[] = ['jwksAgeMsMax', 'jwksPauseMs', 'jwksTimeoutMs']
const OF_AUTH_URL: readonly AuthOption[] = [
  'authUrlTokenFile', 'authUrlTimeoutMs', 'authUrlRequestsMax', 'authUrlWaitingMax', 'authUrlAnswersMax',
  'authUrlWhenDown'
]
const OF_USERS: readonly AuthOption[] = ['passwordChecksMax', 'passwordChecksWaitingMax']

export const AUTH_CONTRADICTIONS: readonly Contradiction[] = [
  {
    options: ['jwtKeyFile', 'jwksUrl'],
    broken: ({ jwtKeyFile, jwksUrl }) => jwtKeyFile !== '' && jwksUrl !== ''
      ? 'tokens are checked with the keys of one of them; leave the other out, or put all keys into one JWKS'
      : undefined
  },
  {
    options: ['jwksUrl', 'jwtIssuer', 'jwtAudience'],
    broken: ({ jwksUrl, jwtIssuer, jwtAudience }) => jwksUrl !== '' && jwtIssuer.length + jwtAudience.length === 0
      ? 'the keys of a URL sign tokens for others too; set jwtAudience, or jwtIssuer, to those that are meant for here'
      : undefined
  },
  ...OF_TOKENS.map((option) => beside(option, ['jwtKeyFile', 'jwksUrl'])),
  ...OF_JWKS.map((option) => beside(option, ['jwksUrl'])),
  ...OF_AUTH_URL.map((option) => beside(option, ['authUrl'])),
  ...OF_USERS.map((option) => beside(option, ['usersFile'])),
  beside('authUrlAnswerBytesMax', ['authUrl', 'jwksUrl']),
  {
    options: ['authUrlKeepMs', 'authUrlWhenDown'],
    broken: (config) => isSet(config, 'authUrlKeepMs') && config.authUrlWhenDown !== 'keep'
      ? 'authUrlKeepMs counts only with authUrlWhenDown = keep'
      : undefined
  },
  url('authUrl'),
  url('jwksUrl'),
  shorter('authUrlTimeoutMs', ({ authUrl }) => authUrl !== ''),
  shorter('jwksTimeoutMs', ({ jwksUrl }) => jwksUrl !== ''),
  shorter('authDelayMsMax', authenticates),
  {
    options: ['authDelayMs', 'authDelayMsMax'],
    broken: ({ authDelayMs, authDelayMsMax }) => authDelayMs > authDelayMsMax
      ? 'the first delay is longer than the longest; the first must not be larger'
      : undefined
  },
  {
    options: ['certificatePrincipal', 'tlsClientCa'],
    broken: ({ certificatePrincipal, tlsClientCa }) => certificatePrincipal !== 'off' && tlsClientCa === ''
      ? 'without tlsClientCa no client is asked for a certificate, and nobody would come in by one; set it too'
      : undefined
  },
  {
    options: ['jwtCookie', 'deviceCookie'],
    broken: ({ jwtCookie, deviceCookie }) => jwtCookie !== '' && jwtCookie === deviceCookie
      ? `${jwtCookie} can't hold both the token and the name of the browser; choose two`
      : undefined
  }
]

function isSet (config: Config, option: OptionName & AuthOption): boolean {
  return JSON.stringify(config[option]) !== JSON.stringify(AUTH_OPTIONS[option].default)
}

/** It means something only where one of the others is set. */
function beside (option: AuthOption, others: readonly AuthOption[]): Contradiction {
  return {
    options: [option, ...others],
    broken: (config) => isSet(config, option) && !others.some((other) => isSet(config, other))
      ? `${option} counts only beside ${others.join(' or ')}; leave it out, or set that too`
      : undefined
  }
}

function url (option: 'authUrl' | 'jwksUrl'): Contradiction {
  return {
    options: [option, 'plainHttpUrls'],
    broken: (config) => {
      const value = config[option]
      if (value === '') return undefined
      if (!URL.canParse(value)) return `${option} is no URL`
      const { protocol, hostname, username, password } = new URL(value)
      if (username !== '' || password !== '') return `${option} holds a user name or password; leave them out`
      return protocol === 'https:' || config.plainHttpUrls || isLoopback(hostname.replace(/^\[|\]$/g, ''))
        ? undefined
        : `${option} is http:// to ${hostname}: what it carries could be read and changed on its way. Use https://, ` +
          'or set --plain-http-urls (plainHttpUrls) where the way is safe'
    }
  }
}

/** A client whose answer takes longer than connectTimeoutMs is gone. */
function shorter (
  option: 'authUrlTimeoutMs' | 'jwksTimeoutMs' | 'authDelayMsMax', counts: (config: Config) => boolean
): Contradiction {
  return {
    options: [option, 'connectTimeoutMs'],
    broken: (config) => counts(config) && config[option] >= config.connectTimeoutMs
      ? `${option} must be shorter than connectTimeoutMs (${config.connectTimeoutMs}), which refuses the client`
      : undefined
  }
}
