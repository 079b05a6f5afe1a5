/** The rules of the bridge: from the configuration, or from the module that it names. */
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { readRules } from '../config/bridge-rules.ts'
import { ConfigError, type Problem } from '../config/problem.ts'
import type { RuleSet } from '../config/rule.ts'
import type { Config } from '../config/schema.ts'
import { shown } from '../config/shown.ts'

/** Loads the module, which runs it. @throws ConfigError */
export async function rulesOf (config: Pick<Config, 'rules' | 'rulesModule'>): Promise<RuleSet> {
  const { rules: given, rulesModule: file } = config
  const value = file === '' ? given : await load(file)
  const { rules, problems } = readRules(value)
  if (problems.length > 0) {
    throw new ConfigError(problems.map(({ at, says }) => problem(`${file === '' ? '' : `${file}: `}rules${at}`, says)))
  }
  return rules
}

async function load (file: string): Promise<unknown> {
  let module: { readonly default?: unknown }
  try {
    module = await import(pathToFileURL(resolve(file)).href) as { readonly default?: unknown }
  } catch (error) {
    const says = error instanceof Error ? error.message : shown(error)
    throw new ConfigError([problem('rulesModule', `${file} can't be loaded (${says.replace(/\s*\n\s*/g, ' ')})`)])
  }
  if (module.default !== undefined) return module.default
  throw new ConfigError([problem('rulesModule', `${file} has no default export; write export default { emit: [...] }`)])
}

function problem (where: string, says: string): Problem {
  return { option: 'rulesModule', where, says }
}
