/** What people may do by the rules of a configuration, as clients meet it; and what an intruder gets beyond them. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { io, type Socket } from 'socket.io-client'
import t, { type Test } from 'tap'
import { hashPassword } from '../../broker/index.ts'
import { createMemoryStore } from '../../broker/store/memory.ts'
import type { AccessOption } from '../../config/access-rule.ts'
import { createHoldfast, type Holdfast } from '../../index.ts'
import {
  connectWire, publish1, subscribe, take, text, type WireClient
} from '../helpers/mqtt-wire.ts'
import { startServer } from '../helpers/server.ts'
import { tempFolder } from '../helpers/temp.ts'
import { until, within } from '../helpers/wait.ts'

const PASSWORD = 'Tr0ub4dor&3'
const HASH = await hashPassword(Buffer.from(PASSWORD), Buffer.alloc(16, 1))
const REFUSED = 0x80

interface Running {
  readonly holdfast: Holdfast
  readonly mqtt: { readonly host: string, readonly port: number }
  readonly url: string
  /** What `reload()` finds. */
  readonly set: (now: { users?: readonly string[], access?: AccessOption }) => Promise<void>
}

async function start (t: Test, access: AccessOption, users = ['u1', 'u2', 'boss']): Promise<Running> {
  const usersFile = join(tempFolder(t), 'users')
  const write = (names: readonly string[]): void => {
    writeFileSync(usersFile, names.map(name => `${name}:${HASH}${name === 'boss' ? ':staff,admin' : ''}\n`).join(''),
      { mode: 0o600 })
  }
  write(users)
  let rules = access
  const holdfast = await createHoldfast({
    mqttPort: 0,
    httpPort: 0,
    logLevel: 'silent',
    store: createMemoryStore(),
    usersFile,
    access,
    readAccess: () => rules
  })
  t.teardown(() => holdfast.close())
  const { mqtt, http } = holdfast.addresses
  return {
    holdfast,
    mqtt: mqtt!,
    url: `http://${http!.host}:${http!.port}`,
    async set ({ users, access }) {
      if (users !== undefined) write(users)
      if (access !== undefined) rules = access
      await holdfast.reload()
    }
  }
}

async function mqttClient (t: Test, { mqtt }: Running, username: string, more: object = {}): Promise<WireClient> {
  const { client, connack } = await connectWire(t, mqtt, { username, password: Buffer.from(PASSWORD), ...more })
  t.equal(connack.returnCode, 0, `${username} comes in`)
  return client
}

async function page (t: Test, { url }: Running, username: string): Promise<Socket> {
  const socket = io(url, {
    transports: ['websocket'],
    forceNew: true,
    reconnection: false,
    auth: { username, password: PASSWORD, clientId: username }
  })
  t.teardown(() => { socket.disconnect() })
  await within(new Promise<void>((resolve, reject) => {
    socket.on('connect', resolve)
    socket.on('connect_error', reject)
  }), `${username} comes in`)
  return socket
}

interface Answer { readonly status: string, readonly code?: string }

async function emit (socket: Socket, ...args: readonly [string, ...unknown[]]): Promise<Answer> {
  return await within(socket.emitWithAck(...args) as Promise<Answer>, `an answer to ${args[0]}`)
}

const RULES: AccessOption = [
  { group: 'staff', allow: ['publish', 'subscribe'], topics: ['plans/#', 'io/+/user/#'] },
  { everybody: true, deny: 'subscribe', topics: 'io/+/room/closed/#' },
  { authenticated: true, allow: ['publish', 'subscribe'], topics: 'own/{principal}/#' },
  { principal: 'u2', allow: 'read', topics: 'data/+/open' }
]

