/** Who a Socket.IO client is: by name, credentials, recovery identifier or cookie, in clients of all versions. */
import t from 'tap'
import type { Test } from 'tap'
import { WebSocket } from 'ws'
import type { Identified, Identify } from '../../bridge/socketio/admission/identity.ts'
import { ANSWER_MS_MAX } from '../../bridge/socketio/admission/liveness.ts'
import {
  systemClock, type ProgramAuth, type Clock, type Principal, type SessionInfo, type TimeSource
} from '../../broker/index.ts'
import { createMemoryDisk, createMemoryStore } from '../../broker/store/memory.ts'
import { createProxy } from '../helpers/proxy.ts'
import { legacyClient, TRANSPORTS, VERSIONS, type LegacyOptions, type LegacySocket, type Transport, type Version
} from '../helpers/socketio-clients.ts'
import { until, within } from '../helpers/wait.ts'
import { cookieOf, startBridged, type Bridged } from './socketio-harness.ts'

const transports = Object.keys(TRANSPORTS) as Transport[]
const OLD_AND_NEW = ['2.5', '4.8'] as const

t.jobs = 4

/** Whoever shows his name and 's, or as a token `I-am-` and his name. */
const auth: ProgramAuth = {
  anonymous: false,
  authenticate: async ({ username, password }) => {
    const shown = password?.toString() ?? ''
    if (username === undefined && shown.startsWith('I-am-')) return shown.slice('I-am-'.length) as Principal
    return shown === `${username}'s` ? username as Principal : undefined
  },
  mayPublish: () => true,
  maySubscribe: () => true
}
const basic = (pair: string): string => `Basic ${Buffer.from(pair).toString('base64')}`

/** Resolves when it is connected, rejects with what it is refused with. */
async function connect (t: Test, version: Version, url: string, options: LegacyOptions = {}): Promise<LegacySocket> {
  const socket = legacyClient(version, url, { transports: TRANSPORTS.websocket, ...options })
  t.teardown(() => { socket.disconnect() })
  await within(new Promise<void>((resolve, reject) => {
    socket.once('connect', () => resolve())
    socket.once('connect_error', (error: Error) => reject(error))
    socket.once('error', (data: object) => reject(Object.assign(new Error('refused'), { data })))
  }), 'the client to be connected')
  return socket
}

/** The code that it is refused with. */
async function refusal (attempt: Promise<LegacySocket>): Promise<string | undefined> {
  return await attempt.then(() => undefined, (error: { data?: { code: string } }) => error.data?.code)
}

const sessions = ({ broker }: Bridged): SessionInfo[] =>
  [...broker.sessions()].sort((a, b) => a.clientId < b.clientId ? -1 : 1)
const names = (bridged: Bridged): string[] => sessions(bridged).map(({ clientId }) => clientId)

async function leave ({ bridge }: Bridged, ...sockets: LegacySocket[]): Promise<void> {
  const rest = bridge.connections - sockets.length
  for (const socket of sockets) socket.disconnect()
  await until(() => bridge.connections === rest, 'the connections to end', undefined, 2)
}

