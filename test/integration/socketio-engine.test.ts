/** The private parts of Engine.IO and ws that the bridge leans on; an upgrade that changes them must fail here. */
import t from 'tap'
import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { Writable } from 'node:stream'
import { Server, type ServerOptions } from 'socket.io'
import type { Test } from 'tap'
import { WebSocket } from 'ws'
import { handshakeEio3 } from '../../bridge/socketio/wire/eio3.ts'
import type {
  EnginePacket, EnginePollingReader, EngineServer, EngineSocket, EngineWebSocketTransport
} from '../../bridge/socketio/wire/engine.ts'
import { until, within } from '../helpers/wait.ts'
import { nextPacket, openRaw } from './socketio-harness.ts'

interface Engine {
  readonly engine: EngineServer
  readonly port: number
  /** What happened on the first connection. */
  readonly seen: string[]
  readonly connection: Promise<EngineSocket>
  /** A request of long polling with this query. */
  request (query: string, body?: string): Promise<string>
}

async function startEngine (t: Test, options: Partial<ServerOptions> = {}): Promise<Engine> {
  const http = createServer().listen(0, '127.0.0.1')
  await once(http, 'listening')
  const io = new Server(http, { allowEIO3: true, ...options })
  t.teardown(async () => await io.close())
  const engine = io.engine as unknown as EngineServer
  const { port } = http.address() as AddressInfo
  const seen: string[] = []
  const connection = new Promise<EngineSocket>(resolve => engine.on('connection', socket => {
    socket.on('packetCreate', ({ type }: EnginePacket) => seen.push(`create ${type}`))
    socket.on('packet', ({ type }: EnginePacket) => seen.push(`read ${type}`))
    socket.on('flush', () => seen.push('flush'))
    socket.on('upgrade', () => seen.push('upgrade'))
    resolve(socket)
  }))
  async function request (query: string, body?: string): Promise<string> {
    const url = `http://127.0.0.1:${port}/socket.io/?transport=polling&${query}`
    return await (await fetch(url, body === undefined ? {} : { method: 'POST', body })).text()
  }
  return { engine, port, seen, connection, request }
}

t.test('every transport is made by createTransport, and polling reads whole bodies with its own onData', async t => {
  const { engine, port, request, connection } = await startEngine(t)
  const made: string[] = []
  const read: unknown[] = []
  const { createTransport } = engine
  engine.createTransport = (name, first) => {
    const transport = createTransport.call(engine, name, first)
    made.push(transport.name)
    if (transport.name === 'polling') {
      const polling = transport as EnginePollingReader
      t.equal(polling.protocol, 4)
      t.equal(polling.readyState, 'open')
      const onData = polling.onData.bind(polling)
      polling.onData = data => {
        read.push(data)
        onData(data)
      }
    }
    return transport
  }
  await request('EIO=4')
  const { id } = await connection
  await request(`EIO=4&sid=${id}`, '3\x1e3')
  t.same(read, ['3\x1e3'])
  await openWebSocket(t, port, `EIO=4&sid=${id}`)
  await openWebSocket(t, port, 'EIO=4')
  await until(() => made.length === 3, 'the transports')
  t.same(made, ['polling', 'websocket', 'websocket'])
})

