/**
 * Clients that may be deaf. With socket.io-parser 3.3.3 to 3.3.6, 4.0.5 or 4.2.1 (the published bundle of 4.5.4, and
 * what a bundler made of 2.x to 4.2 and 4.5) a page never recovers from a WebSocket that breaks between the text of a
 * binary event and its bytes: whatever comes later is an error to it, CONNECT too, until it is loaded again. Its engine
 * goes on answering pings, so that they would prove what no handler has seen [G2].
 *
 * On the wire such a client differs from a healthy one in two things. It says nothing but CONNECT. And if it is of 4.5
 * it leaves its connection as it is, alive, and makes another one after its reconnection delay. So after a link that
 * may have broken inside a binary event, what the next connection proves counts only once the client has spoken, or
 * after a while in which it made no other connection. Until then nothing is lost and nothing waits but receipts, and
 * with them whatever finds the window full. An older client that is deaf and silent for longer can't be told from one
 * that only listens.
 *
 * Clients from 4.6 on are mended, and known by their pid. Which sessions are concerned is in memory: after a restart of
 * the server all are, from the first event with bytes on.
 */
import type { Clock, ClientId, Logger, Peer } from '../../../broker/index.ts'

/** `torn`: its last link may have broken inside a binary event; `unknown`: nobody knows how the last one ended. */
export type Suspicion = 'torn' | 'unknown'

/** The session that came first is forgotten: what its client proves counts at once. */
export const DEAF_SESSIONS_MAX = 4_096
/** Connections of a client, one after the other, that end without a word of it, until that is told. */
export const SILENT_CONNECTIONS_TOLD = 5

/** What is to be thought of a client after its connection. */
export interface Conclusion {
  readonly suspicion: Suspicion
  /** How long the connection was alive in doubt. */
  readonly aliveMs: number
  /** The client has another one, and may have left this one alive. */
  readonly isLeft: boolean
}

interface Suspected {
  readonly suspicion: Suspicion
  /** How long its connections were alive in doubt, since one was left. */
  readonly aliveMs: number
  readonly connections: number
}

const UNKNOWN: Suspected = { suspicion: 'unknown', aliveMs: 0, connections: 0 }

type Suspect = Pick<Peer, 'clientId' | 'present' | 'sessionKey'>

/** Which sessions have a client that may be deaf. */
export class DeafClients {
  readonly #log: Logger
  readonly #suspected = new Map<ClientId, Suspected>()
  /** Whose last connection was to this process. */
  readonly #met = new WeakSet<Peer['sessionKey']>()

  constructor (log: Logger) {
    this.#log = log
  }

  /** A client that is not of 4.6 or later is about to follow its session. */
  suspected ({ clientId, present, sessionKey }: Suspect): Suspected | undefined {
    return this.#suspected.get(clientId) ?? (present && !this.#met.has(sessionKey) ? UNKNOWN : undefined)
  }

  /** Its connection is gone. Nothing is concluded of a client that is sound. */
  gone ({ clientId, sessionKey }: Suspect, conclusion: Conclusion | undefined): void {
    this.#met.add(sessionKey)
    const before = this.#suspected.get(clientId)
    this.#suspected.delete(clientId)
    if (conclusion === undefined) return
    const { suspicion, isLeft } = conclusion
    const { connections: count, aliveMs: beforeMs } = before ?? UNKNOWN
    const connections = count + 1
    this.#suspected.set(clientId, { suspicion, connections, aliveMs: isLeft ? 0 : beforeMs + conclusion.aliveMs })
    if (this.#suspected.size > DEAF_SESSIONS_MAX) this.forget(this.#suspected.keys().next().value!)
    if (connections === SILENT_CONNECTIONS_TOLD) {
      this.#log.warn({ session: clientId, connections },
        'a Socket.IO client makes connection after connection and says nothing; its receipts are not counted. If it ' +
        'is a page with socket.io-client 4.5.4 it can\'t hear any more, and has to be loaded again: see ' +
        'docs/legacy-clients.md')
    }
  }

  /** The session has ended. */
  forget (clientId: ClientId): void { this.#suspected.delete(clientId) }
}

/** Over one connection: holds back what is proven while its client may be deaf. */
export class Doubt<Mark> {
  readonly #clock: Clock
  readonly #release: (marks: readonly Mark[]) => void
  readonly #ask: () => void
  #suspicion: Suspicion | undefined
  #isSound = false
  /** Bounded by the windows of the sessions. */
  #held: Mark[] = []
  #beganAt = 0
  #aliveAt = 0
  #cancel = (): void => {}

  /**
   * @param release gets what was held back, in the order of its proofs
   * @param ask whether the client is alive; the answer is to come by end()
   */
  constructor (clock: Clock, release: (marks: readonly Mark[]) => void, ask: () => void) {
    this.#clock = clock
    this.#release = release
    this.#ask = ask
  }

  get suspicion (): Suspicion | undefined { return this.#suspicion }

  /** From the beginning of the doubt to the last proof. */
  get aliveMs (): number { return Math.max(0, this.#aliveAt - this.#beganAt) }

  /** What is proven does not count now. */
  get holds (): boolean { return this.#suspicion === 'torn' }

  /** For so long. A client that has spoken on the connection is sound, whatever is suspected. */
  begin (suspicion: Suspicion, ms: number): void {
    if (this.#isSound) return
    if (this.#suspicion !== 'torn') this.#suspicion = suspicion
    this.#cancel()
    this.#beganAt = this.#clock.now()
    this.#cancel = this.#clock.after(ms, this.#ask)
  }

  /** An event with bytes is written: what broke the last connection may have been this one, or one behind it. */
  carriesBytes (): void {
    if (this.#suspicion === 'unknown') this.#suspicion = 'torn'
  }

  /** True where the marks are kept. */
  hold (marks: readonly Mark[]): boolean {
    if (!this.holds) return false
    this.#aliveAt = this.#clock.now()
    for (const mark of marks) this.#held.push(mark)
    return true
  }

  /** The client is sound: it has spoken, or is still there after all the time. */
  end (): void {
    this.#isSound = true
    if (this.#suspicion === undefined) return
    const held = this.#held
    this.drop()
    this.#suspicion = undefined
    if (held.length > 0) this.#release(held)
  }

  /** The connection is gone: what was held back is not proven, and the suspicion stays. */
  drop (): void {
    this.#held = []
    this.#cancel()
  }
}
