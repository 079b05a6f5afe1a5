/** Made-up names, arguments and payloads that a rule matches, from its patterns and from what its templates ask for. */
import {
  writeEnvelope, writeValue, type DeliverRule, type EmitAction, type EmitRule, type Hole, type PayloadReading,
  type TextPattern, type TopicPattern, type TopicTemplate, type ValueTemplate
} from '../bridge/socketio/rules/index.ts'

const BYTES = Buffer.from([1, 2, 3])

/** `{room}` becomes `room`, `*` becomes `any`. */
export function sampleName (pattern: TextPattern | undefined, fallback: string): string {
  return pattern?.map(part => typeof part === 'string' ? part : part.name ?? 'any').join('') ?? fallback
}

export function sampleTopic (pattern: TopicPattern): string {
  return pattern.map(level => level.kind === 'rest' ? `${level.name ?? 'any'}/more` : sampleName(level.pattern, ''))
    .join('/')
}

export function sampleArguments ({ action }: EmitRule): unknown[] {
  const holes = holesOf(action)
  const args = fill(holes.filter(({ name }) => typeof name === 'number'))
  if (action.kind === 'run') return ['argument0', 'argument1']
  if (action.kind !== 'publish') return args
  if (args.length === 0) args.push('text')
  const { payload, value } = action
  const isWhole = value.kind === 'hole' && typeof value.hole.name === 'number' && value.hole.path.length === 0
  if (payload === 'bytes' && isWhole) args[Number(value.hole.name)] = BYTES
  return args
}

export function samplePayload ({ action }: DeliverRule): Buffer {
  if (action.kind === 'ignore') return Buffer.from('text')
  const holes = action.kind === 'event' ? [...inTemplate(action.event), ...(action.args ?? []).flatMap(inValue)] : []
  const args = fill(holes.flatMap(hole => typeof hole.name === 'number'
    ? [hole]
    : hole.name === 'payload' ? [{ ...hole, name: 0 }] : []))
  return written(action.payload, args.length === 0 ? ['text'] : args)
}

function written (reading: PayloadReading, args: readonly unknown[]): Buffer {
  switch (reading) {
    case 'bytes': return BYTES
    case 'text': return Buffer.from('text')
    case 'json':
    case 'msgpack': return writeValue(reading, args[0])
    case 'envelope': return writeEnvelope({ id: '', args })
    case 'auto': return args.length === 1 ? writeValue('json', args[0]) : writeEnvelope({ id: '', args })
  }
}

/** Arguments in which every hole has something. */
function fill (holes: readonly Hole[]): unknown[] {
  const args: unknown[] = []
  for (const { name, path, rest } of holes) {
    const index = Number(name)
    while (args.length <= index + (rest ? 1 : 0)) args.push(`argument${args.length}`)
    if (path.length === 0) continue
    if (typeof args[index] !== 'object') args[index] = {}
    let inner = args[index] as Record<string, unknown>
    for (const key of path.slice(0, -1)) {
      if (typeof inner[key] !== 'object') inner[key] = {}
      inner = inner[key] as Record<string, unknown>
    }
    inner[path.at(-1)!] ??= path.at(-1)
  }
  return args
}

function holesOf (action: EmitAction): Hole[] {
  switch (action.kind) {
    case 'publish': {
      const { topic, args, value, payload, id } = action
      const values = payload === 'envelope' ? args ?? [] : [value]
      return [...inTopic(topic), ...values.flatMap(inValue), ...(id === undefined ? [] : [id])]
    }
    case 'subscribe':
    case 'unsubscribe': return action.filters.flatMap(inTopic)
    case 'list': return action.around === undefined ? [] : [action.around.before, action.around.after].flatMap(inTopic)
    case 'ignore':
    case 'refuse':
    case 'run': return []
  }
}

function inTopic (topic: TopicTemplate): Hole[] {
  return topic.flatMap(inTemplate)
}

function inTemplate (template: ReadonlyArray<string | Hole>): Hole[] {
  return template.filter(part => typeof part !== 'string')
}

function inValue (value: ValueTemplate): Hole[] {
  switch (value.kind) {
    case 'hole': return [value.hole]
    case 'text': return inTemplate(value.template)
    case 'literal': return []
    case 'list': return value.items.flatMap(inValue)
    case 'map': return value.entries.flatMap(([, inner]) => inValue(inner))
  }
}
