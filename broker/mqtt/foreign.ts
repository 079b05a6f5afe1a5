/**
 * Other protocols than MQTT 3.1.1, known by the first bytes of a connection. Pure: owns no socket, takes nothing away.
 * No first packet of MQTT 3.1.1 begins so: it is a CONNECT of level 4 (3 in MQTT 3.1, with 0x80 for bridges).
 */
export interface Foreign {
  readonly name: 'TLS' | 'HTTP' | 'PROXY protocol' | 'MQTT'
  /** Of MQTT: its protocol level, 5 for MQTT 5. */
  readonly level?: number
}

/** As many as it takes at most: CONNECT up to its protocol level, with a length of four bytes. */
export const FIRST_BYTES_MAX = 12

/** A record of a handshake, SSL 3.0 or later (RFC 8446, 5.1). */
const TLS = Buffer.from([0x16, 0x03])
/** RFC 9110, 9.1, and 9113, 3.4. */
const HTTP = ['GET ', 'HEAD ', 'POST ', 'PUT ', 'DELETE ', 'CONNECT ', 'OPTIONS ', 'TRACE ', 'PATCH ', 'PRI * HTTP/2']
/** Of HAProxy, versions 1 and 2. */
const PROXY = ['PROXY ', '\r\n\r\n\0\r\nQUIT\n']
const BEGINNINGS: ReadonlyArray<readonly [Foreign['name'], Buffer]> = [
  ['TLS', TLS],
  ...HTTP.map((text) => ['HTTP', Buffer.from(text)] as const),
  ...PROXY.map((text) => ['PROXY protocol', Buffer.from(text)] as const)
]
const CONNECT = 0x10
/** Shared, as there are very many connections. */
const NO_BYTES: Buffer = Buffer.alloc(0)
const PROTOCOL_NAME = Buffer.from('\0\x04MQTT', 'latin1')
const LENGTH_BYTES_MAX = 4
/** Protocol levels, without the bit of bridges. */
const SPOKEN = [3, 4]

/**
 * Who speaks so. 'more': more bytes would tell, undefined: it is nothing that is known, or MQTT 3.1.1, unless `anyMqtt`
 * says that this is foreign too.
 */
export function foreignOf (first: Uint8Array, { anyMqtt = false } = {}): Foreign | 'more' | undefined {
  const bytes = Buffer.from(first.buffer, first.byteOffset, first.length)
  if (bytes[0] === CONNECT) return levelOf(bytes, anyMqtt)
  let isCut = false
  for (const [name, beginning] of BEGINNINGS) {
    const length = Math.min(bytes.length, beginning.length)
    if (bytes.compare(beginning, 0, length, 0, length) !== 0) continue
    if (length === beginning.length) return { name }
    isCut = true
  }
  return isCut ? 'more' : undefined
}

function levelOf (bytes: Buffer, anyMqtt: boolean): Foreign | 'more' | undefined {
  let at = 1
  while (at <= LENGTH_BYTES_MAX && bytes[at] >= 0x80) at++
  const name = bytes.subarray(at + 1, at + 1 + PROTOCOL_NAME.length)
  if (!PROTOCOL_NAME.subarray(0, name.length).equals(name)) return undefined
  const level = bytes[at + 1 + PROTOCOL_NAME.length]
  if (level === undefined) return bytes.length < FIRST_BYTES_MAX ? 'more' : undefined
  return SPOKEN.includes(level & 0x7f) && !anyMqtt ? undefined : { name: 'MQTT', level }
}

/** The first bytes of a connection, in however small pieces they come. */
export class FirstBytes {
  #bytes = NO_BYTES
  #isJudged = false

  /** Tells once who speaks another protocol. */
  feed (chunk: Uint8Array): Foreign | undefined {
    if (this.#isJudged) return undefined
    this.#bytes = Buffer.concat([this.#bytes, chunk.subarray(0, FIRST_BYTES_MAX - this.#bytes.length)])
    const foreign = foreignOf(this.#bytes)
    if (foreign === 'more' && this.#bytes.length < FIRST_BYTES_MAX) return undefined
    this.#isJudged = true
    this.#bytes = NO_BYTES
    return foreign === 'more' ? undefined : foreign
  }
}
