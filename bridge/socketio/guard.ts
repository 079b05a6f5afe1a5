/**
 * Browsers and proxies silently send a long-polling request again when its connection broke before the first byte of
 * the response. Engine.IO would answer a repeated GET with the NEXT packets, so that a message is lost and yet counted
 * as received, and would run a repeated POST twice. A repeated request has the `t` of the one before it; a new one
 * never has. It is refused and the connection closed: the client connects again and gets what was not proven [G2].
 */
import type { ServerResponse } from 'node:http'
import type { Logger } from '../../broker/index.ts'
import type { EngineRequest, EngineServer, EngineSocket } from './engine.ts'

interface LastSeen {
  GET: string | undefined
  POST: string | undefined
}

export function guardPolling (engine: EngineServer, log: Logger): void {
  const seen = new WeakMap<EngineSocket, LastSeen>()

  engine.use((request, response, next) => {
    const { method } = request
    const connection = pollingConnection(engine, request)
    if (connection === undefined || (method !== 'GET' && method !== 'POST')) return next()
    let last = seen.get(connection)
    if (last === undefined) seen.set(connection, last = { GET: undefined, POST: undefined })
    const { t } = request._query
    if (t === undefined || t === last[method]) {
      const message = t === undefined ? MISSING_T : 'this request was already received'
      log.info({ connection: connection.id, method }, `long polling: ${message}; the connection is closed`)
      refuse(response, message)
      connection.close(true)
      return
    }
    last[method] = t
    next()
  })
}

/** Without `t` a repeated request can't be told from a new one. */
export const MISSING_T =
  'long polling needs the query parameter t; leave timestampRequests on, or use transports: ["websocket"]'

function pollingConnection (engine: EngineServer, { _query: query }: EngineRequest): EngineSocket | undefined {
  if (query.transport !== 'polling' || query.sid === undefined) return undefined
  return Object.hasOwn(engine.clients, query.sid) ? engine.clients[query.sid] : undefined
}

function refuse (response: ServerResponse, message: string): void {
  response.writeHead(400, { 'content-type': 'application/json' })
  response.end(JSON.stringify({ code: 3, message }))
}
