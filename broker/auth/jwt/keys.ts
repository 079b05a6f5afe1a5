/**
 * Keys that tokens are checked with. The type of a key decides which algorithms it is for, never the token: so a public
 * key is never taken for a secret (RFC 8725, 2.1 and 3.1).
 */
import { createPublicKey, createSecretKey, type JsonWebKey, type KeyObject } from 'node:crypto'

export interface VerifyKey {
  /** Undefined where it has none: then it is tried whatever the token names. */
  readonly kid: string | undefined
  readonly algorithms: readonly string[]
  readonly key: KeyObject
}

/** What was read is no key; the message says why and what would be one, and holds nothing of it. */
export class KeyError extends Error {}

export const ALGORITHMS = [
  'HS256', 'HS384', 'HS512', 'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA',
  'Ed25519'
] as const

/** RFC 7518, 3.2: of HS256. */
const SECRET_BYTES_MIN = 32
/** RFC 7518, 3.3. */
const RSA_BITS_MIN = 2_048
/** A token without `kid` is tried with each. */
const KEYS_MAX = 64
const CURVES: Readonly<Record<string, readonly string[]>> = {
  prime256v1: ['ES256'], secp384r1: ['ES384'], secp521r1: ['ES512']
}
const PEM_BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----[^-]+-----END \1-----/g

/** A file of PEM (public keys or certificates), of a JWK or a JWKS, or the bytes of a secret. @throws KeyError */
export function keysOfFile (content: Buffer): readonly VerifyKey[] {
  const text = content.toString('latin1').trim()
  if (text.includes('-----BEGIN ')) return keysOfPem(text)
  if (text.startsWith('{')) {
    const json = parseJson(content.toString())
    return Array.isArray(json['keys']) ? keysOfSet(json['keys'], true) : [keyOfJwk(json, true)]
  }
  return [secretKey(withoutLastBreak(content), undefined)]
}

/** The answer of a `jwksUrl`: a secret that anybody can fetch is none. @throws KeyError */
export function keysOfUrl (text: string): readonly VerifyKey[] {
  const { keys } = parseJson(text)
  if (!Array.isArray(keys)) throw new KeyError('it is no JWKS: an object with a list "keys"')
  return keysOfSet(keys, false)
}

/** Those that a token may have been signed with. */
export function keysFor (
  keys: readonly VerifyKey[], algorithm: string, kid: string | undefined
): readonly VerifyKey[] {
  return keys.filter((key) => key.algorithms.includes(algorithm) &&
    (kid === undefined || key.kid === undefined || key.kid === kid))
}

function keysOfPem (text: string): VerifyKey[] {
  const blocks = [...text.matchAll(PEM_BLOCK)]
  if (blocks.length === 0) throw new KeyError('its PEM has no end')
  return atMost(blocks.map(([block, label]) => {
    if (label.includes('PRIVATE')) {
      throw new KeyError('it holds a private key, which signs; give the server the public one (openssl pkey -pubout)')
    }
    return publicKey(() => createPublicKey(block), undefined, undefined)
  }))
}

function keysOfSet (jwks: readonly unknown[], maySecret: boolean): VerifyKey[] {
  // a set has keys for other things too, as encryption, and of types that are not known here
  const keys = jwks.filter(isForSigning).map((jwk) => keyOfJwk(jwk, maySecret))
  if (keys.length === 0) throw new KeyError('no key of it is for checking signatures')
  return atMost(keys)
}

type Jwk = Readonly<Record<string, unknown>>

function isForSigning (jwk: unknown): jwk is Jwk {
  if (typeof jwk !== 'object' || jwk === null) return false
  const { kty, use, key_ops: operations, alg, crv } = jwk as Jwk
  return ['RSA', 'EC', 'OKP', 'oct'].includes(String(kty)) &&
    (use === undefined || use === 'sig') &&
    (!Array.isArray(operations) || operations.includes('verify')) &&
    (alg === undefined || ALGORITHMS.some((one) => one === alg)) &&
    (crv === undefined || ['P-256', 'P-384', 'P-521', 'Ed25519'].includes(String(crv)))
}

