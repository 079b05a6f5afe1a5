/**
 * A PUBLISH that is too large, read through as it comes in: of it are kept its topic and packet identifier, so that it
 * can be answered, and never its payload [G6]. Pure: owns no socket. (MQTT 3.1.1, 2.2 and 3.3)
 */
const PUBLISH = 0x30
const LENGTH_BYTES_MAX = 4

/** Where the fixed header ends; undefined if more of it is to come. One that is malformed counts as whole. */
export function headerEnd (bytes: Uint8Array): number | undefined {
  for (let at = 1; at < bytes.length; at++) if (bytes[at] < 0x80 || at === LENGTH_BYTES_MAX) return at + 1
  return undefined
}

export class SkippedPublish {
  readonly qos: 0 | 1 | 2
  /** The Remaining Length of the packet. */
  readonly bytes: number
  /** Of its contents, still to come. */
  #left: number
  /** Length of the topic, topic, packet identifier: what has come of them. */
  #head = Buffer.alloc(2)
  #headBytes = 0

  /** For the length that its fixed header announces; undefined where that is none of a PUBLISH, or over the bound. */
  static of (bytes: Uint8Array, bytesMax: number): SkippedPublish | undefined {
    const qos = bytes[0] >> 1 & 3
    if ((bytes[0] & 0xf0) !== PUBLISH || qos === 3) return undefined
    const end = headerEnd(bytes)!
    let length = 0
    for (let at = 1; at < end; at++) length |= (bytes[at] & 0x7f) << 7 * (at - 1)
    return bytes[end - 1] >= 0x80 || length > bytesMax ? undefined : new SkippedPublish(qos as 0 | 1 | 2, length)
  }

  private constructor (qos: 0 | 1 | 2, bytes: number) {
    this.qos = qos
    this.bytes = this.#left = bytes
  }

  get isOver (): boolean { return this.#left === 0 }

  /** Behind the fixed header; returns how many bytes belong to the packet. */
  feed (chunk: Buffer): number {
    const some = Math.min(this.#left, chunk.length)
    let at = 0
    while (at < some && this.#headBytes < this.#head.length) {
      const copied = chunk.copy(this.#head, this.#headBytes, at, some)
      this.#headBytes += copied
      at += copied
      if (this.#headBytes === 2 && this.#head.length === 2) this.#grow()
    }
    this.#left -= some
    return some
  }

  #grow (): void {
    const rest = this.#head.readUInt16BE(0) + (this.qos === 0 ? 0 : 2)
    this.#head = Buffer.concat([this.#head, Buffer.alloc(rest)])
  }

  /** Once it is over. Undefined where it is malformed: no room for its topic, or identifier 0 [MQTT-2.3.1-1]. */
  get identity (): { readonly topic: string, readonly packetId: number } | undefined {
    if (this.#headBytes < 2 || this.#headBytes < this.#head.length) return undefined
    const topicEnd = 2 + this.#head.readUInt16BE(0)
    const packetId = this.qos === 0 ? 0 : this.#head.readUInt16BE(topicEnd)
    if (this.qos > 0 && packetId === 0) return undefined
    return { topic: this.#head.toString('utf8', 2, topicEnd), packetId }
  }
}
