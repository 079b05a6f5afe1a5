/** What a server is made with: options checked and brought together, before anything is started. */
import type { Server } from 'node:http'
import { resolve } from 'node:path'
import { anonymous, type Logger, type ProgramAuth, Refusals, systemClock } from '../broker/index.ts'
import type { RuleSet } from '../config/rule.ts'
import type { Config } from '../config/schema.ts'
import { doorsOf, type Doors } from './doors.ts'
import { checkLibraries } from './libraries.ts'
import { createLog } from './log.ts'
import { checkFunctions, configOf, programsHttp, type HoldfastOptions } from './options.ts'
import { rulesOf } from './rules.ts'
import { safeLogger } from './safe-logger.ts'

export interface Setup extends Pick<HoldfastOptions, 'durable' | 'identify' | 'io' | 'store'> {
  readonly auth: ProgramAuth
  readonly config: Config
  /** The folder, absolute. */
  readonly data: string
  readonly doors: Doors
  readonly log: Logger
  /** The HTTP server that is the program's own, if one is. */
  readonly programs: Server | undefined
  readonly refusals: Refusals
  readonly rules: RuleSet
}

/** @throws ConfigError */
export async function setUp (options: HoldfastOptions): Promise<Setup> {
  checkFunctions(options)
  const { auth = anonymous, logger, store, http: _http, io, durable, identify, ...rest } = options
  const programs = programsHttp(options)
  checkLibraries(io)
  const doors = doorsOf({ ...options, auth, programs })
  const config = configOf(rest, auth, programs, doors)
  const rules = await rulesOf(config)
  const log = logger === undefined ? createLog(config) : safeLogger(logger)
  const refusals = new Refusals({ clock: systemClock, log })
  return {
    auth, config, data: resolve(config.data), doors, durable, identify, io, log, programs, refusals, rules, store
  }
}
