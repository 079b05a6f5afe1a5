/**
 * The seam of authentication: whoever enters shows credentials, and becomes an identity, which brings its rights along.
 * A program's own functions (program.ts) and the authenticators of the configuration (chain.ts) stand behind it.
 */
import type { ClientId, Principal } from '../model/message.ts'
import type { Identity } from './identity.ts'
import type { Rights } from './rights.ts'

export type { Identity } from './identity.ts'

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
  /** The Cookie header of the request that began the connection, as it came. */
  readonly cookies?: string | undefined
}

export interface Auth {
  /** True where everybody is let in; the server then refuses to listen beyond loopback unless told so explicitly. */
  readonly anonymous: boolean
  /**
   * Who this is, or undefined to refuse. The session is bound to the principal [G7]. Rejects where it can't be said:
   * nobody comes in, and the client may try again. An answer that comes later than connectTimeoutMs is ignored, and
   * `signal` says so.
   */
  authenticate (credentials: Credentials, signal: AbortSignal): Promise<Identity | undefined>
  /**
   * Who they are today, without a proof, after users or rules were loaded anew: the same object where nothing has
   * changed; undefined where they are known no more. Left out where only a proof can tell: then nothing changes.
   */
  refresh? (identity: Identity): Identity | undefined
  /** What somebody may do who has shown nothing yet: of a session that a program makes before its client comes. */
  rightsOf (principal: Principal): Rights
}
