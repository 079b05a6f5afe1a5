/** `holdfast user`: the users file as a script and mosquitto see it. */
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import t from 'tap'
import { explain } from '../../bin/failure.ts'
import { user } from '../../bin/user.ts'
import { tempFolder } from '../helpers/temp.ts'

/** As the command does it, in this process. */
async function run (args: readonly string[], typed = ''): Promise<{ code: number, out: string, err: string }> {
  const stdin = Readable.from(typed === '' ? [] : [Buffer.from(typed)]) as unknown as NodeJS.ReadStream
  try {
    const out = await user({ args, env: {}, read: () => '' }, { stdin, stderr: process.stderr })
    return { code: 0, out, err: '' }
  } catch (error) {
    const { lines, exitCode } = explain(error)
    return { code: exitCode, out: '', err: lines.join('\n') }
  }
}

t.test('a user is added, checked, listed and removed; the file is for its owner alone', async t => {
  const file = join(tempFolder(t), 'users')
  const here = ['--users-file', file]
  t.match(await run(['add', 'u1', '--groups', 'a,b', '--password-stdin', ...here], 'secret\n'),
    { code: 0, out: /u1 was added/ })
  t.equal(statSync(file).mode & 0o777, 0o600)
  t.match(await run(['check', 'u1', '--password-stdin', ...here], 'secret'), { code: 0 })
  t.match(await run(['check', 'u1', '--password-stdin', ...here], 'Secret'), { code: 1, err: /not the password of u1/ })
  t.match(await run(['check', 'u2', '--password-stdin', ...here], 'secret'), { code: 1, err: /no user "u2"/ })
  t.match(await run(['list', ...here]), { code: 0, out: 'u1  a,b\n' })
  t.match(await run(['add', 'u1', '--password-stdin', ...here], 'other'), { code: 0, out: /another password/ })
  t.match(await run(['list', ...here]), { out: 'u1  a,b\n' }, 'groups stay')
  t.match(await run(['remove', 'u1', ...here]), { code: 0 })
  t.match(await run(['remove', 'u1', ...here]), { code: 1, err: /nothing was changed/ })
  t.equal(readFileSync(file, 'utf8'), '')
  t.notOk(existsSync(`${file}.new`))
})

t.test('what makes no sense changes nothing, and says what would', async t => {
  const file = join(tempFolder(t), 'users')
  const cases: ReadonlyArray<readonly [readonly string[], RegExp]> = [
    [[], /add, remove, list, check/],
    [['ad', 'u1'], /add, remove, list, check/],
    [['add'], /name the user/],
    [['add', 'u1', 'u2'], /one name at a time/],
    [['list', 'u1'], /takes no name/],
    [['add', 'u1'], /no terminal .*--password-stdin/],
    [['add', 'u1', '--password-stdin'], /password is empty/],
    [['add', 'u1', '--password', 'x'], /on the command line can be read/],
    [['add', 'u1', '--password=x'], /on the command line can be read/],
    [['add', 'a:b', '--password-stdin'], /no colon/],
    [['add', 'u1', '--groups', 'a b', '--password-stdin'], /no name of a group/],
    [['remove', 'u1', '--groups', 'a'], /--groups goes with add/],
    [['add', 'u1', '--prot', '1', '--password-stdin'], /--prot/]
  ]
  for (const [args, err] of cases) {
    t.match(await run([...args, '--users-file', file]), { code: 64, err }, args.join(' '))
  }
  t.match(await run(['list']), { code: 64, err: /--users-file names the file/ })
  t.match(await run(['list', '--users-file', file]), { code: 1, err: /there is none/ })
  t.notOk(existsSync(file))
})

t.test('a file of mosquitto_passwd is kept as it is: comments, users, owner, group, link', async t => {
  const folder = tempFolder(t)
  const [file, link] = [join(folder, 'passwd'), join(folder, 'link')]
  writeFileSync(file, '# people\n')
  spawnSync('mosquitto_passwd', ['-b', file, 'u1', 'secret'])
  const before = readFileSync(file, 'utf8')
  t.match(before, /^u1:\$7\$/m)
  chmodSync(file, 0o644)
  symlinkSync(file, link)
  t.match(await run(['add', 'u2', '--password-stdin', '--users-file', link], 'x'), { code: 0 })
  t.ok(readFileSync(file, 'utf8').startsWith(before))
  t.equal(statSync(file).mode & 0o777, 0o640, 'the group goes on reading, others do not')
  t.match(await run(['check', 'u1', '--password-stdin', '--users-file', file], 'secret'), { code: 0 })
  writeFileSync(file, 'u1:plain\n')
  t.match(await run(['add', 'u2', '--password-stdin', '--users-file', file], 'x'),
    { code: 1, err: /line 1: the password of "u1"/ })
  t.equal(readFileSync(file, 'utf8'), 'u1:plain\n', 'a file that is wrong is not made right by chance')
})

t.test('two changes at once don\'t lose one: the second is refused', async t => {
  const file = join(tempFolder(t), 'users')
  writeFileSync(`${file}.new`, '')
  t.match(await run(['add', 'u1', '--password-stdin', '--users-file', file], 'x'),
    { code: 1, err: /another command changes the file now/ })
  t.notOk(existsSync(file))
  t.ok(existsSync(`${file}.new`))
})
