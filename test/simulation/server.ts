/** A server process and its ends of the wires: what the MQTT transport does, without MQTT. */
import { Suspects } from '../../broker/session/poison.ts'
import { ANONYMOUS, everybody } from '../../broker/auth/anonymous.ts'
import type { Core } from '../../broker/core.ts'
import { createCore } from '../../broker/holdfast-broker.ts'
import type { Limits } from '../../broker/model/limits.ts'
import { silent } from '../../broker/system/logger.ts'
import { messageBytes, type ClientId, type Message, type Offset, type PacketId, type QoS
} from '../../broker/model/message.ts'
import type { Attachment, CloseReason, Delivery, GapReason, Link } from '../../broker/session/link.ts'
import type { Session } from '../../broker/session/session.ts'
import type { Checker } from './checker.ts'
import type { ProcessClock, VirtualClock } from './clock.ts'
import type { Connection } from './deliveries.ts'
import type { SimulatedDisk } from './disk.ts'
import type { Referee } from './referee.ts'
import type { Random } from './random.ts'
import type { Scenario } from './scenario.ts'
import { ConnectionWill } from './wills.ts'
import { describe, publishFor, subscribeFor } from './requests.ts'
import type { ToClient, ToServer } from './wire.ts'

/** How long a link has to hold at least before a message is tried on it. */
const HOLD_MS_MIN = 20

export interface ServerOptions {
  readonly clock: VirtualClock
  readonly disk: SimulatedDisk
  readonly limits: Limits
  readonly checker: Checker
  readonly referee: Referee
  readonly random: Random
  readonly scenario: Scenario
}

/** What a connection is to the process that it ends in. */
export interface End {
  /** The process has died. */
  die (): void
}

/** So little in one turn that others come in between everywhere, or all that a world has. */
const TURN_UNITS = [1, 25, 8_000] as const

export class ServerProcess {
  readonly broker: Core
  readonly options: ServerOptions
  readonly clock: ProcessClock
  #state: 'starting' | 'open' | 'stopping' | 'gone' = 'starting'
  readonly #ends = new Set<End>()
  /** The connection whose will was put last, of each client. */
  readonly lastWill = new Map<ClientId, ConnectionWill>()
  /** Who a broken connection is held against. */
  readonly suspects: Suspects
  /** Of the events that ask the application for an answer; a process begins anywhere. */
  #lastAckId: number
  #isClockDoubted = false
  readonly #ackIds = new WeakMap<Message, number>()

