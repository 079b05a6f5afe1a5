/** A program that passes on what its clients send, as room, event and arguments: nothing of it ends the process. */
import type { Server } from 'socket.io'
import t from 'tap'
import { collect, connectClient, heard } from './socketio-harness.ts'
import { ioSockets, startProgram } from './socketio-programs.ts'

const named = (clientId: string) => ({ auth: { clientId } })
const LONG = 'x'.repeat(70_000)

function nested (levels: number): unknown {
  let value: unknown = 1
  for (let i = 0; i < levels; i++) value = [value]
  return value
}

/** As applications are: nobody awaits what an asynchronous handler returns. */
function passesOn (io: Server): void {
  io.on('connection', socket => {
    socket.on('enter', async (room: string, done: () => void) => {
      await socket.join(room)
      done()
    })
    socket.on('enter and go', async (room: string) => {
      socket.conn.close()
      await socket.join(room)
      await socket.leave(room)
    })
    socket.on('quit', async (room: string, done: () => void) => {
      await socket.leave(room)
      done()
    })
    socket.on('post', (room: string, ...args: unknown[]) => { io.to(room).emit('post', ...args) })
    socket.on('any', (event: string, ...args: unknown[]) => { io.emit(event, ...args) })
  })
}

for (const room of [42, null, { a: 1 }, true, '', LONG, 'a/b+#', '\ud800']) {
  t.test(`[G6] a client enters, uses and leaves the room ${JSON.stringify(room).slice(0, 20)}, as in Socket.IO`,
    async t => {
      const { io, url, holdfast } = await startProgram(t, passesOn)
      const client = await connectClient(t, url, named('c'))
      const posts = collect(client, 'post')
      const [socket] = ioSockets(io)
      await client.emitWithAck('enter', room)
      const isObject = typeof room === 'object' && room !== null // another object each time, so another room
      if (!isObject) {
        t.ok(socket.rooms.has(room as string), 'socket.rooms')
        client.emit('post', room, 'hello')
        await posts.wait(1)
      }
      const isDurable = typeof room === 'number' || (typeof room === 'string' && room !== LONG)
      t.equal([...holdfast.sessions()][0].filters.length, isDurable ? 3 : 2, 'durable where a topic can be made of it')
      t.equal(holdfast.stats().socketio.liveOnly > 0, !isDurable, 'and counted where not')
      await client.emitWithAck('quit', room)
      if (!isObject) t.notOk(socket.rooms.has(room as string), 'left')
      t.equal([...holdfast.sessions()][0].filters.length, 2)
      t.ok(client.connected)
    })
}

const EMITS: ReadonlyArray<[string, readonly unknown[]]> = [
  ['a name of 70,000 characters', [LONG, 1]],
  ['arguments nested 65 levels', ['post', nested(65)]],
  ['arguments nested 500 levels', ['post', nested(500)]],
  ['a payload beyond packetBytesMax', ['post', 'x'.repeat(3_000)]],
  ['a number as name', [7, 1]],
  ['an empty name', ['', 1]]
]

for (const [what, [event, ...args]] of EMITS) {
  t.test(`an emit with ${what} reaches who is here, as in Socket.IO`, async t => {
    const { url, holdfast } = await startProgram(t, passesOn, { packetBytesMax: 2_000, connectPacketBytesMax: 2_000 },
      { maxHttpBufferSize: 100_000 })
    const client = await connectClient(t, url, named('c'))
    const arrived = heard(client, event as string)
    const before = holdfast.stats().socketio.liveOnly
    client.emit('any', event, ...args)
    t.same(await arrived, args)
    t.equal(holdfast.stats().socketio.liveOnly - before, event === '' || event === 7 ? 0 : 1)
    t.ok(client.connected)
  })
}

t.test('who leaves while the room is being joined or left ends nothing', async t => {
  const { io, url } = await startProgram(t, passesOn)
  const closed = new Promise<void>(resolve => io.on('connection', socket => socket.on('disconnect', () => resolve())))
  const client = await connectClient(t, url, { reconnection: false })
  client.emit('enter and go', 'red')
  await closed
  const bystander = await connectClient(t, url, named('bystander'))
  await bystander.emitWithAck('enter', 'blue')
  t.ok(bystander.connected)
})

t.test('join() and what follows it are in order, without await; rooms of who was sent away are gone', async t => {
  const sizes: Array<number | undefined> = []
  const { io, url } = await startProgram(t, io => {
    io.on('connection', socket => {
      void socket.join('lobby')
      sizes.push(io.of('/').adapter.rooms.get('lobby')?.size)
      if (socket.handshake.auth['kick'] === true) return socket.disconnect(true)
      io.to('lobby').emit('welcome', socket.handshake.auth['clientId'])
      void socket.join('porch')
      void socket.leave('porch')
      io.to('porch').emit('welcome', 'who has left')
    })
  })
  const kicked = await connectClient(t, url, { auth: { clientId: 'k', kick: true }, reconnection: false })
  if (kicked.connected) await heard(kicked, 'disconnect')
  t.equal(io.of('/').adapter.rooms.get('lobby'), undefined, 'nobody')
  const client = await connectClient(t, url, { auth: { clientId: 'c' } })
  const welcomes = collect(client, 'welcome')
  await welcomes.wait(1)
  io.emit('welcome', 'the last')
  await welcomes.wait(2)
  t.same(welcomes.values, ['c', 'the last'])
  t.same(sizes, [1, 1])
})

t.test('a room that access control refuses is not entered, and ends nothing', async t => {
  const { io, url, holdfast } = await startProgram(t, passesOn, {
    auth: {
      anonymous: false,
      authenticate: async () => 'somebody' as never,
      mayPublish: () => true,
      maySubscribe: (_principal, _clientId, filter) => !filter.includes('secret')
    }
  })
  const client = await connectClient(t, url, named('c'))
  await client.emitWithAck('enter', 'secret')
  t.notOk(ioSockets(io)[0].rooms.has('secret'))
  t.equal(holdfast.stats().socketio.liveOnly, 1)
})
