/** Clients as pages have them, without a page. */
import { readFileSync } from 'node:fs'
import { createContext, runInContext } from 'node:vm'
import { WebSocket } from 'ws'
import { bundleOf, legacyClient, type LegacyOptions, type LegacySocket, type Version } from './socketio-clients.ts'

export interface BundledOptions extends LegacyOptions {
  /** What the browser sends as its cookie, if any. */
  readonly cookie?: string
}

/**
 * From the file that was published: its engine finds the WebSocket of browsers, and its parser is the one that was
 * shipped inside, which in Node is whatever fits the version range today.
 */
export function bundledClient (
  version: Version, url: string, { cookie, ...options }: BundledOptions = {}
): LegacySocket {
  class PageSocket extends WebSocket {
    constructor (to: string) { super(to, cookie === undefined ? {} : { headers: { cookie } }) }
  }
  const page = createContext({ WebSocket: PageSocket, ArrayBuffer, URL, setTimeout, clearTimeout, console })
  runInContext('var self = globalThis; var window = self', page)
  runInContext(readFileSync(bundleOf(version), 'utf8'), page)
  const { io } = page as { io: (url: string, options: object) => LegacySocket }
  return io(url, { transports: ['websocket'], forceNew: true, ...options })
}

/**
 * As a bundler makes it of the packages of today. On a page an exception while a packet is read ends nothing; here
 * `failed` is told of it.
 */
export function builtClient (
  version: Version, url: string, options: LegacyOptions, failed: (error: Error) => void
): LegacySocket {
  const socket = legacyClient(version, url, { transports: ['websocket'], ...options })
  const manager = socket.io as unknown as { ondata (data: unknown): void }
  const { ondata } = manager
  manager.ondata = data => {
    try {
      ondata.call(manager, data)
    } catch (error) {
      failed(error as Error)
    }
  }
  return socket
}