for (const version of VERSIONS) {
  t.test(`${version}: a name comes by auth or by query, of the connection or of the namespace`, async t => {
    const bridged = await startBridged(t, { bridge: { deviceCookie: '' } })
    const { url } = bridged
    await connect(t, version, url, { query: { clientId: 'by query' } })
    t.same(names(bridged), ['io:_:by query'])
    if (version === '2.5') {
      await connect(t, version, `${url}/shop?clientId=by%20namespace`, { query: { clientId: 'of the connection' } })
      await until(() => names(bridged).includes('io:shop:by namespace'), 'the session')
    } else {
      await connect(t, version, url, { query: { clientId: 'not this one' }, auth: { clientId: 'by auth' } })
      t.same(names(bridged), ['io:_:by auth', 'io:_:by query'])
    }
  })

  t.test(`${version}: credentials come by auth, query or an Authorization header, on every transport [G7]`, async t => {
    const bridged = await startBridged(t, { auth })
    const ways: LegacyOptions[] = [
      { query: { username: 'me', password: 'me\'s' } },
      { query: { token: 'I-am-me' } },
      { extraHeaders: { Authorization: basic('me:me\'s') } },
      { extraHeaders: { authorization: 'Bearer I-am-me' } }
    ]
    if (version !== '2.5') ways.push({ auth: { username: 'me', password: 'me\'s' } }, { auth: { token: 'I-am-me' } })
    for (const transport of transports) {
      for (const [i, way] of ways.entries()) {
        const socket = await connect(t, version, bridged.url, { transports: TRANSPORTS[transport], ...way })
        const [session] = sessions(bridged)
        t.equal(session.principal, 'me', `${transport}, way ${i}`)
        await leave(bridged, socket)
        await bridged.broker.end(session.clientId)
      }
      const wrong = { transports: TRANSPORTS[transport], query: { username: 'me', password: 'her\'s' } }
      t.equal(await refusal(connect(t, version, bridged.url, wrong)), 'NOT_AUTHORIZED')
    }
    t.same(names(bridged), [])
  })
}

for (const version of OLD_AND_NEW) {
  t.test(`${version}: a program's own identify() goes before all that the client says`, async t => {
    const seen: unknown[] = []
    const identify: Identify = async ({ query, headers, address, namespace }) => {
      seen.push([query.who, typeof headers['user-agent'], address, namespace])
      if (query.who === 'nobody') throw new Error('a word that is for the log alone')
      if (query.who === 'open') return undefined
      if (query.who === 'mixed up') return 'U1' as unknown as Identified // or a number for a text
      return { clientId: `known ${query.who}`, username: 'me', password: 'me\'s' }
    }
    const bridged = await startBridged(t, { auth, bridge: { identify } })
    const claims = { clientId: 'a claim', token: 'I-am-she' }
    await connect(t, version, bridged.url, { query: { ...claims, who: 'U1' }, extraHeaders: { 'User-Agent': 'x' } })
    t.match(sessions(bridged), [{ clientId: 'io:_:known U1', principal: 'me' }])
    t.same(seen, [['U1', 'string', '127.0.0.1', '/']])
    await connect(t, version, bridged.url, { query: { ...claims, who: 'open' } })
    t.match(sessions(bridged)[0], { clientId: 'io:_:a claim', principal: 'she' })
    for (const who of ['nobody', 'mixed up']) { // [G7] its claim does not count in place of the answer
      const refused = connect(t, version, bridged.url, { query: { ...claims, clientId: 'another claim', who } })
      t.equal(await refusal(refused), 'NOT_AUTHORIZED', who)
    }
    t.equal(names(bridged).length, 2)
  })
}

// --- the recovery identifier

const pidOf = (socket: LegacySocket): string => (socket as unknown as { _pid: string })._pid
const withPid = (pid: string, more: object): LegacyOptions => ({ auth: { pid, offset: 'hf~aaaaaaaa~1', ...more } })

t.test('[G7] a recovery identifier in foreign hands opens nothing: neither session nor id', async t => {
  const bridged = await startBridged(t, { auth })
  const { url } = bridged
  const mine = await connect(t, '4.8', url, { auth: { token: 'I-am-me' } })
  const named = await connect(t, '4.8', url, { auth: { token: 'I-am-me', clientId: 'U1' } })
  const theft = await connect(t, '4.8', url, withPid(pidOf(mine), { token: 'I-am-she' }))
  t.ok(mine.connected, 'the owner keeps what is his')
  t.not(theft.id, mine.id)
  t.not(pidOf(theft), pidOf(mine))
  t.same(sessions(bridged).map(({ principal }) => principal).sort(), ['me', 'me', 'she'])
  const second = await connect(t, '4.8', url, withPid(pidOf(named), { token: 'I-am-she' }))
  t.not(second.id, named.id)
  const third = connect(t, '4.8', url, withPid(pidOf(named), { token: 'I-am-she', clientId: 'U1' }))
  t.equal(await refusal(third), 'SESSION_FOREIGN')
  t.ok(mine.connected && named.connected)
})

