/** Who comes in, through the command with a file of options: over MQTT, over WebSocket and over Socket.IO alike. */
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { SignJWT, type JWTPayload } from 'jose'
import { io, type ManagerOptions, type SocketOptions } from 'socket.io-client'
import t from 'tap'
import { hashPassword } from '../../broker/index.ts'
import { connectWire, uniqueId } from '../helpers/mqtt-wire.ts'
import { startServer, type ServerProcess } from '../helpers/server.ts'
import { tempFolder, type Scope } from '../helpers/temp.ts'
import { until, within } from '../helpers/wait.ts'

const SECRET = 'a secret of thirty-two bytes or more'
const PASSWORD = 'Tr0ub4dor&3'
const HASH = await hashPassword(Buffer.from(PASSWORD), Buffer.alloc(16, 1))

interface Login { readonly username?: string, readonly password?: string | undefined, readonly clientId?: string }

/** The return code of CONNACK. */
async function overMqtt (server: ServerProcess, { username, password, clientId = uniqueId() }: Login): Promise<number> {
  const { client, connack } = await connectWire(t, server.mqtt, {
    clientId, username, ...password !== undefined && { password: Buffer.from(password) }
  })
  client.destroy()
  return connack.returnCode!
}

type Handshake = Partial<ManagerOptions & SocketOptions>

/** `in`, the code of the refusal, or `cut`. */
async function overSocketio (server: ServerProcess, shown: Handshake): Promise<string> {
  const { host, port } = server.http
  const socket = io(`http://${host}:${port}`, {
    transports: ['websocket'], forceNew: true, reconnection: false, ...shown
  })
  try {
    return await within(new Promise<string>(resolve => {
      socket.on('connect', () => resolve('in'))
      socket.on('disconnect', () => resolve('cut'))
      socket.on('connect_error', error => {
        resolve((error as { data?: { code?: string } }).data?.code ?? 'cut')
      })
    }), 'an answer to the handshake')
  } finally {
    socket.disconnect()
  }
}

function sign (claims: JWTPayload, secret = SECRET): Promise<string> {
  return new SignJWT({ aud: 'chat', exp: Math.floor(Date.now() / 1_000) + 600, ...claims })
    .setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(secret))
}

interface Application {
  readonly url: string
  readonly questions: Array<Readonly<Record<string, unknown>>>
  /** While it is true there is no answer but 500. */
  isDown: boolean
}

