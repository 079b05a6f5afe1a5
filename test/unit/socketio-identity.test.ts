/** Who a client is, from what it sends; and which session it gets. */
import type { IncomingMessage } from 'node:http'
import t from 'tap'
import { DeviceCookies } from '../../bridge/socketio/admission/cookie.ts'
import {
  checkIdentified, ownerOf, readIdentity, type Handshake, type Identified
} from '../../bridge/socketio/admission/identity.ts'
import { readPid, Seats, sidOf, SLOTS_PER_DEVICE_MAX, type Candidate, type Pid, type Seeker
} from '../../bridge/socketio/admission/recovery.ts'
import type { ClientId, Principal, SessionInfo, TimeMs } from '../../broker/index.ts'

const BYTES_MAX = 256

const basic = (pair: string): string => `Basic ${Buffer.from(pair).toString('base64')}`
const handshake = (some: object): Handshake =>
  ({ auth: {}, query: {}, headers: {}, address: '127.0.0.1', ...some }) as Handshake

t.test('the name: from the program, then auth, then the query', async t => {
  const name = (some: object, given?: Identified): string | undefined =>
    readIdentity(handshake(some), given, BYTES_MAX).name
  const auth = { clientId: 'of auth' }
  const query = { clientId: 'of query' }
  t.equal(name({ auth, query }, { clientId: 'of the program' }), 'of the program')
  t.equal(name({ auth, query }, { username: 'somebody' }), 'of auth')
  t.equal(name({ auth, query }), 'of auth')
  t.equal(name({ query }), 'of query')
  t.equal(name({}), undefined)
  t.equal(name({ auth: Object.create(auth) }), undefined, 'only what the client itself sent')
})

t.test('what can\'t be a name is refused, not replaced', async t => {
  const error = /^clientId (must be a string|is empty; leave it out or give each client its own)$/
  for (const clientId of ['', 7, {}, ['a', 'b']]) {
    t.throws(() => readIdentity(handshake({ auth: { clientId } }), undefined, BYTES_MAX), error)
  }
  const twice = handshake({ query: { clientId: ['a', 'b'] } })
  t.throws(() => readIdentity(twice, undefined, BYTES_MAX), error, 'given twice')
  t.throws(() => readIdentity(handshake({}), { clientId: '' }, BYTES_MAX), error, 'a program that has none says so')
  t.equal(readIdentity(handshake({ auth: { clientId: null } }), undefined, BYTES_MAX).name, undefined, 'null is none')
})

t.test('[G7] what identify can\'t mean is refused: a client\'s own word does not count instead', async t => {
  const wrong: ReadonlyArray<readonly [unknown, RegExp]> = [
    ['U1', /value of type string/], [7, /type number/], [true, /type boolean/], [false, /type boolean/],
    [{ clientId: 7 }, /clientId of type number/], [{ username: { id: 7 } }, /username of type object/],
    [{ clientId: 'U1', password: Buffer.from('p') }, /password of type object/],
    [{ clientID: 'U1' }, /an object with clientID/], [{ id: 7, name: 'U1' }, /an object with id, name/],
    [['U1'], /an object with 0/]
  ]
  for (const [answer, error] of wrong) t.throws(() => checkIdentified(answer), error)
  for (const answer of [undefined, null]) t.equal(checkIdentified(answer), undefined)
  for (const answer of [{}, { clientId: undefined }, { clientId: 'U1', email: 'u1@example' }, { username: '' }]) {
    t.equal(checkIdentified(answer), answer)
  }
})

t.test('[G7] what names nobody is no owner: those whom it does not name would share it', async t => {
  const nobody: unknown[] = [
    undefined, null, '', NaN, true, {}, [], { id: NaN }, { id: '' }, { id: [] }, { toString: () => '' },
    { id: { toString: () => 7 } }, Promise.resolve('U1')
  ]
  for (const user of nobody) t.equal(ownerOf({ username: '' }, { user }), undefined)
  const somebody = [['U1', 'U1'], [0, '0'], [7n, '7'], [{ id: 7 }, '7'], [{ id: { toString: () => 'x1' } }, 'x1'],
    [{ id: '', username: 'U1' }, 'U1']] as const
  for (const [user, owner] of somebody) t.equal(ownerOf(undefined, { user }), owner)
  t.equal(ownerOf({ clientId: 'U1' }, { user: 'U2' }), 'U1')
})

