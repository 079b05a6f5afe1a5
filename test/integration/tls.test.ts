/** TLS at the ports: who gets in, and with what. */
import { get } from 'node:https'
import { connect as connectTcp } from 'node:net'
import { TLSSocket } from 'node:tls'
import { connect, connectAsync } from 'mqtt'
import t from 'tap'
import type { Credentials, Principal, ProgramAuth } from '../../broker/index.ts'
import type { Holdfast } from '../../index.ts'
import { createAuthority } from '../helpers/certificates.ts'
import { legacyClient, TRANSPORTS, VERSIONS, type Transport } from '../helpers/socketio-clients.ts'
import { until, within } from '../helpers/wait.ts'
import { ended, shake, start, startTls, type Secured } from './tls-harness.ts'

const mqtts = ({ addresses }: Holdfast): string => `mqtts://127.0.0.1:${addresses.mqtts!.port}`
const wss = ({ addresses }: Holdfast): string => `wss://127.0.0.1:${addresses.https!.port}/mqtt`
const https = ({ addresses }: Holdfast): string => `https://127.0.0.1:${addresses.https!.port}`

/** A message there and back by MQTT. */
async function echo ({ holdfast, authority }: Pick<Secured, 'holdfast' | 'authority'>, url: string): Promise<string> {
  const client = await connectAsync(url, { ca: authority.cert, clientId: `echo-${url.slice(0, 5)}` })
  try {
    const got = new Promise<string>((resolve) => {
      client.on('message', (_topic, payload) => { resolve(payload.toString('latin1')) })
    })
    await client.subscribeAsync('t/echo', { qos: 1 })
    await holdfast.publish({ topic: 't/echo', payload: 'x'.repeat(200_000) })
    await client.publishAsync('t/else', 'y'.repeat(200_000), { qos: 1 })
    return await within(got, 'the message')
  } finally {
    await client.endAsync()
  }
}

t.test('[G1] [G2] MQTT over TLS, and over WebSocket with TLS; the plain ports are there too on loopback', async t => {
  const secured = await startTls(t)
  const { holdfast } = secured
  t.equal((await echo(secured, mqtts(holdfast))).length, 200_000)
  t.equal((await echo(secured, wss(holdfast))).length, 200_000)
  t.equal((await echo(secured, `mqtt://127.0.0.1:${holdfast.addresses.mqtt!.port}`)).length, 200_000)
  t.equal((await echo(secured, `ws://127.0.0.1:${holdfast.addresses.http!.port}/mqtt`)).length, 200_000)
  t.ok(secured.lines.some(({ sentence }) => sentence.includes('MQTT over TLS at')))
})

t.test('[G1] [G2] every Socket.IO client comes in over https and wss', async t => {
  const { holdfast, authority } = await startTls(t)
  for (const version of VERSIONS) {
    for (const transport of Object.keys(TRANSPORTS) as Transport[]) {
      const name = `${version} ${transport}`
      const client = legacyClient(version, https(holdfast), {
        transports: TRANSPORTS[transport], ca: authority.cert, auth: { clientId: name }, query: { clientId: name }
      })
      t.teardown(() => client.disconnect())
      const got = new Promise<unknown>((resolve) => client.on('down', (value: unknown) => { resolve(value) }))
      await within(new Promise<void>((resolve, reject) => {
        client.once('connect', () => { resolve() })
        client.once('connect_error', (error: Error) => { reject(error) })
      }), `${name} to connect`)
      await within(new Promise<void>((resolve) => { client.emit('up', 'x'.repeat(100_000), () => { resolve() }) }),
        `${name}: the receipt`)
      await holdfast.publish({ topic: `io/_/user/${name}/down`, payload: JSON.stringify('z'.repeat(100_000)) })
      t.equal(String(await within(got, `${name}: the message`)).length, 100_000, name)
      client.disconnect()
    }
  }
})

t.test('a request over https is answered', async t => {
  const { holdfast, authority } = await startTls(t)
  const body = await within(new Promise<string>((resolve, reject) => {
    get(`${https(holdfast)}/readyz`, { ca: authority.cert, agent: false }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => { text += chunk }).on('end', () => { resolve(text) })
    }).on('error', reject)
  }), 'the answer')
  t.same(JSON.parse(body), { ready: true })
})

