import t from 'tap'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { createMemoryStore } from '../../broker/store/memory.ts'
import { HoldfastError } from '../../broker/index.ts'
import type { Broker, ClientId } from '../../broker/index.ts'
import { createProxy } from '../helpers/proxy.ts'
import { until, within } from '../helpers/wait.ts'
import {
  collect, connectClient, connected, connectMqtt, heard, newClient, nextPacket, openRaw, startBridged
} from './socketio-harness.ts'

const U1 = 'io:_:U1' as ClientId
const numbers = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, index) => from + index)

function backlog (broker: Broker): number {
  return broker.session(U1)!.backlogMessages + broker.session(U1)!.inflightMessages
}

async function detached (broker: Broker): Promise<void> {
  const seen = new Promise<void>(resolve => broker.events.once('detached', () => resolve()))
  await within(seen, 'the dead link to be noticed')
}

t.test('messages stay until the client has handled them, and only until then [G2]', async t => {
  const { broker, url } = await startBridged(t)
  const client = await connectClient(t, url, { auth: { clientId: 'U1' } })
  const got = collect(client, 'x')
  for (const n of numbers(0, 500)) client.emit('x', n)
  t.same(await got.wait(500), numbers(0, 500))
  await until(() => backlog(broker) === 0, 'every receipt')
})

t.test('pings are asked for by the batch, not by the message', async t => {
  const { broker, url } = await startBridged(t)
  const client = await connectClient(t, url, { auth: { clientId: 'U1' } })
  let pings = 0
  client.io.on('ping', () => pings++)
  const got = collect(client, 'x')
  for (const n of numbers(0, 20)) client.emit('x', n)
  await got.wait(20)
  await until(() => backlog(broker) === 0, 'every receipt')
  t.ok(pings >= 2 && pings <= 6, `${pings} pings for 20 messages in one go`)
})

t.test('what a black hole swallowed comes after the reconnect, once and in order [G2] [G3] [G4]', async t => {
  const { broker, port, mqttUrl } = await startBridged(t, { pingIntervalMs: 300, pingTimeoutMs: 700 })
  const proxy = await createProxy(t, { port })
  const device = await connectMqtt(t, mqttUrl) // heartbeats so short would end a sender over Socket.IO in a pause
  const publish = async (n: number): Promise<unknown> =>
    await device.publishAsync('io/_/user/U1/x', String(n), { qos: 1 })
  const client = newClient(t, `http://127.0.0.1:${proxy.port}`, { auth: { clientId: 'U1' }, timeout: 1_000 })
  const got = collect(client, 'x')
  await connected(client)
  for (const n of numbers(0, 10)) await publish(n)
  await got.wait(10)
  await until(() => backlog(broker) === 0, 'every receipt')

  proxy.hole('both')
  for (const n of numbers(10, 110)) await publish(n)
  await until(() => !broker.session(U1)!.attached, 'the dead link to be noticed')
  t.equal(backlog(broker), 100, 'nothing that went into the hole counts as received')
  proxy.pass()
  t.same(await got.wait(110), numbers(0, 110))
})

t.test('however the connection breaks, nothing is lost and the order of first sight is kept [G2] [G3]', async t => {
  const { broker, port, mqttUrl } = await startBridged(t, { pingIntervalMs: 120, pingTimeoutMs: 180 })
  const device = await connectMqtt(t, mqttUrl)
  const proxy = await createProxy(t, { port })
  const faults: Record<string, () => void> = {
    reset: () => proxy.cut('reset'),
    finish: () => proxy.cut('finish'),
    'hole down': () => proxy.hole('down'),
    'hole up': () => proxy.hole('up'),
    'hole both': () => proxy.hole('both'),
    'inside a frame, down': () => proxy.cutAfter(700, 'down', 'reset'),
    'inside a frame, up': () => proxy.cutAfter(20, 'up', 'finish')
  }
  for (const transports of [['websocket'], ['polling', 'websocket'], ['polling']]) {
    for (const [name, fault] of Object.entries(faults)) {
      const id = `${transports.join('-')} ${name}`
      proxy.pass()
      const options = { auth: { clientId: id }, transports, timeout: 1_000 }
      const client = newClient(t, `http://127.0.0.1:${proxy.port}`, options)
      const seen = new Set<unknown>()
      const complete = new Promise<void>(resolve => client.on('x', (n: unknown) => {
        seen.add(n)
        if (seen.size === 60) resolve()
      }))
      await connected(client)
      let disconnects = 0
      client.on('disconnect', () => disconnects++)
      for (const n of numbers(0, 60)) {
        await device.publishAsync(`io/_/user/${id}/x`, String(n), { qos: 1 })
        if (n === 20) fault()
      }
      if (name.startsWith('hole') && disconnects === 0) await heard(client, 'disconnect')
      proxy.pass()
      await within(complete, `everything, ${id}`)
      t.same([...seen], numbers(0, 60), id)
      client.disconnect()
    }
  }
  t.equal(broker.stats().gapMessages, 0)
})

