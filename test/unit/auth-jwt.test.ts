/** Tokens: signed by jose, forged by hand, and keys of every kind. */
import { createHmac, createSign, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { SignJWT, exportJWK, exportSPKI, UnsecuredJWT, type JWTPayload } from 'jose'
import t from 'tap'
import { KeyFile, KeyUrl } from '../../broker/auth/jwt/key-source.ts'
import { keysFor, keysOfFile, keysOfUrl } from '../../broker/auth/jwt/keys.ts'
import { Tokens, type TokensOptions } from '../../broker/auth/jwt/jwt.ts'
import { credentials, type Shown } from '../helpers/auth.ts'
import { createManualClock } from '../helpers/manual-clock.ts'

const NOW_S = 1_800_000_000
const SECRET_TEXT = 'a secret of thirty-two bytes or more'
const rsa = generateKeyPairSync('rsa', { modulusLength: 2_048 })
const otherRsa = generateKeyPairSync('rsa', { modulusLength: 2_048 })
const CLAIMS = { principal: 'sub', clientId: '', groups: 'groups', rights: '', info: [] }

function pem (key: KeyObject): Buffer { return Buffer.from(key.export({ type: 'spki', format: 'pem' })) }

function sign (payload: JWTPayload, key: KeyObject | Uint8Array, alg: string, header: object = {}): Promise<string> {
  return new SignJWT({ exp: NOW_S + 60, sub: 'u1', ...payload }).setProtectedHeader({ alg, ...header }).sign(key)
}

async function tokensOf (file: Buffer | string, more: Partial<TokensOptions> = {}) {
  const clock = createManualClock(NOW_S * 1_000)
  const keys = new KeyFile(async () => Buffer.from(file))
  await keys.reload()
  const tokens = new Tokens({
    keys, clock, issuers: [], audiences: [], clockToleranceMs: 0, bytesMax: 8_192, mayLackExpiry: false, username: '',
    cookie: '', claims: CLAIMS, ...more
  })
  return {
    clock, tokens,
    ask: (shown: Shown) => tokens.authenticate(credentials(shown)),
    show: (token: string) => tokens.authenticate(credentials({ password: token }))
  }
}

/** By hand, as no library makes it. */
function forged (header: object, payload: object, signature: (input: string) => Buffer): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const input = `${part(header)}.${part(payload)}`
  return `${input}.${signature(input).toString('base64url')}`
}

const hmac = (key: Buffer | string) => (input: string): Buffer => createHmac('sha256', key).update(input).digest()
/** With our key, whatever the header is. */
function signed (header: object, payload: object): string {
  return forged(header, payload, input => createSign('RSA-SHA256').update(input).sign(rsa.privateKey))
}

const PAYLOAD = { sub: 'admin', exp: NOW_S + 60 }

t.test('a token signed by each algorithm is known by the key of its type alone', async t => {
  const pairs = {
    rsa,
    ec256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    ec384: generateKeyPairSync('ec', { namedCurve: 'P-384' }),
    ec521: generateKeyPairSync('ec', { namedCurve: 'P-521' }),
    ed: generateKeyPairSync('ed25519')
  }
  const cases: ReadonlyArray<readonly [string, keyof typeof pairs]> = [
    ['RS256', 'rsa'], ['RS384', 'rsa'], ['RS512', 'rsa'], ['PS256', 'rsa'], ['PS384', 'rsa'], ['PS512', 'rsa'],
    ['ES256', 'ec256'], ['ES384', 'ec384'], ['ES512', 'ec521'], ['EdDSA', 'ed'], ['Ed25519', 'ed']
  ]
  const files = new Map<string, Awaited<ReturnType<typeof tokensOf>>>()
  for (const [name, pair] of Object.entries(pairs)) files.set(name, await tokensOf(pem(pair.publicKey)))
  for (const [alg, name] of cases) {
    const token = await sign({}, pairs[name].privateKey, alg)
    for (const [other, { show }] of files) {
      t.match(await show(token), { kind: other === name ? 'known' : 'refused' }, `${alg} with ${other}`)
    }
  }
  const { show } = await tokensOf(SECRET_TEXT)
  for (const alg of ['HS256', 'HS384', 'HS512']) {
    const token = await sign({}, Buffer.from(SECRET_TEXT), alg)
    t.match(await show(token), { kind: 'known', known: { principal: 'u1' } }, alg)
  }
})

