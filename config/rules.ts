/** What options must hold together: contradictions between values that are each allowed. */
import { ACCESS_CONTRADICTIONS } from './access-contradictions.ts'
import { AUTH_CONTRADICTIONS, authenticates } from './auth-contradictions.ts'
import type { Circumstances, Contradiction } from './contradiction.ts'
import { isLoopback } from './loopback.ts'
import { NET_CONTRADICTIONS } from './net-contradictions.ts'
import { type Problem, type Source, where } from './problem.ts'
import type { Config, OptionName } from './schema.ts'
import { count } from './units.ts'

/** Longest key of a record in the store, less the separator between client identifier and filter. */
export const SESSION_KEY_BYTES_MAX = 1_899

const RULES: readonly Contradiction[] = [
  ...AUTH_CONTRADICTIONS,
  ...ACCESS_CONTRADICTIONS,
  ...NET_CONTRADICTIONS,
  {
    options: ['metricsPort', 'mqttPort', 'httpPort'],
    broken: ({ metricsPort, mqttPort, httpPort }) => metricsPort !== false && metricsPort !== 0 &&
      (metricsPort === mqttPort || metricsPort === httpPort)
      ? `metrics need a port of their own, and ${metricsPort} is another's; choose two`
      : undefined
  },
  {
    options: ['mqttPath', 'socketioPath'],
    broken: ({ mqttPath, socketioPath }) => `${mqttPath}/`.startsWith(`${socketioPath}/`)
      ? `${mqttPath} is below ${socketioPath}, which belongs to Socket.IO; choose two`
      : undefined
  },
  {
    options: ['socketioPath'],
    broken: ({ socketioPath }) => ['/healthz', '/readyz', '/metrics', '/admin'].includes(socketioPath)
      ? `${socketioPath} is for whoever looks after the server; choose another`
      : undefined
  },
  {
    options: ['connectPacketBytesMax', 'packetBytesMax'],
    broken: (config) => config.connectPacketBytesMax > config.packetBytesMax
      ? `before CONNECT is accepted ${count(config.connectPacketBytesMax)} bytes would be let in, and after it only ` +
        `${count(config.packetBytesMax)}; the first must not be larger`
      : undefined
  },
  {
    options: ['clientIdBytesMax', 'topicBytesMax'],
    broken: (config) => config.clientIdBytesMax + config.topicBytesMax > SESSION_KEY_BYTES_MAX
      ? `the two together must be at most ${count(SESSION_KEY_BYTES_MAX)}, as a subscription is stored under both`
      : undefined
  },
  {
    options: ['eio3PingIntervalMs', 'ackTimeoutMs'],
    broken: ({ eio3Proof, eio3PingIntervalMs, ackTimeoutMs }) => eio3Proof === 'heartbeat' &&
      2 * eio3PingIntervalMs >= ackTimeoutMs
      ? `a proof takes up to two ping intervals; without one a client is cut off after ${count(ackTimeoutMs)} ms; ` +
        'the second must be more than twice the first'
      : undefined
  },
  {
    options: ['rules', 'rulesModule'],
    broken: ({ rules, rulesModule }) => rulesModule !== '' && Object.keys(rules).length > 0
      ? 'only one of them can hold the rules of the bridge; move those of the first into the module'
      : undefined
  },
  {
    options: ['keepForUsersMs'],
    broken: ({ keepForUsersMs }, { authenticated }) => keepForUsersMs > 0 && !authenticated
      ? 'messages wait for people, and without authentication nobody knows who that is; set up authentication, or ' +
        'leave it out'
      : undefined
  },
  {
    // without authentication everybody who reaches the port could read and write everything
    options: ['host', 'allowAnonymous'],
    broken: ({ host, allowAnonymous, ...config }, { authenticated }) => !isLoopback(host) && !allowAnonymous &&
      !authenticated && !authenticates(config)
      ? `${host} can be reached from other machines, and there is no authentication: everybody there could read and ` +
        'write everything. Listen on 127.0.0.1, say who may come in (usersFile, jwtKeyFile, jwksUrl, authUrl, ' +
        'certificatePrincipal), or set --allow-anonymous (allowAnonymous) if that is meant'
      : undefined
  }
]

/** @param skip options whose value is wrong in itself, which is reported already */
export function contradictions (
  config: Config,
  from: Readonly<Record<OptionName, Source>>,
  circumstances: Circumstances,
  skip: ReadonlySet<OptionName>
): Problem[] {
  const problems: Problem[] = []
  for (const rule of RULES) {
    if (rule.options.some((name) => skip.has(name))) continue
    const says = rule.broken(config, circumstances)
    if (says === undefined) continue
    const set = rule.options.filter((name) => from[name].kind !== 'default')
    problems.push({
      option: set[0] ?? rule.options[0],
      where: set.map((name) => where(from[name])).join(' and ') || rule.options.join(' and '),
      says
    })
  }
  return problems
}
