/** CONNECT: who may come in, and with which return code not (MQTT 3.1.1, 3.2.2.3). */
import type { Broker } from '../../broker.ts'
import { HoldfastError, type ErrorCode } from '../../model/errors.ts'
import type { ClientId } from '../../model/message.ts'
import { breaksProtocol, isBridgeNotice } from '../../model/topics.ts'
import type { MqttConnection } from '../connection.ts'
import type { MqttRefusals } from '../refusals.ts'
import { askedWill, CONNECTION, dropWill, toldOf, type InnerClient } from './client.ts'
import type { ContractClient, ContractPacket } from './contract.ts'

export interface InnerConnect { clientId: string, clean: boolean, bridgeMode?: boolean, will?: ContractPacket }

export interface ConnectingOptions {
  readonly broker: Broker
  readonly refusals: MqttRefusals
  readonly makeId: () => string
  sessionExpiryMs (via: 'mqtt' | 'websocket'): number
}

/** Client identifiers that the Socket.IO bridge makes (bridge/socketio). */
const BRIDGE_PREFIX = 'io:'

/** Return codes of CONNACK. */
const REFUSED = { identifier: 2, unavailable: 3, credentials: 4, notAuthorized: 5 } as const

const RETURN_CODES: Partial<Record<ErrorCode, number>> = {
  CLIENT_ID_INVALID: REFUSED.identifier,
  SESSION_FOREIGN: REFUSED.notAuthorized,
  NOT_AUTHORIZED: REFUSED.notAuthorized
}

export class Connecting {
  readonly #options: ConnectingOptions
  /** CONNECTs since the start. */
  #connects = 0
  /** The client that connected last under an identifier. */
  readonly #latest = new Map<string, InnerClient>()

  constructor (options: ConnectingOptions) {
    this.#options = options
  }

  /** CONNECT has come: notes what it asks for, and tells Aedes otherwise. */
  begin (connection: MqttConnection, connect: InnerConnect): void {
    connection.clean = connect.clean
    connection.isBridge = connect.bridgeMode === true
    connection.order = ++this.#connects
    if (connect.clientId === '') {
      if (connect.clean) connect.clientId = this.#options.makeId() // [MQTT-3.1.3-6]
      else connection.refusal = REFUSED.identifier // [MQTT-3.1.3-8]
    }
    // Sessions of the Socket.IO bridge have names of their own, which a device must not take [G7].
    if (connect.clientId.startsWith(BRIDGE_PREFIX)) connection.refusal = REFUSED.identifier
    connect.clean = false
    if (connect.will !== undefined && breaksProtocol(connect.will.topic)) connection.refusal = REFUSED.notAuthorized
  }

  /** Resolves to whether its session was there already; undefined where the connection has ended meanwhile. */
  async enter (client: InnerClient, username: string | undefined, password: Buffer | undefined
  ): Promise<boolean | undefined> {
    const connection = client[CONNECTION]
    if (connection.refusal !== undefined) {
      throw new HoldfastError('CLIENT_ID_INVALID',
        `it is empty with CleanSession 0, begins with ${BRIDGE_PREFIX}, or its will has a topic that is not allowed`)
    }
    const { broker, sessionExpiryMs } = this.#options
    const clientId = client.id as ClientId
    const { via, remoteAddress, certificate } = connection.wire
    const credentials = { clientId, username, password, via, remoteAddress, certificate }
    connection.refusal = username === undefined ? REFUSED.notAuthorized : REFUSED.credentials
    const identity = await broker.authenticate(credentials)
      .catch((error: unknown) => {
        if (!(error instanceof HoldfastError) || error.code !== 'NOT_AUTHORIZED') connection.refusal = undefined
        throw error
      })
    connection.refusal = undefined
    const peer = await broker.enter({
      credentials,
      identity,
      clientId,
      clean: connection.clean,
      expiryMs: sessionExpiryMs(via),
      remoteAddress,
      will: this.#willOf(client),
      isWanted: () => !connection.isClosed && this.#isLatest(client) // [MQTT-3.1.4-2]
    })
    if (connection.isClosed) {
      peer.leave({ endsNew: true })
      return undefined
    }
    connection.peer = peer
    this.#latest.set(client.id, client)
    return peer.present
  }

  /** With its line in the log; the return code that says so. */
  refuse (client: InnerClient, error: Error): number {
    const connection = client[CONNECTION]
    const known = error instanceof HoldfastError ? RETURN_CODES[error.code] : undefined
    const returnCode = connection.refusal ?? known ?? REFUSED.unavailable
    const code = error instanceof HoldfastError ? error.code : 'INTERNAL'
    // one that has a later connection, or comes while the server stops, was not refused
    if (code !== 'CLOSED') this.#options.refusals.client(toldOf(client), { code, message: error.message }, returnCode)
    return returnCode
  }

  /** No later connection has come in under its identifier, or that one has gone. */
  isLast (client: ContractClient): boolean {
    const last = this.#latest.get(client.id)
    return client === last || last === undefined || last.closed
  }

  #isLatest (client: InnerClient): boolean {
    const last = this.#latest.get(client.id)
    return last === undefined || last[CONNECTION].order < client[CONNECTION].order
  }

  over (client: InnerClient): void { if (this.#latest.get(client.id) === client) this.#latest.delete(client.id) }

  /** One that can never be published is taken off, or its client is refused. */
  #willOf (client: InnerClient): { topic: string, payloadBytes: number, refused (error: HoldfastError): boolean } |
  undefined {
    const will = askedWill(client)
    if (will === undefined) return undefined
    const { topic, payload } = will
    return {
      topic,
      payloadBytes: payload.length,
      refused: (error) => {
        dropWill(client)
        return isBridgeNotice(topic) || this.#options.refusals.will(toldOf(client), topic, error)
      }
    }
  }
}
