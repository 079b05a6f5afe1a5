/** A Socket.IO socket as a link of a broker session: deliveries become events, receipts come from the connection. */
import type { Socket } from 'socket.io'
import {
  CONTROL_ID, type Attachment, type Broker, type CloseReason, type Delivery, type Entry, type GapReason, type Link,
  type Offset, type PacketId, type Peer, type Suspects, type TimeMs, type Trial
} from '../../broker/index.ts'
import type { Leftovers } from './admission/leftovers.ts'
import { answerThrough } from './answers.ts'
import type { Channel, Connection } from './connection.ts'
import { ApplicationAcks } from './proof/application-ack.ts'
import type { Endings, EndingsBySession } from './proof/endings.ts'
import type { RecoveryOffset } from './proof/recovery-offset.ts'
import type { Repeats, RepeatsBySession } from './repeats.ts'
import type { Tally } from './tally.ts'
import { NO_ECHO_MARK, OWN_EVENTS } from './translation/translate.ts'
import type { EncodedEvent, NamespaceFrames, SharedEvent } from './wire/frames.ts'
import { privateSocketOf } from './wire/socketio.ts'

/** What all links of a bridge share. */
export interface LinkContext {
  readonly broker: Pick<Broker, 'clock'>
  readonly suspects: Suspects
  readonly repeats: RepeatsBySession
  readonly tally: Tally
  readonly endings: EndingsBySession
  /** Told when events are written before CONNECT, and when the client is through with both. */
  readonly leftovers: Pick<Leftovers, 'begin' | 'end'>
}

export interface SocketLinkOptions {
  readonly socket: Socket
  readonly peer: Peer
  readonly connection: Connection
  readonly frames: NamespaceFrames
  /** Where this client finds its recovery token; 'off' for one that takes none. */
  readonly recoveryOffset: RecoveryOffset
  /** What it brought as one; undefined where that was nothing. */
  readonly told: unknown
  readonly context: LinkContext
}

/** What is gathered for one write. Used again and again: no link is called while another one is. */
const batch: EncodedEvent[] = []

/** The server ends the whole connection: no message is to blame for that. */
const ON_PURPOSE: ReadonlySet<CloseReason> = new Set(['disconnected', 'expired', 'store-unavailable', 'shutdown'])

export class SocketLink implements Link, Channel {
  readonly carrier = 'socketio'
  readonly namespace: string
  connectSent = false
  readonly #socket: Socket
  readonly #peer: Peer
  readonly #connection: Connection
  readonly #frames: NamespaceFrames
  readonly #recoveryOffset: RecoveryOffset
  readonly #context: LinkContext
  /** Of what is in flight: bounded by the window of the session. */
  #repeatKeys: Map<PacketId, string> | undefined
  #acks: ApplicationAcks | undefined
  /** Of messages that a rule leaves out. */
  #ignored: PacketId[] | undefined
  /** What the client was sent up to, as far as a token may say so. */
  #place: Offset | undefined
  /** The last event that was written brings no token and should have one behind it. */
  #owesToken = false
  /** What the client told when it came. */
  readonly #told: unknown
  #endings: Endings | undefined
  /** After a connection that broke: decides what is written, until the message that it broke with is proven. */
  #trial: Trial | undefined
  /** Version 2. */
  readonly #isOld: boolean
  #hasBegun = false
  #isEarly = false
  /** Written, and neither proven nor left out. */
  #unproven = 0
  #attachment: Attachment | undefined
  #left = false
  #isOver = false

  constructor ({ socket, peer, connection, frames, recoveryOffset, told, context }: SocketLinkOptions) {
    this.namespace = socket.nsp.name
    this.#socket = socket
    this.#peer = peer
    this.#connection = connection
    this.#frames = frames
    this.#recoveryOffset = recoveryOffset
    this.#told = told
    this.#isOld = connection.engine.protocol === 3
    this.#context = context
    answerThrough(socket, connection, frames)
  }