t.test('[G8] a name that is too long is refused by its length, before anything reads it', async t => {
  for (const clientId of ['%'.repeat(BYTES_MAX + 1), ':'.repeat(1_000_000)]) {
    t.throws(() => readIdentity(handshake({ auth: { clientId } }), undefined, BYTES_MAX), /clientIdBytesMax/)
  }
  const longest = 'x'.repeat(BYTES_MAX)
  t.equal(readIdentity(handshake({ auth: { clientId: longest } }), undefined, BYTES_MAX).name, longest)
})

t.test('the credentials: the first of program, auth, query and header that has any, never mixed', async t => {
  const shown = (some: object, given?: Identified): [string | undefined, string | undefined] => {
    const { username, password } = readIdentity(handshake(some), given, BYTES_MAX).credentials
    return [username, password?.toString()]
  }
  const all = {
    auth: { username: 'a', password: 'pa' }, query: { username: 'q' }, headers: { authorization: basic('h:ph') }
  }
  t.same(shown(all, { username: 'p' }), ['p', undefined])
  t.same(shown(all, { clientId: 'x' }), ['a', 'pa'])
  t.same(shown({ ...all, auth: { username: 7 } }), ['q', undefined])
  t.same(shown({ ...all, auth: {}, query: {} }), ['h', 'ph'])
  t.same(shown({ auth: { token: 'secret' } }), [undefined, 'secret'])
  t.same(shown({ auth: { token: 'secret', password: 'p' } }), [undefined, 'p'])
  t.same(shown({ query: { token: 'secret' } }), [undefined, 'secret'])
  t.same(shown({}), [undefined, undefined])
})

t.test('an Authorization header is Basic or Bearer; anything else shows nothing', async t => {
  const shown = (authorization: string): [string | undefined, string | undefined] => {
    const { credentials } = readIdentity(handshake({ headers: { authorization } }), undefined, BYTES_MAX)
    const { username, password } = credentials
    return [username, password?.toString()]
  }
  t.same(shown(basic('user:pass:word')), ['user', 'pass:word'])
  t.same(shown(basic('ü:ö')), ['ü', 'ö'])
  t.same(shown(basic(':')), ['', ''])
  t.same(shown('bearer  abc.DEF-1_~+/=='), [undefined, 'abc.DEF-1_~+/=='])
  for (const header of ['', 'Basic', 'Basic ', basic('no colon'), 'Bearer', 'Bearer a b', 'Digest username="x"',
    `Basic ${'='.repeat(100_000)}`, `Bearer ${' '.repeat(15_000)}`]) {
    t.same(shown(header), [undefined, undefined], header.slice(0, 40))
  }
})

t.test('the device cookie: made once, known again, never taken from anybody\'s hand as it is', async t => {
  let made = 0
  const cookies = new DeviceCookies({
    name: 'holdfast', path: '/socket.io/', maxAgeMs: 86_400_999,
    makeSecret: () => `${String(made++).padStart(24, '-')}`, key: () => Buffer.alloc(32, 7)
  })
  const request = (cookie?: string, more: object = {}): IncomingMessage =>
    ({ headers: { ...(cookie !== undefined && { cookie }), ...more }, socket: {} }) as IncomingMessage
  const given = (from: IncomingMessage, headers: Record<string, string | string[]> = {}): typeof headers => {
    cookies.give(headers, from)
    return headers
  }
  const first = request()
  const device = cookies.device(first)
  t.match(device, { returned: false, key: /^[\w-]{22}$/ })
  t.equal(cookies.device(first)?.key, device?.key, 'the same for all namespaces of the connection')
  const header = given(first)['Set-Cookie']
  t.match(header, /^holdfast=-{23}0\.[\w-]{43}; Path=\/socket\.io\/; Max-Age=86400; HttpOnly; SameSite=Lax$/)
  const value = String(header).slice('holdfast='.length).split(';')[0]
  t.notOk(device!.key.includes(value), 'it is not in what others may see')

  for (const cookie of [`holdfast=${value}`, `a=b; holdfast=${value}; c`, `holdfast=bad value;holdfast=${value}`]) {
    const again = cookies.device(request(cookie))
    t.same(again, { ...device, returned: true }, cookie)
  }
  t.match(given(request(`holdfast=${value}`))['Set-Cookie'], header, 'it is given again, so that it lives on')
  const hostile = ['holdfast', 'holdfast=', 'holdfast==', `holdfast="${value}"`, `Holdfast=${value}`,
    `xholdfast=${value}`, `holdfast=${value.slice(1)}`, `holdfast=${'x'.repeat(65)}`, `holdfast=${value}\u0000`,
    'holdfast=%2e%2e%2f'.padEnd(40, 'a'), 'holdfast=__proto__',
    `holdfast=${'é'.repeat(24)}`, ';;;=;=', `holdfast=${'a:b'.repeat(9)}`]
  for (const cookie of hostile) {
    const other = cookies.device(request(cookie))
    t.equal(other?.returned, false, JSON.stringify(cookie.slice(0, 40)))
    t.not(other?.key, device?.key)
  }

  t.match(given(request(undefined, { 'x-forwarded-proto': 'https' }))['Set-Cookie'], /; Secure$/)
  t.same(given(request(`holdfast=${value}`), { 'Set-Cookie': 'theirs=1' })['Set-Cookie'], ['theirs=1', header])
  t.same(given(request(`holdfast=${value}`, { upgrade: 'websocket' }), { 'Set-Cookie': 'theirs=1' }),
    { 'Set-Cookie': 'theirs=1', 'set-cookie': header }, 'a line for each, where headers become lines as they are')

  const none = new DeviceCookies(
    { name: '', path: '/', maxAgeMs: 1, makeSecret: () => 'x', key: () => Buffer.alloc(32) })
  t.equal(none.device(request(`=${value}`)), undefined)
  const headers = {}
  none.give(headers, request())
  t.same(headers, {})
})

