/** Leaving a room: what is delivered of it ends there, whatever was on its way. */
import { once } from 'node:events'
import type { Socket } from 'node:net'
import t from 'tap'
import type { WebSocket } from 'ws'
import { legacyClient } from '../helpers/socketio-clients.ts'
import { until } from '../helpers/wait.ts'
import { collect, connectClient, heard, startBridged } from './socketio-harness.ts'

t.test('a full window and a backlog of a room end with leave, while the client does not even read', async t => {
  const { url, broker } = await startBridged(t, { limits: { inflightMessagesMax: 8 } })
  const page = await connectClient(t, url, { auth: { clientId: 'P1' } })
  const sender = await connectClient(t, url)
  await page.emitWithAck('join', 'r')
  await page.emitWithAck('join', 's')
  const got = collect(page, 'x')
  const { ws } = (page.io.engine as unknown as { transport: { ws: WebSocket } }).transport
  ws.pause()
  for (let n = 0; n < 100; n++) {
    await sender.emitWithAck('send', { room: 'r' }, 'x', n)
    await sender.emitWithAck('send', { room: 's' }, 'x', -n - 1)
  }
  let atLeave = Infinity
  page.emit('leave', 'r', () => { atLeave = got.values.length })
  await until(() => ![...broker.sessions()].some(({ filters }) => filters.some(({ filter }) => /room.r/.test(filter))),
    'the end of the subscription')
  ws.resume()
  await until(() => got.values.includes(-100), 'the last message of the other room')
  t.same(got.values.slice(0, 8), [0, -1, 1, -2, 2, -3, 3, -4], 'what was written before')
  t.same(got.values.slice(8), Array.from({ length: 96 }, (_, n) => -n - 5), 'and then the other room alone')
  t.equal(atLeave, 8)
})

t.test('the same for a client of version 2 without a name, whose backlog is in memory', async t => {
  const { url, broker } = await startBridged(t, {
    bridge: { eio3InflightMessagesMax: 8, eio3PingIntervalMs: 100, deviceCookie: '' }
  })
  const page = legacyClient('2.5', url, { transports: ['websocket'] })
  t.teardown(() => page.disconnect())
  await once(page as never, 'connect')
  const answered = (...emit: [string, ...unknown[]]) => new Promise(resolve => page.emit(...emit, resolve))
  await answered('join', 'r')
  await answered('join', 's')
  const got: number[] = []
  page.on('x', (n: number) => got.push(n))
  const { ws } = (page.io.engine as unknown as { transport: { ws: { _socket: Socket } } }).transport
  ws._socket.pause()
  const sender = await connectClient(t, url)
  for (let n = 0; n < 100; n++) {
    await sender.emitWithAck('send', { room: 'r' }, 'x', n)
    await sender.emitWithAck('send', { room: 's' }, 'x', -n - 1)
  }
  t.ok([...broker.sessions()].some(({ clean }) => clean), 'its session is a clean one')
  let atLeave = Infinity
  page.emit('leave', 'r', () => { atLeave = got.length })
  await until(() => ![...broker.sessions()].some(({ filters }) => filters.some(({ filter }) => /room.r/.test(filter))),
    'the end of the subscription')
  ws._socket.resume()
  await until(() => got.includes(-100), 'the last message of the other room')
  t.same(got.slice(0, 8), [0, -1, 1, -2, 2, -3, 3, -4], 'what was written before')
  t.same(got.slice(8), Array.from({ length: 96 }, (_, n) => -n - 5), 'and then the other room alone')
  t.equal(atLeave, 8)
})

t.test('after leave nothing of the room comes, whatever was in flight, queued or waiting', async t => {
  const { url, broker } = await startBridged(t, { limits: { inflightMessagesMax: 8, writeBufferBytesMax: 65_536 } })
  for (const transports of [['websocket'], ['polling']]) {
    const page = await connectClient(t, url, { auth: { clientId: `P-${transports[0]}` }, transports })
    const sender = await connectClient(t, url)
    await page.emitWithAck('join', 'r')
    await page.emitWithAck('join', 's')
    const got = collect(page, 'x')
    const sent: Array<Promise<unknown>> = []
    for (let n = 0; n < 500; n++) {
      sent.push(sender.emitWithAck('send', { room: 'r' }, 'x', n))
      sent.push(sender.emitWithAck('send', { room: 's' }, 'x', -n - 1))
    }
    let afterLeave = Infinity
    page.emit('leave', 'r', () => { afterLeave = got.values.length })
    await Promise.all(sent)
    await until(() => got.values.includes(-500), 'the last message of the other room')
    const late = got.values.slice(afterLeave).filter(n => Number(n) >= 0)
    t.same(late, [], `${transports[0]}: nothing of the room after its answer`)
    const other = got.values.filter(n => Number(n) < 0)
    t.same(other, Array.from({ length: 500 }, (_, n) => -n - 1), `${transports[0]}: the other room is whole`)
    t.ok(afterLeave < 500, `${transports[0]}: the room was left in the middle (${afterLeave})`)
    page.disconnect()
    page.connect()
    await heard(page, 'connect')
    await page.emitWithAck('rooms')
    t.same(got.values.slice(afterLeave).filter(n => Number(n) >= 0), [], 'nor on the next connection')
    await until(() => [...broker.sessions()].every(({ backlogMessages }) => backlogMessages === 0), 'nothing waits')
  }
})

t.test('a backlog of a room that is left while the client is away is gone when it comes back', async t => {
  const { url, broker } = await startBridged(t, { limits: { inflightMessagesMax: 8 } })
  const page = await connectClient(t, url, { auth: { clientId: 'P1' } })
  await page.emitWithAck('join', 'r')
  page.disconnect()
  const sender = await connectClient(t, url)
  for (let n = 0; n < 100; n++) await sender.emitWithAck('send', { room: 'r' }, 'x', n)
  const got = collect(page, 'x')
  let atLeave = Infinity
  page.emit('leave', 'r', () => { atLeave = got.values.length }) // waits for the connection, as clients do
  page.connect()
  await until(() => atLeave !== Infinity, 'the answer to leave')
  await page.emitWithAck('y')
  t.equal(got.values.length, atLeave)
  t.ok(atLeave < 100, `the rest of the backlog is gone (${atLeave} came before)`)
  await until(() => [...broker.sessions()].every(({ backlogMessages }) => backlogMessages === 0), 'nothing waits')
})
