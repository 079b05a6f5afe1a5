/** The option `rules`: what is wrong with a value of it, and the rules as the bridge takes them. */
import type { z } from 'zod'
import type { InnerProblem } from './option.ts'
import {
  NO_RULES, type DeliverRule, type DeliverRuleOption, type EmitAction, type EmitRule, type EmitRuleOption,
  type ListTemplate, type NamespaceRule, type NamespaceRuleOption, type PublishAction, type RuleSet, type TextPattern,
  type TopicTemplate, type ValueTemplate
} from './rule.ts'
import { DELIVER, EMIT, NAMESPACE, RULES, told } from './rule-schema.ts'
import {
  TextError, capturedBy, parseTemplate, parseTextPattern, parseTopicPattern, parseTopicTemplate, parseValue, type Scope
} from './rule-text.ts'
import { shown } from './shown.ts'

/** Where names stand that are filled in by the server. */
const EMIT_NAMES = ['namespace', 'clientId', 'principal', 'event'] as const
const DELIVER_NAMES = ['namespace', 'topic', 'payload', 'publisher', 'principal', 'timeMs'] as const
const SESSION_NAMES = ['namespace', 'clientId', 'principal'] as const

/** The rules in a value from outside, and what is wrong with it; with a problem there are no rules. */
export function readRules (value: unknown): { readonly rules: RuleSet, readonly problems: readonly InnerProblem[] } {
  const whole = RULES.safeParse(value)
  if (!whole.success) {
    return { rules: NO_RULES, problems: whole.error.issues.flatMap(issue => told(issue, value, '', RULES)) }
  }
  const { namespaces, emit, deliver, defaults = true } = whole.data
  const problems: InnerProblem[] = []
  const rules: RuleSet = {
    namespaces: each<NamespaceRuleOption, NamespaceRule>('namespaces', namespaces, NAMESPACE, namespaceRule),
    emit: each<EmitRuleOption, EmitRule>('emit', emit, EMIT, emitRule),
    deliver: each<DeliverRuleOption, DeliverRule>('deliver', deliver, DELIVER, deliverRule),
    defaults
  }
  return problems.length === 0 ? { rules, problems } : { rules: NO_RULES, problems }

  function each<From, To> (
    name: string, from: readonly unknown[] | undefined, schema: z.ZodObject,
    read: (rule: From, path: string, reader: Reader) => To
  ): To[] {
    return (from ?? []).flatMap((rule, index) => {
      const path = `${name}[${index}]`
      const shape = schema.safeParse(rule)
      if (shape.success) return [read(shape.data as From, path, new Reader(`.${path}`, problems))]
      problems.push(...shape.error.issues.flatMap(issue => told(issue, rule, `.${path}`, schema)))
      return []
    })
  }
}

/** Reads one rule, and notes what is wrong with each of its settings. */
class Reader {
  readonly #path: string
  readonly #problems: InnerProblem[]

  constructor (path: string, problems: InnerProblem[]) {
    this.#path = path
    this.#problems = problems
  }

  wrong (setting: string, says: string): void {
    this.#problems.push({ at: setting === '' ? this.#path : `${this.#path}.${setting}`, says })
  }

  /** The value that `parse` makes, or the fallback where it can't. */
  setting<T> (name: string, fallback: T, parse: () => T): T {
    try {
      return parse()
    } catch (error) {
      if (!(error instanceof TextError)) throw error
      this.wrong(name + error.at, error.message)
      return fallback
    }
  }

  pattern (name: string, text: string | undefined): TextPattern | undefined {
    return text === undefined ? undefined : this.setting(name, [], () => parseTextPattern(text))
  }

  topics (name: string, given: string | readonly string[], scope: Scope, wildcards: boolean): TopicTemplate[] {
    const one = typeof given === 'string'
    return (one ? [given] : given).map((text, index) =>
      this.setting(one ? name : `${name}[${index}]`, [], () => parseTopicTemplate(text, scope, wildcards)))
  }