t.test('a new connection of the same client gets what its half-open predecessor did not handle [G2]', async t => {
  const { broker, port, url } = await startBridged(t)
  const proxy = await createProxy(t, { port })
  const sender = await connectClient(t, url)
  const options = { auth: { clientId: 'U1' }, reconnection: false }
  const dead = await connectClient(t, `http://127.0.0.1:${proxy.port}`, options)
  const lost = collect(dead, 'x')
  proxy.hole('both')
  for (const n of numbers(0, 30)) await sender.emitWithAck('send', { user: 'U1' }, 'x', n)
  const back = newClient(t, url, { auth: { clientId: 'U1' } })
  const got = collect(back, 'x')
  t.same(await got.wait(30), numbers(0, 30))
  t.same(lost.values, [])
  await until(() => backlog(broker) === 0, 'every receipt')
})

t.test('a client that leaves its namespace gets no receipt for what it did not handle [G2]', async t => {
  const { broker, url } = await startBridged(t)
  const sender = await connectClient(t, url)
  const other = { forceNew: false, auth: { clientId: 'U1' } }
  const root = await connectClient(t, url, other)
  await connectClient(t, `${url}/keeps-the-connection-open`, other)
  const handled: unknown[] = []
  root.on('x', (n: number) => {
    handled.push(n)
    if (n === 5) root.disconnect()
  })
  const gone = detached(broker)
  for (const n of numbers(0, 40)) sender.emit('send', { user: 'U1' }, 'x', n)
  await gone
  await sender.emitWithAck('send', { user: 'U1' }, 'x', 40)
  const got = collect(root, 'x')
  root.off('x')
  root.on('x', (n: number) => { got.values.push(n) })
  root.connect()
  await until(() => got.values.includes(40), 'the last message')
  t.same(handled, numbers(0, 6))
  t.same(got.values.slice(-35), numbers(6, 41))
  t.ok(got.values.length <= 41)
})

/** An unmodified client that dies by SIGKILL inside its handler of message 5, and says before what it handled. */
const DYING = `
  import { writeSync } from 'node:fs'
  import { io } from 'socket.io-client'
  const socket = io(process.argv[1], { transports: [process.argv[2]], auth: { clientId: 'U1' } })
  socket.on('connect', () => writeSync(1, 'ready\\n'))
  socket.on('x', n => {
    if (n === 5) process.kill(process.pid, 'SIGKILL')
    writeSync(1, n + '\\n')
  })`

t.test('a pong right behind the packet that leaves a namespace counts for nothing in it [G2]', async t => {
  const { broker, port, url } = await startBridged(t)
  const sender = await connectClient(t, url)
  const raw = await openRaw(t, port, '40{"clientId":"U1"}')
  const pinged = nextPacket(raw, '2')
  await sender.emitWithAck('send', { user: 'U1' }, 'x', 1)
  await pinged
  const again = nextPacket(raw, '2')
  raw.send('3')
  await again
  const gone = detached(broker)
  const wire = (raw as unknown as { _socket: Socket })._socket
  wire.cork()
  raw.send('41')
  raw.send('3')
  wire.uncork()
  await gone
  t.equal(backlog(broker), 1)
})

