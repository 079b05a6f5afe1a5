/**
 * A block: the messages of one append as one value of the engine. Little-endian, but for what goes over the wire.
 *
 *   0  u8   version of the block; three bytes of zero
 *   4  u32  number of messages, n
 *   8  f64  offset of the first
 *  16  u32  n times: where the message begins, 0 where it was trimmed
 * end  u32  CRC-32 of all that comes before
 *
 * and at each place:
 *
 *   0  f64  time, ms since 1970
 *   8  u32  where the publisher is: u32 bytes, then UTF-8; written once for all messages of the block
 *  12  u32  where the principal is, likewise
 *  16  u32  bytes of the id
 *  20  u8   bit 0: an extension comes behind the packet; the others are zero
 *  21       id (UTF-8)
 *           the message as PUBLISH of MQTT 3.1.1, with QoS and RETAIN as they came and a packet identifier of zero, at
 *           QoS 0 too: what goes out is a copy of it in which the first byte and the identifier are set
 *           where there is an extension: u32 bytes, then its fields (extension-fields.ts)
 *
 * docs/decisions/0020-the-format.md says what may change, and how.
 */
import assert from 'node:assert/strict'
import { crc32 } from 'node:zlib'
import {
  lengthBytes, PUBLISH, PUBLISH_HEAD_MAX, readLength, TOPIC_BYTES_MAX, writePublish
} from '../model/publish-packet.ts'
import {
  extensionBytes, type ClientId, type Extension, type Message, type Offset, type Principal, type QoS, type TimeMs
} from '../model/message.ts'
import { CRC_BYTES, CRC_RESIDUE } from './crc.ts'
import { decodeExtension, encodeExtension } from './extension-fields.ts'

const VERSION = 2
const COUNT = 4
const FIRST = 8
const TABLE = 16
const FIXED = 21
const FLAGS = 20
const HAS_EXTENSION = 1
const RETAIN = 1
/** UTF-8 takes at most so many bytes for a UTF-16 unit. */
const UTF8_MAX = 3

/** What the index and the accounts need to know of a message, without its payload. */
export interface BlockHeader {
  readonly topic: string
  /** As messageBytes() counts. */
  readonly bytes: number
  readonly time: TimeMs
  readonly expiresAt: TimeMs | undefined
}

/** The block of these messages; undefined leaves the place of a trimmed one. Their payloads are copied. */
export function encodeBlock (first: Offset, messages: ReadonlyArray<Message | undefined>): Buffer {
  const extensions = new Map<Message, Buffer>()
  const block = Buffer.allocUnsafe(sizeMax(messages, extensions))
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

  block.writeUInt32LE(VERSION, 0)
  block.writeUInt32LE(messages.length, COUNT)
  block.writeDoubleLE(first, FIRST)
  for (let k = 0; k < messages.length; k++) {
    const message = messages[k]
    if (message === undefined) {
      block.writeUInt32LE(0, TABLE + k * 4)
      continue
    }
    assert(message.topic.length <= TOPIC_BYTES_MAX)
    const publisher = place(message.publisher)
    const principal = place(message.principal)
    const at = end
    const idBytes = message.id === '' ? 0 : block.write(message.id, at + FIXED)
    const packetAt = at + FIXED + idBytes
    end = writePublish(block, packetAt, message)
    block[packetAt] = PUBLISH | message.qos << 1 | (message.retain ? RETAIN : 0)
    block.fill(0, end - message.payload.length - 2, end - message.payload.length)
    const extension = extensions.get(message)
    if (extension !== undefined) {
      block.writeUInt32LE(extension.length, end)
      block.set(extension, end + 4)
      end += 4 + extension.length
    }

    block.writeUInt32LE(at, TABLE + k * 4)
    block.writeDoubleLE(message.time, at)
    block.writeUInt32LE(publisher, at + 8)
    block.writeUInt32LE(principal, at + 12)
    block.writeUInt32LE(idBytes, at + 16)
    block[at + FLAGS] = extension === undefined ? 0 : HAS_EXTENSION
  }
  block.writeUInt32LE(crc32(block.subarray(0, end)), end)
  return block.subarray(0, end + CRC_BYTES)
}

/** Bytes that the block takes at most; fills in the extensions of its messages. */
function sizeMax (messages: ReadonlyArray<Message | undefined>, extensions: Map<Message, Buffer>): number {
  let size = TABLE + messages.length * 4 + CRC_BYTES
  for (const message of messages) {
    if (message === undefined) continue
    size += messageSizeMax(message)
    if (message.extension === undefined) continue
    const extension = encodeExtension(message.extension)
    extensions.set(message, extension)
    size += 4 + extension.length
  }
  return size
}

/** Bytes that a message adds to a block at most, but for its extension. */
export function messageSizeMax ({ topic, id, publisher, principal, payload }: Message): number {
  const strings = (topic.length + id.length + publisher.length + principal.length) * UTF8_MAX
  return FIXED + 8 + PUBLISH_HEAD_MAX + payload.length + strings
}

