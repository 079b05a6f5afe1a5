/**
 * One Engine.IO connection under all its namespaces: asks for receipts, and bounds what is written to it and what is
 * taken from it.
 */
import type { Clock, PacketId, Refusals, Turn } from '../../broker/index.ts'
import { BackPressure, type Pressed } from './back-pressure.ts'
import { Doubt, type Conclusion, type Suspicion } from './proof/deaf.ts'
import type { ProofLevel } from './proof/evidence.ts'
import { Prover, type ProverOwner } from './proof/prover.ts'
import type { EnginePacket, EngineSocket, EngineWebSocketTransport } from './wire/engine.ts'
import { listenTo, type EngineOwner } from './wire/engine-owner.ts'
import type { EncodedEvent } from './wire/frames.ts'
import type { Inlets } from './wire/inlets.ts'
import type { PollStep } from './wire/poll-step.ts'
import { tellDisbelieved } from './wire/refused-requests.ts'
import { Wire, Writing, type WireOwner } from './wire/wire.ts'
import { tcpOf } from './wire/ws.ts'

/** One namespace on the connection. */
export interface Channel {
  readonly namespace: string
  /**
   * The CONNECT packet of the namespace is written. A client keeps events that come before it until it has read it, so
   * they are proven by nothing that is asked before it. Whoever makes this true calls Connection.connectSent().
   */
  readonly connectSent: boolean
  /** The client has handled the message that was delivered under this identifier. */
  proven (packetId: PacketId): void
  /** The client has left the namespace: what it drops from now on is answered by its engine all the same. */
  left (): void
  /** The connection takes bytes again. */
  drained (): void
  /** Somebody else wrote an event: a program, as it is not kept. */
  foreign? (): void
  /** What is to stand behind all that is handed over to the transport now. */
  pendingOffset? (): EncodedEvent | undefined
}

export interface ConnectionOptions {
  readonly writeBufferBytesMax: number
  readonly pendingBytesMax: number
  /** Messages that may be under way to a client of version 2 on a WebSocket before it has taken the first of them. */
  readonly inflightMessagesMax: number
  /** Window of a session on a connection of version 2, whose proof takes up to two of its ping intervals. */
  readonly eio3InflightMessagesMax: number
  /** What counts for a client of version 2: that it handled a message, or only that its transport took it. */
  readonly eio3Proof: Eio3Proof
  /** Shared by the connections of a bridge. */
  readonly writing?: Writing
  readonly inlets?: Inlets
}

export const EIO3_PROOFS = ['heartbeat', 'transport'] as const
export type Eio3Proof = typeof EIO3_PROOFS[number]

interface Mark {
  readonly channel: Channel
  readonly packetId: PacketId
  readonly level: ProofLevel
}

/** Stands for what ask() writes. */
const QUESTION = -1 as PacketId

/** A closed connection whose client does not take leave by then is cut off. */
export const LINGER_MS_MAX = 5_000

/** What authentication and a session cost, in units (broker/system/turns.ts), besides the packet. */
const CONNECT_UNITS = 64

/** Type digit of a Socket.IO CONNECT packet, which a client sends without having understood anything (protocol 5). */
const CONNECT = '0'
/** Type digit of a Socket.IO DISCONNECT packet: `1` for the root namespace, `1/chat,` for another (protocol 5). */
const DISCONNECT = '1'

export class Connection implements ProverOwner<Mark>, WireOwner, EngineOwner, Pressed {
  readonly engine: EngineSocket
  readonly wire: Wire
  readonly #options: ConnectionOptions
  readonly #clock: Clock
  readonly #refusals: Refusals
  readonly #prover: Prover<Mark>
  readonly #pressure: BackPressure
  #channels: Channel[] = []
  /** Written to a namespace before its CONNECT packet. */
  #early: Mark[] | undefined
  /** Handed to the engine and not yet to its transport. */
  #queuedBytes = 0
  /** In the last response to a poll, which has been read for certain when the next one comes. */
  #respondedBytes = 0
  #closing = false
  #blocked = false
  /** Of work that takes a turn of its own; bounded as what waits for the disk is, see take(). */
  #turn: Turn | undefined
  #work: Array<{ readonly units: number, readonly work: () => void }> | undefined
  /** Bytes went out in a packet of their own and nothing behind them is proven; `true` until there is a mark behind. */
  #bytesOut: Mark | true | undefined
  /** Of few clients. */
  #doubt: Doubt<Mark> | undefined
  #hasSpoken = false
  #isSuperseded = false

