/**
 * The packets that make up nearly all traffic, taken straight out of what was read of a socket: PUBLISH at QoS 0 and 1,
 * and PUBACK (MQTT 3.1.1, 3.3 and 3.4). Everything else, every packet that is cut by the end of a chunk, and what is
 * malformed, is left to the general parser, in its order. Pure: owns no socket.
 */
import type { PublishRequest } from '../../broker.ts'
import { copyUnits } from '../../system/intake.ts'
import type { Turn } from '../../system/turns.ts'
import type { TopicReader } from './topic-reader.ts'
import { isWellFormedPublish } from './well-formed.ts'

/** What parser and engine do with a packet costs about so many units. */
const PARSED_UNITS = 8
/** A packet with filters is work for each of them: a unit for 32 bytes. */
function parseUnits (bytes: number): number { return PARSED_UNITS + (bytes >>> 5) }

export interface DirectHandlers {
  readonly topics: TopicReader
  /** Its payload is a copy: the chunk is all that was read of the socket at once, which it would keep alive. */
  publish (request: PublishRequest, packetId: number): void
  acknowledge (packetId: number): void
  /** Whole packets that are for the parser. */
  rest (bytes: Buffer): void
  /** A packet that is cut by the end of the chunk, or longer than allowed; returns how many bytes it took. */
  cut (bytes: Buffer): number
  /** The largest Remaining Length (2.2.3) that is allowed. */
  lengthMax (): number
  /** False before CONNACK: then everything is for the parser. */
  isDirect (): boolean
  /** True once the connection has ended: what comes behind DISCONNECT does not count [MQTT-3.14.4-2]. */
  isOver (): boolean
}

const PUBLISH = 0x30
const PUBACK = 0x40
const QOS_MASK = 0x06
const RETAIN = 0x01
/** So few are copied faster one by one than by a call. */
const SMALL_BYTES = 64

/**
 * @param from the first packet begins here; what comes before belongs to the parser already
 * @param turn what may be taken now [G8]
 * @returns where the first packet begins that has to wait for the next turn; the length of the chunk if none has to
 */
export function takeDirectly (chunk: Buffer, from: number, turn: Pick<Turn, 'left'>, handlers: DirectHandlers): number {
  const isDirect = handlers.isDirect()
  const lengthMax = handlers.lengthMax()
  /** What was found from here on is for the parser. */
  let rest = from
  let at = from
  while (at < chunk.length && turn.left > 0) {
    const first = chunk[at]
    let body = at + 1
    let length = 0
    let byte = 0x80
    for (let shift = 0; byte >= 0x80 && body < chunk.length && shift <= 21; shift += 7) {
      byte = chunk[body++]
      length |= (byte & 0x7f) << shift
    }
    const end = body + length
    if (byte >= 0x80 || end > chunk.length || length > lengthMax) {
      if (rest < at) handlers.rest(chunk.subarray(rest, at))
      turn.left -= copyUnits(chunk.length - at)
      return handlers.isOver() ? chunk.length : at + handlers.cut(chunk.subarray(at))
    }
    const isAck = first === PUBACK && length === 2 && (chunk[body] | chunk[body + 1]) !== 0
    const isPublish = (first & 0xf0) === PUBLISH && (first & QOS_MASK) < 4 && isWellFormedPublish(chunk, at, body, end)
    if (isDirect && (isAck || isPublish)) {
      if (rest < at) handlers.rest(chunk.subarray(rest, at))
      if (handlers.isOver()) return chunk.length
      turn.left -= 1 + copyUnits(length)
      if (isAck) handlers.acknowledge(chunk[body] << 8 | chunk[body + 1])
      else publish(chunk, first, body, end, handlers)
      rest = end
    } else turn.left -= (first & 0xf0) === PUBLISH ? PARSED_UNITS + copyUnits(length) : parseUnits(length)
    at = end
    if (!isDirect) { // CONNECT ends the turn: what is behind it waits for CONNACK, and then for what is allowed
      handlers.rest(chunk.subarray(rest, at))
      rest = at
    }
  }
  if (rest < at) handlers.rest(chunk.subarray(rest, at))
  return handlers.isOver() ? chunk.length : at
}

function publish (chunk: Buffer, first: number, body: number, end: number, handlers: DirectHandlers): void {
  const topicEnd = body + 2 + (chunk[body] << 8 | chunk[body + 1])
  const topic = handlers.topics.read(chunk, body + 2, topicEnd)
  const qos = (first & QOS_MASK) === 0 ? 0 : 1
  const payload = copyOf(chunk, topicEnd + 2 * qos, end)
  const packetId = qos === 0 ? 0 : chunk[topicEnd] << 8 | chunk[topicEnd + 1]
  handlers.publish({ topic, payload, qos, retain: (first & RETAIN) !== 0, id: '' }, packetId)
}

function copyOf (chunk: Buffer, from: number, end: number): Buffer {
  const copy = Buffer.allocUnsafe(end - from)
  if (copy.length <= SMALL_BYTES) for (let i = 0; i < copy.length; i++) copy[i] = chunk[from + i]
  else chunk.copy(copy, 0, from, end)
  return copy
}