t.test('a message that its publisher sent again, with the id it had, is handled once [G4]', async t => {
  const { broker, url, mqttUrl } = await startBridged(t)
  const device = await connectMqtt(t, mqttUrl, { clientId: 'device' })
  const other = await connectMqtt(t, mqttUrl, { clientId: 'other' })
  const client = await connectClient(t, url, { auth: { clientId: 'U1' } })
  const got = collect(client, 'x')
  const publish = async (by: typeof device, id: string, value: string): Promise<void> => {
    await by.publishAsync('io/_/user/U1/x', `{"$hf":1,"id":"${id}","args":["${value}"]}`, { qos: 1 })
  }
  await publish(device, '1', 'a')
  await publish(device, '1', 'a')
  await publish(other, '1', 'a')
  await publish(device, '1', 'b')
  await publish(device, '2', 'a')
  t.same(await got.wait(4), ['a', 'a', 'b', 'a'], 'the same id of another, or with other bytes, is another message')
  await until(() => backlog(broker) === 0, 'every receipt, of the repeated one too')
  client.disconnect()
  await publish(device, '2', 'a')
  await publish(device, '3', 'c')
  client.connect()
  t.same((await got.wait(5)).slice(4), ['c'], 'also when it was handled on an earlier connection')
})

t.test('a client that is killed inside a handler gets that message again, and all behind it [G2]', async t => {
  await Promise.all(['websocket', 'polling'].map(async transport => {
    const { broker, url, mqttUrl } = await startBridged(t, { pingIntervalMs: 300, pingTimeoutMs: 4_500 })
    const device = await connectMqtt(t, mqttUrl)
    const root = fileURLToPath(new URL('../..', import.meta.url))
    const child = spawn(process.execPath, ['--input-type=module', '-e', DYING, url, transport],
      { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] })
    t.teardown(() => child.kill('SIGKILL'))
    const said: string[] = []
    await within(new Promise<void>(resolve => createInterface({ input: child.stdout! }).on('line', line => {
      said.push(line)
      resolve()
    })), 'the client to connect')
    const gone = once(child, 'close')
    await Promise.all(numbers(0, 10).map(async n => await device.publishAsync('io/_/user/U1/x', String(n), { qos: 1 })))
    await within(gone, 'its end')
    await until(() => !broker.session(U1)!.attached, 'the dead link to be noticed')
    t.same(said, ['ready', '0', '1', '2', '3', '4'], transport)
    const back = newClient(t, url, { auth: { clientId: 'U1' } })
    const got = collect(back, 'x')
    await until(() => got.values.includes(9), 'the last message')
    t.same(got.values.slice(-5), numbers(5, 10), `${transport}: ${got.values.length - 5} twice`)
  }))
})

t.test('a client that lost messages to a bound is told how many, and why [G5]', async t => {
  const { url } = await startBridged(t, { limits: { backlogMessagesMax: 10, sweepMs: 20 } })
  const sender = await connectClient(t, url)
  const client = await connectClient(t, url, { auth: { clientId: 'U1' } })
  client.disconnect()
  for (const n of numbers(0, 50)) await sender.emitWithAck('send', { user: 'U1' }, 'x', n)
  const gaps = collect(client, 'holdfast:gap')
  const got = collect(client, 'x')
  client.connect()
  await until(() => got.values.includes(49), 'the last message')
  const lost = gaps.values.reduce<number>((sum, gap) => sum + (gap as { count: number }).count, 0)
  t.ok(lost > 0)
  t.equal(lost + got.values.length, 50)
  t.match(gaps.values[0], { count: Number, reason: 'backlog-messages' })
})

t.test('no answer and no silence when a message can\'t be made durable [G1]', async t => {
  const store = createMemoryStore()
  const { url } = await startBridged(t, { store })
  await connectClient(t, url, { auth: { clientId: 'keeps' } })
  const client = await connectClient(t, url, { auth: { clientId: 'U1' } })
  const append = store.append
  store.append = async () => { throw new HoldfastError('STORE_UNAVAILABLE', 'disk full') }
  let answered = false
  client.emit('x', 1, () => { answered = true })
  t.same((await heard(client, 'disconnect'))[0], 'transport close')
  t.equal(answered, false)
  store.append = append
  await heard(client, 'connect')
  const got = collect(client, 'x')
  t.match(await client.emitWithAck('x', 2), { status: 'ok' })
  t.same(await got.wait(1), [2])
})
