/** A certificate authority of one's own and a server certificate for this machine, by openssl. */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { tempFolder, type Scope } from './temp.ts'

export interface OwnCa {
  /** Files, PEM. */
  readonly ca: string
  readonly cert: string
  readonly key: string
}

export function createOwnCa (t: Scope): OwnCa {
  const folder = tempFolder(t, 'ca')
  const at = (name: string): string => join(folder, name)
  const openssl = (...args: string[]): void => { execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' }) }
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  openssl('req', '-x509', ...newKey, '-days', '2', '-subj', '/CN=test CA', '-keyout', 'ca.key', '-out', 'ca.pem')
  openssl('req', '-x509', ...newKey, '-days', '2', '-subj', '/CN=localhost', '-CA', 'ca.pem', '-CAkey', 'ca.key',
    '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-addext', 'basicConstraints=critical,CA:FALSE',
    '-keyout', 'key.pem', '-out', 'cert.pem')
  return { ca: at('ca.pem'), cert: at('cert.pem'), key: at('key.pem') }
}
