/** The option `access`: what is wrong with it is told rule by rule, with what to do. */
import t from 'tap'
import { ACCESS_RULES_MAX, readAccess } from '../../config/access-rules.ts'

const ok = { everybody: true, allow: 'publish', topics: 'a' }

t.test('each mistake is told where it stands, all of them at once', async t => {
  const lines = readAccess([
    ok,
    { principal: 'u1', group: 'g', allow: 'publish', topics: 'a' },
    { everybody: true, topics: 'a' },
    { everybody: true, allow: 'publish', deny: 'read', topics: 'a' },
    { everybody: true, allow: 'write', topics: 'a' },
    { everybody: true, allow: 'all' },
    { everybody: false, allow: 'all', topics: 'a' },
    { everybody: true, allow: 'all', topics: ['a', 'a/#/b', 'x/{user}', '$share/g/a', 'a/+b'] },
    { everybody: true, allow: 'publish', topics: '$SYS/#' },
    { everybody: true, alow: 'all', allow: 'all', topics: 'a' },
    { principal: [], allow: 'all', topics: 'a' },
    'publish'
  ]).problems.map(({ at, says }) => `${at}: ${says}`)
  for (const expected of [
    '[1]: needs exactly one of principal, group, everybody, anonymous, authenticated, and has principal and group',
    '[2]: needs exactly one of allow, deny',
    '[3]: needs exactly one of allow, deny, and has allow and deny',
    '[4].allow: "write" must be one of publish, subscribe, read, all',
    '[5].topics: is missing',
    '[6].everybody: false must be true; leave it out otherwise',
    '[7].topics[1]: + stands alone in its level, # alone in the last one',
    '[7].topics[2]: ',
    '[7].topics[3]: "$share/g/a": leave out $share/GROUP/',
    '[7].topics[4]: ',
    '[8].topics: "$SYS/#": nobody but the server publishes to $...',
    '[9].alow: there is no such setting; did you mean allow?',
    '[10].principal: ',
    '[11]: "publish" must be a rule, like {'
  ]) t.ok(lines.some(line => line.startsWith(expected)), `${expected}\n${lines.join('\n')}`)
  t.equal(lines.length, 14, lines.join('\n'))
})

t.test('no list is no rules, and a list has a bound', async t => {
  t.match(readAccess({}).problems[0]?.says, /is no list: it must be a list of at most/)
  t.match(readAccess(Array(ACCESS_RULES_MAX + 1).fill(ok)).problems[0]?.says, /too many/)
  t.same(readAccess(Array(ACCESS_RULES_MAX).fill(ok)).problems, [])
  t.same(readAccess([]).rules, [])
})
