/** What a server is made with: options checked and brought together, before anything is started. */
import type { Server } from 'node:http'
import { resolve } from 'node:path'
import { anonymous, authOf, everybody, Refusals, systemClock, type Auth, type Logger } from '../broker/index.ts'
import type { RuleSet } from '../config/rule.ts'
import { authenticates } from '../config/auth-contradictions.ts'
import { defaults, type Config } from '../config/schema.ts'
import { Access } from './access.ts'
import { createAuthentication, type Authentication } from './authentication.ts'
import { doorsOf, type Doors } from './doors.ts'
import { checkLibraries } from './libraries.ts'
import { createLog } from './log.ts'
import { Network } from './net/network.ts'
import { checkFunctions, configOf, programsHttp, type HoldfastOptions } from './options.ts'
import { rulesOf } from './rules.ts'
import { safeLogger } from './safe-logger.ts'

export interface Setup extends Pick<HoldfastOptions, 'durable' | 'identify' | 'io' | 'store'> {
  readonly auth: Auth
  /** Undefined where the configuration names no authenticator: then the program's own, or nobody, is asked. */
  readonly authentication: Authentication | undefined
  readonly config: Config
  /** The folder, absolute. */
  readonly data: string
  readonly doors: Doors
  readonly log: Logger
  readonly network: Network
  /** The HTTP server that is the program's own, if one is. */
  readonly programs: Server | undefined
  readonly refusals: Refusals
  readonly rules: RuleSet
}

/** @throws ConfigError */
export async function setUp (options: HoldfastOptions): Promise<Setup> {
  checkFunctions(options)
  const { auth = anonymous, logger, store, http: _http, io, durable, identify, readAccess, ...rest } = options
  const programs = programsHttp(options)
  checkLibraries(io)
  const gate = { anonymous: auth.anonymous && !authenticates({ ...defaults(), ...rest }) }
  const doors = doorsOf({ ...options, auth: gate, programs })
  const config = configOf(rest, gate, programs, doors)
  const rules = await rulesOf(config)
  const access = await Access.open(config, readAccess)
  const log = logger === undefined ? createLog(config) : safeLogger(logger)
  const refusals = new Refusals({ clock: systemClock, log })
  const isClosed = programs !== undefined && !doors.mqtt
  const network = await Network.create({ config, isClosed, clock: systemClock, log, refusals })
  const authentication = await createAuthentication({
    config, program: auth.anonymous ? undefined : authOf(auth), access, refusals, log
  }).catch((error: unknown) => {
    network.close()
    throw error
  })
  return {
    auth: authentication?.auth ?? (auth === anonymous ? everybody : authOf(auth)),
    authentication,
    config,
    data: resolve(config.data),
    doors,
    durable,
    identify,
    io,
    log,
    network,
    programs,
    refusals,
    rules,
    store
  }
}
