/**
 * A block: the messages of one append as one value of the engine. Little-endian.
 *
 *   0  u32  format of the block
 *   4  u32  number of messages, n
 *   8  f64  offset of the first
 *  16  u32  n times: where the message begins, 0 where it was trimmed
 * end  u32  CRC-32 of all that comes before
 *
 * and at each place:
 *
 *   0  f64  time, ms since 1970
 *   8  u32  bytes of the payload
 *  12  u32  bytes of the topic
 *  16  u32  bytes of the id
 *  20  u32  where the publisher is: u32 bytes, then UTF-8; written once for all messages of the block
 *  24  u32  where the principal is, likewise
 *  28  u8   QoS in bits 0 and 1, RETAIN in bit 2
 *  29       topic (UTF-8), id (UTF-8), payload
 */
import assert from 'node:assert/strict'
import { crc32 } from 'node:zlib'
import type { ClientId, Message, Offset, Principal, QoS, TimeMs } from '../model/message.ts'
import { CRC_BYTES, CRC_RESIDUE } from './crc.ts'

const FORMAT = 1
const COUNT = 4
const FIRST = 8
const TABLE = 16
const FIXED = 29
const RETAIN = 4
/** UTF-8 takes at most so many bytes for a UTF-16 unit. */
const UTF8_MAX = 3

/** What the index and the accounts need to know of a message, without its payload. */
export interface BlockHeader {
  readonly topic: string
  /** As messageBytes() counts. */
  readonly bytes: number
  readonly time: TimeMs
}

/** The block of these messages; undefined leaves the place of a trimmed one. Their payloads are copied. */
export function encodeBlock (first: Offset, messages: ReadonlyArray<Message | undefined>): Buffer {
  const block = Buffer.allocUnsafe(sizeMax(messages))
  const strings = new Map<string, number>()
  let end = TABLE + messages.length * 4

  const place = (text: string): number => {
    const known = strings.get(text)
    if (known !== undefined) return known
    const at = end
    const bytes = block.write(text, at + 4)
    block.writeUInt32LE(bytes, at)
    strings.set(text, at)
    end = at + 4 + bytes
    return at
  }

  block.writeUInt32LE(FORMAT, 0)
  block.writeUInt32LE(messages.length, COUNT)
  block.writeDoubleLE(first, FIRST)
  for (let k = 0; k < messages.length; k++) {
    const message = messages[k]
    if (message === undefined) {
      block.writeUInt32LE(0, TABLE + k * 4)
      continue
    }
    const publisher = place(message.publisher)
    const principal = place(message.principal)
    const at = end
    const topicBytes = block.write(message.topic, at + FIXED)
    const idBytes = message.id === '' ? 0 : block.write(message.id, at + FIXED + topicBytes)
    const payloadAt = at + FIXED + topicBytes + idBytes
    block.set(message.payload, payloadAt)
    end = payloadAt + message.payload.length

    block.writeUInt32LE(at, TABLE + k * 4)
    block.writeDoubleLE(message.time, at)
    block.writeUInt32LE(message.payload.length, at + 8)
    block.writeUInt32LE(topicBytes, at + 12)
    block.writeUInt32LE(idBytes, at + 16)
    block.writeUInt32LE(publisher, at + 20)
    block.writeUInt32LE(principal, at + 24)
    block[at + 28] = message.qos | (message.retain ? RETAIN : 0)
  }
  block.writeUInt32LE(crc32(block.subarray(0, end)), end)
  return block.subarray(0, end + CRC_BYTES)
}

/** Bytes that the block takes at most. */
function sizeMax (messages: ReadonlyArray<Message | undefined>): number {
  let size = TABLE + messages.length * 4 + CRC_BYTES
  for (const message of messages) {
    if (message !== undefined) size += messageSizeMax(message)
  }
  return size
}

/** Bytes that a message adds to a block at most. */
export function messageSizeMax ({ topic, id, publisher, principal, payload }: Message): number {
  return FIXED + 8 + payload.length + (topic.length + id.length + publisher.length + principal.length) * UTF8_MAX
}