/** Why these bytes are not the sound block of this place; undefined if they are. */
export function blockFault (bytes: Buffer, first: Offset, count: number): string | undefined {
  if (bytes.length < TABLE + CRC_BYTES) return `a block of ${bytes.length} bytes`
  if (crc32(bytes) !== CRC_RESIDUE) return 'the checksum is wrong'
  const version = bytes.readUInt32LE(0)
  if (version !== VERSION) return `a block of version ${version}, not ${VERSION}`
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
    if (bytes.length < TABLE + CRC_BYTES || bytes.readUInt32LE(0) !== VERSION) return undefined
    const first = bytes.readDoubleLE(FIRST) as Offset
    return Number.isSafeInteger(first) && first > 0 ? { first, count: bytes.readUInt32LE(COUNT) } : undefined
  }

  constructor (bytes: Buffer) {
    assert.equal(bytes.readUInt32LE(0), VERSION)
    this.#bytes = bytes
    this.first = bytes.readDoubleLE(FIRST) as Offset
    this.count = bytes.readUInt32LE(COUNT)
  }

  /** The k-th message, from 0; undefined where it was trimmed before the block was written. */
  message (k: number): Message | undefined {
    const bytes = this.#bytes
    const at = bytes.readUInt32LE(TABLE + k * 4)
    if (at === 0) return undefined
    const packetAt = at + FIXED + bytes.readUInt32LE(at + 16)
    const rest = readLength(bytes, packetAt + 1)
    const restAt = packetAt + 1 + lengthBytes(rest)
    const topicEnd = restAt + 2 + bytes.readUInt16BE(restAt)
    return {
      topic: bytes.toString('utf8', restAt + 2, topicEnd),
      payload: bytes.subarray(topicEnd + 2, restAt + rest),
      qos: (bytes[packetAt] >> 1 & 3) as QoS,
      retain: (bytes[packetAt] & RETAIN) !== 0,
      publisher: this.#string(bytes.readUInt32LE(at + 8)) as ClientId,
      principal: this.#string(bytes.readUInt32LE(at + 12)) as Principal,
      time: bytes.readDoubleLE(at) as TimeMs,
      id: packetAt === at + FIXED ? '' : bytes.toString('utf8', at + FIXED, packetAt),
      extension: this.#extension(at, restAt + rest)
    }
  }

  /** Like message(), without what only delivery needs. */
  header (k: number): BlockHeader | undefined {
    const bytes = this.#bytes
    const at = bytes.readUInt32LE(TABLE + k * 4)
    if (at === 0) return undefined
    const packetAt = at + FIXED + bytes.readUInt32LE(at + 16)
    const rest = readLength(bytes, packetAt + 1)
    const restAt = packetAt + 1 + lengthBytes(rest)
    const topicEnd = restAt + 2 + bytes.readUInt16BE(restAt)
    const topic = bytes.toString('utf8', restAt + 2, topicEnd)
    const extension = this.#extension(at, restAt + rest)
    return {
      topic,
      bytes: topic.length + restAt + rest - topicEnd - 2 + extensionBytes(extension),
      time: bytes.readDoubleLE(at) as TimeMs,
      expiresAt: extension?.expiresAt
    }
  }

  /** Bytes of the k-th message as messageBytes() counts them, -1 where it was trimmed. */
  messageBytes (k: number): number {
    const bytes = this.#bytes
    const at = bytes.readUInt32LE(TABLE + k * 4)
    if (at === 0) return -1
    const packetAt = at + FIXED + bytes.readUInt32LE(at + 16)
    const rest = readLength(bytes, packetAt + 1)
    const restAt = packetAt + 1 + lengthBytes(rest)
    // messageBytes() counts UTF-16 units of the topic. Where all bytes are ASCII, that is their number.
    const topicAt = restAt + 2
    const topicEnd = topicAt + bytes.readUInt16BE(restAt)
    let units = topicEnd - topicAt
    for (let i = topicAt; i < topicEnd; i++) {
      if (bytes[i] >= 0x80) {
        units = bytes.toString('utf8', topicAt, topicEnd).length
        break
      }
    }
    return units + restAt + rest - topicEnd - 2 + extensionBytes(this.#extension(at, restAt + rest))
  }

  /** Of the k-th message, which must be there. */
  extension (k: number): Extension | undefined {
    const bytes = this.#bytes
    const at = bytes.readUInt32LE(TABLE + k * 4)
    if ((bytes[at + FLAGS] & HAS_EXTENSION) === 0) return undefined
    const restAt = at + FIXED + bytes.readUInt32LE(at + 16) + 1
    const rest = readLength(bytes, restAt)
    return this.#extension(at, restAt + lengthBytes(rest) + rest)
  }

  /** Of the message at a place, whose packet ends there. */
  #extension (at: number, end: number): Extension | undefined {
    if ((this.#bytes[at + FLAGS] & HAS_EXTENSION) === 0) return undefined
    return decodeExtension(this.#bytes.subarray(end + 4, end + 4 + this.#bytes.readUInt32LE(end)))
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
