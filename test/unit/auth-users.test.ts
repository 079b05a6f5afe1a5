/** The users file: its lines, its hashes, and what a client learns from it; mosquitto_passwd is the oracle. */
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { hashPassword, isPassword, parseHash, type PasswordHash } from '../../broker/auth/users/password-hash.ts'
import { UsersFileError, parseUsers, withUser, withoutUser } from '../../broker/auth/users/users-file.ts'
import { UsersFile } from '../../broker/auth/users/users.ts'
import { SECRET, credentials, fairWork, patient, type Shown } from '../helpers/auth.ts'
import { tempFolder } from '../helpers/temp.ts'

const SALT = Buffer.alloc(16, 3)
/** Of `secret`, made once: each takes a tenth of a second. */
const OURS = await hashPassword(Buffer.from('secret'), SALT)
const QUICK = '$7$1$AAAAAAAAAAAAAAAA$'

/** As mosquitto_passwd writes it. */
function mosquittoLine (folder: string, algorithm: string, password: string): string {
  const file = join(folder, algorithm)
  writeFileSync(file, '')
  const { status, stderr } = spawnSync('mosquitto_passwd', ['-H', algorithm, '-b', file, 'u1', password])
  if (status !== 0) throw new Error(`mosquitto_passwd: ${stderr}`)
  return readFileSync(file, 'utf8').trim()
}

t.test('what mosquitto_passwd wrote is read as it is, of both kinds', async t => {
  const folder = tempFolder(t)
  for (const algorithm of ['sha512-pbkdf2', 'sha512']) {
    for (const password of ['secret', 'pässwörd: #$ ', 'x'.repeat(300)]) {
      const hash = parseUsers(mosquittoLine(folder, algorithm, password)).get('u1')!.hash
      t.equal(await isPassword(hash, Buffer.from(password)), true, `${algorithm} ${password.slice(0, 9)}`)
      t.equal(await isPassword(hash, Buffer.from(password + 'x')), false)
      t.equal(await isPassword(hash, Buffer.alloc(0)), false)
    }
  }
})

t.test('our hash says what it was made with, and knows its password alone', async t => {
  t.match(OURS, /^\$scrypt\$ln=15,r=8,p=1\$[\w+/]{22}\$[\w+/]{43}$/)
  const hash = parseHash(OURS)!
  t.equal(await isPassword(hash, Buffer.from('secret')), true)
  t.equal(await isPassword(hash, Buffer.from('Secret')), false)
})

t.test('a hash of another form, or that asks for more than is done for one password, is none', async t => {
  const hash = 'A'.repeat(43)
  const sha = 'A'.repeat(86) + '=='
  for (const text of [
    '', 'secret', '$1$abc$def', '$2b$10$abcdefghijklmnopqrstuv', `$scrypt$$abc$${hash}`, '$scrypt$ln=15,r=8,p=1$abc$',
    `$scrypt$ln=25,r=8,p=1$abcd$${hash}`, `$scrypt$ln=15,r=99,p=1$abcd$${hash}`, `$scrypt$ln=15,r=8,p=17$abcd$${hash}`,
    `$scrypt$ln=0,r=8,p=1$abcd$${hash}`, `$7$abcd$${sha}`, `$7$0$abcd$${sha}`, `$7$99999999$abcd$${sha}`,
    `$7$101$abcd$${hash}`, `$6$101$abcd$${sha}`, `$6$abcd$${hash}`, `$6$ln=15,r=8,p=1$abcd$${sha}`
  ]) t.equal(parseHash(text), undefined, text)
})