t.test('[G7] a recovery identifier that is not ours, or of a session that has ended, is as none', async t => {
  const bridged = await startBridged(t)
  const first = await connect(t, '4.8', bridged.url)
  const pid = pidOf(first)
  await leave(bridged, first)
  await bridged.broker.end(sessions(bridged)[0].clientId)
  for (const other of [pid, '', 'x'.repeat(24), `${'x'.repeat(24)}.${'k'.repeat(22)}.0`, 'x'.repeat(50_000)]) {
    const socket = await connect(t, '4.8', bridged.url, withPid(other, {}))
    t.not(pidOf(socket), other)
    await leave(bridged, socket)
  }
})

// --- the cookie

/** What a browser would keep of the answer that begins a connection. */
async function setCookie (t: Test, { url }: Bridged, eio: 3 | 4, transport: 'polling' | 'websocket', cookie?: string):
Promise<string | undefined> {
  const query = `/socket.io/?EIO=${eio}&transport=${transport}&t=${Math.random()}`
  const headers: Record<string, string> = cookie === undefined ? {} : { cookie }
  if (transport === 'polling') {
    const response = await fetch(url + query, { headers })
    t.equal(response.status, 200)
    return response.headers.get('set-cookie') ?? undefined
  }
  const socket = new WebSocket(url.replace('http', 'ws') + query, { headers })
  t.teardown(() => socket.terminate())
  return await within(new Promise<string | undefined>((resolve, reject) => {
    socket.on('upgrade', response => resolve(response.headers['set-cookie']?.[0]))
    socket.on('error', reject)
  }), 'the upgrade')
}

/** As a browser sends it back. */
const sentBack = (header: string | undefined): string => String(header).split(';')[0]

t.test('every connection is given the cookie: clients of version 2 and 4, over polling and WebSocket', async t => {
  const bridged = await startBridged(t)
  for (const eio of [3, 4] as const) {
    for (const transport of ['polling', 'websocket'] as const) {
      const header = await setCookie(t, bridged, eio, transport)
      t.match(header, /^holdfast=[\w-]{24}\.[\w-]{43}; Path=\/socket\.io\/; Max-Age=3600; HttpOnly; SameSite=Lax$/)
      const cookie = sentBack(header)
      t.equal(await setCookie(t, bridged, eio, transport, `other=1; ${cookie}`), header, 'the same again')
    }
  }
  const without = await startBridged(t, { bridge: { deviceCookie: '' } })
  t.equal(await setCookie(t, without, 4, 'polling'), undefined)
})

