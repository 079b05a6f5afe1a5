/**
 * Takeovers: another connection comes for a session that has one. One now and then is how clients come back over a
 * link that is dead and does not look it. Without an end it is two clients with one identifier, each of which comes
 * back as soon as it is thrown out; then the newcomer waits, each time longer, and the present one goes on meanwhile.
 */
import type { EventEmitter } from 'node:events'
import type { BrokerStats, ConnectRequest } from '../broker.ts'
import type { Clock } from '../system/clock.ts'
import { HoldfastError } from '../model/errors.ts'
import type { BrokerEvents } from '../system/events.ts'
import type { Limits } from '../model/limits.ts'
import type { ClientId } from '../model/message.ts'
import { Seldom } from '../system/seldom.ts'
import { Pace } from '../session/pace.ts'
import type { Session } from '../session/session.ts'

export interface TakeoversOptions {
  readonly clock: Clock
  readonly limits: Limits
  readonly events: EventEmitter<BrokerEvents>
}

/** Of one session it is told once in this time, and of all of them once in TOLD_PAUSE_MS. */
const TOLD_MS = 60_000
const TOLD_PAUSE_MS = 1_000

export class Takeovers {
  readonly #options: TakeoversOptions
  /** By session, at most one: who comes later is likelier to be alive. */
  readonly #waiting = new Map<ClientId, (error?: HoldfastError) => void>()
  readonly #seldom: Seldom
  #isClosed = false
  #count = 0
  #slowed = 0

  constructor (options: TakeoversOptions) {
    this.#options = options
    this.#seldom = new Seldom(options.clock, TOLD_PAUSE_MS)
  }

  get stats (): Pick<BrokerStats, 'takeovers' | 'takeoversSlowed'> {
    return { takeovers: this.#count, takeoversSlowed: this.#slowed }
  }

  /**
   * Resolves when the session may be taken over, if it has to be. Throws CLOSED where the newcomer has gone meanwhile,
   * a later one waits in its place, or the server stops.
   */
  async turn (
    session: Session | undefined, { clientId, principal, remoteAddress, isWanted }: ConnectRequest
  ): Promise<void> {
    if (session?.principal !== principal) return // [G7] who may not have it neither waits nor counts
    const { clock, limits } = this.#options
    let waited = false
    while (session.live !== undefined) {
      const pace = session.pace ??= new Pace()
      const waitMs = pace.waitMs(clock.now(), limits)
      if (waitMs === 0) {
        pace.taken(clock.now(), limits)
        this.#count++
        if (waited) this.#slowed++
        return
      }
      waited = true
      this.#tell(session, pace, waitMs, remoteAddress)
      await this.#wait(clientId, waitMs)
      if (this.#isClosed) throw new HoldfastError('CLOSED', 'the server is shutting down')
      if (isWanted?.() === false) throw new HoldfastError('CLOSED', 'the connection is gone')
    }
  }

  /** Nobody has the session any more: who waits for it waits for nothing. */
  free ({ clientId }: Session): void { this.#waiting.get(clientId)?.() }

  close (): void {
    this.#isClosed = true
    for (const resume of [...this.#waiting.values()]) resume()
  }

  async #wait (clientId: ClientId, ms: number): Promise<void> {
    this.#waiting.get(clientId)?.(new HoldfastError('CLOSED', 'a later connection waits for the session'))
    await new Promise<void>((resolve, reject) => {
      const resume = (error?: HoldfastError): void => {
        cancel()
        if (this.#waiting.get(clientId) === resume) this.#waiting.delete(clientId)
        if (error === undefined) resolve()
        else reject(error)
      }
      const cancel = this.#options.clock.after(ms, resume)
      this.#waiting.set(clientId, resume)
    })
  }

  #tell (session: Session, pace: Pace, waitMs: number, remoteAddress: string | undefined): void {
    const nowMs = this.#options.clock.now()
    if (Math.abs(nowMs - pace.toldAtMs) < TOLD_MS) return
    const sessions = this.#seldom.happened()
    if (sessions === 0) return
    pace.toldAtMs = nowMs
    this.#options.events.emit('contested', {
      clientId: session.clientId,
      takeovers: pace.inARow,
      waitMs,
      remoteAddress: session.live?.link.remoteAddress,
      newcomerAddress: remoteAddress,
      sessions
    })
  }
}
