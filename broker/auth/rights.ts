/**
 * The seam between the edge and whatever says what a client may do: rules of the configuration, an ACL file, a token,
 * a program. One object belongs to one identity, and does not change: rights that were withdrawn are a new object.
 */
import type { ClientId } from '../model/message.ts'

export interface Rights {
  /** Asked for each message and will, in the publisher's order. `topic` is valid (MQTT 4.7.3). */
  mayPublish (clientId: ClientId, topic: string): boolean | Promise<boolean>
  /** Asked for each filter: true only if all that it can match may be read. `filter` is valid, and without $share. */
  maySubscribe (clientId: ClientId, filter: string): boolean | Promise<boolean>
  /**
   * Asked for each message at delivery, of a session that may not read all that its filters match; it must be quick,
   * and never throw. Undefined where subscribing was the only question: then delivery costs nothing.
   */
  readonly mayRead: ((clientId: ClientId, topic: string) => boolean) | undefined
}

/** May do everything: of the program itself, and of everybody where nobody asks. */
export const ALL_RIGHTS: Rights = {
  mayPublish: () => true,
  maySubscribe: () => true,
  mayRead: undefined
}