for (const version of OLD_AND_NEW) {
  for (const transport of transports) {
    t.test(`${version} ${transport}: after a reload the cookie alone leads to the session [G2]`, async t => {
      const bridged = await startBridged(t)
      const { url, broker } = bridged
      const options = { transports: TRANSPORTS[transport], extraHeaders: { Cookie: `a=b; ${await cookieOf(bridged)}` } }
      const first = await connect(t, version, url, options)
      await new Promise(resolve => first.emit('join', 'r', resolve))
      t.match(sessions(bridged), [{ clientId: /^io:_:::[\w-]{22}:0$/, clean: false, expiryMs: 3_600_000 }])
      await leave(bridged, first)
      const other = await connect(t, '4.8', url)
      await new Promise(resolve => other.emit('send', { room: 'r' }, 'x', 1, resolve))
      await leave(bridged, other)
      const reloaded = legacyClient(version, url, options)
      t.teardown(() => { reloaded.disconnect() })
      t.equal(await within(new Promise(resolve => reloaded.on('x', resolve)), 'what was missed'), 1)
      t.equal(broker.stats().attached, 1)
      t.equal(broker.stats().sessions, 2)
    })
  }

  t.test(`${version}: two tabs with the cookie alone are two sessions, and come back each to its own [G7]`, async t => {
    const bridged = await startBridged(t)
    const { url, broker } = bridged
    const options = { extraHeaders: { Cookie: await cookieOf(bridged) } }
    const [one, two] = await Promise.all([connect(t, version, url, options), connect(t, version, url, options)])
    t.same(names(bridged).map(name => name.slice(-2)), [':0', ':1'])
    t.ok(one.connected && two.connected)
    const gone = names(bridged)[0]
    const isOne = (name: string): boolean => broker.session(name as never)?.attached === true
    await leave(bridged, one)
    const rest = names(bridged).filter(isOne)
    t.equal(rest.length, 1, 'one stays')
    const back = await connect(t, version, url, options)
    t.ok(back.connected && two.connected)
    t.same(names(bridged).filter(isOne).map(name => name.slice(0, -2)), Array(2).fill(gone.slice(0, -2)))
    t.equal(broker.stats().sessions, 2)
  })

  t.test(`${version}: whoever logs in on the same browser gets a session of his own [G7]`, async t => {
    const bridged = await startBridged(t, { auth })
    const Cookie = await cookieOf(bridged)
    const as = (who: string): LegacyOptions => ({ extraHeaders: { Cookie }, query: { token: `I-am-${who}` } })
    await leave(bridged, await connect(t, version, bridged.url, as('me')))
    await leave(bridged, await connect(t, version, bridged.url, as('she')))
    await leave(bridged, await connect(t, version, bridged.url, as('me')))
    t.match(sessions(bridged).map(({ clientId, principal }) => [clientId.slice(-2), principal]),
      [[':0', 'me'], [':1', 'she']])
  })
}

t.test('[G7] a cookie that the server did not give opens nothing, however it came to the browser', async t => {
  const bridged = await startBridged(t)
  const given = await cookieOf(bridged)
  const flipped = given.at(-5) === 'A' ? 'B' : 'A'
  const planted = ['holdfast=a-secret-of-24-characters', given.split('.')[0],
    `${given.slice(0, -5)}${flipped}${given.slice(-4)}`,
    `holdfast=a-secret-of-24-characters.${given.split('.')[1]}`, await cookieOf(await startBridged(t))]
  for (const cookie of planted) {
    const header = await setCookie(t, bridged, 4, 'polling', cookie)
    t.not(sentBack(header), cookie)
    const behind = await setCookie(t, bridged, 4, 'polling', `${cookie}; ${given}`)
    t.equal(sentBack(behind), given, 'one that it gave counts, though it stands behind')
    await connect(t, '4.8', bridged.url, { extraHeaders: { Cookie: cookie } })
  }
  t.equal(new Set(names(bridged).map(name => name.split(':')[4])).size, planted.length, 'each a device of its own')
})

t.test('[G7] a cookie is known again after a restart', async t => {
  const disk = createMemoryDisk()
  const first = await startBridged(t, { store: createMemoryStore(disk) })
  const cookie = await cookieOf(first)
  await first.bridge.close()
  await first.broker.close()
  const second = await startBridged(t, { store: createMemoryStore(disk) })
  t.equal(sentBack(await setCookie(t, second, 4, 'polling', cookie)), cookie)
})

t.test('a cookie for one host alone is given as browsers want it', async t => {
  const bridged = await startBridged(t, { bridge: { deviceCookie: '__Host-holdfast' } })
  t.match(await setCookie(t, bridged, 4, 'polling'),
    /^__Host-holdfast=[^;]+; Path=\/; Max-Age=3600; HttpOnly; SameSite=Lax; Secure$/)
})

