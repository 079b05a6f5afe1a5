/** MQTT over TCP and over WebSocket, spoken by Aedes, promised by the broker. */
import type { IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Broker } from '../broker.ts'
import type { Logger } from '../logger.ts'

export interface MqttServerOptions {
  readonly broker: Broker
  readonly log: Logger
  /** How long a session is kept after its connection is gone, by the way it came in. */
  readonly tcpSessionExpiryMs: number
  readonly websocketSessionExpiryMs: number
}

export interface MqttServer {
  /** MQTT over TCP. Port 0 lets the system pick. Rejects with the error of net.Server.listen. */
  listen (host: string, port: number): Promise<AddressInfo>
  /** MQTT over WebSocket: the HTTP server's 'upgrade' event, for the requests that are meant for MQTT. */
  upgrade (request: IncomingMessage, socket: Duplex, head: Buffer): void
  /** Connections that are open now. */
  readonly connections: number
  /** Stops accepting; publishes in progress get their receipts; then closes the connections. */
  close (): Promise<void>
}
