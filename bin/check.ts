/**
 * `holdfast check`: validates a configuration and says what it means. Opens no port and writes nothing; a module of
 * rules is loaded, and its functions are tried.
 */
import { accessSync, constants, existsSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { type CommandLine, type Resolved, loadConfig } from '../config/load.ts'
import { authenticates } from '../config/auth-contradictions.ts'
import { isLoopback } from '../config/loopback.ts'
import { where } from '../config/problem.ts'
import { arePlainPortsOpen } from '../config/net-contradictions.ts'
import { GROUPS, OPTIONS, OPTION_NAMES } from '../config/schema.ts'
import { human } from '../config/units.ts'
import { type RuleExample, ruleExamples } from './rule-examples.ts'
import type { Address } from '../server/listen.ts'
import { rulesOf } from '../server/rules.ts'
import { type Places, elsewhere, survives, urls } from './words.ts'

/**
 * What to print on standard output: sentences, or with the switch `json` the resolved configuration.
 * @throws ConfigError
 */
export async function check (line: CommandLine): Promise<string> {
  const resolved = loadConfig({ ...line, switches: ['json'] })
  const { config, from } = resolved
  const examples = ruleExamples(await rulesOf(config))
  if (resolved.switches.has('json')) return JSON.stringify({ config, from, ruleExamples: examples }, null, 2) + '\n'
  return [
    'The configuration is valid. Nothing was started.',
    '',
    'Addresses' + elsewhere(config) + systemPicks(resolved),
    ...table(urls(placesOf(resolved), config)),
    '',
    'Access',
    `  ${access(resolved)}`,
    `  Pages in browsers may connect from these origins: ${human('none', config.allowedOrigins)}.`,
    '',
    'Data',
    `  ${dataFolder(config.data)}`,
    ...survives(config).map((line) => '  ' + line),
    '',
    'Bounds and times',
    ...table(OPTION_NAMES.filter(isBound).map((name) => [name, human(OPTIONS[name].unit, config[name])])),
    '',
    ...rules(examples, config),
    'Set, other than the default',
    ...differences(resolved),
    ''
  ].join('\n')
}

function placesOf ({ config }: Resolved): Places {
  const { host, mqttPort, httpPort, mqttsPort, httpsPort } = config
  return {
    ...arePlainPortsOpen(config) && { mqtt: { host, port: mqttPort }, http: { host, port: httpPort } },
    ...config.tlsCert !== '' && { mqtts: { host, port: mqttsPort }, https: { host, port: httpsPort } }
  }
}

function systemPicks (resolved: Resolved): string {
  const hasAny = Object.values(placesOf(resolved)).some((place: Address) => place.port === 0)
  return hasAny ? ' (for port 0 the system picks one)' : ''
}

function access ({ config }: Resolved): string {
  const { host } = config
  if (authenticates(config)) {
    const ways = [
      ...config.certificatePrincipal === 'off' ? [] : ['certificates (certificatePrincipal)'],
      ...config.jwtKeyFile === '' ? [] : ['tokens (jwtKeyFile)'], ...config.jwksUrl === '' ? [] : ['tokens (jwksUrl)'],
      ...config.usersFile === '' ? [] : ['users (usersFile)'],
      ...config.authUrl === '' ? [] : ['the application (authUrl)']
    ]
    const others = config.allowAnonymous ? 'Who shows nothing comes in as anonymous.' : 'Nobody else comes in.'
    return `Who comes in is asked in this order: ${ways.join(', ')}. ${others}`
  }
  const who = isLoopback(host) ? 'every program on this machine' : 'everybody who reaches these addresses'
  return `There is no authentication: ${who} can read and write everything.`
}

/** Whether the folder can be used, as far as looking can tell. */
function dataFolder (data: string): string {
  const folder = resolve(data)
  const there = existsSync(folder)
  try {
    accessSync(there ? folder : existingFolder(folder), constants.W_OK)
  } catch {
    return `${folder}: this user can't write it; the server would not start.`
  }
  return there ? `${folder}` : `${folder}: not there yet; the server makes it.`
}

function existingFolder (folder: string): string {
  return existsSync(folder) || dirname(folder) === folder ? folder : existingFolder(dirname(folder))
}

function rules (examples: readonly RuleExample[], { rulesModule }: Resolved['config']): string[] {
  if (examples.length === 0) return []
  return [
    `Rules${rulesModule === '' ? '' : ` of ${resolve(rulesModule)}`}, each with its example, or one that is made up`,
    ...examples.flatMap(({ rule, given, becomes, note }) => [
      `  ${rule}`, `    ${given}`, `    -> ${becomes}`, ...(note === undefined ? [] : [`    note: ${note}`])
    ]),
    ''
  ]
}

function isBound (name: keyof typeof OPTIONS): boolean {
  return ['bytes', 'ms', 'count'].includes(OPTIONS[name].unit)
}

function differences ({ config, from }: Resolved): string[] {
  const set = OPTION_NAMES.filter((name) => from[name].kind !== 'default' &&
    JSON.stringify(config[name]) !== JSON.stringify(OPTIONS[name].default))
  if (set.length === 0) return ['  nothing']
  return table(set.map((name) =>
    [name, `${human(OPTIONS[name].unit, config[name])}  (${where(from[name])}; ${GROUPS[OPTIONS[name].group]})`]))
}

function table (rows: ReadonlyArray<readonly [string, string]>): string[] {
  const width = Math.max(...rows.map(([name]) => name.length))
  return rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`)
}
