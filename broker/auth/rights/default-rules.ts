/**
 * What holds after all rules. In the topics of Socket.IO everybody reads and writes `all` of a namespace and its rooms,
 * and reads their own inbox; nobody writes to an inbox. Where there are no rules at all, whoever has shown who they are
 * may do everything elsewhere, as with any broker that has users and no rules.
 */
import { GAP_TOPIC } from '../../model/topics.ts'
import type { Audience, RightsRule, Verb } from './rule.ts'
import { parseFilter } from './template.ts'

const EVERYBODY: Audience = { kind: 'everybody' }
const AUTHENTICATED: Audience = { kind: 'authenticated' }

/** Without these nobody comes in over Socket.IO, or hears what they lost [G5]; a proof need not grant them. */
export const COMMON: readonly RightsRule[] = [
  rule('default: all of a namespace', 'allow', ['subscribe'], EVERYBODY, 'io/+/all/#'),
  rule('default: the own inbox', 'allow', ['subscribe'], AUTHENTICATED, 'io/+/user/{principal}/#'),
  rule('default: the own gaps', 'allow', ['subscribe'], EVERYBODY, GAP_TOPIC)
]

export function defaultRules (options: { readonly adminGroup: string, readonly hasRules: boolean }): RightsRule[] {
  const admins: Audience = { kind: 'group', names: [options.adminGroup] }
  const own = [
    ...COMMON,
    rule('default: rooms', 'allow', ['subscribe', 'publish'], EVERYBODY, 'io/+/room/#'),
    rule('default: all of a namespace', 'allow', ['publish'], EVERYBODY, 'io/+/all/#'),
    rule('default: administrators', 'allow', ['subscribe'], admins, '$SYS/#')
  ]
  if (options.hasRules) return own
  return [
    ...own,
    rule('default: nobody else\'s inbox', 'deny', ['subscribe', 'publish'], EVERYBODY, 'io/#'),
    rule('default: there are no rules', 'allow', ['subscribe', 'publish'], AUTHENTICATED, '#')
  ]
}

function rule (
  at: string, effect: RightsRule['effect'], verbs: readonly Verb[], audience: Audience, filter: string
): RightsRule {
  return { at, effect, verbs, audience, filters: [parseFilter(filter)], isDefault: true }
}
