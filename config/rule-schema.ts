/** The shape of rules, and what is wrong with a value that has another. */
import { z } from 'zod'
import { didYouMean } from './suggest.ts'
import type { InnerProblem } from './option.ts'
import { ANSWER_FORMS, PAYLOAD_FORMS, PROOF_LEVELS } from './rule.ts'
import { TEXT_LENGTH_MAX } from './rule-text.ts'
import { shown } from './shown.ts'

export const RULES_PER_LIST_MAX = 500
export const FILTERS_PER_RULE_MAX = 32

const READINGS = ['auto', ...PAYLOAD_FORMS] as const

const text = z.string({ error: 'must be a text' }).min(1, { error: 'must not be empty' })
  .max(TEXT_LENGTH_MAX, { error: `must be at most ${TEXT_LENGTH_MAX} characters` })
const TEXTS = `must be a text, or a list of 1 to ${FILTERS_PER_RULE_MAX} texts`
const texts = z.union([text, z.array(text).max(FILTERS_PER_RULE_MAX)], { error: TEXTS })
  .refine(({ length }) => length > 0, { error: TEXTS })
const yes = z.literal(true, { error: 'must be true; leave it out otherwise' })
const flag = z.boolean({ error: 'must be true or false' })
const list = z.array(z.unknown(), { error: 'must be a list' })
const run = z.custom<(context: never) => unknown>(value => typeof value === 'function', {
  error: 'must be a function, which only a module (rulesModule) or a program can hold'
})
const oneOf = <const T extends readonly string[]> (words: T) => z.enum(words, {
  error: `must be one of ${words.join(', ')}`
})

export const NAMESPACE = z.strictObject({
  match: text, allow: flag.optional(), as: text.optional(), subscribe: texts.optional()
}, { error: shapeOf('a rule', '{ "match": "/admin", "allow": false }') })

export const EMIT = z.strictObject({
  namespace: text.optional(),
  event: text,
  topic: text.optional(),
  payload: oneOf(PAYLOAD_FORMS).optional(),
  args: list.optional(),
  value: z.unknown().optional(),
  qos: z.union([z.literal(0), z.literal(1)], { error: 'must be 0 or 1' }).optional(),
  retain: flag.optional(),
  echo: flag.optional(),
  id: text.optional(),
  subscribe: texts.optional(),
  unsubscribe: texts.optional(),
  list: z.union([z.literal(true), text], { error: 'must be true, or a filter with one {name}' }).optional(),
  ignore: yes.optional(),
  refuse: text.optional(),
  run: run.optional(),
  answer: oneOf(ANSWER_FORMS).optional(),
  example: z.array(z.unknown(), { error: 'must be a list of arguments, as the event has them' }).optional()
}, { error: shapeOf('a rule', '{ "event": "say", "topic": "chat/{0}" }') })

export const DELIVER = z.strictObject({
  namespace: text.optional(),
  topic: text,
  event: text.optional(),
  args: list.optional(),
  payload: oneOf(READINGS).optional(),
  proof: oneOf(PROOF_LEVELS).optional(),
  ignore: yes.optional(),
  run: run.optional(),
  example: z.unknown().refine(isJson, { error: 'must be a text, or a value that JSON can hold' }).optional()
}, { error: shapeOf('a rule', '{ "topic": "devices/{id}/telemetry", "event": "telemetry" }') })

const rules = z.array(z.unknown(), { error: 'must be a list of rules' })
  .refine(({ length }) => length <= RULES_PER_LIST_MAX, { error: `must be at most ${RULES_PER_LIST_MAX} rules` })
  .optional()

function isJson (value: unknown): boolean {
  try {
    return value === undefined || JSON.stringify(value) !== undefined
  } catch {
    return false
  }
}

/** Each rule by itself, so that all problems of all rules are told at once. */
export const RULES = z.strictObject({
  namespaces: rules, emit: rules, deliver: rules, defaults: flag.optional()
}, { error: shapeOf('an object', '{ "emit": [...], "deliver": [...] }') })

/** Of a key that is no setting told() says what there is. */
function shapeOf (what: string, example: string) {
  return (issue: { code?: string, keys?: unknown }) =>
    issue.code === 'unrecognized_keys' ? undefined : `must be ${what}, like ${example}`
}

type Issue = z.core.$ZodIssue

/** One line for each thing that is wrong. */
export function told (issue: Issue, value: unknown, path: string, schema: z.ZodObject): InnerProblem[] {
  const at = path + issue.path.map(step => typeof step === 'number' ? `[${step}]` : `.${String(step)}`).join('')
  if (issue.code === 'unrecognized_keys') {
    const known = Object.keys(schema.shape)
    return issue.keys.map(key => ({
      at: `${at}.${key.slice(0, 80)}`,
      says: `there is no such setting${didYouMean(key, known) || `; there is ${known.join(', ')}`}`
    }))
  }
  const found = issue.path.reduce<unknown>((inner, step) => (inner as Record<PropertyKey, unknown>)?.[step], value)
  return [{ at, says: found === undefined ? `is missing: it ${issue.message}` : `${shown(found)} ${issue.message}` }]
}
