/** Reads the files of TLS and says what is wrong with them, by option and file. */
import { X509Certificate, createPrivateKey, type KeyObject } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
import { ConfigError, type Problem } from '../../config/problem.ts'
import type { Config, OptionName } from '../../config/schema.ts'

export type TlsFiles = Pick<Config, 'tlsCert' | 'tlsKey' | 'tlsKeyPassphraseFile' | 'tlsClientCa'>

/** Milliseconds since 1970. */
export interface Validity { readonly from: number, readonly to: number }

export interface ServerIdentity {
  readonly context: SecureContextOptions
  readonly validity: Validity
}

const FILE_OPTIONS = ['tlsCert', 'tlsKey', 'tlsKeyPassphraseFile', 'tlsClientCa'] as const
type FileOption = typeof FILE_OPTIONS[number]

/**
 * What is not broken anywhere, and keeps what was recorded from being read with a key that is stolen later (Mozilla's
 * "intermediate", without those that need parameters of their own).
 */
const CIPHERS = [
  'TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-RSA-AES128-GCM-SHA256', 'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384', 'ECDHE-ECDSA-CHACHA20-POLY1305', 'ECDHE-RSA-CHACHA20-POLY1305'
].join(':')
const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

export function filesOf (options: TlsFiles): ReadonlyArray<readonly [FileOption, string]> {
  return FILE_OPTIONS.flatMap((name) => options[name] === '' ? [] : [[name, options[name]] as const])
}

/** Rejects with ConfigError. */
export async function readServerIdentity (options: TlsFiles): Promise<ServerIdentity> {
  const contents = await readAll(options)
  const certificate = certificateIn('tlsCert', options.tlsCert, contents.get('tlsCert')!)
  const key = keyIn(options, contents.get('tlsKey')!, contents.get('tlsKeyPassphraseFile'))
  if (!certificate.checkPrivateKey(key)) {
    throw wrong('tlsKey', options.tlsKey, `is not the key of the certificate in ${options.tlsCert} (tlsCert); ` +
      'both must come from one request')
  }
  const ca = contents.get('tlsClientCa')
  if (ca !== undefined) checkAuthorities(options.tlsClientCa, ca)
  const context: SecureContextOptions = {
    cert: contents.get('tlsCert'),
    key: key.export({ type: 'pkcs8', format: 'pem' }),
    ca,
    minVersion: 'TLSv1.2',
    ciphers: CIPHERS,
    honorCipherOrder: false // the client knows what its processor is quick at
  }
  try {
    createSecureContext(context)
  } catch (error) { // as "ee key too small", or an intermediate certificate that is none
    throw wrong('tlsCert', options.tlsCert, `is not accepted by OpenSSL (${(error as Error).message})`)
  }
  return { context, validity: { from: Date.parse(certificate.validFrom), to: Date.parse(certificate.validTo) } }
}

async function readAll (options: TlsFiles): Promise<ReadonlyMap<FileOption, Buffer>> {
  const contents = new Map<FileOption, Buffer>()
  const problems: Problem[] = []
  for (const [name, file] of filesOf(options)) {
    try {
      contents.set(name, await readFile(file))
    } catch (error) {
      problems.push(problem(name, file, `can't be read (${reasonOf(error as NodeJS.ErrnoException)})`))
    }
  }
  if (problems.length > 0) throw new ConfigError(problems)
  return contents
}

function certificateIn (option: FileOption, file: string, content: Buffer | string): X509Certificate {
  try {
    return new X509Certificate(content)
  } catch (error) {
    throw wrong(option, file, `holds no certificate in PEM (${(error as Error).message})`)
  }
}

function checkAuthorities (file: string, content: Buffer): void {
  const blocks = content.toString('latin1').match(PEM) ?? []
  if (blocks.length === 0) throw wrong('tlsClientCa', file, 'holds no certificate in PEM')
  for (const block of blocks) certificateIn('tlsClientCa', file, block)
}

function keyIn ({ tlsKey, tlsKeyPassphraseFile }: TlsFiles, content: Buffer, passphrases: Buffer | undefined):
KeyObject {
  const passphrase = passphrases?.toString().split(/\r?\n/, 1)[0]
  try {
    return createPrivateKey({ key: content, ...passphrase !== undefined && { passphrase } })
  } catch (error) {
    const isEncrypted = content.includes('ENCRYPTED') // both forms of PEM say so in plain text
    if (isEncrypted && passphrase === undefined) {
      throw wrong('tlsKey', tlsKey, 'is encrypted; name a file with its passphrase in tlsKeyPassphraseFile')
    }
    if (isEncrypted) throw wrong('tlsKeyPassphraseFile', tlsKeyPassphraseFile, `does not open ${tlsKey} (tlsKey)`)
    throw wrong('tlsKey', tlsKey, `holds no private key in PEM (${(error as Error).message})`)
  }
}

function reasonOf ({ code, message }: NodeJS.ErrnoException): string {
  switch (code) {
    case 'ENOENT': return 'there is none'
    case 'EACCES': return 'this user may not read it'
    case 'EISDIR': return 'it is a folder'
    default: return code ?? message
  }
}

function problem (option: OptionName, file: string, says: string): Problem {
  return { option, where: option, says: `the file ${file} ${says}` }
}

function wrong (option: OptionName, file: string, says: string): ConfigError {
  return new ConfigError([problem(option, file, says)])
}
