/** Clients that were let in: what begins when a namespace opens, and ends with it. */
import type { Namespace, Socket } from 'socket.io'
import type { Broker, Logger, Offset, Peer, Refusals, Who } from '../../broker/index.ts'
import type { Admitted } from './admission/admission.ts'
import type { Leftovers } from './admission/leftovers.ts'
import type { Holders } from './admission/liveness.ts'
import { rename } from './admission/namespace-hook.ts'
import type { Sid } from './admission/recovery.ts'
import type { ApplicationEmits, Member } from './application-emits.ts'
import type { Connection } from './connection.ts'
import { Inbound } from './inbound.ts'
import { SocketLink, type LinkContext } from './link.ts'
import type { DeafClients } from './proof/deaf.ts'
import type { EndingsBySession } from './proof/endings.ts'
import type { RecoveryOffset } from './proof/recovery-offset.ts'
import type { RetriesBySession } from './repeats.ts'
import type { NamespaceRules } from './rules/rules.ts'
import { engineOf, type EngineSocket } from './wire/engine.ts'
import type { Frames, NamespaceFrames } from './wire/frames.ts'
import type { Strangers } from './wire/strangers.ts'

export interface ClientsOptions {
  readonly broker: Broker
  readonly log: Logger
  readonly refusals: Refusals
  readonly connections: WeakMap<EngineSocket, Connection>
  /** Told when sessions of clients without a name have a connection. */
  readonly holders: Holders
  readonly leftovers: Leftovers
  readonly endings: EndingsBySession
  readonly deaf: DeafClients
  /** Of clients that may be deaf; 0: whatever they prove counts at once. */
  readonly tornEventHoldMs: number
  readonly suspects: LinkContext['suspects']
  readonly repeats: LinkContext['repeats']
  readonly tally: LinkContext['tally']
  /** Told who is one no more. */
  readonly strangers: Strangers
  readonly retries: RetriesBySession
  readonly recoveryOffset: RecoveryOffset
  /** Called when the first client comes: then the log is open. */
  readonly makeFrames: () => Frames
  /** Handlers of a program get what no rule is for. */
  readonly isProgram: boolean
  /** By the id of the socket: for the emits of a program of its own. */
  readonly members: Map<string, Member>
  readonly applicationEmits: Pick<WeakMap<Namespace, ApplicationEmits>, 'get'>
}

/** Reasons of Socket.IO for a disconnect: one of the two sides meant it. */
const HAS_LEFT: ReadonlySet<unknown> = new Set(['client namespace disconnect', 'server namespace disconnect'])

export class Clients {
  readonly #options: ClientsOptions
  readonly #context: LinkContext
  readonly #inbounds = new Set<Inbound>()
  /** Of Engine.IO 4, that are here now. */
  readonly #bySid = new Map<Sid, Socket>()
  readonly #malformedOf = new WeakSet<Connection>()
  #frames: Frames | undefined

  constructor (options: ClientsOptions) {
    const { broker, suspects, repeats, leftovers, endings, tally } = options
    this.#options = options
    this.#context = { broker, suspects, repeats, leftovers, endings, tally }
  }