t.test('a pid is ours or nothing; the sid says nothing about it', async t => {
  const secret = 'a'.repeat(24)
  const key = 'k'.repeat(22)
  for (const pid of [secret, `${secret}.${key}.0`, `${secret}.${key}.31`]) {
    t.equal(readPid(pid), pid)
    t.match(sidOf(pid as Pid), /^[\w-]{20}$/)
  }
  t.not(sidOf(`${secret}.${key}.0` as Pid), sidOf(`${secret}.${key}.1` as Pid))
  for (const value of [undefined, null, 7, '', 'short', `${secret}.`, `${secret}.${key}`, `${secret}.${key}.100`,
    `${secret}.${key}.-1`, `${secret}.k/${key.slice(2)}.1`, `${secret}\n`, 'a'.repeat(65), 'x'.repeat(1_000_000),
    [secret], { toString: () => secret }]) {
    t.equal(readPid(value), undefined, String(value).slice(0, 40))
  }
})

const EXPIRY = { sessionExpiryMs: 1_000, recoveryExpiryMs: 10 }

function seatsOver (sessions: Readonly<Record<string, Partial<SessionInfo>>>): Seats {
  let made = 0
  return new Seats({
    broker: { session: clientId => sessions[clientId] as SessionInfo | undefined },
    makeSecret: () => `${String(made++).padStart(24, 's')}`,
    makeId: () => 'made',
    clear: async clientIds => { cleared.push(...clientIds) },
    ...EXPIRY
  })
}

/** The sessions that were to be freed if nobody lives there. */
const cleared: ClientId[] = []

async function all (candidates: AsyncIterable<Candidate>): Promise<Candidate[]> {
  const list: Candidate[] = []
  for await (const one of candidates) list.push(one)
  return list
}

async function nextOf (candidates: AsyncGenerator<Candidate, undefined>): Promise<string | undefined> {
  return (await candidates.next()).value?.clientId
}

const SEEKER: Seeker = {
  namespace: '/',
  name: undefined,
  principal: 'me' as Principal,
  owner: undefined,
  claimed: undefined,
  shown: '',
  device: undefined,
  takesPid: true
}
const DEVICE = { key: 'k'.repeat(22), returned: true }
const detached = { principal: 'me' as Principal, detachedAt: 5 as TimeMs, expiryMs: 777 }
const attached = { ...detached, detachedAt: undefined }