t.test('over MQTT nobody gets or says more than their rules allow, by filter, retained message or will', async t => {
  const server = await start(t, RULES)
  const boss = await mqttClient(t, server, 'boss')
  await publish1(boss, 'plans/x', 'secret', 1, { retain: true })
  const u1 = await mqttClient(t, server, 'u1')
  const filters = [
    'own/u1/#', 'own/u2/#', 'own/#', '#', '+/x', 'plans/x', '$share/g/plans/#', '$SYS/#', 'io/_/user/u2/+',
    'io/_/user/u1/+', '$share/g/own/u1/x'
  ]
  t.same(await subscribe(u1, filters.map(filter => [filter, 1] as const)),
    [1, ...Array(8).fill(REFUSED), 1, 1])
  for (const topic of ['plans/x', 'own/u2/x', 'io/_/user/u2/hi', '$x', 'io/_/all/holdfast:closed']) {
    await publish1(u1, topic, 'forged', 2, { retain: true })
  }
  await publish1(boss, 'io/_/user/u1/hi', 'hello', 3)
  t.equal(text(await take(u1)), 'hello', 'and nothing before it')
  const watcher = await mqttClient(t, server, 'boss')
  t.same(await subscribe(watcher, { 'plans/#': 1 }), [1])
  t.equal(text(await take(watcher)), 'secret', 'what was retained is as it was')
  const dying = await mqttClient(t, server, 'u1', {
    will: { topic: 'plans/x', payload: Buffer.from('forged'), qos: 1, retain: true }
  })
  dying.destroy()
  await dying.closed
  await publish1(boss, 'plans/y', 'last', 4)
  t.equal(text(await take(watcher)), 'last', 'no will before it')
})

t.test('with a read rule # is granted, and shows what one may read, retained messages too', async t => {
  const server = await start(t, RULES)
  const boss = await mqttClient(t, server, 'boss')
  await server.holdfast.publish({ topic: 'data/1/open', payload: 'kept', retain: true })
  await server.holdfast.publish({ topic: 'data/1/closed', payload: 'kept, closed', retain: true })
  const u2 = await mqttClient(t, server, 'u2', { clientId: 'reader', clean: false })
  t.same(await subscribe(u2, { 'data/#': 1 }), [1])
  t.equal(text(await take(u2)), 'kept')
  await server.holdfast.publish({ topic: 'data/2/closed', payload: 'closed' })
  await server.holdfast.publish({ topic: 'data/2/open', payload: 'open' })
  t.equal(text(await take(u2)), 'open')
  u2.destroy()
  await u2.closed
  await server.holdfast.publish({ topic: 'data/3/closed', payload: 'closed while away' })
  await server.holdfast.publish({ topic: 'data/3/open', payload: 'open while away' })
  const again = await mqttClient(t, server, 'u2', { clientId: 'reader', clean: false })
  t.equal(text(await take(again)), 'open while away')
  t.same(await subscribe(boss, { 'data/#': 1 }), [REFUSED], 'who has no such rule')
})

t.test('over Socket.IO join, send and emit go by the same rules', async t => {
  const server = await start(t, RULES)
  const u1 = await page(t, server, 'u1')
  const boss = await page(t, server, 'boss')
  t.match(await emit(u1, 'join', 'open'), { status: 'ok' })
  t.match(await emit(u1, 'join', 'closed'), { status: 'error', code: 'NOT_AUTHORIZED' })
  t.match(await emit(u1, 'send', { user: 'boss' }, 'hi'), { status: 'error', code: 'NOT_AUTHORIZED' })
  t.match(await emit(u1, 'send', { room: 'open' }, 'hi'), { status: 'ok' })
  const told = new Promise<unknown[]>(resolve => { u1.on('told', (...args) => { resolve(args) }) })
  t.match(await emit(boss, 'send', { user: 'u1' }, 'told', 7), { status: 'ok' })
  t.same(await within(told, 'what the staff says'), [7])
})