t.test('forged: no algorithm, a public key as secret, a signature taken off, changed or of another key', async t => {
  const { show } = await tokensOf(pem(rsa.publicKey))
  const otherJwk = await exportJWK(otherRsa.publicKey)
  const good = await sign({}, rsa.privateKey, 'RS256')
  const [header, payload, signature] = good.split('.')
  const other = Buffer.from(JSON.stringify(PAYLOAD)).toString('base64url')
  const forgeries: Record<string, string> = {
    none: new UnsecuredJWT(PAYLOAD).encode(),
    None: forged({ alg: 'None' }, PAYLOAD, () => Buffer.alloc(0)),
    'none with a signature': forged({ alg: 'none' }, PAYLOAD, () => Buffer.from('x')),
    'HS256 with the public key': forged({ alg: 'HS256' }, PAYLOAD, hmac(pem(rsa.publicKey))),
    'HS256 with the public key, trimmed': forged({ alg: 'HS256' }, PAYLOAD, hmac(pem(rsa.publicKey).toString().trim())),
    'HS256 with an empty key': forged({ alg: 'HS256' }, PAYLOAD, hmac('')),
    'no signature': `${header}.${payload}.`,
    'other claims': `${header}.${other}.${signature}`,
    'another key': await sign({}, otherRsa.privateKey, 'RS256'),
    'a key of its own in the header': await sign({}, otherRsa.privateKey, 'RS256', { jwk: otherJwk }),
    'a key by URL in the header': await sign({}, otherRsa.privateKey, 'RS256', { jku: 'http://203.0.113.9/keys' }),
    'a kid that is a path': await sign({}, otherRsa.privateKey, 'RS256', { kid: '../../dev/null' }),
    'a critical header': signed({ alg: 'RS256', crit: ['x'], x: 1 }, PAYLOAD),
    'alg that every object has': forged({ alg: 'constructor' }, PAYLOAD, hmac('')),
    'no alg': forged({}, PAYLOAD, hmac(''))
  }
  t.match(await show(good), { kind: 'known' })
  for (const [name, token] of Object.entries(forgeries)) {
    const { kind, ...rest } = await show(token)
    t.not(kind, 'known', name)
    t.notOk('isGenuine' in rest && rest.isGenuine, `${name} counts as a guess`)
  }
})

t.test('a kid names one key of several, and without one each is tried', async t => {
  const a = { ...await exportJWK(rsa.publicKey), kid: 'a' }
  const jwks = { keys: [a, { ...await exportJWK(otherRsa.publicKey), kid: 'b' }] }
  const { show } = await tokensOf(JSON.stringify(jwks))
  t.match(await show(await sign({}, otherRsa.privateKey, 'RS256', { kid: 'b' })), { kind: 'known' })
  t.match(await show(await sign({}, otherRsa.privateKey, 'RS256')), { kind: 'known' })
  t.match(await show(await sign({}, otherRsa.privateKey, 'RS256', { kid: 'a' })), { kind: 'refused' })
  t.match(await show(await sign({}, otherRsa.privateKey, 'RS256', { kid: 'c' })), { kind: 'refused' })
})

