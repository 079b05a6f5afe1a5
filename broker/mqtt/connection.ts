/** One MQTT connection, over TCP or WebSocket: the link between its socket and its session. */
import type { Duplex } from 'node:stream'
import type { ClientCertificate } from '../auth/auth.ts'
import type { Peer } from '../broker.ts'
import type { Clock } from '../system/clock.ts'
import type { Intake } from '../system/intake.ts'
import type { Limits } from '../model/limits.ts'
import type { Logger } from '../system/logger.ts'
import type { PacketId, TimeMs } from '../model/message.ts'
import type { Who } from '../system/refusals.ts'
import type { Answer, Attachment, CloseReason, Delivery, GapReason, Link } from '../session/link.ts'
import type { Trial } from '../session/poison.ts'
import { GAP_TOPIC } from '../model/topics.ts'
import { FrameGuard } from './wire/frame-guard.ts'
import type { PacketGate } from './wire/packet-gate.ts'
import { pubrel, writePublishes, writeReceipts } from './wire/encode.ts'
import type { MqttRefusals } from './refusals.ts'
import type { Trials } from './trials.ts'

/** A byte stream and what the transport below it knows. */
export interface Wire {
  readonly stream: Duplex
  readonly via: 'mqtt' | 'websocket'
  readonly remoteAddress: string
  /** That the client has shown to TLS. */
  readonly certificate: ClientCertificate | undefined
  /** Bytes written to it that the system has not taken yet. */
  bufferedBytes (): number
  /** Bytes that the system has taken since it was opened. */
  takenBytes (): number
  /** Called once, when nothing can come or go any more. */
  onClose (listener: () => void): void
}

export interface ConnectionOptions {
  readonly wire: Wire
  readonly limits: Limits
  readonly clock: Clock
  readonly log: Logger
  readonly refusals: MqttRefusals
  readonly trials: Trials
  /** Nothing is left of it: the socket is closed, and what came before was carried out. */
  over (): void
}

interface PendingReceipt { packetId: number, qos: number }

export class MqttConnection implements Link {
  readonly wire: Wire
  /** As the client asked for in CONNECT; Aedes is told otherwise, see aedes.ts. */
  clean = true
  /** As the protocol level of CONNECT says (0x83, 0x84): it gets the messages of others only, retain flags as sent. */
  isBridge = false
  /** Who it is, once let in. */
  peer: Peer | undefined
  attachment: Attachment | undefined
  /** Why CONNECT is to be refused: a return code of CONNACK (3.2.2.3). */
  refusal: number | undefined
  readonly guard: FrameGuard
  readonly refusals: MqttRefusals
  gate: PacketGate | undefined
  intake: Intake | undefined
  heardAt: TimeMs
  /** Of its CONNECT among all. */
  order = 0
  /** How often something was written to it. */
  writes = 0
  /** After a connection that ended with something unanswered: decides what is written, until that is answered. */
  #trial: Trial | undefined
  readonly #socket: Duplex
  readonly #limits: Limits
  readonly #clock: Clock
  readonly #log: Logger
  readonly #trials: Trials
  readonly #over: () => void
  #receipts: PendingReceipt[] = []
  /** Bytes of messages that wait for the disk. */
  #pendingBytes = 0
  #pendingMessages = 0
  #isPaused = false
  #pause = (): void => {}
  #resume = (): void => {}
  #changed = (): void => {}
  #cancelStall: (() => void) | undefined
  #isClosed = false
  #isDead = false

