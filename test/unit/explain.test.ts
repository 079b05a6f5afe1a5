/** `holdfast check --as`: yes or no, and by which rule. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { explain } from '../../bin/explain.ts'
import type { AccessOption } from '../../config/access-rule.ts'
import { Access } from '../../server/access.ts'
import { tempFolder } from '../helpers/temp.ts'

const ACCESS = [
  { group: 'staff', allow: 'publish', topics: 'news/#' },
  { everybody: true, deny: ['publish', 'subscribe'], topics: ['plans/#', 'news/closed/#'] },
  { principal: 'u*', allow: 'all', topics: 'own/{principal}/#' },
  { group: 'viewers', allow: 'read', topics: 'data/#' }
]

function asker (t: Test, access: unknown, more: object = {}) {
  const file = join(tempFolder(t), 'holdfast.json')
  writeFileSync(file, JSON.stringify({ access, usersFile: 'users', ...more }))
  return (line: string) => explain({
    args: [...line.split(' '), '--config', file], env: {}, read: name => readFileSync(name, 'utf8')
  })
}

t.test('a question about a topic or a filter is answered by the rule that decides', async t => {
  const ask = asker(t, ACCESS)
  for (const [line, allowed, reason] of [
    ['--as u1 --groups staff --publish news/x', true, /^ {2}access\[0\]: allow publish for group staff, news\/#$/m],
    ['--as u1 --publish news/x', false, /^ {2}no rule allows it$/m],
    ['--as u1 --publish plans/x', false, /^ {2}access\[1\]: deny publish for everybody, plans\/#$/m],
    ['--as=u1 --subscribe=own/u1/#', true, /^ {2}access\[2\]: allow subscribe for u\*, own\/\{principal\}\/#$/m],
    ['--as u1 --subscribe $share/g/own/u1/#', true, /access\[2\]/],
    ['--as u1 --subscribe own/#', false, /^ {2}own is a part of it: no rule allows it$/m],
    ['--as u1 --subscribe own/u2/+', false, /no rule allows it/],
    ['--as u1 --subscribe +/closed/x', false, /is a part of it: (no rule|access\[1\])/],
    ['--as u1 --groups viewers --subscribe data/+/t', true, /access\[3\]: allow read for group viewers/],
    ['--as v1 --groups viewers --subscribe +', false, /plans is a part of it: access\[1\]/],
    ['--as u1 --read own/u1/x', true, /access\[2\]/],
    ['--as u1 --client-id c1 --publish $SYS/x', false, /nobody but the server writes/],
    ['--as u1 --publish io/_/room/r1/x', true, /default: rooms/],
    ['--as u1 --publish io/_/user/u2/x', false, /no rule allows it/],
    ['--as anonymous --subscribe io/_/user/anonymous/+', false, /no rule allows it/],
    ['--as a --groups admin --subscribe $SYS/#', true, /default: administrators/]
  ] as const) {
    const answer = await ask(line)
    t.equal(answer.allowed, allowed, line)
    t.match(answer.text, reason, line)
    t.ok(answer.text.startsWith(allowed ? 'yes: ' : 'no: '), answer.text)
  }
})

t.test('where delivery decides, it says so', async t => {
  const ask = asker(t, [{ group: 'viewers', allow: 'read', topics: 'data/#' }])
  const answer = await ask('--as v --groups viewers --subscribe +')
  t.ok(answer.allowed)
  t.match(answer.text, /delivery leaves out what may not be read, as \+: no rule allows it/)
})

t.test('of an ACL file the line is named', async t => {
  const acl = join(tempFolder(t), 'acl.txt')
  writeFileSync(acl, '# people\nuser u1\ntopic read a/#\ntopic deny a/b\npattern write %u/x\n')
  const ask = asker(t, [], { aclFile: acl })
  t.match((await ask('--as u1 --read a/b')).text, `${acl}:4: deny read`)
  t.match((await ask('--as u1 --publish u1/x')).text, `${acl}:5: allow publish`)
  t.equal((await ask('--as u1 --subscribe #')).allowed, true, 'as mosquitto grants it')
})

t.test('a question that makes no sense is told what would', async t => {
  const ask = asker(t, [])
  for (const [line, says] of [
    ['--as u1', /needs exactly one of --publish, --subscribe and --read/],
    ['--as u1 --publish a --read a', /exactly one/],
    ['--as --publish=a', /./],
    ['--as u1 --publish a/#', /--publish .*holds no \+ and no #/],
    ['--as u1 --subscribe a/#/b', /--subscribe .*# stands alone/],
    ['--as u1 --publish', /--publish needs a value|exactly one/],
    ['--as u1 --publish a --publish b', /--publish is given twice/]
  ] as const) await t.rejects(ask(line), { message: says }, line)
})

t.test('an ACL file that is wrong leaves the rules of before, and says which line', async t => {
  const acl = join(tempFolder(t), 'acl.txt')
  writeFileSync(acl, 'user u1\ntopic write a\n')
  let rules: AccessOption = []
  const access = await Access.open({ access: [], aclFile: acl, adminGroup: 'admin' }, () => rules)
  const may = (topic: string): boolean => access.rightsOf(
    { principal: 'u1' as never, groups: [], by: 'users', grants: undefined }).mayPublish('c' as never, topic)
  writeFileSync(acl, 'user u1\ntopic write b\ntopc c\n')
  await t.rejects(access.reload(), { message: /acl\.txt:3: a line begins with topic/ })
  t.same([may('a'), may('b')], [true, false])
  writeFileSync(acl, 'user u1\ntopic write b\n')
  await access.reload()
  t.same([may('a'), may('b')], [false, true])
  rules = [{ everybody: true, topics: 'a' }]
  await t.rejects(access.reload(), { message: /^access\[0\]: needs exactly one/ })
  t.same([may('a'), may('b')], [false, true])
})
