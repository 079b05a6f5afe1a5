/** With authentication a message to a person reaches each of their devices and tabs, and nobody else. */
import t, { type Test } from 'tap'
import type { Principal } from '../../broker/index.ts'
import { createMemoryStore } from '../../broker/store/memory.ts'
import { createHoldfast, type HoldfastOptions } from '../../server/index.ts'
import { until } from '../helpers/wait.ts'
import { collect, connected, newClient } from './socketio-harness.ts'

/** Everybody's password is their name, twice. */
const auth: HoldfastOptions['auth'] = {
  anonymous: false,
  async authenticate ({ username, password }) {
    if (username === undefined) return 'anonymous' as Principal
    return password?.toString() === username + username ? username as Principal : undefined
  },
  mayPublish: () => true,
  maySubscribe: () => true
}

async function start (t: Test, options: HoldfastOptions = {}): Promise<string> {
  const holdfast = await createHoldfast(
    { store: createMemoryStore(), auth, httpPort: 0, mqttPort: 0, logLevel: 'silent', ...options })
  t.teardown(async () => { await holdfast.close() })
  return `http://127.0.0.1:${holdfast.addresses.http!.port}`
}

/** A tab or a phone of somebody, with what it hears. */
async function device (t: Test, url: string, user: string | undefined, clientId?: string): Promise<{
  socket: ReturnType<typeof newClient>, got: unknown[]
}> {
  const credentials = user === undefined ? {} : { username: user, password: user + user }
  const socket = newClient(t, url, { auth: { ...credentials, ...(clientId !== undefined && { clientId }) } })
  const { values: got } = collect(socket, 'dm')
  await connected(socket)
  return { socket, got }
}

t.test('[G2] a message to a person reaches their phone and each of their tabs, also those that are away', async t => {
  const url = await start(t)
  const phone = await device(t, url, 'u1', 'phone')
  const [tab, second] = [await device(t, url, 'u1'), await device(t, url, 'u1')]
  const away = await device(t, url, 'u1', 'laptop')
  away.socket.disconnect()
  const sender = await device(t, url, 'u2')
  t.match(await sender.socket.emitWithAck('send', { user: 'u1' }, 'dm', 'hello'), { status: 'ok', sessions: 4 })
  await until(() => [phone, tab, second].every(({ got }) => got.length === 1), 'all that are there')
  const back = await device(t, url, 'u1', 'laptop')
  await until(() => back.got.length === 1, 'the laptop')
  t.ok(tab.socket.connected && second.socket.connected, 'no tab took the place of another')
  t.same(sender.got, [])
})

t.test('[G7] a client identifier is nobody\'s inbox: whoever takes a person\'s name for one gets nothing', async t => {
  const url = await start(t)
  const thief = await device(t, url, 'u2', 'u1')
  const nobody = await device(t, url, undefined, 'u1-too')
  const anonymous = await device(t, url, undefined, 'anonymous')
  const u1 = await device(t, url, 'u1')
  for (const user of ['u1', 'anonymous', 'u1-too']) {
    await u1.socket.emitWithAck('send', { user }, 'dm', user)
  }
  await u1.socket.emitWithAck('dm', 'to all')
  const all = [thief, nobody, anonymous, u1]
  await until(() => all.every(({ got }) => got.includes('to all')), 'what is for all')
  t.same(all.map(({ got }) => got), [['to all'], ['to all'], ['to all'], ['u1', 'to all']])
})

t.test('[G2] u2 writes to u1 before u1 ever came: it waits for their first session', async t => {
  const url = await start(t, { keepForUsersMs: 60_000 })
  const sender = await device(t, url, 'u2')
  t.match(await sender.socket.emitWithAck('send', { user: 'u1' }, 'dm', 'hello'), { status: 'ok', sessions: 1 })
  const thief = await device(t, url, 'u2', 'u1')
  const u1 = await device(t, url, 'u1')
  await until(() => u1.got.length === 1, 'what waited')
  t.same(thief.got, [])
  await sender.socket.emitWithAck('send', { user: 'u1' }, 'dm', 'and now')
  await until(() => u1.got.length === 2, 'what comes now')
})

t.test('without authentication nobody knows people: keepForUsersMs is refused, with what to do', async t => {
  await t.rejects(createHoldfast({ store: createMemoryStore(), keepForUsersMs: 1, httpPort: 0, mqttPort: 0 }),
    { message: /keepForUsersMs.*set up authentication/s })
})
