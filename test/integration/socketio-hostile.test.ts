import t from 'tap'
import type { WebSocket } from 'ws'
import type { Socket } from 'socket.io-client'
import type { Test } from 'tap'
import { anonymous, type Broker, type ClientId, type Message } from '../../broker/index.ts'
import { createMemoryStore } from '../../broker/store/memory.ts'
import { NAMESPACES_PER_CONNECTION_MAX } from '../../bridge/socketio/admission/admission.ts'
import { encode } from '@msgpack/msgpack'
import { until, within } from '../helpers/wait.ts'
import {
  connectClient, connectMqtt, countPublishes, heard, newClient, nextPacket, openRaw, refused, startBridged
} from './socketio-harness.ts'

/** Somebody else on the same server, who must notice nothing [G8]. */
async function bystander (t: Test, url: string): Promise<{ unharmed (): Promise<void> }> {
  const socket = await connectClient(t, url, { auth: { clientId: 'bystander' } })
  let disconnects = 0
  socket.on('disconnect', () => disconnects++)
  return {
    async unharmed () {
      const got = heard(socket, 'still')
      t.match(await socket.emitWithAck('send', { user: 'bystander' }, 'still', 1), { status: 'ok' })
      await got
      t.equal(disconnects, 0)
    }
  }
}

async function closed (socket: WebSocket): Promise<void> {
  if (socket.readyState !== socket.CLOSED) {
    await within(new Promise<void>(resolve => socket.once('close', () => resolve())), 'the connection to be closed')
  }
}

t.test('prototype names are ordinary events, rooms, users and namespaces', async t => {
  const { url } = await startBridged(t)
  for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'error']) {
    const client = await connectClient(t, `${url}/${name}`, { auth: { clientId: name } })
    t.same(await client.emitWithAck('join', name), { status: 'ok' })
    const got: unknown[] = []
    const complete = new Promise<void>(resolve => client.onAny((event, value) => {
      if (event === name) got.push(value)
      if (got.length === 3) resolve()
    }))
    await client.emitWithAck(name, 1)
    await client.emitWithAck('send', { user: name }, name, 2)
    await client.emitWithAck('send', { room: name }, name, 3)
    await within(complete, name)
    t.same(got, [1, 2, 3], name)
    client.disconnect()
  }
})

t.test('what can\'t be an event is refused with a sentence, and the connection goes on', async t => {
  const { url } = await startBridged(t)
  const client = await connectClient(t, url)
  const cases: Array<[unknown[], RegExp]> = [
    [['x'.repeat(500_000), 1], /longer than topicBytesMax/],
    [[7, 1], /must be a string/],
    [['join'], /room must be a string/],
    [['join', { room: 'r' }], /room must be a string/],
    [['join', 'r'.repeat(5_000)], /longer than topicBytesMax/],
    [['send', { user: 'a', room: 'b' }, 'x'], /either user or room/],
    [['send', 'a', 'x'], /either user or room/],
    [['send', JSON.parse('{"__proto__":{"user":"a"}}'), 'x'], /either user or room/],
    [['send', { user: 'a' }, 'disconnect'], /"disconnect" is reserved/],
    [['holdfast:gap', { count: 1 }], /reserved/],
    [['deep', JSON.parse('['.repeat(500) + ']'.repeat(500))], /nested deeper/]
  ]
  for (const [args, says] of cases) {
    const answer = await client.emitWithAck(...args as [string, ...unknown[]])
    t.equal(answer.status, 'error')
    t.match(answer.message, says)
  }
  const told = heard(client, 'holdfast:error')
  client.emit('send', {}, 'x')
  t.match(await told, [{ event: 'send', code: 'ARGUMENTS_INVALID', message: String }])
  t.match(await client.emitWithAck('x'), { status: 'ok' })
})

