/** A program makes sessions for clients that have not come yet, and hears for how many a message is kept. */
import { connectAsync, connect as createClient } from 'mqtt'
import { io } from 'socket.io-client'
import t, { type Test } from 'tap'
import { silent } from '../../broker/system/logger.ts'
import { createMemoryStore } from '../../broker/store/memory.ts'
import { type Auth, type Holdfast, type HoldfastOptions, type Principal, createHoldfast } from '../../index.ts'
import { tempFolder } from '../helpers/temp.ts'
import { until, within } from '../helpers/wait.ts'

async function start (t: Test, options: HoldfastOptions = {}): Promise<Holdfast> {
  const store = options.data === undefined ? { store: createMemoryStore() } : {}
  const holdfast = await createHoldfast({ mqttPort: 0, httpPort: 0, logger: silent, ...store, ...options })
  t.teardown(() => holdfast.close())
  return holdfast
}

/** What the MQTT client gets when it comes for the first time; `count` of them. */
async function firstCome (t: Test, { addresses: { mqtt } }: Holdfast, clientId: string, count: number,
  username?: string): Promise<{ got: string[], present: boolean }> {
  const got: string[] = []
  let present = false
  const client = createClient(`mqtt://127.0.0.1:${mqtt!.port}`, { clientId, username, clean: false })
  t.teardown(() => { client.end(true) })
  client.on('connect', ({ sessionPresent }) => { present = sessionPresent })
  client.on('message', (_topic, payload) => { got.push(payload.toString()) })
  await until(() => got.length >= count && client.connected, `${count} messages for ${clientId}`)
  return { got, present }
}

/** By user name alone; each user subscribes below their own name only. */
const byName: Auth = {
  anonymous: false,
  authenticate: async ({ username }) => username as Principal | undefined,
  mayPublish: () => true,
  maySubscribe: (principal, _clientId, filter) => filter.startsWith(`${principal}/`)
}

t.test('publish tells for how many kept sessions a message is in the log', async (t) => {
  const holdfast = await start(t)
  t.same(await holdfast.publish({ topic: 'a/b', payload: 'nobody' }), { sessions: 0 })
  t.same(await holdfast.publish({ topic: 'a/b', payload: 'nobody', retain: true }), { sessions: 0 })
  const url = `mqtt://127.0.0.1:${holdfast.addresses.mqtt!.port}`
  const passing = await connectAsync(url, { clientId: 'passing', clean: true })
  const staying = await connectAsync(url, { clientId: 'staying', clean: false })
  for (const client of [passing, staying]) await client.subscribeAsync(['a/b', 'a/zero'], { qos: 1 })
  await staying.subscribeAsync('zero', { qos: 0 })
  t.same(await holdfast.publish({ topic: 'a/b', payload: 'one' }), { sessions: 1 }, 'a clean session keeps nothing')
  t.same(await holdfast.publish({ topic: 'zero', payload: '' }), { sessions: 0 }, 'nor does a filter at QoS 0')
  t.same(await holdfast.publish({ topic: 'a/b', payload: '', qos: 0 }), { sessions: 0 }, 'nor anybody at QoS 0')
  await holdfast.createSession({ clientId: 'other', filters: ['+/b'] })
  t.same(await holdfast.publish({ topic: 'a/b', payload: 'two' }), { sessions: 2 })
  await staying.subscribeAsync('a/#', { qos: 1 })
  t.same(await holdfast.publish({ topic: 'a/b', payload: 'two' }), { sessions: 3 }, 'filters that overlap count each')
  for (const client of [passing, staying]) await client.endAsync(true)
})

