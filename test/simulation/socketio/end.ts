/**
 * The server's end of a Socket.IO connection: what the bridge does with it, without Socket.IO. The proofs of receipt,
 * the tokens, and the broker are the real ones.
 */
import { Connection, type Channel } from '../../../bridge/socketio/connection.ts'
import { CONTROL_ID, type Trial } from '../../../broker/session/poison.ts'
import { ApplicationAcks } from '../../../bridge/socketio/proof/application-ack.ts'
import { formatToken, readToken } from '../../../bridge/socketio/proof/recovery-offset.ts'
import { ANONYMOUS } from '../../../broker/auth/anonymous.ts'
import { silent } from '../../../broker/system/logger.ts'
import { Refusals } from '../../../broker/system/refusals.ts'
import type { Offset, PacketId, TimeMs } from '../../../broker/model/message.ts'
import type { Attachment, CloseReason, Delivery, GapReason, Link } from '../../../broker/session/link.ts'
import type { Session } from '../../../broker/session/session.ts'
import type { Connection as Seen } from '../deliveries.ts'
import { describe, publishFor, subscribeFor } from '../requests.ts'
import type { ServerProcess } from '../server.ts'
import { SimulatedEngine, type HeartbeatOptions } from './engine.ts'
import { asksForAck, type Kind } from './kind.ts'
import type { Line } from './line.ts'
import { downward, type ToClient, type ToServer } from './packets.ts'

const PENDING_BYTES_MAX = 1_000_000

export class SocketEnd implements Link, Channel {
  readonly namespace = '/'
  readonly engine: SimulatedEngine
  readonly #server: ServerProcess
  readonly #kind: Kind
  readonly #connection: Connection
  #connectSent = false
  #seen: Seen | undefined
  #session: Session | undefined
  #attachment: Attachment | undefined
  #isOver = false
  /** The client has left: what it says afterwards proves nothing. */
  #hasLeft = false
  /** What the client was sent up to, as far as a token may say so. */
  #place: Offset | undefined
  readonly #acks = new ApplicationAcks()
  /** After a connection that broke: decides what is written, until the message that it broke with is proven. */
  #trial: Trial | undefined
  #hasBegun = false
  #unproven = 0
  /** What broke, if it did, was counted. */
  #isCounted = false

