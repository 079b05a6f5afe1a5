/** The chain of authenticators that the configuration asks for, with its files, its clock and its network. */
import { randomBytes } from 'node:crypto'
import { open } from 'node:fs/promises'
import { resolve } from 'node:path'
import {
  AddressDelays, Application, CertificateNames, Chain, FairWork, KeyFile, KeyUrl, Seldom, Tokens,
  UsersFile, systemClock, type Auth, type Authenticator, type KeySource, type Logger, type Refusals
} from '../broker/index.ts'
import { authenticates } from '../config/auth-contradictions.ts'
import { ConfigError } from '../config/problem.ts'
import type { Config, OptionName } from '../config/schema.ts'
import type { Access } from './access.ts'
import { request } from './outgoing.ts'

export interface AuthenticationOptions {
  readonly config: Config
  /** The program's own, asked first; undefined where it has none. */
  readonly program: Auth | undefined
  /** What people may do. */
  readonly access: Access
  readonly refusals: Refusals
  readonly log: Logger
}

/** A million users, and more than any key. */
const FILE_BYTES_MAX = 134_217_728
const TOLD_PAUSE_MS = 60_000
const OTHERS_MAY_READ = 0o004

export interface Authentication {
  readonly auth: Auth
  /** Takes users, keys and secrets that have changed; rejects with what is wrong, and goes on with those of before. */
  reload (): Promise<void>
}

/**
 * Undefined where the configuration names no authenticator. Reads every file; a URL is asked meanwhile.
 * @throws ConfigError where a file can't be used
 */
export async function createAuthentication (options: AuthenticationOptions): Promise<Authentication | undefined> {
  const chain = await chainOf(options)
  if (chain === undefined) return undefined
  return { auth: chain, reload: () => chain.reload() }
}

async function chainOf (options: AuthenticationOptions): Promise<Chain | undefined> {
  const { config, program, access, refusals, log } = options
  if (!authenticates(config)) return undefined
  const secret = randomBytes(32)
  const passwords = new FairWork({
    runningMax: config.passwordChecksMax,
    waitingMax: config.passwordChecksWaitingMax,
    what: 'too many passwords wait to be compared (passwordChecksWaitingMax)'
  })
  const questions = new FairWork({
    runningMax: config.authUrlRequestsMax,
    waitingMax: config.authUrlWaitingMax,
    what: 'too many requests wait for the application (authUrlWaitingMax)'
  })
  const files = new Files(log)
  // it knows nobody; with the others it is taken anew
  const rights: Authenticator = {
    name: 'access', authenticate: async () => ({ kind: 'pass' }), reload: () => access.reload()
  }
  const authenticators: Authenticator[] = [rights]
  const { certificatePrincipal, usersFile, authUrl } = config
  if (certificatePrincipal !== 'off') authenticators.push(new CertificateNames(certificatePrincipal))
  // a token is told by its form at once, and a password takes long: so tokens come first
  const tokens = tokensOf(config, files, log)
  if (tokens !== undefined) authenticators.push(tokens)
  if (usersFile !== '') {
    const read = async (): Promise<string> => (await files.read('usersFile', usersFile)).toString()
    const users = new UsersFile({ read, work: passwords, secret })
    await files.usable('usersFile', usersFile, () => users.reload())
    authenticators.push(users)
  }
  if (authUrl !== '') authenticators.push(await applicationOf(config, files, questions, secret, log))
  if (config.jwtKeyFile !== '') await files.usable('jwtKeyFile', config.jwtKeyFile, () => tokens!.reload())
  return new Chain({
    program,
    authenticators,
    allowAnonymous: config.allowAnonymous,
    rightsOf: access.rightsOf,
    clock: systemClock,
    delays: new AddressDelays({ clock: systemClock, limits: config }),
    refusalMs: config.authDelayMs,
    refusals,
    giveUp: (address) => {
      for (const work of [passwords, questions]) work.giveUp(address, 'its address failed too often')
    },
    secret
  })
}

