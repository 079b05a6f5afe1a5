/** Options that say who may come in: the authenticators, and what failures cost. */
import { AGE_MS_MAX, TIMER_MS_MAX, bytes, choice, count, flag, list, ms, text } from './option.ts'

const FILE = /^[^\0]*$/
const WORD = /^[^\0]{0,256}$/
const LINE = /^[^\p{Cc}]{1,1024}$/u
const URL_TEXT = /^$|^https?:\/\/[^\s]+$/
const COOKIE = /^[!#$%&'*+.^_`|~\w-]*$/
const AT_ONCE = { min: 1, max: 1_024 }
const TABLE = { min: 1, max: 10_000_000 }

export const AUTH_OPTIONS = {
  usersFile: text('auth', FILE, 'the path of a file', '',
    'File of users and their passwords, made by "holdfast user" or by mosquitto_passwd: name:hash, or ' +
    'name:hash:group,group, a line. Read at the start and at a reload. Empty: none.'),
  passwordChecksMax: count('auth', AT_ONCE, 2,
    'Passwords of the users file that are compared at the same time, beside the event loop, each on a core of its ' +
    'own. Further ones wait; addresses take turns.'),
  passwordChecksWaitingMax: count('auth', TABLE, 1_000,
    'Passwords that wait to be compared. Beyond it a client of the address that has the most of them is told to come ' +
    'again.'),

  jwtKeyFile: text('auth', FILE, 'the path of a file', '',
    'File of what signed tokens (JWT) are checked with: public keys or certificates (PEM), a JWK, a JWKS, or a ' +
    'secret of 32 bytes or more (a line break at its end is no part of it). The type of the key decides which ' +
    'algorithms it is for: HS256 to HS512; RS256 to RS512 and PS256 to PS512; ES256, ES384, ES512; EdDSA. Read at ' +
    'the start and at a reload. Empty: none.'),
  jwksUrl: text('auth', URL_TEXT, 'a URL that begins with https:// or http://', '',
    'The same from a URL, as identity providers have it. Fetched at the start, when keys are older than ' +
    'jwksAgeMsMax, and when a token names a key that is not known. The server starts without it; until it answers ' +
    'clients with a token are told to come again. Beside it jwtIssuer or jwtAudience must be set. Empty: none.'),
  jwksAgeMsMax: ms('auth', { min: 1_000, max: AGE_MS_MAX }, 600_000,
    'Age of the keys of jwksUrl from which they are fetched anew when they are needed next. While that fails, those ' +
    'of before count.'),
  jwksPauseMs: ms('auth', { min: 0, max: AGE_MS_MAX }, 30_000,
    'Time in which the keys of jwksUrl are fetched once at most, however many tokens name a key that is not known.'),
  jwksTimeoutMs: ms('auth', { min: 1, max: TIMER_MS_MAX }, 5_000,
    'Time that jwksUrl has to answer. After it that counts as no answer.'),
  jwtIssuer: list('auth', LINE, 'a text', [],
    'Who may have issued a token (claim iss). Empty: whoever has the key.'),
  jwtAudience: list('auth', LINE, 'a text', [],
    'For whom a token may be (claim aud, one of these). Empty: for anybody.'),
  jwtClockToleranceMs: ms('auth', { min: 0, max: 600_000 }, 30_000,
    'By how much the clock of the issuer may differ: a token counts so much sooner and longer than it says.'),
  jwtExpiryRequired: flag('auth', true,
    'Refuses a token that never expires (without the claim exp). A connection ends with its token, unless its client ' +
    'shows a new one before; the session stays.'),
  jwtBytesMax: bytes('auth', { min: 256, max: 65_536 }, 8_192,
    'Longest token. A longer one is not looked at.'),
  jwtUsername: text('auth', WORD, 'a text of at most 256 characters', '',
    'User name beside which a password is taken for a token, over MQTT and with Basic. Empty: any; then what has the ' +
    'form of a token is one. A token without a user name is always looked at.'),
  jwtCookie: text('auth', COOKIE, 'the name of a cookie, or empty', '',
    'Name of the cookie that holds the token, for Socket.IO and HTTP, where a client shows nothing else. Empty: none.'),
  jwtPrincipalClaim: text('auth', /^[^\0]{1,256}$/, 'the name of a claim', 'sub',
    'Claim that says who it is: the principal, to whom sessions belong. A name with dots that the token does not ' +
    'have as such is a path: user.id.'),
  jwtClientIdClaim: text('auth', WORD, 'the name of a claim, or empty', '',
    'Claim that says which client identifier alone the token is for. Empty: it is for any.'),
  jwtGroupsClaim: text('auth', WORD, 'the name of a claim, or empty', 'groups',
    'Claim with the groups, a list or words with spaces between them, as roles, scope or realm_access.roles. A token ' +
    'may lack it.'),
  jwtRightsClaim: text('auth', WORD, 'the name of a claim, or empty', '',
    'Claim with what its holder may do: {"publish": [...], "subscribe": [...], "read": [...]}, topic filters each. A ' +
    'list that it gives stands in place of the rules that allow; one that is left out is left to the rules. Empty: ' +
    'the rules alone say so.'),
  jwtInfoClaims: list('auth', LINE, 'the name of a claim', [],
    'Claims that the application gets to know, as name or email.'),

  authUrl: text('auth', URL_TEXT, 'a URL that begins with https:// or http://', '',
    'URL of the application that is asked who somebody is: a POST with JSON, what the client showed; 200 with ' +
    '{"principal": "..."} lets them in, 401 and 403 refuse them. See docs/authentication.md. Empty: none.'),
  authUrlTokenFile: text('auth', FILE, 'the path of a file', '',
    'File of a secret that goes to authUrl as Authorization: Bearer, so that the application knows who asks. Read at ' +
    'the start and at a reload. Empty: none.'),
  authUrlTimeoutMs: ms('auth', { min: 1, max: TIMER_MS_MAX }, 5_000,
    'Time that authUrl has to answer. After it that counts as no answer. Shorter than connectTimeoutMs.'),
  authUrlRequestsMax: count('auth', AT_ONCE, 32,
    'Requests to authUrl at the same time. Further ones wait; addresses take turns.'),
  authUrlWaitingMax: count('auth', TABLE, 1_000,
    'Requests to authUrl that wait. Beyond it a client of the address that has the most is told to come again.'),
  authUrlAnswerBytesMax: bytes('auth', { min: 256, max: 16_777_216 }, 65_536,
    'Longest answer of authUrl and of jwksUrl. A longer one counts as none.'),
  authUrlAnswersMax: count('auth', TABLE, 10_000,
    'Answers of authUrl that are kept, for as long as each says (cacheMs) or authUrlKeepMs does, under a digest of ' +
    'what was shown. Beyond it the one used longest ago goes.'),
  authUrlWhenDown: choice('auth', ['refuse', 'keep'], 'refuse',
    'What happens while authUrl gives no answer. refuse: whoever comes is told to come again, and who is connected ' +
    'stays; keep: besides, who was known within authUrlKeepMs and shows the same comes in.'),
  authUrlKeepMs: ms('auth', { min: 1, max: AGE_MS_MAX }, 3_600_000,
    'For how long somebody counts as known with authUrlWhenDown = keep.'),
  plainHttpUrls: flag('auth', false,
    'Allows authUrl and jwksUrl to be http:// beyond this machine: passwords and keys then travel for everybody to ' +
    'read and to change.'),

  certificatePrincipal: choice('auth', ['off', 'commonName', 'dns', 'email', 'uri'], 'off',
    'Which name in the certificate of a client says who it is: the CN of its subject, or its only alternative name ' +
    'of a type. off: a certificate opens a connection, and who it is must be shown besides.'),

  authDelayMs: ms('auth', { min: 0, max: 60_000 }, 250,
    'Time that a refusal takes at least, and that the next attempt of its address waits; each further failure ' +
    'doubles it. An address of version 6 counts with its /64. 0: nobody is slowed down.'),
  authDelayMsMax: ms('auth', { min: 0, max: 600_000 }, 5_000,
    'Longest time that an attempt waits. Shorter than connectTimeoutMs.'),
  authDelayFadeMs: ms('auth', { min: 1, max: AGE_MS_MAX }, 30_000,
    'Time in which one failure of an address is taken back.'),
  authDelayAddressesMax: count('auth', TABLE, 10_000,
    'Addresses with failures, and names that came in lately, of which the server knows. Beyond it the one seen ' +
    'longest ago is forgotten.'),
  authDelayWaitingMax: count('auth', { min: 1, max: 10_000 }, 16,
    'Attempts of one address that wait because of failures. A further one is told to come again at once.')
} as const
