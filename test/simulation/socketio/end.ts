/**
 * The server's end of a Socket.IO connection: what the bridge does with it, without Socket.IO. The proofs of receipt,
 * the tokens, and the broker are the real ones.
 */
import { Connection, type Channel } from '../../../bridge/socketio/connection.ts'
import { formatToken, readToken } from '../../../bridge/socketio/proof/recovery-offset.ts'
import { ANONYMOUS } from '../../../broker/auth/anonymous.ts'
import { silent } from '../../../broker/logger.ts'
import type { Offset, PacketId } from '../../../broker/message.ts'
import type { Attachment, CloseReason, Delivery, GapReason, Link } from '../../../broker/session/link.ts'
import type { Session } from '../../../broker/session/session.ts'
import type { Connection as Seen } from '../deliveries.ts'
import { describe, publishFor, subscribeFor } from '../requests.ts'
import type { ServerProcess } from '../server.ts'
import { SimulatedEngine, type HeartbeatOptions } from './engine.ts'
import type { Kind } from './kind.ts'
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
  #token: string | undefined
  readonly #asked = new Map<number, PacketId>()

  constructor (server: ServerProcess, line: Line, kind: Kind, heartbeat: HeartbeatOptions, linkBytesMax: number) {
    const { limits } = server.options
    this.#server = server
    this.#kind = kind
    this.engine = new SimulatedEngine({
      ...heartbeat,
      clock: server.clock,
      line,
      protocol: kind.protocol,
      isPolling: kind.transport !== 'websocket',
      message: packet => { this.#handle(packet) }
    })
    this.#connection = new Connection(this.engine, {
      writeBufferBytesMax: linkBytesMax,
      pendingBytesMax: PENDING_BYTES_MAX,
      inflightMessagesMax: limits.inflightMessagesMax,
      eio3InflightMessagesMax: 20 + limits.inflightMessagesMax,
      eio3Proof: kind.proof === 'received' ? 'transport' : 'heartbeat'
    }, server.clock, silent)
    this.#connection.add(this)
    this.engine.on('close', () => { this.#lost() })
    server.accept(this)
  }

  // --- what the session does with it

  get connectSent (): boolean { return this.#connectSent }
  get inflightMax (): number | undefined { return this.#connection.inflightMax }

  get writable (): boolean {
    this.#server.options.referee.working()
    return !this.#isOver && this.#connection.open && this.#connection.writable
  }

  deliver (deliveries: readonly Delivery[]): void {
    if (this.#server.isGone) return
    const { checker, referee } = this.#server.options
    const seen = this.#seen!
    checker.deliveries.sent(seen, deliveries)
    if (referee.violation !== undefined || this.#isOver) return
    for (const delivery of deliveries) this.#deliver(seen, delivery)
  }

  #deliver (seen: Seen, { packetId, qos, dup, retain, message }: Delivery): void {
    const { proof } = this.#kind
    const isAsked = proof === 'ack' && qos > 0
    if ('offset' in message && qos > 0 && !retain) this.#token = formatToken(this.#server.epoch, message.offset)
    if (isAsked) this.#asked.set(this.#server.nextAckId(), packetId)
    this.#send({
      type: 'event',
      sent: { packetId, qos, dup, retain, message },
      token: isAsked ? undefined : this.#token,
      ackId: isAsked ? this.#server.lastAckId : undefined,
      life: seen.life!.number,
      connection: seen.number
    })
    if (qos > 0 && proof !== 'ack') this.#connection.delivered(this, packetId, proof)
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
    this.#isOver = true
    this.#server.clock.after(0, () => {
      if (reason === 'stalled') return this.#connection.cut()
      if (reason !== 'shutdown' && reason !== 'store-unavailable') this.#send({ type: 'disconnect' })
      this.#connection.close()
    })
  }

  // --- what the connection does with it

  proven (packetId: PacketId): void {
    if (this.#hasLeft || this.#server.isGone || this.#attachment === undefined) return
    const { checker } = this.#server.options
    const isWeak = this.#kind.proof === 'received'
    checker.deliveries.proven(this.#seen!, packetId, isWeak ? 'received' : 'handled')
    checker.deliveries.acknowledged(this.#seen!, packetId)
    this.#attachment.acknowledge(packetId)
  }

  left (): void { this.#hasLeft = true }

  drained (): void {
    if (this.#isOver || this.#attachment === undefined) return
    this.#server.options.checker.drained(this.#seen!)
    this.#attachment.drained()
  }

  /** The connection is gone, as the server notices. */
  #lost (): void {
    this.#server.forget(this)
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
      case 'disconnect': return this.#connection.close()
      case 'publish': {
        const { key, topic, padding } = packet
        return publishFor(this.#server, this.#seen!.clientId, { key, topic, padding, qos: 1, retain: false },
          (request, receipt) => { broker.publish(this.#session!, request, receipt) },
          () => { this.#send({ type: 'receipt', key }) }, refused)
      }
      case 'subscribe': return subscribeFor(this.#server, this.#seen!.life!, this.#session, packet.filter, 1, refused)
      case 'unsubscribe':
        return subscribeFor(this.#server, this.#seen!.life!, this.#session, packet.filter, undefined, refused)
      case 'answer': {
        const packetId = this.#asked.get(packet.ackId)
        this.#asked.delete(packet.ackId)
        if (packetId !== undefined) this.proven(packetId)
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
    checker.showing(connection, pid, fresh)
    this.#server.broker.connect({ clientId, principal: ANONYMOUS, clean: false, expiryMs, tag }).then(answer => {
      if (this.#server.isGone) return
      const { session, present } = answer
      checker.connected(call, connection, present)
      if (this.#isOver && random.chance(0.5)) { // it went away meanwhile
        checker.recovered(connection, previous === pid && pid !== undefined && present)
        this.#server.broker.release(session)
        return checker.released(connection)
      }
      const recovered = present && pid !== undefined && previous === pid
      checker.recovered(connection, recovered)
      this.#attach(session, connection, recovered ? readToken(this.#server.epoch, offset) : undefined,
        recovered ? pid : fresh, recovered)
    }, (error: unknown) => {
      if (this.#server.isGone) return
      checker.sessions.failed(call)
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
    if (isExact) checker.receivedThrough(seen, through)
    const connected = (): void => {
      this.#connectSent = true
      this.#send({ type: 'connected', pid, recovered, life: seen.life!.number, isExact })
      this.#connection.connectSent(this)
    }
    if (!recovered) connected()
    this.#attachment = broker.attach(session, this, { receivedThrough: through, atOnce: recovered })
    if (recovered) connected()
    this.#send({ type: 'marker', token: this.#token ?? formatToken(this.#server.epoch, this.#attachment.position) })
    if (!this.#connection.open) this.#lost()
  }

  /** A request failed for a reason that the broker reports on purpose: the connection ends, the client tries again. */
  #refused (what: string, error: unknown): void {
    describe(this.#server, this.#seen?.clientId, what, error)
    this.#connection.close()
  }
}