  constructor (engine: EngineSocket, options: ConnectionOptions, clock: Clock, refusals: Refusals) {
    this.engine = engine
    this.#options = options
    this.#clock = clock
    this.#refusals = refusals
    this.wire = new Wire(engine, options.writing ?? new Writing(), this)
    this.#prover = new Prover(engine, this.wire, this, clock)
    this.#pressure = new BackPressure(this, options.pendingBytesMax)
    listenTo(engine, this)
    const { transport } = engine
    if (transport.name === 'polling') {
      engine.on('upgrade', () => this.#prover.upgraded())
      transport.closeTimeout = LINGER_MS_MAX
      transport.prependListener('ready', () => { this.#respondedBytes = 0 }) // before the prover says that it is taken
    }
  }

  created (packet: EnginePacket): void {
    this.#prover.creating(packet)
    if (packet.type === 'message' && packet.data !== undefined && typeof packet.data !== 'string') this.carriesBytes()
    this.#queuedBytes += packet.data?.length ?? 0
    if (this.wire.isForeignEvent(packet)) for (const channel of this.#channels) channel.foreign?.()
  }

  flushed (): void {
    for (const channel of this.#channels) this.wire.append(channel.pendingOffset?.())
    this.#prover.flushing()
    this.#respondedBytes = this.#queuedBytes
    this.#queuedBytes = 0
    if (this.#blocked) this.wire.endTurnSoon()
  }

  closed (): void {
    this.#pressure.drop()
    this.#doubt?.drop()
    this.#linger()
  }

  /** Closed by this side for a reason of its own, which is not held against what was written. */
  get closing (): boolean { return this.#closing }
  get step (): PollStep | undefined { return this.#prover.step }
  get open (): boolean { return this.engine.readyState === 'open' }

  /** False while more than writeBufferBytesMax wait to be sent; the channels are told when that has changed [G8]. */
  get writable (): boolean {
    const { transport, protocol } = this.engine
    // a window that is wide for proofs that take long must not fill a link that takes nothing
    const isTaking = protocol !== 3 || transport.name !== 'websocket' ||
      this.#prover.unarrived < this.#options.inflightMessagesMax
    if (isTaking && !this.full && (this.roomMessages ?? 1) > 0) return true
    this.#blocked = true
    return false
  }

  /** What it takes before it is full. */
  get roomBytes (): number {
    return Math.max(0, this.#options.writeBufferBytesMax - this.#waitingBytes)
  }

  get roomMessages (): number | undefined { return this.#prover.roomMessages }

  /** More than writeBufferBytesMax wait to be sent. */
  get full (): boolean {
    if (this.#waitingBytes < this.#options.writeBufferBytesMax) return false
    const { transport } = this.engine
    return transport.name !== 'websocket' || !tcpOf(transport.socket).destroyed // it will never take any of it
  }

  get #waitingBytes (): number {
    const { transport } = this.engine
    const sent = transport.name === 'websocket' ? transport.socket.bufferedAmount : this.#respondedBytes
    return this.#queuedBytes + sent
  }

  /** The window that its sessions need, where it is not the usual one. */
  get inflightMax (): number | undefined {
    return this.engine.protocol === 3 ? this.#options.eio3InflightMessagesMax : undefined
  }

  /** A namespace was opened on the connection; at most one channel has its name. */
  add (channel: Channel): void {
    this.#channels.push(channel)
  }

  remove (channel: Channel): void {
    this.#channels = this.#channels.filter(other => other !== channel)
    this.#early = this.#early?.filter(mark => mark.channel !== channel)
  }

  get isIn (): boolean { return this.channelCount > 0 }
  get channelCount (): number { return this.#channels.length }

  /**
   * The message was written to the engine just now, all of it; its receipt is asked for with all others of this turn
   * of the event loop. The channel is told when it is proven to the level.
   */
  delivered (channel: Channel, packetId: PacketId, level: ProofLevel = 'handled'): void {
    const mark = { channel, packetId, level }
    if (channel.connectSent) this.#written(mark)
    else (this.#early ??= []).push(mark)
  }

  /** The CONNECT packet of the channel was written just now: what is proven from here on covers what was before it. */
  connectSent (channel: Channel): void {
    const early = this.#early
    if (early === undefined) return
    const others = early.filter(mark => mark.channel !== channel)
    this.#early = others.length === 0 ? undefined : others
    for (const mark of early) if (mark.channel === channel) this.#written(mark)
  }

  /** An event is being written whose bytes follow it in packets of their own; before delivered() is called for it. */
  carriesBytes (): void {
    this.#bytesOut = true
    this.#doubt?.carriesBytes()
  }

  /** Its client may be deaf: what it proves does not count before it has spoken, or is alive after `ms` (deaf.ts). */
  suspect (suspicion: Suspicion, ms: number): void {
    if (this.#hasSpoken) return
    const doubt = this.#doubt ??= new Doubt(this.#clock, marks => this.#tell(marks), () => this.ask(() => doubt.end()))
    doubt.begin(suspicion, ms)
  }

  /** What it proves does not count now. */
  get inDoubt (): boolean { return this.#doubt?.holds === true }

  /** Its client has another one, and may have left this one alive. */
  superseded (): void {
    this.#isSuperseded = true
  }

  /**
   * What is to be thought of the client after this connection. A link that breaks now may leave it with an event
   * without the bytes that belong to it; a response to a poll comes whole or not at all.
   */
  get conclusion (): Conclusion | undefined {
    const doubt = this.#doubt
    if (doubt?.suspicion !== undefined) {
      return { suspicion: doubt.suspicion, aliveMs: doubt.aliveMs, isLeft: this.#isSuperseded }
    }
    const mayBeTorn = this.#bytesOut !== undefined && this.engine.transport.name === 'websocket'
    return mayBeTorn ? { suspicion: 'torn', aliveMs: 0, isLeft: false } : undefined
  }

  /** Calls back once when all that was written has reached the client, whatever is thought of its other proofs. */
  ask (answered: () => void): void {
    // On no list: nothing but the answer concerns it.
    const channel: Channel = { namespace: '', connectSent: true, proven: answered, left () {}, drained () {} }
    this.#prover.delivered({ channel, packetId: QUESTION, level: 'received' }, 'received')
    // so that it polls again
    if (this.engine.transport.name === 'polling') this.engine.sendPacket('noop', undefined, {}, () => {})
  }

  #written (mark: Mark): void {
    if (this.#bytesOut === true) this.#bytesOut = mark
    const isFast = this.engine.protocol === 3 && this.#options.eio3Proof === 'transport'
    this.#prover.delivered(mark, isFast ? 'received' : mark.level)
  }

  /** As BackPressure.take(). */
  take (bytes: number): void { this.#pressure.take(bytes) }

  /** As BackPressure.settle(). */
  settle (bytes: number, isAnswered: boolean): void { this.#pressure.settle(bytes, isAnswered) }

  /** What the client asked for is more work than its packet shows, in units (broker/system/turns.ts). */
  charge (units: number): void {
    this.#options.inlets?.of(this.engine)?.turn.charge(units)
  }

  /** Work of its client that is so much that it takes a turn of its own; in the order of the calls. */
  inTurn (units: number, work: () => void): void {
    const { inlets } = this.#options
    if (inlets === undefined) return work()
    const queue = this.#work ??= []
    queue.push({ units, work })
    this.#turn ??= inlets.turn({ take: () => {
      const next = queue.shift()
      if (next === undefined) return false
      this.#turn!.charge(next.units)
      next.work()
      return queue.length > 0
    } })
    this.#turn.ask()
  }

  /** The client comes back by itself: to it the network broke. What was written goes out first. */
  close (): void {
    this.#closing = true
    this.engine.close()
  }

  /** As close(), for a client that does not take what was written. */
  cut (): void {
    const { transport } = this.engine
    this.wire.release()
    this.engine.close(true)
    if (transport.name === 'websocket') transport.socket.terminate()
  }

  /** ws waits long for the other side of a half-open connection, and keeps what was written. */
  #linger (): void {
    const { transport } = this.engine
    if (transport.name !== 'websocket') return
    this.#clock.after(LINGER_MS_MAX, () => transport.socket.terminate())
  }

  readable (): { pause (): void, resume (): void } | undefined {
    const { name, socket } = this.engine.transport as Partial<EngineWebSocketTransport>
    return this.#options.inlets?.of(this.engine) ?? (name === 'websocket' ? socket : undefined)
  }

  whenTaken (taken: () => void): void { this.wire.whenTaken(taken) }

  read (packet: EnginePacket): void {
    this.#prover.read(packet)
    if (packet.type !== 'message' || typeof packet.data !== 'string') return
    if (packet.data.startsWith(CONNECT)) {
      this.charge(CONNECT_UNITS)
      if (this.full) this.#pressure.owe() // whatever comes of it is answered, if only with a refusal
    } else {
      this.#hasSpoken = true
      this.#doubt?.end()
    }
    if (packet.data.startsWith(DISCONNECT)) {
      // Socket.IO handles the packet in a later turn; a pong right behind it must not count any more.
      const end = packet.data.indexOf(',')
      const namespace = packet.data.slice(1, end < 0 ? undefined : end) || '/'
      this.#channels.find(channel => channel.namespace === namespace)?.left()
    }
  }

  endTurn (): void {
    this.#prover.ask()
    this.taken()
  }

  proven (marks: readonly Mark[]): void {
    if (this.#bytesOut !== undefined && this.#bytesOut !== true && marks.includes(this.#bytesOut)) {
      this.#bytesOut = undefined
    }
    if (this.#doubt?.hold(marks) !== true) return this.#tell(marks)
    for (const { channel, packetId } of marks) if (packetId === QUESTION) channel.proven(QUESTION)
  }

  #tell (marks: readonly Mark[]): void {
    for (const { channel, packetId } of marks) channel.proven(packetId)
  }

  disbelieve (why: string): void {
    tellDisbelieved(this.#refusals, this.engine, why)
    this.wire.release()
    this.engine.close(true)
  }

  taken (): void {
    if (!this.#blocked || !this.open) return
    this.#blocked = false
    if (!this.writable) return // and blocked again
    for (const channel of this.#channels) channel.drained()
  }
}
