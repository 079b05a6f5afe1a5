/** The transport suite over every transport there is, and clients that nobody here wrote. */
import { connect, type MqttClient } from 'mqtt'
import t, { type Test } from 'tap'
import type { ClientId } from '../../broker/index.ts'
import { startBridged } from '../integration/socketio-harness.ts'
import { legacyClient, TRANSPORTS, type LegacySocket, type Version } from '../helpers/socketio-clients.ts'
import { within } from '../helpers/wait.ts'
import { suite } from './transport.ts'
import { People, type Edge, type Transport, type Visitor } from './transport-words.ts'

async function startEdge (t: Test): Promise<Edge> {
  const people = new People()
  const { broker, bridge, http, mqtt, mqttUrl, url } = await startBridged(t, { auth: people })
  http.on('upgrade', (request, socket, head) => {
    if (request.url === '/mqtt') mqtt.upgrade(request, socket, head)
  })
  return {
    broker,
    people,
    mqttUrl,
    url,
    async close () {
      await Promise.all([mqtt.close(), bridge.close()])
      await broker.close()
    }
  }
}

function mqttOver (name: string, urlOf: (edge: Edge) => string): Transport {
  return {
    name,
    sessionOf: (client) => client as ClientId,
    async enter (t, edge, { name: clientId, token }) {
      const client = connect(urlOf(edge),
        { clientId, username: clientId, password: token, clean: false, reconnectPeriod: 0, protocolVersion: 4 })
      t.teardown(() => { client.end(true) })
      client.on('error', () => {})
      const visitor = mqttVisitor(client)
      await within(new Promise<void>((resolve, reject) => {
        client.once('connect', () => { resolve() })
        client.once('close', () => { reject(new Error('refused')) })
      }), 'CONNACK')
      return visitor
    }
  }
}

function mqttVisitor (client: MqttClient): Visitor {
  const got: string[] = []
  client.on('message', (_topic, payload) => { got.push(textOf(payload)) })
  return {
    got,
    closed: new Promise((resolve) => { client.once('close', () => { resolve() }) }),
    async join (room) { await client.subscribeAsync(`io/_/room/${room}/+`, { qos: 1 }) },
    async say (room, text) { await client.publishAsync(`io/_/room/${room}/news`, JSON.stringify(text), { qos: 1 }) },
    renew: undefined,
    freeze () { client.stream.pause() },
    break () { client.stream.destroy() }
  }
}

/** What a Socket.IO client said has an envelope around it. */
function textOf (payload: Buffer): string {
  const said: unknown = JSON.parse(payload.toString())
  return typeof said === 'string' ? said : String((said as { args: unknown[] }).args[0])
}

function socketio (version: Version, over: 'polling' | 'websocket'): Transport {
  return {
    name: `Socket.IO ${version} over ${over}`,
    sessionOf: (name) => `io:_:${name}` as ClientId,
    async enter (t, edge, { name: clientId, token }) {
      const shown = { clientId, token }
      const socket = legacyClient(version, edge.url,
        { transports: TRANSPORTS[over], reconnection: false, [version === '2.5' ? 'query' : 'auth']: shown })
      t.teardown(() => { socket.disconnect() })
      const visitor = socketVisitor(socket, over)
      await within(new Promise<void>((resolve, reject) => {
        socket.once('connect', () => { resolve() })
        for (const refused of ['connect_error', 'error']) socket.once(refused, () => { reject(new Error('refused')) })
        socket.once('disconnect', () => { reject(new Error('closed')) })
      }), 'CONNECT')
      return visitor
    }
  }
}

interface InnerManager { readonly engine: { transport: { ws?: { _socket: { pause (): void } } } } }

function socketVisitor (socket: LegacySocket, over: 'polling' | 'websocket'): Visitor {
  const got: string[] = []
  const hear = (text: string): void => { got.push(text) }
  socket.on('news', hear).on('secret', hear)
  const ask = (...args: unknown[]): Promise<{ status: string }> => within(new Promise((resolve) => {
    socket.emit(...args as [string], (answer: { status: string }) => { resolve(answer) })
  }), `an answer to ${String(args[0])}`)
  const { engine } = socket.io as unknown as InnerManager
  return {
    got,
    closed: new Promise((resolve) => { socket.once('disconnect', () => { resolve() }) }),
    async join (room) { await ask('join', room) },
    async say (room, text) { await ask('send', { room }, 'news', text) },
    async renew (token) { return (await ask('holdfast:token', token)).status === 'ok' ? 'ok' : 'error' },
    freeze: over === 'polling' ? undefined : () => { engine.transport.ws!._socket.pause() },
    break () { socket.io.engine.close() }
  }
}

suite(t, mqttOver('MQTT over TCP', ({ mqttUrl }) => mqttUrl), startEdge)
suite(t, mqttOver('MQTT over WebSocket', ({ url }) => `${url.replace('http', 'ws')}/mqtt`), startEdge)
for (const version of ['2.5', '3.1', '4.8'] as const) {
  for (const over of ['polling', 'websocket'] as const) suite(t, socketio(version, over), startEdge)
}
