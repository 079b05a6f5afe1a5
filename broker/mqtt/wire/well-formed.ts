/**
 * What MQTT 3.1.1 calls malformed or a violation of the protocol and can be seen in a packet alone, from its bytes: a
 * decoded packet does not show it any more, and different bytes would become one name. Owns no socket.
 *
 * The connection ends without an answer [MQTT-4.8.0-1]; each sentence names the statement that is broken. What needs to
 * know more than the packet is elsewhere: its place in the conversation in packet-gate.ts, what topics and filters are
 * allowed here in topics.ts.
 */
import { isUtf8 } from 'node:buffer'

/** A packet in a chunk: its first byte is at `at`, what follows its Remaining Length from `body` to `end`. */
type Check = (chunk: Buffer, at: number, body: number, end: number) => string | undefined

const QOS_MASK = 0x06
const DUP = 0x08
/** CONNECT: protocol levels that are spoken, without the bit by which a bridge says that it is one. */
const LEVELS = [3, 4]
const BRIDGE_BIT = 0x80
/** Bits of the Connect Flags (3.1.2.3). */
const CONNECT = { reserved: 0x01, will: 0x04, willQos: 0x18, willRetain: 0x20, password: 0x40, userName: 0x80 } as const

interface PacketType {
  readonly name: string
  /** The lower bits of the first byte; undefined where they mean something. */
  readonly flags?: number
  /** Breaking `flags` breaks this. */
  readonly clause?: string
  readonly check: Check
}

const empty = (name: string): Check => (_chunk, _at, body, end) => {
  return end === body ? undefined : `${name} with contents [MQTT-4.8.0-1]`
}
const acknowledgement = (name: string): Check => (chunk, _at, body, end) => {
  if (end - body !== 2) return `${name} of ${end - body} bytes, not 2 [MQTT-4.8.0-1]`
  return chunk.readUInt16BE(body) === 0 ? `${name} with packet identifier 0 [MQTT-2.3.1-6]` : undefined
}
const notForServers = (name: string): PacketType => ({
  name, check: () => `${name}, which no client sends [MQTT-4.8.0-1]`
})
const acknowledges = (name: string): PacketType => ({ name, flags: 0, check: acknowledgement(name) })

/** By the upper four bits of the first byte (2.2.1). */
const TYPES: readonly PacketType[] = [
  notForServers('packet type 0'),
  { name: 'CONNECT', flags: 0, check: checkConnect },
  notForServers('CONNACK'),
  { name: 'PUBLISH', check: checkPublish },
  acknowledges('PUBACK'),
  acknowledges('PUBREC'),
  { name: 'PUBREL', flags: 2, clause: 'MQTT-3.6.1-1', check: acknowledgement('PUBREL') },
  acknowledges('PUBCOMP'),
  { name: 'SUBSCRIBE', flags: 2, clause: 'MQTT-3.8.1-1', check: filters('SUBSCRIBE', 1, 'MQTT-3.8.3-3') },
  notForServers('SUBACK'),
  { name: 'UNSUBSCRIBE', flags: 2, clause: 'MQTT-3.10.1-1', check: filters('UNSUBSCRIBE', 0, 'MQTT-3.10.3-2') },
  notForServers('UNSUBACK'),
  { name: 'PINGREQ', flags: 0, check: empty('PINGREQ') },
  notForServers('PINGRESP'),
  { name: 'DISCONNECT', flags: 0, clause: 'MQTT-3.14.1-1', check: empty('DISCONNECT') },
  notForServers('packet type 15')
]

/** What is wrong with a whole packet, undefined if nothing is. Reads nothing outside it. */
export const malformed: Check = (chunk, at, body, end) => {
  const { name, flags, clause = 'MQTT-2.2.2-2', check } = TYPES[chunk[at] >>> 4]
  if (flags !== undefined && (chunk[at] & 0x0f) !== flags) return `${name} with reserved flags [${clause}]`
  return check(chunk, at, body, end)
}

/**
 * Is a PUBLISH at QoS 0 or 1 as malformed() wants it? For the way past the parser, where it has to cost next to
 * nothing; the sentence is looked for when it is not.
 */
export function isWellFormedPublish (chunk: Buffer, at: number, body: number, end: number): boolean {
  const first = chunk[at]
  if (end - body < 3) return false
  const topicEnd = body + 2 + (chunk[body] << 8 | chunk[body + 1])
  if ((first & QOS_MASK) === 0) {
    if (topicEnd > end || (first & DUP) !== 0) return false
  } else if (topicEnd + 2 > end || (chunk[topicEnd] | chunk[topicEnd + 1]) === 0) return false
  if (topicEnd === body + 2) return false
  let high = 0
  for (let i = body + 2; i < topicEnd; i++) {
    const byte = chunk[i]
    if (byte === 0 || byte === 0x23 || byte === 0x2b) return false // U+0000 # +
    high |= byte
  }
  return high < 0x80 || isUtf8(chunk.subarray(body + 2, topicEnd))
}

