/**
 * The seam for an application's own authentication and access control. `anonymous.ts` is what is used without one.
 */
import type { ClientId, Principal } from '../model/message.ts'

export interface Credentials {
  readonly clientId: ClientId
  readonly username: string | undefined
  readonly password: Buffer | undefined
  readonly via: 'mqtt' | 'websocket' | 'socketio' | 'program'
  readonly remoteAddress: string
}

export interface Auth {
  /** True where everybody is let in; the server then refuses to listen beyond loopback unless told so explicitly. */
  readonly anonymous: boolean
  /**
   * Who this is, or undefined to refuse. The session is bound to the principal [G7]. null, false and '' refuse too;
   * anything else but a text is a fault of the program: nobody comes in, and the log says so.
   */
  authenticate (credentials: Credentials): Promise<Principal | undefined>
  mayPublish (principal: Principal, clientId: ClientId, topic: string): boolean | Promise<boolean>
  maySubscribe (principal: Principal, clientId: ClientId, filter: string): boolean | Promise<boolean>
}
