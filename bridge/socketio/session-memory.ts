/** What is remembered of a session from one connection to the next, in memory, until it ends. */
import { Suspects, type Broker, type ClientId, type Logger } from '../../broker/index.ts'
import { DeafClients } from './proof/deaf.ts'
import { EndingsBySession } from './proof/endings.ts'

export class SessionMemory {
  readonly suspects: Suspects
  readonly deaf: DeafClients
  readonly endings = new EndingsBySession()
  readonly #events: Broker['events']

  constructor ({ clock, events, limits }: Broker, log: Logger) {
    this.suspects = new Suspects({ clock, log, limits })
    this.deaf = new DeafClients(log)
    this.#events = events
    events.on('session-ended', this.#forget)
  }

  readonly #forget = ({ clientId }: { readonly clientId: ClientId }): void => {
    this.suspects.forget(clientId)
    this.deaf.forget(clientId)
    this.endings.forget(clientId)
  }

  close (): void { this.#events.off('session-ended', this.#forget) }
}
