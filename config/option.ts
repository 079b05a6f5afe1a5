/** What an option is, and the few shapes that options come in. The lists are server-options.ts and limit-options.ts. */
import { z } from 'zod'

/** What a number counts. The unit also ends the option's name, but for ports. */
export type Unit = 'none' | 'bytes' | 'ms' | 'count' | 'percent'

export type OptionGroup = 'server' | 'tls' | 'access' | 'auth' | 'sessions' | 'incoming' | 'slow' | 'socketio' | 'log' |
  'operation'

export interface Option<T extends z.ZodType = z.ZodType> {
  readonly type: T
  readonly default: z.output<T>
  readonly unit: Unit
  readonly group: OptionGroup
  /** One or two sentences: what it is or bounds, and what happens at the bound [G6]. */
  readonly says: string
  /** For a text, for each entry of a list, and for an object: the end of the sentence "must be ...". */
  readonly allowed?: string
  /** For an object: everything that is wrong inside it. */
  readonly wrongInside?: (value: unknown) => readonly InnerProblem[]
}

export interface InnerProblem {
  /** Behind the name of the option: `.emit[2].topic`; '' for the whole. */
  readonly at: string
  /** The end of a line: what is wrong and what is allowed. */
  readonly says: string
}

/** Timers of Node.js hold no more (about 24.8 days). */
export const TIMER_MS_MAX = 2_147_483_647
/** Ten years: longer than anything here is kept, short enough to be added to a date. */
export const AGE_MS_MAX = 315_360_000_000
/** 1 PiB, well inside what a JavaScript number counts exactly. */
export const STORED_BYTES_MAX = 1_125_899_906_842_624

export const PORT_MAX = 65_535
export const LIST_ENTRIES_MAX = 1_000

interface Range { readonly min: number, readonly max: number }

function integer (unit: Unit, group: OptionGroup, range: Range, fallback: number, says: string): Option<z.ZodInt> {
  return { type: z.int().min(range.min).max(range.max), default: fallback, unit, group, says }
}

export function port (group: OptionGroup, fallback: number, says: string): Option<z.ZodInt> {
  return integer('none', group, { min: 0, max: PORT_MAX }, fallback, says)
}

/** A port that need not be: false, which is the default, or a port as above. */
export function optionalPort (group: OptionGroup, says: string): Option<z.ZodUnion<[z.ZodLiteral<false>, z.ZodInt]>> {
  return { type: z.union([z.literal(false), z.int().min(0).max(PORT_MAX)]), default: false, unit: 'none', group, says }
}

export function bytes (group: OptionGroup, range: Range, fallback: number, says: string): Option<z.ZodInt> {
  return integer('bytes', group, range, fallback, says)
}

/** Milliseconds. */
export function ms (group: OptionGroup, range: Range, fallback: number, says: string): Option<z.ZodInt> {
  return integer('ms', group, range, fallback, says)
}

export function count (group: OptionGroup, range: Range, fallback: number, says: string): Option<z.ZodInt> {
  return integer('count', group, range, fallback, says)
}

export function percent (group: OptionGroup, range: Range, fallback: number, says: string): Option<z.ZodInt> {
  return integer('percent', group, range, fallback, says)
}

export function choice<const T extends readonly string[]> (
  group: OptionGroup, values: T, fallback: T[number], says: string
): Option<z.ZodType<T[number]>> {
  return { type: z.enum(values) as unknown as z.ZodType<T[number]>, default: fallback, unit: 'none', group, says }
}

export function flag (group: OptionGroup, fallback: boolean, says: string): Option<z.ZodBoolean> {
  return { type: z.boolean(), default: fallback, unit: 'none', group, says }
}

export function text (
  group: OptionGroup, pattern: RegExp, allowed: string, fallback: string, says: string
): Option<z.ZodString> {
  return { type: z.string().regex(pattern), default: fallback, unit: 'none', group, says, allowed }
}

/** Separated by commas in a flag or a variable, an array elsewhere; frozen. */
export function list (
  group: OptionGroup, pattern: RegExp, allowed: string, fallback: readonly string[], says: string
): Option<z.ZodReadonly<z.ZodArray<z.ZodString>>> {
  const type = z.array(z.string().regex(pattern)).max(LIST_ENTRIES_MAX).readonly()
  return { type, default: Object.freeze([...fallback]), unit: 'none', group, says, allowed }
}

/** An object: in a file, and in the options of a program. */
export function structure<T extends object> (
  group: OptionGroup, wrongInside: (value: unknown) => readonly InnerProblem[], allowed: string, fallback: T,
  says: string
): Option<z.ZodCustom<T>> {
  const type = z.custom<T>(value => wrongInside(value).length === 0)
  return { type, default: Object.freeze(fallback), unit: 'none', group, says, allowed, wrongInside }
}

/** `mqttPort` is `--mqtt-port` on the command line. */
export function flagOf (name: string): string {
  return '--' + name.replace(/[A-Z]/g, (letter) => '-' + letter.toLowerCase())
}

/** `mqttPort` is `HOLDFAST_MQTT_PORT` in the environment. */
export function variableOf (name: string): string {
  return VARIABLE_PREFIX + name.replace(/[A-Z]/g, (letter) => '_' + letter).toUpperCase()
}

export const VARIABLE_PREFIX = 'HOLDFAST_'
