/**
 * The small languages inside a rule: templates (`chat/{room}`), patterns of names (`msg:*`) and of topics
 * (`devices/{id}/+`). Patterns are matched by our own code in time that grows with the length of the text alone; no
 * regular expression is ever made of a configuration.
 */
import { didYouMean } from './suggest.ts'
import type {
  Hole, LevelPattern, Template, TextPattern, TopicPattern, TopicTemplate, ValueTemplate, Wildcard
} from './rule.ts'

/** What is wrong with a text, as the end of a line. */
export class TextError extends Error {
  /** Behind the path of the rule: `.args[2]`. */
  readonly at: string

  constructor (says: string, at = '') {
    super(says)
    this.at = at
  }
}

export const TEXT_LENGTH_MAX = 1_024
/** Lists and maps inside each other in a template of a value. */
export const VALUE_DEPTH_MAX = 16
/** Values in a template of a value, all levels together. */
export const VALUE_NODES_MAX = 256
export const ARGUMENT_NUMBER_MAX = 255

/** The names that a hole may have here. */
export interface Scope {
  /** Filled in by the server. */
  readonly known: readonly string[]
  /** Captured by the rule's patterns. */
  readonly captured: readonly string[]
  /** Whether there are arguments: `{0}`. */
  readonly args: boolean
  /** Whether topics of the server may be named. */
  readonly ofServer?: boolean
}

const NAME = /^[A-Za-z][A-Za-z0-9_]*$/
/** Names of which properties can be taken, as of an argument. */
const VALUES = ['payload']

/** Pieces of a text: literals, and what stands in braces; `{{` and `}}` are braces themselves. */
function pieces (text: string): Array<string | { readonly inside: string }> {
  if (text.length > TEXT_LENGTH_MAX) throw new TextError(`is longer than ${TEXT_LENGTH_MAX} characters`)
  const found: Array<string | { readonly inside: string }> = []
  let literal = ''
  for (let at = 0; at < text.length; at++) {
    const character = text[at]
    if ((character === '{' || character === '}') && text[at + 1] === character) {
      literal += character
      at++
    } else if (character === '}') {
      throw new TextError('has a } without a { before it; write }} for the character itself')
    } else if (character === '{') {
      const end = text.indexOf('}', at)
      if (end === -1) throw new TextError('has a { without a } behind it; write {{ for the character itself')
      if (literal !== '') found.push(literal)
      literal = ''
      found.push({ inside: text.slice(at + 1, end) })
      at = end
    } else literal += character
  }
  if (literal !== '') found.push(literal)
  return found
}

function hole (inside: string, scope: Scope): Hole {
  const rest = inside.endsWith('...')
  const [head, ...path] = (rest ? inside.slice(0, -3) : inside).split('.')
  if (/^\d+$/.test(head) && scope.args) {
    if (Number(head) > ARGUMENT_NUMBER_MAX) {
      throw new TextError(`{${inside}}: arguments are counted from 0 to ${ARGUMENT_NUMBER_MAX}`)
    }
    if (path.includes('')) throw new TextError(`{${inside}}: a property has no name`)
    if (rest && path.length > 0) throw new TextError(`{${inside}}: ... stands behind the number of an argument only`)
    return { name: Number(head), path, rest }
  }
  const names = [...scope.captured, ...scope.known]
  if (!names.includes(head) || rest || path.includes('')) {
    const braced = names.map(name => `{${name}}`)
    const all = [...braced, ...(scope.args ? ['{0}', '{1...}'] : [])].join(', ')
    const hint = didYouMean(`{${head}}`, braced) || `; there is ${all || 'none'}`
    throw new TextError(`{${inside}} is not known here${hint}`)
  }
  if (path.length > 0 && !VALUES.includes(head)) {
    throw new TextError(`{${inside}}: {${head}} is text and has no properties`)
  }
  return { name: head, path, rest }
}

/** @throws TextError */
export function parseTemplate (text: string, scope: Scope): Template {
  return pieces(text).map(piece => {
    if (typeof piece === 'string') return piece
    const found = hole(piece.inside, scope)
    if (found.rest) throw new TextError(`{${piece.inside}} stands in a list only, and alone`)
    return found
  })
}

/**
 * A topic, or with `wildcards` a filter. What is filled in becomes one level or a part of one, whatever it holds.
 * @throws TextError
 */