t.test('[G8] names that are too long are refused by their length, before authentication too', async t => {
  let asked = 0
  const auth = { ...anonymous, authenticate (...args: Parameters<typeof anonymous.authenticate>) {
    asked++
    return anonymous.authenticate(...args)
  } }
  const { url, port } = await startBridged(t, { auth })
  const claimed = '%'.repeat(60_000) // more is no CONNECT packet
  const named = await refused(newClient(t, url, { auth: { clientId: claimed }, reconnection: false }))
  t.same([named.data?.code, named.message.length < 200], ['CLIENT_ID_INVALID', true], 'told in a sentence')
  t.equal(asked, 0, 'nobody was asked')
  const raw = await openRaw(t, port)
  asked = 0 // for the root namespace it was
  raw.send(`40/${claimed},`) // clients refuse to
  const placed = await nextPacket(raw, '44/%')
  t.equal(JSON.parse(placed.slice(placed.indexOf('{'))).data.code, 'NAMESPACE_INVALID')
  t.equal(asked, 0, 'nobody was asked about that either')
  const client = await connectClient(t, url)
  const name = '%'.repeat(1_000_000)
  const to = { room: name }
  const packets = [[name], ['join', name], ['leave', name], ['send', to, 'x'], ['send', { user: 'u' }, name]]
  for (const packet of packets) {
    const answer = await client.emitWithAck(...packet as [string, ...unknown[]])
    if (packet[0] === 'leave') t.same(answer, { status: 'ok' }, 'it was in no such room')
    else t.match(answer, { status: 'error', message: /longer than topicBytesMax/ })
  }
})

t.test('malformed packets end the connection that sent them and disturb nobody else [G8]', async t => {
  const { port, url } = await startBridged(t)
  const other = await bystander(t, url)
  const packets: Array<string | Buffer> = [
    '4', '42', '42{}', '42[', '42["connect"]', '42["disconnecting"]', '49', '4599-["x"]', '40/', '6', '9', '',
    '451-["x",{"_placeholder":true,"num":9}]', '2probe', '2', Buffer.from([1, 2, 3]),
    `42${'['.repeat(100_000)}`, `42["x",${'['.repeat(100_000)}${']'.repeat(100_000)}]`,
    '43999["x"]', '43["x"]', '44{"message":"x"}', '42/nowhere,["x"]', '421["x"]', '42[null]',
    '42[{"toString":1}]', '42[7,"x"]'
  ]
  for (const packet of packets) {
    const socket = await openRaw(t, port)
    socket.send(packet)
    if (packet.toString().startsWith('451-')) socket.send(Buffer.of(1))
    socket.send('1')
    socket.close()
    await closed(socket)
  }
  await other.unharmed()
})

t.test('a payload that would break every client that receives it reaches them as bytes [G8]', async t => {
  const { url, mqttUrl } = await startBridged(t)
  const client = await connectClient(t, url, { auth: { clientId: 'U1' } })
  const device = await connectMqtt(t, mqttUrl)
  const disconnects: unknown[] = []
  client.on('disconnect', reason => disconnects.push(reason))
  const poison = [
    encode({ $hf: 1, id: '', args: [Uint8Array.of(1), { _placeholder: true, num: 9 }] }),
    encode({ $hf: 1, id: '', args: Array.from({ length: 11 }, () => Uint8Array.of(1)) })
  ]
  for (const payload of poison) {
    const got = heard(client, 'x')
    await device.publishAsync('io/_/all/x', Buffer.from(payload), { qos: 1 })
    const [bytes] = await got
    t.ok(Buffer.isBuffer(bytes))
  }
  const undeliverable = heard(client, 'holdfast:undeliverable')
  await device.publishAsync('io/_/all/disconnect', 'x', { qos: 1 })
  t.same(await undeliverable, [{ topic: 'io/_/all/disconnect', reason: 'reserved-event' }])
  t.match(await client.emitWithAck('x'), { status: 'ok' })
  t.same(disconnects, [])
})