/** Why these bytes are not the sound block of this place; undefined if they are. */
export function blockFault (bytes: Buffer, first: Offset, count: number): string | undefined {
  if (bytes.length < TABLE + CRC_BYTES) return `a block of ${bytes.length} bytes`
  if (crc32(bytes) !== CRC_RESIDUE) return 'the checksum is wrong'
  const format = bytes.readUInt32LE(0)
  if (format !== FORMAT) return `a block of format ${format}, not ${FORMAT}`
  const block = new Block(bytes)
  return block.first === first && block.count === count ? undefined : `the block of ${block.first} is in its place`
}

/** Reads a sound block (see blockFault). The payloads it gives are views of `bytes`, which must not change. */
export class Block {
  readonly #bytes: Buffer
  readonly #strings = new Map<number, string>()
  readonly first: Offset
  readonly count: number

  /** The place that bytes say they have, sound or not; undefined if they are too few. */
  static placeOf (bytes: Buffer): { first: Offset, count: number } | undefined {
    if (bytes.length < TABLE + CRC_BYTES || bytes.readUInt32LE(0) !== FORMAT) return undefined
    const first = bytes.readDoubleLE(FIRST) as Offset
    return Number.isSafeInteger(first) && first > 0 ? { first, count: bytes.readUInt32LE(COUNT) } : undefined
  }

  constructor (bytes: Buffer) {
    assert.equal(bytes.readUInt32LE(0), FORMAT)
    this.#bytes = bytes
    this.first = bytes.readDoubleLE(FIRST) as Offset
    this.count = bytes.readUInt32LE(COUNT)
  }

  /** The k-th message, from 0; undefined where it was trimmed before the block was written. */
  message (k: number): Message | undefined {
    const bytes = this.#bytes
    const at = bytes.readUInt32LE(TABLE + k * 4)
    if (at === 0) return undefined
    const topicAt = at + FIXED
    const idAt = topicAt + bytes.readUInt32LE(at + 12)
    const payloadAt = idAt + bytes.readUInt32LE(at + 16)
    const flags = bytes[at + 28]
    return {
      topic: bytes.toString('utf8', topicAt, idAt),
      payload: bytes.subarray(payloadAt, payloadAt + bytes.readUInt32LE(at + 8)),
      qos: (flags & 3) as QoS,
      retain: (flags & RETAIN) !== 0,
      publisher: this.#string(bytes.readUInt32LE(at + 20)) as ClientId,
      principal: this.#string(bytes.readUInt32LE(at + 24)) as Principal,
      time: bytes.readDoubleLE(at) as TimeMs,
      id: idAt === payloadAt ? '' : bytes.toString('utf8', idAt, payloadAt)
    }
  }

  /** Like message(), without what only delivery needs. */
  header (k: number): BlockHeader | undefined {
    const bytes = this.#bytes
    const at = bytes.readUInt32LE(TABLE + k * 4)
    if (at === 0) return undefined
    const topic = bytes.toString('utf8', at + FIXED, at + FIXED + bytes.readUInt32LE(at + 12))
    return { topic, bytes: topic.length + bytes.readUInt32LE(at + 8), time: bytes.readDoubleLE(at) as TimeMs }
  }

  /** Bytes of the k-th message as messageBytes() counts them, -1 where it was trimmed. */
  messageBytes (k: number): number {
    const bytes = this.#bytes
    const at = bytes.readUInt32LE(TABLE + k * 4)
    if (at === 0) return -1
    // messageBytes() counts UTF-16 units of the topic. Where all bytes are ASCII, that is their number.
    const topicAt = at + FIXED
    const topicEnd = topicAt + bytes.readUInt32LE(at + 12)
    let units = topicEnd - topicAt
    for (let i = topicAt; i < topicEnd; i++) {
      if (bytes[i] >= 0x80) {
        units = bytes.toString('utf8', topicAt, topicEnd).length
        break
      }
    }
    return units + bytes.readUInt32LE(at + 8)
  }

  #string (at: number): string {
    let text = this.#strings.get(at)
    if (text === undefined) {
      text = this.#bytes.toString('utf8', at + 4, at + 4 + this.#bytes.readUInt32LE(at))
      this.#strings.set(at, text)
    }
    return text
  }
}
