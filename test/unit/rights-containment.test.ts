/** What a filter can match is allowed, or not: against every topic of a small world, asked one by one. */
import t from 'tap'
import { type Decider, type Outcome, contained } from '../../broker/auth/rights/containment.ts'
import { matches } from '../../broker/model/topics.ts'
import { chooseSeed, createRandom, type Random } from '../helpers/random.ts'

const LEVELS_MAX = 3
/** Names that rules and filters have. */
const NAMES = ['a', 'b', '', '$s']
/** Topics have one name, and one level, more: there is always another one. */
const TOPICS = topics(LEVELS_MAX + 1, [...NAMES, 'other']).filter(topic => topic !== '')
const OUTCOMES: readonly Outcome[] = ['yes', 'yes', 'yes', 'drop', 'no']

function topics (levels: number, names: readonly string[]): string[] {
  if (levels === 1) return [...names]
  const shorter = topics(levels - 1, names)
  return [...shorter, ...shorter.filter(topic => topic.split('/').length === levels - 1)
    .flatMap(topic => names.map(name => `${topic}/${name}`))]
}

function randomFilter (random: Random): string {
  const levels = Array.from({ length: random.between(1, LEVELS_MAX) },
    () => random.int(3) === 0 ? '+' : random.pick(NAMES))
  if (random.int(2) === 0) levels[levels.length - 1] = '#'
  const filter = levels.join('/')
  return filter === '' ? '#' : filter
}

function byHand (filter: string, rules: ReadonlyArray<{ filter: string, outcome: Outcome }>): Set<Outcome> {
  return new Set(TOPICS.filter(topic => matches(filter, topic))
    .map(topic => rules.find(rule => matches(rule.filter, topic))?.outcome ?? 'drop'))
}

t.test('what becomes of a filter is what becomes of all the topics that it matches', async t => {
  const random = createRandom(chooseSeed())
  t.comment(`seed ${random.seed}`)
  const counts = { yes: 0, drop: 0, no: 0, mixed: 0 }
  for (let round = 0; round < 3_000; round++) {
    const rules = Array.from({ length: random.int(7) }, () => ({
      filter: randomFilter(random), outcome: random.pick(OUTCOMES)
    }))
    const filter = randomFilter(random)
    const deciders: Decider[] = rules.map(({ filter, outcome }) => ({ levels: filter.split('/'), outcome }))
    const { outcomes, against, gaveUp } = contained(filter, deciders, 'drop')
    const expected = byHand(filter, rules)
    const says = `${filter} of ${JSON.stringify(rules)}`
    counts[expected.size > 1 ? 'mixed' : [...expected][0]]++
    if (gaveUp) t.fail(`gave up: ${says}`)
    if (outcomes.has('no') !== expected.has('no')) t.fail(`no: ${says}`)
    // with a no the others need not be found
    else if (!expected.has('no') && !sameSet(outcomes, expected)) t.fail(`${[...outcomes].join()}: ${says}`)
    const isWhole = expected.size === 1 && expected.has('yes')
    if ((against === undefined) !== isWhole) t.fail(`what is against it: ${says}`)
  }
  t.ok(Math.min(...Object.values(counts)) > 200, `all kinds came up: ${JSON.stringify(counts)}`)
})

t.test('several rules together allow what none allows alone', async t => {
  const yes = (...filters: string[]): Decider[] =>
    filters.map(filter => ({ levels: filter.split('/'), outcome: 'yes' }))
  const whole = (filter: string, ...filters: string[]): boolean => {
    const { outcomes } = contained(filter, yes(...filters), 'drop')
    return outcomes.size === 1 && outcomes.has('yes')
  }
  t.ok(whole('a/#', 'a', 'a/+', 'a/+/+/#'))
  t.notOk(whole('a/#', 'a/+', 'a/+/+/#'), 'a itself is missing')
  t.notOk(whole('+/x', 'a/x', 'b/x'), 'there is always another name')
})

t.test('a list that is too long to walk proves nothing: the filter is refused, in bounded work', async t => {
  // each level doubles what has to be told apart
  const levels = 24
  const deciders: Decider[] = Array.from({ length: levels }, (_, index) => ({
    levels: [...Array.from({ length: levels }, (_, at) => at === index ? 'x' : '+'), '#'], outcome: 'no'
  }))
  deciders.unshift({ levels: [...Array.from({ length: levels }, () => '+'), 'ok'], outcome: 'yes' })
  const filter = [...Array.from({ length: levels }, () => '+'), 'ok', '+'].join('/')
  const { outcomes, gaveUp } = contained(filter, deciders.map(one => ({ ...one, outcome: 'drop' as const })), 'drop')
  t.ok(gaveUp)
  t.ok(outcomes.has('no'))
})

function sameSet (one: ReadonlySet<unknown>, other: ReadonlySet<unknown>): boolean {
  return one.size === other.size && [...one].every(value => other.has(value))
}