  constructor (options: ServerOptions) {
    this.options = options
    this.clock = options.clock.forProcess()
    this.#lastAckId = options.random.int(1_000_000_000)
    const { redeliveriesMax } = options.scenario.sockets
    let made = 0
    this.broker = createCore({
      store: options.disk.mount(this.clock),
      auth: everybody,
      limits: options.limits,
      clock: this.clock,
      makeId: () => `made-${++made}`,
      turnUnits: TURN_UNITS[this.#lastAckId % TURN_UNITS.length]
    })
    this.suspects = new Suspects({
      clock: this.broker.clock,
      log: silent,
      limits: { ...options.limits, redeliveriesMax, trialHoldMs: HOLD_MS_MIN }
    })
    options.checker.started()
    this.broker.events.on('session-ended', ({ clientId, reason }) => {
      options.referee.working()
      options.checker.sessions.told(clientId, reason)
    })
    this.broker.events.on('clock-set', () => { options.referee.count('clock set') })
    this.broker.events.on('clock-doubted', ({ why }) => {
      options.referee.count(`clock doubted: ${why}`)
      this.#isClockDoubted = true
    })
    this.broker.events.on('set-aside', ({ clientId, id, topic, attempts }) => {
      options.checker.sockets.setAside(clientId, topic, Number(id) as Offset, attempts)
    })
  }

  get isOpen (): boolean { return this.#state === 'open' }
  get isGone (): boolean { return this.#state === 'gone' }

  /** Opens the broker and calls back; a process that can't open is a defect. */
  start (opened: () => void): void {
    this.broker.open().then(() => {
      if (this.#state !== 'starting') return
      this.#state = 'open'
      opened()
      this.options.checker.opened(this.#isClockDoubted)
    }, (error: unknown) => { this.options.referee.violate('crash', `open() failed: ${textOf(error)}`) })
  }

  crash (): void {
    this.#state = 'gone'
    this.clock.kill()
    this.options.checker.crashed()
    this.options.disk.crash()
    for (const end of this.#ends) end.die()
  }

  /** An orderly stop; calls back when it is over. */
  stop (stopped: () => void): void {
    this.#state = 'stopping'
    const sinceMs = this.options.referee.nowMs
    this.broker.close().then(() => {
      if (this.#state === 'gone') return
      this.#state = 'gone'
      this.clock.kill()
      this.options.checker.stopped(sinceMs)
      for (const end of this.#ends) end.die()
      stopped()
    }, (error: unknown) => { this.options.referee.violate('crash', `close() failed: ${textOf(error)}`) })
  }

  get epoch (): string { return this.broker.epoch }

  /** The same for the same message while the process lives. */
  ackIdOf (message: Message): number {
    let ackId = this.#ackIds.get(message)
    if (ackId === undefined) this.#ackIds.set(message, ackId = ++this.#lastAckId)
    return ackId
  }

  accept (end: End): void { this.#ends.add(end) }
  forget (end: End): void { this.#ends.delete(end) }
}

/** The wire to the client, as the server writes to it. */
export interface Downstream {
  readonly writable: boolean
  send (packet: ToClient, bytes?: number): void
  /** The server closes the connection, or its process has died. */
  closed (): void
}

export class ServerEnd implements Link, End {
  readonly #server: ServerProcess
  readonly #down: Downstream
  #isOpen = true
  #connection: Connection | undefined
  #session: Session | undefined
  #attachment: Attachment | undefined
  #will: ConnectionWill | undefined
  #hasTakenLeave = false

  constructor (server: ServerProcess, down: Downstream) {
    this.#server = server
    this.#down = down
    server.accept(this)
  }

  // --- what the session does with it

  get writable (): boolean {
    this.#server.options.referee.working()
    return this.#isOpen && this.#down.writable
  }

  deliver (deliveries: readonly Delivery[]): void {
    if (this.#server.isGone) return
    const { checker, referee } = this.#server.options
    checker.deliveries.sent(this.#connection!, deliveries)
    if (referee.violation !== undefined || !this.#isOpen) return
    const copies = deliveries.map(({ packetId, qos, dup, retain, message }) =>
      ({ packetId, qos, dup, retain, message }))
    this.#down.send({ type: 'deliver', deliveries: copies },
      deliveries.reduce((bytes, { message }) => bytes + messageBytes(message), 0))
  }

  release (packetId: PacketId): void {
    if (this.#server.isGone) return
    this.#server.options.checker.deliveries.released(this.#connection!, packetId)
    this.#down.send({ type: 'release', packetId })
  }

  gap (count: number, reason: GapReason): void {
    if (!this.#server.isGone) this.#server.options.checker.deliveries.gap(this.#connection!, count, reason)
  }

  close (reason: CloseReason): void {
    if (this.#server.isGone) return
    this.#server.options.checker.closing(this.#connection!, reason)
    this.#down.send({ type: 'closed', reason })
    // The transport takes a moment to notice that its own socket is closed.
    const { clock, random } = this.#server.options
    clock.after(random.chance(0.5) ? 0 : random.between(1, 30), () => { this.lost() })
    this.#isOpen = false
  }

  // --- what the wire does with it

  /** The connection is gone, as the server notices. */
  lost (): void {
    this.#server.forget(this)
    this.#isOpen = false
    if (this.#connection === undefined || this.#server.isGone) return
    this.#will?.over(this.#hasTakenLeave)
    this.#will = undefined
    const attachment = this.#attachment
    this.#attachment = undefined
    if (attachment !== undefined) {
      attachment.detach()
      this.#server.options.checker.detached(this.#connection)
    }
    this.#down.closed()
  }

  /** The process has died: the other end hears of it, the broker does nothing any more. */
  die (): void {
    this.#isOpen = false
    this.#attachment = undefined
    this.#down.closed()
  }

  drained (): void {
    if (!this.#isOpen || this.#attachment === undefined) return
    this.#server.options.checker.drained(this.#connection!)
    this.#attachment.drained()
  }

  handle (packet: ToServer): void {
    if (this.#server.isGone) return
    // What had been read when the server closed the connection may still be handed on.
    if (!this.#isOpen && packet.type === 'acknowledge') this.#attachment?.acknowledge(packet.packetId)
    if (!this.#isOpen) return
    if (packet.type === 'connect') return this.#connect(packet)
    if (this.#session === undefined || this.#attachment === undefined) return
    switch (packet.type) {
      case 'publish': return this.#publish(packet)
      case 'completed': return this.#complete(packet.packetId)
      case 'acknowledge':
        this.#server.options.checker.deliveries.acknowledged(this.#connection!, packet.packetId)
        return this.#attachment.acknowledge(packet.packetId)
      case 'received': return this.#received(packet.packetId)
      case 'subscribe': return this.#subscribe(packet.filter, packet.qos)
      case 'unsubscribe': return this.#subscribe(packet.filter, undefined)
      case 'disconnect':
        this.#hasTakenLeave = true
        return this.lost()
    }
  }

  #connect ({ clientId, clean, expiryMs, hasWill }: ToServer & { type: 'connect' }): void {
    const { checker, random } = this.#server.options
    const { call, connection } = checker.connecting(clientId, clean, expiryMs, () => this.writable)
    this.#connection = connection
    this.#server.broker.connect({ clientId, principal: ANONYMOUS, clean, expiryMs }).then(({ session, present }) => {
      if (this.#server.isGone) return
      checker.connected(call, connection, present)
      if (!this.#isOpen && random.chance(0.5)) { // it went away meanwhile
        this.#server.broker.release(session)
        return checker.released(connection)
      }
      this.#session = session
      // Not in a takeover: the record of the old will is gone before that is published, and a put() that a full disk
      // refuses forgets which one is written down; a kill then loses the old one, or has it published twice.
      const isTakeover = this.#server.lastWill.get(clientId)?.isOver === false
      if (!hasWill || isTakeover) return this.#attach(session, connection, present)
      const will = new ConnectionWill(this.#server, clientId)
      will.put().then(() => { // before CONNACK
        if (this.#server.isGone) return
        this.#will = will
        this.#attach(session, connection, present)
      }, (error: unknown) => {
        if (this.#server.isGone) return
        checker.wills.leaving(will.message)
        will.isOver = true
        this.#server.broker.release(session)
        checker.released(connection)
        this.#refused('will', error)
      })
    }, (error: unknown) => {
      if (this.#server.isGone) return
      checker.sessions.failed(call)
      this.#refused('connect', error)
    })
  }

  #attach (session: Session, connection: Connection, present: boolean): void {
    const { checker } = this.#server.options
    const { number, doubts } = connection.life!
    this.#down.send({ type: 'connected', present, life: number, doubts })
    checker.attached(connection)
    this.#attachment = this.#server.broker.attach(session, this)
    if (!this.#isOpen) this.lost()
  }

  #publish ({ key, topic, qos, padding, retain, packetId }: ToServer & { type: 'publish' }): void {
    const { broker } = this.#server
    publishFor(this.#server, this.#connection!.clientId, { key, topic, qos, padding, retain },
      (request, receipt) => {
        if (qos === 2) broker.publishOnce(this.#session!, packetId, request, receipt)
        else broker.publish(this.#session!, request, receipt)
      },
      () => { if (this.#isOpen) this.#down.send({ type: 'receipt', key }) },
      (what, error) => { this.#refused(what, error) })
  }

  #complete (packetId: PacketId): void {
    this.#server.broker.releaseIncoming(this.#session!, packetId).then(() => {
      if (this.#isOpen) this.#down.send({ type: 'completed', packetId })
    }, (error: unknown) => { this.#refused('release', error) })
  }

  #received (packetId: PacketId): void {
    const { checker } = this.#server.options
    this.#attachment!.received(packetId).then(() => {
      if (this.#server.isGone) return
      checker.receivedDurably(this.#connection!, packetId)
      if (this.#isOpen) this.#down.send({ type: 'release', packetId })
    }, (error: unknown) => { this.#refused('received', error) })
  }

  #subscribe (filter: string, qos: QoS | undefined): void {
    subscribeFor(this.#server, this.#connection!.life!, this.#session!, filter, qos,
      (what, error) => { this.#refused(what, error) })
  }

  /** A request failed for a reason that the broker reports on purpose: the connection ends, the client tries again. */
  #refused (what: string, error: unknown): void {
    describe(this.#server, this.#connection?.clientId, what, error)
    if (!this.#isOpen) return
    this.#down.send({ type: 'closed', reason: 'refused' })
    this.lost()
  }
}

function textOf (error: unknown): string {
  return error instanceof Error ? error.stack ?? error.message : String(error)
}