t.test('beyond loopback the encrypted ports alone are open, and plain ones only if that is said', async t => {
  const auth: ProgramAuth = {
    anonymous: false, authenticate: async () => undefined, mayPublish: () => false, maySubscribe: () => false
  }
  const { holdfast, says } = await startTls(t, { host: '0.0.0.0', auth })
  t.same(Object.keys(holdfast.addresses).sort(), ['https', 'mqtts'])
  t.notOk(says('not encrypted, passwords'))
  const open = await startTls(t, { host: '0.0.0.0', auth, tlsPlainPorts: 'open' })
  t.ok(open.holdfast.addresses.mqtt)
  t.equal(open.lines.filter(({ sentence }) => sentence.includes('not encrypted, passwords')).length, 1)
  const plain = await start(t, { host: '0.0.0.0', auth })
  t.equal(plain.lines.filter(({ sentence }) => sentence.includes('not encrypted, passwords')).length, 1)
})

t.test('TLS 1.1 is refused, and told; so is who does not speak TLS at all', async t => {
  const { holdfast, authority, says } = await startTls(t)
  const port = holdfast.addresses.mqtts!.port
  const old = await shake(t, port, {
    ca: authority.cert, minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0'
  })
  t.ok(old instanceof Error, 'TLS 1.1')
  await until(() => says('TLS handshake failed', { code: 'ERR_SSL_UNSUPPORTED_PROTOCOL' }), 'the line about TLS 1.1')
  const weak = await shake(t, port, {
    ca: authority.cert, maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA:AES128-SHA'
  })
  t.ok(weak instanceof Error, 'no cipher of today')
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const socket = await shake(t, port, { ca: authority.cert, minVersion: version, maxVersion: version })
    t.equal(socket instanceof TLSSocket && socket.getProtocol(), version)
  }
  const plain = connectTcp(port, '127.0.0.1')
  t.teardown(() => plain.destroy())
  plain.on('error', () => {}).resume().write('GET / HTTP/1.1\r\n\r\n')
  await until(() => says('TLS handshake failed', { code: 'ERR_SSL_HTTP_REQUEST' }), 'the line about HTTP')
  t.ok(holdfast.stats().refusals.handshakes >= 3)
})

t.test('[G6] handshakes that are begun and not ended are bounded in number and in time', async t => {
  const { holdfast, authority, says } = await startTls(t, { handshakesMax: 3, connectTimeoutMs: 2_000 })
  const { port } = holdfast.addresses.https!
  const slow = Array.from({ length: 3 }, () => connectTcp(port, '127.0.0.1').on('error', () => {}))
  const cut = Promise.all(slow.map(async (socket) => {
    socket.resume().write(Buffer.from([0x16, 0x03])) // a handshake that does not go on
    await new Promise((resolve) => { socket.once('close', resolve) })
  }))
  await until(async () => {
    const late = connectTcp(port, '127.0.0.1').on('error', () => {})
    await within(new Promise((resolve) => { late.resume().once('close', resolve) }), 'one more to be closed')
    return says('handshakesMax under way already')
  }, 'one too many to be told')
  await within(cut, 'the slow ones to be cut')
  const after = await shake(t, port, { ca: authority.cert, ALPNProtocols: ['http/1.1'] })
  t.ok(after instanceof TLSSocket, 'there is room again')
  t.ok(says('TLS handshake failed', { code: 'ERR_TLS_HANDSHAKE_TIMEOUT' }))
})

t.test('[G6] the head of a request over TLS comes in time, or its connection ends', async t => {
  const { holdfast, authority } = await startTls(t, { connectTimeoutMs: 500, tlsPlainPorts: 'closed' })
  const socket = await shake(t, holdfast.addresses.https!.port, { ca: authority.cert }) as TLSSocket
  socket.write('GET /healthz HTTP/1.1\r\nHost: lo')
  await ended(socket)
  t.same(Object.keys(holdfast.addresses).sort(), ['https', 'mqtts'], 'it ended, and no plain port stood for it')
})

/** Lets in by certificate alone, or whoever `name` says; notes what was shown. */
function noting (shown: Credentials[], name?: string): ProgramAuth {
  return {
    anonymous: false,
    async authenticate (credentials) {
      shown.push(credentials)
      return (name ?? credentials.certificate?.commonName) as Principal | undefined
    },
    mayPublish: () => true,
    maySubscribe: () => true
  }
}