  /** Deliveries may have come before; receipts can't. */
  attached (attachment: Attachment): void {
    this.#attachment = attachment
    this.#place ??= attachment.position
  }

  /** The CONNECT packet is written: what was delivered before it is proven with what comes. */
  connected (): void {
    this.connectSent = true
    this.#connection.connectSent(this)
  }

  /** One of the bridge's own events. It brings a token, so that a client has one before its first message. */
  tell (event: string, argument: object): void {
    const told = { event: `${OWN_EVENTS}${event}`, args: [argument] }
    this.#connection.wire.write(this.#frames.encode(told, this.#token()))
  }

  detach (): void {
    this.#over(this.#connection.closing)
    this.#left = true
    if (this.#attachment !== undefined) this.#peer.leave()
  }

  get remoteAddress (): string {
    return this.#socket.handshake.address
  }

  get writable (): boolean {
    return this.#trial?.open !== false && this.#connection.writable
  }

  get roomBytes (): number { return this.#connection.roomBytes }
  get roomMessages (): number | undefined { return this.#connection.roomMessages }
  get inflightMax (): number | undefined { return this.#connection.inflightMax }
  get waitingSince (): TimeMs | undefined { return this.#trial?.waitingSince }

  deliver (deliveries: readonly Delivery[]): void {
    if (!this.#hasBegun) this.#begin()
    if (!this.connectSent && !this.#isEarly) {
      this.#isEarly = true
      this.#context.leftovers.begin(this.#peer.clientId)
    }
    if (this.#trial === undefined) this.#write(deliveries)
    else this.#trial.take(deliveries)
  }

  #write (deliveries: readonly Delivery[]): void {
    const { wire } = this.#connection
    const { takesBinary, isTorn } = wire
    let isDirect = wire.direct
    const last = deliveries.at(-1)
    for (const delivery of deliveries) {
      const { message, qos, packetId, retain } = delivery
      let shared = this.#frames.of(message)
      if (this.#isOld && shared.forged !== undefined) {
        shared = shared.forged
        this.#context.tally.note('forged', { session: this.#peer.clientId, topic: message.topic.slice(0, 200) },
          'a message would pass for an event of the client\'s own life in version 2; the client is told ' +
          'holdfast:undeliverable instead. Use another name for the event')
      }
      const { repeatKey, level, ignored } = shared.event
      if (ignored || (message.publisher === this.#peer.clientId && message.id.startsWith(NO_ECHO_MARK))) {
        if (qos > 0) this.#acknowledgeSoon(packetId)
        continue
      }
      const { offset } = message as Partial<Entry>
      // a retained message that a new subscription asks for is no repeat of the one that was delivered live
      const isRepeated = repeatKey !== undefined && !retain && this.#repeats.repeated(repeatKey, this) // [G4]
      const asks = level === 'ack' && qos > 0 && !isRepeated
      if (!isRepeated) {
        const event = asks
          ? this.#asking(shared, packetId, offset)
          : this.#encoded(shared, offset, isTorn, delivery === last)
        if (this.#recoveryOffset === 'event' && !asks) this.#ends(shared, qos === 0 ? undefined : packetId)
        if (event.token !== undefined) this.#owesToken = false
        else if (offset !== undefined || shared.ending !== undefined) this.#owesToken = true
        if (event.isBinary) this.#connection.carriesBytes()
        if (isDirect && (takesBinary || !event.isBinary)) batch.push(event)
        else {
          this.#writeBatch()
          wire.write(event)
          isDirect = wire.direct
        }
      }
      if (qos === 0) continue
      this.#unproven++
      if (repeatKey !== undefined) (this.#repeatKeys ??= new Map()).set(packetId, repeatKey)
      if (!asks) this.#connection.delivered(this, packetId, level === 'received' ? level : 'handled')
    }
    // what waits for a poll, or for the end of an upgrade, has one for all behind it when it goes out: owed()
    if (isTorn) this.#carryToken(isDirect)
    this.#writeBatch()
  }

  #writeBatch (): void {
    if (batch.length === 0) return
    this.#connection.wire.writeFrames(batch)
    batch.length = 0
  }

  #encoded (shared: SharedEvent, offset: Offset | undefined, isTorn: boolean, isLast: boolean): EncodedEvent {
    const isFree = this.#acks === undefined || this.#acks.count === 0
    if (offset !== undefined) this.#place = isFree ? offset : this.#provable(offset)
    switch (this.#recoveryOffset) {
      case 'off':
        return shared.plain
      case 'event': // then nobody can make a client take his argument for a place in the log
        if (shared.endsInToken) break
        // one for all of them is enough where they come together or not at all, or where what they end in says as much
        if (!isTorn || offset === undefined || !isFree) return shared.plain
        return isLast || shared.ending === undefined || this.#ended.has(shared.ending)
          ? shared.followed(offset)
          : shared.plain
    }
    if (offset !== undefined && isFree) return shared.placed(offset)
    const token = this.#token()
    return token === undefined ? shared.plain : shared.marked(token)
  }

  /** The client answers it by the number that it carries. */
  #asking (shared: SharedEvent, packetId: PacketId, offset: Offset | undefined): EncodedEvent {
    const { encoded, ackId } = shared.asking()
    const acks = (this.#acks ??= new ApplicationAcks())
    acks.sent(ackId, packetId, offset)
    privateSocketOf(this.#socket).acks.set(ackId, () => {
      const answered = acks.answered(ackId)
      if (answered !== undefined) this.proven(answered)
    })
    return encoded
  }

  /** Until the token is there that follows the event, the client may take the end of it for one. */
  #ends ({ ending, endsInToken }: SharedEvent, packetId: PacketId | undefined): void {
    if (ending !== undefined && !endsInToken) this.#ended.wrote(ending, this.#place, packetId)
  }

  get #ended (): Endings {
    return (this.#endings ??= this.#context.endings.begin(this.#peer.clientId, this.#told))
  }

  foreign (): void {
    if (this.#recoveryOffset === 'event') this.#ended.wroteUnknown(this.#place)
  }

  /** A token that names this place or one behind it must not count for what waits for the application's ack. */
  #provable (offset: Offset): Offset {
    const first = this.#acks?.firstOffset
    return first === undefined || first > offset ? offset : first - 1 as Offset
  }

  /** Of the place where the client is; undefined where it takes none, or none is known. */
  #token (): string | undefined {
    if (this.#recoveryOffset === 'off' || this.#place === undefined) return undefined
    return this.#frames.tokenOf(this.#place)
  }

  #carryToken (isDirect: boolean): void {
    const offset = this.pendingOffset()
    if (offset === undefined) return
    if (isDirect) batch.push(offset)
    else this.#connection.wire.write(offset)
  }

  pendingOffset (): EncodedEvent | undefined {
    if (!this.#owesToken || this.#recoveryOffset !== 'event') return undefined
    const token = this.#token()
    if (token === undefined) return undefined
    this.#owesToken = false
    return this.#frames.offsetEvent(token)
  }

  /** What the client never sees needs no proof; a link must not call back while the session calls it. */
  #acknowledgeSoon (packetId: PacketId): void {
    if (this.#ignored !== undefined) {
      this.#ignored.push(packetId)
      return
    }
    const ignored = this.#ignored = [packetId]
    queueMicrotask(() => {
      this.#ignored = undefined
      if (!this.#left) for (const one of ignored) this.#handled(one)
    })
  }

  /** What the session remembers, which only few sessions need. */
  get #repeats (): Repeats {
    return this.#context.repeats.of(this.#peer.clientId)
  }

  /** Never needed: the bridge subscribes with QoS 1, so nothing is delivered with QoS 2. */
  release (): void {}

  gap (count: number, reason: GapReason): void {
    this.tell('gap', { count, reason }) // [G5]
  }

  /** Its client answers with `holdfast:token`, or is closed when the time is over. */
  expiring (leftMs: number): void { this.tell('renew', { leftMs }) }

  close (reason: CloseReason): void {
    // Closing tells the session that the connection is gone; a link must not do that while the session calls it.
    if (reason === 'taken-over') this.#connection.superseded()
    const isDeaf = reason === 'taken-over' && this.#connection.inDoubt // and no message is to blame
    this.#over(isDeaf || reason === 'ended' || ON_PURPOSE.has(reason))
    setImmediate(() => this.#close(reason))
  }

  // --- a message that breaks the connection again and again (broker/session/poison.ts)

  /** None for a session that ends with its connection: nothing of it is sent twice. */
  get #suspects (): Suspects | undefined {
    return this.#peer.clean ? undefined : this.#context.suspects
  }

  /** The first delivery: what the last connection broke with comes first. */
  #begin (): void {
    this.#hasBegun = true
    this.#trial = this.#suspects?.trial(this.#peer.clientId, {
      connection: this.#connection,
      write: (deliveries) => { this.#write(deliveries) },
      control: (bytes) => {
        this.tell('probe', { padding: '.'.repeat(bytes) })
        this.#connection.delivered(this, CONTROL_ID)
      },
      setAside: (delivery, attempts) => {
        this.#peer.setAside(delivery, attempts)
          .then(isKept => this.#trial?.setAside(isKept), () => this.#trial?.setAside())
      },
      over: () => {
        this.#trial = undefined
        this.#attachment?.drained()
      }
    })
  }

  /** The connection is gone, or about to go; `onPurpose`: by the will of one side, not by what it carried. */
  #over (onPurpose: boolean): void {
    if (this.#isOver) return
    this.#isOver = true
    if (this.#trial !== undefined) this.#trial.broke(onPurpose)
    else if (!onPurpose && this.#unproven > 0) this.#suspects?.broke(this.#peer.clientId, this.#openMs)
  }

  /** How long the oldest that was written waits for its proof. */
  get #openMs (): number {
    const now = this.#context.broker.clock.now()
    return now - (this.#peer.openSince ?? now)
  }

  proven (packetId: PacketId): void {
    if (this.#left) return
    if (packetId === CONTROL_ID) {
      this.#trial?.proven(packetId)
      return
    }
    if (this.#isEarly) { // a probe that was asked for behind CONNECT
      this.#isEarly = false
      this.#context.leftovers.end(this.#peer.clientId)
    }
    this.#unproven--
    this.#endings?.proven(packetId)
    const repeatKey = this.#repeatKeys?.get(packetId)
    if (repeatKey !== undefined) {
      this.#repeatKeys!.delete(packetId)
      this.#repeats.proven(repeatKey)
    }
    this.#handled(packetId)
  }

  #handled (packetId: PacketId): void {
    this.#attachment?.acknowledge(packetId)
    this.#trial?.proven(packetId)
  }

  left (): void {
    this.#over(true)
    this.#left = true
  }

  drained (): void {
    this.#attachment?.drained()
  }

  #close (reason: CloseReason): void {
    switch (reason) {
      case 'taken-over':
      case 'ended':
      case 'protocol':
        // The client sees 'io server disconnect' and stays away until its application connects again: two clients
        // with one name would otherwise throw each other out for ever. 'io server disconnect' does not say why.
        this.tell('closed', { reason })
        this.#socket.disconnect()
        if (this.#connection.channelCount === 0) this.#connection.close()
        break
      case 'stalled':
        this.#connection.cut()
        break
      case 'disconnected':
      case 'expired': // its client comes back by itself, and asks its application for new credentials
      case 'store-unavailable':
      case 'shutdown':
        this.#connection.close()
    }
  }
}
