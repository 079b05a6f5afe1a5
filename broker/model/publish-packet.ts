/**
 * PUBLISH as bytes (MQTT 3.1.1, 3.3), always with a place for the packet identifier: so a message goes over the wire,
 * and so it stands in the log. Pure.
 */
import type { Message } from './message.ts'

export const PUBLISH = 0x30
/** Bytes that PUBLISH adds to topic and payload at most. */
export const PUBLISH_HEAD_MAX = 9
/** What two bytes can count (1.5.3). */
export const TOPIC_BYTES_MAX = 65_535

/** Bytes of it, with a packet identifier (2.3.1). */
export function publishBytes ({ topic, payload }: Pick<Message, 'topic' | 'payload'>): number {
  const rest = 2 + Buffer.byteLength(topic) + 2 + payload.length
  return 1 + lengthBytes(rest) + rest
}

/** All but the first byte and the identifier, which differ from subscriber to subscriber; returns where it ends. */
export function writePublish (
  into: Buffer, start: number, { topic, payload }: Pick<Message, 'topic' | 'payload'>
): number {
  const topicBytes = Buffer.byteLength(topic)
  let at = writeLength(into, start + 1, 2 + topicBytes + 2 + payload.length)
  into[at++] = topicBytes >>> 8
  into[at++] = topicBytes & 0xff
  if (topicBytes === topic.length) for (let i = 0; i < topicBytes; i++) into[at++] = topic.charCodeAt(i)
  else at += into.write(topic, at)
  into.set(payload, at + 2)
  return at + 2 + payload.length
}

export function lengthBytes (rest: number): number {
  return rest < 128 ? 1 : rest < 16_384 ? 2 : rest < 2_097_152 ? 3 : 4
}

/** Remaining Length (2.2.3); returns the position behind it. */
export function writeLength (into: Buffer, start: number, length: number): number {
  let at = start
  let rest = length
  do {
    const more = rest > 127 ? 0x80 : 0
    into[at++] = rest & 0x7f | more
    rest >>>= 7
  } while (rest > 0)
  return at
}

/** The number that Remaining Length is; it takes lengthBytes() of it. */
export function readLength (bytes: Buffer, start: number): number {
  let length = 0
  for (let at = start, shift = 0; ; at++, shift += 7) {
    length |= (bytes[at] & 0x7f) << shift
    if (bytes[at] < 0x80 || shift === 21) return length
  }
}
