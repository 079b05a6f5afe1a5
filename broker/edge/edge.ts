/**
 * Where clients come in, whatever they speak: who it is, what they may, their session. Rights are asked here, at each
 * publish and subscribe, and at delivery [G7]; a transport asks nobody.
 */
import type { Credentials } from '../auth/auth.ts'
import type { Identity } from '../auth/identity.ts'
import type { Rights } from '../auth/rights.ts'
import type { TimelyAuth } from '../auth/timely.ts'
import type { EnterRequest, WillRequest } from '../broker.ts'
import type { Core } from '../core.ts'
import type { Subscribing } from '../messages/subscribing.ts'
import { HoldfastError } from '../model/errors.ts'
import type { ClientId, Principal } from '../model/message.ts'
import { filterBehind, show } from '../model/topics.ts'
import type { Session } from '../session/session.ts'
import { SessionPeer, type PeerOptions } from './session-peer.ts'

/** Filters that a program is asked about at the same time. */
const ASKED_MAX = 32

export class Edge {
  readonly #core: Core
  readonly #auth: TimelyAuth
  readonly #publishing: PeerOptions['publishing']
  readonly #subscribing: Pick<Subscribing, 'check'>
  /** Who has come in and not left: bounded by the connections of the transports [G6]. */
  readonly #peers = new Set<SessionPeer>()
  #refreshes = 0
  /** After how many refreshes it was made. */
  readonly #madeAfter = new WeakMap<Identity, number>()

  constructor (
    core: Core, auth: TimelyAuth, publishing: PeerOptions['publishing'], subscribing: Pick<Subscribing, 'check'>
  ) {
    this.#core = core
    this.#auth = auth
    this.#publishing = publishing
    this.#subscribing = subscribing
  }

  async authenticate (credentials: Credentials): Promise<Identity> {
    const identity = await this.#auth.authenticate(credentials)
    if (identity === undefined) throw unknown()
    const { clock } = this.#core
    if (identity.expiresAt !== undefined && identity.expiresAt <= clock.wall(clock.now())) {
      throw new HoldfastError('NOT_AUTHORIZED', 'what was shown has expired')
    }
    this.#madeAfter.set(identity, this.#refreshes)
    return identity
  }

  async enter (request: EnterRequest): Promise<SessionPeer> {
    const { clientId, filters = [], will, isWanted } = request
    const assertWanted = (): void => { // nothing is made for nobody
      if (isWanted?.() === false) throw new HoldfastError('CLOSED', 'the connection is gone')
    }
    const shown = request.identity ?? await this.authenticate(request.credentials!)
    assertWanted()
    if (will !== undefined) await this.#checkWill(clientId, shown.rights, will)
    if (filters.length > 0) await this.#subscribing.check(clientId, shown.rights, filters)
    assertWanted()
    const { session, present } = await this.#core.connect({ ...request, principal: shown.principal })
    const isOutdated = (this.#madeAfter.get(shown) ?? this.#refreshes) < this.#refreshes
    const identity = isOutdated ? this.#auth.refresh(shown) : shown
    if (identity === undefined) {
      this.#core.release(session, { endsNew: true })
      throw unknown()
    }
    const peer = new SessionPeer({
      core: this.#core,
      publishing: this.#publishing,
      session,
      identity,
      present,
      granted: identity === shown ? new Set(filters) : undefined,
      ...connectionOf(request),
      authenticate: (credentials) => this.authenticate(credentials),
      lacking: (rights) => this.#lacking(session, rights),
      left: (gone) => { this.#peers.delete(gone) }
    })
    this.#peers.add(peer)
    try {
      if (present) await peer.look()
    } catch (error) {
      peer.leave()
      throw error
    }
    return peer
  }

  /** A will that can never be published is left out, or its client is refused. */
  async #checkWill (clientId: ClientId, rights: Rights, { topic, payloadBytes, refused }: WillRequest): Promise<void> {
    try {
      this.#core.checkMessage(topic, payloadBytes)
      if (!(await rights.mayPublish(clientId, topic))) {
        throw new HoldfastError('NOT_AUTHORIZED', `a will on ${show(topic)}`)
      }
    } catch (error) {
      const refusal = error as HoldfastError
      if (refusal.retriable) throw refusal
      this.#publishing.refuse(clientId, topic, refusal, () => {})
      if (!refused(refusal)) throw new HoldfastError('NOT_AUTHORIZED', `its will: ${refusal.message}`)
    }
  }

  /** Filters of the session that it could not have any more. */
  async #lacking (session: Session, rights: Rights): Promise<Set<string>> {
    const lacking = new Set<string>()
    const filters = [...session.subscriptions.keys()]
    for (let at = 0; at < filters.length; at += ASKED_MAX) {
      await Promise.all(filters.slice(at, at + ASKED_MAX).map(async (filter) => {
        const may = await this.#auth.mayStill(rights, session.clientId, filterBehind(filter))
        if (!may) lacking.add(filter)
      }))
    }
    return lacking
  }

  async refresh (): Promise<number> {
    this.#refreshes++
    let closed = 0
    const looks: Array<Promise<void>> = []
    for (const peer of [...this.#peers]) {
      const identity = this.#auth.refresh(peer.identity)
      if (identity === peer.identity) continue
      if (identity !== undefined) looks.push(peer.take(identity))
      else if (peer.cut('disconnected')) closed++
    }
    await Promise.all(looks)
    return closed
  }

  disconnect (principal: Principal): number {
    let closed = 0
    for (const peer of [...this.#peers]) if (peer.principal === principal && peer.cut('disconnected')) closed++
    return closed
  }
}

/** What stays the same for as long as the connection lasts; what was shown as a proof is not kept. */
function connectionOf ({ credentials, remoteAddress = '' }: EnterRequest): Pick<PeerOptions, 'connection'> {
  return { connection: { via: credentials?.via ?? 'program', certificate: credentials?.certificate, remoteAddress } }
}

function unknown (): HoldfastError {
  return new HoldfastError('NOT_AUTHORIZED', 'unknown user or wrong password')
}
