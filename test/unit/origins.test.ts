/** Which pages may connect: the rule by table, what is refused and logged, and the option. */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { createOriginGate, mayConnect } from '../../server/http/origins.ts'
import type { Logger, TimeMs } from '../../broker/index.ts'
import { Refusals, silent } from '../../broker/index.ts'
import { TOLD_BY_ADDRESS_MAX } from '../../broker/system/refusals.ts'
import { loadConfig, programConfig } from '../../config/load.ts'
import { ConfigError } from '../../config/problem.ts'
import { accept, defaults } from '../../config/schema.ts'

const DEFAULT = defaults().allowedOrigins
const LOCAL = '127.0.0.1:8080'
const LAN = '192.168.1.5:8080'
const SITE = 'app.example.com'

/** [origin, host, allowed while anonymous, allowed where everybody must say who he is], with the default rules. */
const BY_DEFAULT: ReadonlyArray<readonly [string | undefined, string | undefined, boolean, boolean]> = [
  [undefined, LOCAL, true, true],
  [undefined, undefined, true, true],
  ['http://localhost', LOCAL, true, true],
  ['http://localhost:3000', LOCAL, true, true],
  ['https://localhost:8443', LOCAL, true, true],
  ['http://127.0.0.1:5173', LOCAL, true, true],
  ['http://127.9.9.9', LOCAL, true, true],
  ['http://[::1]:3000', '[::1]:8080', true, true],
  ['capacitor://localhost', LOCAL, true, true],
  ['http://localhost:3000', LAN, true, true],
  ['http://192.168.1.5:5173', LAN, true, true],
  ['http://192.168.1.5', LAN, true, true],
  ['http://[fd00::5]:5173', '[FD00::5]:8080', true, true],
  // a name proves nothing while nobody has to say who he is: DNS rebinding
  [`https://${SITE}`, SITE, false, true],
  [`https://${SITE}:8443`, `${SITE}:8080`, false, true],
  [`https://${SITE}`, 'APP.example.com', false, true],
  ['http://192.168.1.6:5173', LAN, false, false],
  ['https://evil.example', LOCAL, false, false],
  ['https://evil.example', undefined, false, false],
  ['http://undefined', undefined, false, false],
  ['http://localhost.evil.example', LOCAL, false, false],
  ['http://127.0.0.1.evil.example', LOCAL, false, false],
  ['http://localhost@evil.example', LOCAL, false, false],
  ['http://evil.example/localhost', LOCAL, false, false],
  ['https://evil.example#http://localhost', LOCAL, false, false],
  ['http://localhost, https://evil.example', LOCAL, false, false],
  ['null', LOCAL, false, false],
  ['null', 'null', false, false],
  ['file://', LOCAL, false, false],
  ['', LOCAL, false, false],
  ['localhost', LOCAL, false, false],
  ['*', LOCAL, false, false]
]

t.test('by default pages of this machine may connect, and those of the host that they ask for', async (t) => {
  for (const [origin, host, whileAnonymous, otherwise] of BY_DEFAULT) {
    const says = `${origin} asks ${host}`
    t.equal(may({ origin, host }, DEFAULT, true), whileAnonymous, `${says}, anonymous`)
    t.equal(may({ origin, host }, DEFAULT, false), otherwise, `${says}, authenticated`)
  }
})

t.test('an origin in the list is compared as a whole, and the list replaces the default', async (t) => {
  const allowed = [`https://${SITE}`]
  t.ok(may({ origin: `https://${SITE}`, host: LOCAL }, allowed))
  for (const origin of [
    `http://${SITE}`, `https://${SITE}:8443`, `https://${SITE}.evil.example`, `https://x.${SITE}`, 'null',
    'http://localhost:3000', 'http://127.0.0.1:8080'
  ]) {
    t.notOk(may({ origin, host: LOCAL }, allowed), origin)
  }
  t.ok(may({ host: LOCAL }, allowed), 'no page')
  t.ok(may({ origin: 'http://localhost:3000', host: LOCAL }, [...allowed, 'loopback']))
  t.notOk(may({ origin: 'http://192.168.1.5', host: LAN }, ['loopback']))
  t.notOk(may({ origin: 'http://localhost:3000', host: LAN }, ['same-host']))
})

