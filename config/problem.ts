/** Where a value comes from, and what can be wrong with it: one line for each problem, all of them at once. */
import type { OptionName } from './schema.ts'

export type Source =
  | { readonly kind: 'default' }
  /** `--mqtt-port` */
  | { readonly kind: 'flag', readonly name: string }
  /** `HOLDFAST_MQTT_PORT` */
  | { readonly kind: 'variable', readonly name: string }
  | { readonly kind: 'file', readonly file: string, readonly key: string }
  /** An option of createHoldfast(). */
  | { readonly kind: 'program', readonly name: string }

export interface Problem {
  /** The option at fault; undefined where there is no such option. */
  readonly option: OptionName | undefined
  /** The flag, variable, key of the file or option of the program that is wrong, as the user wrote it. */
  readonly where: string
  /** What was wrong and what is allowed; no line break in it. */
  readonly says: string
}

/** `--mqtt-port`, `HOLDFAST_MQTT_PORT`, `holdfast.json: mqttPort`, `default`. */
export function where (source: Source): string {
  switch (source.kind) {
    case 'default': return 'default'
    case 'file': return source.key === '' ? source.file : `${source.file}: ${source.key}`
    default: return source.name
  }
}

export function lineOf (problem: Problem): string {
  return `${problem.where}: ${problem.says}`
}

/** The configuration can't be used. The message has one line for each problem. */
export class ConfigError extends Error {
  readonly problems: readonly Problem[]

  constructor (problems: readonly Problem[]) {
    super(problems.map(lineOf).join('\n'))
    this.name = 'ConfigError'
    this.problems = problems
  }
}
