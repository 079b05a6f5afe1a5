/** What a session that is in groups has to tell them; see broker/shared/shares.ts. Others have none. */
import type { Delivery } from './link.ts'
import type { Flight } from './window.ts'

export interface Membership {
  /** The session has a connection. */
  attached (): void
  /** Its connection is gone; its window still has what was out. */
  detached (): void
  /** It has acknowledged a message, of a group or not, or goes on without it. */
  acknowledged (flight: Flight): void
  /** It may have room. */
  resume (): void
  /** Is it one that a group has given it? */
  has (delivery: Delivery): boolean
  /** It is subscribed to that no more. */
  left (filter: string): void
  /** The session has ended. */
  ended (): void
}
