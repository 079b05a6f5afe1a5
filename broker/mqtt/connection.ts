/** One MQTT connection, over TCP or WebSocket: the link between its socket and its session. */
import type { Duplex } from 'node:stream'
import type { Clock } from '../clock.ts'
import type { Limits } from '../limits.ts'
import type { Logger } from '../logger.ts'
import type { PacketId } from '../message.ts'
import type { Attachment, CloseReason, Delivery, GapReason, Link } from '../session/link.ts'
import type { Session } from '../session/session.ts'
import { GAP_TOPIC } from '../topics.ts'
import { FrameGuard } from './frame-guard.ts'
import type { PacketGate } from './packet-gate.ts'
import { pubrel, writePublishes, writeReceipts } from './encode.ts'

/** A byte stream and what the transport below it knows. */
export interface Wire {
  readonly stream: Duplex
  readonly via: 'mqtt' | 'websocket'
  readonly remoteAddress: string
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
  /** The session was found, but the connection is gone before it was attached. */
  release (session: Session): void
}

interface PendingReceipt { packetId: number, qos: number }

export class MqttConnection implements Link {
  readonly wire: Wire
  /** As the client asked for in CONNECT; Aedes is told otherwise, see aedes.ts. */
  clean = true
  session: Session | undefined
  attachment: Attachment | undefined
  /** Why CONNECT is to be refused: a return code of CONNACK (3.2.2.3). */
  refusal: number | undefined
  readonly guard: FrameGuard
  gate: PacketGate | undefined
  readonly #socket: Duplex
  readonly #limits: Limits
  readonly #clock: Clock
  readonly #log: Logger
  readonly #release: (session: Session) => void
  #receipts: PendingReceipt[] = []
  /** Bytes of messages that wait for the disk. */
  #pendingBytes = 0
  #pendingMessages = 0
  #isPaused = false
  #pause = (): void => {}
  #resume = (): void => {}
  #cancelStall: (() => void) | undefined
  #isClosed = false

  constructor (options: ConnectionOptions) {
    this.wire = options.wire
    this.guard = new FrameGuard(options.limits.connectPacketBytesMax)
    this.#socket = options.wire.stream
    this.#limits = options.limits
    this.#clock = options.clock
    this.#log = options.log
    this.#release = (session) => { options.release(session) }
    this.#socket.on('drain', () => {
      this.#cancelStall?.()
      this.#cancelStall = undefined
      this.attachment?.drained()
      this.#flow()
    })
    this.wire.onClose(() => { this.closed() })
  }

  // --- from the session to the client

  get remoteAddress (): string { return this.wire.remoteAddress }

  get writable (): boolean {
    return !this.#isClosed && this.wire.bufferedBytes() < this.#limits.writeBufferBytesMax
  }

  deliver (deliveries: readonly Delivery[]): void {
    if (this.#isClosed) return
    writePublishes(deliveries, (chunk) => { this.#write(chunk) })
  }

  release (packetId: PacketId): void { this.#write(pubrel(packetId)) }

  gap (count: number, reason: GapReason): void {
    this.#log.warn({ clientId: this.session?.clientId, count, reason },
      'session lost messages to a bound; it is told if it subscribes to ' + GAP_TOPIC)
    if (this.session?.subscriptions.has(GAP_TOPIC) !== true) return
    const payload = Buffer.from(JSON.stringify({ count, reason }))
    const message = { ...NOTICE, payload, time: this.#clock.now(), publisher: this.session.clientId,
      principal: this.session.principal }
    this.deliver([{ packetId: 0 as PacketId, qos: 0, dup: false, retain: false, message }])
  }

  close (reason: CloseReason): void {
    if (this.#isClosed) return
    this.#log.info({ clientId: this.session?.clientId, reason }, 'connection closed by the server')
    this.#socket.destroy()
    this.closed()
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

  /** How reading from the socket is stopped and started again. */
  setFlow (pause: () => void, resume: () => void): void {
    this.#pause = pause
    this.#resume = resume
  }

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

  // --- the socket

  /** The socket is gone. */
  closed (): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#cancelStall?.()
    if (this.attachment !== undefined) this.attachment.detach()
    else if (this.session !== undefined) this.#release(this.session)
  }

  get isClosed (): boolean { return this.#isClosed }

  #write (chunk: Buffer): void {
    if (this.#isClosed || this.#socket.destroyed) return
    if (!this.#socket.write(chunk)) this.#watchStall()
  }

  /** A client that takes nothing for stallTimeoutMs is cut [G8]; 'drain' says that it took all. */
  #watchStall (): void {
    if (this.#cancelStall !== undefined) return
    const before = this.wire.takenBytes()
    this.#cancelStall = this.#clock.after(this.#limits.stallTimeoutMs, () => {
      this.#cancelStall = undefined
      if (this.#isClosed || this.wire.bufferedBytes() === 0) return
      if (this.wire.takenBytes() > before) this.#watchStall()
      else this.close('stalled')
    })
  }
}

const NOTICE = { topic: GAP_TOPIC, qos: 0, retain: false, id: '' } as const
