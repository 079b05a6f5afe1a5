/**
 * The device cookie: how a browser that gives no name is known again after a reload. It names a browser, not a tab, so
 * it never takes a session from a connection that is open; see recovery.ts for how tabs share it.
 *
 * It is signed, `<secret>.<HMAC-SHA256>`: a value that this server never gave is nobody's, and is replaced. Whoever can
 * set cookies in somebody else's browser can still put there one that the server gave to themselves; a name that begins
 * with `__Host-` keeps other hosts and plain HTTP from doing so (RFC 6265bis, 4.1.3.2).
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

export interface DeviceCookiesOptions {
  /** Name of the cookie; '' for none. */
  readonly name: string
  /** Requests that it is sent with. */
  readonly path: string
  /** How long the browser keeps it. */
  readonly maxAgeMs: number
  /** Makes what nobody can guess: 24 characters or more of base64url. */
  readonly makeSecret: () => string
  /** What cookies are signed with: the same after a restart. Asked for when the first client comes. */
  readonly key: () => Buffer
}

export interface Device {
  /** Made of the cookie, which can't be told from it: 22 characters of base64url. */
  readonly key: string
  /** The client has sent the cookie, so it will again; false where it was made just now. */
  readonly returned: boolean
}

interface Known extends Device {
  readonly value: string
}

const VALUE = /^([\w-]{24,64})\.([\w-]{43})$/
/** Browsers take such a cookie only with Path=/ and Secure. */
const HOST_PREFIX = '__Host-'
const DEVICE_KEY_LENGTH = 22

export class DeviceCookies {
  readonly #options: DeviceCookiesOptions
  /** By the first request of a connection. */
  readonly #known = new WeakMap<IncomingMessage, Known>()

  constructor (options: DeviceCookiesOptions) {
    this.#options = options
  }

  /** Of the connection that began with this request; undefined where there are no cookies. */
  device (first: IncomingMessage): Device | undefined {
    return this.#options.name === '' ? undefined : this.#of(first)
  }

  /** Adds the cookie to the headers of the answer to the first request of a connection; each time, so that it lives. */
  give (headers: Record<string, string | string[]>, first: IncomingMessage): void {
    const { name, path, maxAgeMs } = this.#options
    if (name === '') return
    const isHost = name.startsWith(HOST_PREFIX)
    const cookie = `${name}=${this.#of(first).value}; Path=${isHost ? '/' : path}; ` +
      `Max-Age=${Math.floor(maxAgeMs / 1_000)}; HttpOnly; SameSite=Lax${isHost || isSecure(first) ? '; Secure' : ''}`
    // Headers of an upgrade become lines as they are, so that each cookie needs a line, and a key, of its own.
    if (headers['Set-Cookie'] === undefined) headers['Set-Cookie'] = cookie
    else if (first.headers.upgrade !== undefined) headers['set-cookie'] = cookie
    else headers['Set-Cookie'] = [headers['Set-Cookie'], cookie].flat()
  }

  #of (request: IncomingMessage): Known {
    let known = this.#known.get(request)
    if (known === undefined) {
      const value = this.#sent(request)
      known = value === undefined ? deviceOf(this.#make(), false) : deviceOf(value, true)
      this.#known.set(request, known)
    }
    return known
  }

  #make (): string {
    const secret = this.#options.makeSecret()
    return `${secret}.${this.#sign(secret).toString('base64url')}`
  }

  #sign (secret: string): Buffer {
    return createHmac('sha256', this.#options.key()).update(`device cookie ${secret}`).digest()
  }

  #isOurs (value: string): boolean {
    const [, secret, signature] = VALUE.exec(value) ?? []
    if (secret === undefined) return false
    const bytes = Buffer.from(signature, 'base64url')
    const right = this.#sign(secret)
    // the text too: its last character has bits that decoding leaves out
    return timingSafeEqual(bytes, right) && right.toString('base64url') === signature
  }

  /** The first that is ours: a browser sends the one that was set for the longest path first (RFC 6265, 5.4). */
  #sent ({ headers }: IncomingMessage): string | undefined {
    for (const pair of headers.cookie?.split(';') ?? []) {
      const at = pair.indexOf('=')
      const value = pair.slice(at + 1).trim()
      if (pair.slice(0, at).trim() === this.#options.name && this.#isOurs(value)) return value
    }
    return undefined
  }
}

function deviceOf (value: string, returned: boolean): Known {
  const key = createHash('sha256').update(`device ${value}`).digest('base64url').slice(0, DEVICE_KEY_LENGTH)
  return { value, key, returned }
}

/** Sent through TLS, as far as can be seen; a wrong claim of a client hurts only itself. */
function isSecure ({ socket, headers }: IncomingMessage): boolean {
  return 'encrypted' in socket || headers['x-forwarded-proto'] === 'https'
}