async function openWebSocket (t: Test, port: number, query: string): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/socket.io/?transport=websocket&${query}`)
  t.teardown(() => socket.terminate())
  await within(once(socket, 'open'), 'the WebSocket')
  return socket
}

t.test('Engine.IO has what the bridge uses of it', async t => {
  const { engine, port, seen, connection } = await startEngine(t)
  const raw = await openRaw(t, port)
  const socket = await connection
  t.equal(engine.clients[socket.id], socket)
  t.equal(engine.clientsCount, 1)
  t.equal(socket.readyState, 'open')
  const { _receiver: receiver, _socket: tcp } = (socket.transport as EngineWebSocketTransport).socket
  t.ok(receiver instanceof Writable, 'reads the frames')
  for (const [event, listener] of [['data', 'socketOnData'], ['end', 'socketOnEnd'], ['close', 'socketOnClose']]) {
    t.equal(tcp.listeners(event).filter(({ name }) => name === listener).length, 1, listener)
  }
  t.type(engine.createTransport, 'function')
  t.same(socket.writeBuffer, [])
  const { transport } = socket
  if (transport.name !== 'websocket') return t.fail(transport.name)
  t.type(transport.socket.bufferedAmount, 'number')
  t.equal(transport.socket.isPaused, false)
  t.type(transport.socket.pause, 'function')
  t.type(transport.socket.resume, 'function')

  seen.length = 0
  const ping = nextPacket(raw, '2')
  await new Promise<void>(resolve => socket.sendPacket('ping', undefined, {}, resolve))
  t.same(seen, ['create ping', 'flush'], 'a ping that is asked for is seen like a regular one')
  t.equal(await ping, '2')
  const pong = new Promise<void>(resolve => socket.on('packet', () => resolve()))
  raw.send('3')
  await pong
  t.equal(seen.at(-1), 'read pong')

  const closed = new Promise<string>(resolve => socket.on('close', resolve))
  socket.close(true)
  t.equal(await closed, 'forced close')
  transport.socket.terminate()
})

t.test('a poll is told before it is answered, and the first packet after it is the response', async t => {
  const { seen, connection, request } = await startEngine(t)
  const { sid } = JSON.parse((await request('EIO=4&t=1')).slice(1)) as { sid: string }
  const socket = await connection
  const { transport } = socket
  t.match(transport, { name: 'polling', closeTimeout: 30_000, writable: false })
  if (transport.name !== 'polling') return t.fail('no polling')
  seen.length = 0
  let polls = 0
  const poll = async (): Promise<string> => {
    const came = new Promise<void>(resolve => transport.prependListener('ready', () => {
      seen.push(`poll ${++polls}`)
      resolve()
    }))
    const response = request(`EIO=4&sid=${sid}&t=p${polls}`)
    await came
    return await response
  }
  socket.write('first', {})
  t.equal(socket.writeBuffer.length, 1, 'no poll waits')
  t.equal(await poll(), '4first')
  t.same(seen, ['create message', 'poll 1', 'flush'])

  const second = new Promise<void>(resolve => transport.prependListener('ready', () => setImmediate(() => {
    t.equal(transport.writable, true, 'a poll waits')
    socket.sendPacket('noop', undefined, {}, resolve)
    t.equal(socket.writeBuffer.length, 0)
    socket.write('third', {})
    t.equal(socket.writeBuffer.length, 1)
  })))
  t.equal(await request(`EIO=4&sid=${sid}&t=q1`), '6')
  await second
  t.equal(socket.writeBuffer.length, 1)
})

t.test('an upgrade is told when the transport is the new one, and before anything is written to it', async t => {
  const { port, seen, connection, request } = await startEngine(t, { pingTimeout: 100 })
  const { sid } = JSON.parse((await request('EIO=4&t=1')).slice(1)) as { sid: string }
  const socket = await connection
  const upgraded = new Promise<string>(resolve => socket.on('upgrade', () => resolve(socket.transport.name)))
  socket.write('waits', {})
  const raw = await openWebSocket(t, port, `EIO=4&sid=${sid}`)
  const probed = nextPacket(raw, '3probe')
  raw.send('2probe')
  await probed
  seen.length = 0
  const message = nextPacket(raw, '4waits')
  raw.send('5')
  t.equal(await upgraded, 'websocket')
  await message
  t.same(seen, ['upgrade', 'flush'], 'the probe of the upgrade is no packet of the connection')

  const closed = new Promise<string>(resolve => socket.on('close', resolve))
  socket.resetPingTimeout()
  t.equal(await within(closed, 'the timeout'), 'ping timeout', 'nobody has answered')
})

t.test('revision 3: the ping of the client is told before its answer, a ping of the WebSocket comes back', async t => {
  const { port, seen, connection } = await startEngine(t)
  const raw = await openWebSocket(t, port, 'EIO=3')
  const socket = await connection
  t.equal(socket.protocol, 3)
  seen.length = 0
  const answer = nextPacket(raw, '3')
  raw.send('2')
  await answer
  t.same(seen.filter(what => !what.endsWith('message')), ['read ping', 'create pong', 'flush'])
  const { transport } = socket
  if (transport.name !== 'websocket') return t.fail(transport.name)
  const pong = new Promise<string>(resolve => transport.socket.on('pong', data => resolve(data.toString())))
  await new Promise<void>(resolve => transport.socket.ping('17', false, resolve))
  t.equal(await pong, '17')
  const drained = new Promise<number>(resolve => socket.once('drain', () => resolve(socket.writeBuffer.length)))
  socket.write('x', {})
  t.equal(await drained, 0)
})

t.test('a connection takes its options from the server that made it, which counts it', async t => {
  const { engine, port, connection } = await startEngine(t, { pingInterval: 25_000, pingTimeout: 100 })
  handshakeEio3(engine, 200)
  const raw = await openWebSocket(t, port, 'EIO=3')
  const socket = await connection
  t.equal(engine.clientsCount, 1)
  t.equal(engine.clients[socket.id], socket)
  t.match(socket.server.opts, { pingInterval: 200, pingTimeout: 100 })
  const start = Date.now()
  const closed = new Promise<string>(resolve => socket.on('close', resolve))
  t.equal(await within(closed, 'the timeout'), 'ping timeout')
  t.ok(Date.now() - start < 20_000, 'interval and timeout of its own')
  t.equal(engine.clientsCount, 0)
  raw.terminate()
  const opened = await new Promise<string>(resolve => {
    const other = new WebSocket(`ws://127.0.0.1:${port}/socket.io/?transport=websocket&EIO=4`)
    t.teardown(() => other.terminate())
    other.on('message', data => resolve(String(data)))
  })
  t.match(opened, /"pingInterval":25000/)
})