/** Knows `asked` with the password of the others. */
async function application (t: Scope): Promise<Application> {
  const questions: Application['questions'] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => { chunks.push(chunk) })
    request.on('end', () => {
      const question = JSON.parse(Buffer.concat(chunks).toString()) as Readonly<Record<string, unknown>>
      questions.push({ ...question, authorization: request.headers.authorization })
      const isKnown = question['username'] === 'asked' && question['password'] === PASSWORD
      response.statusCode = self.isDown ? 500 : isKnown ? 200 : 403
      response.end(JSON.stringify({ principal: 'asked', cacheMs: 0 }))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const self = { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/who`, questions, isDown: false }
  return self
}

t.test('users, tokens and the application are asked over every transport; nobody else comes in', async t => {
  const folder = tempFolder(t, 'auth')
  const asked = await application(t)
  const [usersFile, jwtKeyFile, authUrlTokenFile, config] = ['users', 'key', 'token', 'holdfast.json']
    .map(name => join(folder, name))
  writeFileSync(usersFile, `u1:${HASH}\n`)
  writeFileSync(jwtKeyFile, `${SECRET}\n`)
  writeFileSync(authUrlTokenFile, 'bearer-of-the-server\n')
  writeFileSync(config, JSON.stringify({
    usersFile,
    jwtKeyFile,
    jwtAudience: ['chat'],
    jwtClientIdClaim: 'device',
    jwtCookie: 'session',
    authUrl: asked.url,
    authUrlTokenFile,
    authDelayMs: 20,
    authDelayMsMax: 40,
    logFormat: 'json'
  }))
  const server = await startServer(t, { flags: ['--config', config] })

  await t.test('a user of the file, and nobody by another password or name', async t => {
    t.equal(await overMqtt(server, { username: 'u1', password: PASSWORD }), 0)
    t.equal(await overMqtt(server, { username: 'u1', password: 'wrong' }), 4)
    t.equal(await overMqtt(server, { username: 'nobody', password: PASSWORD }), 4)
    t.equal(await overMqtt(server, {}), 5)
    t.equal(await overSocketio(server, { auth: { username: 'u1', password: PASSWORD } }), 'in')
    t.equal(await overSocketio(server, { auth: { username: 'u1', password: 'wrong' } }), 'NOT_AUTHORIZED')
    t.equal(await overSocketio(server, { auth: { username: 'nobody', password: PASSWORD } }), 'NOT_AUTHORIZED')
    const basic = `Basic ${Buffer.from(`u1:${PASSWORD}`).toString('base64')}`
    t.equal(await overSocketio(server, { extraHeaders: { authorization: basic } }), 'in')
    t.equal(await overSocketio(server, {}), 'NOT_AUTHORIZED')
  })

  await t.test('a token, wherever it may stand, and none that is forged, over or for somebody else', async t => {
    const good = await sign({ sub: 'u2' })
    t.equal(await overMqtt(server, { username: 'whoever', password: good }), 0)
    t.equal(await overSocketio(server, { auth: { token: good } }), 'in')
    t.equal(await overSocketio(server, { query: { token: good } }), 'in')
    t.equal(await overSocketio(server, { extraHeaders: { authorization: `Bearer ${good}` } }), 'in')
    t.equal(await overSocketio(server, { extraHeaders: { cookie: `a=b; session=${good}` } }), 'in')
    t.equal(await overSocketio(server, { extraHeaders: { cookie: `session=${good}x` } }), 'NOT_AUTHORIZED')
    const none = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${good.split('.')[1]}.`
    for (const token of [
      none, `${good.slice(0, -3)}AAA`, await sign({ sub: 'u2', exp: 1 }), await sign({ sub: 'u2', aud: 'shop' }),
      await sign({ sub: 'u2' }, 'another secret of thirty-two bytes'), await sign({ sub: '$program' }),
      await sign({ sub: 'anonymous' }), await sign({ sub: 'u2', device: 'another' }), 'x'.repeat(20_000)
    ]) {
      t.equal(await overMqtt(server, { username: 'u2', password: token }), 4, token.slice(-20))
      t.equal(await overSocketio(server, { auth: { token } }), 'NOT_AUTHORIZED', token.slice(-20))
    }
    const bound = await sign({ sub: 'u2', device: 'phone' })
    t.equal(await overMqtt(server, { username: 'u2', password: bound, clientId: 'phone' }), 0)
    t.equal(await overSocketio(server, { auth: { token: bound, clientId: 'phone' } }), 'in')
    t.equal(await overSocketio(server, { auth: { token: bound, clientId: 'laptop' } }), 'NOT_AUTHORIZED')
  })

  await t.test('whom the application knows; while it is down clients are told to come again', async t => {
    t.equal(await overMqtt(server, { username: 'asked', password: PASSWORD }), 0)
    t.match(asked.questions.at(-1), { via: 'mqtt', username: 'asked', authorization: 'Bearer bearer-of-the-server' })
    t.equal(await overSocketio(server, { auth: { username: 'asked', password: PASSWORD } }), 'in')
    asked.isDown = true
    t.equal(await overMqtt(server, { username: 'asked', password: PASSWORD }), 3)
    t.equal(await overSocketio(server, { auth: { username: 'asked', password: PASSWORD } }), 'cut')
    t.equal(await overMqtt(server, { username: 'u1', password: PASSWORD }), 0, 'others are not concerned')
    asked.isDown = false
  })

  await t.test('users are read anew at SIGHUP; a file that is wrong changes nothing', async t => {
    const login = (username: string): Promise<number> => overMqtt(server, { username, password: PASSWORD })
    async function reload (text: string, said: RegExp): Promise<void> {
      writeFileSync(usersFile, text)
      const from = server.stderr.length
      process.kill(server.pid, 'SIGHUP')
      await until(() => said.test(server.stderr.slice(from)), 'the server to say what came of it')
    }
    await reload('u9:plain\n', /users: line 1: the password of/)
    t.equal(await login('u1'), 0)
    await reload(`u9:${HASH}\n`, /were read anew/)
    t.same([await login('u1'), await login('u9')], [4, 0])
  })

  t.test('each failure is a line that a filter finds; no line holds a secret', async t => {
    const lines = server.stderr.split('\n')
    const failed = lines.filter(line => /"refused":"logins","remoteAddress":"127\.0\.0\.1"/.test(line))
    t.ok(failed.length >= 5, `${failed.length} lines`)
    t.notMatch(server.stderr, /Tr0ub4dor|scrypt\$ln|thirty-two|bearer-of|eyJ/)
  })
})

t.test('who shows nothing comes in only where that is asked for', async t => {
  const folder = tempFolder(t, 'auth')
  const usersFile = join(folder, 'users')
  writeFileSync(usersFile, `u1:${HASH}\n`)
  const server = await startServer(t, {
    flags: ['--users-file', usersFile, '--allow-anonymous', '--auth-delay-ms', '0']
  })
  t.equal(await overMqtt(server, {}), 0)
  t.equal(await overSocketio(server, {}), 'in')
  t.equal(await overMqtt(server, { username: 'u1', password: 'wrong' }), 4)
  t.equal(await overMqtt(server, { username: 'anonymous', password: '' }), 4)
  t.equal(await overSocketio(server, { auth: { token: 'nonsense' } }), 'NOT_AUTHORIZED')
})
