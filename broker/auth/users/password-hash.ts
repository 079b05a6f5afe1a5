/**
 * A password as it is kept. Ours is scrypt with its parameters, in the form of PHC strings:
 * `$scrypt$ln=15,r=8,p=1$<salt>$<hash>`, base64 without padding. mosquitto's are read as they are: `$7$<iterations>$..`
 * is PBKDF2-SHA512, `$6$..` one round of SHA-512 over password and salt (mosquitto, src/password_mosq.c).
 */
import { createHash, pbkdf2, scrypt, timingSafeEqual, type ScryptOptions } from 'node:crypto'

export type PasswordHash = { readonly salt: Buffer, readonly hash: Buffer } & (
  | { readonly kind: 'scrypt', readonly logN: number, readonly r: number, readonly p: number }
  | { readonly kind: 'pbkdf2-sha512', readonly iterations: number }
  | { readonly kind: 'sha512' }
)

/** What a hash of ours costs: 32 MiB, and about a tenth of a second of one core (docs/decisions/0017). */
export const SCRYPT = Object.freeze({ logN: 15, r: 8, p: 1, saltBytes: 16, hashBytes: 32 })
/** What a line of a file may ask for: memory of 256 MiB, some seconds. */
const SCRYPT_MEMORY_BYTES_MAX = 268_435_456
const SCRYPT_P_MAX = 16
const ITERATIONS_MAX = 10_000_000
const HASH_BYTES_MIN = 16
const HASH_BYTES_MAX = 64
const SHA512_BYTES = 64

const FORMS = /^\$(scrypt|7|6)\$(?:ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$|(\d{1,8})\$)?([\w+/-]+=*)\$([\w+/-]+=*)$/

/** Undefined where it is none of the forms, or asks for more than is done for one password. */
export function parseHash (text: string): PasswordHash | undefined {
  const [, form, ln, r, p, iterations, salt64, hash64] = FORMS.exec(text) ?? []
  if (form === undefined) return undefined
  const bytes = { salt: Buffer.from(salt64, 'base64'), hash: Buffer.from(hash64, 'base64') }
  if (bytes.hash.length < HASH_BYTES_MIN || bytes.hash.length > HASH_BYTES_MAX) return undefined
  if (form === 'scrypt') return ln === undefined ? undefined : ofScrypt(Number(ln), Number(r), Number(p), bytes)
  if (bytes.hash.length !== SHA512_BYTES || ln !== undefined) return undefined
  if (form === '6') return iterations === undefined ? { kind: 'sha512', ...bytes } : undefined
  const count = Number(iterations)
  return count >= 1 && count <= ITERATIONS_MAX ? { kind: 'pbkdf2-sha512', iterations: count, ...bytes } : undefined
}

function ofScrypt (
  logN: number, r: number, p: number, bytes: { readonly salt: Buffer, readonly hash: Buffer }
): PasswordHash | undefined {
  const isSane = logN >= 1 && r >= 1 && p >= 1 && p <= SCRYPT_P_MAX && 128 * r * 2 ** logN <= SCRYPT_MEMORY_BYTES_MAX
  return isSane ? { kind: 'scrypt', logN, r, p, ...bytes } : undefined
}

/** A new hash, as the text that stands in a file. @param salt made by chance, for this password alone */
export async function hashPassword (password: Buffer, salt: Buffer): Promise<string> {
  const { logN, r, p, hashBytes } = SCRYPT
  const hash = await runScrypt(password, salt, hashBytes, { N: 2 ** logN, r, p })
  return `$scrypt$ln=${logN},r=${r},p=${p}$${unpadded(salt)}$${unpadded(hash)}`
}

/** Takes as long for a wrong password as for the right one. What is slow in it runs beside the event loop. */
export async function isPassword (expected: PasswordHash, password: Buffer): Promise<boolean> {
  return timingSafeEqual(await compute(expected, password), expected.hash)
}

function compute (expected: PasswordHash, password: Buffer): Buffer | Promise<Buffer> {
  const { salt, hash: { length } } = expected
  switch (expected.kind) {
    case 'scrypt': {
      const { logN, r, p } = expected
      return runScrypt(password, salt, length, { N: 2 ** logN, r, p })
    }
    case 'pbkdf2-sha512': return new Promise((resolve, reject) => {
      pbkdf2(password, salt, expected.iterations, length, 'sha512',
        (error, hash) => error === null ? resolve(hash) : reject(error))
    })
    case 'sha512': return createHash('sha512').update(password).update(salt).digest()
  }
}

function runScrypt (
  password: Buffer, salt: Buffer, length: number, cost: { readonly N: number, readonly r: number, readonly p: number }
): Promise<Buffer> {
  // twice what RFC 7914 needs: Node's own bound is too small for N = 2^15
  const options: ScryptOptions = { ...cost, maxmem: 256 * cost.N * cost.r + 1_048_576 * cost.p }
  return new Promise((resolve, reject) => {
    scrypt(password, salt, length, options, (error, hash) => error === null ? resolve(hash) : reject(error))
  })
}

function unpadded (bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '')
}