function checkPublish (chunk: Buffer, at: number, body: number, end: number): string | undefined {
  const qos = (chunk[at] & QOS_MASK) >>> 1
  if (qos === 3) return 'PUBLISH at QoS 3 [MQTT-3.3.1-4]'
  if (qos === 0 && (chunk[at] & DUP) !== 0) return 'PUBLISH at QoS 0 with DUP [MQTT-3.3.1-2]'
  const topicEnd = fieldEnd(chunk, body, end)
  if (topicEnd === undefined) return 'PUBLISH that ends inside its topic [MQTT-3.3.2-1]'
  const wrong = wrongTopic('topic of PUBLISH', chunk, body, topicEnd)
  if (wrong !== undefined) return wrong
  if (qos === 0) return undefined
  if (topicEnd + 2 > end) return 'PUBLISH without a packet identifier [MQTT-2.3.1-1]'
  return chunk.readUInt16BE(topicEnd) === 0 ? 'PUBLISH with packet identifier 0 [MQTT-2.3.1-1]' : undefined
}

/** SUBSCRIBE and UNSUBSCRIBE: an identifier, and filters with so many bytes of options behind each. */
function filters (name: string, optionBytes: 0 | 1, oneAtLeast: string): Check {
  return (chunk, _at, body, end) => {
    if (body + 2 > end) return `${name} without a packet identifier [MQTT-2.3.1-1]`
    if (chunk.readUInt16BE(body) === 0) return `${name} with packet identifier 0 [MQTT-2.3.1-1]`
    if (body + 2 === end) return `${name} without a filter [${oneAtLeast}]`
    for (let from = body + 2; from < end;) {
      const filterEnd = fieldEnd(chunk, from, end)
      if (filterEnd === undefined || filterEnd + optionBytes > end) {
        return `${name} that ends inside a filter [MQTT-4.8.0-1]`
      }
      if (filterEnd === from + 2) return `filter of ${name}: it is empty [MQTT-4.7.3-1]`
      const wrong = wrongString(`filter of ${name}`, chunk, from, filterEnd)
      if (wrong !== undefined) return wrong
      if (optionBytes === 1 && chunk[filterEnd] > 2) return `${name} with reserved bits or QoS 3 [MQTT-3.8.3-4]`
      from = filterEnd + optionBytes
    }
    return undefined
  }
}

function checkConnect (chunk: Buffer, _at: number, body: number, end: number): string | undefined {
  const nameEnd = fieldEnd(chunk, body, end)
  if (nameEnd === undefined) return CUT_CONNECT
  const name = chunk.toString('latin1', body + 2, nameEnd)
  if (name !== 'MQTT' && name !== 'MQIsdp') return 'CONNECT of another protocol [MQTT-3.1.2-1]'
  if (nameEnd === end) return CUT_CONNECT
  const level = chunk[nameEnd] & ~BRIDGE_BIT
  if (!LEVELS.includes(level)) return undefined // is answered [MQTT-3.1.2-2]
  if (level === 4 && name !== 'MQTT') return `CONNECT of level 4 that calls its protocol ${name} [MQTT-3.1.2-1]`
  if (nameEnd + 4 > end) return CUT_CONNECT
  const flags = chunk[nameEnd + 1]
  return wrongFlags(flags) ?? wrongFields(flags, chunk, nameEnd + 4, end)
}

/**
 * In MQTT 3.1 a user name or a password may be announced and missing: what came counts. Here the flags are taken back
 * in the packet itself, as the parser wants what they announce. From 3.1.1 on it is malformed [MQTT-3.1.2-19].
 */
export function takeBackMissing (chunk: Buffer, body: number, end: number): void {
  const nameEnd = fieldEnd(chunk, body, end)
  if (nameEnd === undefined || nameEnd + 4 > end || (chunk[nameEnd] & ~BRIDGE_BIT) !== 3) return
  const flags = chunk[nameEnd + 1]
  if ((flags & CONNECT.userName) === 0) return
  let at: number | undefined = nameEnd + 4
  for (let fields = (flags & CONNECT.will) === 0 ? 1 : 3; fields > 0 && at !== undefined; fields--) {
    at = fieldEnd(chunk, at, end)
  }
  if (at === end) chunk[nameEnd + 1] = flags & ~CONNECT.userName & ~CONNECT.password
  else if (at !== undefined && fieldEnd(chunk, at, end) === end) chunk[nameEnd + 1] = flags & ~CONNECT.password
}