export function parseTopicTemplate (text: string, scope: Scope, wildcards = false): TopicTemplate {
  if (text === '') throw new TextError('is empty')
  if (scope.ofServer !== true && /^\$(SYS|holdfast)\//.test(text)) {
    throw new TextError('begins with a name that belongs to the server')
  }
  if (/[\0\ufffd]/.test(text)) throw new TextError('holds U+0000 or U+FFFD, which no topic can')
  const levels: Array<Array<string | Hole>> = [[]]
  for (const part of parseTemplate(text, scope)) {
    if (typeof part !== 'string') {
      if (typeof levels.at(-1)!.at(-1) === 'object') throw new TextError('has two holes without a text between them')
      levels.at(-1)!.push(part)
      continue
    }
    for (const [index, literal] of part.split('/').entries()) {
      if (index > 0) levels.push([])
      if (literal !== '') levels.at(-1)!.push(literal)
    }
  }
  for (const [index, level] of levels.entries()) {
    const special = level.find(part => typeof part === 'string' && /[+#]/.test(part))
    if (special === undefined) continue
    if (!wildcards) throw new TextError('holds + or #, which a topic to publish to can\'t')
    if (level.length > 1 || (special !== '+' && (special !== '#' || index < levels.length - 1))) {
      throw new TextError('+ stands alone in its level, # alone in the last one')
    }
  }
  return levels
}

/** @throws TextError */
export function parseTextPattern (text: string): TextPattern {
  if (text === '') throw new TextError('is empty; * stands for every name')
  const pattern: Array<string | Wildcard> = []
  for (const piece of pieces(text)) {
    if (typeof piece !== 'string') pattern.push({ name: captureName(piece.inside) })
    else {
      for (const [index, literal] of piece.split('*').entries()) {
        if (index > 0) pattern.push({ name: undefined })
        if (literal !== '') pattern.push(literal)
      }
    }
  }
  checkNeighbours(pattern)
  return pattern
}

/** Levels of text, `+`, `{name}` (a level or a part of one), and last `#` or `{name#}`. @throws TextError */
export function parseTopicPattern (text: string): TopicPattern {
  if (text === '') throw new TextError('is empty; # stands for every topic')
  const levels: Array<Array<string | Wildcard>> = [[]]
  let rest: LevelPattern | undefined
  for (const piece of pieces(text)) {
    if (rest !== undefined) throw new TextError('# and {name#} stand last')
    if (typeof piece !== 'string') {
      const { inside } = piece
      if (inside.endsWith('#')) {
        if (levels.at(-1)!.length > 0) throw new TextError(`{${inside}} stands alone in its level`)
        rest = { kind: 'rest', name: captureName(inside.slice(0, -1)) }
      } else levels.at(-1)!.push({ name: captureName(inside) })
      continue
    }
    for (const [index, literal] of piece.split('/').entries()) {
      if (index > 0) levels.push([])
      if (rest !== undefined) throw new TextError('# and {name#} stand last')
      if (literal === '#' && levels.at(-1)!.length === 0) rest = { kind: 'rest', name: undefined }
      else if (literal === '+' && levels.at(-1)!.length === 0) levels.at(-1)!.push({ name: undefined })
      else if (/[+#]/.test(literal)) throw new TextError('+ stands alone in its level, # alone in the last one')
      else if (literal.includes('*')) throw new TextError('holds *; for one level write +, for all that follow #')
      else if (literal !== '') levels.at(-1)!.push(literal)
    }
  }
  if (rest !== undefined) levels.pop()
  for (const level of levels) checkNeighbours(level)
  const texts = levels.map((pattern): LevelPattern => ({ kind: 'text', pattern }))
  return rest === undefined ? texts : [...texts, rest]
}

/** The names that patterns capture. @throws TextError where one is there twice, or means something already */
export function capturedBy (patterns: ReadonlyArray<TextPattern | undefined>, known: readonly string[]): string[] {
  const wildcards = patterns.flatMap(pattern => pattern ?? []).filter(part => typeof part !== 'string')
  const names = wildcards.flatMap(({ name }) => name ?? [])
  const twice = names.find((name, index) => names.indexOf(name) < index)
  if (twice !== undefined) throw new TextError(`captures {${twice}} twice`)
  const taken = names.find(name => known.includes(name))
  if (taken !== undefined) throw new TextError(`captures {${taken}}, which has a meaning already; choose another name`)
  return names
}

/** @throws TextError with the place inside the value */
export function parseValue (value: unknown, scope: Scope): ValueTemplate {
  let nodes = 0
  return parse(value, '', 0)

  function parse (value: unknown, at: string, depth: number): ValueTemplate {
    if (++nodes > VALUE_NODES_MAX) throw new TextError(`holds more than ${VALUE_NODES_MAX} values`)
    if (depth > VALUE_DEPTH_MAX) throw new TextError(`is nested deeper than ${VALUE_DEPTH_MAX} levels`, at)
    if (typeof value === 'string') return parseText(value, at)
    if (value === null || typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value))) {
      return { kind: 'literal', value }
    }
    if (Array.isArray(value)) {
      return { kind: 'list', items: value.map((item, index) => parse(item, `${at}[${index}]`, depth + 1)) }
    }
    if (typeof value !== 'object') throw new TextError('must be a value of JSON', at)
    const entries = Object.entries(value)
    return { kind: 'map', entries: entries.map(([key, inner]) => [key, parse(inner, `${at}.${key}`, depth + 1)]) }
  }

  function parseText (text: string, at: string): ValueTemplate {
    try {
      const found = pieces(text)
      const [only] = found
      if (found.length === 1 && typeof only === 'object') {
        const parsed = hole(only.inside, scope)
        if (parsed.rest && !at.endsWith(']')) throw new TextError(`{${only.inside}} stands in a list only`)
        return { kind: 'hole', hole: parsed }
      }
      if (found.every(piece => typeof piece === 'string')) return { kind: 'literal', value: found.join('') }
      return { kind: 'text', template: parseTemplate(text, scope) }
    } catch (error) {
      throw error instanceof TextError && error.at === '' ? new TextError(error.message, at) : error
    }
  }
}

function captureName (inside: string): string {
  if (!NAME.test(inside)) throw new TextError(`{${inside}} is no name: letters and digits, a letter first, as {room}`)
  return inside
}

function checkNeighbours (pattern: TextPattern): void {
  if (pattern.some((part, index) => index > 0 && typeof part !== 'string' && typeof pattern[index - 1] !== 'string')) {
    throw new TextError('has two wildcards without a text between them')
  }
}
