/**
 * What a recovered client may still hold of a connection that broke too early. Events that are written before CONNECT
 * wait in the client until it has read CONNECT; if the link breaks between the two it keeps them, and hands them to its
 * handlers at its next CONNECT, whatever comes then. Sent again they would be handled twice [G4].
 *
 * So the next connection of such a client gets its CONNECT alone. When the client has proven that it is through with
 * it, the connection is closed: the client connects once more and brings the offset of what it held.
 *
 * In memory: a restart of the server in between forgets it, and the client gets the events twice.
 */
import type { ClientId, PacketId } from '../../../broker/index.ts'
import type { Channel, Connection } from '../connection.ts'

/** The session that came first is forgotten. */
export const LEFTOVERS_SESSIONS_MAX = 4_096

const NO_ID = 0 as PacketId

export class Leftovers {
  readonly #sessions = new Set<ClientId>()

  /** Events are on their way to the client before its CONNECT. */
  begin (clientId: ClientId): void {
    this.#sessions.delete(clientId)
    this.#sessions.add(clientId)
    if (this.#sessions.size > LEFTOVERS_SESSIONS_MAX) this.#sessions.delete(this.#sessions.values().next().value!)
  }

  /** The client has proven that it is through with its CONNECT, or another client has the session. */
  end (clientId: ClientId): void { this.#sessions.delete(clientId) }

  has (clientId: ClientId): boolean { return this.#sessions.has(clientId) }

  /** CONNECT was written, alone: closes the connection once the client has handled what it held. */
  clear (clientId: ClientId, connection: Connection, namespace: string): void {
    const channel: Channel = {
      namespace,
      connectSent: true,
      proven: () => {
        this.end(clientId)
        connection.remove(channel)
        connection.close()
      },
      left () { connection.remove(channel) },
      drained () {}
    }
    connection.add(channel)
    connection.delivered(channel, NO_ID)
  }
}