const CUT_CONNECT = 'CONNECT that ends inside its fields [MQTT-4.8.0-1]'

function wrongFlags (flags: number): string | undefined {
  if ((flags & CONNECT.reserved) !== 0) return 'CONNECT with its reserved flag [MQTT-3.1.2-3]'
  if ((flags & CONNECT.willQos) === CONNECT.willQos) return 'CONNECT with a will at QoS 3 [MQTT-3.1.2-14]'
  if ((flags & CONNECT.will) === 0) {
    if ((flags & CONNECT.willQos) !== 0) return 'CONNECT with a QoS of no will [MQTT-3.1.2-13]'
    if ((flags & CONNECT.willRetain) !== 0) return 'CONNECT with a retain flag of no will [MQTT-3.1.2-15]'
  }
  if ((flags & CONNECT.userName) === 0 && (flags & CONNECT.password) !== 0) {
    return 'CONNECT with a password and no user name [MQTT-3.1.2-22]'
  }
  return undefined
}

/** The payload of CONNECT (3.1.3): what its flags announce, in this order, and nothing else [MQTT-3.1.3-1]. */
function wrongFields (flags: number, chunk: Buffer, from: number, end: number): string | undefined {
  const fields: ReadonlyArray<readonly [isThere: boolean, name: string, check: StringCheck | undefined]> = [
    [true, 'client identifier', wrongName],
    [(flags & CONNECT.will) !== 0, 'topic of the will', wrongTopic],
    [(flags & CONNECT.will) !== 0, 'message of the will', undefined],
    [(flags & CONNECT.userName) !== 0, 'user name', wrongName],
    [(flags & CONNECT.password) !== 0, 'password', undefined]
  ]
  let at = from
  for (const [isThere, name, check] of fields) {
    if (!isThere) continue
    const fieldEndsAt = fieldEnd(chunk, at, end)
    if (fieldEndsAt === undefined) return `CONNECT that ends inside its ${name} [MQTT-3.1.3-1]`
    const wrong = check?.(name, chunk, at, fieldEndsAt)
    if (wrong !== undefined) return wrong
    at = fieldEndsAt
  }
  if (at === end) return undefined
  const clause = (flags & CONNECT.userName) === 0 ? 'MQTT-3.1.2-18' : 'MQTT-3.1.2-20'
  return `CONNECT with more than its flags announce [${(flags & CONNECT.password) === 0 ? clause : 'MQTT-3.1.3-1'}]`
}

/** Where a field ends that begins with its length in two bytes; undefined where that is beyond the packet. */
function fieldEnd (chunk: Buffer, from: number, end: number): number | undefined {
  if (from + 2 > end) return undefined
  const to = from + 2 + chunk.readUInt16BE(from)
  return to > end ? undefined : to
}

/** A field with its length in front. */
type StringCheck = (what: string, chunk: Buffer, from: number, end: number) => string | undefined

const wrongString: StringCheck = (what, chunk, from, end) => {
  const bytes = chunk.subarray(from + 2, end)
  if (!isUtf8(bytes)) return `${what}: not UTF-8 [MQTT-1.5.3-1]`
  return bytes.includes(0) ? `${what}: it holds U+0000 [MQTT-1.5.3-2]` : undefined
}

/**
 * Who somebody is: a name that looks like another one, or that moves the cursor of whoever reads a log, is refused. The
 * specification allows to close the connection for a control character in any string (1.5.3); topics may hold them.
 */
const wrongName: StringCheck = (what, chunk, from, end) => {
  for (let i = from + 2; i < end; i++) {
    const byte = chunk[i]
    const isC1 = byte === 0xc2 && i + 1 < end && chunk[i + 1] < 0xa0 // U+0080 to U+009F
    if ((byte > 0 && byte < 0x20) || byte === 0x7f || isC1) return `${what}: it holds a control character (1.5.3)`
  }
  return wrongString(what, chunk, from, end)
}

const wrongTopic: StringCheck = (what, chunk, from, end) => {
  if (from + 2 === end) return `${what}: it is empty [MQTT-4.7.3-1]`
  const bytes = chunk.subarray(from + 2, end)
  if (bytes.includes(0x23) || bytes.includes(0x2b)) return `${what}: it holds a wildcard [MQTT-3.3.2-2]`
  return wrongString(what, chunk, from, end)
}
