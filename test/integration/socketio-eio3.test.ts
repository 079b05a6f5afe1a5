/** Clients of version 2 (Engine.IO 3): their ping interval, their proofs, and what only they would be let in with. */
import t from 'tap'
import { request as httpRequest } from 'node:http'
import type { Test } from 'tap'
import { WebSocket } from 'ws'
import { createOriginGate } from '../../server/http/origins.ts'
import { Refusals, silent, systemClock, type Broker, type ClientId } from '../../broker/index.ts'
import { createRepeater } from '../helpers/repeater.ts'
import { legacyClient } from '../helpers/socketio-clients.ts'
import { pause, until, within } from '../helpers/wait.ts'
import { connectMqtt, startBridged } from './socketio-harness.ts'
import { watch } from './socketio-witness.ts'

interface Opened { readonly sid: string, readonly pingInterval: number, readonly pingTimeout: number }

const U1 = 'io:_:U1' as ClientId
const LOST = 3

async function publish (device: { publishAsync: Function }, n: number): Promise<void> {
  await device.publishAsync('io/_/user/U1/x', JSON.stringify({ $hf: 1, id: String(n), args: [n] }), { qos: 1 })
}

/** A WebSocket of Engine.IO 3 that says what it is told; it is connected to the root namespace by itself. */
async function openV2 (t: Test, port: number): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/socket.io/?EIO=3&transport=websocket&clientId=U1`)
  t.teardown(() => socket.terminate())
  socket.on('error', () => {})
  await within(new Promise<void>(resolve => socket.on('message', data => {
    if (String(data).startsWith('40')) resolve()
  })), 'the root namespace')
  return socket
}

async function handshake (url: string, query: string): Promise<Opened> {
  const text = await (await fetch(`${url}/socket.io/?transport=polling&t=1&${query}`)).text()
  return JSON.parse(text.replace(/^(\d+:)?0/, '')) as Opened
}

async function detached (broker: Broker): Promise<void> {
  await within(new Promise<void>(resolve => broker.events.once('detached', () => resolve())), 'the end to be noticed')
}

t.test('a client of version 2 is told a ping interval of its own, whoever connects at the same time', async t => {
  const { url, bridge } = await startBridged(t)
  const queries = Array.from({ length: 20 }, (_, index) => index % 2 === 0 ? 'EIO=3' : 'EIO=4')
  const opened = await Promise.all(queries.map(async query => await handshake(url, query)))
  for (const [index, { pingInterval, pingTimeout }] of opened.entries()) {
    t.equal(pingInterval, queries[index] === 'EIO=3' ? 5_000 : 25_000, queries[index])
    t.equal(pingTimeout, 20_000)
  }
  t.equal(bridge.connections, 20, 'all of them are counted')
})

t.test('a client of version 2 pings no more seldom than others', async t => {
  const { url } = await startBridged(t, { pingIntervalMs: 300, pingTimeoutMs: 200 })
  t.match(await handshake(url, 'EIO=3'), { pingInterval: 300, pingTimeout: 200 })
})

t.test('who names no revision of Engine.IO, or another, is refused with 400', async t => {
  const { url, port, bridge } = await startBridged(t)
  for (const query of ['', '&EIO=', '&EIO=abc', '&EIO=5', '&EIO=__proto__']) {
    const answer = await fetch(`${url}/socket.io/?transport=polling&t=1${query}`)
    t.equal(answer.status, 400, query)
    t.match(await answer.json(), { code: 5, message: 'Unsupported protocol version' })
    const socket = new WebSocket(`ws://127.0.0.1:${port}/socket.io/?transport=websocket${query}`)
    t.teardown(() => socket.terminate())
    socket.on('error', () => {}) // Engine.IO has let it upgrade already
    await within(new Promise<void>(resolve => socket.once('close', () => resolve())), 'the refusal')
  }
  t.equal(bridge.connections, 0)
})