t.test('what a program in JavaScript may mix up is refused by its name, changes nothing and stops nobody', async t => {
  const holdfast = await start(t)
  await holdfast.createSession({ clientId: 'U1', filters: ['#'] })
  const message = { topic: 'a', payload: 'x' }
  const wrongMessages: ReadonlyArray<readonly [string, readonly unknown[]]> = [
    ['topic', [undefined, null, 42, ['a'], {}]],
    ['payload', [undefined, null, 42, { level: 3 }, ['a'], true]],
    ['qos', [null, '1', 3, -1, 1.5, NaN, 2n ** 70n, true]],
    ['retain', [null, 'false', 0, 1]],
    ['id', [null, 42, {}, Symbol('id'), 1n]]
  ]
  for (const [option, values] of wrongMessages) {
    for (const value of values) {
      const wrong = { ...message, [option]: value } as unknown as typeof message
      await t.rejects(holdfast.publish(wrong), { name: 'TypeError', message: `publish(): ${option}: ` }, option)
    }
  }
  const wrongSessions: ReadonlyArray<readonly [string, readonly unknown[]]> = [
    ['clientId', [undefined, null, 42, {}]],
    ['namespace', [null, 42, ['/']]],
    ['principal', [null, '', 42, { id: 7 }, Symbol('p')]],
    ['owner', [null, '', 42]],
    ['expiryMs', [null, '1000', 0, -1, 1.5, NaN, Infinity]],
    ['filters', [null, 'alerts/#', { 0: 'a' }, [42], [null], [['#']], [{ filter: 'a' }], [{ filter: 'a', qos: '1' }],
      [{ filter: 'a', qos: 3 }]]]
  ]
  for (const [option, values] of wrongSessions) {
    for (const value of values) {
      const wrong = { clientId: 'U2', [option]: value } as unknown as { clientId: string }
      await t.rejects(holdfast.createSession(wrong), { name: 'TypeError', message: `createSession(): ${option}: ` },
        `${option} ${String(value)}`)
    }
  }
  t.match([...holdfast.sessions()].map(({ clientId }) => clientId), ['U1'])
  t.same(await within(holdfast.publish({ ...message, payload: new Uint8Array([1]) }), 'a receipt'), { sessions: 1 })
})

t.test('[G2] what is published before a client ever came waits for it, over a restart too', async (t) => {
  const data = tempFolder(t)
  const first = await start(t, { data })
  t.equal(await first.createSession({ clientId: 'dev1', filters: ['a/+', { filter: 'b', qos: 2 }] }), true)
  t.equal(await first.createSession({ clientId: 'dev1', filters: ['c'] }), false, 'there is one')
  t.match([...first.sessions()], [{
    clientId: 'dev1', principal: 'anonymous', clean: false, attached: false, detachedAt: Number,
    filters: [{ filter: 'a/+', qos: 1 }, { filter: 'b', qos: 2 }]
  }])
  t.same(await first.publish({ topic: 'a/1', payload: 'one' }), { sessions: 1 })
  await first.publish({ topic: 'b', payload: 'two', qos: 2 })
  await first.publish({ topic: 'c', payload: 'not for it' })
  await first.close()
  t.same(await firstCome(t, await start(t, { data }), 'dev1', 2), { got: ['one', 'two'], present: true })
})

t.test('[G2] a client of Socket.IO finds at its first connect what it was sent by name, room and all', async (t) => {
  const holdfast = await start(t)
  const created = { clientId: 'newbie:1', namespace: '/chat', filters: ['io/chat/room/lobby/+'] }
  t.equal(await holdfast.createSession(created), true)
  for (const to of ['user/newbie:1', 'room/lobby', 'all']) {
    t.same(await holdfast.publish({ topic: `io/chat/${to}/said`, payload: JSON.stringify(to) }), { sessions: 1 })
  }
  const got: unknown[] = []
  const client = io(`http://127.0.0.1:${holdfast.addresses.http!.port}/chat`, { auth: { clientId: 'newbie:1' } })
  t.teardown(() => { client.close() })
  client.on('said', (what) => { got.push(what) })
  await until(() => got.length === 3, 'all three')
  t.same(got, ['user/newbie:1', 'room/lobby', 'all'])
  t.equal([...holdfast.sessions()].length, 1)
})

t.test('[G1] the ack of an emit says for how many kept sessions the message is in the log', async (t) => {
  const holdfast = await start(t)
  const client = io(`http://127.0.0.1:${holdfast.addresses.http!.port}`, { auth: { clientId: 'anna' } })
  t.teardown(() => { client.close() })
  const send = (): Promise<unknown> => client.emitWithAck('send', { user: 'newbie' }, 'welcome', 1)
  t.same(await send(), { status: 'ok', sessions: 0 })
  await holdfast.createSession({ clientId: 'newbie', namespace: '/' })
  t.same(await send(), { status: 'ok', sessions: 1 })
  t.same(await client.emitWithAck('news'), { status: 'ok', sessions: 2 }, 'the sender\'s own, too')
  t.same(await client.emitWithAck('join', 'r'), { status: 'ok' }, 'a change of rooms is for nobody else')
  t.match(await client.emitWithAck('send', { user: 'x'.repeat(2_000) }, 'welcome'), { status: 'error' })
})

