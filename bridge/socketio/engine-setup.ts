/** Engine.IO below the bridge: opened, guarded, and listened to. */
import { ServerResponse } from 'node:http'
import type { Server } from 'socket.io'
import type { Admission } from './admission/admission.ts'
import type { DeviceCookies } from './admission/cookie.ts'
import { Connection } from './connection.ts'
import type { SocketioBridgeOptions } from './options.ts'
import { handshakeEio3, isOpenedByGet, refusedTransport } from './wire/eio3.ts'
import { queryOf, type EngineRequest, type EngineServer, type EngineSocket } from './wire/engine.ts'
import { guardPolling } from './wire/guard.ts'
import { Inlets } from './wire/inlets.ts'
import { createOwnIo, type Gate, guardProgramIo } from './wire/own-io.ts'
import { tellRefusedRequests, TOO_MANY_OF_ADDRESS } from './wire/refused-requests.ts'
import { Strangers } from './wire/strangers.ts'
import { Writing } from './wire/wire.ts'

export interface EngineSetup {
  readonly bridge: SocketioBridgeOptions
  readonly connections: WeakMap<EngineSocket, Connection>
  readonly cookies: Pick<DeviceCookies, 'give'>
  readonly admission: Pick<Admission, 'mayConnect' | 'opened'>
}

export interface OpenedEngine {
  readonly io: Server
  readonly engine: EngineServer
  readonly strangers: Strangers
}

export function openEngine ({ admission, bridge, connections, cookies }: EngineSetup): OpenedEngine {
  const { addresses, broker, config, log, refusals } = bridge
  const io = openIo(bridge, request =>
    refusedTransport(queryOf(request)) ?? admission.mayConnect(engine) ?? refusedAddress(bridge, request))
  const engine = io.engine as unknown as EngineServer
  handshakeEio3(engine, config.eio3PingIntervalMs)
  const inlets = new Inlets(bridge.turns)
  inlets.attach(engine)
  const { eio3InflightMessagesMax, eio3Proof } = config
  const options = { ...broker.limits, eio3InflightMessagesMax, eio3Proof, writing: new Writing(), inlets }
  const strangers = watchStrangers(bridge, io, engine)
  engine.on('connection', socket => {
    strangers.watch(socket)
    connections.set(socket, new Connection(socket, options, broker.clock, refusals))
    admission.opened(socket)
    if (addresses !== undefined) socket.on('close', addresses.came(socket.remoteAddress))
  })
  tellRefusedRequests(engine, refusals)
  refuseOrigins(bridge, engine)
  engine.on('initial_headers', (headers, request) => cookies.give(headers, request))
  guardPolling({
    engine,
    inlets,
    log,
    refusals,
    answerBytesMax: broker.limits.writeBufferBytesMax,
    stepOf: socket => connections.get(socket)?.step
  })
  return { io, engine, strangers }
}

/** Over one TCP connection a client can begin many of Engine.IO. */
function refusedAddress ({ addresses }: SocketioBridgeOptions, { socket }: EngineRequest): string | undefined {
  return addresses?.mayCome(socket.remoteAddress ?? '') === false ? TOO_MANY_OF_ADDRESS : undefined
}

function openIo ({ broker: { limits }, config, http, origins, program }: SocketioBridgeOptions, gate: Gate): Server {
  if (program === undefined) return createOwnIo(http, { config, limits, origins, gate })
  guardProgramIo(program.io, gate)
  return program.io
}

function watchStrangers ({ broker, program, refusals }: SocketioBridgeOptions, io: Server, engine: EngineServer):
Strangers {
  const connectTimeoutMs = io.connectTimeout()
  return new Strangers({
    engine,
    isProgram: program !== undefined,
    connectPacketBytesMax: broker.limits.connectPacketBytesMax,
    inLimit: program === undefined ? 'packetBytesMax' : 'maxHttpBufferSize',
    oversize: (who, error, limit) => refusals.note({
      kind: 'oversize',
      who,
      about: { error },
      sameAs: error,
      what: 'a Socket.IO client sent more at once than is taken',
      toDo: `let it send less at once, or raise ${limit}`
    }),
    violation: (who, error) => refusals.note({
      kind: 'violations', who, about: { error }, what: 'a Socket.IO client broke the protocol and was cut',
      toDo: 'update or mend the client'
    }),
    late: who => refusals.note({
      kind: 'clients',
      who,
      what: `a Socket.IO client opened no namespace within ${connectTimeoutMs} ms and was cut`,
      toDo: 'let it send CONNECT as soon as it is connected, or look at what keeps middlewares (io.use) so long'
    }),
    connectTimeoutMs,
    now: () => broker.clock.now()
  })
}

function refuseOrigins ({ origins }: SocketioBridgeOptions, engine: EngineServer): void {
  if (origins === undefined) return
  engine.use((request: EngineRequest, response: unknown, next: () => void) => {
    if (origins.allows(request, isOpenedByGet(queryOf(request)))) next()
    // for an upgrade Engine.IO hands over no real response, and would answer 400
    else origins.refuse(request, response instanceof ServerResponse ? response : request.socket)
  })
}
