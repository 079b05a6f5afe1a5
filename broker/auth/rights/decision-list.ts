/** The rules about one question, publishing or reading: which of them decides about a topic, and about a filter. */
import { AudienceIndex } from './audience-index.ts'
import { type Contained, type Decider, type Outcome, contained } from './containment.ts'
import { EntryTree } from './entry-tree.ts'
import type { RuleFilter, RightsRule } from './rule.ts'
import type { Subject } from './subject.ts'
import { fillFilter, fixedLevel } from './template.ts'

export type Question = 'publish' | 'reading'

/** What becomes of a filter, with the rules behind it. */
export interface FilterDecision extends Omit<Contained, 'allowing' | 'against'> {
  readonly allowing: readonly RuleFilter[]
  readonly against: { readonly part: string, readonly entry: RuleFilter | undefined } | undefined
}

export class DecisionList {
  readonly #entries: readonly RuleFilter[]
  readonly #tree: EntryTree
  /** The levels of filters that have nothing to fill in. */
  readonly #fixed: ReadonlyArray<readonly string[] | undefined>
  readonly #audiences = new AudienceIndex()
  /** Of rules that delivery has to ask about. */
  readonly #readers = new AudienceIndex()

  constructor (rules: readonly RightsRule[], question: Question) {
    this.#entries = rules.filter(({ verbs }) => verbs.some(verb => (verb === 'publish') === (question === 'publish')))
      .flatMap(rule => rule.filters.map(filter => ({ rule, filter })))
    this.#tree = new EntryTree(this.#entries)
    this.#fixed = this.#entries.map(({ filter }) => allOf(filter.map(fixedLevel)))
    for (const [place, { rule }] of this.#entries.entries()) {
      this.#audiences.add(rule.audience, place)
      if (isReadAlone(rule)) this.#readers.add(rule.audience, place)
    }
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
    const asked = filter.split('/')
    for (const place of this.#audiences.all(subject)) {
      const entry = this.#entries[place]
      const levels = this.#fixed[place] ?? fillFilter(entry.filter, subject.value)
      if (levels === undefined || !meet(levels, asked)) continue
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
    return this.#readers.first(subject) < Infinity
  }
}

function allOf (levels: ReadonlyArray<string | undefined>): readonly string[] | undefined {
  return levels.every(level => level !== undefined) ? levels as readonly string[] : undefined
}

/** False where no topic can match both: most rules are about something else. */
function meet (levels: readonly string[], others: readonly string[]): boolean {
  for (let i = 0; i < levels.length && i < others.length; i++) {
    const [level, other] = [levels[i], others[i]]
    if (level === '#' || other === '#') return true
    if (level !== other && level !== '+' && other !== '+') return false
  }
  return true
}

/** Beside `subscribe`, for the same topics, `read` says nothing more. */
export function isReadAlone ({ verbs }: RightsRule): boolean {
  return verbs.includes('read') && !verbs.includes('subscribe')
}
