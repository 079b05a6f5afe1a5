/**
 * A program's own server authenticates each connection in a middleware. Whoever comes next on the same browser, in the
 * same page or under the same name gets nothing of the one before.
 */
import { once } from 'node:events'
import type { Server } from 'socket.io'
import type { Socket } from 'socket.io-client'
import t, { type Test } from 'tap'
import type { HoldfastOptions } from '../../server/index.ts'
import { collect, connectClient, connected, newClient, refused } from './socketio-harness.ts'
import { ioSockets, startProgram, type Program } from './socketio-programs.ts'
import { until, within } from '../helpers/wait.ts'

/** Says who it is with `auth.user`; joins the room of the user. */
function authenticates (io: Server): void {
  io.use((socket, next) => {
    socket.data.user = socket.handshake.auth['user']
    next()
  })
  rooms(io)
}

/** Authenticates, and keeps for itself who it is. */
function rooms (io: Server): void {
  io.on('connection', async socket => {
    const { user } = socket.handshake.auth
    await socket.join(`user:${user.id ?? user}`)
  })
}

/** As a browser does: pages share a cookie. */
class Browser {
  readonly #t: Test
  readonly #url: string
  readonly #jar = new Map<string, string>()

  constructor (t: Test, url: string) {
    this.#t = t
    this.#url = url
  }

  async open (auth: object): Promise<{ page: Socket, got: unknown[] }> {
    const cookie = [...this.#jar].map(pair => pair.join('=')).join('; ')
    const page = newClient(this.#t, this.#url, {
      auth, transports: ['polling'], withCredentials: true, ...(cookie !== '' && { extraHeaders: { cookie } })
    })
    const { values: got } = collect(page, 'dm')
    await connected(page)
    const { _cookieJar } = page.io.engine as unknown as { _cookieJar?: { _cookies: Map<string, { value: string }> } }
    for (const [name, { value }] of _cookieJar?._cookies ?? []) this.#jar.set(name, value)
    return { page, got }
  }
}

async function left ({ io }: Program, page: Socket): Promise<void> {
  page.disconnect()
  await until(() => ioSockets(io).length === 0, 'it')
}

const START: ReadonlyArray<[string, (io: Server) => void, HoldfastOptions, (user: string) => object]> = [
  ['socket.data.user is a text', authenticates, {}, user => ({ user })],
  ['socket.data.user is an object with an id', authenticates, {}, user => ({ user: { id: user, at: Math.random() } })],
  ['identify says who', rooms, { identify: ({ auth }) => ({ username: String(auth['user']) }) }, user => ({ user })]
]

for (const [how, prepare, options, says] of START) {
  t.test(`[G7] the next user of a browser gets nothing of the one before, who gets it back: ${how}`, async t => {
    const program = await startProgram(t, prepare, options)
    const { io, url } = program
    const browser = new Browser(t, url)
    await left(program, (await browser.open(says('ann'))).page)
    await left(program, (await browser.open(says('ann'))).page) // the cookie has come back
    io.to('user:ann').emit('dm', 'for ann')
    const bob = await browser.open(says('bob'))
    io.to('user:ann').emit('dm', 'for ann, live')
    io.to('user:bob').emit('dm', 'for bob')
    await until(() => bob.got.length > 0, 'it')
    t.same(bob.got, ['for bob'])
    t.same([...ioSockets(io)[0].rooms].filter(room => room.startsWith('user:')), ['user:bob'])
    await left(program, bob.page)
    const ann = await browser.open(says('ann'))
    await until(() => ann.got.length === 2, 'it')
    t.same(ann.got, ['for ann', 'for ann, live'])
  })
}

t.test('[G7] where nobody says who a client is, a cookie opens no session', async t => {
  const program = await startProgram(t, rooms)
  const { io, url, holdfast } = program
  const browser = new Browser(t, url)
  await left(program, (await browser.open({ user: 'ann' })).page)
  await left(program, (await browser.open({ user: 'ann' })).page)
  io.to('user:ann').emit('dm', 'for ann')
  const bob = await browser.open({ user: 'bob' })
  io.to('user:bob').emit('dm', 'for bob')
  await until(() => bob.got.length > 0, 'it')
  t.same(bob.got, ['for bob'])
  t.equal([...holdfast.sessions()].filter(({ clientId }) => clientId.includes(':::')).length, 0)
})

for (const [how, prepare] of [['is known', authenticates], ['is not known', rooms]] as const) {
  t.test(`[G7] a page in which somebody else logs in starts anew, also where the user ${how}`, async t => {
    const program = await startProgram(t, prepare)
    const { io, url } = program
    const page = await connectClient(t, url, { auth: { user: 'ann' } })
    const dms = collect(page, 'dm')
    io.to('user:ann').emit('dm', 'first') // so that it has an offset
    await dms.wait(1)
    const before = page.id
    await left(program, page)
    io.to('user:ann').emit('dm', 'for ann')
    page.auth = { user: 'bob' }
    page.connect()
    await connected(page)
    t.notOk(page.recovered)
    t.not(page.id, before)
    io.to('user:ann').emit('dm', 'for ann, live')
    io.to('user:bob').emit('dm', 'for bob')
    await dms.wait(2)
    t.same(dms.values, ['first', 'for bob'])
  })

  t.test(`[G2] a page whose link breaks is recovered, with its rooms, where the user ${how}`, async t => {
    const program = await startProgram(t, prepare)
    const { io, url } = program
    const page = newClient(t, url, { auth: { user: 'ann' } })
    const dms = collect(page, 'dm')
    await connected(page)
    const gone = once(ioSockets(io)[0], 'disconnect') // an event, as the page is back within some milliseconds
    page.io.engine.close()
    await within(gone, 'the link to break')
    io.to('user:ann').emit('dm', 'while away')
    await dms.wait(1)
    t.ok(page.recovered)
  })
}

t.test('[G7] a name belongs to the user who came first under it', async t => {
  const { io, url } = await startProgram(t, authenticates)
  const ann = await connectClient(t, url, { auth: { clientId: 'phone', user: 'ann' } })
  for (const auth of [{ clientId: 'phone', user: 'bob' }, { clientId: 'phone' }]) {
    t.equal((await refused(newClient(t, url, { auth }))).data!.code, 'SESSION_FOREIGN')
  }
  t.ok(ann.connected)
  t.equal(ioSockets(io).length, 1)
})

t.test('[G7] a page under a name gets what waited in rooms, then leaves them, where the user is not known', async t => {
  const program = await startProgram(t, io => {
    io.on('connection', socket => { void socket.join(`chat:${socket.handshake.auth['chat']}`) })
  })
  const { io, url, holdfast } = program
  const chats = (): string[] => [...holdfast.sessions()][0].filters.map(({ filter }) => filter.split('/')[3])
    .filter(room => room?.startsWith('chat:') === true)
  const open = async (chat: number): Promise<Socket> =>
    await connectClient(t, url, { auth: { clientId: 'c', chat } })
  await left(program, await open(1))
  io.to('chat:1').emit('dm', 'while away')
  const page = newClient(t, url, { auth: { clientId: 'c', chat: 2 } })
  const dms = collect(page, 'dm')
  await dms.wait(1)
  await until(() => chats().length === 1, 'it')
  t.same(chats(), ['chat:2'])
  io.to('chat:1').emit('dm', 'of yesterday')
  io.to('chat:2').emit('dm', 'of today')
  await dms.wait(2)
  t.same(dms.values, ['while away', 'of today'])
})
