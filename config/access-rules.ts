/** The option `access`: what is wrong with a value of it, and the rules as the broker takes them. */
import { z } from 'zod'
import { ACCESS_VERBS, type AccessRule, type AccessRuleOption, type AccessWord } from './access-rule.ts'
import type { InnerProblem } from './option.ts'
import type { TopicTemplate } from './rule.ts'
import { told } from './rule-schema.ts'
import { TEXT_LENGTH_MAX, TextError, parseTopicTemplate } from './rule-text.ts'
import { shown } from './shown.ts'

export const ACCESS_RULES_MAX = 10_000
const TEXTS_PER_RULE_MAX = 1_000

const EXAMPLE = '{ "group": "staff", "allow": "publish", "topics": "news/#" }'
const WORDS = [...ACCESS_VERBS, 'all'] as const
const AUDIENCES = ['principal', 'group', 'everybody', 'anonymous', 'authenticated'] as const
const HOLES = { known: ['principal', 'clientId'], captured: [], args: false, ofServer: true }

const text = z.string({ error: 'must be a text' }).min(1, { error: 'must not be empty' })
  .max(TEXT_LENGTH_MAX, { error: `must be at most ${TEXT_LENGTH_MAX} characters` })
const word = z.enum(WORDS, { error: `must be one of ${WORDS.join(', ')}` })
const yes = z.literal(true, { error: 'must be true; leave it out otherwise' })
const some = <T extends z.ZodType> (one: T, what: string) => {
  const error = `must be ${what}, or a list of 1 to ${TEXTS_PER_RULE_MAX} of them`
  return z.union([one, z.array(one).min(1).max(TEXTS_PER_RULE_MAX)], { error })
}

const RULE = z.strictObject({
  principal: some(text, 'a text').optional(),
  group: some(text, 'a text').optional(),
  everybody: yes.optional(),
  anonymous: yes.optional(),
  authenticated: yes.optional(),
  allow: some(word, `one of ${WORDS.join(', ')}`).optional(),
  deny: some(word, `one of ${WORDS.join(', ')}`).optional(),
  topics: some(text, 'a topic filter')
}, {
  error: ({ code }: { code?: string }) => code === 'unrecognized_keys' ? undefined : `must be a rule, like ${EXAMPLE}`
})

export interface ReadAccess {
  readonly rules: readonly AccessRule[]
  readonly problems: readonly InnerProblem[]
}

/** The rules in a value from outside, and what is wrong with it; with a problem there are no rules. */
export function readAccess (value: unknown): ReadAccess {
  if (!Array.isArray(value) || value.length > ACCESS_RULES_MAX) {
    const says = Array.isArray(value) ? `${value.length} are too many rules` : `${shown(value)} is no list`
    const must = `it must be a list of at most ${ACCESS_RULES_MAX} rules, like [${EXAMPLE}]`
    return { rules: [], problems: [{ at: '', says: `${says}: ${must}` }] }
  }
  const problems: InnerProblem[] = []
  const rules = value.flatMap((rule: unknown, index) => {
    const shape = RULE.safeParse(rule)
    if (shape.success) return [readRule(shape.data, index, problems)]
    problems.push(...shape.error.issues.flatMap(issue => told(issue, rule, `[${index}]`, RULE)))
    return []
  })
  return problems.length === 0 ? { rules, problems } : { rules: [], problems }
}

function readRule (rule: AccessRuleOption, index: number, problems: InnerProblem[]): AccessRule {
  const wrong = (setting: string, says: string): void => {
    problems.push({ at: `[${index}]${setting === '' ? '' : `.${setting}`}`, says })
  }
  const kind = oneOf(rule, AUDIENCES, wrong) ?? 'everybody'
  const effect = oneOf(rule, ['allow', 'deny'], wrong) ?? 'deny'
  const words = listOf<AccessWord>(rule[effect] ?? [])
  const texts = listOf(rule.topics)
  return {
    at: `access[${index}]`,
    effect,
    verbs: ACCESS_VERBS.filter(verb => words.includes(verb) || (verb !== 'read' && words.includes('all'))),
    audience: audienceOf(kind, rule),
    filters: texts.map((one, at) => {
      const path = typeof rule.topics === 'string' ? 'topics' : `topics[${at}]`
      if (effect === 'allow' && words.includes('publish') && one.startsWith('$')) {
        wrong(path, `${shown(one)}: nobody but the server publishes to $...`)
      }
      return filterOf(one, says => { wrong(path, says) })
    })
  }
}

function audienceOf (kind: typeof AUDIENCES[number], rule: AccessRuleOption): AccessRule['audience'] {
  if (kind === 'principal') {
    const names = listOf(rule.principal ?? [])
    return {
      kind, names: names.filter(name => !name.includes('*')), patterns: names.filter(name => name.includes('*'))
    }
  }
  return kind === 'group' ? { kind, names: listOf(rule.group ?? []) } : { kind }
}

function filterOf (text: string, wrong: (says: string) => void): TopicTemplate {
  if (/^\$share\//.test(text)) {
    wrong(`${shown(text)}: leave out $share/GROUP/; the filter behind it is what is asked for`)
    return []
  }
  try {
    return parseTopicTemplate(text, HOLES, true)
  } catch (error) {
    if (!(error instanceof TextError)) throw error
    wrong(error.message)
    return []
  }
}

/** Exactly one of them is set. */
function oneOf<Setting extends keyof AccessRuleOption> (
  rule: AccessRuleOption, settings: readonly Setting[], wrong: (setting: string, says: string) => void
): Setting | undefined {
  const set = settings.filter(name => rule[name] !== undefined)
  if (set.length === 1) return set[0]
  const needs = `needs exactly one of ${settings.join(', ')}`
  wrong('', set.length === 0 ? needs : `${needs}, and has ${set.join(' and ')}`)
  return undefined
}

function listOf<T extends string> (value: T | readonly T[]): readonly T[] {
  return typeof value === 'string' ? [value] : value
}