  /** Exactly one of the settings decides what the rule does. */
  oneOf<Setting extends string> (
    rule: { readonly [Name in Setting]?: unknown }, settings: readonly Setting[]
  ): Setting | undefined {
    const set = settings.filter(name => rule[name] !== undefined)
    if (set.length === 1) return set[0]
    const needs = `needs exactly one of ${settings.join(', ')}`
    this.wrong('', set.length === 0 ? needs : `${needs}, and has ${set.join(' and ')}`)
    return undefined
  }

  /** Settings that mean something only beside another. */
  beside<T extends object> (rule: T, settings: ReadonlyArray<keyof T & string>, other: string): void {
    for (const name of settings) if (rule[name] !== undefined) this.wrong(name, `counts only beside ${other}`)
  }
}

function namespaceRule (rule: NamespaceRuleOption, path: string, reader: Reader): NamespaceRule {
  const { match, allow = true, as, subscribe = [] } = rule
  const pattern = reader.pattern('match', match) ?? []
  const captured = reader.setting('match', [], () => capturedBy([pattern], SESSION_NAMES))
  if (!allow) reader.beside(rule, ['as', 'subscribe'], '"allow": true')
  for (const [name, text] of [['match', match], ['as', as]] as const) {
    if (text === undefined || /^[/*{]/.test(text)) continue
    reader.wrong(name, `${shown(text)} must begin with /, as namespaces do`)
  }
  return {
    path,
    match: pattern,
    allow,
    as: as === undefined
      ? undefined
      : reader.setting('as', [], () => parseTemplate(as, { known: [], captured, args: false })),
    subscribe: reader.topics('subscribe', subscribe, { known: SESSION_NAMES, captured, args: false }, true)
  }
}

const EMIT_ACTIONS = ['topic', 'subscribe', 'unsubscribe', 'list', 'ignore', 'refuse', 'run'] as const
const FIRST_ARGUMENT: ValueTemplate = { kind: 'hole', hole: { name: 0, path: [], rest: false } }

function emitRule (rule: EmitRuleOption, path: string, reader: Reader): EmitRule {
  const event = reader.pattern('event', rule.event) ?? []
  const namespace = reader.pattern('namespace', rule.namespace)
  const captured = reader.setting('event', [], () => capturedBy([namespace, event], EMIT_NAMES))
  const action = reader.oneOf(rule, EMIT_ACTIONS)
  if (action !== 'topic') reader.beside(rule, ['payload', 'args', 'value', 'qos', 'retain', 'echo', 'id'], 'topic')
  const scope: Scope = { known: EMIT_NAMES, captured, args: true }
  const { answer = 'status', example } = rule
  return { path, namespace, event, answer, action: emitAction(rule, action, scope, reader), example }
}

function emitAction (
  rule: EmitRuleOption, action: typeof EMIT_ACTIONS[number] | undefined, scope: Scope, reader: Reader
): EmitAction {
  switch (action) {
    case undefined:
    case 'ignore': return { kind: 'ignore' }
    case 'topic': return publishAction(rule, rule.topic!, scope, reader)
    case 'subscribe':
    case 'unsubscribe': return { kind: action, filters: reader.topics(action, rule[action]!, scope, true) }
    case 'list': return { kind: 'list', around: listAround(rule.list!, reader) }
    case 'refuse': return { kind: 'refuse', reason: rule.refuse! }
    case 'run': return { kind: 'run', run: synchronous(rule.run!, reader) }
  }
}

function publishAction (rule: EmitRuleOption, topic: string, scope: Scope, reader: Reader): PublishAction {
  const { payload = 'envelope', args, value, qos = 1, retain = false, echo = true, id } = rule
  if (payload === 'envelope') reader.beside(rule, ['value'], 'a payload that is no envelope; an envelope has args')
  else reader.beside(rule, ['args'], 'an envelope; the other payloads have value')
  if (qos === 0 && id !== undefined) {
    reader.wrong('id', 'counts only beside "qos": 1: what is sent at most once is not sent again')
  }
  return {
    kind: 'publish',
    topic: reader.setting('topic', [], () => parseTopicTemplate(topic, scope)),
    payload,
    args: args && reader.setting('args', undefined, () => itemsOf(parseValue(args, scope))),
    value: value === undefined
      ? FIRST_ARGUMENT
      : reader.setting('value', FIRST_ARGUMENT, () => parseValue(value, scope)),
    qos,
    retain,
    echo,
    id: id === undefined
      ? undefined
      : reader.setting('id', undefined, () => {
        const parsed = parseValue(id, { known: [], captured: [], args: true })
        if (parsed.kind !== 'hole') throw new TextError('must be one place in the arguments, like {0.id}')
        return parsed.hole
      })
  }
}

/** `chat/{room}/+`: what stands before and after the one name. */
function listAround (given: true | string, reader: Reader): ListTemplate | undefined {
  if (given === true) return undefined
  return reader.setting('list', undefined, () => {
    const names = [...given.matchAll(/\{([A-Za-z]\w*)\}/g)].map(([, name]) => name)
    const own = new Set(names.filter(name => !SESSION_NAMES.some(known => known === name)))
    const levels = parseTopicTemplate(given, { known: SESSION_NAMES, captured: [...own], args: true }, true)
    const open = levels.flatMap((level, index) =>
      level.some(part => typeof part !== 'string' && own.has(String(part.name))) ? [index] : [])
    if (open.length !== 1 || levels[open[0]].length !== 1) {
      throw new TextError('must have exactly one level that is a {name} of its own: what the answer lists')
    }
    return { before: levels.slice(0, open[0]), after: levels.slice(open[0] + 1) }
  })
}

/** As bridge/socketio/translation/translate.ts refuses them at the latest. */
const OWN_NAMES = /^(connect|connect_error|disconnect|disconnecting|newListener|removeListener|holdfast:.*)$/s
const DELIVER_ACTIONS = ['event', 'ignore', 'run'] as const

function deliverRule (rule: DeliverRuleOption, path: string, reader: Reader): DeliverRule {
  const topic = reader.setting('topic', [], () => parseTopicPattern(rule.topic))
  const namespace = reader.pattern('namespace', rule.namespace)
  const inTopic = topic.flatMap(level => level.kind === 'text' ? level.pattern : [{ name: level.name }])
  const captured = reader.setting('topic', [], () => capturedBy([namespace, inTopic], DELIVER_NAMES))
  const scope: Scope = { known: DELIVER_NAMES, captured, args: true }
  const action = reader.oneOf(rule, DELIVER_ACTIONS)
  if (action !== 'event') reader.beside(rule, ['args', 'proof'], 'event')
  if (action === 'ignore') reader.beside(rule, ['payload'], 'event or run')
  const { event = '', args, payload = 'auto', proof = 'handled' } = rule
  const common = { path, namespace, topic, example: rule.example }
  if (OWN_NAMES.test(event)) {
    reader.wrong('event', `${shown(event)} is a name that Socket.IO or the server uses itself; choose another one`)
  }
  if (action === 'run') return { ...common, action: { kind: 'run', run: synchronous(rule.run!, reader), payload } }
  if (action !== 'event') return { ...common, action: { kind: 'ignore' } }
  return {
    ...common,
    action: {
      kind: 'event',
      event: reader.setting('event', [], () => parseTemplate(event, scope)),
      args: args && reader.setting('args', undefined, () => itemsOf(parseValue(args, scope))),
      payload,
      proof
    }
  }
}

function itemsOf (template: ValueTemplate): readonly ValueTemplate[] | undefined {
  return template.kind === 'list' ? template.items : undefined
}

/** Messages are translated in the turn in which they come, in their order: a rule can't wait for anything. */
function synchronous<F extends (context: never) => unknown> (run: F, reader: Reader): F {
  if (run.constructor.name !== 'Function') {
    const kind = run.constructor.name === 'AsyncFunction' ? 'async' : 'a generator'
    reader.wrong('run', `is ${kind}; it must be a plain function that returns its answer at once. What it needs, the ` +
      'module loads before')
  }
  return run
}
