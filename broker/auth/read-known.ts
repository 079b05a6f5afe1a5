/** What a token or an answer says of somebody, read with care: it comes from outside, though from somebody trusted. */
import type { Json, JsonObject } from '../model/json.ts'
import type { Grants } from './identity.ts'

/** It is not what it should be; the message says what, and goes to the log alone. */
export class KnownError extends Error {}

const GROUPS_MAX = 256
const GROUP_CHARS_MAX = 128
const FILTERS_MAX = 1_000
const LISTS = ['publish', 'subscribe', 'read'] as const

export function isObject (value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Never what every object has, as `constructor`. */
export function own (object: JsonObject, name: string): Json | undefined {
  return Object.hasOwn(object, name) ? object[name] : undefined
}

/** The name of a person or thing: a text, or a whole number as databases give. Undefined where there is none. */
export function readName (value: Json | undefined, what: string): string | undefined {
  if (value === undefined || value === null) return undefined
  if (typeof value === 'string' && value !== '') return value
  if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value)
  throw new KnownError(`${what} must be a text that is not empty`)
}

/** A list, or words with spaces between them as in OAuth's `scope`. */
export function readGroups (value: Json | undefined, what: string): readonly string[] {
  if (value === undefined || value === null) return []
  const groups = typeof value === 'string' ? value.split(' ').filter((word) => word !== '') : value
  if (!isTexts(groups) || groups.some((group) => group === '' || group.length > GROUP_CHARS_MAX)) {
    throw new KnownError(`${what} must be a list of texts of at most ${GROUP_CHARS_MAX} characters`)
  }
  if (groups.length > GROUPS_MAX) throw new KnownError(`${what} has more than ${GROUPS_MAX} entries`)
  return groups
}

/** `{ "publish": [...], "subscribe": [...], "read": [...] }`; one that is misspelled must not widen what is allowed. */
export function readGrants (value: Json | undefined, what: string): Grants | undefined {
  if (value === undefined || value === null) return undefined
  const isKnown = (name: string): boolean => LISTS.some((list) => list === name)
  if (!isObject(value) || !Object.keys(value).every(isKnown)) {
    throw new KnownError(`${what} must be an object of lists: ${LISTS.join(', ')}`)
  }
  return Object.fromEntries(LISTS.flatMap((name) => {
    const list = own(value, name)
    if (list === undefined) return []
    if (!isTexts(list) || list.length > FILTERS_MAX) {
      throw new KnownError(`${what}.${name} must be a list of at most ${FILTERS_MAX} topic filters`)
    }
    return [[name, list] as const]
  }))
}

function isTexts (value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((entry) => typeof entry === 'string')
}