t.test('* lets every page in, an empty list none, null those without an origin', async (t) => {
  for (const origin of [`https://${SITE}`, 'null', 'file://', 'http://localhost']) {
    t.ok(may({ origin, host: LOCAL }, ['*']), origin)
    t.notOk(may({ origin, host: LOCAL }, []), origin)
    t.equal(may({ origin, host: LOCAL }, ['null']), origin === 'null', origin)
  }
  t.ok(may({ host: LOCAL }, []), 'no page')
})

t.test('an element of another site\'s page, which tells no origin, is refused by what the browser tells', async (t) => {
  t.notOk(may({ host: LOCAL, 'sec-fetch-site': 'cross-site' }, DEFAULT))
  t.ok(may({ host: LOCAL, 'sec-fetch-site': 'cross-site' }, ['*']))
  for (const site of ['same-origin', 'same-site', 'none']) t.ok(may({ host: LOCAL, 'sec-fetch-site': site }, DEFAULT))
  t.ok(may({ origin: 'http://localhost:3000', host: LOCAL, 'sec-fetch-site': 'cross-site' }, DEFAULT),
    'an origin says more')
})

t.test('where a GET opens a connection, a name that may not is refused while access is anonymous', async (t) => {
  const byGet = (headers: IncomingHttpHeaders, allowed: readonly string[], anonymous = true): boolean => {
    return mayConnect(headers, { allowed, anonymous }, true)
  }
  for (const host of [LOCAL, LAN, 'localhost', '[::1]:8080', '[fd00::5]', undefined]) {
    t.ok(byGet({ host }, DEFAULT), `${host}`)
  }
  for (const host of [SITE, `${SITE}:8080`, 'holdfast', '', '@', '127.0.0.1.evil.example', 'a b']) {
    t.notOk(byGet({ host }, DEFAULT), host)
    t.ok(byGet({ host }, DEFAULT, false), `${host}: everybody must say who he is`)
    t.ok(byGet({ host }, ['*']), `${host}: every page may`)
    t.ok(may({ host }, DEFAULT), `${host}: where a GET opens nothing`)
  }
  t.ok(byGet({ host: `${SITE}:8080` }, [`https://${SITE}`]), 'the host of an origin that may connect')
  t.notOk(byGet({ host: `x.${SITE}` }, [`https://${SITE}`]))
  t.ok(byGet({ host: SITE, origin: 'http://localhost:3000' }, DEFAULT), 'an origin says more')
  t.notOk(byGet({ host: LOCAL, 'sec-fetch-site': 'cross-site' }, DEFAULT))
  const answer = await refusalOf({ host: `${SITE}:8080` })
  t.match(answer, /403.*version 2.*"app\.example\.com:8080".*anonymous.*--allowed-origins/s)
})

t.test('a refusal is 403 with a sentence that names the origin and the option', async (t) => {
  const answer = await refusalOf({ origin: 'https://evil.example', host: LOCAL })
  t.match(answer, /^HTTP\/1\.1 403 Forbidden\r\n/)
  t.match(answer, /\r\n\r\nA page of the origin "https:\/\/evil\.example" may not connect; .*allowedOrigins/)
  t.match(answer, /--allowed-origins\)\.\n$/)
  t.match(await refusalOf({ host: LOCAL, 'sec-fetch-site': 'cross-site' }), /403 .*another site.*allowedOrigins/s)
  const long = await refusalOf({ origin: 'x'.repeat(10_000) })
  t.ok(long.length < 500, 'however long the origin is')
})

t.test('[G6] a refused origin is counted and told once in a while, however many there are', async (t) => {
  const { gate, lines, refusals } = logging(DEFAULT)
  const refuse = (origin: string): void => gate.refuse(request({ origin, host: LOCAL }), new PassThrough())
  for (let n = 0; n < 5; n++) refuse('https://evil.example')
  t.match(lines, [{ refused: 'origins', origin: 'https://evil.example', host: LOCAL, remoteAddress: '127.0.0.1' }])
  t.equal(lines.length, 1)
  for (let n = 0; n < 1_000; n++) refuse(`https://${n}.example`)
  t.equal(lines.length, TOLD_BY_ADDRESS_MAX)
  t.equal(refusals.counts.origins, 1_005)
})

