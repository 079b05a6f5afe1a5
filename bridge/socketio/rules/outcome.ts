/** What functions in rules answer, looked at before anything is done with it: whatever it is, nothing breaks. */
import { PAYLOAD_FORMS, PROOF_LEVELS, type PayloadForm, type ProofLevel } from './rule.ts'

/** The answer is none that a rule can give; the message is for the log. */
export class OutcomeError extends Error {
  override readonly name = 'OutcomeError'
}

export type EmitAnswer =
  | {
    readonly kind: 'publish'
    readonly topic: string
    readonly payload: PayloadForm
    readonly args: readonly unknown[] | undefined
    /** Undefined for the first argument. */
    readonly value: unknown
    readonly qos: 0 | 1
    readonly retain: boolean
    readonly echo: boolean
    readonly id: string | undefined
  }
  | { readonly kind: 'subscribe' | 'unsubscribe', readonly filters: readonly string[] }
  | { readonly kind: 'list' | 'ignore' | 'next' }
  | { readonly kind: 'refuse', readonly reason: string }

export type DeliverAnswer =
  | { readonly kind: 'event', readonly event: string, readonly args: readonly unknown[], readonly proof: ProofLevel }
  | { readonly kind: 'ignore' | 'next' }

type Answer = Readonly<Record<string, unknown>>

const EMIT_KEYS = ['topic', 'subscribe', 'unsubscribe', 'list', 'ignore', 'refuse', 'next']
const DELIVER_KEYS = ['event', 'ignore', 'next']
const FILTERS_MAX = 32

/** @throws OutcomeError */
export function readEmitAnswer (value: unknown): EmitAnswer {
  const [kind, answer] = only(value, EMIT_KEYS)
  switch (kind) {
    case 'topic': return {
      kind: 'publish',
      topic: text('topic', answer.topic),
      payload: word('payload', PAYLOAD_FORMS, answer.payload ?? 'envelope'),
      args: answer.args === undefined ? undefined : list('args', answer.args),
      value: answer.value,
      qos: word('qos', [0, 1] as const, answer.qos ?? 1),
      retain: word('retain', [true, false], answer.retain ?? false),
      echo: word('echo', [true, false], answer.echo ?? true),
      id: answer.id === undefined ? undefined : text('id', answer.id)
    }
    case 'subscribe':
    case 'unsubscribe': return { kind, filters: filters(kind, answer[kind]) }
    case 'refuse': return { kind, reason: text(kind, answer.refuse) }
    default:
      word(kind, [true], answer[kind])
      return { kind: kind as 'list' | 'ignore' | 'next' }
  }
}

/** @throws OutcomeError */
export function readDeliverAnswer (value: unknown, args: readonly unknown[]): DeliverAnswer {
  const [kind, answer] = only(value, DELIVER_KEYS)
  if (kind !== 'event') {
    word(kind, [true], answer[kind])
    return { kind: kind as 'ignore' | 'next' }
  }
  return {
    kind,
    event: text('event', answer.event),
    args: answer.args === undefined ? args : list('args', answer.args),
    proof: word('proof', PROOF_LEVELS, answer.proof ?? 'handled')
  }
}

function only (value: unknown, keys: readonly string[]): readonly [string, Answer] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new OutcomeError(`returned ${kindOf(value)}, not an object with one of ${keys.join(', ')}`)
  }
  if (typeof (value as { then?: unknown }).then === 'function') {
    Promise.resolve(value).catch(() => {}) // what becomes of it is nobody's concern
    throw new OutcomeError('returned a promise; a rule must answer at once')
  }
  const set = keys.filter(key => (value as Answer)[key] !== undefined)
  if (set.length !== 1) {
    throw new OutcomeError(`returned ${set.length === 0 ? 'none' : set.join(' and ')} of ${keys.join(', ')}`)
  }
  return [set[0], value as Answer]
}

function text (key: string, value: unknown): string {
  if (typeof value === 'string') return value
  throw new OutcomeError(`returned ${kindOf(value)} as ${key}, which must be a text`)
}

function list (key: string, value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value
  throw new OutcomeError(`returned ${kindOf(value)} as ${key}, which must be a list`)
}

function filters (key: string, value: unknown): readonly string[] {
  const all: readonly unknown[] = Array.isArray(value) ? value : [value]
  if (all.length > FILTERS_MAX) throw new OutcomeError(`returned more than ${FILTERS_MAX} filters as ${key}`)
  return all.map(filter => text(key, filter))
}

function word<T> (key: string, words: readonly T[], value: unknown): T {
  if (words.includes(value as T)) return value as T
  throw new OutcomeError(`returned ${kindOf(value)} as ${key}, which must be ${words.join(' or ')}`)
}

function kindOf (value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (typeof value === 'number') return String(value)
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 80))
  return Array.isArray(value) ? 'a list' : `a value of type ${typeof value}`
}
