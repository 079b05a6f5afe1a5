/** A server, to the program that started it. */
import type { Tallies } from '../bridge/socketio/index.ts'
import type { Broker, BrokerStats, RefusalCounts, SessionInfo, SetAsideMessage } from '../broker/index.ts'
import type { Address } from './listen.ts'
import type { Addresses } from './net/network.ts'
import type { NewSession, PublishOptions, Published } from './program.ts'
import type { Subscribe } from './subscription.ts'

export interface HoldfastAddresses extends Addresses {
  /** Of metricsPort. */
  readonly metrics?: Address
}

export interface HoldfastStats extends BrokerStats {
  /** Those that are open; `mqtt` counts those over WebSocket, too, which `websocket` counts. */
  readonly connections: { readonly mqtt: number, readonly websocket: number, readonly socketio: number }
  /** What was refused since the start, by kind; the log tells of it once in a while (docs/errors.md). */
  readonly refusals: RefusalCounts
  /** What happened on the side of Socket.IO since start, and is logged once in a while. */
  readonly socketio: Tallies
}

export interface Holdfast {
  /** Where it can be reached now. */
  readonly addresses: HoldfastAddresses
  readonly events: Broker['events']
  /**
   * Resolves when the message is durable [G1] (QoS 0: passed on), with for how many sessions. Rejects with
   * HoldfastError: then it is not kept.
   */
  publish (message: PublishOptions): Promise<Published>
  /**
   * Messages of these topic filters, for this process: `for await (const message of await holdfast.subscribe('a/#'))`.
   * With a `name` they wait while nobody reads, over a restart too [G2]; without one they are those that come once this
   * has resolved. A slow reader holds up nobody [G8]: what waits for it is bounded like that of any other session, and
   * `onGap` hears what it loses [G5]. Rejects with TypeError, or HoldfastError: FILTER_INVALID, NAME_IN_USE, and what a
   * client would be refused for. Reading ends with the server; it throws where the session is ended.
   */
  readonly subscribe: Subscribe
  stats (): HoldfastStats
  sessions (): IterableIterator<SessionInfo>
  /** One of them, by the name that it has there. */
  session (clientId: string): SessionInfo | undefined
  /**
   * Makes a session for a client that has not come yet, so that messages wait for it. It counts for sessionsMax and
   * expires like any other. Resolves to true when it is on disk, with its filters; to false, with nothing changed, if
   * the client has one. Rejects with HoldfastError: NOT_AUTHORIZED where the principal may not subscribe,
   * SESSION_FOREIGN where the session is somebody else's [G7], and whatever a client would be refused for.
   */
  createSession (session: NewSession): Promise<boolean>
  /**
   * Ends a session for good, as an administrator [G5]: its connection is closed, its filters and its backlog are gone.
   * `clientId` is as `sessions()` names it (`io:<namespace>:<clientId>` for Socket.IO). Resolves to false if there is
   * none, else to true when that is on disk (while the log can't be written: it is tried again until it is).
   * Rejects with HoldfastError CLOSED once the server stops.
   */
  endSession (clientId: string): Promise<boolean>
  /**
   * Closes the connection of a session, as when its token has expired or a right was withdrawn: its client has to
   * authenticate anew. A kept session goes on, and what comes meanwhile waits for it [G2]; a clean one ends. Several
   * namespaces of a Socket.IO client share a connection. `{ principal }` stands for all sessions of that person.
   * Returns how many connections there were. Throws HoldfastError CLOSED once the server stops.
   */
  disconnect (who: string | { readonly principal: string }): number
  /**
   * Reads users, keys, secrets and the files of TLS anew, as SIGHUP does. Resolves when they are in force. Rejects with
   * an Error that says what is wrong with a file; then what was there before stays in force.
   */
  reload (): Promise<void>
  /**
   * The messages that were set aside for a session, the oldest first: their delivery broke its connection again and
   * again (redeliveriesMax). To deliver one after all, publish it again, then drop it.
   */
  listSetAside (clientId: string): AsyncIterableIterator<SetAsideMessage>
  /**
   * Removes the message that was set aside under this `id`, or all of a session. Resolves to how many there were, when
   * that is on disk. Rejects with HoldfastError STORE_UNAVAILABLE or CLOSED.
   */
  dropSetAside (clientId: string, id?: string): Promise<number>
  /**
   * Stops accepting, syncs what was accepted, closes clients. Every call gives the same promise; it rejects where a
   * part could not stop as it should. What has a receipt is durable in any case [G1].
   */
  close (): Promise<void>
}
