/**
 * Whether the connections of a device live. A page that only the cookie tells comes back on a new connection, perhaps
 * before the server has noticed that the old one is dead (another Wi-Fi, a laptop's lid). It may have the session of
 * the old one only if that is dead; so the old one is asked, and has ANSWER_MS_MAX for an answer, which takes a living
 * client one round trip.
 */
import type { Clock, ClientId } from '../../../broker/index.ts'
import type { Connection } from '../connection.ts'

/** A page whose script is busy for longer loses its session to the other tab, and gets another one. */
export const ANSWER_MS_MAX = 2_000
/** A browser answers a ping of the WebSocket itself, also for a page that has just been left: it is asked once more. */
const UNLOAD_MS_MAX = 250

export class Holders {
  readonly #clock: Clock
  readonly #connections = new Map<ClientId, Connection>()
  /** Connections that are being asked. */
  readonly #asked = new Map<Connection, Promise<boolean>>()

  constructor (clock: Clock) {
    this.#clock = clock
  }

  hold (clientId: ClientId, connection: Connection): void { this.#connections.set(clientId, connection) }

  leave (clientId: ClientId, connection: Connection): void {
    if (this.#connections.get(clientId) === connection) this.#connections.delete(clientId)
  }

  /** Resolves when those sessions are free whose connection is dead. */
  async clear (clientIds: readonly ClientId[]): Promise<void> {
    await Promise.all(clientIds.map(async clientId => {
      const connection = this.#connections.get(clientId)
      if (connection === undefined) return
      if (connection.inDoubt) { // whoever comes may be the same page, which can't hear on it
        connection.superseded()
        connection.close()
      } else if (!await this.#answers(connection)) connection.cut()
    }))
  }

  #answers (connection: Connection): Promise<boolean> {
    let asked = this.#asked.get(connection)
    if (asked === undefined) {
      asked = lives(connection, this.#clock)
      this.#asked.set(connection, asked)
      void asked.then(() => this.#asked.delete(connection))
    }
    return asked
  }
}

async function lives (connection: Connection, clock: Clock): Promise<boolean> {
  if (!await answers(connection, clock)) return false
  const { protocol, transport } = connection.engine
  if (protocol !== 3 || transport.name !== 'websocket') return true
  await new Promise<void>(resolve => { clock.after(UNLOAD_MS_MAX, resolve) })
  return connection.open && await answers(connection, clock)
}

function answers (connection: Connection, clock: Clock): Promise<boolean> {
  return new Promise(resolve => {
    const cancel = clock.after(ANSWER_MS_MAX, () => resolve(false))
    connection.ask(() => {
      cancel()
      resolve(true)
    })
  })
}
