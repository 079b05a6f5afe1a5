/**
 * Patterns of names and topics. Between two wildcards always stands a text, and the first place where it is found is
 * taken: whatever matches at all matches so, and nothing is ever tried a second time.
 */
import { decodeName } from '../../../protocol/index.ts'
import type { LevelPattern, TextPattern, TopicPattern } from './rule.ts'

/** By name; without a prototype. */
export type Captured = Readonly<Record<string, string>>

export const NOTHING_CAPTURED: Captured = Object.freeze(Object.create(null) as Captured)

/** What `{names}` stand for, or undefined where the text does not match. */
export function matchText (pattern: TextPattern, text: string): Captured | undefined {
  const [only] = pattern
  if (pattern.length === 1 && typeof only === 'string') return only === text ? NOTHING_CAPTURED : undefined
  const captured = Object.create(null) as Record<string, string>
  return matchInto(pattern, text, captured, same) ? captured : undefined
}

/** As matchText, for a topic in its levels; what is captured is decoded as names are (names.ts). */
export function matchTopic (pattern: TopicPattern, levels: readonly string[]): Captured | undefined {
  // wildcards in the first level leave out what brokers keep for themselves [MQTT-4.7.2-1]
  if (levels[0].startsWith('$') && !beginsWithText(pattern[0])) return undefined
  const captured = Object.create(null) as Record<string, string>
  for (const [index, level] of pattern.entries()) {
    if (level.kind === 'rest') {
      if (level.name === undefined) return captured
      if (index >= levels.length) return undefined
      captured[level.name] = levels.slice(index).join('/')
      return captured
    }
    if (index >= levels.length || !matchInto(level.pattern, levels[index], captured, decodeName)) return undefined
  }
  return pattern.length === levels.length ? captured : undefined
}

function matchInto (
  pattern: TextPattern, text: string, captured: Record<string, string>, read: (found: string) => string
): boolean {
  let at = 0
  for (let index = 0; index < pattern.length; index++) {
    const part = pattern[index]
    if (typeof part === 'string') { // the first; any other was found with the wildcard before it
      if (!text.startsWith(part)) return false
      at = part.length
      continue
    }
    const from = part.name === undefined ? at : at + 1
    const next = pattern[++index] as string | undefined
    const end = next === undefined
      ? text.length
      : index === pattern.length - 1 ? lastPlace(text, next) : text.indexOf(next, from)
    if (end < from) return false
    if (part.name !== undefined) captured[part.name] = read(text.slice(at, end))
    at = next === undefined ? end : end + next.length
  }
  return at === text.length
}

function lastPlace (text: string, end: string): number {
  return text.endsWith(end) ? text.length - end.length : -1
}

function beginsWithText (level: LevelPattern): boolean {
  return level.kind === 'text' && typeof level.pattern[0] === 'string'
}

function same (found: string): string {
  return found
}
