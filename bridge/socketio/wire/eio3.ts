/** What clients of version 2 (Engine.IO 3) need of the server besides their own proofs of receipt. */
import { queryOf, type EngineRequest, type EngineServer } from './engine.ts'

/** Engine.IO takes every revision but 4 for 3, a request without one too; those it is to refuse (handshakeEio3). */
export function isEio3 (query: EngineRequest['_query']): boolean {
  return query.EIO !== '4'
}

/**
 * Gives connections of version 2 a ping interval of their own, which they are told at the handshake: their proof takes
 * up to two of them. A connection takes its options from the server that made it, so theirs is made by a view of the
 * server that has other options, and else is the server. Who names neither revision is refused, by a view that serves
 * no other than 4: the protocol demands it.
 */
export function handshakeEio3 (engine: EngineServer, pingIntervalMs: number): void {
  const eio3 = viewOf(engine, { pingInterval: Math.min(pingIntervalMs, engine.opts.pingInterval) })
  const others = viewOf(engine, { allowEIO3: false })
  const { handshake } = engine
  engine.handshake = async function (transport, request, close) {
    const { EIO } = queryOf(request)
    const server = EIO === '4' ? engine : EIO === '3' ? eio3 : others
    return await handshake.call(server, transport, request, close)
  }
}

function viewOf (engine: EngineServer, opts: object): EngineServer {
  return Object.create(engine, {
    opts: { value: { ...engine.opts, ...opts } },
    clientsCount: {
      get: () => engine.clientsCount,
      set: (count: number) => { engine.clientsCount = count }
    }
  }) as EngineServer
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
