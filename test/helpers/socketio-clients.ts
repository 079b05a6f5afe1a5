/** The clients of Socket.IO as they were shipped, by version: as in applications that can't be changed. */
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

/** What all versions have in common, as far as tests use it. */
export interface LegacySocket {
  readonly id: string | undefined
  readonly connected: boolean
  /** From 4.6: whether the connection state was recovered. */
  readonly recovered?: boolean
  readonly io: LegacyManager
  on (event: string, listener: (...args: never[]) => void): this
  once (event: string, listener: (...args: never[]) => void): this
  off (event: string, listener?: (...args: never[]) => void): this
  emit (event: string, ...args: unknown[]): this
  connect (): this
  disconnect (): this
}

export interface LegacyManager {
  readonly engine: { readonly transport: { readonly name: string }, close (): void }
  on (event: string, listener: (...args: never[]) => void): this
}

export type LegacyOptions = Readonly<Record<string, unknown>>

export const VERSIONS = ['2.5', '3.1', '4.0', '4.5', '4.6', '4.8'] as const
export type Version = typeof VERSIONS[number]

/** Clients from this version on take part in connection state recovery. */
export const RECOVERING: readonly Version[] = ['4.6', '4.8']

export const TRANSPORTS = { websocket: ['websocket'], polling: ['polling'], upgrade: ['polling', 'websocket'] } as const
export type Transport = keyof typeof TRANSPORTS

const require = createRequire(import.meta.url)

/** Name under which the package of a version is installed. */
export function packageOf (version: Version): string {
  return version === '4.8' ? 'socket.io-client' : `socket.io-client-${version}`
}

/** A client that is connecting; ends with nobody's help but disconnect(). */
export function legacyClient (version: Version, url: string, options: LegacyOptions = {}): LegacySocket {
  const loaded = require(packageOf(version)) as { io?: unknown } & ((url: string, options: object) => LegacySocket)
  return loaded(url, { forceNew: true, reconnectionDelay: 20, reconnectionDelayMax: 50, ...options })
}

/** File of the bundle that pages load: `socket.io.js` as it was published. */
export function bundleOf (version: Version): string {
  return join(dirname(require.resolve(`${packageOf(version)}/package.json`)), 'dist', 'socket.io.js')
}
