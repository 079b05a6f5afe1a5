/** Who may do what, by rules as a configuration writes them. */
import t from 'tap'
import { defaultRules } from '../../broker/auth/rights/default-rules.ts'
import { RightsRules, type Person } from '../../broker/auth/rights/rights-rules.ts'
import type { Rights } from '../../broker/auth/rights.ts'
import type { ClientId, Principal } from '../../broker/model/message.ts'
import type { AccessOption, AccessRuleOption } from '../../config/access-rule.ts'
import { readAccess } from '../../config/access-rules.ts'
import { matches } from '../../broker/model/topics.ts'
import { chooseSeed, createRandom, type Random } from '../helpers/random.ts'

const CLIENT = 'c1' as ClientId

function person (principal: string, more: Partial<Person> = {}): Person {
  return { principal: principal as Principal, groups: [], by: 'users', grants: undefined, ...more }
}

const ANYBODY = person('anonymous', { by: 'anonymous' })

function rulesOf (access: AccessOption): RightsRules {
  const { rules, problems } = readAccess(access)
  if (problems.length > 0) throw new Error(JSON.stringify(problems))
  return new RightsRules({
    rules: [...rules, ...defaultRules({ adminGroup: 'admin', hasRules: rules.length > 0 })], grantsAnyFilter: false
  })
}

const publishes = (rights: Rights, topic: string): unknown => rights.mayPublish(CLIENT, topic)
const subscribes = (rights: Rights, filter: string): unknown => rights.maySubscribe(CLIENT, filter)
const reads = (rights: Rights, topic: string): unknown => rights.mayRead?.(CLIENT, topic)

t.test('the first rule decides that is for the person and the topic', async t => {
  const rules = rulesOf([
    { principal: 'boss', allow: 'all', topics: 'plans/#' },
    { everybody: true, deny: 'all', topics: 'plans/secret/#' },
    { group: 'staff', allow: ['subscribe'], topics: ['plans/#'] },
    { principal: ['u1', 'sensor-*', 'aba*ba'], allow: 'publish', topics: 'data/{principal}/+' }
  ])
  const boss = rules.rightsOf(person('boss'))
  const staff = rules.rightsOf(person('u7', { groups: ['staff'] }))
  t.ok(publishes(boss, 'plans/secret/x'))
  t.ok(subscribes(boss, 'plans/#'))
  t.notOk(publishes(staff, 'plans/x'))
  t.ok(subscribes(staff, 'plans/open/+'))
  t.notOk(subscribes(staff, 'plans/#'), 'plans/secret is a part of it')
  t.notOk(subscribes(staff, 'plans/+/x'))
  t.notOk(subscribes(rules.rightsOf(person('u7')), 'plans/open'))
  const sensor = rules.rightsOf(person('sensor-7'))
  t.ok(publishes(sensor, 'data/sensor-7/t'))
  t.notOk(publishes(sensor, 'data/sensor-8/t'))
  for (const [name, fits] of [
    ['xsensor-7', false], ['sensor-', true], ['aba', false], ['ababa', true], ['aba7ba', true]
  ]) {
    t.equal(publishes(rules.rightsOf(person(String(name))), `data/${name}/t`), fits, String(name))
  }
  t.equal(staff.mayRead, undefined, 'nothing to be asked at delivery')
})

t.test('a value that is filled in never widens a rule', async t => {
  const rules = rulesOf([
    { authenticated: true, allow: 'all', topics: ['own/{principal}/#', '{principal}/#', 'dev/x-{clientId}/#'] }
  ])
  for (const name of ['+', '#', 'a/b', 'a/+', '$SYS', '', 'a#', '\u0000']) {
    const rights = rules.rightsOf(person(name))
    for (const topic of ['own/a/x', 'own/a/b/x', `own/${name}/x`, 'a/b', '$SYS/x', 'own', 'own/']) {
      t.notOk(publishes(rights, topic), `${JSON.stringify(name)} ${topic}`)
      t.notOk(subscribes(rights, topic), `${JSON.stringify(name)} ${topic}`)
    }
    for (const filter of ['#', '+/#', 'own/#', 'own/+/#', '$SYS/#']) t.notOk(subscribes(rights, filter), filter)
    t.notOk(rights.maySubscribe(name as ClientId, 'dev/#'))
    t.notOk(rights.maySubscribe(name as ClientId, 'dev/+/x'))
    t.notOk(rights.mayPublish(name as ClientId, `dev/x-${name}/y`))
  }
  const odd = rules.rightsOf(person('u+1@example.com'))
  t.ok(subscribes(odd, 'io/_/user/u%2B1@example.com/+'), 'in topics of Socket.IO every name has its level')
  t.notOk(subscribes(odd, 'io/_/user/+/+'))
})

