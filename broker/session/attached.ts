/** What a connection has of the session that it follows; once another one follows it, its calls do nothing. */
import type { Offset, PacketId } from '../model/message.ts'
import type { Answer, CloseReason, Following, Readable } from './link.ts'
import type { Live, Session } from './session.ts'

/** Of the follower. */
interface Steps {
  acknowledge (session: Session, live: Live, packetId: PacketId): void
  received (session: Session, live: Live, packetId: PacketId): Promise<void>
  wake (session: Session): void
  detach (session: Session): void
  cut (session: Session, reason: CloseReason): void
}

/** One for each attachment of each session, so it is a class: small, and nothing is bound. */
export class Attached implements Following {
  readonly position: Offset
  readonly #session: Session
  readonly #live: Live
  readonly #follower: Steps

  constructor (position: Offset, session: Session, live: Live, follower: Steps) {
    this.position = position
    this.#session = session
    this.#live = live
    this.#follower = follower
  }

  acknowledge (packetId: PacketId): void { this.#follower.acknowledge(this.#session, this.#live, packetId) }

  awaits (packetId: PacketId): Answer | undefined {
    return this.#session.live === this.#live ? this.#session.window?.awaits(packetId) : undefined
  }

  async received (packetId: PacketId): Promise<void> {
    await this.#follower.received(this.#session, this.#live, packetId)
  }

  drained (): void {
    if (this.#session.live === this.#live) this.#follower.wake(this.#session)
  }

  detach (): void {
    if (this.isFollowing) this.#follower.detach(this.#session)
  }

  get isFollowing (): boolean { return this.#session.live === this.#live }
  cut (reason: CloseReason): void { if (this.isFollowing) this.#follower.cut(this.#session, reason) }
  allow (readable: Readable | undefined): void { this.#live.readable = readable }
}
