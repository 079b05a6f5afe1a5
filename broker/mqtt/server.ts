/** MQTT over TCP and over WebSocket, spoken by Aedes, promised by the broker. */
import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { WebSocketServer } from 'ws'
import type { Broker } from '../broker.ts'
import type { Logger } from '../system/logger.ts'
import type { AddressGate } from '../system/address-gate.ts'
import { Refusals, type Who } from '../system/refusals.ts'
import { Turns } from '../system/turns.ts'
import { createAedes, type Qos0Messages } from './engine/aedes.ts'
import { MqttConnection, type Wire } from './connection.ts'
import { MqttRefusals, type RefusedMessages } from './refusals.ts'
import { Trials } from './trials.ts'
import { checkWs, tcpWire, websocketWire } from './wire/wires.ts'

/** The subprotocol of MQTT over WebSocket [MQTT-6.0.0-3], and the name older clients offer. */
const SUBPROTOCOLS = ['mqtt', 'mqttv3.1']
/** Codes of ws's errors. */
const OF_WS = 'WS_ERR_'
/** Of what ws gathers: pieces of binary frames, and text, which is refused. */
const MESSAGE_BYTES_MAX = 65_536

export interface MqttServerOptions {
  readonly broker: Broker
  readonly log: Logger
  /** How long a session is kept after its connection is gone, by the way it came in. */
  readonly tcpSessionExpiryMs: number
  readonly websocketSessionExpiryMs: number
  /** How many connections over WebSocket an address may have; default: as many as there are. */
  readonly addresses?: AddressGate | undefined
  /** Shared with whatever else lets clients in. */
  readonly refusals?: Refusals | undefined
  /** What becomes of a message that can never be taken; default: acknowledge. */
  readonly refusedMessages?: RefusedMessages | undefined
  /** What becomes of messages that clients publish at QoS 0; default: pass. */
  readonly qos0Messages?: Qos0Messages | undefined
  /** Shared with whatever else reads from clients of the same process. */
  readonly turns?: Turns
}

export interface MqttServer {
  /** MQTT over TCP, or over TLS: a connection of whoever listens. The listener lets it be half open. */
  take (socket: Socket): void
  /** MQTT over WebSocket: the HTTP server's 'upgrade' event, for the requests that are meant for MQTT. */
  upgrade (request: IncomingMessage, socket: Duplex, head: Buffer): void
  /** Connections that are open now. */
  readonly connections: number
  /** Those of them over WebSocket. */
  readonly websockets: number
  /** Stops accepting; publishes in progress get their receipts; then closes the connections. */
  close (): Promise<void>
}

export async function createMqttServer (options: MqttServerOptions): Promise<MqttServer> {
  checkWs()
  const { broker, log } = options
  const { limits, clock } = broker
  const room = options.refusals ?? new Refusals({ clock, log })
  const refusals = new MqttRefusals({ refusals: room, refusedMessages: options.refusedMessages ?? 'acknowledge' })
  const aedes = await createAedes({
    broker,
    log,
    refusals,
    qos0Messages: options.qos0Messages ?? 'pass',
    turns: options.turns ?? new Turns(),
    makeId: () => `auto-${randomUUID()}`,
    sessionExpiryMs: (via) => via === 'mqtt' ? options.tcpSessionExpiryMs : options.websocketSessionExpiryMs
  })
  const websockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: MESSAGE_BYTES_MAX,
    autoPong: false, // see wires.ts
    handleProtocols: (offered) => SUBPROTOCOLS.find((name) => offered.has(name)) ?? false
  })
  websockets.on('wsClientError', (error, socket, { socket: { remoteAddress } }) => {
    room.note({
      kind: 'requests',
      who: { remoteAddress },
      about: { error: error.message },
      sameAs: error.message,
      what: 'a request for a WebSocket was refused, as it makes none (RFC 6455)',
      toDo: 'update or mend the client, or what stands between'
    })
    socket.on('error', () => {}) // the client may be gone already
    socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nSec-WebSocket-Version: 13, 8\r\n' +
      'Content-Length: 0\r\n\r\n', () => { socket.destroy() })
  })
  const connections = new Set<MqttConnection>()
  const trials = new Trials(broker, log)
  let isClosing = false

  function handle (wire: Wire): MqttConnection {
    const connection = new MqttConnection({
      wire,
      limits,
      clock,
      log,
      refusals,
      trials,
      over: () => { connections.delete(connection) }
    })
    connections.add(connection)
    aedes.handle(connection)
    return connection
  }

  function isFull ({ remoteAddress }: Who): boolean {
    if (connections.size < limits.connectionsMax) return false
    room.note({
      kind: 'connections',
      who: { remoteAddress },
      about: { connections: connections.size },
      what: 'a connection of MQTT was refused, as there are connectionsMax already',
      toDo: 'raise connectionsMax, or find out who opens so many'
    })
    return true
  }

  return {
    take (socket) {
      if (isClosing || isFull(socket)) socket.destroy()
      else handle(tcpWire(socket))
    },
    upgrade (request, socket, head) {
      const { remoteAddress = '' } = request.socket
      if (isClosing || isFull(request.socket) || options.addresses?.mayCome(remoteAddress) === false) {
        socket.end('HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
        return
      }
      websockets.handleUpgrade(request, socket, head, (websocket) => {
        if (options.addresses !== undefined) websocket.once('close', options.addresses.came(remoteAddress))
        const connection = handle(websocketWire(websocket, request))
        websocket.on('error', (error: NodeJS.ErrnoException) => {
          if (error.code?.startsWith(OF_WS)) refusals.websocket(connection.who, error.message)
        })
      })
    },
    get connections () { return connections.size },
    get websockets () { return [...connections].filter(({ carrier }) => carrier === 'websocket').length },
    async close () {
      isClosing = true
      aedes.pause()
      // Aedes does not know them yet, and whoever is asked about them may never answer
      for (const connection of connections) if (connection.attachment === undefined) connection.close('shutdown')
      await broker.settled() // what was accepted gets its receipt before its connection ends
      await aedes.close()
      websockets.close()
    }
  }
}
