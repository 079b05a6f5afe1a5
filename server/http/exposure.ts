/** A program's own HTTP server that others may reach, while nobody has to say who they are: it lets nobody in. */
import { type Server, ServerResponse } from 'node:http'
import type { OriginGate } from '../../bridge/socketio/index.ts'
import type { Logger, Refusals } from '../../broker/index.ts'
import { isLoopback } from '../../config/loopback.ts'
import { answer, refuseUpgrade } from './answers.ts'
import { addressOf } from '../listen.ts'

export interface Exposure {
  /** Why nobody is let in by that server now, as a sentence; undefined where all is well. */
  readonly reason: string | undefined
  detach (): void
}

/**
 * What is wrong, as far as it can be told before the server listens; undefined where nothing is. A socket of the file
 * system stays on this machine.
 */
export function exposed (http: Server): string | undefined {
  const host = addressOf(http)?.host
  if (host === undefined || isLoopback(host)) return undefined
  return `the program's own server listens on ${host}, and there is no authentication: everybody who reaches it ` +
    'could read and write everything. Hand over auth, set allowAnonymous, or have it listen on 127.0.0.1'
}

/** A program may listen before, while and after it hands its server over: it is looked at whenever it begins to. */
export function watchExposure (http: Server, log: Logger): Exposure {
  let reason = exposed(http)
  const update = (): void => {
    reason = exposed(http)
    if (reason !== undefined) log.error({ host: addressOf(http)?.host }, `clients are refused: ${reason}`)
  }
  http.on('listening', update)
  return { get reason () { return reason }, detach () { http.off('listening', update) } }
}

export function unlessExposed (exposure: Exposure, gate: OriginGate, refusals: Refusals): OriginGate {
  return {
    allows: (request, isOpenedByGet) => exposure.reason === undefined && gate.allows(request, isOpenedByGet),
    refuse (request, to) {
      if (exposure.reason === undefined) return gate.refuse(request, to)
      refusals.note({
        kind: 'origins',
        who: { remoteAddress: request.socket.remoteAddress },
        what: 'a client was refused, as nobody is let in where others reach the server and nobody has to say who he is',
        toDo: 'hand over auth, set allowAnonymous, or have the server listen on 127.0.0.1'
      })
      if (to instanceof ServerResponse) answer(to, 403, `${NOT_OPEN}\n`)
      else refuseUpgrade(to, '403 Forbidden', `${NOT_OPEN}\n`)
    }
  }
}

/** A stranger is told no more. */
const NOT_OPEN = 'This server lets nobody in yet; its log says why.'
