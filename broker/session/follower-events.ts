/** What the follower tells of the sessions that it serves, to whoever writes them down. */
import type { GapReason } from './link.ts'
import type { Session } from './session.ts'

export interface FollowerEvents {
  /** The cursor has moved and is to be written down some time soon. */
  cursorMoved (session: Session): void
  /** As cursorMoved: a message more is in flight. */
  sent (session: Session): void
  /** Something is about to be handed to a link. */
  sending (): void
  /** As cursorMoved: a message less is in flight. */
  acknowledged (session: Session): void
  detached (session: Session): void
  /** The session lost messages [G5]; it is told by the follower. */
  gap (session: Session, count: number, reason: GapReason): void
}
