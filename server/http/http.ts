/** All of HTTP: the server, of ours or the program's own, its front, and which pages may connect. */
import type { Server } from 'node:http'
import type { OriginGate } from '../../bridge/socketio/index.ts'
import type { MqttServer } from '../../broker/index.ts'
import type { Operation } from '../operation.ts'
import type { Parts } from '../parts.ts'
import type { Setup } from '../setup.ts'
import { unlessExposed, watchExposure } from './exposure.ts'
import { createFront, type Front } from './front.ts'
import { createOriginGate } from './origins.ts'
import { createOwnHttp } from './own-http.ts'

export interface Http {
  readonly server: Server
  readonly front: Front
  readonly origins: OriginGate
  readonly operation: Operation
  /** From now on upgrades at mqttPath are for it. */
  attach (mqtt: Pick<MqttServer, 'upgrade'>): void
  /** The program's own server listens by itself. Rejects with ListenError. */
  listen (): Promise<void>
}

/** `notReady` says why the server does not serve now; undefined where it does. */
type MakeOperation = (origins: OriginGate, notReady: () => string | undefined) => Operation

export function makeHttp (
  setup: Setup, parts: Parts, notReady: () => string | undefined, makeOperation: MakeOperation
): Http {
  const { auth, config, doors, io, log, network, programs, refusals } = setup
  const ownHttp = programs === undefined ? createOwnHttp(config, refusals) : undefined
  const server = programs ?? ownHttp!.server
  const pages = createOriginGate({ allowed: config.allowedOrigins, anonymous: auth.anonymous }, refusals)
  const exposure = doors.strangersByHttp && !config.allowAnonymous ? watchExposure(server, log) : undefined
  const origins = exposure === undefined ? pages : unlessExposed(exposure, pages, refusals)
  let mqtt: Pick<MqttServer, 'upgrade'> | undefined
  const operation = makeOperation(origins, () => front.refusal ?? exposure?.reason ?? notReady())
  const front: Front = createFront({
    http: server,
    own: ownHttp !== undefined,
    mqttPath: doors.mqttWebsocket ? config.mqttPath : undefined,
    ownSocketioPath: config.socketioPath,
    program: io,
    origins,
    refusals,
    router: operation.router,
    upgrade: (request, socket, head) => mqtt?.upgrade(request, socket, head)
  })
  parts.add(async () => {
    front.detach()
    exposure?.detach()
  })
  return {
    server,
    front,
    operation,
    origins,
    attach (opened) { mqtt = opened },
    async listen () {
      if (ownHttp === undefined) return
      parts.add(async () => { await Promise.all([network.stop('http'), ownHttp.close()]) })
      await network.listenHttp(ownHttp)
    }
  }
}
