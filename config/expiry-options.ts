/** How long messages last. */
import { z } from 'zod'
import { AGE_MS_MAX, structure, type InnerProblem } from './option.ts'
import { shown } from './shown.ts'
import { count } from './units.ts'

export interface ExpiryRuleOption {
  /** Topics, as a subscription names them. */
  readonly filter: string
  readonly expiryMs: number
}

const RULES_MAX = 1_000
const EXAMPLE = '{ "filter": "sensors/#", "expiryMs": 60000 }'

const RULE = z.strictObject({
  filter: z.string().min(1).max(1_876),
  expiryMs: z.int().min(1).max(AGE_MS_MAX)
})

/** What is wrong with a value of the option. */
export function wrongExpiry (value: unknown): readonly InnerProblem[] {
  if (!Array.isArray(value) || value.length > RULES_MAX) {
    return [{ at: '', says: `must be a list of at most ${RULES_MAX} rules, each like ${EXAMPLE}` }]
  }
  return value.flatMap((rule: unknown, n): InnerProblem[] => {
    const shape = RULE.safeParse(rule)
    const at = `[${n}]`
    if (!shape.success) {
      return [{ at, says: `is ${shown(rule)}, must be like ${EXAMPLE}, expiryMs from 1 to ${count(AGE_MS_MAX)}` }]
    }
    return isFilter(shape.data.filter) ? [] : [{ at: `${at}.filter`, says: FILTER }]
  })
}

const FILTER = 'must be a topic filter: + alone in its level, # alone in the last one'

function isFilter (filter: string): boolean {
  const levels = filter.split('/')
  const last = levels.length - 1
  return levels.every((level, n) => !/[+#\0]/.test(level) || level === '+' || (level === '#' && n === last))
}

export const EXPIRY_OPTIONS = {
  messageExpiry: structure<readonly ExpiryRuleOption[]>('log', wrongExpiry, 'a list of rules', [],
    'How long messages last whose publisher does not say it: a list of rules, each with a filter and expiryMs. The ' +
    'first that matches the topic decides; without one a message lasts for ever. A message whose time is over is ' +
    'delivered to nobody and leaves the log, retained ones too [G9].')
} as const
