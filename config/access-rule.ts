/** Rules about who may do what: as somebody writes them, and as they were read. docs/access.md explains them. */
import type { TopicTemplate } from './rule.ts'

export const ACCESS_VERBS = ['publish', 'subscribe', 'read'] as const
export type AccessVerb = typeof ACCESS_VERBS[number]

/** `all`: publish and subscribe. */
export type AccessWord = AccessVerb | 'all'

/**
 * One rule. Of `principal`, `group`, `everybody`, `anonymous` and `authenticated` it has exactly one, and of `allow`
 * and `deny`.
 */
export interface AccessRuleOption {
  /** Names; `*` in one stands for any text. */
  readonly principal?: string | readonly string[]
  readonly group?: string | readonly string[]
  readonly everybody?: true
  /** Who shows nothing, and is let in all the same. */
  readonly anonymous?: true
  /** Everybody who has shown who they are. */
  readonly authenticated?: true
  readonly allow?: AccessWord | readonly AccessWord[]
  readonly deny?: AccessWord | readonly AccessWord[]
  /** Topic filters with `{principal}` and `{clientId}`. */
  readonly topics: string | readonly string[]
}

/** The option `access`: in a list of rules the first one decides that is for the person and the topic. */
export type AccessOption = readonly AccessRuleOption[]

export interface AccessRule {
  /** For messages: `access[3]`. */
  readonly at: string
  readonly effect: 'allow' | 'deny'
  readonly verbs: readonly AccessVerb[]
  readonly audience:
    | { readonly kind: 'everybody' | 'anonymous' | 'authenticated' }
    | { readonly kind: 'principal', readonly names: readonly string[], readonly patterns: readonly string[] }
    | { readonly kind: 'group', readonly names: readonly string[] }
  readonly filters: readonly TopicTemplate[]
}
