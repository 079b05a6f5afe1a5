/** Options of authentication: what contradicts what, said with both names. */
import t from 'tap'
import { programConfig } from '../../config/load.ts'
import { ConfigError, lineOf } from '../../config/problem.ts'

const TLS = { tlsCert: 'c', tlsKey: 'k', tlsClientCa: 'ca', tlsClientCertificate: 'optional' }

function lines (options: object): string[] {
  try {
    programConfig(options, { authenticated: false })
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(lineOf)
    throw error
  }
  return []
}

t.test('each contradiction is an error that names the options', async t => {
  const url = 'https://id.example.com/x'
  const cases: ReadonlyArray<readonly [object, RegExp]> = [
    [{ jwtKeyFile: 'a', jwksUrl: url, jwtIssuer: ['i'] }, /^jwtKeyFile and jwksUrl: .*one of them/],
    [{ jwksUrl: url }, /^jwksUrl: .*jwtAudience, or jwtIssuer/],
    [{ jwtIssuer: ['i'] }, /^jwtIssuer: jwtIssuer counts only beside jwtKeyFile or jwksUrl/],
    [{ jwtExpiryRequired: false }, /jwtExpiryRequired counts only beside jwtKeyFile or jwksUrl/],
    [{ jwksPauseMs: 1, jwtKeyFile: 'a' }, /jwksPauseMs counts only beside jwksUrl/],
    [{ authUrlTimeoutMs: 1 }, /authUrlTimeoutMs counts only beside authUrl/],
    [{ authUrlWhenDown: 'keep' }, /authUrlWhenDown counts only beside authUrl/],
    [{ authUrl: url, authUrlKeepMs: 1 }, /^authUrlKeepMs: .*authUrlWhenDown = keep/],
    [{ passwordChecksMax: 1 }, /passwordChecksMax counts only beside usersFile/],
    [{ authUrl: 'http://app.example.com/' }, /^authUrl: .*https:\/\/, or set --plain-http-urls/],
    [{ authUrl: 'https://u:p@app.example.com/' }, /holds a user name or password/],
    [{ authUrl: 'https://[' }, /^authUrl: .*no URL/],
    [{ authUrl: 'ftp://app.example.com/' }, /^authUrl: .*must be a URL that begins with https/],
    [{ authUrl: url, authUrlTimeoutMs: 10_000 }, /^authUrlTimeoutMs: .*shorter than connectTimeoutMs/],
    [{ usersFile: 'a', authDelayMsMax: 20_000 }, /^authDelayMsMax: .*shorter than connectTimeoutMs/],
    [{ authDelayMs: 2_000, authDelayMsMax: 1_000 }, /^authDelayMs and authDelayMsMax: .*must not be larger/],
    [{ certificatePrincipal: 'dns' }, /^certificatePrincipal: without tlsClientCa/],
    [{ jwtKeyFile: 'a', jwtCookie: 'holdfast' }, /^jwtCookie: .*choose two/]
  ]
  for (const [options, line] of cases) {
    const said = lines(options)
    t.equal(said.length, 1, JSON.stringify(said))
    t.match(said[0], line)
  }
})

t.test('what holds together is accepted', async t => {
  for (const options of [
    { usersFile: 'a', jwtKeyFile: 'b', authUrl: 'https://a.example/', certificatePrincipal: 'dns', ...TLS },
    { authUrl: 'http://127.0.0.1:3000/who', authUrlWhenDown: 'keep', authUrlKeepMs: 1 },
    { authUrl: 'http://[::1]:3000/who' }, { authUrl: 'http://localhost/' },
    { authUrl: 'http://app.internal/', plainHttpUrls: true },
    { jwksUrl: 'https://id.example.com/keys', jwtAudience: ['chat'] }
  ]) t.same(lines(options), [], JSON.stringify(options))
})

t.test('with any of them the server may listen beyond loopback; without one it may not', async t => {
  for (const options of [
    { usersFile: 'a' }, { jwtKeyFile: 'a' }, { jwksUrl: 'https://a.example/', jwtIssuer: ['i'] },
    { authUrl: 'https://a.example/' }, { certificatePrincipal: 'commonName', ...TLS }
  ]) t.same(lines({ host: '0.0.0.0', ...options }), [], JSON.stringify(options))
  t.match(lines({ host: '0.0.0.0' }), [/there is no authentication.*usersFile/])
  t.match(lines({ host: '0.0.0.0', authDelayMs: 0 }), [/there is no authentication/])
})
