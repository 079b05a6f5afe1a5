/** What clients of version 2 (Engine.IO 3) need of the server besides their own proofs of receipt. */
import type { EngineRequest, EngineServer } from './engine.ts'

/** Engine.IO takes every revision but 4 for 3, a request without one too. */
export function isEio3 (query: EngineRequest['_query']): boolean {
  return query.EIO !== '4'
}

/**
 * Gives connections of version 2 a ping interval of their own, which they are told at the handshake: their proof takes
 * up to two of them. A connection takes its options from the server that made it, so theirs is made by a view of the
 * server that has other options, and else is the server.
 */
export function pingEio3 (engine: EngineServer, pingIntervalMs: number): void {
  const view = Object.create(engine, {
    opts: { value: { ...engine.opts, pingInterval: pingIntervalMs } },
    clientsCount: {
      get: () => engine.clientsCount,
      set: (count: number) => { engine.clientsCount = count }
    }
  }) as EngineServer
  const { handshake } = engine
  engine.handshake = async function (transport, request, close) {
    return await handshake.call(isEio3(request._query) ? view : engine, transport, request, close)
  }
}

/** A GET is all it takes to be connected to the root namespace; version 3 and 4 need a POST, which tells its origin. */
export function isOpenedByGet (query: EngineRequest['_query']): boolean {
  return isEio3(query) && query.transport === 'polling'
}

/** Why the request may not open a connection; undefined where it may. */
export function refusedTransport (query: EngineRequest['_query']): string | undefined {
  return query.j === undefined ? undefined : JSONP
}

/** Its answers are scripts, which every page of the web may load: no browser tells whose page it is. */
const JSONP = 'JSONP polling is not served; use XHR polling or WebSocket (leave forceJSONP and jsonp off)'
