/** How events are written: shared, gathered, bounded, and in order with what Socket.IO writes itself. */
import { once } from 'node:events'
import { connect, type Socket as TcpSocket } from 'node:net'
import t from 'tap'
import { WebSocket } from 'ws'
import { readRules } from '../../config/bridge-rules.ts'
import { createMemoryStore } from '../../broker/store/memory.ts'
import type { Broker, ClientId } from '../../broker/index.ts'
import { legacyClient, TRANSPORTS, VERSIONS, type LegacySocket } from '../helpers/socketio-clients.ts'
import { createStoreDouble } from '../helpers/store-double.ts'
import { until, within } from '../helpers/wait.ts'
import {
  collect, connectClient, connected, heard, newClient, nextPacket, openRaw, startBridged, type Bridged
} from './socketio-harness.ts'

const numbers = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, index) => from + index)

function unproven (broker: Broker, clientId: string): number {
  const { backlogMessages = 0, inflightMessages = 0 } = broker.session(`io:_:${clientId}` as ClientId) ?? {}
  return backlogMessages + inflightMessages
}

/** The server's side of the connections that come from now on. */
function wires ({ http }: Bridged): TcpSocket[] {
  const open: TcpSocket[] = []
  http.on('connection', (socket: TcpSocket) => open.push(socket))
  return open
}

t.test('what is appended together reaches a client as one write, its ping included', async t => {
  const store = createStoreDouble(createMemoryStore())
  const bridged = await startBridged(t, { store })
  const raw = await openRaw(t, bridged.port, '40{"clientId":"U1"}')
  const sender = await connectClient(t, bridged.url)
  await sender.emitWithAck('send', { user: 'U1' }, 'x', 0)
  const chunks: string[] = []
  const wire = (raw as unknown as { _socket: TcpSocket })._socket
  wire.on('data', (data: Buffer) => chunks.push(data.toString('latin1')))
  const release = store.hold()
  const all = Promise.all(numbers(1, 31).map(async n => await sender.emitWithAck('send', { user: 'U1' }, 'x', n)))
  await sender.timeout(200).emitWithAck('y').catch(() => {}) // they are with the store by then
  release()
  await all
  await until(() => chunks.join('').includes('42["x",30'), 'the last of them')
  const chunk = chunks.find(chunk => chunk.includes('42["x",30'))!
  const last = chunk.lastIndexOf('42["x",')
  t.ok(chunk.slice(last).includes('\x81\x012'), 'the ping comes behind the last event')
  const writes = chunks.filter(chunk => chunk.includes('42["x",')).length
  t.ok(writes <= 3, `${writes} writes for 30 events`)
})

t.test('a client is pinged once for a batch, and once more where no other follows', async t => {
  const { broker, url } = await startBridged(t)
  let batches = 0
  const attach = broker.attach.bind(broker)
  broker.attach = (session, link, options) => {
    const deliver = link.deliver.bind(link)
    if (session.clientId === 'io:_:U1') link.deliver = deliveries => { batches++; deliver(deliveries) }
    return attach(session, link, options)
  }
  const client = await connectClient(t, url, { auth: { clientId: 'U1' } })
  const sender = await connectClient(t, url)
  let pings = 0
  client.io.on('ping', () => pings++)
  const got = collect(client, 'x')
  for (let round = 0; round < 20; round++) {
    await Promise.all(numbers(0, 25).map(async n => await sender.emitWithAck('send', { user: 'U1' }, 'x', n)))
  }
  await got.wait(500)
  await until(() => unproven(broker, 'U1') === 0, 'every receipt')
  t.ok(pings > 0 && pings <= 2 * batches, `${pings} pings for ${batches} batches`)
})

for (const version of VERSIONS) {
  for (const [transport, transports] of Object.entries(TRANSPORTS)) {
    for (const perMessageDeflate of transport === 'polling' ? [false] : [false, true]) {
      const how = `${version}, ${transport}${perMessageDeflate ? ', compressed' : ''}`
      t.test(`events, answers and bytes come whole and in order while the client connects: ${how} [G3]`, async t => {
        const bridge = { socketioDeflate: perMessageDeflate, eio3PingIntervalMs: 300 }
        const { broker, url } = await startBridged(t, { bridge })
        const sender = await connectClient(t, url)
        const client: LegacySocket = legacyClient(version, url, { transports, query: { clientId: 'U1' } })
        t.teardown(() => client.disconnect())
        const got: number[] = []
        const answers: number[] = []
        let bytes = 0
        const wrong: unknown[] = []
        client.on('x', ((n: number, filler: string, value?: Uint8Array) => {
          got.push(n)
          if (filler.length !== n % 7 * 40) wrong.push([n, filler.length])
          if (n % 5 > 0) return
          bytes++
          if (Buffer.compare(Buffer.from(value!), Buffer.from([n % 256, 1, 2])) !== 0) wrong.push([n, value])
        }) as () => void)
        await within(new Promise<void>(resolve => client.once('connect', resolve)), 'connect')
        const count = 300
        for (let n = 0; n < count; n++) {
          const filler = 'é'.repeat(n % 7 * 40)
          const values = n % 5 === 0 ? [filler, Buffer.from([n % 256, 1, 2])] : [filler]
          sender.emit('send', { user: 'U1' }, 'x', n, ...values)
          client.emit('y', n, (answer: { status: string }) => {
            if (answer.status === 'ok') answers.push(n)
          })
          if (n % 30 === 29) await sender.emitWithAck('z')
        }
        await until(() => got.length >= count && answers.length >= count, `all, ${got.length} ${answers.length}`)
        t.same(got, numbers(0, count))
        t.same(answers, numbers(0, count))
        t.equal(bytes, count / 5)
        t.same(wrong, [])
        await until(() => unproven(broker, 'U1') === 0, 'every receipt')
      })
    }
  }
}

