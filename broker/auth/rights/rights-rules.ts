/** Rights by rules: made once of all rules, then asked for everybody. */
import type { ClientId } from '../../model/message.ts'
import { misplacedWildcard } from '../../model/topics.ts'
import type { Grants, Known } from '../identity.ts'
import type { Rights } from '../rights.ts'
import type { Outcome } from './containment.ts'
import { DecisionList, type FilterDecision, type Question } from './decision-list.ts'
import { COMMON } from './default-rules.ts'
import type { RuleFilter, RightsRule, Verb } from './rule.ts'
import { Subject } from './subject.ts'
import { parseFilter } from './template.ts'

export interface RightsRulesOptions {
  /** In their order, the defaults last. */
  readonly rules: readonly RightsRule[]
  /** Delivery alone decides, as with an ACL file of mosquitto: a filter is granted even where nothing of it is read. */
  readonly grantsAnyFilter: boolean
}

/** Whose rights are asked for; what an authenticator knows, or somebody made up. */
export type Person = Pick<Known, 'principal' | 'groups' | 'by' | 'grants'>

/** About a topic: what decides, of the rules and of the proof; undefined where nothing does. */
export interface TopicDecision {
  readonly allowed: boolean
  /** Nobody but the server writes there. */
  readonly isServers: boolean
  readonly rule: RuleFilter | undefined
  readonly granted: { readonly by: RuleFilter | undefined } | undefined
}

export interface SubscribeDecision {
  readonly allowed: boolean
  /** Not all of it is read; delivery leaves out the rest. */
  readonly isPartial: boolean
  readonly rules: FilterDecision
  readonly granted: FilterDecision | undefined
}

export class RightsRules {
  readonly #publish: DecisionList
  readonly #reading: DecisionList
  readonly #grantsAnyFilter: boolean

  constructor ({ rules, grantsAnyFilter }: RightsRulesOptions) {
    this.#publish = new DecisionList(rules, 'publish')
    this.#reading = new DecisionList(rules, 'reading')
    this.#grantsAnyFilter = grantsAnyFilter
  }

  rightsOf (person: Person): RuledRights {
    return new RuledRights({
      person, publish: this.#publish, reading: this.#reading, grantsAnyFilter: this.#grantsAnyFilter
    })
  }
}

interface Ruled {
  readonly person: Person
  readonly publish: DecisionList
  readonly reading: DecisionList
  readonly grantsAnyFilter: boolean
}

export class RuledRights implements Rights {
  readonly #lists: Record<Question, DecisionList>
  /** What the proof grants, in place of what the rules allow. */
  readonly #grants: Record<Question, DecisionList | undefined>
  readonly #subject: Subject
  readonly #grantsAnyFilter: boolean
  readonly mayRead: Rights['mayRead']

  constructor ({ person, publish, reading, grantsAnyFilter }: Ruled) {
    this.#lists = { publish, reading }
    this.#grants = grantLists(person)
    this.#subject = new Subject(person)
    this.#grantsAnyFilter = grantsAnyFilter
    if (grantsAnyFilter || person.grants?.read !== undefined || reading.filtersDelivery(this.#subject)) {
      this.mayRead = (clientId, topic) => this.#decide('reading', clientId, topic)
    }
  }

  mayPublish (clientId: ClientId, topic: string): boolean {
    return !isServers(topic) && this.#decide('publish', clientId, topic)
  }

  maySubscribe (clientId: ClientId, filter: string): boolean {
    return this.decideFilter(clientId, filter).allowed
  }

  #decide (question: Question, clientId: string, topic: string): boolean {
    const subject = this.#subject.with(clientId)
    return isAllowed(this.#lists[question].decide(topic, subject)?.rule,
      this.#grants[question] && { by: this.#grants[question].decide(topic, subject) })
  }

  /** The same with the reason. */
  decideTopic (verb: Exclude<Verb, 'subscribe'>, clientId: string, topic: string): TopicDecision {
    const question = verb === 'read' ? 'reading' : 'publish'
    const subject = this.#subject.with(clientId)
    const rule = this.#lists[question].decide(topic, subject)
    const list = this.#grants[question]
    const granted = list && { by: list.decide(topic, subject) }
    const servers = verb === 'publish' && isServers(topic)
    return { allowed: !servers && isAllowed(rule?.rule, granted), isServers: servers, rule, granted }
  }

  /** A filter is granted where all of it is allowed, or where delivery asks, and there is something to be read. */
  decideFilter (clientId: string, filter: string): SubscribeDecision {
    const subject = this.#subject.with(clientId)
    const list = this.#grants.reading
    const rules = list === undefined
      ? this.#lists.reading.decideFilter(filter, subject, outcomeOf, 'drop')
      : this.#lists.reading.decideFilter(filter, subject, heldAgainst, 'yes')
    const granted = list?.decideFilter(filter, subject, outcomeOf, 'drop')
    const decisions = granted === undefined ? [rules] : [rules, granted]
    const isWhole = decisions.every(({ outcomes }) => outcomes.size === 1 && outcomes.has('yes'))
    const readsAny = decisions.every(({ outcomes }) => outcomes.has('yes')) ||
      (this.#grantsAnyFilter && !filter.startsWith('$'))
    const isPartial = !isWhole && this.mayRead !== undefined && readsAny &&
      decisions.every(({ outcomes }) => !outcomes.has('no'))
    return { allowed: isWhole || isPartial, isPartial, rules, granted }
  }
}

/** A grant stands in place of what the rules allow; what they deny holds all the same. */
function isAllowed (rule: RightsRule | undefined, granted: TopicDecision['granted']): boolean {
  if (granted === undefined) return rule?.effect === 'allow'
  return granted.by !== undefined && (rule === undefined || heldAgainst(rule) === 'yes')
}

function outcomeOf (rule: RightsRule): Outcome {
  return rule.effect === 'allow' ? 'yes' : rule.verbs.includes('subscribe') ? 'no' : 'drop'
}

function heldAgainst (rule: RightsRule): Outcome {
  return rule.isDefault === true ? 'yes' : outcomeOf(rule)
}

/** `$...`, and events of the server's own. */
function isServers (topic: string): boolean {
  if (topic.startsWith('$')) return true
  return topic.startsWith('io/') && topic.startsWith('holdfast:', topic.lastIndexOf('/') + 1)
}

function grantLists ({ grants, by }: Person): Record<Question, DecisionList | undefined> {
  if (grants === undefined) return { publish: undefined, reading: undefined }
  const { publish, subscribe, read } = grants
  return {
    publish: publish && new DecisionList([grantRule(by, 'publish', publish)], 'publish'),
    reading: subscribe === undefined && read === undefined
      ? undefined
      : new DecisionList(
        [grantRule(by, 'subscribe', subscribe ?? []), grantRule(by, 'read', read ?? []), ...COMMON], 'reading')
  }
}

/** What is no filter grants nothing. */
function grantRule (by: string, verb: Verb, filters: NonNullable<Grants[Verb]>): RightsRule {
  return {
    at: `the proof (${by})`,
    effect: 'allow',
    verbs: [verb],
    audience: { kind: 'everybody' },
    filters: filters.filter(filter => filter !== '' && misplacedWildcard(filter) === undefined).map(parseFilter)
  }
}
