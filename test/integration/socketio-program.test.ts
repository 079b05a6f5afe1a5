/** A program's own Socket.IO server on Holdfast: its middlewares and handlers stay, its emits and rooms are durable. */
import { createServer } from 'node:http'
import v8 from 'node:v8'
import { runInNewContext } from 'node:vm'
import { type Namespace, Server, type ServerOptions } from 'socket.io'
import t from 'tap'
import { createHoldfast } from '../../server/index.ts'
import { silent } from '../../broker/index.ts'
import { tempFolder } from '../helpers/temp.ts'
import { until } from '../helpers/wait.ts'
import { collect, connectClient, heard, newClient, refused } from './socketio-harness.ts'
import { startProgram } from './socketio-programs.ts'

const named = (clientId: string) => ({ auth: { clientId } })

t.test('[G2] what a program emits to a room, to all and to all but one reaches who was away, in order', async t => {
  const { io, url } = await startProgram(t, io => {
    io.on('connection', socket => {
      socket.on('enter', async (room: string, done: () => void) => {
        await socket.join(room)
        done()
      })
      socket.on('say', (text: string) => { socket.broadcast.emit('news', text) })
    })
  })
  const away = await connectClient(t, url, named('away'))
  const here = await connectClient(t, url, named('here'))
  await away.emitWithAck('enter', 'red')
  away.disconnect()
  await new Promise<void>(resolve => {
    const poll = (): void => { if (io.of('/').sockets.size === 1) resolve(); else setImmediate(poll) }
    poll()
  })
  const toHere = collect(here, 'news')
  io.to('red').emit('news', 'for red')
  io.emit('news', 'for all')
  here.emit('say', 'from here')
  io.to('red').to('blue').emit('news', 'for two rooms')
  const missed = collect(away, 'news')
  await toHere.wait(1)
  away.connect()
  await missed.wait(4)
  t.same(missed.values.slice(0, 2), ['for red', 'for all'])
  t.same([...missed.values].sort(), ['for all', 'for red', 'for two rooms', 'from here'])
  t.same(toHere.values, ['for all'], 'the sender does not hear itself')
})

t.test('a session that is in two rooms gets what goes to both once, and a room that it left not at all', async t => {
  const { io, url } = await startProgram(t, io => {
    io.on('connection', socket => {
      socket.on('enter', async (rooms: string[], done: () => void) => {
        await socket.join(rooms)
        done()
      })
      socket.on('quit', async (room: string, done: () => void) => {
        await socket.leave(room)
        done()
      })
    })
  })
  const client = await connectClient(t, url, named('c'))
  const news = collect(client, 'news')
  await client.emitWithAck('enter', ['a', 'b', 'c'])
  await client.emitWithAck('quit', 'c')
  io.to('a').to('b').emit('news', 1)
  io.to('c').emit('news', 2)
  io.to(['c', 'a']).emit('news', 3)
  io.emit('news', 4)
  await news.wait(3)
  t.same(news.values, [1, 3, 4])
})

t.test('[G2] rooms are there again after the program was restarted, for its own code too', async t => {
  const data = tempFolder(t)
  const enter = (io: Server): void => {
    io.on('connection', socket => {
      socket.on('enter', async (room: string, done: () => void) => {
        await socket.join(room)
        done()
      })
    })
  }
  const first = await startProgram(t, enter, { data })
  const client = await connectClient(t, first.url, named('c'))
  await client.emitWithAck('enter', 'red')
  client.disconnect()
  await first.holdfast.close()
  const { io, url } = await startProgram(t, enter, { data })
  io.to('red').emit('news', 'while away')
  const rooms = new Promise<string[]>(resolve => io.on('connection', socket => resolve([...socket.rooms])))
  const again = newClient(t, url, named('c'))
  const news = collect(again, 'news')
  await news.wait(1)
  t.same(news.values, ['while away'])
  t.ok((await rooms).includes('red'), 'socket.rooms')
})

t.test('[G7] the program\'s middlewares decide before anything is delivered, those that came later too', async t => {
  const { io, url, holdfast } = await startProgram(t, io => {
    io.use((socket, next) => next(socket.handshake.auth['word'] === 'open' ? undefined : new Error('say the word')))
  })
  io.use((socket, next) => next(socket.handshake.auth['late'] === true ? undefined : new Error('too early')))
  t.equal((await refused(newClient(t, url, named('c')))).message, 'say the word')
  t.equal((await refused(newClient(t, url, { auth: { clientId: 'c', word: 'open' } }))).message, 'too early')
  t.same([...holdfast.sessions()], [], 'who was refused has no session')
  await connectClient(t, url, { auth: { clientId: 'c', word: 'open', late: true } })
  t.equal([...holdfast.sessions()].length, 1)
})

