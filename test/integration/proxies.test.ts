/** Proxies before the ports: who is believed, and what becomes of the address that they tell. */
import { request as httpRequest } from 'node:http'
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import t, { type Test } from 'tap'
import type { Credentials, Principal, ProgramAuth } from '../../broker/index.ts'
import type { Holdfast } from '../../index.ts'
import { legacyClient } from '../helpers/socketio-clients.ts'
import { until, within } from '../helpers/wait.ts'
import { start, startTls } from './tls-harness.ts'

const V1 = 'PROXY TCP4 192.0.2.1 198.51.100.1 56324 1883\r\n'
const V2 = Buffer.concat([
  Buffer.from('0d0a0d0a000d0a515549540a', 'hex'), Buffer.from([0x21, 0x11, 0, 12]),
  Buffer.from([192, 0, 2, 1, 198, 51, 100, 1, 0xdc, 0x04, 0x01, 0xbb])
])
const LOCAL = Buffer.concat([Buffer.from('0d0a0d0a000d0a515549540a', 'hex'), Buffer.from([0x20, 0, 0, 0])])
/** CONNECT of MQTT 3.1.1 for the client `c`. */
const CONNECT = Buffer.from('100d00044d5154540402003c000163', 'hex')
const CONNACK = '20020000'

function noting (shown: Credentials[]): ProgramAuth {
  return {
    anonymous: false,
    async authenticate (credentials) {
      shown.push(credentials)
      return 'somebody' as Principal
    },
    mayPublish: () => true,
    maySubscribe: () => true
  }
}

function open (t: Test, port: number): Socket {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  t.teardown(() => socket.destroy())
  return socket
}

/** The first bytes that come, in hexadecimal; '' where the connection ends without. */
async function first (socket: NodeJS.ReadableStream): Promise<string> {
  return await within(new Promise<string>((resolve) => {
    socket.once('data', (chunk: Buffer) => { resolve(chunk.toString('hex')) })
    socket.once('close', () => { resolve('') })
  }), 'an answer')
}

const mqttPort = ({ addresses }: Holdfast): number => addresses.mqtt!.port
const httpPort = ({ addresses }: Holdfast): number => addresses.http!.port

t.test('[G7] a header of the PROXY protocol says who the client is, in however many pieces it comes', async t => {
  const shown: Credentials[] = []
  const { holdfast } = await start(t, { auth: noting(shown), proxyProtocol: 'v1v2', trustedProxies: ['loopback'] })
  for (const header of [Buffer.from(V1), V2]) {
    const whole = open(t, mqttPort(holdfast))
    whole.write(Buffer.concat([header, CONNECT]))
    t.equal(await first(whole), CONNACK)
    whole.destroy()
    const pieces = open(t, mqttPort(holdfast))
    pieces.setNoDelay(true)
    for (const byte of Buffer.concat([header, CONNECT])) {
      await new Promise((resolve) => { pieces.write(Buffer.of(byte), resolve) })
    }
    t.equal(await first(pieces), CONNACK, 'byte by byte')
    pieces.destroy()
  }
  const health = open(t, mqttPort(holdfast))
  health.write(Buffer.concat([LOCAL, CONNECT]))
  t.equal(await first(health), CONNACK)
  t.same(shown.map(({ remoteAddress }) => remoteAddress), [...Array<string>(4).fill('192.0.2.1'), '127.0.0.1'])
})

t.test('the same before HTTP, and before TLS', async t => {
  const shown: Credentials[] = []
  const { holdfast, authority } = await startTls(t,
    { auth: noting(shown), proxyProtocol: 'v1v2', trustedProxies: ['loopback'] })
  const plain = open(t, httpPort(holdfast))
  plain.write(Buffer.concat([V2, Buffer.from('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n')]))
  t.match(Buffer.from(await first(plain), 'hex').toString(), /^HTTP\/1\.1 200 /)
  const below = open(t, holdfast.addresses.mqtts!.port)
  below.write(V2)
  const secure = connectTls({ socket: below, ca: authority.cert, servername: 'localhost' })
  t.teardown(() => secure.destroy())
  secure.on('error', () => {})
  secure.write(CONNECT)
  t.equal(await first(secure), CONNACK)
  t.same(shown.map(({ remoteAddress }) => remoteAddress), ['192.0.2.1'])
})

