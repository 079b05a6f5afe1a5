/**
 * A rule about who may do what, whatever it was written in: the option `access`, an ACL file, a token, the defaults.
 * In a list of rules the first one decides that is for the person and the topic.
 */

export type Verb = 'publish' | 'subscribe' | 'read'

/** A name that is filled in: `principal` or `clientId`; any other one fits nothing. */
export interface Hole { readonly name: string | number }

/** A topic filter by level; a level is text with holes. `+` and `#` are what they are only where they are written. */
export type FilterTemplate = ReadonlyArray<ReadonlyArray<string | Hole>>

export type Audience =
  | { readonly kind: 'everybody' }
  /** Who showed nothing, and was let in all the same. */
  | { readonly kind: 'anonymous' }
  /** Everybody else. */
  | { readonly kind: 'authenticated' }
  /** In patterns `*` stands for any text. */
  | { readonly kind: 'principal', readonly names: readonly string[], readonly patterns?: readonly string[] }
  | { readonly kind: 'group', readonly names: readonly string[] }

export interface RightsRule {
  /** Where it stands, for people: `access[3]`, `acl.txt:12`. */
  readonly at: string
  readonly effect: 'allow' | 'deny'
  /**
   * `subscribe` is to subscribe and to get what comes; `read` is to get it where the filter is wider than that: then
   * the subscription is granted, and delivery leaves out the rest.
   */
  readonly verbs: readonly Verb[]
  readonly audience: Audience
  readonly filters: readonly FilterTemplate[]
  /** Nobody wrote it: what a proof grants goes before. */
  readonly isDefault?: boolean
}

/** One filter of a rule, at its place among all. */
export interface RuleFilter {
  readonly rule: RightsRule
  readonly filter: FilterTemplate
}
