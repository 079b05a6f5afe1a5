/** A program says which of its emits are kept for who is away, by namespace, event and room. */
import { createServer } from 'node:http'
import { Server } from 'socket.io'
import type { Socket } from 'socket.io-client'
import t from 'tap'
import { createHoldfast, type Durable, type HoldfastOptions, type ProgramEmit } from '../../server/index.ts'
import { silent } from '../../broker/index.ts'
import { tempFolder } from '../helpers/temp.ts'
import { until } from '../helpers/wait.ts'
import { collect, connectClient, newClient } from './socketio-harness.ts'
import { startProgram } from './socketio-programs.ts'

const named = (clientId: string) => ({ auth: { clientId } })
const inRooms = (io: Server): void => {
  for (const namespace of ['/', '/admin']) {
    io.of(namespace).on('connection', async socket => {
      await socket.join(['orders', 'cursors', 7 as never])
      socket.on('say', (event: string, text: string) => { socket.broadcast.emit(event, text) })
      socket.emit('joined')
    })
  }
}

/** What a client hears of the program's own events, in order. */
function hear (socket: Socket): string[] {
  const heard: string[] = []
  socket.onAny((event: string, text: string) => { if (!event.startsWith('holdfast:')) heard.push(text) })
  return heard
}

t.test('[G2] only what is to be kept waits for who is away; all of it reaches who is here, once', async t => {
  const asked: ProgramEmit[] = []
  const { io, url, holdfast } = await startProgram(t, inRooms, {
    durable (emit) {
      asked.push(emit)
      const { namespace, event, rooms } = emit
      return namespace !== '/admin' && event !== 'server_stats' && !rooms.includes('cursors')
    }
  })
  for (const [path, topics, expected, kept] of [
    ['/', 'io/_', ['cursor', 'end', 'order', 'seven', 'stats'], ['order', 'seven', 'end']],
    ['/admin', 'io/admin', ['cursor', 'end', 'order', 'seven', 'stats'], ['end']]
  ] as const) {
    const [here, away] = ['here', 'away'].map(name => newClient(t, url + path, named(name)))
    await Promise.all([here, away].map(socket => collect(socket, 'joined').wait(1)))
    away.disconnect()
    await until(() => io.of(path).sockets.size === 1, 'the one that leaves')
    const [toHere, toAway] = [hear(here), hear(away)]
    io.of(path).emit('server_stats', 'stats')
    io.of(path).to('cursors').emit('news', 'cursor')
    io.of(path).to('orders').emit('news', 'order')
    io.of(path).to(7 as never).emit('news', 'seven')
    here.emit('say', 'server_stats', 'own stats')
    await until(() => asked.at(-1)?.event === 'server_stats', 'the broadcast of a client')
    await holdfast.publish({ topic: `${topics}/all/end`, payload: '"end"' })
    await until(() => toHere.includes('end'), 'the last')
    away.connect()
    await until(() => toAway.includes('end'), 'the last that is kept')
    t.same([...toHere].sort(), expected, `${path}: here`)
    t.same(toAway.filter(text => text !== undefined), kept, `${path}: away`)
  }
  t.same(asked.filter(({ event }) => event === 'news').slice(0, 3), [
    { namespace: '/', event: 'news', rooms: ['cursors'] },
    { namespace: '/', event: 'news', rooms: ['orders'] },
    { namespace: '/', event: 'news', rooms: ['7'] }
  ])
})

t.test('where it gives no answer the emit is kept, and counted', async t => {
  const answers: Record<string, () => unknown> = {
    throws: () => { throw new Error('a fault of the program') },
    later: async () => false,
    nothing: () => undefined,
    live: () => false
  }
  const durable = (({ event }) => answers[event]()) as Durable
  const { io, url, holdfast } = await startProgram(t, inRooms, { durable })
  const client = await connectClient(t, url, named('c'))
  client.disconnect()
  await until(() => io.sockets.sockets.size === 0, 'the end of the connection')
  for (const event of Object.keys(answers)) io.emit(event, event)
  t.equal(holdfast.stats().socketio.undecided, 3)
  await holdfast.publish({ topic: 'io/_/all/end', payload: '"end"' })
  const missed = hear(client)
  client.connect()
  await until(() => missed.includes('end'), 'the last')
  t.same(missed.filter(text => text !== undefined), ['throws', 'later', 'nothing', 'end'])
})

t.test('what is no such function, or has no io, is refused with what to do', async t => {
  const options = { logger: silent, mqttPort: 0, httpPort: 0, data: tempFolder(t) } as const
  await t.rejects(createHoldfast({ ...options, durable: () => true }), { message: /durable: .*there is no io/ })
  const list = { ...options, httpPort: undefined, io: new Server(createServer()), durable: ['server_stats'] }
  await t.rejects(createHoldfast(list as unknown as HoldfastOptions), { message: /durable: it must be a function/ })
})
