/** Nothing durable comes of somebody who is refused, whatever refuses. */
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import t from 'tap'
import type { ProgramAuth, Principal } from '../../broker/index.ts'
import { createMemoryStore } from '../../broker/store/memory.ts'
import { connectClient, newClient, refused, startBridged } from './socketio-harness.ts'
import { startProgram } from './socketio-programs.ts'

/** All are who they say, may use names that are their own, and follow what is their own. */
const auth: ProgramAuth = {
  anonymous: false,
  authenticate: async ({ username }) => username === 'nobody' ? undefined : username as Principal | undefined,
  mayPublish: (_principal, _clientId, topic) => !topic.includes('forbidden'),
  maySubscribe: (principal, clientId, filter) => clientId === `io:_:${principal}` &&
    (!filter.includes('/user/') || filter.includes(`/user/${principal}/`))
}

const as = (username: string, clientId = username) => ({ auth: { username, clientId }, reconnection: false })

t.test('[G7] who is refused under a name leaves no session behind: the name stays free for its owner', async t => {
  const { broker, url } = await startBridged(t, { auth })
  const { code } = (await refused(newClient(t, url, as('alice', 'bob')))).data!
  t.equal(code, 'NOT_AUTHORIZED')
  t.same([...broker.sessions()], [])
  await connectClient(t, url, as('bob'))
})

t.test('[G6] clients that are refused take no room from others, and nothing is written for them', async t => {
  const store = createMemoryStore()
  const { broker, url } = await startBridged(t, { auth, store, limits: { sessionsMax: 5, filtersPerSessionMax: 4 } })
  const created: string[] = []
  broker.events.on('session-created', ({ clientId }) => created.push(clientId))
  for (let i = 0; i < 8; i++) await refused(newClient(t, url, as('mallory', `victim${i}`)))
  await refused(newClient(t, url, as('nobody')))
  await refused(newClient(t, url, as('x'.repeat(300))))
  t.same(created, [], 'no session was ever made')
  await broker.settled()
  for await (const records of store.records('sessions')) t.same(records, [])
  await connectClient(t, url, as('carol'))
})

t.test('[G6] more filters than a session may have refuse a client before it has one', async t => {
  const { broker, url } = await startBridged(t, { auth, limits: { filtersPerSessionMax: 1 } })
  t.equal((await refused(newClient(t, url, as('alice')))).data!.code, 'FILTERS_FULL')
  t.same([...broker.sessions()], [])
})

t.test('[G7] a refused client changes nothing of a session that is there', async t => {
  let isAllowed = true
  const { broker, url } = await startBridged(t, { auth: { ...auth, maySubscribe: () => isAllowed } })
  const owner = await connectClient(t, url, as('alice'))
  const detached = once(broker.events, 'detached')
  owner.disconnect()
  await detached
  const before = broker.session('io:_:alice' as never)
  await refused(newClient(t, url, as('mallory', 'alice')))
  t.same(broker.session('io:_:alice' as never), before)
  isAllowed = false
  await connectClient(t, url, as('alice')) // what it follows already is not asked again
  t.equal([...broker.sessions()].length, 1)
})

t.test('[G6] a link that breaks before CONNECT leaves no session behind', async t => {
  let answer = (_isAllowed: boolean): void => {}
  const asked = new Promise<void>(resolve => {
    auth2.maySubscribe = () => {
      resolve()
      return new Promise<boolean>(resolve => { answer = resolve })
    }
  })
  const { broker, url } = await startBridged(t, { auth: auth2 })
  const client = newClient(t, url, as('alice'))
  await asked
  const gone = new Promise<void>(resolve => client.io.on('close', () => resolve()))
  client.io.engine.close()
  await gone
  answer(true)
  const other = await startBridged(t, { auth })
  await connectClient(t, other.url, as('bystander')) // a while later
  t.same([...broker.sessions()], [])
})

const auth2: { -readonly [Key in keyof ProgramAuth]: ProgramAuth[Key] } = { ...auth }

t.test('[G6] whom the handler of a program sends away at once leaves no session behind', async t => {
  const { url, holdfast } = await startProgram(t, io => {
    io.on('connection', socket => {
      void socket.join('lobby')
      socket.disconnect(true)
    })
  })
  const client = newClient(t, url, as('alice'))
  await new Promise<void>(resolve => client.on('disconnect', () => resolve()))
  t.same([...holdfast.sessions()], [])
})

t.test('[G7] a CONNECT of MQTT that is refused, or malformed, leaves no session behind', async t => {
  const { broker, mqttUrl } = await startBridged(t, { auth })
  const { port } = new URL(mqttUrl)
  const field = (text: string): Buffer => Buffer.concat([Buffer.from([0, text.length]), Buffer.from(text)])
  for (const [user, topic, answerBytes] of [['nobody', 'fine', 4], ['alice', 'wild/#', 0]] as const) {
    const body = Buffer.concat([field('MQTT'), Buffer.from([4, 0x84, 0, 0]), field('c'), field(topic), field('will'),
      field(user)])
    const socket = connectTcp(Number(port), '127.0.0.1')
    let answer = Buffer.alloc(0)
    socket.on('data', (some: Buffer) => { answer = Buffer.concat([answer, some]) })
    socket.write(Buffer.concat([Buffer.from([0x10, body.length]), body]))
    await once(socket, 'close')
    t.equal(answer.length, answerBytes, `${user}, ${topic}`)
    t.not(answer[3], 0, 'not accepted')
  }
  t.same([...broker.sessions()], [])
})
