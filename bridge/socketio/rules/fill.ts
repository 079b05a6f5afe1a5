/** Templates, filled in: topics and filters, names of events, arguments. */
import { encodeName, encodeNamespace } from '../../../protocol/index.ts'
import type { Hole, Template, TopicTemplate, ValueTemplate } from './rule.ts'

/** Where holes get their values. */
export interface Source {
  readonly args: readonly unknown[]
  /** What a name stands for. */
  named (name: string): unknown
}

/** What should be filled in is not there, or can't stand there; the message says which hole. */
export class FillError extends Error {
  override readonly name = 'FillError'
}

export function valueOf (hole: Hole, source: Source): unknown {
  let value = typeof hole.name === 'number' ? source.args[hole.name] : source.named(hole.name)
  for (const key of hole.path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
    value = (value as Record<string, unknown>)[key]
  }
  return value
}

/** A text in which every hole must be filled. @throws FillError */
export function fillText (template: Template, source: Source): string {
  let text = ''
  for (const part of template) text += typeof part === 'string' ? part : textOf(part, source)
  return text
}

/** Whatever is filled in stays in its level. @throws FillError */
export function fillTopic (template: TopicTemplate, source: Source): string {
  let topic = ''
  for (let index = 0; index < template.length; index++) {
    if (index > 0) topic += '/'
    const level = template[index]
    for (let at = 0; at < level.length; at++) {
      const part = level[at]
      topic += typeof part === 'string' ? part : encoded(part, textOf(part, source), at, level.length)
    }
  }
  return topic
}

/** @throws FillError */
export function fillList (templates: readonly ValueTemplate[], source: Source): unknown[] {
  const values: unknown[] = []
  for (const template of templates) {
    if (template.kind === 'hole' && template.hole.rest) values.push(...source.args.slice(template.hole.name as number))
    else values.push(fillValue(template, source))
  }
  return values
}

/** @throws FillError */
export function fillValue (template: ValueTemplate, source: Source): unknown {
  switch (template.kind) {
    case 'hole': return valueOf(template.hole, source)
    case 'literal': return template.value
    case 'list': return fillList(template.items, source)
    // fromEntries defines properties, so that a key named __proto__ stays a key
    case 'map': return Object.fromEntries(template.entries.map(([key, inner]) => [key, fillValue(inner, source)]))
    case 'text':
      return template.template.map(part => typeof part === 'string' ? part : looseText(part, source)).join('')
  }
}

/** A level that is one hole comes back unchanged when it is read; a part of one can hold nothing special either. */
function encoded (hole: Hole, text: string, at: number, parts: number): string {
  if (hole.name === 'namespace') return encodeNamespace(text)
  if (parts === 1) return encodeName(text)
  if (text === '') return ''
  return at === 0 ? encodeName(text) : encodeName(`-${text}`).slice(1) // a $ is special at the start only
}

function textOf (hole: Hole, source: Source): string {
  const value = valueOf(hole, source)
  switch (typeof value) {
    case 'string': return value
    case 'number':
    case 'boolean': return String(value)
    case 'undefined': throw new FillError(`${nameOf(hole)} is missing`)
    default: throw new FillError(`${nameOf(hole)} must be a text or a number`)
  }
}

/** Inside a longer text what is missing is nothing. */
function looseText (hole: Hole, source: Source): string {
  return (valueOf(hole, source) ?? '') === '' ? '' : textOf(hole, source)
}

/** As it is written in a rule. */
export function nameOf ({ name, path }: Hole): string {
  return `{${[name, ...path].join('.')}}`
}
