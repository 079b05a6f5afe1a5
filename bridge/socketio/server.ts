/**
 * Socket.IO clients, unmodified, as followers of broker sessions. Which versions and transports, and what each event
 * means, is in docs/socketio.md; the proofs of receipt are in proof/.
 */
import { randomInt } from 'node:crypto'
import type { Server } from 'socket.io'
import type { ClientId, Clock } from '../../broker/index.ts'
import { Admission } from './admission/admission.ts'
import { DeviceCookies } from './admission/cookie.ts'
import { Leftovers } from './admission/leftovers.ts'
import { Holders } from './admission/liveness.ts'
import { hookNamespaces } from './admission/namespace-hook.ts'
import { Seats } from './admission/recovery.ts'
import type { Member } from './application-emits.ts'
import { Clients } from './clients.ts'
import type { Connection } from './connection.ts'
import { EmitsByNamespace } from './emits-by-namespace.ts'
import { openEngine } from './engine-setup.ts'
import { randomIds } from './ids.ts'
import type { SocketioBridge, SocketioBridgeOptions } from './options.ts'
import { RepeatsBySession, RetriesBySession } from './repeats.ts'
import { NO_RULES, type RuleSet } from './rules/rule.ts'
import { Rules } from './rules/rules.ts'
import { SessionMemory } from './session-memory.ts'
import { Tally } from './tally.ts'
import { sessionId } from '../../protocol/index.ts'
import { engineOf, type EngineSocket } from './wire/engine.ts'
import { ACK_ID_MAX, ACK_ID_MIN, Frames } from './wire/frames.ts'
import { privateOf } from './wire/socketio.ts'

export const CLOSE_GRACE_MS = 5_000
export const CLOSE_FLUSH_MS = 1_000

export function createSocketioBridge (options: SocketioBridgeOptions): SocketioBridge {
  const { broker, config, identify, log, program, refusals } = options
  const makeId = randomIds(12)
  const makeSecret = randomIds(18)
  const connections = new WeakMap<EngineSocket, Connection>()
  const memory = new SessionMemory(broker, log)
  const rules = compileRules(options, makeId)
  const holders = new Holders(broker.clock)
  const cookies = newCookies(options, makeSecret)
  const { socketioSessionExpiryMs: sessionExpiryMs, recoveryExpiryMs } = config
  const clear: Holders['clear'] = clientIds => holders.clear(clientIds)
  const seats = new Seats({ broker, makeSecret, makeId, sessionExpiryMs, recoveryExpiryMs, clear })
  const isProgram = program !== undefined
  const admission = new Admission(
    { broker, connections, rules, seats, cookies, identify, endings: memory.endings, isProgram, log, refusals })
  const { io, engine, strangers } = openEngine({ bridge: options, connections, cookies, admission })
  const members = new Map<string, Member>()
  const tally = new Tally(broker.clock, log)
  const emits = new EmitsByNamespace({ bridge: options, members, rules, makeId, tally })
  const clients = new Clients({
    broker,
    log,
    refusals,
    connections,
    holders,
    leftovers: new Leftovers(),
    endings: memory.endings,
    deaf: memory.deaf,
    suspects: memory.suspects,
    // whoever is held back for longer would be cut off as stalled
    tornEventHoldMs: Math.min(config.tornEventHoldMs, broker.limits.ackTimeoutMs / 2),
    repeats: new RepeatsBySession(),
    tally,
    strangers,
    retries: new RetriesBySession(),
    recoveryOffset: config.recoveryOffset,
    makeFrames: () => newFrames(options, io),
    isProgram,
    members,
    applicationEmits: emits
  })
  hookNamespaces(io, async socket => {
    const admitted = await admission.admit(socket).catch((error: unknown) => {
      strangers.refused(engineOf(socket))
      throw error
    })
    return {
      enter: connect => clients.enter(socket, admitted, connect),
      abandon: () => admitted.peer.leave({ endsNew: true })
    }
  })
  return {
    get connections () { return engine.clientsCount },
    get tallies () { return tally.counts },
    placeOf (namespace, name, principal) {
      const here = rules.namespace(namespace)
      if (!here.allowed) return undefined
      return { clientId: sessionId(here.name, name) as ClientId, filters: here.filters({ name, principal }) }
    },
    async close () {
      admission.closed = true
      await atMost(CLOSE_GRACE_MS, broker.clock, [clients.stop()])
      await atMost(CLOSE_FLUSH_MS, broker.clock, Object.values(engine.clients).map(socket => flushed(socket)))
      memory.close()
      emits.detach()
      if (program === undefined) engine.close()
    }
  }
}

function compileRules ({ broker, log, program, rules }: SocketioBridgeOptions, makeId: () => string): Rules {
  return new Rules({
    rules: program === undefined ? rules : forProgram(rules),
    makeId,
    users: broker.isAnonymous ? 'names' : 'principals',
    log,
    wall: time => broker.clock.wall(time)
  })
}

/** What a program's clients emit is for its own handlers, unless a rule takes it. */
function forProgram (rules: RuleSet = NO_RULES): RuleSet {
  return { ...rules, defaults: rules.defaults === false ? false : 'deliver' }
}

function newCookies ({ broker, config, program }: SocketioBridgeOptions, makeSecret: () => string): DeviceCookies {
  return new DeviceCookies({
    name: config.deviceCookie,
    path: program?.io.path() ?? `${config.socketioPath}/`,
    maxAgeMs: config.socketioSessionExpiryMs,
    makeSecret,
    key: () => broker.secret
  })
}

function newFrames ({ broker, trusted }: SocketioBridgeOptions, io: Server): Frames {
  return new Frames({
    encoder: privateOf(io.of('/')).server.encoder,
    epoch: broker.epoch,
    trusted,
    firstAckId: randomInt(ACK_ID_MIN, ACK_ID_MAX)
  })
}

async function atMost (ms: number, clock: Clock, work: ReadonlyArray<Promise<unknown>>): Promise<void> {
  let cancel = (): void => {}
  await Promise.race([Promise.all(work), new Promise<void>(resolve => { cancel = clock.after(ms, resolve) })])
  cancel()
}

/** Closes a connection; resolves when what was written to it is out. */
async function flushed (socket: EngineSocket): Promise<void> {
  const { transport } = socket
  if (transport.name === 'polling') transport.closeTimeout = CLOSE_FLUSH_MS // its timer keeps the process alive
  await new Promise<void>(resolve => {
    socket.on('close', () => resolve())
    socket.close()
  })
}