t.test('a line that is wrong is named, with what to do, and without what it holds', async t => {
  const good = `u1:${OURS}`
  const cases: ReadonlyArray<readonly [string, RegExp]> = [
    [`# people\n\n${good}\nu2:plain-password`, /^line 4: the password of "u2" .*holdfast user add/],
    [`${good}\n${good}`, /^line 2: "u1" stands in line 1 already/],
    ['u1', /^line 1: it must be name:hash/],
    [`:${OURS}`, /^line 1: the name of the user is empty/],
    [`${good}:a:b`, /^line 1: it must be name:hash/],
    [`${good}:a,,b`, /^line 1: "" is no name of a group/],
    [`${good}:a b`, /^line 1: "a b" is no name of a group/],
    [`anonymous:${OURS}`, /^line 1: "anonymous" is a name of the server's own/],
    [`$program:${OURS}`, /^line 1: "\$program" is a name of the server's own/],
    [`${'u'.repeat(257)}:${OURS}`, /^line 1: the name of the user is longer than 256 bytes/]
  ]
  for (const [text, message] of cases) {
    try {
      parseUsers(text)
      t.fail(`accepted: ${text}`)
    } catch (error) {
      t.ok(error instanceof UsersFileError)
      t.match((error as Error).message, message)
      t.notMatch((error as Error).message, /plain-password|scrypt\$ln/)
    }
  }
})

t.test('names that every object has are names of users like others', async t => {
  t.equal(parseUsers('').get('constructor'), undefined)
  const users = parseUsers(['__proto__', 'constructor', 'toString'].map(name => `${name}:${OURS}:g1,g2`).join('\r\n'))
  t.same([...users.keys()], ['__proto__', 'constructor', 'toString'])
  t.same(users.get('__proto__')!.groups, ['g1', 'g2'])
})

t.test('changing a user leaves every other line as it is', async t => {
  const text = `# made by hand\n\nu1:${OURS}:admins\nu2:${OURS}\n  # odd\n`
  t.equal(withUser(text, { name: 'u2', hashText: 'H', groups: undefined }), text.replace(`u2:${OURS}`, 'u2:H'))
  t.equal(withUser(text, { name: 'u1', hashText: 'H', groups: undefined }), text.replace(`u1:${OURS}`, 'u1:H'))
  t.equal(withUser(text, { name: 'u1', hashText: 'H', groups: [] }), text.replace(`u1:${OURS}:admins`, 'u1:H'))
  t.equal(withUser(text, { name: 'u3', hashText: 'H', groups: ['a', 'b'] }), `${text}u3:H:a,b\n`)
  t.equal(withUser('u1:X', { name: 'u2', hashText: 'H', groups: [] }), 'u1:X\nu2:H\n')
  t.equal(withoutUser(text, 'u2'), text.replace(`u2:${OURS}\n`, ''))
  t.equal(withoutUser(text, 'u3'), undefined)
  t.equal(withoutUser('u1:X\n', 'u1'), '')
})

interface Compared { readonly kind: string, readonly iterations?: number | undefined }

/** With a comparison that is counted instead of made: the password is right if it says so. */
async function usersOf (text: string, gate: Promise<void> = Promise.resolve()) {
  const compared: Compared[] = []
  const file = { text }
  const users = new UsersFile({
    read: async () => file.text,
    work: fairWork(),
    secret: SECRET,
    async compare (hash: PasswordHash, password: Buffer) {
      compared.push({ kind: hash.kind, ...'iterations' in hash && { iterations: hash.iterations } })
      await gate
      return password.toString() === 'right'
    }
  })
  await users.reload()
  return { users, compared, file, ask: (shown: Shown) => users.authenticate(credentials(shown), patient()) }
}

const HASH = QUICK + Buffer.alloc(64).toString('base64')

t.test('a user with the right password is known by name and groups', async t => {
  const { ask } = await usersOf(`u1:${HASH}:a,b`)
  t.match(await ask({ username: 'u1', password: 'right' }),
    { kind: 'known', known: { principal: 'u1', groups: ['a', 'b'], by: 'users' } })
  t.match(await ask({ username: 'u1', password: 'wrong' }), { kind: 'refused' })
  t.same(await ask({ username: 'u2', password: 'right' }), { kind: 'pass' }, 'the decoy opens nothing')
})

t.test('somebody unknown costs the comparison that somebody known does', async t => {
  const { ask, compared } = await usersOf(`u1:${HASH}`)
  await ask({ username: 'u1', password: 'wrong' })
  await ask({ username: 'nobody', password: 'wrong' })
  t.same(compared, [{ kind: 'pbkdf2-sha512', iterations: 1 }, { kind: 'pbkdf2-sha512', iterations: 1 }])
  const empty = await usersOf('')
  await empty.ask({ username: 'nobody', password: 'wrong' })
  t.same(empty.compared, [{ kind: 'scrypt' }])
})

t.test('in a file of several kinds a name that is unknown costs the same each time, and names differ', async t => {
  const lines = [...Array(50).keys()].map(i => `u${i}:${HASH.replace('$1$', `$${1 + i % 5}$`)}`)
  const { ask, compared } = await usersOf(lines.join('\n'))
  for (let i = 0; i < 40; i++) {
    await ask({ username: `nobody${i}`, password: 'x' })
    await ask({ username: `nobody${i}`, password: 'y' })
    t.same(compared.at(-1), compared.at(-2))
  }
  t.equal(new Set(compared.map(({ iterations }) => iterations)).size, 5)
})

t.test('who shows no name, no password, or one that is too long to be one, is for others to know', async t => {
  const { ask, compared } = await usersOf(`u1:${HASH}`)
  const long = { username: 'u1', password: 'x'.repeat(1_025) }
  for (const shown of [{}, { username: 'u1' }, { password: 'right' }, long]) {
    t.same(await ask(shown), { kind: 'pass' })
  }
  t.same(compared, [])
})

t.test('whoever was removed, or got another password, is known no more', async t => {
  const { users, ask, file } = await usersOf(`u1:${HASH}:a\nu2:${HASH}`)
  const verdict = await ask({ username: 'u1', password: 'right' })
  if (verdict.kind !== 'known') throw new Error('not known')
  const other = HASH.replace('$1$', '$2$')
  file.text = `u1:${HASH}:b`
  await users.reload()
  t.match(users.refresh(verdict.known), { principal: 'u1', groups: ['b'] }, 'other groups')
  file.text = 'nonsense'
  await t.rejects(users.reload(), { message: /^line 1:/ })
  t.match(users.refresh(verdict.known), { groups: ['b'] }, 'a file that is wrong changes nothing')
  file.text = `u1:${other}:b`
  await users.reload()
  t.equal(users.refresh(verdict.known), undefined, 'another password')
  file.text = ''
  await users.reload()
  t.equal(users.refresh(verdict.known), undefined, 'removed')
  t.equal(users.lookUp('u1'), undefined)
})

t.test('a password that was changed while its comparison waited opens nothing', async t => {
  let open: () => void = () => {}
  const { users, file, ask } = await usersOf(`u1:${HASH}`, new Promise(resolve => { open = resolve }))
  const answer = ask({ username: 'u1', password: 'right' })
  file.text = `u1:${HASH.replace('$1$', '$2$')}`
  await users.reload()
  open()
  t.match(await answer, { kind: 'refused' })
})