  /**
   * `connect` opens the namespace: the client's CONNECT packet is written, the application's handlers run. An exception
   * of such a handler is its own; any other is a fault of ours and ends no process.
   */
  enter (socket: Socket, admitted: Admitted, connect: () => void): void {
    let isProgram = false
    try {
      this.#enter(socket, admitted, () => {
        isProgram = true
        connect()
        isProgram = false
      })
    } catch (error) {
      if (isProgram) throw error
      this.#failed(error)
      admitted.connection.close()
    }
  }

  /** Takes nothing more; resolves when what was taken has its answer. */
  async stop (): Promise<void> {
    await Promise.all([...this.#inbounds].map(inbound => inbound.stop()))
  }

  #enter (socket: Socket, admitted: Admitted, connect: () => void): void {
    const { members, applicationEmits } = this.#options
    const { connection, peer, recovered, name, sid, pid, bringsPid } = admitted
    const { isProgram, strangers } = this.#options
    const isUnknown = isProgram && admitted.owner === undefined
    if (peer.ended) { // meanwhile; the client comes back and gets a new one
      peer.leave({ endsNew: true })
      return connection.close()
    }
    if (recovered) this.#leaveFor(sid!)
    if (sid !== undefined && pid !== undefined) {
      rename(socket, sid, pid, recovered)
      this.#bySid.set(sid, socket)
    }
    const { clientId, principal } = peer
    const who = { remoteAddress: connection.engine.remoteAddress, clientId, principal }
    strangers.accepted(connection.engine, socket.nsp.name, who, isProgram)
    if (!isProgram) {
      socket.handshake.auth = {} // nobody here asks for it again
      socket.on('error', this.#safely((error: Error) => this.#malformed(connection, who, error)))
    }
    members.set(socket.id, { peer, name })
    const emits = applicationEmits.get(socket.nsp)
    emits?.restore(socket.id, peer)
    const link = this.#newLink(socket, admitted)
    const inbound = this.#newInbound(socket, admitted)
    connection.add(link)
    this.#inbounds.add(inbound)
    if (name === undefined) this.#options.holders.hold(peer.clientId, connection)
    this.#suspect(admitted)
    socket.on('disconnect', this.#safely((reason: unknown) => {
      strangers.left(connection.engine, socket.nsp.name)
      this.#gone(socket, peer, sid)
      this.#options.holders.leave(peer.clientId, connection)
      this.#options.deaf.gone(peer, bringsPid ? undefined : connection.conclusion)
      connection.remove(link)
      link.detach()
      if (isUnknown && name === undefined && HAS_LEFT.has(reason)) this.#forget(peer)
      const stop = (): void => { inbound.stop().then(() => this.#inbounds.delete(inbound), () => {}) }
      // Socket.IO hands on what came before the end of the connection in the next tick, which the end itself overtakes.
      if (HAS_LEFT.has(reason)) stop()
      else process.nextTick(stop)
      this.#options.log.debug({ session: peer.clientId, reason }, 'a Socket.IO client left')
    }))
    // What was not handled has no receipt, so the client must notice. No next: nothing else here listens to events,
    // but for the handlers of a program, who get what no rule is for.
    socket.use(this.#safely((packet, next) => {
      if (!inbound.handle(packet) && this.#options.isProgram) next()
    }, () => connection.close()))
    this.#attach(socket, admitted, link, connect)
    if (emits === undefined || !isUnknown || recovered) emits?.keepOthers(socket.id)
    else if (emits.hasOthers(socket.id)) {
      whenCaughtUp(peer, connection, () => emits.leaveOthers(socket.id, peer))
    }
  }

  /** The next one on the page may be somebody else, and it has what the server knew this one by. */
  #forget (peer: Peer): void {
    if (peer.isFollowed) return // another connection has it
    this.#options.broker.end(peer.clientId, 'left').catch(() => {}) // the server stops
  }

  #attach (socket: Socket, admitted: Admitted, link: SocketLink, connect: () => void): void {
    const { leftovers, endings, log } = this.#options
    const { connection, peer, recovered, receivedThrough, name, isKnown } = admitted
    const { clientId, present } = peer
    if (!recovered) {
      leftovers.end(clientId)
      endings.forget(clientId)
    }
    const holdsLeftovers = recovered && receivedThrough !== undefined && leftovers.has(clientId)
    // What a recovered client missed comes before its `connect`, as Socket.IO has it: a window of it at most.
    if (recovered && !holdsLeftovers) link.attached(peer.follow(link, { receivedThrough, atOnce: true }))
    try {
      connect()
    } finally {
      link.connected()
      if (!socket.connected) { // an application's handler has sent it away
        if (!recovered || holdsLeftovers) peer.leave({ endsNew: true })
      } else if (holdsLeftovers) {
        socket.on('disconnect', () => peer.leave())
        leftovers.clear(clientId, connection, socket.nsp.name)
      } else {
        if (!recovered) link.attached(peer.follow(link))
        if (isKnown) link.tell('session', { clientId: name, present }) // [G5]
        log.debug({ session: clientId, present, recovered }, 'a Socket.IO client came')
      }
    }
  }

  #newLink (socket: Socket, { peer, connection, rules, told }: Admitted): SocketLink {
    return new SocketLink({
      socket,
      peer,
      connection,
      frames: this.#framesOf(socket.nsp, rules),
      recoveryOffset: connection.engine.protocol === 3 ? 'off' : this.#options.recoveryOffset,
      told,
      context: this.#context
    })
  }

  #framesOf (namespace: Namespace, rules: NamespaceRules): NamespaceFrames {
    return (this.#frames ??= this.#options.makeFrames()).namespace(namespace.name, rules)
  }

  #newInbound (socket: Socket, { peer, connection, rules, name }: Admitted): Inbound {
    const { broker, retries, isProgram, log, refusals } = this.#options
    return new Inbound({
      socket, connection, peer, broker, rules, name, retries, leavesUnruled: isProgram, log, refusals
    })
  }

  /** [G2] */
  #suspect ({ peer, connection, bringsPid }: Admitted): void {
    const { deaf, tornEventHoldMs } = this.#options
    const suspected = bringsPid ? undefined : deaf.suspected(peer)
    if (suspected === undefined || suspected.aliveMs >= tornEventHoldMs) return
    connection.suspect(suspected.suspicion, tornEventHoldMs - suspected.aliveMs)
  }

  #gone (socket: Socket, peer: Peer, sid: Sid | undefined): void {
    const { members, applicationEmits } = this.#options
    applicationEmits.get(socket.nsp)?.keepOthers(socket.id)
    if (sid !== undefined && this.#bySid.get(sid) === socket) this.#bySid.delete(sid)
    if (members.get(socket.id)?.peer === peer) members.delete(socket.id)
  }

  /**
   * The client has a new connection, so the old one is dead to it, whatever it still looks like from here. It goes at
   * once: under the same id it would otherwise take the new one along when it is found out.
   */
  #leaveFor (sid: Sid): void {
    const predecessor = this.#bySid.get(sid)
    if (predecessor === undefined) return
    this.#options.connections.get(engineOf(predecessor))?.cut()
    if (predecessor.connected) predecessor.disconnect(true)
  }

  /** Nothing that a client sends may end the process. `failed` is what becomes of the client after an exception. */
  #safely<A extends unknown[]> (handler: (...args: A) => void, failed: () => void = () => {}): (...args: A) => void {
    return (...args) => {
      try {
        handler(...args)
      } catch (error) {
        this.#failed(error)
        failed()
      }
    }
  }

  /** Socket.IO could not read a packet, and closes the connection; it says so to each of its namespaces. */
  #malformed (connection: Connection, who: Who, { message }: Error): void {
    if (this.#malformedOf.has(connection)) return
    this.#malformedOf.add(connection)
    this.#options.refusals.note({
      kind: 'violations', who, about: { error: message }, what: 'a Socket.IO client sent what is no packet and was cut',
      toDo: 'update or mend the client'
    })
  }

  #failed (error: unknown): void {
    this.#options.log.error({ err: error }, 'a Socket.IO client could not be served; this is a fault of the server')
  }
}

/** Calls back once everything that waited for the client is acknowledged, unless the connection ends before. */
function whenCaughtUp (peer: Peer, connection: Connection, caughtUp: () => void): void {
  let through: Offset | undefined
  const check = (): void => {
    if (!peer.isFollowed || !connection.open) return
    through ??= peer.sentThrough
    if (through !== undefined && peer.position >= through) return caughtUp()
    connection.ask(check)
  }
  connection.ask(check)
}
