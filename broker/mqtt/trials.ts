/** Clients that end their connection each time they get a message: what poison.ts asks of MQTT, and is told by it. */
import type { Broker, Peer } from '../broker.ts'
import type { Logger } from '../system/logger.ts'
import { CONTROL_ID, Suspects, type Trial } from '../session/poison.ts'
import type { CloseReason, Delivery } from '../session/link.ts'

/** A connection on trial. */
export interface TriedConnection {
  /** How often something was written to it. */
  readonly writes: number
  /** It goes on as usual. */
  tried (): void
}

/**
 * The server ended it; what a client leaves open too long is judged by unanswered.ts. A takeover is not among them: a
 * device that begins anew says no goodbye.
 */
const ON_PURPOSE: ReadonlySet<CloseReason | undefined> =
  new Set(['stalled', 'ended', 'disconnected', 'expired', 'store-unavailable', 'shutdown'] as const)

export class Trials {
  readonly #broker: Broker
  readonly #suspects: Suspects

  constructor (broker: Broker, log: Logger) {
    this.#broker = broker
    this.#suspects = new Suspects({ clock: broker.clock, log, limits: broker.limits })
    broker.events.on('session-ended', ({ clientId }) => { this.#suspects.forget(clientId) })
  }

  /** A connection is about to be attached; undefined where it delivers as usual. */
  begin (peer: Peer, connection: TriedConnection, write: (deliveries: readonly Delivery[]) => void
  ): Trial | undefined {
    if (peer.clean) return undefined // nothing of it is sent twice
    const trial = this.#suspects.trial(peer.clientId, {
      connection,
      get writes () { return connection.writes },
      write,
      // MQTT has nothing to write that no application hears of
      control: () => { queueMicrotask(() => { trial?.proven(CONTROL_ID) }) },
      setAside: (delivery, attempts) => {
        peer.setAside(delivery, attempts)
          .then((isKept) => trial?.setAside(isKept), () => trial?.setAside())
      },
      over: () => { connection.tried() }
    })
    return trial
  }

  /** A connection that was attached is gone, and its session still knows what is out; without a reason: by itself. */
  ended (peer: Peer, trial: Trial | undefined, reason: CloseReason | undefined): void {
    const onPurpose = ON_PURPOSE.has(reason)
    if (trial !== undefined) trial.broke(onPurpose)
    else if (!onPurpose && !peer.clean) {
      const since = peer.openSince
      if (since !== undefined) this.#suspects.broke(peer.clientId, this.#broker.clock.now() - since)
    }
  }
}
