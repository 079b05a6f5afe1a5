/** `holdfast check --as NAME`: may somebody do something, and by which rule. Starts nothing. */
import {
  BY_ANONYMOUS, ANONYMOUS, HoldfastError, checkFilter, checkTopic, filterBehind, showFilter,
  type ClientId, type RuleFilter, type Principal, type RightsRule, type SubscribeDecision, type TopicDecision
} from '../broker/index.ts'
import { type CommandLine, loadConfig } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import { Access } from '../server/access.ts'
import { UsageError } from './usage.ts'

const ASKS = '--as'

const QUESTIONS = ['publish', 'subscribe', 'read'] as const
type Question = typeof QUESTIONS[number]

interface Asked {
  readonly principal: string
  readonly groups: readonly string[]
  readonly clientId: string
  readonly question: Question
  readonly topic: string
  /** Flags that are options of the configuration. */
  readonly args: readonly string[]
}

export interface Explained {
  readonly allowed: boolean
  /** For standard output. */
  readonly text: string
}

/** @throws ConfigError, UsageError */
export async function explain (line: CommandLine): Promise<Explained> {
  const asked = readAsked(line.args)
  const { config } = loadConfig({ ...line, args: asked.args })
  checkTopics(asked, config)
  const access = await Access.open(config)
  const { principal, groups, clientId, question, topic } = asked
  const rights = access.rightsOf({
    principal: principal as Principal,
    groups,
    by: principal === ANONYMOUS ? BY_ANONYMOUS : 'the command',
    grants: undefined
  })
  const who = { principal, clientId: clientId as ClientId }
  const { allowed, why } = question === 'subscribe'
    ? filterAnswer(rights.decideFilter(who.clientId, filterBehind(topic)))
    : topicAnswer(rights.decideTopic(question, who.clientId, topic), question)
  const says = `${JSON.stringify(principal)}${groups.length === 0 ? '' : ` (${groups.join(', ')})`} ` +
    `may ${allowed ? '' : 'not '}${WORDS[question]} ${JSON.stringify(topic)}`
  return { allowed, text: [`${allowed ? 'yes' : 'no'}: ${says}`, ...why.map((reason) => `  ${reason}`), ''].join('\n') }
}

const WORDS: Readonly<Record<Question, string>> = { publish: 'publish to', subscribe: 'subscribe to', read: 'read' }

function topicAnswer ({ allowed, isServers, rule }: TopicDecision, question: Question): Answer {
  if (isServers) return { allowed, why: ['nobody but the server writes to $... or sends events called holdfast:...'] }
  return { allowed, why: [rule === undefined ? NO_RULE : describe(rule, question)] }
}

interface Answer { readonly allowed: boolean, readonly why: readonly string[] }

const NO_RULE = 'no rule allows it'
const TOO_MANY = 'too many rules are about parts of it; ask for less, or write fewer rules'

function filterAnswer ({ allowed, isPartial, rules }: SubscribeDecision): Answer {
  const by = distinct(rules.allowing).map((entry) => describe(entry, 'subscribe'))
  if (allowed && !isPartial) return { allowed, why: by }
  if (rules.gaveUp) return { allowed, why: [TOO_MANY] }
  const { part, entry } = rules.against!
  const against = entry === undefined ? NO_RULE : describe(entry, 'subscribe')
  if (allowed) {
    return { allowed, why: [...by, `delivery leaves out what may not be read, as ${part}: ${against}`] }
  }
  return { allowed, why: [`${part} is a part of it: ${against}`] }
}

function distinct (entries: readonly RuleFilter[]): RuleFilter[] {
  return entries.filter((entry, index) => entries.findIndex(({ rule }) => rule === entry.rule) === index)
}

function describe ({ rule, filter }: RuleFilter, question: Question): string {
  const verbs = rule.verbs.filter((verb) => (verb === 'publish') === (question === 'publish'))
  return `${rule.at}: ${rule.effect} ${verbs.join(', ')} for ${audience(rule)}, ${showFilter(filter)}`
}

function audience ({ audience }: RightsRule): string {
  switch (audience.kind) {
    case 'principal': return [...audience.names, ...audience.patterns ?? []].slice(0, 3).join(', ')
    case 'group': return `group ${audience.names.slice(0, 3).join(', ')}`
    default: return audience.kind
  }
}

function readAsked (args: readonly string[]): Asked {
  const own = new Map<string, string>()
  const rest: string[] = []
  for (let i = 0; i < args.length; i++) {
    const [name, inline] = splitFlag(args[i])
    if (!OWN_FLAGS.includes(name)) {
      rest.push(args[i])
      continue
    }
    const value = inline ?? args[++i]
    if (value === undefined || value === '' || (inline === undefined && value.startsWith('--'))) {
      throw new UsageError(`check: ${name} needs a value`)
    }
    if (own.has(name)) throw new UsageError(`check: ${name} is given twice`)
    own.set(name, value)
  }
  const set = QUESTIONS.filter((question) => own.has(`--${question}`))
  if (set.length !== 1) throw new UsageError(`check: ${ASKS} needs exactly one of --publish, --subscribe and --read`)
  const [question] = set
  return {
    principal: own.get(ASKS)!,
    groups: own.get('--groups')?.split(',').map((group) => group.trim()) ?? [],
    clientId: own.get('--client-id') ?? own.get(ASKS)!,
    question,
    topic: own.get(`--${question}`)!,
    args: rest
  }
}

const OWN_FLAGS = [ASKS, '--groups', '--client-id', ...QUESTIONS.map((question) => `--${question}`)]

function splitFlag (arg: string): [string, string | undefined] {
  const end = arg.indexOf('=')
  return arg.startsWith('--') && end > 0 ? [arg.slice(0, end), arg.slice(end + 1)] : [arg, undefined]
}

/** @throws UsageError where nobody could ask the server for it */
function checkTopics ({ question, topic }: Asked, config: Config): void {
  try {
    if (question === 'subscribe') checkFilter(topic, config, true)
    else checkTopic(topic, config, true)
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error
    throw new UsageError(`check: --${question} ${error.message}`)
  }
}
