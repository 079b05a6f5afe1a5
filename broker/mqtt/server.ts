/** MQTT over TCP and over WebSocket, spoken by Aedes, promised by the broker. */
import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { createServer, type AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { WebSocketServer } from 'ws'
import type { Broker } from '../broker.ts'
import type { Logger } from '../logger.ts'
import { Turns } from '../turns.ts'
import { createAedes, type Qos0Messages } from './aedes.ts'
import { MqttConnection, type Wire } from './connection.ts'
import { Refusals, type RefusedMessages } from './refusals.ts'
import { Violations } from './violations.ts'
import { tcpWire, websocketWire } from './wires.ts'

/** The subprotocol of MQTT over WebSocket [MQTT-6.0.0-3], and the name older clients offer. */
const SUBPROTOCOLS = ['mqtt', 'mqttv3.1']
/** A frame may hold the header of the packet besides its payload, and packets behind it. */
const FRAME_SLACK_BYTES = 65_536

export interface MqttServerOptions {
  readonly broker: Broker
  readonly log: Logger
  /** How long a session is kept after its connection is gone, by the way it came in. */
  readonly tcpSessionExpiryMs: number
  readonly websocketSessionExpiryMs: number
  /** What becomes of a message that can never be taken; default: acknowledge. */
  readonly refusedMessages?: RefusedMessages | undefined
  /** What becomes of messages that clients publish at QoS 0; default: pass. */
  readonly qos0Messages?: Qos0Messages | undefined
  /** Shared with whatever else reads from clients of the same process. */
  readonly turns?: Turns
}

export interface MqttServer {
  /** MQTT over TCP. Port 0 lets the system pick. `backlog` and what it rejects with are those of net.Server.listen. */
  listen (host: string, port: number, backlog?: number): Promise<AddressInfo>
  /** MQTT over WebSocket: the HTTP server's 'upgrade' event, for the requests that are meant for MQTT. */
  upgrade (request: IncomingMessage, socket: Duplex, head: Buffer): void
  /** Connections that are open now. */
  readonly connections: number
  /** Connections that were closed since the start, as their clients broke the protocol. */
  readonly violations: number
  /** Stops accepting; publishes in progress get their receipts; then closes the connections. */
  close (): Promise<void>
}

export async function createMqttServer (options: MqttServerOptions): Promise<MqttServer> {
  const { broker, log } = options
  const { limits, clock } = broker
  const aedes = await createAedes({
    broker,
    log,
    refusals: new Refusals({ clock, log, refusedMessages: options.refusedMessages ?? 'acknowledge' }),
    qos0Messages: options.qos0Messages ?? 'pass',
    turns: options.turns ?? new Turns(),
    makeId: () => `auto-${randomUUID()}`,
    sessionExpiryMs: (via) => via === 'mqtt' ? options.tcpSessionExpiryMs : options.websocketSessionExpiryMs
  })
  const tcp = createServer({ noDelay: true, allowHalfOpen: true }) // what came before the end is answered
  const websockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: limits.packetBytesMax + FRAME_SLACK_BYTES,
    handleProtocols: (offered) => SUBPROTOCOLS.find((name) => offered.has(name)) ?? false
  })
  const connections = new Set<MqttConnection>()
  const violations = new Violations({ log, clock })
  let isClosing = false

  function handle (wire: Wire): void {
    const connection = new MqttConnection({
      wire,
      limits,
      clock,
      log,
      violations,
      release: (session) => { broker.release(session) },
      over: () => { connections.delete(connection) }
    })
    connections.add(connection)
    aedes.handle(connection)
  }

  function isFull (): boolean {
    if (connections.size < limits.connectionsMax) return false
    log.warn({ connections: connections.size, connectionsMax: limits.connectionsMax },
      'connection refused: there are too many')
    return true
  }

  tcp.on('connection', (socket) => {
    if (isClosing || isFull()) socket.destroy()
    else handle(tcpWire(socket))
  })
  tcp.on('error', (error) => { log.error({ error: error.message }, 'MQTT listener') })

  return {
    async listen (host, port, backlog) {
      await new Promise<void>((resolve, reject) => {
        tcp.once('error', reject)
        tcp.listen({ port, host, backlog }, () => {
          tcp.removeListener('error', reject)
          resolve()
        })
      })
      return tcp.address() as AddressInfo
    },
    upgrade (request, socket, head) {
      if (isClosing || isFull()) {
        socket.end('HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
        return
      }
      websockets.handleUpgrade(request, socket, head, (websocket) => {
        websocket.on('error', (error) => { log.info({ error: error.message }, 'WebSocket closed after an error') })
        handle(websocketWire(websocket, request))
      })
    },
    get connections () { return connections.size },
    get violations () { return violations.count },
    async close () {
      isClosing = true
      const listening = tcp.listening ? new Promise<void>((resolve) => { tcp.close(() => { resolve() }) }) : undefined
      aedes.pause()
      // Aedes does not know them yet, and whoever is asked about them may never answer
      for (const connection of connections) if (connection.attachment === undefined) connection.close('shutdown')
      await broker.settled() // what was accepted gets its receipt before its connection ends
      await aedes.close()
      await listening
      websockets.close()
    }
  }
}