t.test('a right that is withdrawn ends at once, and a user who is removed is gone; sessions stay', async t => {
  const server = await start(t, RULES)
  const u1 = await mqttClient(t, server, 'u1', { clientId: 'one', clean: false })
  const u2 = await mqttClient(t, server, 'u2', { clientId: 'two', clean: false })
  t.same(await subscribe(u1, { 'own/u1/#': 1, 'io/_/user/u1/+': 1 }), [1, 1])
  t.same(await subscribe(u2, { 'own/u2/#': 1 }), [1])
  await server.set({ users: ['u1', 'boss'], access: RULES.filter(rule => rule.authenticated !== true) })
  await within(u2.closed, 'the end of a removed user')
  await server.holdfast.publish({ topic: 'own/u1/x', payload: 'withdrawn' })
  await server.holdfast.publish({ topic: 'io/_/user/u1/x', payload: 'still there' })
  t.equal(text(await take(u1)), 'still there')
  await publish1(u1, 'own/u1/x', 'refused')
  t.equal(server.holdfast.stats().refused, 1)
  t.same([...server.holdfast.sessions()].map(({ clientId }) => clientId as string).sort(), ['one', 'two'])
  const refused = await connectWire(t, server.mqtt, {
    clientId: 'two', clean: false, username: 'u2', password: Buffer.from(PASSWORD)
  })
  t.not(refused.connack.returnCode, 0)
  await server.set({ users: ['u1', 'u2', 'boss'], access: RULES })
  const back = await connectWire(t, server.mqtt, {
    clientId: 'two', clean: false, username: 'u2', password: Buffer.from(PASSWORD)
  })
  t.equal(back.connack.sessionPresent, true)
})

t.test('a rule that is wrong changes nothing, and is told with its place', async t => {
  const server = await start(t, RULES)
  const u1 = await mqttClient(t, server, 'u1')
  await t.rejects(server.set({ access: [{ everybody: true, allow: 'all', topics: 'a/#/b' }] }),
    { message: /access\[0\]\.topics: / })
  t.same(await subscribe(u1, { 'own/u1/#': 1, 'plans/#': 1 }), [1, REFUSED])
})

t.test('SIGHUP takes the rules of the file and the ACL file anew; a line that is wrong changes nothing', async t => {
  const folder = tempFolder(t)
  const file = join(folder, 'holdfast.json')
  const aclFile = join(folder, 'acl')
  const access = (topics: string): void => {
    writeFileSync(file, JSON.stringify({
      aclFile,
      usersFile: join(folder, 'users'),
      allowAnonymous: true,
      access: [{ everybody: true, allow: 'publish', topics }]
    }))
  }
  writeFileSync(join(folder, 'users'), '')
  access('a')
  writeFileSync(aclFile, 'topic read a\n')
  const server = await startServer(t, { flags: ['--config', file] })
  const { client: reader } = await connectWire(t, server.mqtt)
  await subscribe(reader, { '#': 1 })
  const { client } = await connectWire(t, server.mqtt)
  const logged = async (text: RegExp, change: () => void): Promise<void> => {
    const from = server.stderr.length
    change()
    process.kill(server.pid, 'SIGHUP')
    await until(() => text.test(server.stderr.slice(from)), String(text))
  }
  await publish1(client, 'b', 'refused', 1)
  await publish1(client, 'a', 'first', 2)
  t.equal(text(await take(reader)), 'first')
  await logged(/read anew/, () => {
    access('b')
    writeFileSync(aclFile, 'topic read b\n')
  })
  await publish1(client, 'a', 'refused', 3)
  await publish1(client, 'b', 'second', 4)
  t.equal(text(await take(reader)), 'second')
  await logged(/acl:2: \\?"sea\\?" is no kind of access/, () => {
    writeFileSync(aclFile, 'topic read a\ntopic sea b\n')
  })
  await logged(/access\[0\]\.topics/, () => { access('a/#/b') })
  await publish1(client, 'b', 'third', 5)
  t.equal(text(await take(reader)), 'third')
})