  constructor (options: ConnectionOptions) {
    this.wire = options.wire
    this.guard = new FrameGuard(options.limits.connectPacketBytesMax)
    this.#socket = options.wire.stream
    this.#limits = options.limits
    this.#clock = options.clock
    this.heardAt = options.clock.now()
    this.#log = options.log
    this.refusals = options.refusals
    this.#trials = options.trials
    this.#over = () => { options.over() }
    this.#socket.on('drain', () => {
      this.#cancelStall?.()
      this.#cancelStall = undefined
      this.attachment?.drained()
      this.#flow()
    })
    this.#socket.on('error', (error: Error) => {
      if (this.#isClosed) return
      this.#log.debug({ clientId: this.peer?.clientId, error: error.message }, 'connection closed after an error')
    })
    this.wire.onClose(() => {
      this.#isDead = true
      this.#cancelStall?.()
      if (this.#isClosed) this.#over()
    })
  }

  // --- from the session to the client

  get carrier (): 'mqtt' | 'websocket' { return this.wire.via }
  get remoteAddress (): string { return this.wire.remoteAddress }

  /** Its name is known when CONNECT was accepted. */
  get who (): Who {
    const { peer, remoteAddress } = this
    return { remoteAddress, clientId: peer?.clientId, principal: peer?.principal }
  }

  get writable (): boolean {
    return !this.#isClosed && !this.#isDead && this.#trial?.open !== false &&
      this.wire.bufferedBytes() < this.#limits.writeBufferBytesMax
  }

  get waitingSince (): TimeMs | undefined { return this.#trial?.waitingSince }

  /** CONNACK is out: the session is followed from now on. */
  attach (peer: Peer): void {
    this.#trial = this.#trials.begin(peer, this, (deliveries) => { this.#deliver(deliveries) })
    this.attachment = peer.follow(this)
  }

  /** What an earlier connection ended with is answered, or set aside. */
  tried (): void {
    this.#trial = undefined
    this.attachment?.drained()
  }

  deliver (deliveries: readonly Delivery[]): void {
    if (this.#trial === undefined) this.#deliver(deliveries)
    else this.#trial.take(deliveries)
  }

  #deliver (deliveries: readonly Delivery[]): void {
    if (this.#isClosed) return
    const some = this.isBridge ? this.#bridged(deliveries) : deliveries
    writePublishes(some, (chunk) => { this.#write(chunk) })
  }

  /** A bridge has what it sent itself: as good as acknowledged, or two brokers would send it to and fro for ever. */
  #bridged (deliveries: readonly Delivery[]): readonly Delivery[] {
    const own = this.peer?.clientId
    const [known, others]: [Delivery[], Delivery[]] = [[], []]
    for (const delivery of deliveries) {
      const { packetId, qos, dup, retain, message } = delivery
      if (message.publisher === own) known.push(delivery)
      else others.push({ packetId, qos, dup, message, retain: retain || message.retain })
    }
    queueMicrotask(() => { // a link does not call back at once
      for (const { qos, packetId } of known) if (qos > 0) this.acknowledge(packetId)
    })
    return others
  }

  release (packetId: PacketId): void { this.#write(pubrel(packetId)) }

  gap (count: number, reason: GapReason): void {
    this.#log.warn({ clientId: this.peer?.clientId, count, reason },
      'session lost messages; it is told if it subscribes to ' + GAP_TOPIC)
    const { peer } = this
    if (peer?.hasFilter(GAP_TOPIC) !== true) return
    const payload = Buffer.from(JSON.stringify({ count, reason }))
    const { clientId: publisher, principal } = peer
    const message = { ...NOTICE, payload, time: this.#clock.now(), publisher, principal }
    this.deliver([{ packetId: 0 as PacketId, qos: 0, dup: false, retain: false, message }])
  }

  close (reason: CloseReason): void {
    if (this.#isClosed) return
    this.#log.info({ clientId: this.peer?.clientId, reason }, 'connection closed by the server')
    this.intake?.stop()
    this.#socket.destroy()
    this.#end(reason)
  }

  /** PUBACK or PUBCOMP. */
  acknowledge (packetId: PacketId): void {
    this.attachment?.acknowledge(packetId)
    this.#trial?.proven(packetId)
  }

  /** PUBREC. */
  async received (packetId: PacketId): Promise<void> {
    this.#trial?.proven(packetId)
    await this.attachment?.received(packetId)
  }

  /** What is out under an identifier asks for another answer; an answer to what is not out is nothing wrong. */
  wrongAnswer (answer: Answer, packetId: PacketId): string | undefined {
    const awaited = this.attachment?.awaits(packetId)
    if (awaited === undefined || awaited === answer) return undefined
    if (awaited === 'pubcomp' && answer === 'pubrec') return undefined // again: it has not seen PUBREL yet
    return `${answer.toUpperCase()} for a message that waits for ${awaited.toUpperCase()} [MQTT-3.3.4-1]`
  }

  // --- from the broker to the publisher

  /** A message is durable: PUBACK or PUBREC, with those of the same batch in one write [G1]. */
  receipt (packetId: number, qos: number): void {
    if (this.#receipts.push({ packetId, qos }) > 1) return
    queueMicrotask(() => {
      const receipts = this.#receipts
      this.#receipts = []
      this.#write(writeReceipts(receipts))
    })
  }

  // --- bounds on what it sends [G6]

  /** Bytes have come. */
  heard (): void { this.heardAt = this.#clock.now() }

  /** How reading from the socket is stopped and started again, and who hears that a message is done with. */
  setFlow (pause: () => void, resume: () => void, changed: () => void): void {
    this.#pause = pause
    this.#resume = resume
    this.#changed = changed
  }

  /** Messages that it sent are on their way to the disk. */
  get hasPending (): boolean { return this.#pendingMessages > 0 }

  /** A message has come in; it counts until gave(). */
  took (bytes: number): void {
    this.#pendingBytes += bytes
    this.#pendingMessages++
    this.#flow()
  }

  gave (bytes: number): void {
    this.#pendingBytes -= bytes
    this.#pendingMessages--
    this.#flow()
    this.#changed()
  }

  /** A client that sends faster than the disk writes, or does not take its receipts, is not read for a while. */
  #flow (): void {
    if (this.#isClosed) return
    if (!this.#isPaused) {
      if (!this.#exceeds(1)) return
      this.#isPaused = true
      this.#pause()
    } else if (!this.#exceeds(0.5)) {
      this.#isPaused = false
      this.#resume()
    }
  }

  /** Is it over this share of its bounds? */
  #exceeds (share: number): boolean {
    const { pendingBytesMax, pendingMessagesMax, writeBufferBytesMax } = this.#limits
    return this.#pendingBytes > pendingBytesMax * share || this.#pendingMessages > pendingMessagesMax * share ||
      this.wire.bufferedBytes() > writeBufferBytesMax * share
  }

  // --- its end

  /** The socket is gone: nothing can be answered. What was received is carried out all the same. */
  get isDead (): boolean { return this.#isDead }

  /** All that was received is carried out, or the server has closed it: the session follows it no more. */
  closed (): void { this.#end() }

  #end (reason?: CloseReason): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#cancelStall?.()
    this.#cancelStall = undefined
    if (this.attachment !== undefined) {
      this.#trials.ended(this.peer!, this.#trial, reason)
      this.#trial = undefined
    }
    this.peer?.leave()
    if (this.#isDead) this.#over()
  }

  /** The same; unless there was an error, what was written before goes out, if the client takes it. */
  finish (error?: Error): void {
    this.closed()
    if (error !== undefined || this.#socket.destroyed || this.wire.bufferedBytes() === 0) this.#socket.destroy()
    else {
      this.#socket.end(() => { this.#socket.destroy() })
      this.#watchStall()
    }
  }

  get isClosed (): boolean { return this.#isClosed }

  #write (chunk: Buffer): void {
    if (this.#isClosed || this.#isDead || this.#socket.destroyed) return
    this.writes++
    if (!this.#socket.write(chunk)) this.#watchStall()
  }

  /** A client that takes nothing for stallTimeoutMs is cut [G8]; 'drain' says that it took all. */
  #watchStall (): void {
    if (this.#cancelStall !== undefined) return
    const before = this.wire.takenBytes()
    this.#cancelStall = this.#clock.after(this.#limits.stallTimeoutMs, () => {
      this.#cancelStall = undefined
      if (this.#isDead || this.wire.bufferedBytes() === 0) return
      if (this.wire.takenBytes() > before) this.#watchStall()
      else if (this.#isClosed) this.#socket.destroy()
      else this.close('stalled')
    })
  }
}

const NOTICE = { topic: GAP_TOPIC, qos: 0, retain: false, id: '' } as const
