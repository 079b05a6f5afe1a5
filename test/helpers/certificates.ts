/** Certificates that are made for a test, by openssl. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { tempFolder, type Scope } from './temp.ts'

export interface Certificate {
  readonly certFile: string
  readonly keyFile: string
  readonly cert: Buffer
  readonly key: Buffer
}

export interface Authority {
  readonly folder: string
  readonly file: string
  readonly cert: Buffer
  /** @param subject `/CN=u1` @param names `DNS:localhost,IP:127.0.0.1` */
  issue (name: string, subject: string, names?: string): Certificate
}

const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30']

export function openssl (...args: readonly string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] })
}

export function createAuthority (t: Scope, name = 'test authority'): Authority {
  const folder = tempFolder(t, 'tls')
  const file = join(folder, 'ca.pem')
  const keyFile = join(folder, 'ca.key')
  openssl('req', '-x509', ...EC, '-subj', `/CN=${name}`, '-keyout', keyFile, '-out', file)
  return {
    folder,
    file,
    cert: readFileSync(file),
    issue (as, subject, names = 'DNS:localhost,IP:127.0.0.1') {
      const made = { certFile: join(folder, `${as}.pem`), keyFile: join(folder, `${as}.key`) }
      openssl('req', '-x509', '-CA', file, '-CAkey', keyFile, ...EC, '-subj', subject, '-addext',
        `subjectAltName=${names}`, '-addext', 'basicConstraints=critical,CA:FALSE', '-keyout', made.keyFile, '-out',
        made.certFile)
      return { ...made, cert: readFileSync(made.certFile), key: readFileSync(made.keyFile) }
    }
  }
}