t.test('[G7] who is no trusted proxy can say nothing, and who is one must', async t => {
  const shown: Credentials[] = []
  const stranger = await start(t, { auth: noting(shown), proxyProtocol: 'v1v2', trustedProxies: ['203.0.113.0/24'] })
  const liar = open(t, mqttPort(stranger.holdfast))
  liar.write(Buffer.concat([V2, CONNECT]))
  t.equal(await first(liar), '', 'a header of a stranger')
  const honest = open(t, mqttPort(stranger.holdfast))
  honest.write(CONNECT)
  t.equal(await first(honest), CONNACK, 'a client without a proxy')
  const off = await start(t, { auth: noting(shown), trustedProxies: ['loopback'] })
  const early = open(t, mqttPort(off.holdfast))
  early.write(Buffer.concat([V2, CONNECT]))
  t.equal(await first(early), '', 'where it is turned off')
  t.same(shown.map(({ remoteAddress }) => remoteAddress), ['127.0.0.1'], 'nobody was taken for somebody else')

  const proxied = await start(t,
    { auth: noting(shown), proxyProtocol: 'v1v2', trustedProxies: ['loopback'], connectTimeoutMs: 500 })
  const bare = open(t, mqttPort(proxied.holdfast))
  bare.write(CONNECT)
  t.equal(await first(bare), '', 'no header')
  const silent = open(t, mqttPort(proxied.holdfast))
  silent.write('PROXY TCP4 ')
  t.equal(await first(silent), '', 'one that does not come in time')
  await until(() => proxied.says('no proper header', { error: 'it did not come in time' }) ||
    proxied.holdfast.stats().refusals.handshakes === 2, 'both to be told')
  t.equal(shown.length, 1)
})

async function status (port: number, path: string, headers: Record<string, string>): Promise<number> {
  return await within(new Promise<number>((resolve, reject) => {
    httpRequest({ port, host: '127.0.0.1', path, headers, agent: false }, (response) => {
      response.resume()
      resolve(response.statusCode!)
    }).on('error', reject).end()
  }), 'an answer')
}

t.test('[G7] the address that a trusted proxy forwards is the one of authentication, over both transports', async t => {
  const shown: Credentials[] = []
  const { holdfast } = await start(t, { auth: noting(shown), trustedProxies: ['loopback'] })
  const deaf: Credentials[] = []
  const other = await start(t, { auth: noting(deaf) })
  for (const transports of [['websocket'], ['polling'], ['polling', 'websocket']]) {
    for (const one of [holdfast, other.holdfast]) {
      const client = legacyClient('4.8', `http://127.0.0.1:${httpPort(one)}`,
        { transports, extraHeaders: { 'X-Forwarded-For': '6.6.6.6, 192.0.2.7' } })
      t.teardown(() => client.disconnect())
      await within(new Promise<void>((resolve) => { client.once('connect', () => { resolve() }) }), 'to connect')
      client.disconnect()
    }
  }
  t.same(shown.map(({ remoteAddress }) => remoteAddress), Array(3).fill('192.0.2.7'))
  t.same(deaf.map(({ remoteAddress }) => remoteAddress), Array(3).fill('127.0.0.1'), 'nobody is trusted by default')
})

t.test('[G8] bare handshakes of one address do not keep others out, whatever connections carry them', async t => {
  const { holdfast, says } = await start(t,
    { trustedProxies: ['loopback'], connectionsPerAddressMax: 3, connectionsMax: 20 })
  const port = httpPort(holdfast)
  const path = '/socket.io/?EIO=4&transport=polling'
  const from = (address: string): Promise<number> => status(port, path, { 'X-Forwarded-For': address })
  const flood: number[] = []
  for (let i = 0; i < 30; i++) flood.push(await from('192.0.2.66'))
  t.same([flood.filter((code) => code === 200).length, flood.filter((code) => code === 403).length], [3, 27])
  t.equal(await from('192.0.2.67'), 200, 'a neighbour')
  t.ok(says('its address has or begins too many', { remoteAddress: '192.0.2.66' }))
  t.equal(holdfast.stats().refusals.addresses, 27)
})

t.test('[G8] an address has so many connections of MQTT, and room again when one has gone', async t => {
  const { holdfast, says } = await start(t,
    { proxyProtocol: 'v1v2', trustedProxies: ['loopback'], connectionsPerAddressMax: 2 })
  const come = async (address: string, name: string): Promise<{ socket: Socket, answer: string }> => {
    const socket = open(t, mqttPort(holdfast))
    const named = Buffer.from(CONNECT)
    named[named.length - 1] = name.charCodeAt(0)
    socket.write(Buffer.concat([Buffer.from(`PROXY TCP4 ${address} 198.51.100.1 1 1\r\n`), named]))
    return { socket, answer: await first(socket) }
  }
  const one = await come('192.0.2.1', 'a')
  t.equal(one.answer, CONNACK)
  t.equal((await come('192.0.2.1', 'b')).answer, CONNACK)
  t.equal((await come('192.0.2.1', 'c')).answer, '', 'one too many')
  t.equal((await come('192.0.2.2', 'd')).answer, CONNACK, 'a neighbour')
  t.ok(says('its address has or begins too many', { remoteAddress: '192.0.2.1' }))
  one.socket.destroy()
  await until(async () => (await come('192.0.2.1', 'e')).answer === CONNACK, 'room again')
})
