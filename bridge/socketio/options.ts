/** What the bridge is made of, and what it is to whoever made it. */
import type { Server as HttpServer } from 'node:http'
import type { Server } from 'socket.io'
import type {
  AddressGate, Broker, ClientId, Logger, Principal, Publisher, Refusals, Turns
} from '../../broker/index.ts'
import type { Config } from '../../config/schema.ts'
import type { Identify } from './admission/identity.ts'
import type { Durable } from './durable.ts'
import type { RuleSet } from './rules/rule.ts'
import type { Tallies } from './tally.ts'
import type { OriginGate } from './wire/own-io.ts'

/** Each as docs/configuration.md says. */
export type BridgeConfig = Pick<Config,
  'deviceCookie' | 'eio3InflightMessagesMax' | 'eio3PingIntervalMs' | 'eio3Proof' | 'pingIntervalMs' | 'pingTimeoutMs' |
  'recoveryExpiryMs' | 'recoveryOffset' | 'socketioDeflate' | 'socketioPath' | 'socketioSessionExpiryMs' |
  'tornEventHoldMs'>

/** A program's own Socket.IO server. */
export interface BridgedProgram {
  readonly io: Server
  /** Publishes what it emits; what access control says of clients does not hold for it. */
  readonly publisher: Publisher
  /** Which of its emits are kept for who is away; default: all that can be. */
  readonly durable?: Durable | undefined
}

export interface SocketioBridgeOptions {
  readonly config: BridgeConfig
  readonly broker: Broker
  /** How many connections an address may have; default: as many as there are. */
  readonly addresses?: AddressGate | undefined
  /** Gets a handler for requests and upgrades below socketioPath; everything else stays with whoever had it. */
  readonly http: HttpServer
  /**
   * On an HTTP server already, and instead of one of ours: its options, middlewares and handlers stay in force. Its
   * handlers get the events that no rule is for; what it emits to rooms and everybody, and the rooms of its sockets,
   * are carried by the log. Options that are Socket.IO's own are left alone.
   */
  readonly program?: BridgedProgram | undefined
  /** Who publishes for the program, whose events are what it means them to be. */
  readonly trusted?: Principal | undefined
  readonly log: Logger
  /** Shared with whatever else lets clients in. */
  readonly refusals: Refusals
  /** Which pages may connect; default: all, of which those of other origins can't use polling. */
  readonly origins?: OriginGate | undefined
  readonly identify?: Identify | undefined
  /** Default: those of docs/socketio.md. */
  readonly rules?: RuleSet | undefined
  /** Shared with whatever else reads from clients of the same process. */
  readonly turns: Turns
}

export interface Place {
  readonly clientId: ClientId
  readonly filters: readonly string[]
}

export interface SocketioBridge {
  /** Connections that are open now; each can have several namespaces. */
  readonly connections: number
  readonly tallies: Tallies
  /**
   * The session that a client of this name has in the namespace, and what it is subscribed to when it comes. Undefined
   * where the rules let nobody in.
   */
  placeOf (namespace: string, name: string, principal: Principal): Place | undefined
  /**
   * Takes nothing more; what was taken gets its answer, for CLOSE_GRACE_MS at most; then closes the connections, with
   * CLOSE_FLUSH_MS for what is written. The HTTP server stays open.
   */
  close (): Promise<void>
}
