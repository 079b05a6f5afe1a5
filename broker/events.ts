import type { ClientId, Principal } from './message.ts'
import type { GapReason } from './session/link.ts'

/** What a program can listen to; one sentence each. */
export interface BrokerEvents {
  /** A session was made. */
  'session-created': [{ clientId: ClientId, principal: Principal, clean: boolean }]
  /** A session ended: nothing is kept for it any more [G5]. */
  'session-ended': [{ clientId: ClientId, reason: 'expired' | 'clean-connect' | 'administrator' | 'disconnected' }]
  /** A connection follows the session now. */
  'attached': [{ clientId: ClientId }]
  /**
   * Connections take the session over from each other again and again, `takeovers` times in a row: the newcomer has to
   * wait from now on. Told once a minute; `notTold` others were contested meanwhile.
   */
  'contested': [{ clientId: ClientId, takeovers: number, waitMs: number, remoteAddress: string | undefined,
    newcomerAddress: string | undefined, notTold: number }]
  /** The connection of the session is gone. */
  'detached': [{ clientId: ClientId }]
  /** A session will not receive `count` messages that it would have received [G5]. */
  'gap': [{ clientId: ClientId, count: number, reason: GapReason }]
  /**
   * A message was set aside after so many `attempts`: the session goes on without it [G5]. `dropped` older ones went,
   * as the session had asideMessagesMax of them.
   */
  'set-aside': [{ clientId: ClientId, topic: string, id: string, attempts: number, dropped: number }]
  /** The log can't be written: no receipts are given until 'store-recovered'. */
  'store-failed': [{ error: Error }]
  'store-recovered': []
}
