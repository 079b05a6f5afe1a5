/** Reads each source of options by itself: what it sets, and what in it is no option at all. */
import { parseArgs } from 'node:util'
import { didYouMean } from './suggest.ts'
import { VARIABLE_PREFIX, flagOf, variableOf } from './option.ts'
import { type Problem, type Source, where } from './problem.ts'
import { OPTION_NAMES, type OptionName, allowedOf, isOptionName, kindOf } from './schema.ts'
import { shown } from './shown.ts'

export interface Found {
  readonly name: OptionName
  readonly value: unknown
  readonly source: Source
}

export interface Reading {
  readonly found: readonly Found[]
  readonly problems: readonly Problem[]
}

/** Objects are no text: they stand in a file, or come from a program. */
const TEXT_NAMES = OPTION_NAMES.filter((name) => kindOf(name) !== 'object')
const FLAGS = new Map(TEXT_NAMES.map((name) => [flagOf(name).slice(2), name]))
const VARIABLES = new Map(TEXT_NAMES.map((name) => [variableOf(name), name]))
const NEGATION = 'no-'
const BOOLEANS = new Map([['true', true], ['1', true], ['false', false], ['0', false]])

/** @param args what follows the command's name @param switches flags without a value that are no options, as `json` */
export function readFlags (args: readonly string[], switches: readonly string[] = []):
  Reading & { readonly switches: ReadonlySet<string> } {
  const found = new Map<OptionName, Found>()
  const problems: Problem[] = []
  const on = new Set<string>()
  const known = [...FLAGS.keys(), ...switches].map((name) => '--' + name)
  const { tokens } = parseArgs({
    args: [...args],
    options: Object.fromEntries([...FLAGS].map(([flag, name]) =>
      [flag, { type: kindOf(name) === 'boolean' ? 'boolean' as const : 'string' as const }])),
    strict: false, // strict stops at the first problem; all of them are wanted
    allowPositionals: true,
    tokens: true
  })
  let unknownAt = -2
  for (const token of tokens) {
    if (token.kind === 'option-terminator') continue
    if (token.kind === 'positional') {
      // the word after an unknown flag is its value
      if (token.index !== unknownAt + 1) {
        problems.push({ option: undefined, where: shown(token.value), says: 'options are written --name value' })
      }
      continue
    }
    const negated = token.name.startsWith(NEGATION) && !FLAGS.has(token.name)
    const name = FLAGS.get(negated ? token.name.slice(NEGATION.length) : token.name)
    if (switches.includes(token.name)) {
      on.add(token.name)
    } else if (name === undefined || (negated && kindOf(name) !== 'boolean')) {
      problems.push(unknown(token.rawName, 'option', known))
      if (token.inlineValue === undefined) unknownAt = token.index
    } else {
      const source: Source = { kind: 'flag', name: token.rawName }
      const word = kindOf(name) === 'boolean' && token.value === undefined ? !negated : token.value
      const value = word === undefined ? undefined : fromText(name, word)
      const before = found.get(name)
      if (value === undefined || (word === '' && !token.inlineValue) || (!token.inlineValue && isFlag(word))) {
        const next = isFlag(word) ? ` (write ${token.rawName}=${value} if that is the value)` : ''
        problems.push({ option: name, where: token.rawName, says: `needs a value, ${allowedOf(name)}${next}` })
      } else if (before !== undefined && String(before.value) !== String(value)) {
        problems.push({
          option: name, where: token.rawName, says: `is given twice, as ${shown(before.value)} and as ${shown(value)}`
        })
      } else {
        found.set(name, { name, value, source })
      }
    }
  }
  return { found: [...found.values()], problems, switches: on }
}

/** What Kubernetes sets in each container for a service, behind its name: `holdfast`, `holdfast-mqtt`. */
const SERVICE_HOST = '_SERVICE_HOST'
const OF_SERVICE = /^_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$/
const SERVICE_ADDRESS = /^(tcp|udp|sctp):\/\//

