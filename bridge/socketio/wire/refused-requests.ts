/** Requests that Engine.IO does not take, or that are not taken before it: counted, and told with what to do. */
import { unready, type Refusals } from '../../../broker/index.ts'
import type { EngineRequest, EngineServer, EngineSocket } from './engine.ts'

/** Why a connection is refused that would be one too many; its number and the option follow. */
export const TOO_MANY = 'too many connections'
/** Of that is told where it is counted. */
export const TOO_MANY_OF_ADDRESS = 'this address has too many connections'
export const STOPPING = 'the server is shutting down'

/** By the codes of Engine.IO. */
const TO_DO: Readonly<Record<number, string>> = {
  0: 'let the client use the transports polling and websocket',
  1: 'the client connects anew by itself, as after a restart of the server; where it never comes in, let a load ' +
    'balancer hand all requests of a client to one server',
  2: 'let the client begin with a GET, as its library does; look at what stands between',
  3: 'look at what stands between: a proxy must hand on Upgrade and Connection, and the query as it is',
  4: 'see what the reason says',
  5: 'use a client of Socket.IO 2 or later'
}

export function tellRefusedRequests (engine: EngineServer, refusals: Refusals): void {
  engine.on('connection_error', ({ req, code, message, context }) => {
    const about = fieldsOf(context)
    const { message: reason = message } = about
    if (reason === STOPPING) return refusals.note(unready(req.socket.remoteAddress, 'stopping'))
    if (reason === TOO_MANY_OF_ADDRESS) return
    const isFull = reason.startsWith(TOO_MANY)
    refusals.note({
      kind: isFull ? 'connections' : 'requests',
      who: whoOf(req),
      about: { code, ...about, message: reason },
      sameAs: `${code} ${code === 4 ? reason : ''}`,
      what: isFull ? 'a Socket.IO connection was refused, as there are too many' : 'a Socket.IO request was refused',
      toDo: isFull ? 'raise connectionsMax, or find out who opens so many' : TO_DO[code] ?? 'see what the message says'
    })
  })
}

/** A client says that it has what it can't have. */
export function tellDisbelieved (refusals: Refusals, { remoteAddress }: EngineSocket, why: string): void {
  refusals.note({
    kind: 'violations',
    who: { remoteAddress },
    what: `${why}: it was cut and gets everything unproven again`,
    toDo: 'update or mend the client, or look at what stands between'
  })
}

export function whoOf ({ socket }: EngineRequest): { remoteAddress: string | undefined } {
  return { remoteAddress: socket.remoteAddress }
}

/** What Engine.IO says of it besides; all of it may come from the client. */
function fieldsOf (context: object): Partial<Record<string, string>> {
  const known = ['name', 'message', 'transport', 'previousTransport', 'sid', 'method', 'origin', 'protocol']
  return Object.fromEntries(Object.entries(context)
    .filter(([name, value]) => known.includes(name) && ['string', 'number'].includes(typeof value))
    .map(([name, value]) => [name, String(value)]))
}
