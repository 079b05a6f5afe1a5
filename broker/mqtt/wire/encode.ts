/** MQTT 3.1.1 packets as the server writes them on the hot path. Pure. */
import { addEncoding, CODECS, encodingOf, type Encoding } from '../../model/encodings.ts'
import type { Message } from '../../model/message.ts'
import { lengthBytes, PUBLISH, publishBytes, writeLength, writePublish } from '../../model/publish-packet.ts'
import type { Delivery } from '../../session/link.ts'

const FLAG_DUP = 0x08
const FLAG_RETAIN = 0x01
const PUBACK = 0x40
const PUBREC = 0x50
const PUBREL = 0x62

/** Payloads from this size on are handed to the socket as they are instead of being copied. */
const COPY_BYTES_MAX = 16_384

/**
 * Most messages have one subscriber: for the first they are encoded where they are sent from. Whatever is sent once
 * more is kept encoded, for all that follow.
 */
function encodeOnce (into: Buffer, start: number, message: Message): number {
  if (message.encodings === undefined) {
    message.encodings = null
    return writePublish(into, start, message)
  }
  const { bytes } = addEncoding(message, new KeptPublish(Buffer.allocUnsafe(publishBytes(message))))
  writePublish(bytes, 0, message)
  into.set(bytes, start)
  return start + bytes.length
}

class KeptPublish implements Encoding {
  readonly codec = CODECS.mqtt3
  next: Encoding | undefined = undefined
  readonly bytes: Buffer

  constructor (bytes: Buffer) {
    this.bytes = bytes
  }
}

function keptOf (message: Message): Buffer | undefined {
  return (encodingOf(message, CODECS.mqtt3) as KeptPublish | undefined)?.bytes
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
    } else bytes += keptOf(delivery.message)?.length ?? publishBytes(delivery.message)
  }
  if (deliveries.length > start) write(join(deliveries, start, deliveries.length, bytes))
}

function join (deliveries: readonly Delivery[], start: number, end: number, bytes: number): Buffer {
  const chunk = Buffer.allocUnsafe(bytes)
  let at = 0
  for (let i = start; i < end; i++) {
    const delivery = deliveries[i]
    const { message, packetId } = delivery
    const kept = keptOf(message)
    let end: number
    if (kept === undefined) end = encodeOnce(chunk, at, message)
    else {
      chunk.set(kept, at)
      end = at + kept.length
    }
    chunk[at] = flags(delivery)
    const idAt = end - message.payload.length - 2
    chunk[idAt] = packetId >>> 8
    chunk[idAt + 1] = packetId & 0xff
    at = end
  }
  return chunk
}

/** Everything of a PUBLISH before the payload. */
function headOf (delivery: Delivery): Buffer {
  const { message, qos, packetId } = delivery
  const topicBytes = Buffer.byteLength(message.topic)
  const idBytes = qos > 0 ? 2 : 0
  const rest = 2 + topicBytes + idBytes + message.payload.length
  const head = Buffer.allocUnsafe(1 + lengthBytes(rest) + 2 + topicBytes + idBytes)
  head[0] = flags(delivery)
  let at = writeLength(head, 1, rest)
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