t.test('expired, not yet, of another issuer, for somebody else, endless: refused, but no guess', async t => {
  const { show, clock } = await tokensOf(pem(rsa.publicKey), { issuers: ['https://id'], audiences: ['chat', 'mail'] })
  const make = (claims: JWTPayload): Promise<string> =>
    sign({ iss: 'https://id', aud: 'chat', ...claims }, rsa.privateKey, 'RS256')
  t.match(await show(await make({})), { kind: 'known' })
  t.match(await show(await make({ aud: ['x', 'mail'] })), { kind: 'known' })
  for (const claims of [
    { exp: NOW_S }, { nbf: NOW_S + 1 }, { iss: 'https://other' }, { iss: undefined }, { aud: 'shop' },
    { aud: undefined }, { exp: undefined }, { sub: undefined }, { sub: '' }, { sub: ['u1'] as unknown as string }
  ]) {
    t.match(await show(await make(claims)), { kind: 'refused', isGenuine: true }, JSON.stringify(claims))
  }
  const token = await make({})
  clock.advance(60_000)
  t.match(await show(token), { kind: 'refused', why: 'an expired token' })
})

t.test('what the clock tolerance lets in does not end at once', async t => {
  const { show } = await tokensOf(pem(rsa.publicKey), { clockToleranceMs: 5_000 })
  const verdict = await show(await sign({ exp: NOW_S - 4 }, rsa.privateKey, 'RS256'))
  t.match(verdict, { kind: 'known', known: { expiresAt: (NOW_S + 1) * 1_000 } })
  t.match(await show(await sign({ exp: NOW_S - 5 }, rsa.privateKey, 'RS256')), { kind: 'refused' })
  const endless = await tokensOf(pem(rsa.publicKey), { mayLackExpiry: true })
  t.match(await endless.show(await sign({ exp: undefined }, rsa.privateKey, 'RS256')),
    { kind: 'known', known: { expiresAt: undefined } })
})

t.test('claims become principal, client identifier, groups, rights and info, by their names or paths', async t => {
  const { show } = await tokensOf(pem(rsa.publicKey), {
    claims: {
      principal: 'user.id', clientId: 'device', groups: 'https://a.example/roles', rights: 'acl',
      info: ['name', 'user.id', 'missing', '__proto__', 'constructor']
    }
  })
  const verdict = await show(await sign({
    user: { id: 42 },
    device: 'phone',
    'https://a.example/roles': ['admin'],
    name: 'Ann',
    acl: { publish: ['a/{principal}'] }
  }, rsa.privateKey, 'RS256'))
  t.match(verdict, {
    kind: 'known',
    known: {
      principal: '42', clientId: 'phone', groups: ['admin'], grants: { publish: ['a/{principal}'] }, by: 'jwt'
    }
  })
  t.same(verdict.kind === 'known' && verdict.known.info, { name: 'Ann', 'user.id': 42 })
})

t.test('claims that make no sense, are too many, or carry names that every object has, harm nothing', async t => {
  const { show } = await tokensOf(pem(rsa.publicKey), { claims: { ...CLAIMS, rights: 'acl' } })
  for (const claims of [
    { groups: Array(257).fill('g') }, { groups: { a: 1 } }, { groups: ['x'.repeat(129)] }, { acl: { publish: 'a' } },
    { acl: { admin: true } }, { acl: ['#'] }
  ]) {
    const token = await sign(claims as JWTPayload, rsa.privateKey, 'RS256')
    t.match(await show(token), { kind: 'refused' }, JSON.stringify(claims).slice(0, 40))
  }
  const proto = JSON.parse('{"__proto__":{"groups":["admin"],"sub":"admin"},' +
    '"constructor":{"prototype":{"x":1}}}') as JWTPayload
  const verdict = await show(await sign(proto, rsa.privateKey, 'RS256'))
  t.match(verdict, { kind: 'known', known: { principal: 'u1', groups: [] } })
  t.equal(({} as { x?: number }).x, undefined)
  const many = Object.fromEntries([...Array(2_000).keys()].map(i => [`c${i}`, i]))
  t.same(await show(await sign(many, rsa.privateKey, 'RS256')), { kind: 'pass' }, 'longer than jwtBytesMax')
  const roomy = await tokensOf(pem(rsa.publicKey), { bytesMax: 65_536 })
  t.match(await roomy.show(await sign(many, rsa.privateKey, 'RS256')), { kind: 'known', known: { info: {} } })
})