t.test('a name has one session; a client without any gets a new one each time', async t => {
  const seats = seatsOver({})
  t.match(await all(seats.candidates({ ...SEEKER, name: 'U1', device: DEVICE })),
    [{ clientId: 'io:_:U1', clean: false, isClaim: false, expiryMs: 1_000, pid: /^s+0$/ }])
  const [one, ...others] = await all(seats.candidates(SEEKER))
  t.same(others, [])
  t.match(one, { clientId: `io:_::${sidOf(one.pid!)}`, clean: false, expiryMs: 10 })
  t.match(await all(seats.candidates({ ...SEEKER, takesPid: false })),
    [{ clientId: 'io:_::made', clean: true, pid: undefined }])
  t.equal(seats.first({ ...SEEKER, name: 'U1' }), 'io:_:U1')
  t.equal(seats.first(SEEKER), 'io:_::made')
})

t.test('[G7] a pid alone leads to the session that it was given for, if that is the principal\'s', async t => {
  const pid = 'p'.repeat(24) as Pid
  const claim = { ...SEEKER, claimed: pid }
  const here = { ...attached, tag: sidOf(pid) }
  const id = `io:_::${sidOf(pid)}`
  const ids = async (sessions: Record<string, Partial<SessionInfo>>): Promise<unknown[]> =>
    (await all(seatsOver(sessions).candidates(claim))).map(({ isClaim, clientId }) => isClaim ? clientId : 'a new one')
  t.same(await ids({ [id]: here }), [id, 'a new one'], 'an open connection, too: it is the client\'s own')
  t.same(await ids({}), ['a new one'], 'it has ended')
  t.same(await ids({ [id]: { ...here, principal: 'she' as Principal } }), ['a new one'])
  t.same(await ids({ [id]: { ...here, tag: 'another' } }), ['a new one'])
  t.equal(seatsOver({}).first(claim), id)

  const tab = `${'p'.repeat(24)}.${DEVICE.key}.3` as Pid
  const place = `io:_:::${DEVICE.key}:3`
  const seats = seatsOver({ [place]: { ...here, tag: sidOf(tab) } })
  const found = async (device: Seeker['device']): Promise<unknown[]> =>
    (await all(seats.candidates({ ...SEEKER, claimed: tab, device }))).slice(0, 1)
  t.match(await found(undefined), [{ isClaim: true, clientId: place, expiryMs: 777, pid: tab }], 'without the cookie')
  t.match(await found(DEVICE), [{ isClaim: true, expiryMs: 1_000 }], 'the cookie has come back: it is kept longer')
})

t.test('[G7] tabs of a browser: each gets the lowest slot that is free, and none takes one from another', async t => {
  const slot = (n: number): string => `io:_:::${DEVICE.key}:${n}`
  const seeker = { ...SEEKER, device: DEVICE }
  const next = async (sessions: Record<string, Partial<SessionInfo>>): Promise<string | undefined> =>
    await nextOf(seatsOver(sessions).candidates(seeker))
  const open = { ...attached, attached: true }
  t.equal(await next({}), slot(0))
  t.equal(await next({ [slot(0)]: attached }), slot(1))
  t.equal(await next({ [slot(0)]: detached, [slot(1)]: attached }), slot(0))
  t.equal(await next({ [slot(0)]: { ...detached, principal: 'she' as Principal } }), slot(1), 'who logged in before')
  t.same(cleared.splice(0), [])
  await next({ [slot(0)]: open, [slot(2)]: open, [slot(3)]: { ...open, principal: 'she' as Principal } })
  t.same(cleared.splice(0), [slot(0), slot(2)], 'those of the principal are asked whether they live')

  const seats = seatsOver({})
  const first = seats.candidates(seeker)
  const second = seats.candidates(seeker)
  t.same(await Promise.all([nextOf(first), nextOf(second)]), [slot(0), slot(1)], 'both at once')
  await first.return(undefined)
  t.equal(await nextOf(seats.candidates(seeker)), slot(0), 'it is given back')

  const full = Object.fromEntries(Array.from({ length: SLOTS_PER_DEVICE_MAX }, (_, n) => [slot(n), attached]))
  t.match(await next(full), /^io:_::[\w-]{20}$/, 'one tab more goes without')
  t.match(await all(seatsOver(full).candidates({ ...seeker, takesPid: false })), [{ clean: true }])
  const [made] = await all(seatsOver({}).candidates({ ...seeker, device: { ...DEVICE, returned: false } }))
  t.match(made, { clientId: slot(0), expiryMs: 10, pid: new RegExp(`^s+0\\.${DEVICE.key}\\.0$`) },
    'until the cookie has come back it is kept for a short time')
})