t.test('[G2] disconnect over Socket.IO: the client comes back with new credentials, and what came waits', async (t) => {
  const tokens: unknown[] = []
  let bell = (): void => {}
  const holdfast = await start(t, {
    identify: ({ auth }) => {
      tokens.push(auth['token'])
      bell()
      return undefined
    }
  })
  let token = 1
  const client = io(`http://127.0.0.1:${holdfast.addresses.http!.port}`,
    { auth: (tell) => tell({ clientId: 'U1', token: token++ }), reconnectionDelay: 10, reconnectionDelayMax: 10 })
  t.teardown(() => { client.close() })
  const got: unknown[] = []
  const present: unknown[] = []
  client.on('news', (one) => got.push(one))
  client.on('holdfast:session', (session) => present.push(session.present))
  await within(new Promise((resolve) => { client.once('connect', () => resolve(undefined)) }), 'the client')
  const back = new Promise<void>((resolve) => { bell = resolve })
  const gone = new Promise((resolve) => { client.once('disconnect', resolve) })
  t.equal(holdfast.disconnect('io:_:U1'), 1)
  t.equal(holdfast.disconnect('io:_:U1'), 0, 'it has no connection now')
  t.same(await holdfast.publish({ topic: 'io/_/user/U1/news', payload: '"meanwhile"' }), { sessions: 1 })
  t.equal(await within(gone, 'the end of the connection'), 'transport close', 'after which clients reconnect')
  await within(back, 'its new credentials')
  await until(() => got.length > 0, 'what waits')
  t.same([tokens, got, present], [[1, 2], ['meanwhile'], [false, true]])
})

t.test('[G7] a session made beforehand belongs to its principal, with the rights of that one', async (t) => {
  const holdfast = await start(t, { auth: byName })
  await t.rejects(holdfast.createSession({ clientId: 'd', principal: 'anna', filters: ['anna/x', 'ben/x'] }),
    { code: 'NOT_AUTHORIZED' })
  await t.rejects(holdfast.createSession({ clientId: 'd', principal: 'anna', filters: ['anna/#/x'] }),
    { code: 'FILTER_INVALID' })
  t.same([...holdfast.sessions()], [], 'nothing is left of what was refused')
  t.equal(await holdfast.createSession({ clientId: 'd', principal: 'anna', filters: ['anna/x'] }), true)
  await t.rejects(holdfast.createSession({ clientId: 'd', principal: 'ben', filters: ['ben/x'] }),
    { code: 'SESSION_FOREIGN' })
  await holdfast.publish({ topic: 'anna/x', payload: 'for anna' })
  const url = `mqtt://127.0.0.1:${holdfast.addresses.mqtt!.port}`
  await t.rejects(connectAsync(url, { clientId: 'd', username: 'ben', clean: false, reconnectPeriod: 0 }))
  t.match([...holdfast.sessions()], [{ clientId: 'd', principal: 'anna', backlogMessages: 1 }])
  t.same((await firstCome(t, holdfast, 'd', 1, 'anna')).got, ['for anna'])
})

t.test('[G6] sessions made beforehand count for sessionsMax, and expire', async (t) => {
  const holdfast = await start(t, { sessionsMax: 2, sweepMs: 10 })
  t.equal(await holdfast.createSession({ clientId: 'kept' }), true)
  const expired = new Promise((resolve) => { holdfast.events.on('session-ended', resolve) })
  t.equal(await holdfast.createSession({ clientId: 'brief', expiryMs: 1 }), true)
  t.match(await expired, { clientId: 'brief', reason: 'expired' })
  t.equal(await holdfast.createSession({ clientId: 'second' }), true)
  await t.rejects(holdfast.createSession({ clientId: 'third' }), { code: 'SESSIONS_FULL' })
  await t.rejects(holdfast.createSession({ clientId: '' }), { code: 'CLIENT_ID_INVALID' })
})
