/** Brings the sources together: flags before environment before file before defaults. */
import { ConfigError, type Problem, type Source, where } from './problem.ts'
import type { Circumstances } from './contradiction.ts'
import { contradictions } from './rules.ts'
import { type Config, OPTION_NAMES, type OptionName, accept, defaults, wrongIn, wrongInside } from './schema.ts'
import { shown } from './shown.ts'
import { type Found, type Reading, readEnvironment, readFile, readFlags, readProgram } from './sources.ts'

export interface Resolved {
  /** Frozen. */
  readonly config: Config
  /** Where each value comes from. Frozen. */
  readonly from: Readonly<Record<OptionName, Source>>
}

export interface CommandLine {
  /** What follows the command's name. */
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  /** Flags without a value that are no options, as `json`. */
  readonly switches?: readonly string[]
  /** The content of a file; throws as node:fs does. */
  readonly read: (file: string) => string
}

/** @throws ConfigError with every problem of every source */
export function loadConfig (from: CommandLine): Resolved & { readonly switches: ReadonlySet<string> } {
  const flags = readFlags(from.args, from.switches)
  const environment = readEnvironment(from.env)
  const named = flags.found.find(isConfigFile) ?? environment.found.find(isConfigFile)
  const file = named === undefined ? EMPTY : readConfigFile(named, from.read)
  return { ...combine([file, environment, flags], { authenticated: false }), switches: flags.switches }
}

/**
 * The same for a program that sets options by name; environment and files are left to the program.
 * @throws ConfigError with every problem
 */
export function programConfig (options: object, circumstances: Circumstances): Resolved {
  return combine([readProgram(options)], circumstances)
}

const EMPTY: Reading = { found: [], problems: [] }
const DEFAULT: Source = Object.freeze({ kind: 'default' })

/** @param readings the later goes before the earlier */
function combine (readings: readonly Reading[], circumstances: Circumstances): Resolved {
  const problems: Problem[] = readings.flatMap((reading) => reading.problems)
  const rejected = new Set<OptionName>()
  const values: { [Name in OptionName]?: unknown } = { ...defaults() }
  const from = Object.fromEntries(OPTION_NAMES.map((name) => [name, DEFAULT])) as Record<OptionName, Source>
  for (const { name, value, source } of readings.flatMap((reading) => reading.found)) {
    const accepted = accept(name, value)
    if (accepted === undefined) {
      // a wrong value is reported even where a better source overrides it: somebody wrote it and expects it to count
      problems.push(...problemsOf(name, value, source))
      rejected.add(name)
    } else {
      values[name] = accepted.value
      from[name] = Object.freeze(source)
    }
  }
  const config = Object.freeze(values) as Config
  problems.push(...contradictions(config, from, circumstances, rejected))
  if (problems.length > 0) throw new ConfigError(problems)
  return { config, from: Object.freeze(from) }
}

function problemsOf (name: OptionName, value: unknown, source: Source): Problem[] {
  const inside = wrongInside(name, value)
  if (inside !== undefined) {
    return inside.map(({ at, says }) => ({ option: name, where: where(source) + at, says }))
  }
  const wrong = wrongIn(name, value)
  return [{ option: name, where: where(source), says: `${shown(wrong.value)} must be ${wrong.allowed}` }]
}

function isConfigFile ({ name, value }: Found): boolean {
  return name === 'config' && typeof value === 'string' && value !== ''
}

function readConfigFile ({ value, source }: Found, read: (file: string) => string): Reading {
  const file = value as string
  try {
    return readFile(file, read(file))
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const says = `the file ${file} can't be read (${code === 'ENOENT' ? 'there is none' : code ?? 'unknown reason'})`
    return { found: [], problems: [{ option: 'config', where: where(source), says }] }
  }
}
