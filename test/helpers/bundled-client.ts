/**
 * The file that pages load, run as in a page but without one: its engine finds the WebSocket of browsers, and its parser
 * is the one that was shipped inside, which in Node is whatever fits the version range today.
 */
import { readFileSync } from 'node:fs'
import { createContext, runInContext } from 'node:vm'
import { WebSocket } from 'ws'
import { bundleOf, type LegacyOptions, type LegacySocket, type Version } from './socketio-clients.ts'

export interface BundledOptions extends LegacyOptions {
  /** What the browser sends as its cookie, if any. */
  readonly cookie?: string
}

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