function tokensOf (config: Config, files: Files, log: Logger): Tokens | undefined {
  const { jwtKeyFile, jwksUrl } = config
  if (jwtKeyFile === '' && jwksUrl === '') return undefined
  const keys = jwtKeyFile !== '' ? new KeyFile(() => files.read('jwtKeyFile', jwtKeyFile)) : keyUrl(config, log)
  return new Tokens({
    keys,
    clock: systemClock,
    issuers: config.jwtIssuer,
    audiences: config.jwtAudience,
    clockToleranceMs: config.jwtClockToleranceMs,
    bytesMax: config.jwtBytesMax,
    mayLackExpiry: !config.jwtExpiryRequired,
    username: config.jwtUsername,
    cookie: config.jwtCookie,
    claims: {
      principal: config.jwtPrincipalClaim,
      clientId: config.jwtClientIdClaim,
      groups: config.jwtGroupsClaim,
      rights: config.jwtRightsClaim,
      info: config.jwtInfoClaims
    }
  })
}

function keyUrl (config: Config, log: Logger): KeySource {
  const { jwksUrl, jwksTimeoutMs, jwksAgeMsMax, jwksPauseMs, authUrlAnswerBytesMax } = config
  const keys = new KeyUrl({
    async fetch () {
      const limits = { timeoutMs: jwksTimeoutMs, bytesMax: authUrlAnswerBytesMax }
      const { status, body } = await request(jwksUrl, { headers: { accept: 'application/json' } }, limits)
      if (status !== 200) throw new Error(`it answered ${status}`)
      return body
    },
    clock: systemClock,
    ageMsMax: jwksAgeMsMax,
    pauseMs: jwksPauseMs,
    failed: ({ message }) => log.warn({ jwksUrl, why: message }, 'the keys of tokens can\'t be fetched; those of ' +
      'before count, and without any clients with a token are told to come again. See that the server reaches the URL')
  })
  keys.reload().catch(() => {}) // told; it is asked again when a token comes
  return keys
}

async function applicationOf (
  config: Config, files: Files, work: FairWork, secret: Buffer, log: Logger
): Promise<Authenticator> {
  const { authUrl, authUrlTokenFile, authUrlTimeoutMs, authUrlAnswerBytesMax } = config
  const limits = { timeoutMs: authUrlTimeoutMs, bytesMax: authUrlAnswerBytesMax }
  const seldom = new Seldom(systemClock, TOLD_PAUSE_MS)
  let headers: Record<string, string> = { 'content-type': 'application/json', accept: 'application/json' }
  async function readToken (): Promise<void> {
    if (authUrlTokenFile === '') return
    const token = (await files.read('authUrlTokenFile', authUrlTokenFile)).toString('latin1').trim()
    if (!/^[\x21-\x7e]+$/.test(token)) throw new Error('it must be one line of ASCII without spaces')
    headers = { ...headers, authorization: `Bearer ${token}` }
  }
  await files.usable('authUrlTokenFile', authUrlTokenFile, readToken)
  return new Application({
    ask: (body, signal) => request(authUrl, { method: 'POST', headers, body }, limits, signal),
    reload: readToken,
    clock: systemClock,
    work,
    answersMax: config.authUrlAnswersMax,
    keepMs: config.authUrlWhenDown === 'keep' ? config.authUrlKeepMs : 0,
    secret,
    failed: ({ message }) => {
      const times = seldom.happened()
      if (times > 0) log.error({ authUrl, why: message, times }, 'the application could not be asked who somebody is')
    }
  })
}

class Files {
  readonly #log: Logger
  /** Those of which it was said that others may read them. */
  readonly #told = new Set<string>()

  constructor (log: Logger) {
    this.#log = log
  }

  /** @throws an error whose message names the file and says why */
  async read (option: OptionName, name: string): Promise<Buffer> {
    const file = resolve(name)
    const handle = await open(file, 'r').catch((error: NodeJS.ErrnoException) => {
      throw new Error(`${file} can't be read (${error.code === 'ENOENT' ? 'there is none' : error.code})`)
    })
    try {
      const { size, mode } = await handle.stat()
      if (size > FILE_BYTES_MAX) throw new Error(`${file} is larger than ${FILE_BYTES_MAX} bytes`)
      if ((mode & OTHERS_MAY_READ) !== 0 && option !== 'jwtKeyFile' && !this.#told.has(file)) {
        this.#told.add(file)
        this.#log.warn({ file, option }, 'everybody on this machine may read this file; chmod o-r takes that away')
      }
      return await handle.readFile()
    } finally {
      await handle.close()
    }
  }

  /** @throws ConfigError */
  async usable (option: OptionName, name: string, load: () => Promise<void>): Promise<void> {
    try {
      await load()
    } catch (error) {
      const { message } = error as Error
      const says = message.startsWith(resolve(name)) ? message : `${resolve(name)}: ${message}`
      throw new ConfigError([{ option, where: option, says }])
    }
  }
}