t.test('a client that wants bytes as text gets them so', async t => {
  const { port, url } = await startBridged(t)
  const sender = await connectClient(t, url)
  const raw = new WebSocket(`ws://127.0.0.1:${port}/socket.io/?EIO=4&transport=websocket&b64=1`)
  t.teardown(() => raw.terminate())
  await nextPacket(raw, '0')
  const opened = nextPacket(raw, '40')
  raw.send('40{"clientId":"U1"}')
  await opened
  const packets: string[] = []
  raw.on('message', (data, isBinary) => packets.push(isBinary ? 'binary' : String(data)))
  await sender.emitWithAck('send', { user: 'U1' }, 'x', Buffer.from('bytes'))
  await until(() => packets.some(packet => packet.startsWith('b')), 'the bytes')
  t.equal(packets.find(packet => packet.startsWith('b')), `b${Buffer.from('bytes').toString('base64')}`)
  t.notOk(packets.includes('binary'))
})

t.test('a client that reads a byte now and then has a bounded amount written to it [G6] [G8]', async t => {
  const writeBufferBytesMax = 65_536
  const bytesEach = 4_000
  const bridged = await startBridged(t, { limits: { writeBufferBytesMax, inflightMessagesMax: 60_000 } })
  const open = wires(bridged)
  const sender = await connectClient(t, bridged.url)
  const other = await connectClient(t, bridged.url, { auth: { clientId: 'other' } })
  const slow = await openRaw(t, bridged.port, '40{"clientId":"slow"}')
  const wire = open.at(-1)!
  slow.pause()
  const reading = (slow as unknown as { _socket: TcpSocket })._socket
  const got = collect(other, 'x')
  let largest = 0
  const filler = 'x'.repeat(bytesEach)
  for (let n = 0; n < 3_000; n++) {
    sender.emit('send', { user: 'slow' }, 'x', n, filler)
    if (n % 100 < 99) continue
    await sender.emitWithAck('send', { user: 'other' }, 'x', n)
    largest = Math.max(largest, wire.writableLength)
    reading.read(1)
  }
  t.ok(largest > writeBufferBytesMax / 2, `it was full: ${largest} bytes`)
  t.ok(largest <= writeBufferBytesMax + 2 * bytesEach, `${largest} bytes waited`)
  t.same(await got.wait(30), numbers(0, 30).map(n => n * 100 + 99), 'the other one has all of its own')
  const seen: number[] = []
  slow.on('message', data => {
    const packet = String(data)
    if (packet === '2') slow.send('3')
    else if (packet.startsWith('42["x"')) seen.push(JSON.parse(packet.slice(2))[1])
  })
  slow.resume()
  await until(() => seen.length >= 3_000, 'all of it, once it reads')
  t.same(seen, numbers(0, 3_000))
})

t.test('no response to a slow poller is larger than writeBufferBytesMax, nor is anything behind it [G6]', async t => {
  const writeBufferBytesMax = 65_536
  const bytesEach = 4_000
  const { broker, url } = await startBridged(t, { limits: { writeBufferBytesMax, inflightMessagesMax: 60_000 } })
  const poller = await openPolling(url, 'slow')
  const sender = await connectClient(t, url)
  const filler = 'x'.repeat(bytesEach)
  let seen = 0
  let largest = 0
  let most = 0
  for (let round = 0; round < 20; round++) {
    for (let n = 0; n < 50; n++) sender.emit('send', { user: 'slow' }, 'x', n, filler)
    await sender.emitWithAck('z')
    const body = await poller.poll()
    largest = Math.max(largest, body.length)
    seen += body.split('42["x"').length - 1
    const { inflightMessages } = broker.session('io:_:slow' as ClientId)!
    most = Math.max(most, inflightMessages)
  }
  t.ok(seen > 0 && largest > bytesEach, `${seen} events, ${largest} bytes`)
  t.ok(largest <= writeBufferBytesMax + 2 * bytesEach, `${largest} bytes in a response`)
  t.ok(most * bytesEach < 2.5 * writeBufferBytesMax, `${most} messages were handed over and not proven`)
})