t.test('a connection has a bounded number of namespaces [G6]', async t => {
  const { url, broker } = await startBridged(t)
  const sockets: Socket[] = []
  for (let n = 0; n < NAMESPACES_PER_CONNECTION_MAX; n++) {
    sockets.push(await connectClient(t, `${url}/${n}`, { forceNew: false }))
  }
  const error = await refused(newClient(t, `${url}/more`, { forceNew: false }))
  t.equal(error.data?.code, 'NAMESPACES_FULL')
  t.equal([...broker.sessions()].length, NAMESPACES_PER_CONNECTION_MAX)
})

t.test('connections are bounded [G6]', async t => {
  const { url } = await startBridged(t, { limits: { connectionsMax: 2 } })
  await connectClient(t, url)
  await connectClient(t, url)
  const response = await fetch(`${url}/socket.io/?EIO=4&transport=polling&t=1`)
  t.equal(response.status, 403)
  t.match(await response.text(), /connectionsMax = 2/)
})

t.test('a hundred attempts to open the same namespace at once make one session', async t => {
  const { broker, port, url } = await startBridged(t)
  const other = await bystander(t, url)
  const socket = await openRaw(t, port, '40/a,{"clientId":"U1"}')
  for (let n = 0; n < 100; n++) socket.send('40/b,{"clientId":"U1"}')
  await until(() => broker.session('io:b:U1' as ClientId) !== undefined, 'the session')
  await other.unharmed()
  t.equal([...broker.sessions()].length, 3)
})

t.test('a client that sends faster than the disk takes it is not read, and loses nothing [G6]', async t => {
  const store = createMemoryStore()
  const { broker, bridge, url } = await startBridged(t, { store, limits: { pendingBytesMax: 65_536 } })
  const taken = countPublishes(broker)
  await connectClient(t, url, { auth: { clientId: 'keeps' } })
  const client = await connectClient(t, url)
  let open = (): void => {}
  const gate = new Promise<void>(resolve => { open = resolve })
  const append = store.append.bind(store)
  store.append = async batch => { await gate; return await append(batch) }
  const answers: unknown[] = []
  for (let n = 0; n < 400; n++) client.emit('x', n, 'y'.repeat(2_000), (answer: unknown) => answers.push(answer))
  await until(() => taken() > 30, 'the first of them')
  t.ok(taken() < 200, `${taken()} of 400 taken while the disk was busy`)
  t.equal(bridge.connections, 2, 'it is slowed down, not cut')
  open()
  await until(() => answers.length === 400, 'every answer')
  t.ok(answers.every(answer => (answer as { status: string }).status === 'ok'))
})

t.test('a client that does not read is sent a bounded amount, and costs nobody else [G6] [G8]', async t => {
  const limits = { writeBufferBytesMax: 262_144, inflightMessagesMax: 10_000 }
  const { broker, port, url } = await startBridged(t, { limits })
  const other = await bystander(t, url)
  const socket = await openRaw(t, port, '40{"clientId":"frozen"}')
  socket.pause()
  const payload = Buffer.alloc(65_536)
  const message: Omit<Message, 'time' | 'publisher' | 'principal'> =
    { topic: 'io/_/user/frozen/x', payload, qos: 1, retain: false, id: '' }
  const publisher = { clientId: 'p' as ClientId, principal: 'anonymous' as never }
  for (let n = 0; n < 400; n++) await published(broker, publisher, message)
  const { inflightMessages = 0, backlogMessages = 0 } = broker.session('io:_:frozen' as ClientId) ?? {}
  t.equal(inflightMessages + backlogMessages >= 400, true)
  t.ok(inflightMessages < 250, `${inflightMessages} of 400 messages of 64 KB were written`)
  await other.unharmed()
  let seen = 0
  socket.on('message', data => {
    const packet = String(data)
    if (packet.startsWith('42["x"')) seen++
    else if (packet === '2') socket.send('3')
  })
  socket.resume()
  await until(() => seen === 400, 'all of them, once it reads', 60_000) // 26 MB, as JSON
})

async function published (broker: Broker, publisher: Parameters<Broker['publish']>[0],
  message: Parameters<Broker['publish']>[1]): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    broker.publish(publisher, message, error => error ? reject(error) : resolve())
  })
}
