/** MQTT 3.1.1 packets as the server writes them on the hot path. Pure. */
import type { Message } from '../message.ts'
import type { Delivery } from '../session/link.ts'

const PUBLISH = 0x30
const FLAG_DUP = 0x08
const FLAG_RETAIN = 0x01
const PUBACK = 0x40
const PUBREC = 0x50
const PUBREL = 0x62

/** Payloads from this size on are handed to the socket as they are instead of being copied. */
const COPY_BYTES_MAX = 16_384

/** PUBLISH with room for a packet identifier (2.3.1), made once for a message and shared by all its subscribers. */
function wireOf (message: Message): Buffer {
  if (message.wire !== undefined) return message.wire
  const topicBytes = Buffer.byteLength(message.topic)
  const rest = 2 + topicBytes + 2 + message.payload.length
  const lengthBytes = rest < 128 ? 1 : rest < 16_384 ? 2 : rest < 2_097_152 ? 3 : 4
  const wire = Buffer.allocUnsafe(1 + lengthBytes + rest)
  wire[0] = PUBLISH
  let at = writeLength(wire, rest)
  at = wire.writeUInt16BE(topicBytes, at)
  at += wire.write(message.topic, at, topicBytes === message.topic.length ? 'latin1' : 'utf8')
  at = wire.writeUInt16BE(0, at)
  message.payload.copy(wire, at)
  message.wire = wire
  return wire
}

/** Remaining Length (2.2.3), from byte 1 on; returns the position behind it. */
function writeLength (into: Buffer, length: number): number {
  let at = 1
  let rest = length
  do {
    const more = rest > 127 ? 0x80 : 0
    into[at++] = rest & 0x7f | more
    rest >>>= 7
  } while (rest > 0)
  return at
}

function flags (delivery: Delivery): number {
  return PUBLISH | delivery.qos << 1 | (delivery.dup ? FLAG_DUP : 0) | (delivery.retain ? FLAG_RETAIN : 0)
}

/**
 * Writes deliveries, in order, in as few chunks as possible: small packets share one buffer.
 * @param write takes a chunk; must not change it
 */
export function writePublishes (deliveries: readonly Delivery[], write: (chunk: Buffer) => void): void {
  let start = 0
  let bytes = 0
  for (let i = 0; i < deliveries.length; i++) {
    const delivery = deliveries[i]
    const isLarge = delivery.message.payload.length > COPY_BYTES_MAX
    if (isLarge || delivery.qos === 0) {
      if (i > start) write(join(deliveries, start, i, bytes))
      start = i + 1
      bytes = 0
      const head = headOf(delivery)
      if (isLarge) {
        write(head)
        write(delivery.message.payload)
      } else write(Buffer.concat([head, delivery.message.payload]))
    } else bytes += wireOf(delivery.message).length
  }
  if (deliveries.length > start) write(join(deliveries, start, deliveries.length, bytes))
}

function join (deliveries: readonly Delivery[], start: number, end: number, bytes: number): Buffer {
  const chunk = Buffer.allocUnsafe(bytes)
  let at = 0
  for (let i = start; i < end; i++) {
    const delivery = deliveries[i]
    const wire = delivery.message.wire!
    chunk.set(wire, at)
    chunk[at] = flags(delivery)
    const idAt = at + wire.length - delivery.message.payload.length - 2
    chunk[idAt] = delivery.packetId >>> 8
    chunk[idAt + 1] = delivery.packetId & 0xff
    at += wire.length
  }
  return chunk
}

/** Everything of a PUBLISH before the payload. */
function headOf (delivery: Delivery): Buffer {
  const { message, qos, packetId } = delivery
  const topicBytes = Buffer.byteLength(message.topic)
  const idBytes = qos > 0 ? 2 : 0
  const rest = 2 + topicBytes + idBytes + message.payload.length
  const lengthBytes = rest < 128 ? 1 : rest < 16_384 ? 2 : rest < 2_097_152 ? 3 : 4
  const head = Buffer.allocUnsafe(1 + lengthBytes + 2 + topicBytes + idBytes)
  head[0] = flags(delivery)
  let at = writeLength(head, rest)
  at = head.writeUInt16BE(topicBytes, at)
  at += head.write(message.topic, at)
  if (qos > 0) head.writeUInt16BE(packetId, at)
  return head
}

/** Receipts for a publisher: PUBACK (3.4) or PUBREC (3.5) for each identifier, in one chunk. */
export function writeReceipts (receipts: ReadonlyArray<{ packetId: number, qos: number }>): Buffer {
  const chunk = Buffer.allocUnsafe(receipts.length * 4)
  for (let i = 0, at = 0; i < receipts.length; i++, at += 4) {
    chunk[at] = receipts[i].qos === 1 ? PUBACK : PUBREC
    chunk[at + 1] = 2
    chunk[at + 2] = receipts[i].packetId >>> 8
    chunk[at + 3] = receipts[i].packetId & 0xff
  }
  return chunk
}

export function pubrel (packetId: number): Buffer {
  return Buffer.from([PUBREL, 2, packetId >>> 8, packetId & 0xff])
}