t.test('a poller that does not take its answers is closed before it asks for more [G6]', async t => {
  const bridged = await startBridged(t, { limits: { writeBufferBytesMax: 16_777_216, inflightMessagesMax: 60_000 } })
  const poller = await openPolling(bridged.url, 'greedy')
  const sender = await connectClient(t, bridged.url)
  const filler = 'x'.repeat(500_000)
  for (let n = 0; n < 30; n++) await sender.emitWithAck('send', { user: 'greedy' }, 'x', filler)
  const stuck = connect(bridged.port, '127.0.0.1').pause()
  t.teardown(() => stuck.destroy())
  await once(stuck, 'connect')
  const { bridge } = bridged
  const before = bridge.connections
  const { pathname, search } = new URL(poller.next())
  stuck.write(`GET ${pathname}${search} HTTP/1.1\r\nHost: x\r\n\r\n`)
  await once(stuck, 'readable')
  t.equal((await fetch(poller.next())).status, 400)
  await until(() => bridge.connections === before - 1, 'its connection to be closed')
})

t.test('a rule\'s messages wait for the application\'s own ack, over reconnects [G2]', async t => {
  const { rules } = readRules({
    namespaces: [{ match: '/', subscribe: 'orders/+' }],
    deliver: [{ topic: 'orders/{id}', event: 'order', args: ['{id}'], proof: 'ack' }]
  })
  const { broker, url } = await startBridged(t, {
    bridge: { rules, recoveryExpiryMs: 60_000 }, limits: { cursorFlushMs: 5 }
  })
  const client = newClient(t, url, { auth: { clientId: 'U1' }, reconnection: true })
  await connected(client)
  const asked: Array<{ id: string, ack: () => void }> = []
  client.on('order', (id: string, ack: () => void) => asked.push({ id, ack }))
  const later = collect(client, 'x')
  await publish(broker, 'orders/1')
  await publish(broker, 'orders/2')
  await until(() => asked.length === 2, 'both')
  t.same(asked.map(({ id }) => id), ['1', '2'])
  await client.emitWithAck('send', { user: 'U1' }, 'x', 'behind them')
  await later.wait(1)
  asked[1].ack()
  await until(() => unproven(broker, 'U1') === 1, 'the one that is answered, and the event behind them')

  client.io.engine.close()
  await heard(client, 'connect')
  await until(() => asked.length === 3, 'the one that is not answered')
  t.equal(client.recovered, true)
  t.equal(asked[2].id, '1')
  t.same(later.values, ['behind them'], 'which the client had handled, and whose token did not speak for the order')
  asked[0].ack() // kept from the connection before: it answers the same message
  await until(() => unproven(broker, 'U1') === 0, 'the last')
})

t.test('what a rule leaves out counts as delivered', async t => {
  const { rules } = readRules({
    namespaces: [{ match: '/', subscribe: 'noise/#' }], deliver: [{ topic: 'noise/#', ignore: true }]
  })
  const { broker, url } = await startBridged(t, { bridge: { rules } })
  const client = await connectClient(t, url, { auth: { clientId: 'U1' } })
  const seen: string[] = []
  client.onAny((event: string) => seen.push(event))
  for (let n = 0; n < 200; n++) await publish(broker, `noise/${n}`)
  await until(() => unproven(broker, 'U1') === 0, 'all of them')
  t.same(seen, [])
})

interface Poller { next (): string, poll (): Promise<string> }

/** A client that polls when it is told to, and answers every ping. */
async function openPolling (url: string, clientId: string): Promise<Poller> {
  let t = 0
  const base = `${url}/socket.io/?EIO=4&transport=polling`
  const open = await (await fetch(`${base}&t=${t++}`)).text()
  const { sid } = JSON.parse(open.slice(1)) as { sid: string }
  const next = (): string => `${base}&sid=${sid}&t=${t++}`
  const send = async (packet: string): Promise<void> => {
    await (await fetch(next(), { method: 'POST', body: packet })).text()
  }
  const poll = async (): Promise<string> => {
    const body = await (await fetch(next())).text()
    if (body.split('\x1e').includes('2')) await send('3')
    return body
  }
  await send(`40${JSON.stringify({ clientId })}`)
  await poll()
  return { next, poll }
}

async function publish (broker: Broker, topic: string): Promise<void> {
  const publisher = { clientId: 'p' as ClientId, principal: 'anonymous' as never }
  await new Promise<void>((resolve, reject) => {
    broker.publish(publisher, { topic, payload: Buffer.from('1'), qos: 1, retain: false, id: '' },
      error => error === undefined ? resolve() : reject(error))
  })
}