t.test('{clientId} is what the client gave, over Socket.IO too', async t => {
  const rights = rulesOf([{ everybody: true, allow: 'publish', topics: 'dev/{clientId}' }]).rightsOf(person('u1'))
  t.ok(rights.mayPublish('d7' as ClientId, 'dev/d7'))
  t.ok(rights.mayPublish('io:_:d7' as ClientId, 'dev/d7'))
  t.ok(rights.mayPublish('io:chat:d%3A7' as ClientId, 'dev/d:7'))
  t.notOk(rights.mayPublish('io:_:d7' as ClientId, 'dev/io:_:d7'))
  for (const none of ['io:_::abc', 'io:_:::abc:0']) t.notOk(rights.mayPublish(none as ClientId, 'dev/abc'), none)
})

t.test('with a read rule a wide filter is granted, and delivery asks', async t => {
  const rules = rulesOf([
    { everybody: true, deny: 'subscribe', topics: 'closed/#' },
    { everybody: true, deny: 'read', topics: 'data/secret/#' },
    { group: 'viewers', allow: 'read', topics: 'data/#' },
    { everybody: true, allow: 'subscribe', topics: 'news/#' }
  ])
  const viewer = rules.rightsOf(person('v', { groups: ['viewers'] }))
  t.ok(subscribes(viewer, 'data/#'))
  t.notOk(subscribes(viewer, '+/secret/+'), 'closed/secret is a part of it')
  t.notOk(subscribes(viewer, 'data/secret/+'), 'nothing of it may be read')
  t.notOk(subscribes(viewer, '#'), 'closed is a part of it, where nobody may subscribe')
  t.ok(subscribes(viewer, 'data/+/t'))
  t.notOk(subscribes(viewer, 'other/#'))
  for (const [topic, expected] of [
    ['data/1/t', true], ['data/secret/t', false], ['news/x', true], ['other', false], ['io/_/user/v/x', true],
    ['io/_/user/w/x', false]
  ] as const) t.equal(reads(viewer, topic), expected, topic)
  const all = rulesOf([{ everybody: true, allow: 'read', topics: ['#', '+/x'] }]).rightsOf(person('u'))
  t.same(['a/x', '$SYS/x'].map(topic => reads(all, topic)), [true, false], 'no wildcard matches $')
  const both = rulesOf([{ everybody: true, allow: ['subscribe', 'read'], topics: 'a/#' }]).rightsOf(person('u'))
  t.equal(both.mayRead, undefined, 'read beside subscribe says nothing more')
  t.notOk(subscribes(both, '#'))
})

t.test('without rules: one\'s own inbox, all and rooms over Socket.IO; everything elsewhere, but not for strangers',
  async t => {
    const u1 = rulesOf([]).rightsOf(person('u1'))
    for (const filter of ['io/_/all/+', 'io/_/user/u1/+', 'io/chat/room/r1/+', 'io/_/all/#', 'a/#', '$holdfast/gap']) {
      t.ok(subscribes(u1, filter), filter)
    }
    for (const filter of [
      '#', 'io/#', 'io/_/+/u1/x', 'io/_/user/u2/+', 'io/_/user/+/+', '+/_/user/u2/x', '$SYS/#', '$SYS/broker/uptime',
      '$holdfast/#', '+/+/#'
    ]) t.notOk(subscribes(u1, filter), filter)
    for (const topic of ['io/_/all/x', 'io/_/room/r1/x', 'a/b']) t.ok(publishes(u1, topic), topic)
    for (const topic of [
      'io/_/user/u1/x', 'io/_/user/u2/x', 'io/x', '$SYS/x', '$x', '$holdfast/gap', 'io/_/all/holdfast:closed'
    ]) t.notOk(publishes(u1, topic), topic)
    t.equal(u1.mayRead, undefined)
    const stranger = rulesOf([]).rightsOf(ANYBODY)
    t.ok(subscribes(stranger, 'io/_/all/+'))
    for (const filter of ['io/_/user/anonymous/+', 'a', '#']) t.notOk(subscribes(stranger, filter), filter)
    t.notOk(publishes(stranger, 'a'))
    const admin = rulesOf([]).rightsOf(person('a', { groups: ['admin'] }))
    t.ok(subscribes(admin, '$SYS/#'))
    t.notOk(publishes(admin, '$SYS/x'))
  })

t.test('with rules nothing else is allowed elsewhere, and $ and holdfast: stay the server\'s', async t => {
  const rules = rulesOf([{ everybody: true, allow: 'all', topics: '#' }, { anonymous: true, deny: 'all', topics: 'x' }])
  const u1 = rules.rightsOf(person('u1'))
  t.ok(publishes(u1, 'io/_/user/u2/x'), 'a rule allows it')
  t.ok(subscribes(u1, '#'))
  for (const topic of ['$SYS/x', '$any', 'io/_/room/r/holdfast:probe']) t.notOk(publishes(u1, topic), topic)
  t.notOk(subscribes(u1, '$SYS/#'), '# does not match it')
  const few = rulesOf([{ everybody: true, allow: 'all', topics: 'a' }]).rightsOf(person('u1'))
  t.notOk(publishes(few, 'b'))
  t.ok(publishes(few, 'io/_/all/x'))
  const closed = rulesOf([{ everybody: true, deny: 'all', topics: 'io/+/room/#' }]).rightsOf(person('u1'))
  t.notOk(subscribes(closed, 'io/_/room/r/+'))
})