t.test('what a client of version 2 took counts when its heartbeat says that it got round to it [G2]', async t => {
  const { broker, port, mqttUrl } = await startBridged(t)
  const witness = watch(broker)
  const device = await connectMqtt(t, mqttUrl)
  const client = await openV2(t, port)
  const heartbeat = async (): Promise<void> => {
    const answered = within(new Promise<void>(resolve => client.once('message', () => resolve())), 'the answer')
    client.send('2')
    await answered
  }
  let taken = 0
  client.on('ping', () => { taken++ })
  const got = new Promise<void>(resolve => client.on('message', data => {
    if (String(data) !== '42["x",1]') return
    witness.handled('U1', 1)
    resolve()
  }))
  await publish(device, 1)
  await got
  await until(() => taken > 0, 'a ping of the WebSocket')
  await heartbeat()
  t.same(witness.acknowledged('U1'), [], 'taken by the WebSocket, and a heartbeat whose answer is new')
  await heartbeat()
  await witness.wait('U1', 1)
  t.same(witness.lies, [])
})

t.test('a client that pings by the clock proves nothing of what it has not taken [G2]', async t => {
  const { broker, port, mqttUrl } = await startBridged(t)
  const witness = watch(broker)
  const device = await connectMqtt(t, mqttUrl)
  const client = await openV2(t, port)
  client.pause() // whatever is written to it stays in the network
  await publish(device, 1)
  const gone = detached(broker)
  for (let n = 0; n < 5; n++) {
    client.send('2')
    await new Promise<void>(resolve => client.send('42["tick"]', () => resolve()))
  }
  const ticks = broker.stats().published
  await until(() => broker.stats().published >= ticks, 'the server to have read them')
  await publish(device, 2) // in the log behind them
  t.same(witness.acknowledged('U1'), [])
  t.equal(broker.session(U1)?.attached, true)
  client.terminate()
  await gone
})

const TRANSPORT_PROOF = { bridge: { eio3Proof: 'transport', eio3PingIntervalMs: 600_000 } } as const

t.test('where speed is preferred, what the WebSocket has taken counts: eio3Proof transport', async t => {
  const { broker, port, mqttUrl } = await startBridged(t, TRANSPORT_PROOF)
  const witness = watch(broker)
  const device = await connectMqtt(t, mqttUrl)
  const client = await openV2(t, port)
  client.on('message', data => { if (String(data).startsWith('42')) witness.handled('U1', 1) })
  await publish(device, 1)
  await witness.wait('U1', 1) // no heartbeat has come, nor will
  t.same(witness.lies, [])
})

t.test('where speed is preferred, what a client that polls has taken counts, too', async t => {
  const { broker, url, mqttUrl } = await startBridged(t, TRANSPORT_PROOF)
  const witness = watch(broker)
  const device = await connectMqtt(t, mqttUrl)
  const client = legacyClient('2.5', url, { transports: ['polling'], query: { clientId: 'U1' } })
  t.teardown(() => client.disconnect())
  client.on('x', () => witness.handled('U1', 1))
  await new Promise<void>(resolve => { client.on('connect', () => resolve()) })
  await publish(device, 1)
  await witness.wait('U1', 1) // no heartbeat has come, nor will
  t.same(witness.lies, [])
})

t.test('messages follow each other faster than heartbeats, as long as the client takes them [G6] [G8]', async t => {
  const { broker, port, mqttUrl } = await startBridged(t, {
    limits: { inflightMessagesMax: 20 }, bridge: { eio3InflightMessagesMax: 100 }
  })
  const device = await connectMqtt(t, mqttUrl)
  const client = await openV2(t, port)
  let got = 0
  client.on('message', data => { if (String(data).startsWith('42["x"')) got++ })
  client.pause()
  for (let n = 0; n < 50; n++) await publish(device, n)
  t.equal(broker.session(U1)?.inflightMessages, 20, 'no more to one that takes nothing')
  client.resume()
  await until(() => got === 50, 'the rest, as soon as it takes them')
  for (let n = 50; n < 300; n++) await publish(device, n)
  await until(() => got >= 100, 'the window of a client of version 2')
  t.equal(broker.session(U1)?.inflightMessages, 100, 'and no more, without a heartbeat')
  t.equal(got, 100)
  client.send('2')
  client.send('2')
  await until(() => got === 200, 'the next window')
})

t.test('JSONP is refused, with what to use instead', async t => {
  const { url } = await startBridged(t)
  for (const eio of [3, 4]) {
    const response = await fetch(`${url}/socket.io/?EIO=${eio}&transport=polling&t=1&j=0`)
    t.equal(response.status, 403)
    t.match(await response.text(), /JSONP.*forceJSONP/)
  }
})

