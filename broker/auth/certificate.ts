/** The name in a client's certificate, which TLS has verified, as the principal. */
import type { Principal } from '../model/message.ts'
import type { ClientCertificate, Credentials } from './auth.ts'
import type { Authenticator, Verdict } from './authenticator.ts'

/** Which name: CN of the subject, or the only subject alternative name of a type. */
export type CertificateName = 'commonName' | 'dns' | 'email' | 'uri'

const PREFIX = { dns: 'DNS:', email: 'email:', uri: 'URI:' } as const

export class CertificateNames implements Authenticator {
  readonly name = 'certificate'
  readonly #which: CertificateName

  constructor (which: CertificateName) {
    this.#which = which
  }

  async authenticate ({ certificate }: Credentials): Promise<Verdict> {
    if (certificate === undefined) return { kind: 'pass' }
    const names = this.#names(certificate)
    if (names.length === 0) return { kind: 'pass' }
    if (names.length > 1) { // which one they are is not for the order in the certificate to say
      return { kind: 'refused', why: `its certificate has ${names.length} names of the kind ${this.#which}` }
    }
    return {
      kind: 'known',
      known: {
        principal: names[0] as Principal,
        groups: [],
        info: { certificateFingerprint: certificate.fingerprint },
        expiresAt: undefined,
        grants: undefined,
        clientId: undefined,
        by: this.name
      }
    }
  }

  #names ({ commonName, alternativeNames }: ClientCertificate): string[] {
    if (this.#which === 'commonName') return commonName === undefined || commonName === '' ? [] : [commonName]
    const prefix = PREFIX[this.#which]
    return alternativeNames.filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length))
  }
}