  constructor (server: ServerProcess, line: Line, kind: Kind, heartbeat: HeartbeatOptions, linkBytesMax: number) {
    const { limits } = server.options
    this.#server = server
    this.#kind = kind
    this.engine = new SimulatedEngine({
      ...heartbeat,
      clock: server.broker.clock,
      line,
      protocol: kind.protocol,
      isPolling: kind.transport !== 'websocket',
      isUntimed: kind.isUntimed,
      stepOf: () => this.#connection.step,
      message: packet => { this.#handle(packet) }
    })
    this.#connection = new Connection(this.engine, {
      writeBufferBytesMax: linkBytesMax,
      pendingBytesMax: PENDING_BYTES_MAX,
      inflightMessagesMax: limits.inflightMessagesMax,
      eio3InflightMessagesMax: 20 + limits.inflightMessagesMax,
      eio3Proof: kind.proof === 'received' ? 'transport' : 'heartbeat'
    }, server.broker.clock, new Refusals({ clock: server.broker.clock, log: silent }))
    this.#connection.add(this)
    this.engine.on('close', () => { this.#lost() })
    server.accept(this)
  }

  // --- what the session does with it

  get connectSent (): boolean { return this.#connectSent }
  get inflightMax (): number | undefined { return this.#connection.inflightMax }
  get waitingSince (): TimeMs | undefined { return this.#trial?.waitingSince }

  get writable (): boolean {
    this.#server.options.referee.working()
    return !this.#isOver && this.#connection.open && this.#trial?.open !== false && this.#connection.writable
  }

  deliver (deliveries: readonly Delivery[]): void {
    if (this.#server.isGone) return
    const { checker, referee } = this.#server.options
    checker.deliveries.sent(this.#seen!, deliveries)
    if (referee.violation !== undefined || this.#isOver) return
    if (!this.#hasBegun) this.#begin()
    if (this.#trial === undefined) this.#write(deliveries)
    else this.#trial.take(deliveries)
  }

  #write (deliveries: readonly Delivery[]): void {
    for (const delivery of deliveries) this.#writeOne(this.#seen!, delivery)
  }

  #writeOne (seen: Seen, { packetId, qos, dup, retain, message }: Delivery): void {
    const { proof } = this.#kind
    const offset = 'offset' in message && qos > 0 && !retain ? message.offset : undefined
    const isAsked = qos > 0 && asksForAck(this.#kind, message.topic)
    const ackId = isAsked ? this.#server.ackIdOf(message) : undefined
    if (ackId !== undefined) this.#acks.sent(ackId, packetId, offset)
    else if (offset !== undefined) { // a token must not claim what still waits for the application
      const first = this.#acks.firstOffset
      this.#place = first === undefined || first > offset ? offset : first - 1 as Offset
    }
    this.#send({
      type: 'event',
      sent: { packetId, qos, dup, retain, message },
      token: isAsked ? undefined : this.#token(),
      ackId,
      life: seen.life!.number,
      connection: seen.number
    })
    if (qos === 0) return
    this.#unproven++
    this.#server.options.checker.deliveries.written(seen, packetId, isAsked)
    if (!isAsked) this.#connection.delivered(this, packetId, proof === 'received' ? proof : 'handled')
  }

  #token (): string | undefined {
    return this.#place === undefined ? undefined : formatToken(this.#server.epoch, this.#place)
  }

  // --- a message that breaks the connection again and again

  /** The first delivery: what the last connection broke with comes first. */
  #begin (): void {
    this.#hasBegun = true
    const { clientId } = this.#seen!
    this.#trial = this.#server.suspects.trial(clientId, {
      connection: this.#connection,
      write: deliveries => { this.#write(deliveries) },
      control: () => {
        this.#send({ type: 'marker', token: this.#token() })
        this.#connection.delivered(this, CONTROL_ID)
      },
      setAside: (delivery, attempts) => {
        this.#server.broker.setAside(this.#session!, delivery, attempts)
          .then(isKept => this.#trial?.setAside(isKept), () => this.#trial?.setAside())
      },
      over: () => {
        this.#trial = undefined
        this.#attachment?.drained()
      }
    })
  }

  /** @param onPurpose by the will of one side, not by what the connection carried */
  #broke (onPurpose: boolean): void {
    if (this.#isCounted || this.#seen === undefined) return
    this.#isCounted = true
    if (this.#trial !== undefined) this.#trial.broke(onPurpose)
    else if (!onPurpose && this.#unproven > 0) {
      const now = this.#server.broker.clock.now()
      this.#server.suspects.broke(this.#seen.clientId, now - (this.#session?.window?.openSince ?? now))
    }
  }

  /** Never needed: the bridge subscribes with QoS 1. */
  release (): void {
    this.#server.options.referee.violate('contract', `${this.#seen?.clientId} was sent a PUBREL`)
  }

  gap (count: number, reason: GapReason): void {
    if (!this.#server.isGone) this.#server.options.checker.deliveries.gap(this.#seen!, count, reason)
  }

  close (reason: CloseReason): void {
    if (this.#server.isGone) return
    this.#server.options.checker.closing(this.#seen!, reason)
    this.#broke(reason === 'ended' || reason === 'store-unavailable' || reason === 'shutdown')
    this.#isOver = true
    this.#server.clock.after(0, () => {
      if (reason === 'stalled') return this.#connection.cut()
      if (reason !== 'shutdown' && reason !== 'store-unavailable') this.#send({ type: 'disconnect' })
      this.#connection.close()
    })
  }

  // --- what the connection does with it

  proven (packetId: PacketId): void { this.#proven(packetId, this.#kind.proof === 'received' ? 'received' : 'handled') }

  #proven (packetId: PacketId, level: 'handled' | 'received' | 'answered'): void {
    if (this.#hasLeft || this.#server.isGone || this.#attachment === undefined) return
    if (packetId === CONTROL_ID) return this.#trial?.proven(packetId)
    const { checker } = this.#server.options
    this.#unproven--
    checker.deliveries.proven(this.#seen!, packetId, level)
    checker.deliveries.acknowledged(this.#seen!, packetId)
    this.#attachment.acknowledge(packetId)
    this.#trial?.proven(packetId)
  }

  left (): void {
    this.#broke(true)
    this.#hasLeft = true
  }

  drained (): void {
    if (this.#isOver || this.#attachment === undefined) return
    this.#server.options.checker.drained(this.#seen!)
    this.#attachment.drained()
  }

  /** The connection is gone, as the server notices. */
  #lost (): void {
    this.#server.forget(this)
    if (!this.#server.isGone) this.#broke(this.#connection.closing)
    this.#isOver = true
    if (this.#seen === undefined || this.#server.isGone) return
    const attachment = this.#attachment
    this.#attachment = undefined
    if (attachment === undefined) return
    attachment.detach()
    this.#server.options.checker.detached(this.#seen)
  }

  die (): void {
    this.#isOver = true
    this.#attachment = undefined
    this.engine.die()
  }

  // --- what the client says

  #send (packet: ToClient): void { this.engine.message(downward(packet)) }

  #handle (packet: ToServer): void {
    if (this.#server.isGone) return
    if (packet.type === 'connect') return this.#connect(packet)
    if (this.#session === undefined || this.#attachment === undefined) return
    const { broker } = this.#server
    const refused = (what: string, error: unknown): void => { this.#refused(what, error) }
    switch (packet.type) {
      case 'disconnect': // in a later turn; meanwhile the engine goes on
        this.#server.clock.after(this.#server.options.random.pick([0, 1, 30]), () => { this.#connection.close() })
        return
      case 'publish': {
        const { key, topic, padding, retain } = packet
        return publishFor(this.#server, this.#seen!.clientId, { key, topic, padding, qos: 1, retain },
          (request, receipt) => { broker.publish(this.#session!, request, receipt) },
          () => { this.#send({ type: 'receipt', key }) }, refused)
      }
      case 'subscribe': return subscribeFor(this.#server, this.#seen!.life!, this.#session, packet.filter, 1, refused)
      case 'unsubscribe':
        return subscribeFor(this.#server, this.#seen!.life!, this.#session, packet.filter, undefined, refused)
      case 'answer': {
        const packetId = this.#acks.answered(packet.ackId)
        if (packetId !== undefined) this.#proven(packetId, 'answered')
      }
    }
  }

  #connect ({ clientId, expiryMs, pid, offset }: ToServer & { type: 'connect' }): void {
    const { checker, random } = this.#server.options
    const { call, connection } = checker.connecting(clientId, false, expiryMs, () => this.writable)
    connection.inflightMax = this.inflightMax ?? connection.inflightMax
    connection.isProven = true
    this.#seen = connection
    let previous: string | undefined
    const fresh = `pid-${random.int(1_000_000_000)}`
    const tag = (was: string | undefined): string => {
      previous = was
      return pid !== undefined && was === pid ? pid : fresh
    }
    checker.sockets.showing(connection, pid, fresh)
    this.#server.broker.connect({ clientId, principal: ANONYMOUS, clean: false, expiryMs, tag }).then(answer => {
      if (this.#server.isGone) return
      const { session, present } = answer
      checker.connected(call, connection, present)
      if (this.#isOver && random.chance(0.5)) { // it went away meanwhile
        checker.sockets.recovered(connection, previous === pid && pid !== undefined && present)
        this.#server.broker.release(session)
        return checker.released(connection)
      }
      const recovered = present && pid !== undefined && previous === pid
      checker.sockets.recovered(connection, recovered)
      this.#attach(session, connection, recovered ? readToken(this.#server.epoch, offset) : undefined,
        recovered ? pid : fresh, recovered)
    }, (error: unknown) => {
      if (this.#server.isGone) return
      checker.sessions.failed(call)
      checker.sockets.refused(connection)
      this.#refused('connect', error)
    })
  }

  /** What was missed comes before CONNECT where the client goes on exactly where it was, else after it. */
  #attach (session: Session, seen: Seen, through: Offset | undefined, pid: string, recovered: boolean): void {
    const { checker } = this.#server.options
    const { broker } = this.#server
    this.#session = session
    checker.attached(seen)
    const isExact = through !== undefined && through <= this.#server.options.disk.tail
    if (isExact) checker.sockets.receivedThrough(seen, through)
    const connected = (): void => {
      this.#connectSent = true
      this.#send({ type: 'connected', pid, recovered, life: seen.life!.number, isExact })
      this.#connection.connectSent(this)
    }
    if (!recovered) connected()
    this.#attachment = broker.attach(session, this, { receivedThrough: through, atOnce: recovered })
    if (recovered) connected()
    this.#place ??= this.#attachment.position
    this.#send({ type: 'marker', token: this.#token() })
    if (!this.#connection.open) this.#lost()
  }

  /** A request failed for a reason that the broker reports on purpose: the connection ends, the client tries again. */
  #refused (what: string, error: unknown): void {
    describe(this.#server, this.#seen?.clientId, what, error)
    this.#connection.close()
  }
}
