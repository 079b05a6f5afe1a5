/** The one schema: every option of the server, its type, default and sentence. */
import { z } from 'zod'
import { ACCESS_OPTIONS } from './access-options.ts'
import { AUTH_OPTIONS } from './auth-options.ts'
import { EDGE_LIMITS } from './edge-limits.ts'
import { EXPIRY_OPTIONS } from './expiry-options.ts'
import { LIMIT_OPTIONS } from './limit-options.ts'
import { OPERATION_OPTIONS } from './operation-options.ts'
import { LIST_ENTRIES_MAX, PORT_MAX, type InnerProblem, type Option, type OptionGroup } from './option.ts'
import { SERVER_OPTIONS } from './server-options.ts'
import { TLS_OPTIONS } from './tls-options.ts'
import { count } from './units.ts'

export const OPTIONS = {
  ...SERVER_OPTIONS, ...TLS_OPTIONS, ...ACCESS_OPTIONS, ...AUTH_OPTIONS, ...OPERATION_OPTIONS, ...LIMIT_OPTIONS,
  ...EDGE_LIMITS, ...EXPIRY_OPTIONS
} as const

export type OptionName = keyof typeof OPTIONS
export type Config = { readonly [Name in OptionName]: z.output<typeof OPTIONS[Name]['type']> }

export const OPTION_NAMES = Object.keys(OPTIONS) as readonly OptionName[]

export const GROUPS: Readonly<Record<OptionGroup, string>> = {
  server: 'Server',
  tls: 'TLS and proxies',
  access: 'Access',
  auth: 'Who is it',
  sessions: 'Sessions',
  incoming: 'What may come in',
  slow: 'Slow connections',
  socketio: 'Socket.IO',
  log: 'Log',
  operation: 'Operation'
}

/** Safe for names from outside: `__proto__` and the like are no options. */
export function isOptionName (name: string): name is OptionName {
  return Object.hasOwn(OPTIONS, name)
}

export function optionOf (name: OptionName): Option {
  return OPTIONS[name]
}

export type Kind = 'number' | 'boolean' | 'choice' | 'list' | 'text' | 'object'

export function kindOf (name: OptionName): Kind {
  const { type } = OPTIONS[name]
  if (type instanceof z.ZodNumber || type instanceof z.ZodUnion) return 'number'
  if (type instanceof z.ZodBoolean) return 'boolean'
  if (type instanceof z.ZodEnum) return 'choice'
  if (type instanceof z.ZodCustom) return 'object'
  return type instanceof z.ZodReadonly ? 'list' : 'text'
}

/** The end of the sentence "must be ...". */
export function allowedOf (name: OptionName): string {
  const { type, unit, allowed } = optionOf(name)
  if (type instanceof z.ZodNumber) {
    const range = `a whole number from ${count(type.minValue!)} to ${count(type.maxValue!)}`
    const word = unit === 'ms' ? 'milliseconds' : unit
    return unit === 'none' || unit === 'count' ? range : `${range} (${word})`
  }
  if (type instanceof z.ZodUnion) return `false, or a whole number from 0 to ${count(PORT_MAX)}`
  if (type instanceof z.ZodBoolean) return 'true or false'
  if (type instanceof z.ZodEnum) return `one of ${type.options.join(', ')}`
  if (type instanceof z.ZodReadonly) return `a list of at most ${count(LIST_ENTRIES_MAX)}, each ${allowed}`
  return allowed ?? 'text'
}

/** What is wrong inside an object that is not accepted; undefined for an option that is none. */
export function wrongInside (name: OptionName, value: unknown): readonly InnerProblem[] | undefined {
  return optionOf(name).wrongInside?.(value)
}

/** What of a value that is not accepted is wrong: of a list the first wrong entry; and what would be allowed there. */
export function wrongIn (name: OptionName, value: unknown): { readonly value: unknown, readonly allowed: string } {
  const { allowed } = optionOf(name)
  const at = kindOf(name) === 'list' && Array.isArray(value) ? value.findIndex((entry) => !accept(name, [entry])) : -1
  return at >= 0 ? { value: (value as unknown[])[at], allowed: allowed! } : { value, allowed: allowedOf(name) }
}

/** The value as the option's type, or undefined where it is none of its values. */
export function accept (name: OptionName, value: unknown): { readonly value: Config[OptionName] } | undefined {
  const result = optionOf(name).type.safeParse(value)
  return result.success ? { value: result.data as Config[OptionName] } : undefined
}

export function defaults (): Config {
  return Object.fromEntries(OPTION_NAMES.map((name) => [name, OPTIONS[name].default])) as unknown as Config
}
