/** The certificate that a client has shown to TLS, and that TLS has verified. */
import { TLSSocket, type PeerCertificate } from 'node:tls'
import type { ClientCertificate } from './auth.ts'

/** Undefined where there is no TLS, no certificate, or one that was not verified; and once the connection is gone. */
export function certificateOf (socket: object): ClientCertificate | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined
  const certificate: Partial<PeerCertificate> | null = socket.getPeerCertificate()
  if (certificate?.fingerprint256 === undefined) return undefined
  const commonName: unknown = certificate.subject?.CN // a list where there are several: then it is no name
  return {
    commonName: typeof commonName === 'string' ? commonName : undefined,
    alternativeNames: readAlternativeNames(certificate.subjectaltname ?? ''),
    fingerprint: certificate.fingerprint256.replaceAll(':', '').toLowerCase()
  }
}

const NAME = /([A-Za-z ]+):(?:("(?:[^"\\]|\\.)*")|([^,"]*))(?:, |$)/y

/**
 * `DNS:a.example, URI:urn:device:7`. Names with commas or quotes stand in quotes as in JSON, so that none is taken for
 * two. What can't be read makes none of them count.
 */
export function readAlternativeNames (text: string): readonly string[] {
  const names: string[] = []
  NAME.lastIndex = 0
  while (NAME.lastIndex < text.length) {
    const found = NAME.exec(text)
    if (found === null) return []
    const [, type, quoted, plain] = found
    try {
      names.push(`${type}:${quoted === undefined ? plain : String(JSON.parse(quoted))}`)
    } catch {
      return []
    }
  }
  return names
}