t.test('where a token comes in: any user name or one, none, a cookie; anything else is for others', async t => {
  const file = pem(rsa.publicKey)
  const token = await sign({}, rsa.privateKey, 'RS256')
  const any = await tokensOf(file)
  t.match(await any.ask({ username: 'whoever', password: token }), { kind: 'known' })
  const one = await tokensOf(file, { username: 'jwt', cookie: 'session' })
  t.match(await one.ask({ username: 'jwt', password: token }), { kind: 'known' })
  t.match(await one.ask({ password: token }), { kind: 'known' })
  t.match(await one.ask({ username: 'u1', password: token }), { kind: 'pass' })
  t.match(await one.ask({ cookies: `a=b; session=${token}; session=x` }), { kind: 'known' })
  t.match(await one.ask({ cookies: `xsession=${token}` }), { kind: 'pass' })
  t.match(await one.ask({ cookies: `session=${token}`, username: 'u1' }), { kind: 'pass' }, 'it shows something else')
  t.match(await any.ask({ cookies: `session=${token}` }), { kind: 'pass' }, 'no cookie is asked for')
  for (const password of ['', 'secret', 'a.b', 'a.b.c', '..', 'e30.e30.', `${token}.x`, ` ${token}`]) {
    t.not((await any.ask({ username: 'u1', password })).kind, 'known', password.slice(0, 10))
  }
  t.match(await any.ask({ username: 'u1', password: 'a password' }), { kind: 'pass' })
})

