/** `holdfast sessions add`: makes a session for a client that has not come yet, by the server that runs, or alone. */
import { createServer } from 'node:http'
import { resolve } from 'node:path'
import { HoldfastError, type SessionInfo } from '../broker/index.ts'
import { type CommandLine, loadConfig } from '../config/load.ts'
import { duration } from '../config/units.ts'
import { type NewSession, createHoldfast, createLog } from '../server/index.ts'
import { ask, NoServerError } from './control.ts'
import { FailedError, UsageError } from './usage.ts'

/** As they stand on the command line; each may be given once but filter. */
const FLAGS = ['client', 'namespace', 'principal', 'filter'] as const

/**
 * Resolves to what to print on standard output, when the session is on disk. No port is opened meanwhile.
 * @throws ConfigError, UsageError, FailedError where a server runs on the folder, HoldfastError
 */
export async function addSession (line: CommandLine): Promise<string> {
  const { session, args } = readAsked(line.args)
  const { config: { config: _file, httpPort: _port, ...config }, from } = loadConfig({ ...line, args })
  const folder = resolve(config.data)
  try {
    const { created } = await ask(folder, 'POST', '/sessions', session) as { created: boolean }
    if (!created) return nothingDone(session, folder)
    return `${folder}: made the session of ${JSON.stringify(session.clientId)}; from now on messages wait for it.\n`
  } catch (error) {
    if (!(error instanceof NoServerError)) throw error
  }
  const logLevel = from.logLevel.kind === 'default' ? 'warn' : config.logLevel
  const holdfast = await createHoldfast({
    ...config,
    http: createServer(), // which never listens
    mqttPort: false,
    mqttWebsocket: false,
    metricsPort: false,
    adminTokenFile: '',
    logger: createLog({ ...config, logLevel })
  }).catch((error: unknown) => { throw explained(error) })
  try {
    let createdId: string | undefined
    holdfast.events.on('session-created', ({ clientId }) => { createdId = clientId }) // as the bridge names it
    const isNew = await holdfast.createSession(session)
    const found = [...holdfast.sessions()].find(({ clientId }) => isNew && clientId === createdId)
    return found === undefined ? nothingDone(session, resolve(config.data)) : said(found, resolve(config.data))
  } finally {
    await holdfast.close()
  }
}

function readAsked (args: readonly string[]): { readonly session: NewSession, readonly args: readonly string[] } {
  const rest: string[] = []
  const given: { [Flag in typeof FLAGS[number]]: string[] } = { client: [], namespace: [], principal: [], filter: [] }
  for (let i = 0; i < args.length; i++) {
    const [, name, joined] = /^--([a-z]+)(?:=(.*))?$/s.exec(args[i]) ?? []
    const flag = FLAGS.find((one) => one === name)
    if (flag === undefined) {
      rest.push(args[i])
      continue
    }
    const value = joined ?? args[++i]
    if (value === undefined || value === '') throw new UsageError(`sessions add: --${flag} needs a value`)
    if (flag !== 'filter' && given[flag].length > 0) throw new UsageError(`sessions add: --${flag} is given twice`)
    given[flag].push(value)
  }
  const { client: [clientId], namespace: [namespace], principal: [principal], filter: filters } = given
  if (clientId === undefined) throw new UsageError('sessions add: --client names the client, as it will by itself')
  if (namespace === undefined && filters.length === 0) {
    throw new UsageError('sessions add: --filter says what is to wait for a client of MQTT; for one of Socket.IO ' +
      'give --namespace')
  }
  if (namespace !== undefined && !namespace.startsWith('/')) {
    throw new UsageError(`sessions add: --namespace begins with a slash, as in /${namespace}`)
  }
  return {
    args: rest,
    session: {
      clientId, filters, ...namespace !== undefined && { namespace }, ...principal !== undefined && { principal }
    }
  }
}

/** The folder is one server's at a time, so that no receipt is ever of two minds. */
function explained (error: unknown): unknown {
  if (!(error instanceof HoldfastError) || error.code !== 'DATA_LOCKED') return error
  return new FailedError('a server runs on this folder, and it alone can make a session there: have its program call ' +
    `createSession(), or stop it, run this again, and start it (${error.message})`)
}

function said ({ clientId, principal, filters, expiryMs }: SessionInfo, folder: string): string {
  return [
    `${folder}: made the session ${JSON.stringify(clientId)}, for ${JSON.stringify(principal)} alone.`,
    `It is kept for ${duration(expiryMs)} until its client comes. From now on these messages wait for it:`,
    ...filters.map(({ filter, qos }) => `  ${JSON.stringify(filter)}, QoS ${qos}`),
    ''
  ].join('\n')
}

function nothingDone ({ clientId, namespace }: NewSession, folder: string): string {
  const where = namespace === undefined ? '' : ` in the namespace ${JSON.stringify(namespace)}`
  return `${folder}: ${JSON.stringify(clientId)} has a session${where} already; nothing was changed.\n`
}