t.test('[G8] hostile cookies are replaced, and hurt nobody', async t => {
  const bridged = await startBridged(t)
  const hostile = ['holdfast=', 'holdfast=%00%00', `holdfast=${'a'.repeat(8_000)}`,
    'holdfast=../../../etc/passwd-aaaaaaa', `holdfast=${'{"$ne":1}'.repeat(3)}`, 'holdfast=io:_:U1:::::::::::::::::::',
    `${'x=y; '.repeat(2_000)}`, '=; ;;=;holdfast']
  for (const [i, cookie] of hostile.entries()) {
    for (const transport of ['polling', 'websocket'] as const) {
      const header = await setCookie(t, bridged, i % 2 === 0 ? 3 : 4, transport, cookie)
      t.match(header, /^holdfast=[\w-]{24}\.[\w-]{43};/, cookie.slice(0, 30))
      t.notOk(cookie.includes(sentBack(header)))
    }
  }
  await connect(t, '4.8', bridged.url, { extraHeaders: { Cookie: hostile[3] } })
})

t.test('the session of a client without name is kept for a while, in version 2 if there are cookies', async t => {
  const bridged = await startBridged(t, { bridge: { recoveryExpiryMs: 7_000 } })
  for (const version of VERSIONS) await connect(t, version, bridged.url)
  t.same(sessions(bridged).map(({ clean, expiryMs }) => [clean, expiryMs]), VERSIONS.map(() => [false, 7_000]))
  const without = await startBridged(t, { bridge: { recoveryExpiryMs: 7_000, deviceCookie: '' } })
  for (const version of VERSIONS) await connect(t, version, without.url)
  t.equal(sessions(without).filter(({ clean }) => clean).length, 1, 'version 2: as long as the connection')
})

/** Nobody is given up for want of an answer: who gets on does not wait for that. */
const patientClock: Clock & TimeSource = {
  ...systemClock,
  after: (ms, callback) => ms === ANSWER_MS_MAX ? () => {} : systemClock.after(ms, callback)
}
const BEFORE_RECOVERY = ['2.5', '4.5'] as const

for (const version of BEFORE_RECOVERY) {
  t.test(`${version}: back with the cookie alone, before the server has noticed, a page goes on in its session [G2]`,
    async t => {
      await Promise.all(transports.map(async transport => {
        const bridged = await startBridged(t)
        const proxy = await createProxy(t, { port: bridged.port })
        const socket = await connect(t, version, `http://127.0.0.1:${proxy.port}`,
          { transports: TRANSPORTS[transport], extraHeaders: { Cookie: await cookieOf(bridged) } })
        const got: number[] = []
        socket.on('x', (n: number) => { got.push(n) })
        if (transport === 'upgrade') {
          await until(() => socket.io.engine.transport.name === 'websocket', 'the upgrade', undefined, 2)
        }
        await new Promise(resolve => socket.emit('x', 0, resolve))
        await until(() => got.length === 1, 'the first')
        const other = await connect(t, '4.8', bridged.url, { auth: { clientId: 'other' } })
        const before = bridged.bridge.connections
        proxy.hole('down')
        for (const n of [1, 2, 3]) await new Promise(resolve => other.emit('x', n, resolve))
        proxy.roam()
        proxy.pass()
        t.equal(bridged.bridge.connections, before, 'the server has not noticed')
        await until(() => got.includes(3), `${transport}: what was missed`)
        t.same(got.filter((n, i) => got.indexOf(n) === i), [0, 1, 2, 3], transport)
        t.equal(bridged.broker.stats().sessions, 2)
        socket.disconnect()
        other.disconnect()
      }))
    })

  t.test(`${version}: a living tab is not taken for a dead one, on no transport, busy or idle [G7]`, async t => {
    await Promise.all(transports.map(async transport => {
      const bridged = await startBridged(t, { clock: patientClock })
      const options = { transports: TRANSPORTS[transport], extraHeaders: { Cookie: await cookieOf(bridged) } }
      const tabs = [await connect(t, version, bridged.url, options)]
      let disconnects = 0
      for (let n = 0; n < 3; n++) {
        tabs[n].on('disconnect', () => { disconnects++ })
        tabs[n].emit('x', n)
        tabs.push(await connect(t, version, bridged.url, options))
      }
      t.equal(disconnects, 0, transport)
      t.equal(bridged.broker.stats().attached, 4)
      for (const tab of tabs) tab.disconnect()
    }))
  })
}
