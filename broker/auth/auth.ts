/**
 * The seam for an application's own authentication and access control. `anonymous.ts` is what is used without one.
 */
import type { ClientId, Principal } from '../model/message.ts'

/** A certificate of the client that TLS has verified against `tlsClientCa`. */
export interface ClientCertificate {
  /** CN of the subject. */
  readonly commonName: string | undefined
  /** Subject alternative names as Node writes them: `DNS:a.example`, `email:u1@a.example`, `URI:urn:device:7`. */
  readonly alternativeNames: readonly string[]
  /** SHA-256 of the certificate, hexadecimal without colons. */
  readonly fingerprint: string
}

export interface Credentials {
  readonly clientId: ClientId
  readonly username: string | undefined
  readonly password: Buffer | undefined
  readonly via: 'mqtt' | 'websocket' | 'socketio' | 'http' | 'program'
  readonly remoteAddress: string
  readonly certificate?: ClientCertificate | undefined
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
