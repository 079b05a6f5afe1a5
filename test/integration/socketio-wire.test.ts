/** The private parts of Socket.IO, Engine.IO and ws that writing directly leans on; an upgrade must not change them. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { Socket as TcpSocket, type AddressInfo } from 'node:net'
import { Server, type Socket } from 'socket.io'
import t, { type Test } from 'tap'
import type { WebSocket } from 'ws'
import { engineOf, type EngineSocket } from '../../bridge/socketio/wire/engine.ts'
import { privateOf, privateSocketOf } from '../../bridge/socketio/wire/socketio.ts'
import { Frames, type EncodedEvent } from '../../bridge/socketio/wire/frames.ts'
import { Rules } from '../../bridge/socketio/rules/rules.ts'
import { Wire, Writing } from '../../bridge/socketio/wire/wire.ts'
import { until, within } from '../helpers/wait.ts'
import { openRaw } from './socketio-harness.ts'

interface Ends { readonly socket: Socket, readonly raw: WebSocket, readonly engine: EngineSocket }

/** A plain Socket.IO server, and a client that says what it is told. */
async function ends (t: Test, options: { perMessageDeflate?: boolean } = {}): Promise<Ends> {
  const http = createServer().listen(0, '127.0.0.1')
  await once(http, 'listening')
  const io = new Server(http, options)
  t.teardown(async () => await io.close())
  const connection = new Promise<Socket>(resolve => io.on('connection', resolve))
  const raw = await openRaw(t, (http.address() as AddressInfo).port)
  const socket = await connection
  return { socket, raw, engine: engineOf(socket) }
}

function eventsOf (socket: Socket, ...names: string[]): EncodedEvent[] {
  const { encoder } = privateOf(socket.nsp).server
  const frames = new Frames({ encoder, epoch: 'e', firstAckId: 2 ** 30 })
    .namespace('/', new Rules({ makeId: () => 'id' }).namespace('/'))
  return names.map(event => frames.encode({ event, args: [] }))
}

t.test('a WebSocket of Engine.IO writes to a TCP connection, which is at hand', async t => {
  const { engine } = await ends(t)
  const { transport } = engine
  if (transport.name !== 'websocket') return t.fail(transport.name)
  t.ok(transport.socket._socket instanceof TcpSocket)
  t.equal(transport.socket.extensions, '')
  t.equal(transport.socket.readyState, 1)
  t.equal(transport.supportsBinary, true)
  t.equal(engine.protocol, 4)
})

t.test('a frame that is ready is written instead of its packet', async t => {
  const { socket, raw, engine } = await ends(t)
  const [event] = eventsOf(socket, 'ready')
  const [{ options }] = event.pieces
  const next = once(raw, 'message')
  engine.write('2["packet"]', options)
  t.equal(String((await within(next, 'the packet'))[0]), '42["ready"]')
})

t.test('what is written directly keeps its place among what Socket.IO writes, and goes with it', async t => {
  const { socket, raw, engine } = await ends(t)
  let atEnd = 0
  const wire = new Wire(engine, new Writing(), { endTurn: () => { atEnd++ } })
  const packets: string[] = []
  const chunks: Buffer[] = []
  raw.on('message', data => packets.push(String(data)))
  const tcp = (raw as unknown as { _socket: TcpSocket })._socket
  tcp.on('data', (chunk: Buffer) => chunks.push(chunk))
  t.equal(wire.direct, true)
  const [a, b, c, d] = eventsOf(socket, 'a', 'b', 'c', 'd')
  wire.writeFrames([a, b])
  socket.emit('by socket.io')
  wire.writeOne(c)
  t.equal(wire.direct, true, 'the engine has handed on what it was given')
  wire.writeOne(d)
  const taken = new Promise<void>(resolve => wire.writePing(resolve))
  t.equal(packets.length, 0)
  await within(taken, 'the system to take it')
  await until(() => packets.length === 6, 'all of it')
  t.same(packets, ['42["a"]', '42["b"]', '42["by socket.io"]', '42["c"]', '42["d"]', '2'])
  t.equal(chunks.length, 1, 'one write')
  t.equal(atEnd, 1, 'asked once for what comes last')
})

t.test('while something waits in the engine, nothing is written past it', async t => {
  const { socket, raw, engine } = await ends(t)
  const wire = new Wire(engine, new Writing(), { endTurn: () => {} })
  const packets: string[] = []
  raw.on('message', data => packets.push(String(data)))
  socket.emit('first')
  socket.emit('second') // the transport is busy with the first
  t.equal(wire.direct, false)
  const [third] = eventsOf(socket, 'third')
  wire.writeOne(third)
  await until(() => packets.length === 3, 'all of it')
  t.same(packets, ['42["first"]', '42["second"]', '42["third"]'])
  t.equal(wire.direct, true, 'once it is empty')
})

t.test('with compression in use nothing is written directly', async t => {
  const { socket, raw, engine } = await ends(t, { perMessageDeflate: true })
  const { transport } = engine
  if (transport.name !== 'websocket') return t.fail(transport.name)
  t.equal(transport.socket.extensions, 'permessage-deflate')
  const wire = new Wire(engine, new Writing(), { endTurn: () => {} })
  t.equal(wire.direct, false)
  const next = once(raw, 'message')
  wire.writeOne(eventsOf(socket, 'x')[0])
  t.equal(String((await within(next, 'the event'))[0]), '42["x"]')
})

t.test('a connection that is closing takes nothing directly', async t => {
  const { engine } = await ends(t)
  const wire = new Wire(engine, new Writing(), { endTurn: () => {} })
  wire.gather()
  engine.close()
  t.equal(wire.direct, false)
})

t.test('Socket.IO makes the function that answers an event, and calls the one that an answer is for', async t => {
  const { socket, raw } = await ends(t)
  const inside = privateSocketOf(socket)
  const asked: number[] = []
  inside.ack = id => {
    asked.push(id)
    return () => {}
  }
  const event = new Promise<unknown[]>(resolve => socket.on('x', (...args: unknown[]) => resolve(args)))
  raw.send('427["x",1]')
  t.match(await within(event, 'the event'), [1, Function])
  t.same(asked, [7])
  const answer = new Promise<unknown[]>(resolve => inside.acks.set(9, (...args) => resolve(args)))
  raw.send('439["yes"]')
  t.same(await within(answer, 'the answer'), ['yes'])
  t.equal(inside.acks.has(9), false, 'and forgets it')
})
