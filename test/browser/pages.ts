/** Serves the page of the tests and the clients' own bundles, from 127.0.0.1 alone. */
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { bundleOf, TRANSPORTS, VERSIONS, type Transport, type Version } from '../helpers/socketio-clients.ts'
import type { Scope } from '../helpers/temp.ts'

const PAGE = readFileSync(new URL('page.html', import.meta.url))
const bundles = new Map<string, Buffer>()

export interface PageOptions {
  readonly version: Version
  readonly transport: Transport
  /** Where the client connects to; default: where the page comes from. */
  readonly url?: string
  readonly clientId?: string
}

/** Path and query of the page. */
export function pathOf ({ version, transport, url, clientId }: PageOptions): string {
  const query = new URLSearchParams({ version, transports: TRANSPORTS[transport].join() })
  if (url !== undefined) query.set('url', url)
  if (clientId !== undefined) query.set('clientId', clientId)
  return `/page?${query}`
}

/** True if the request was for a page or a bundle, which is then answered. */
function servePage (request: IncomingMessage, response: ServerResponse): boolean {
  const { pathname } = new URL(request.url ?? '/', 'http://127.0.0.1')
  if (pathname === '/page') {
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(PAGE)
    return true
  }
  const version = VERSIONS.find(version => pathname === `/lib/${version}.js`)
  if (version === undefined) return false
  let bundle = bundles.get(version)
  if (bundle === undefined) bundles.set(version, bundle = readFileSync(bundleOf(version)))
  response.writeHead(200, { 'content-type': 'text/javascript; charset=utf-8' }).end(bundle)
  return true
}

/** The server answers requests for pages, and what it did before. */
export function addPages (server: Server): void {
  const before = server.listeners('request') as RequestListener[]
  server.removeAllListeners('request')
  server.on('request', (request, response) => {
    if (!servePage(request, response)) for (const listener of before) listener.call(server, request, response)
  })
}

/** Resolves to the origin of the pages. */
export async function startPages (t: Scope): Promise<string> {
  const server = createServer((request, response) => {
    if (!servePage(request, response)) response.writeHead(404).end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