t.test('[G7] a client certificate is verified and goes to authentication, over every transport', async t => {
  const shown: Credentials[] = []
  const { holdfast, authority, says } = await startTls(t, ({ file }) => ({
    auth: noting(shown), tlsClientCa: file, tlsClientCertificate: 'required'
  }))
  const { cert, key } = authority.issue('u1', '/O=club/CN=u1', 'email:u1@a.example,URI:urn:device:7,DNS:a.example')
  const options = { ca: authority.cert, cert, key }
  for (const url of [mqtts(holdfast), wss(holdfast)]) {
    await (await connectAsync(url, { ...options, clientId: 'c1' })).endAsync()
  }
  for (const transports of [['websocket'], ['polling']]) {
    const client = legacyClient('4.8', https(holdfast), { ...options, transports })
    t.teardown(() => client.disconnect())
    await within(new Promise<void>((resolve, reject) => {
      client.once('connect', () => { resolve() })
      client.once('connect_error', (error: Error) => { reject(error) })
    }), 'Socket.IO')
    client.disconnect()
  }
  t.same(shown.map(({ via }) => via), ['mqtt', 'websocket', 'socketio', 'socketio'])
  for (const { via, certificate } of shown) {
    t.match(certificate, {
      commonName: 'u1',
      alternativeNames: ['email:u1@a.example', 'URI:urn:device:7', 'DNS:a.example'],
      fingerprint: /^[0-9a-f]{64}$/
    }, via)
  }
  const stranger = createAuthority(t, 'somebody else').issue('u1', '/CN=u1')
  const { port } = holdfast.addresses.mqtts!
  for (const wrong of [{ cert: stranger.cert, key: stranger.key }, {}]) {
    const socket = await shake(t, port, { ca: authority.cert, ...wrong })
    if (socket instanceof TLSSocket) await ended(socket)
  }
  await until(() => says('TLS handshake failed', { code: 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE' }), 'who had none')
  t.equal(shown.length, 4, 'nobody else got as far as authentication')
})

t.test('[G7] where a certificate is optional, none may be shown, and a wrong one may not', async t => {
  const shown: Credentials[] = []
  const { holdfast, authority, says } = await startTls(t, ({ file }) => ({
    auth: noting(shown, 'guest'), tlsClientCa: file, tlsClientCertificate: 'optional'
  }))
  await (await connectAsync(mqtts(holdfast), { ca: authority.cert, clientId: 'c1' })).endAsync()
  t.same(shown.map(({ certificate }) => certificate), [undefined])
  const stranger = createAuthority(t, 'somebody else').issue('u1', '/CN=u1')
  const wrong = await shake(t, holdfast.addresses.mqtts!.port,
    { ca: authority.cert, cert: stranger.cert, key: stranger.key })
  if (wrong instanceof TLSSocket) await ended(wrong)
  await until(() => says('TLS handshake failed', { code: 'UNVERIFIED' }), 'the line about it')
  t.equal(shown.length, 1)
})

t.test('[G2] [G8] what TLS holds for a client that takes nothing is not taken for received', async t => {
  const { holdfast, authority, lines } = await startTls(t,
    { stallTimeoutMs: 1_000, writeBufferBytesMax: 65_536, ackTimeoutMs: 300_000 })
  const options = { ca: authority.cert, clientId: 'deaf', clean: false, reconnectPeriod: 0 }
  const before = await connectAsync(mqtts(holdfast), options)
  await before.subscribeAsync('t/much', { qos: 1 })
  await before.endAsync()

  const deaf = await shake(t, holdfast.addresses.mqtts!.port, { ca: authority.cert }) as TLSSocket
  const closed = new Promise((resolve) => { deaf.once('close', resolve) })
  deaf.on('error', () => {})
  deaf.write(Buffer.from('101000044d5154540400003c000464656166', 'hex')) // CONNECT, clean session 0, client `deaf`
  await within(new Promise((resolve) => { deaf.once('data', resolve) }), 'CONNACK')
  deaf.pause()
  const MESSAGES = 60
  const sent: string[] = []
  for (let i = 0; i < MESSAGES; i++) {
    sent.push(String(i))
    await holdfast.publish({ topic: 't/much', payload: `${i}${' '.repeat(500_000)}` })
  }
  await until(() => lines.some(({ reason }) => reason === 'stalled'), 'the connection to be cut as stalled')
  deaf.resume()
  await within(closed, 'its end')

  const got: string[] = []
  const after = connect(mqtts(holdfast), options)
  t.teardown(() => after.endAsync(true))
  after.on('message', (_topic, payload) => { got.push(payload.toString().trim()) })
  await until(() => got.length >= MESSAGES, 'all of them')
  t.same(got, sent, 'each of them, in order')
})