t.test('allowedOrigins is a list: commas in a flag and a variable, an array in a file or a program', async (t) => {
  const expected = ['loopback', 'https://a.example']
  t.strictSame(load({ args: ['--allowed-origins', 'loopback,https://a.example'] }), expected)
  t.strictSame(load({ env: { HOLDFAST_ALLOWED_ORIGINS: ' loopback, https://a.example ' } }), expected)
  t.strictSame(load({ args: ['--config', 'f'], file: '{"allowedOrigins":["loopback","https://a.example"]}' }), expected)
  const { config } = programConfig({ allowedOrigins: expected }, { authenticated: false })
  t.strictSame(config.allowedOrigins, expected)
  t.ok(Object.isFrozen(config.allowedOrigins))
  t.ok(Object.isFrozen(DEFAULT))
  t.strictSame(load({ args: ['--allowed-origins='] }), [], 'no page')
  t.strictSame(load({ args: ['--allowed-origins', '*', '--allowed-origins', '*'] }), ['*'])
})

t.test('an entry that no browser would send is named, with what is allowed', async (t) => {
  for (const entry of [
    'https://a.example/', 'https://a.example/path', 'https://A.example', 'https://a.example:443', 'http://a.example:80',
    'a.example', 'https://', 'https://*.example', 'localhost', '', 'https://a.example b'
  ]) {
    t.notOk(accept('allowedOrigins', [entry]), entry)
    t.match(problem(() => load({ args: [`--allowed-origins=loopback,${entry}`] })),
      `--allowed-origins: ${JSON.stringify(entry)} must be an origin like https://app.example.com (`)
  }
  for (const entry of [
    'https://a.example', 'http://a.example:8080', 'https://xn--bcher-kva.example', 'http://[::1]:3000',
    'http://10.0.0.1', 'chrome-extension://abcdefgh', 'capacitor://localhost', 'file://',
    'https://a.example:80', 'http://a.example:443'
  ]) {
    t.ok(accept('allowedOrigins', [entry]), entry)
  }
  t.match(problem(() => load({ args: ['--config', 'f'], file: '{"allowedOrigins":"*"}' })),
    'f: allowedOrigins: "*" must be a list of at most 1,000, each an origin')
  t.match(problem(() => load({ args: ['--allowed-origins', '--data=x'] })), '--allowed-origins: needs a value')
  t.match(problem(() => load({ args: ['--allowed-origins', ''] })), '--allowed-origins: needs a value')
  t.match(problem(() => load({ args: ['--allowed-origins', '*', '--allowed-origins', 'null'] })), 'is given twice')
})

function may (headers: IncomingHttpHeaders, allowed: readonly string[], anonymous = true): boolean {
  return mayConnect(headers, { allowed, anonymous })
}

function request (headers: IncomingHttpHeaders): IncomingMessage {
  return { headers, socket: { remoteAddress: '127.0.0.1' } } as unknown as IncomingMessage
}

async function refusalOf (headers: IncomingHttpHeaders): Promise<string> {
  const socket = new PassThrough()
  logging(DEFAULT, silent).gate.refuse(request(headers), socket)
  return text(socket)
}

function logging (allowed: readonly string[], log?: Logger) {
  const lines: object[] = []
  const clock = {
    now: () => 0 as TimeMs,
    wall: (time: TimeMs) => time,
    after: () => () => {}
  }
  const warn = (fields: object): void => { lines.push(fields) }
  const refusals = new Refusals({ clock, log: log ?? { ...silent, warn } })
  return { lines, refusals, gate: createOriginGate({ allowed, anonymous: true }, refusals) }
}

function load ({ args = [], env = {}, file = '' }: { args?: string[], env?: Record<string, string>, file?: string }) {
  return loadConfig({ args, env, read: () => file }).config.allowedOrigins
}

function problem (attempt: () => unknown): string {
  try {
    attempt()
  } catch (error) {
    if (error instanceof ConfigError && error.problems.length === 1) return error.message
    throw error
  }
  return 'no problem'
}
