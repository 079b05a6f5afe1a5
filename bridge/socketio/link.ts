/** A Socket.IO socket as a link of a broker session: deliveries become events, receipts come from the connection. */
import type { Socket } from 'socket.io'
import type { Attachment, CloseReason, Delivery, GapReason, Link, PacketId } from '../../broker/index.ts'
import type { Channel, Connection } from './connection.ts'
import { privateOf } from './engine.ts'
import { Joiner, NamespaceFrames } from './frames.ts'
import type { Repeats } from './repeats.ts'
import type { NamespaceRules } from './rules/rules.ts'
import { OWN_EVENTS } from './translate.ts'
import { Wire } from './wire.ts'

const framesByRules = new WeakMap<NamespaceRules, NamespaceFrames>()

function framesOf ({ nsp }: Socket, rules: NamespaceRules): NamespaceFrames {
  let frames = framesByRules.get(rules)
  if (frames === undefined) {
    const { server: { encoder } } = privateOf(nsp)
    frames = new NamespaceFrames({
      namespace: nsp.name, rules, encoder, epoch: '', nextAckId: () => privateOf(nsp)._ids++
    })
    framesByRules.set(rules, frames)
  }
  return frames
}

export class SocketLink implements Link, Channel {
  readonly namespace: string
  /** It is attached afterwards. */
  readonly connectSent = true
  readonly #socket: Socket
  readonly #connection: Connection
  readonly #repeats: () => Repeats
  readonly #frames: NamespaceFrames
  readonly #wire: Wire
  /** Of messages that a rule leaves out. */
  readonly #ignored: PacketId[] = []
  /** Of what is in flight: bounded by the window of the session. */
  readonly #repeatKeys = new Map<PacketId, string>()
  #attachment: Attachment | undefined
  #left = false

  /** `repeats` gives what the session remembers, which only few sessions need. */
  constructor (socket: Socket, connection: Connection, rules: NamespaceRules, repeats: () => Repeats) {
    this.namespace = socket.nsp.name
    this.#socket = socket
    this.#connection = connection
    this.#frames = framesOf(socket, rules)
    this.#wire = new Wire(connection.engine, new Joiner())
    this.#repeats = repeats
  }

  /** Deliveries may have come before; receipts can't. */
  attached (attachment: Attachment): void {
    this.#attachment = attachment
  }

  detach (): void {
    this.#left = true
    this.#attachment?.detach()
  }

  get writable (): boolean {
    return this.#connection.writable
  }

  get inflightMax (): number | undefined {
    return this.#connection.inflightMax
  }

  deliver (deliveries: readonly Delivery[]): void {
    for (const { message, qos, packetId } of deliveries) {
      const shared = this.#frames.of(message)
      const { repeatKey, level, ignored } = shared.event
      if (ignored) {
        if (qos > 0) this.#acknowledgeSoon(packetId)
        continue
      }
      const isRepeated = repeatKey !== undefined && this.#repeats().repeated(repeatKey, this) // [G4]
      if (!isRepeated) this.#wire.write(shared.plain)
      if (qos === 0) continue
      if (repeatKey !== undefined) this.#repeatKeys.set(packetId, repeatKey)
      this.#connection.delivered(this, packetId, level === 'received' ? level : 'handled')
    }
  }

  /** What the client never sees needs no proof; a link must not call back while the session calls it. */
  #acknowledgeSoon (packetId: PacketId): void {
    if (this.#ignored.push(packetId) > 1) return
    queueMicrotask(() => {
      for (const ignored of this.#ignored.splice(0)) this.#attachment?.acknowledge(ignored)
    })
  }

  /** Never needed: the bridge subscribes with QoS 1, so nothing is delivered with QoS 2. */
  release (): void {}

  gap (count: number, reason: GapReason): void {
    this.#socket.emit(`${OWN_EVENTS}gap`, { count, reason }) // [G5]
  }

  close (reason: CloseReason): void {
    // Closing tells the session that the connection is gone; a link must not do that while the session calls it.
    setImmediate(() => this.#close(reason))
  }

  proven (packetId: PacketId): void {
    if (this.#left) return
    const repeatKey = this.#repeatKeys.get(packetId)
    if (repeatKey !== undefined) {
      this.#repeatKeys.delete(packetId)
      this.#repeats().proven(repeatKey)
    }
    this.#attachment?.acknowledge(packetId)
  }

  left (): void {
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
        // with one name would otherwise throw each other out for ever.
        this.#socket.disconnect()
        if (this.#connection.channelCount === 0) this.#connection.close()
        break
      case 'stalled':
        this.#connection.cut()
        break
      case 'store-unavailable':
      case 'shutdown':
        this.#connection.close()
    }
  }
}
