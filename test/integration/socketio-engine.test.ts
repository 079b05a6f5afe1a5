/** The private parts of Engine.IO and ws that the bridge leans on; an upgrade that changes them must fail here. */
import t from 'tap'
import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { Server } from 'socket.io'
import type { EnginePacket, EngineServer, EngineSocket } from '../../bridge/socketio/engine.ts'
import { nextPacket, openRaw } from './socketio-harness.ts'

t.test('Engine.IO has what the bridge uses of it', async t => {
  const http = createServer().listen(0, '127.0.0.1')
  await once(http, 'listening')
  const io = new Server(http)
  t.teardown(async () => await io.close())
  const engine = io.engine as unknown as EngineServer
  const { port } = http.address() as AddressInfo
  const seen: string[] = []
  const connection = new Promise<EngineSocket>(resolve => engine.on('connection', socket => {
    socket.on('packetCreate', ({ type }: EnginePacket) => seen.push(`create ${type}`))
    socket.on('packet', ({ type }: EnginePacket) => seen.push(`read ${type}`))
    socket.on('flush', () => seen.push('flush'))
    resolve(socket)
  }))
  const raw = await openRaw(t, port)
  const socket = await connection
  t.equal(engine.clients[socket.id], socket)
  t.equal(engine.clientsCount, 1)
  t.equal(socket.readyState, 'open')
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

t.test('a polling transport has a time after which it gives up closing politely', async t => {
  const http = createServer().listen(0, '127.0.0.1')
  await once(http, 'listening')
  const io = new Server(http)
  t.teardown(async () => await io.close())
  const connection = once(io.engine, 'connection') as Promise<[EngineSocket]>
  const { port } = http.address() as AddressInfo
  await (await fetch(`http://127.0.0.1:${port}/socket.io/?EIO=4&transport=polling&t=1`)).text()
  const [{ transport }] = await connection
  t.match(transport, { name: 'polling', closeTimeout: 30_000 })
})