t.test('a file that is no key for this is refused with what would be one, and without what it holds', async t => {
  const small = generateKeyPairSync('rsa', { modulusLength: 1_024 })
  const jwk = await exportJWK(rsa.publicKey)
  const cases: ReadonlyArray<readonly [Buffer | string, RegExp]> = [
    ['too short', /9 bytes and must have 32/],
    [Buffer.from(rsa.privateKey.export({ type: 'pkcs8', format: 'pem' })), /private key, which signs/],
    [JSON.stringify(rsa.privateKey.export({ format: 'jwk' })), /private key, which signs/],
    [pem(small.publicKey), /less than 2048 bits/],
    ['-----BEGIN PUBLIC KEY-----\nnonsense of more than thirty-two bytes', /PEM has no end/],
    ['-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----', /can't be read/],
    ['{"kty": "RSA", "n": "a secret that is long enough to be one"', /no JSON object/],
    ['{"keys": []}', /no key of it is for checking signatures/],
    [JSON.stringify({ ...jwk, use: 'enc' }), /not for checking signatures/],
    [JSON.stringify({ ...jwk, alg: 'HS256' }), /says alg HS256 and is of another type/],
    [JSON.stringify({ keys: Array(65).fill(jwk) }), /65 keys; 64 is the most/],
    [pem(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey), /type that is not known here/],
    [pem(generateKeyPairSync('x25519').publicKey), /type that is not known here/]
  ]
  for (const [file, message] of cases) t.throws(() => keysOfFile(Buffer.from(file)), { message })
})

t.test('a secret file ends where its last line break begins; several PEM keys count; alg of a JWK narrows', async t => {
  for (const end of ['', '\n', '\r\n']) {
    const { show } = await tokensOf(SECRET_TEXT + end)
    t.match(await show(await sign({}, Buffer.from(SECRET_TEXT), 'HS256')), { kind: 'known' }, JSON.stringify(end))
  }
  const both = Buffer.concat([pem(rsa.publicKey), pem(otherRsa.publicKey)])
  t.match(await (await tokensOf(both)).show(await sign({}, otherRsa.privateKey, 'RS256')), { kind: 'known' })
  const narrow = await tokensOf(JSON.stringify({ ...await exportJWK(rsa.publicKey), alg: 'PS256' }))
  t.match(await narrow.show(await sign({}, rsa.privateKey, 'PS256')), { kind: 'known' })
  t.match(await narrow.show(await sign({}, rsa.privateKey, 'RS256')), { kind: 'refused' })
  t.equal((await exportSPKI(rsa.publicKey)).trim(), pem(rsa.publicKey).toString().trim())
})

t.test('a URL gives public keys only', async t => {
  const oct = { kty: 'oct', k: Buffer.from(SECRET_TEXT).toString('base64url') }
  t.throws(() => keysOfUrl(JSON.stringify({ keys: [oct] })), { message: /everybody can fetch/ })
  t.throws(() => keysOfUrl('[]'), { message: /no JSON object/ })
  t.throws(() => keysOfUrl('{}'), { message: /no JWKS/ })
  const good = { ...await exportJWK(rsa.publicKey), kid: 'a' }
  const mixed = { keys: [{ kty: 'RSA', use: 'enc' }, { kty: 'future' }, null, good] }
  t.equal(keysFor(keysOfUrl(JSON.stringify(mixed)), 'RS256', 'a').length, 1)
})

/** A URL whose answer is set by the test. */
async function urlOf (first?: unknown) {
  const clock = createManualClock(0)
  const failures: string[] = []
  const state: { answer: unknown, fetched: number } = { answer: first, fetched: 0 }
  const keys = new KeyUrl({
    async fetch () {
      state.fetched++
      if (state.answer === undefined) throw new Error('connect ECONNREFUSED')
      return JSON.stringify(state.answer)
    },
    clock,
    ageMsMax: 60_000,
    pauseMs: 10_000,
    failed: (error) => { failures.push(error.message) }
  })
  return { keys, clock, state, failures, find: async (kid: string) => (await keys.find('RS256', kid)).length }
}

t.test('the server starts without the URL, says so once, and takes its keys when they are there', async t => {
  const { clock, state, failures, find } = await urlOf()
  await t.rejects(find('a'), { code: 'AUTH_UNAVAILABLE' })
  await t.rejects(find('a'), { code: 'AUTH_UNAVAILABLE' })
  t.equal(state.fetched, 1, 'not asked again at once')
  clock.advance(10_000)
  await t.rejects(find('a'), { code: 'AUTH_UNAVAILABLE' })
  t.same([state.fetched, failures], [2, ['connect ECONNREFUSED']])
  state.answer = { keys: [{ ...await exportJWK(rsa.publicKey), kid: 'a' }] }
  clock.advance(10_000)
  t.equal(await find('a'), 1)
})

t.test('an unknown kid has the keys fetched once in a while, whoever asks', async t => {
  const a = { ...await exportJWK(rsa.publicKey), kid: 'a' }
  const b = { ...await exportJWK(otherRsa.publicKey), kid: 'b' }
  const { clock, state, find, keys } = await urlOf({ keys: [a] })
  await keys.reload()
  t.equal(await find('b'), 0)
  t.equal(state.fetched, 1, 'they were fetched just now')
  state.answer = { keys: [a, b] }
  clock.advance(10_000)
  t.same(await Promise.all([find('b'), find('c'), find('b')]), [1, 0, 1])
  t.equal(state.fetched, 2, 'all wait for the same answer')
  for (let i = 0; i < 100; i++) await find(`made-up-${i}`)
  t.equal(state.fetched, 2)
})

t.test('old keys are fetched anew, and count until there are new ones', async t => {
  const a = { ...await exportJWK(rsa.publicKey), kid: 'a' }
  const { clock, state, find, keys } = await urlOf({ keys: [a] })
  await keys.reload()
  state.answer = undefined
  clock.advance(60_000)
  t.equal(await find('a'), 1, 'the URL is down')
  await new Promise(resolve => { setImmediate(resolve) })
  t.equal(state.fetched, 2)
  state.answer = { keys: [{ ...a, kid: 'b' }] }
  clock.advance(10_000)
  t.equal(await find('a'), 1, 'asked in the background')
  await new Promise(resolve => { setImmediate(resolve) })
  t.equal(await find('a'), 0, 'the key was withdrawn')
})
