/** A peer: a session, an identity and, once it follows, a connection. */
import type { Credentials } from '../auth/auth.ts'
import type { Identity } from '../auth/identity.ts'
import { ALL_RIGHTS, type Rights } from '../auth/rights.ts'
import type { AttachOptions, Peer, Proof, PublishRequest, SubscribeOptions } from '../broker.ts'
import type { Core } from '../core.ts'
import type { Publishing } from '../messages/publishing.ts'
import { HoldfastError } from '../model/errors.ts'
import type { ClientId, Offset, PacketId, Principal, QoS, TimeMs } from '../model/message.ts'
import { filterBehind, matches } from '../model/topics.ts'
import type { Attachment, CloseReason, Delivery, Following, Link, Readable } from '../session/link.ts'
import type { Session } from '../session/session.ts'
import { Expiry } from './expiry.ts'

type Receipt = (error?: HoldfastError, keepers?: number) => void

export interface PeerOptions {
  readonly core: Core
  readonly publishing: Pick<Publishing, 'publish' | 'publishOnce' | 'refuse'>
  readonly session: Session
  readonly identity: Identity
  readonly present: boolean
  /** Filters that it may have, as was asked just now. */
  readonly granted: ReadonlySet<string> | undefined
  readonly connection: Pick<Credentials, 'via' | 'certificate' | 'remoteAddress'>
  authenticate (credentials: Credentials): Promise<Identity>
  /** Filters of the session that are not to be had with these rights. */
  lacking (rights: Rights): Promise<Set<string>>
  left (peer: SessionPeer): void
}

export class SessionPeer implements Peer {
  readonly clientId: ClientId
  readonly principal: Principal
  readonly present: boolean
  identity: Identity
  readonly #options: PeerOptions
  readonly #core: Core
  readonly #publishing: PeerOptions['publishing']
  readonly #session: Session
  #granted: ReadonlySet<string> | undefined
  /** Filters that the session has and may not have any more: nothing is delivered for them. */
  #lacking: Set<string> | undefined
  #following: Following | undefined
  #expiry: Expiry | undefined
  /** Why it is to be closed as soon as it follows. */
  #verdict: CloseReason | undefined
  #isRenewing = false
  #hasLeft = false

  constructor (options: PeerOptions) {
    this.#options = options
    this.#core = options.core
    this.#publishing = options.publishing
    this.#session = options.session
    this.#granted = options.granted
    this.clientId = options.session.clientId
    this.principal = options.session.principal
    this.present = options.present
    this.identity = options.identity
  }

