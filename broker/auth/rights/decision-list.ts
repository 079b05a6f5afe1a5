/** The rules about one question, publishing or reading: which of them decides about a topic, and about a filter. */
import { AudienceIndex } from './audience-index.ts'
import { type Contained, type Decider, type Outcome, contained } from './containment.ts'
import { EntryTree } from './entry-tree.ts'
import type { RuleFilter, RightsRule } from './rule.ts'
import type { Subject } from './subject.ts'
import { fillFilter } from './template.ts'

export type Question = 'publish' | 'reading'

/** What becomes of a filter, with the rules behind it. */
export interface FilterDecision extends Omit<Contained, 'allowing' | 'against'> {
  readonly allowing: readonly RuleFilter[]
  readonly against: { readonly part: string, readonly entry: RuleFilter | undefined } | undefined
}

export class DecisionList {
  readonly #entries: readonly RuleFilter[]
  readonly #tree: EntryTree
  readonly #audiences = new AudienceIndex()

  constructor (rules: readonly RightsRule[], question: Question) {
    this.#entries = rules.filter(({ verbs }) => verbs.some(verb => (verb === 'publish') === (question === 'publish')))
      .flatMap(rule => rule.filters.map(filter => ({ rule, filter })))
    this.#tree = new EntryTree(this.#entries)
    for (const [place, { rule }] of this.#entries.entries()) this.#audiences.add(rule.audience, place)
  }

  /** What decides about a topic; undefined where nothing does. */
  decide (topic: string, subject: Subject): RuleFilter | undefined {
    return this.#entries[this.#tree.first(topic, subject)]
  }

  /** @param otherwise of what no rule is about */
  decideFilter (filter: string, subject: Subject, outcomeOf: (rule: RightsRule) => Outcome, otherwise: Outcome
  ): FilterDecision {
    const entries: RuleFilter[] = []
    const deciders: Decider[] = []
    for (const place of this.#audiences.all(subject)) {
      const entry = this.#entries[place]
      const levels = fillFilter(entry.filter, subject.value)
      if (levels === undefined) continue
      entries.push(entry)
      deciders.push({ levels, outcome: outcomeOf(entry.rule) })
    }
    const { outcomes, allowing, against, gaveUp } = contained(filter, deciders, otherwise)
    return {
      outcomes,
      gaveUp,
      allowing: [...allowing].sort((a, b) => a - b).map(place => entries[place]),
      against: against && {
        part: against.part, entry: against.place === undefined ? undefined : entries[against.place]
      }
    }
  }

  /** Is there a rule for somebody that delivery has to ask about? */
  filtersDelivery (subject: Subject): boolean {
    return this.#audiences.all(subject).some(place => isReadAlone(this.#entries[place].rule))
  }
}

/** Beside `subscribe`, for the same topics, `read` says nothing more. */
export function isReadAlone ({ verbs }: RightsRule): boolean {
  return verbs.includes('read') && !verbs.includes('subscribe')
}
