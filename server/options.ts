/** What a program can set, and what becomes of it. */
import type { Server } from 'node:http'
import type { Server as SocketioServer } from 'socket.io'
import { foreignAdapter, optionsOf, type Durable, type Identify } from '../bridge/socketio/index.ts'
import { type ProgramAuth, DEFAULT_LIMITS, type Limits, type Logger, type Store } from '../broker/index.ts'
import type { AccessOption } from '../config/access-rule.ts'
import { programConfig } from '../config/load.ts'
import { ConfigError, type Problem } from '../config/problem.ts'
import type { Config } from '../config/schema.ts'
import type { Doors } from './doors.ts'
import { exposed } from './http/exposure.ts'

export type { Durable, Identified, Identify, ProgramEmit } from '../bridge/socketio/index.ts'

/** Options by name, as docs/configuration.md lists them, and what only a program can hand over. */
export interface HoldfastOptions extends Partial<Omit<Config, 'config' | 'mqttPort'>> {
  /**
   * TCP port for MQTT; 0 lets the system pick, false listens on none. Default 1883; false where http or io is handed
   * over without auth.
   */
  readonly mqttPort?: number | false
  /** Who may do what. Default: everybody, from this machine only. */
  readonly auth?: ProgramAuth
  /**
   * The program's own HTTP server, instead of one of ours on httpPort. Its request handlers must be there already;
   * they keep every path but /socket.io/, /healthz, /readyz and, with mqttWebsocket, mqttPath. The program listens,
   * before or after, and closes by itself.
   */
  readonly http?: Server
  /**
   * The program's own Socket.IO server, on its own HTTP server, instead of one of ours at /socket.io/. Its options,
   * middlewares (`io.use`) and handlers stay in force; clients are not let in without a session. Its handlers get the
   * events that no rule is for. What it emits with `io.emit` and `to(room).emit`, and `socket.join` and `leave`, is
   * carried by the log. Make it without connectionStateRecovery, adapter and parser; hand it over before clients come.
   */
  readonly io?: SocketioServer
  /**
   * Says for each emit of `io` to a namespace or to rooms whether it is kept for who is away (true), or goes live to
   * those who are connected, as with Socket.IO alone (false). Called within the emit. Default: all are kept.
   */
  readonly durable?: Durable
  /**
   * The program's own way to know Socket.IO clients: makes a client id, or credentials for `auth`, of a handshake. What
   * it leaves open is taken from what the client says. An exception refuses the client.
   */
  readonly identify?: Identify
  /** The rules of `access` as they are now, asked for at each `reload()`. Default: those of the start. */
  readonly readAccess?: () => AccessOption
  /** Default: pino to standard error, by logLevel and logFormat. */
  readonly logger?: Logger
  /** Default: the embedded store in the folder `data`. */
  readonly store?: Store
}

/** @throws ConfigError */
export function configOf (
  options: Omit<HoldfastOptions, 'auth' | 'http' | 'io' | 'durable' | 'identify' | 'logger' | 'readAccess' | 'store'>,
  auth: Pick<ProgramAuth, 'anonymous'>, http: Server | undefined, doors: Doors
): Config {
  if (http !== undefined && options.httpPort !== undefined) {
    throw new ConfigError([{
      option: 'httpPort',
      where: 'httpPort and http',
      says: 'the program\'s own server listens by itself; leave httpPort out'
    }])
  }
  const { config } = programConfig({
    ...options,
    mqttWebsocket: doors.mqttWebsocket,
    // a port that is not listened on contradicts no other
    ...(!doors.mqtt && { mqttPort: 0 }),
    ...(http !== undefined && { httpPort: 0 })
  }, { authenticated: !auth.anonymous })
  const says = doors.strangersByHttp && !config.allowAnonymous ? exposed(http!) : undefined
  if (says !== undefined) throw new ConfigError([{ option: 'allowAnonymous', where: 'http', says }])
  return config
}

/**
 * What is to be called is a function: types don't say so to every program, and it would show with the first client.
 * @throws ConfigError with all that is wrong
 */
export function checkFunctions (options: Pick<HoldfastOptions, 'auth' | 'identify' | 'readAccess'>): void {
  if (options === null || typeof options !== 'object') throw wrong('createHoldfast()', 'options must be an object')
  const { auth, identify, readAccess } = options
  const problems: Problem[] = []
  if (auth === null || (auth !== undefined && typeof auth !== 'object')) {
    problems.push(problem('auth', 'it must be an object with authenticate, mayPublish and maySubscribe'))
  } else if (auth !== undefined) {
    for (const name of ['authenticate', 'mayPublish', 'maySubscribe'] as const) {
      if (typeof auth[name] !== 'function') problems.push(problem(`auth.${name}`, 'it must be a function'))
    }
  }
  if (identify !== undefined && typeof identify !== 'function') {
    problems.push(problem('identify', 'it must be a function of a handshake'))
  }
  if (readAccess !== undefined && typeof readAccess !== 'function') {
    problems.push(problem('readAccess', 'it must be a function that returns the rules of access'))
  }
  if (problems.length > 0) throw new ConfigError(problems)
}

/**
 * The HTTP server that is the program's own, if one is.
 * @throws ConfigError
 */
export function programsHttp ({ http, io, durable }: Pick<HoldfastOptions, 'http' | 'io' | 'durable'>):
Server | undefined {
  if (durable !== undefined && typeof durable !== 'function') {
    throw wrong('durable', 'it must be a function of { namespace, event, rooms } that returns true or false')
  }
  if (durable !== undefined && io === undefined) {
    throw wrong('durable', 'it is asked about the emits of io, and there is no io; leave it out, or hand io over')
  }
  if (io === undefined) return http
  const below = io.httpServer as Server | undefined
  const says = below === undefined
    ? 'it has no HTTP server: new Server(http), or io.attach(http), before'
    : http !== undefined && http !== below
      ? 'http is another server than the one of io; leave http out'
      : wrongOption(io)
  if (says !== undefined) throw wrong('io', says)
  return below
}

function wrong (where: string, says: string): ConfigError {
  return new ConfigError([problem(where, says)])
}

function problem (where: string, says: string): Problem {
  return { option: undefined, where, says }
}

function wrongOption (io: SocketioServer): string | undefined {
  const opts = optionsOf(io)
  if (opts.connectionStateRecovery !== undefined) {
    return 'leave connectionStateRecovery out: Holdfast recovers connections itself'
  }
  if (opts.parser !== undefined) {
    return 'leave parser out: Holdfast makes each event once for all clients, in the encoding of socket.io-parser, ' +
      'and clients with another one could not read it'
  }
  const adapter = foreignAdapter(io)
  if (adapter !== undefined) {
    return `leave the adapter out (${adapter}): the log carries what this server emits, so the adapter would hear of ` +
      'nothing, and other nodes in silence of nothing either; let one server have all clients'
  }
  return undefined
}

export function limitsOf (config: Config): Limits {
  const names = Object.keys(DEFAULT_LIMITS) as Array<keyof Limits>
  return Object.freeze(Object.fromEntries(names.map((name) => [name, config[name]]))) as unknown as Limits
}