t.test('events with a rule are the bridge\'s, all others the program\'s', async t => {
  const own: string[] = []
  const { url } = await startProgram(t, io => {
    io.on('connection', socket => {
      socket.on('join', (room: string, done: (answer: string) => void) => {
        own.push(`join ${room}`)
        done('by the program')
      })
      socket.on('report', () => own.push('report'))
    })
  }, { rules: { emit: [{ event: 'report', topic: 'io/{namespace}/all/report' }] } })
  const client = await connectClient(t, url, named('c'))
  const reports = collect(client, 'report')
  t.equal(await client.emitWithAck('join', 'red'), 'by the program')
  t.match(await client.emitWithAck('report', 7), { status: 'ok' })
  await reports.wait(1)
  t.same(reports.values, [7])
  t.same(own, ['join red'])
})

t.test('volatile emits, emits that ask, and emits of a socket go to who is here, as they always did', async t => {
  const { io, url } = await startProgram(t)
  const client = await connectClient(t, url, named('c'))
  const heardVolatile = heard(client, 'position')
  io.volatile.emit('position', 1)
  t.equal((await heardVolatile)[0], 1)
  client.on('question', (_text: string, answer: (value: number) => void) => answer(42))
  t.same(await io.timeout(5_000).emitWithAck('question', 'why'), [42])
  const [socket] = await io.fetchSockets()
  const direct = heard(client, 'direct')
  socket.emit('direct', 'hello')
  t.equal((await direct)[0], 'hello')
})

t.test('a server that can\'t be used is refused with what to do', async t => {
  const http = createServer()
  const options = { logger: silent, mqttPort: 0, data: tempFolder(t) }
  await t.rejects(createHoldfast({ ...options, io: new Server() }), { message: /io: it has no HTTP server/ })
  const recovering = new Server(http, { connectionStateRecovery: {} })
  t.teardown(() => recovering.close())
  await t.rejects(createHoldfast({ ...options, io: recovering }), { message: /connectionStateRecovery/ })
  await t.rejects(createHoldfast({ ...options, io: new Server(createServer()), http }), { message: /leave http out/ })
  const other = new Server(createServer(), { parser: { Encoder: class {}, Decoder: class {} } })
  await t.rejects(createHoldfast({ ...options, io: other }), { message: /leave parser out/ })
})

t.test('[G4] what a program publishes twice with one id is handled once, whatever the id looks like', async t => {
  const { holdfast, url } = await startProgram(t)
  const client = await connectClient(t, url, named('c'))
  const news = collect(client, 'news')
  for (const id of ['order-7', '!', '=1', '~', 'order-7', '!', '=1', '~', '']) {
    await holdfast.publish({ topic: 'io/_/user/c/news', payload: JSON.stringify(id), id })
  }
  await holdfast.publish({ topic: 'io/_/all/news', payload: '"another topic"', id: 'order-7' })
  await news.wait(6)
  t.same(news.values, ['order-7', '!', '=1', '~', '', 'another topic'])
})

t.test('another adapter is refused, at the start, for one namespace, and later', async t => {
  const options = { logger: silent, mqttPort: 0, data: tempFolder(t) }
  const Adapter = new Server().of('/').adapter.constructor as new (namespace: Namespace) => Namespace['adapter']
  class Cluster extends Adapter {}
  const cluster = Cluster as unknown as ServerOptions['adapter']
  /** As those of Redis are given: a function that makes one. */
  const redis = function (namespace: Namespace) { return new Cluster(namespace) } as unknown as ServerOptions['adapter']

  const byOption = new Server(createServer(), { adapter: cluster })
  const byCall = new Server(createServer()).adapter(redis)
  for (const io of [byOption, byCall]) {
    await t.rejects(createHoldfast({ ...options, io }), { message: /io: leave the adapter out.*option adapter/ })
  }
  const byNamespace = new Server(createServer())
  const namespace = byNamespace.of('/chat')
  Object.assign(namespace, { adapter: new Cluster(namespace) })
  await t.rejects(createHoldfast({ ...options, io: byNamespace }), { message: /the adapter of the namespace \/chat/ })

  const { io, holdfast } = await startProgram(t)
  const own = io.adapter()
  t.throws(() => io.adapter(cluster), { message: /leave it out/ })
  t.equal(io.adapter(), own)
  await holdfast.close()
  t.equal(io.adapter(cluster), io, 'the program\'s own again')
})

t.test('a namespace that is gone is gone: nothing is kept under names that clients choose', async t => {
  const gone: Array<WeakRef<Namespace>> = []
  const { io, url } = await startProgram(t, io => {
    io.of(/^\/room-/).on('connection', socket => {
      gone.push(new WeakRef(socket.nsp))
      socket.join('red')
    })
  }, {}, { cleanupEmptyChildNamespaces: true })
  for (let i = 0; i < 20; i++) {
    const client = await connectClient(t, `${url}/room-${i}`, named('c'))
    client.disconnect()
  }
  await until(() => io._nsps.size === 1, 'the end of the last')
  v8.setFlagsFromString('--expose-gc')
  const collectGarbage = runInNewContext('gc') as () => void
  await until(() => {
    collectGarbage()
    return gone.every(namespace => namespace.deref() === undefined)
  }, 'the namespaces, collected')
  t.equal(gone.length, 20)
})
