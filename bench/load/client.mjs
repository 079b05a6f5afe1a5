/** One MQTT connection of the load: scans frames in place, acknowledges everything of one read with one write. */
import { connect } from 'node:net'
import { DISCONNECT_PACKET, connectPacket, subscribePacket } from './packets.mjs'

const CONNACK = 2
const PUBLISH = 3
const PUBACK = 4
const SUBACK = 9
const REFUSED = 0x80

export class Client {
  #socket
  #rest
  #expected
  #onPublish
  #onAcks
  #onCut
  #acks = []

  /**
   * @param onPublish (data, payloadAt): called for every PUBLISH, which is then acknowledged
   * @param onAcks (count): called after each read that brought PUBACKs
   * @param onCut (): the server closed the connection; an error where it is not given
   */
  constructor ({ port, clientId, clean = false, onPublish, onAcks = () => {}, onCut }) {
    this.clientId = clientId
    this.#onCut = onCut
    this.#onPublish = onPublish
    this.#onAcks = onAcks
    this.connected = this.#expect(CONNACK, `${clientId} could not connect`)
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true })
    this.#socket.on('connect', () => this.#socket.write(connectPacket(clientId, clean)))
    this.#socket.on('data', (data) => this.#read(data))
    this.#socket.on('error', (error) => this.#fail(error.message))
    this.#socket.on('close', () => this.#fail('the server closed the connection'))
  }

  /** All filters in one packet; rejects where one is refused. */
  async subscribe (filters, qos = 1) {
    const answered = this.#expect(SUBACK, `${this.clientId} could not subscribe`)
    this.#socket.write(subscribePacket(filters, qos))
    await answered
  }

  write (bytes) {
    this.#socket.write(bytes)
  }

  /** Bytes that the server has not taken yet. */
  get waitingBytes () { return this.#socket.writableLength }

  /** Takes nothing more from the server, and says nothing. */
  freeze () {
    this.#socket.pause()
  }

  /** Resolves when the server has closed its side too: it knows then that the session is detached. */
  async end () {
    this.ended = true
    const closed = new Promise((resolve) => this.#socket.once('close', resolve))
    this.#socket.end(DISCONNECT_PACKET)
    this.#socket.resume()
    await closed
  }

  destroy () {
    this.ended = true
    this.#socket.destroy()
  }

  #expect (type, what) {
    return new Promise((resolve, reject) => { this.#expected = { type, what, resolve, reject } })
  }

  #fail (why) {
    if (this.ended) return
    this.ended = true
    const error = new Error(`${this.clientId}: ${why}`)
    if (this.#expected !== undefined) this.#expected.reject(error)
    else if (this.#onCut === undefined) throw error
    this.#onCut?.()
  }

  #answer (type, code) {
    const { what, resolve, reject } = this.#expected
    this.#expected = undefined
    if (type === CONNACK ? code === 0 : code < REFUSED) resolve()
    else reject(new Error(`${what}: code ${code}`))
  }

  #read (chunk) {
    let data = chunk
    if (this.#rest !== undefined) {
      data = Buffer.concat([this.#rest, chunk])
      this.#rest = undefined
    }
    let at = 0
    let acks = 0
    while (at < data.length) {
      let length = 0
      let shift = 0
      let body = at + 1
      let digit = 128
      while (digit & 128 && body < data.length) {
        digit = data[body++]
        length |= (digit & 127) << shift
        shift += 7
      }
      if (digit & 128 || body + length > data.length) {
        this.#rest = data.subarray(at)
        break
      }
      const type = data[at] >> 4
      if (type === PUBLISH) this.#publish(data, data[at], body)
      else if (type === PUBACK) acks++
      else if (type === CONNACK) this.#answer(type, data[body + 1])
      else if (type === SUBACK) this.#answer(type, data[body + 2])
      at = body + length
    }
    if (this.#acks.length > 0) {
      this.#socket.write(Buffer.from(this.#acks))
      this.#acks = []
    }
    if (acks > 0) this.#onAcks(acks)
  }

  #publish (data, first, body) {
    let payloadAt = body + 2 + (data[body] << 8 | data[body + 1])
    if (first & 6) {
      this.#acks.push(0x40, 2, data[payloadAt], data[payloadAt + 1])
      payloadAt += 2
    }
    this.#onPublish(data, payloadAt)
  }
}