  get clean (): boolean { return this.#session.clean }
  get ended (): boolean { return this.#session.ended }
  get isFollowed (): boolean { return this.#session.live !== undefined }
  get sessionKey (): object { return this.#session }

  // --- what it sends

  publish (request: PublishRequest, receipt: Receipt): void {
    this.#publishing.publish(this, this.identity.rights, request, receipt)
  }

  publishOnce (packetId: PacketId, request: PublishRequest, receipt: Receipt): void {
    this.#publishing.publishOnce(this.#session, this.identity.rights, packetId, request, receipt)
  }

  refuse (topic: string, error: HoldfastError, receipt: Receipt): void {
    this.#publishing.refuse(this.clientId, topic, error, receipt)
  }

  async releaseIncoming (packetId: PacketId): Promise<void> {
    await this.#core.releaseIncoming(this.#session, packetId)
  }

  hasIncoming (packetId: PacketId): boolean { return this.#core.hasIncoming(this.#session, packetId) }

  // --- what it wants to hear

  async subscribe (filter: string, qos: QoS, { mayShare }: SubscribeOptions = {}): Promise<QoS> {
    const rights = this.#granted?.has(filter) === true ? undefined : this.identity.rights
    const granted = await this.#core.subscribe(this.#session, filter, qos, { mayShare, rights })
    if (this.#lacking?.delete(filter) === true) this.#allow()
    return granted
  }

  async unsubscribe (filter: string): Promise<void> { await this.#core.unsubscribe(this.#session, filter) }

  hasFilter (filter: string): boolean { return this.#session.subscriptions.has(filter) }

  keepsFilter (filter: string): boolean {
    const known = this.#session.subscriptions.get(filter)
    return known !== undefined && known.qos > 0 && known.writes === 0 && this.#lacking?.has(filter) !== true
  }

  get filterCount (): number { return this.#session.subscriptions.size }
  filters (): Iterable<string> { return this.#session.subscriptions.keys() }

  // --- what it is sent

  follow (link: Link, options: AttachOptions = {}): Attachment {
    this.#granted = undefined
    const following = this.#core.attach(this.#session, link, { ...options, readable: this.#readable })
    this.#following = following
    if (!following.isFollowing) return following // the broker is closing, or the session has ended
    this.#expiry = new Expiry({
      clock: this.#core.clock,
      renewBeforeMs: this.#core.limits.renewBeforeMs,
      expiring: (leftMs) => { if (following.isFollowing) link.expiring?.(leftMs) },
      expired: () => { this.cut('expired') }
    })
    if (this.#verdict === undefined) this.#expiry.until(this.identity.expiresAt)
    else following.cut(this.#verdict)
    return following
  }

  get sentThrough (): Offset | undefined {
    return this.#session.live?.caughtUp === true ? this.#session.sent : undefined
  }

  get position (): Offset { return this.#session.position }
  get openSince (): TimeMs | undefined { return this.#session.window?.openSince }

  async setAside (delivery: Delivery, attempts: number): Promise<boolean> {
    return await this.#core.setAside(this.#session, delivery, attempts)
  }

  // --- who it is, over time

  async renew (proof: Proof): Promise<void> {
    if (this.#isRenewing) {
      throw new HoldfastError('NOT_AUTHORIZED', 'another proof is being looked at; wait for its answer')
    }
    this.#isRenewing = true
    try {
      const { connection, authenticate } = this.#options
      const identity = await authenticate({ ...connection, ...proof, clientId: this.clientId })
      if (identity.principal !== this.principal) { // [G7]
        throw new HoldfastError('NOT_AUTHORIZED', 'a fresh proof must be of the same user')
      }
      await this.take(identity)
    } finally {
      this.#isRenewing = false
    }
  }

  /** What the identity may is true from now on. */
  async take (identity: Identity): Promise<void> {
    this.identity = identity
    this.#granted = undefined
    this.#allow()
    if (this.#hasLeft) return
    this.#expiry?.until(identity.expiresAt)
    await this.look().catch(() => {}) // told already; nothing is taken from anybody because nobody can say
  }

  /** Looks whether the session has filters that it could not have any more. */
  async look (): Promise<void> {
    const { rights } = this.identity
    const lacking = rights === ALL_RIGHTS ? undefined : await this.#options.lacking(rights)
    if (this.identity.rights !== rights) return // a later look has begun
    this.#lacking = lacking
    this.#allow()
  }

  #allow (): void { this.#following?.allow(this.#readable) }

  get #readable (): Readable | undefined {
    const { rights } = this.identity
    const lacking = this.#lacking
    const lacksSome = lacking !== undefined && lacking.size > 0
    if (rights.mayRead === undefined && !lacksSome) return undefined
    return (topic) => (rights.mayRead === undefined || rights.mayRead(this.clientId, topic)) &&
      (!lacksSome || this.#matches(topic, lacking))
  }

  /** Does a filter match that it may have? */
  #matches (topic: string, lacking: ReadonlySet<string>): boolean {
    for (const filter of this.#session.subscriptions.keys()) {
      if (!lacking.has(filter) && matches(filterBehind(filter), topic)) return true
    }
    return false
  }

  // --- its end

  /** Closes its connection; false where it follows the session no more. */
  cut (reason: CloseReason): boolean {
    if (this.#following === undefined) this.#verdict = reason
    else if (this.#following.isFollowing) this.#following.cut(reason)
    else return false
    return true
  }

  leave ({ endsNew = false }: { readonly endsNew?: boolean } = {}): void {
    if (this.#hasLeft) return
    this.#hasLeft = true
    this.#expiry?.end()
    this.#options.left(this)
    if (this.#following === undefined) this.#core.release(this.#session, { endsNew })
    else this.#following.detach()
  }
}
