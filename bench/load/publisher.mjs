/** Sends its messages with a window of unacknowledged ones; what a read of the socket makes room for is one write. */
import { Client } from './client.mjs'
import { publishTemplate } from './packets.mjs'

const PACKET_ID_MAX = 65_535

export class Publisher {
  acked = 0
  #client
  #number
  #template
  #window
  #stamps
  #sent = 0
  #allowed = 0
  #onAcked

  /**
   * @param messages how many at most
   * @param onAcked (count): called after PUBACKs came
   * @param onCut as that of Client
   */
  constructor ({
    port, clientId, number, topic, messages, windowMessages, payloadBytes, onAcked = () => {}, onCut
  }) {
    this.#number = number
    this.#template = publishTemplate(topic, payloadBytes)
    this.#window = windowMessages
    this.#stamps = new Float64Array(messages)
    this.#onAcked = onAcked
    this.#client = new Client({
      port,
      clientId,
      clean: true,
      onPublish: () => {},
      onCut,
      onAcks: (count) => {
        this.acked += count
        this.#pump()
        this.#onAcked(count)
      }
    })
    this.connected = this.#client.connected
  }

  /**
   * Lets it send `count` more. They carry the time of this call, also where the window makes them wait: a server that
   * falls behind can't hide it.
   */
  allow (count) {
    const end = Math.min(this.#stamps.length, this.#allowed + count)
    this.#stamps.fill(performance.now(), this.#allowed, end)
    this.#allowed = end
    this.#pump()
  }

  get allowed () { return this.#allowed }

  async end () {
    await this.#client.end()
  }

  destroy () {
    this.#client.destroy()
  }

  #pump () {
    const count = Math.min(this.#window - (this.#sent - this.acked), this.#allowed - this.#sent)
    if (count <= 0) return
    const { bytes, packetIdAt, payloadAt } = this.#template
    const out = Buffer.allocUnsafe(count * bytes.length)
    for (let at = 0; at < out.length; at += bytes.length, this.#sent++) {
      out.set(bytes, at)
      out.writeUInt16BE(this.#sent % PACKET_ID_MAX + 1, at + packetIdAt)
      out.writeUInt32BE(this.#number, at + payloadAt)
      out.writeUInt32BE(this.#sent, at + payloadAt + 4)
      out.writeDoubleBE(this.#stamps[this.#sent], at + payloadAt + 8)
    }
    this.#client.write(out)
  }
}