function keyOfJwk (jwk: Jwk, maySecret: boolean): VerifyKey {
  const { kty, kid: id, alg, d, k } = jwk
  const kid = typeof id === 'string' ? id : undefined
  const only = typeof alg === 'string' ? alg : undefined
  if (!isForSigning(jwk)) throw new KeyError('its key is not for checking signatures of a known kind')
  if (kty === 'oct') {
    if (!maySecret) throw new KeyError('it has a secret (kty oct), which everybody can fetch there')
    if (typeof k !== 'string') throw new KeyError('its key has no k')
    return secretKey(Buffer.from(k, 'base64url'), kid, only)
  }
  if (d !== undefined) throw new KeyError('it holds a private key, which signs; give the server the public one')
  return publicKey(() => createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' }), kid, only)
}

function secretKey (bytes: Buffer, kid: string | undefined, only?: string): VerifyKey {
  if (bytes.length < SECRET_BYTES_MIN) {
    throw new KeyError(`its secret has ${bytes.length} bytes and must have ${SECRET_BYTES_MIN} at least ` +
      '(openssl rand -base64 48)')
  }
  return { kid, algorithms: narrowed(['HS256', 'HS384', 'HS512'], only), key: createSecretKey(bytes) }
}

function publicKey (make: () => KeyObject, kid: string | undefined, only: string | undefined): VerifyKey {
  let key: KeyObject
  try {
    key = make()
  } catch (error) {
    throw new KeyError(`its key can't be read (${(error as { code?: string }).code ?? 'unknown reason'})`)
  }
  return { kid, algorithms: narrowed(algorithmsOf(key), only), key }
}

function algorithmsOf ({ asymmetricKeyType: type, asymmetricKeyDetails: details }: KeyObject): readonly string[] {
  if (type === 'ed25519') return ['EdDSA', 'Ed25519']
  if (type === 'ec') {
    const algorithms = CURVES[details?.namedCurve ?? '']
    if (algorithms !== undefined) return algorithms
  }
  if (type === 'rsa' || type === 'rsa-pss') {
    if ((details?.modulusLength ?? 0) < RSA_BITS_MIN) {
      throw new KeyError(`its RSA key has less than ${RSA_BITS_MIN} bits`)
    }
    const pss = ['PS256', 'PS384', 'PS512']
    return type === 'rsa' ? ['RS256', 'RS384', 'RS512', ...pss] : pss
  }
  throw new KeyError(`its key is of a type that is not known here (${type ?? 'none'}); RSA, EC (P-256, P-384, P-521) ` +
    'and Ed25519 are')
}

/** A key may say that it is for one algorithm alone. */
function narrowed (algorithms: readonly string[], only: string | undefined): readonly string[] {
  if (only === undefined) return algorithms
  if (!algorithms.includes(only)) throw new KeyError(`its key says alg ${only.slice(0, 20)} and is of another type`)
  return [only]
}

function atMost (keys: VerifyKey[]): VerifyKey[] {
  if (keys.length > KEYS_MAX) throw new KeyError(`it has ${keys.length} keys; ${KEYS_MAX} is the most`)
  return keys
}

function parseJson (text: string): Jwk {
  try {
    const json: unknown = JSON.parse(text)
    if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as Jwk
  } catch {} // said below, without the text
  throw new KeyError('it is no JSON object')
}

/** Editors and `echo` end a file by a line break, which is no part of the secret. */
function withoutLastBreak (content: Buffer): Buffer {
  const end = content.at(-1) === 0x0a ? content.length - 1 : content.length
  return content.subarray(0, end > 0 && content[end - 1] === 0x0d && end < content.length ? end - 1 : end)
}
