/** What `holdfast check` shows of the rules: for each an event or a message that it is for, and what becomes of it. */
import type { Message } from '../broker/index.ts'
import { decodeText } from '../protocol/index.ts'
import {
  matchText, matchTopic, Rules, type Command, type DeliverRule, type EmitRule, type NamespaceRule, type RuleSet,
  type SocketEvent
} from '../bridge/socketio/rules/index.ts'
import { sampleArguments, sampleName, samplePayload, sampleTopic } from './rule-samples.ts'

export interface RuleExample {
  /** `emit[2]` */
  readonly rule: string
  readonly given: string
  readonly becomes: string
  /** What the operator should know besides. */
  readonly note: string | undefined
}

const WHO = { name: 'U1', principal: 'anonymous' }
const SHOWN_CHARS_MAX = 160

export function ruleExamples (rules: RuleSet): RuleExample[] {
  return [
    ...rules.namespaces.map((rule, index) =>
      namespaceExample(rule, rules.namespaces.slice(0, index), rules.defaults)),
    ...rules.emit.map((rule, index) => emitExample(rule, rules.emit.slice(0, index))),
    ...rules.deliver.map((rule, index) => deliverExample(rule, rules.deliver.slice(0, index)))
  ]
}

function namespaceExample (
  rule: NamespaceRule, earlier: readonly NamespaceRule[], defaults: RuleSet['defaults']
): RuleExample {
  const name = sampleName(rule.match, '/')
  const here = only({ namespaces: [rule], defaults }).rules.namespace(name)
  const first = earlier.find(({ match }) => matchText(match, name) !== undefined)
  return {
    rule: rule.path,
    given: `${WHO.name} opens ${name}`,
    becomes: here.allowed
      ? `${here.name}, subscribed to ${here.filters(WHO).join(', ') || 'nothing'}`
      : 'refused: Invalid namespace',
    note: noteOf(first, undefined)
  }
}

function emitExample (rule: EmitRule, earlier: readonly EmitRule[]): RuleExample {
  const event = sampleName(rule.event, '')
  const namespace = sampleName(rule.namespace, '/')
  const args = rule.example ?? sampleArguments(rule)
  const { rules, fault } = only({ emit: [rule] })
  const command = rules.namespace(namespace).command({ ...WHO, packet: [event, ...args], asks: true })
  const first = earlier.find(({ action, namespace: where, event: pattern }) => action.kind !== 'run' &&
    matchText(pattern, event) !== undefined && (where === undefined || matchText(where, namespace) !== undefined))
  return {
    rule: rule.path,
    given: `${WHO.name} emits ${[event, ...args].map(value).join(', ')} in ${namespace}`,
    becomes: commandText(command) + moreOf(rule),
    note: noteOf(first, fault(), rule.example)
  }
}

function deliverExample (rule: DeliverRule, earlier: readonly DeliverRule[]): RuleExample {
  const topic = sampleTopic(rule.topic)
  const namespace = sampleName(rule.namespace, '/')
  const payload = rule.example === undefined ? samplePayload(rule) : payloadOf(rule.example)
  const { rules, fault } = only({ deliver: [rule] })
  const message = {
    topic, payload, qos: 1, retain: false, publisher: 'device', principal: WHO.principal, time: 0, id: ''
  } as unknown as Message
  const event = rules.namespace(namespace).translate(message)
  const first = earlier.find(({ action, namespace: where, topic: pattern }) => action.kind !== 'run' &&
    matchTopic(pattern, topic.split('/')) !== undefined &&
    (where === undefined || matchText(where, namespace) !== undefined))
  return {
    rule: rule.path,
    given: `a message on ${topic} with ${bytes(payload)}, for clients in ${namespace}`,
    becomes: eventText(event),
    note: noteOf(first, fault(), rule.example)
  }
}

/** One rule by itself, and what its function failed with. */
function only (part: Partial<RuleSet>): { readonly rules: Rules, readonly fault: () => string | undefined } {
  let fault: string | undefined
  const note = (fields: { err?: unknown }): void => {
    fault = fields.err instanceof Error ? fields.err.message : String(fields.err)
  }
  const nothing = (): void => {}
  const log = { debug: nothing, info: nothing, warn: note, error: note }
  const rules = { namespaces: [], emit: [], deliver: [], defaults: false, ...part }
  return { rules: new Rules({ rules, makeId: () => 'made-up', log }), fault: () => fault }
}

function payloadOf (example: unknown): Buffer {
  return Buffer.from(typeof example === 'string' ? example : JSON.stringify(example))
}

/** What nobody sees of the command. */
function moreOf ({ action, answer }: EmitRule): string {
  const echo = action.kind === 'publish' && !action.echo ? ', not back to who emits it' : ''
  return echo + (answer === 'error-first' ? '; its callback gets an error first' : '')
}

function noteOf (
  first: { readonly path: string } | undefined, fault: string | undefined, example?: unknown
): string | undefined {
  if (first !== undefined) return `never asked for this: ${first.path} comes first and matches`
  const given = example === undefined ? 'what is made up here' : 'the example of the rule'
  return fault === undefined ? undefined : `the function fails with ${given}: ${fault}`
}

function commandText (command: Command): string {
  switch (command.kind) {
    case 'publish': {
      const { topic, payload, qos, retain } = command
      return `${topic} with ${bytes(payload)}, QoS ${qos}${retain ? ', retained' : ''}`
    }
    case 'subscribe': return `subscribed to ${command.filters.join(', ')}`
    case 'unsubscribe': return `unsubscribed from ${command.filters.join(', ')}`
    case 'list': return `the answer lists what stands for * in ${command.before}*${command.after}`
    case 'ignored': return 'nothing'
    case 'refused': return command.code === 'NO_RULE'
      ? 'left to the rules behind it'
      : `refused: ${command.code}, ${command.message}`
  }
}

function eventText ({ event, args, level, ignored }: SocketEvent): string {
  if (ignored) return 'nothing; the message counts as delivered'
  return `${[event, ...args].map(value).join(', ')}; counts as delivered when ${LEVELS[level]}`
}

const LEVELS = {
  handled: 'it was handled', received: 'it was received', ack: 'the application acknowledged it'
} as const

function value (value: unknown): string {
  if (value instanceof Uint8Array) return bytes(value)
  try {
    return short(JSON.stringify(value) ?? 'nothing')
  } catch { // of a module: a BigInt, or what holds itself
    return short(String(value))
  }
}

function bytes (bytes: Uint8Array): string {
  const text = decodeText(bytes)
  const readable = text !== undefined && !/[\p{Cc}]/u.test(text)
  return short(readable ? text : `the bytes ${Buffer.from(bytes).toString('hex').replace(/..(?=.)/g, '$& ')}`)
}

function short (text: string): string {
  return text.length > SHOWN_CHARS_MAX ? text.slice(0, SHOWN_CHARS_MAX) + '...' : text
}