/** Variables that begin with HOLDFAST_. An empty one counts as not set, as container tools pass what is unset. */
export function readEnvironment (env: Readonly<Record<string, string | undefined>>): Reading {
  const found: Found[] = []
  const problems: Problem[] = []
  const services = Object.keys(env).filter((name) => name.endsWith(SERVICE_HOST))
    .map((name) => name.slice(0, -SERVICE_HOST.length))
  for (const [variable, value] of Object.entries(env)) {
    if (!variable.startsWith(VARIABLE_PREFIX) || value === undefined || value === '') continue
    if (isOfService(variable, value, services)) continue
    const name = VARIABLES.get(variable)
    if (name === undefined) problems.push(unknown(variable, 'variable', [...VARIABLES.keys()]))
    else found.push({ name, value: fromText(name, value), source: { kind: 'variable', name: variable } })
  }
  return { found, problems }
}

/** `HOLDFAST_MQTT_PORT` is also what a service called holdfast-mqtt has: then its value tells. */
function isOfService (variable: string, value: string, services: readonly string[]): boolean {
  if (VARIABLES.has(variable) && !SERVICE_ADDRESS.test(value)) return false
  return services.some((name) => variable.startsWith(name) && OF_SERVICE.test(variable.slice(name.length)))
}

/** @param content what the file holds: one JSON object, its keys the names of options */
export function readFile (file: string, content: string): Reading {
  let json: unknown
  try {
    json = JSON.parse(content)
  } catch (error) {
    const says = `is not JSON: ${shown((error as Error).message)}`
    return { found: [], problems: [{ option: 'config', where: file, says }] }
  }
  if (!isObject(json)) {
    const says = 'must hold one JSON object, like {"mqttPort": 1883}'
    return { found: [], problems: [{ option: 'config', where: file, says }] }
  }
  return withoutConfig(readObject(json, (key) => ({ kind: 'file', file, key })), 'a file can\'t name another file')
}

/** What a program hands over; `undefined` counts as not set. */
export function readProgram (options: object): Reading {
  return withoutConfig(readObject(options, (name) => ({ kind: 'program', name })),
    'a program reads its configuration by itself and sets the options')
}

/** A configuration file can be named on the command line and in the environment only. */
function withoutConfig ({ found, problems }: Reading, says: string): Reading {
  const named = found.find(({ name }) => name === 'config')
  if (named === undefined) return { found, problems }
  return {
    found: found.filter((one) => one !== named),
    problems: [...problems, { option: 'config', where: where(named.source), says }]
  }
}

function readObject (object: object, sourceOf: (key: string) => Source): Reading {
  const found: Found[] = []
  const problems: Problem[] = []
  for (const [key, value] of Object.entries(object)) {
    if (value === undefined) continue
    const source = sourceOf(key)
    if (isOptionName(key)) found.push({ name: key, value, source })
    else problems.push(isObject(value) ? nested(key, value, source) : unknownKey(key, source))
  }
  return { found, problems }
}

function unknownKey (key: string, source: Source): Problem {
  return { option: undefined, where: where(source), says: `there is no such option${didYouMean(key, OPTION_NAMES)}` }
}

function nested (key: string, value: object, source: Source): Problem {
  const inner = Object.keys(value).find(isOptionName)
  if (inner === undefined) return unknownKey(key, source)
  const says = `there is no such option; put ${inner} at the top, not inside it`
  return { option: inner, where: where(source), says }
}

function unknown (name: string, what: string, known: readonly string[]): Problem {
  const object = OPTION_NAMES.find((option) => [flagOf(option), variableOf(option)].includes(name))
  if (object !== undefined) {
    return { option: object, where: name, says: `${object} can be set in a file (--config) only, or by a program` }
  }
  const hint = didYouMean(name, known) || '; "holdfast help options" lists them'
  return { option: undefined, where: name, says: `there is no such ${what}${hint}` }
}

/** Text from a command line or a variable as the option's type, or as it is where it can't be that. */
function fromText (name: OptionName, value: string | boolean): unknown {
  if (typeof value === 'boolean') return value
  switch (kindOf(name)) {
    case 'number': return /^-?\d{1,16}$/.test(value) ? Number(value) : value === 'false' ? false : value
    case 'boolean': return BOOLEANS.get(value) ?? value
    case 'list': return value === '' ? [] : value.split(',').map((entry) => entry.trim())
    default: return value
  }
}

function isFlag (value: unknown): boolean {
  return typeof value === 'string' && value.startsWith('--')
}

function isObject (value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