t.test('what a proof grants stands in place of what the rules allow, not of what they deny', async t => {
  const rules = rulesOf([
    { everybody: true, deny: 'publish', topics: 'a/closed' }, { everybody: true, allow: 'all', topics: 'a/#' }
  ])
  const grants = { publish: ['a/{principal}', 'a/closed', 'b/#', '#/wrong', ''], subscribe: ['b/+'], read: ['c/#'] }
  const u1 = rules.rightsOf(person('u1', { grants }))
  for (const topic of ['a/u1', 'b/x']) t.ok(publishes(u1, topic), topic)
  for (const topic of ['a/closed', 'a/x', 'c/x', 'io/_/room/r/x', '#/wrong']) t.notOk(publishes(u1, topic), topic)
  for (const filter of ['b/+', 'b/x', 'io/_/user/u1/+', 'io/_/all/+']) t.ok(subscribes(u1, filter), filter)
  for (const filter of ['a/x', 'd/#', 'io/_/user/u2/+']) t.notOk(subscribes(u1, filter), filter)
  t.ok(subscribes(u1, '#'), 'by what it may read; delivery asks')
  t.same(['c/x', 'b/x', 'a/x', 'b/x/y', 'io/_/user/u1/e', 'io/_/user/u2/e'].map(topic => reads(u1, topic)),
    [true, true, false, false, true, false])
  const none = rules.rightsOf(person('u1', { grants: { publish: [] } }))
  t.notOk(publishes(none, 'a/x'))
  t.ok(subscribes(none, 'a/#'), 'a list that is left out is left to the rules')
  const open = rulesOf([]).rightsOf(person('u1', { grants: { publish: ['io/_/user/u2/hi'] } }))
  t.ok(publishes(open, 'io/_/user/u2/hi'), 'what no rule denies, but a default, a proof may grant')
})

const NAMES = ['a', 'b', 'u1']

function randomRules (random: Random): AccessRuleOption[] {
  return Array.from({ length: random.int(12) }, () => {
    const levels = Array.from({ length: random.between(1, 3) },
      () => random.pick([...NAMES, '+', '+', '{principal}', 'x-{clientId}']))
    if (random.int(3) === 0) levels.push('#')
    const verbs = random.pick(['publish', 'subscribe', 'all', ['publish', 'read']] as const)
    return {
      ...random.pick([{ principal: 'u1' }, { principal: ['u*', 'a'] }, { group: ['g1', 'g2'] }, { everybody: true },
        { anonymous: true }, { authenticated: true }] as const),
      ...(random.int(3) === 0 ? { deny: verbs } : { allow: verbs }),
      topics: levels.join('/')
    } as AccessRuleOption
  })
}

/** The rules as they read, one after the other. */
function byHand (access: AccessOption, who: Person, topic: string): boolean {
  const isAnonymous = who.by === 'anonymous'
  const rule = access.find(one => {
    const verbs = [one.allow ?? one.deny ?? []].flat()
    if (!verbs.includes('publish') && !verbs.includes('all')) return false
    const isFor = one.everybody ?? (one.anonymous === true
      ? isAnonymous
      : !isAnonymous && (one.authenticated ??
      (one.principal === 'u1'
        ? who.principal === 'u1'
        : one.principal !== undefined
          ? /^u/.test(who.principal) || who.principal === 'a'
          : who.groups.some(group => group === 'g1' || group === 'g2'))))
    if (!isFor) return false
    const filter = String(one.topics).replaceAll('{principal}', isAnonymous ? '\u0000' : who.principal)
      .replaceAll('{clientId}', CLIENT)
    return matches(filter, topic)
  })
  return rule?.allow !== undefined
}

t.test('a topic finds the rule that reading them one after the other finds', async t => {
  const random = createRandom(chooseSeed())
  t.comment(`seed ${random.seed}`)
  const people = [person('u1'), person('a', { groups: ['g2'] }), person('z', { groups: ['g3', 'g1'] }), person('z'),
    ANYBODY]
  let yes = 0
  for (let round = 0; round < 1_500; round++) {
    const access = randomRules(random)
    const rules = rulesOf(access.length === 0 ? [{ everybody: true, deny: 'all', topics: '#' }] : access)
    const who = random.pick(people)
    const rights = rules.rightsOf(who)
    for (let i = 0; i < 4; i++) {
      const topic = Array.from({ length: random.between(1, 4) }, () => random.pick([...NAMES, 'x-c1'])).join('/')
      const expected = byHand(access, who, topic)
      if (expected) yes++
      if (rights.mayPublish(CLIENT, topic) !== expected) {
        t.fail(`${topic} of ${JSON.stringify(who)} by ${JSON.stringify(access)}`)
      }
    }
  }
  t.ok(yes > 300, `${yes} were allowed`)
})