t.test('a page of a name that was pointed here gets nothing by a GET alone (DNS rebinding)', async t => {
  const gate = (anonymous: boolean): ReturnType<typeof createOriginGate> => {
    return createOriginGate({ allowed: ['same-host', 'https://app.example.com'], anonymous },
      new Refusals({ clock: systemClock, log: silent }))
  }
  const { port } = await startBridged(t, { bridge: { origins: gate(true) } })
  const named = await startBridged(t, { bridge: { origins: gate(false) } })
  const get = async (host: string, query: string, to = port): Promise<{ status: number, text: string }> => {
    return await new Promise((resolve, reject) => {
      const path = `/socket.io/?transport=polling&t=1&${query}`
      httpRequest({ host: '127.0.0.1', port: to, path, headers: { host } }, response => {
        let text = ''
        response.setEncoding('utf8').on('data', (part: string) => { text += part })
          .on('end', () => resolve({ status: response.statusCode!, text }))
      }).on('error', reject).end()
    })
  }
  const refused = await get('evil.example:8080', 'EIO=3')
  t.equal(refused.status, 403)
  t.match(refused.text, /evil\.example.*allowedOrigins/)
  t.equal((await get('evil.example', 'x=1')).status, 403, 'without a revision')
  for (const host of ['127.0.0.1:8080', 'localhost', '192.168.1.5:8080', '[::1]:8080', 'app.example.com:8080']) {
    t.equal((await get(host, 'EIO=3')).status, 200, host)
  }
  t.equal((await get('evil.example', 'EIO=4')).status, 200, 'version 3 and 4 open nothing with a GET')
  t.equal((await get('evil.example', 'EIO=3', named.port)).status, 200, 'where everybody must say who he is')
})

for (const transports of [['polling'], ['polling', 'websocket']]) {
  t.test(`version 2 without t by ${transports}: everything comes once, in order, and no receipt is false [G2] [G3]`,
    async t => {
      const { broker, url, mqttUrl } = await startBridged(t, { bridge: { eio3PingIntervalMs: 200 } })
      const witness = watch(broker)
      const device = await connectMqtt(t, mqttUrl)
      const client = legacyClient('2.5', url, { query: { clientId: 'U1' }, transports, timestampRequests: false })
      t.teardown(() => client.disconnect())
      const got: number[] = []
      client.on('x', (n: number) => {
        got.push(n)
        witness.handled('U1', n)
      })
      await within(new Promise<void>(resolve => client.once('connect', () => resolve())), 'connect')
      for (let n = 0; n < 20; n++) await publish(device, n)
      await witness.wait('U1', 20)
      t.same(got, Array.from({ length: 20 }, (_, n) => n))
      t.same(witness.lies, [])
      t.equal(client.io.engine.transport.name, transports.at(-1))
    })
}

t.test('version 2 without t: an answer that is lost while its poll is sent again in silence is no receipt [G2] [G3]',
  async t => {
    const { broker, port, mqttUrl } = await startBridged(t,
      { pingTimeoutMs: 500, limits: { takeoversFreeMax: 100 }, bridge: { eio3PingIntervalMs: 200 } })
    const witness = watch(broker)
    const device = await connectMqtt(t, mqttUrl)
    let polls = 0
    const repeater = await createRepeater(t, { port }, method =>
      method === 'GET' && ++polls % 4 === 0 && repeater.done.answered < LOST ? 'answered' : 'pass')
    const client = legacyClient('2.5', repeater.url, {
      query: { clientId: 'U1' }, transports: ['polling'], timestampRequests: false
    })
    t.teardown(() => client.disconnect())
    const first: number[] = []
    client.on('x', (n: number) => {
      if (!first.includes(n)) first.push(n)
      witness.handled('U1', n)
    })
    await until(() => broker.session(U1) !== undefined, 'the session')
    let count = 0
    for (; repeater.done.answered < LOST; count++) { // so that every answer has some
      await publish(device, count)
      await pause(20)
    }
    await witness.wait('U1', count)
    t.same(first, Array.from({ length: count }, (_, n) => n), 'in order of first sight')
    t.same(witness.lies, [])
  })
