/** Filters with `{principal}` and `{clientId}`: a value that is filled in never means more than one level. */
import { encodeName } from '../../../protocol/index.ts'
import type { FilterTemplate, Hole } from './rule.ts'

export type Level = FilterTemplate[number]

/** A value for a hole as a level may hold it; undefined where none may. */
export interface HoleValue {
  /** In topics of Socket.IO, where every name can stand, as protocol/names.ts writes it. */
  readonly encoded: string | undefined
  readonly plain: string | undefined
}

export const NO_VALUE: HoleValue = { encoded: undefined, plain: undefined }

/** What would be another level, a wildcard or a topic of the server. */
const WIDENS = /[/+#\0]|^\$|^$/

export function holeValue (text: string): HoleValue {
  return { encoded: encodeName(text), plain: WIDENS.test(text) ? undefined : text }
}

/** Are names in this filter written as those of Socket.IO are? */
export function isEncoded (filter: FilterTemplate): boolean {
  return filter[0]?.length === 1 && filter[0][0] === 'io'
}

/** A level without a hole as its text, any other one undefined. */
export function fixedLevel (level: Level): string | undefined {
  if (level.length === 0) return ''
  return level.length === 1 && typeof level[0] === 'string' ? level[0] : undefined
}

/** The text of a level; undefined where a value can't stand in it, which then fits nothing. */
export function fillLevel (level: Level, encoded: boolean, valueOf: (hole: Hole) => HoleValue): string | undefined {
  let text = ''
  for (const part of level) {
    if (typeof part === 'string') text += part
    else {
      const value = valueOf(part)[encoded ? 'encoded' : 'plain']
      if (value === undefined) return undefined
      text += value
    }
  }
  return text
}

/** The levels of a filter, filled in; undefined where it fits nothing. */
export function fillFilter (filter: FilterTemplate, valueOf: (hole: Hole) => HoleValue): string[] | undefined {
  const encoded = isEncoded(filter)
  const levels: string[] = []
  for (const level of filter) {
    const text = fixedLevel(level) ?? fillLevel(level, encoded, valueOf)
    if (text === undefined) return undefined
    levels.push(text)
  }
  return levels
}

const HOLE = /\{(principal|clientId)\}/

/** A filter as a token or an answer writes it: braces around anything else are text. */
export function parseFilter (text: string): FilterTemplate {
  return text.split('/').map(level => level.split(HOLE)
    .map((part, index) => index % 2 === 1 ? { name: part } : part)
    .filter(part => part !== ''))
}

/** As somebody wrote it. */
export function showFilter (filter: FilterTemplate): string {
  return filter.map(level => level.map(part => typeof part === 'string' ? part : `{${part.name}}`).join('')).join('/')
}
