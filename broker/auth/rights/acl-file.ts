/**
 * mosquitto's `acl_file`, read as mosquitto 2.0 reads it (mosquitto.conf(5)):
 *
 *     topic [read|write|readwrite|deny] FILTER     before any `user`: of who shows no name
 *     user NAME                                    the lines below are of NAME
 *     pattern [read|write|readwrite|deny] FILTER   of everybody; %u is the name, %c the client identifier
 *
 * What denies goes before what allows, and somebody's own lines before the patterns. Any filter may be subscribed to;
 * what is not to be read is left out at delivery. Pure.
 */
import { misplacedWildcard } from '../../model/topics.ts'
import type { Audience, FilterTemplate, RightsRule, Verb } from './rule.ts'

export interface AclProblem {
  readonly line: number
  /** The end of a sentence. */
  readonly says: string
}

export type AclFile =
  | { readonly rules: readonly RightsRule[], readonly problems: readonly [] }
  | { readonly rules: undefined, readonly problems: readonly AclProblem[] }

const ACCESS = new Map<string, { readonly effect: RightsRule['effect'], readonly verbs: readonly Verb[] }>([
  ['read', { effect: 'allow', verbs: ['read'] }],
  ['write', { effect: 'allow', verbs: ['publish'] }],
  ['readwrite', { effect: 'allow', verbs: ['read', 'publish'] }],
  ['deny', { effect: 'deny', verbs: ['read', 'publish'] }]
])
const WORDS = [...ACCESS.keys()].join(', ')
const PROBLEMS_MAX = 20
const SPACE = /[ \t\v\f\r]/

/** @param name of the file, for messages: `acl.txt` makes rules `acl.txt:12` */
export function readAclFile (name: string, content: string): AclFile {
  const topics: RightsRule[] = []
  const patterns: RightsRule[] = []
  const problems: AclProblem[] = []
  let audience: Audience = { kind: 'anonymous' }
  for (const [index, raw] of content.split('\n').entries()) {
    const line = trimEnd(raw)
    if (line.startsWith('#') || line === '') continue
    const [word, rest] = firstWord(line)
    if (word === 'user' && rest !== '') {
      audience = { kind: 'principal', names: [rest] }
      continue
    }
    const rule = word === 'topic' || word === 'pattern'
      ? ruleOf(`${name}:${index + 1}`, rest, word === 'pattern' ? { kind: 'everybody' } : audience, word)
      : word === 'user' ? 'a name is missing behind user' : 'a line begins with topic, pattern, user or #'
    if (typeof rule === 'string') problems.push({ line: index + 1, says: rule })
    else (word === 'pattern' ? patterns : topics).push(rule)
  }
  if (problems.length > 0) return { rules: undefined, problems: problems.slice(0, PROBLEMS_MAX) }
  return { rules: [...denialsFirst(topics), ...denialsFirst(patterns)], problems: [] }
}

function ruleOf (at: string, rest: string, audience: Audience, word: 'topic' | 'pattern'): RightsRule | string {
  if (rest === '') return `a filter is missing behind ${word}`
  const [first, more] = firstWord(rest)
  // one word alone is a filter, whatever it is
  const access = more === '' ? ACCESS.get('readwrite') : ACCESS.get(first)
  if (access === undefined) return `${JSON.stringify(first.slice(0, 40))} is no kind of access; there is ${WORDS}`
  const filter = more === '' ? rest : more
  const wrong = misplacedWildcard(filter)
  if (wrong !== undefined) return `${JSON.stringify(filter.slice(0, 80))}: ${wrong}`
  return { at, ...access, audience, filters: [word === 'pattern' ? patternOf(filter) : plainOf(filter)] }
}

const HOLE = /(%[uc])/

function patternOf (filter: string): FilterTemplate {
  return filter.split('/').map(level => level.split(HOLE)
    .map(part => part === '%u' ? { name: 'principal' } : part === '%c' ? { name: 'clientId' } : part)
    .filter(part => part !== ''))
}

function plainOf (filter: string): FilterTemplate {
  return filter.split('/').map(level => level === '' ? [] : [level])
}

function denialsFirst (rules: readonly RightsRule[]): RightsRule[] {
  return [...rules.filter(({ effect }) => effect === 'deny'), ...rules.filter(({ effect }) => effect === 'allow')]
}

/** As strtok() of C parts them: at spaces, of which there may be several. */
function firstWord (text: string): [string, string] {
  const start = text.trimStart()
  const end = start.indexOf(' ')
  return end < 0 ? [start, ''] : [start.slice(0, end), start.slice(end + 1).trim()]
}

function trimEnd (text: string): string {
  let end = text.length
  while (end > 0 && SPACE.test(text[end - 1])) end--
  return text.slice(0, end)
}
