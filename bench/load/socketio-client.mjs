/**
 * One Socket.IO connection of the load, over WebSocket (Engine.IO 4, Socket.IO protocol 5): scans frames in place, and
 * answers all pings of one read with one write. It speaks as socket.io-client does, at a fraction of its cost.
 */
import { connect } from 'node:net'

const FIN_TEXT = 0x81
const PING = 0x32 // '2'
const MESSAGE = 0x34 // '4'
const OPEN = 0x30 // '0'
const CONNECT = 0x30
const EVENT = 0x32
const ACK = 0x33
const MASKED = 0x80
const SHORT_BYTES_MAX = 125
const MIDDLE_BYTES_MAX = 65_535
const HEAD_END = '\r\n\r\n'

/** A masked frame; the mask is zero, so that the text stays as it is (RFC 6455, 5.3 lets a client pick any). */
export function frame (text) {
  const length = Buffer.byteLength(text)
  const isShort = length <= SHORT_BYTES_MAX
  const isLong = length > MIDDLE_BYTES_MAX
  const bytes = Buffer.alloc((isShort ? 6 : isLong ? 14 : 8) + length)
  bytes[0] = FIN_TEXT
  bytes[1] = MASKED | (isShort ? length : isLong ? 127 : 126)
  if (isLong) bytes.writeUInt32BE(length, 6)
  else if (!isShort) bytes.writeUInt16BE(length, 2)
  bytes.write(text, bytes.length - length)
  return bytes
}

const PONG = frame('3')

export class SocketioClient {
  /** Engine pings that came. */
  pings = 0
  #socket
  #name
  #rest
  #isUpgraded = false
  #expected
  #onEvent
  #onAcks
  #onCut
  #auth

  /**
   * @param auth what the client says in CONNECT
   * @param onEvent (data, at, end): called for every event; `data` holds it from `at`, after the packet type
   * @param onAcks (count): called after each read that brought acks
   * @param onCut (): the server closed the connection; an error where it is not given
   */
  constructor ({ port, auth, onEvent = () => {}, onAcks = () => {}, onCut }) {
    this.#onCut = onCut
    this.#name = JSON.stringify(auth)
    this.#auth = auth
    this.#onEvent = onEvent
    this.#onAcks = onAcks
    this.connected = new Promise((resolve, reject) => { this.#expected = { resolve, reject } })
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true })
    this.#socket.on('connect', () => this.#socket.write([
      'GET /socket.io/?EIO=4&transport=websocket HTTP/1.1', 'Host: 127.0.0.1', 'Connection: Upgrade',
      'Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: aG9sZGZhc3QgYmVuY2ghIQ==', HEAD_END
    ].join('\r\n').replace(/\r\n\r\n\r\n$/, HEAD_END)))
    this.#socket.on('data', (data) => this.#read(data))
    this.#socket.on('error', (error) => this.#fail(error.message))
    this.#socket.on('close', () => this.#fail('the server closed the connection'))
  }

  /** Resolves when the server has acknowledged the event. One at a time, and none beside write(). */
  async emit (...args) {
    await new Promise((resolve, reject) => {
      this.#expected = { resolve, reject }
      this.write(frame(`420${JSON.stringify(args)}`))
    })
  }

  write (bytes) {
    this.#socket.write(bytes)
  }

  /** Bytes that the server has not taken yet. */
  get waitingBytes () { return this.#socket.writableLength }

  /** Resolves when the server has closed its side too. */
  async end () {
    this.ended = true
    const closed = new Promise((resolve) => this.#socket.once('close', resolve))
    this.#socket.end(frame('41'))
    this.#socket.resume()
    await closed
  }

  destroy () {
    this.ended = true
    this.#socket.destroy()
  }

  #fail (why) {
    if (this.ended) return
    this.ended = true
    const error = new Error(`${this.#name}: ${why}`)
    if (this.#expected !== undefined) this.#expected.reject(error)
    else if (this.#onCut === undefined) throw error
    this.#onCut?.()
  }

  #succeed () {
    this.#expected.resolve()
    this.#expected = undefined
  }

  #read (chunk) {
    let data = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk])
    this.#rest = undefined
    if (!this.#isUpgraded) {
      const end = data.indexOf(HEAD_END)
      if (end < 0) {
        this.#rest = data
        return
      }
      const status = data.toString('latin1', 0, data.indexOf('\r\n'))
      if (!status.includes(' 101 ')) return this.#fail(`no WebSocket: ${status}`)
      this.#isUpgraded = true
      data = data.subarray(end + HEAD_END.length)
    }
    let at = 0
    let pings = 0
    let acks = 0
    while (at + 2 <= data.length) {
      let length = data[at + 1]
      let body = at + 2
      if (length > SHORT_BYTES_MAX) {
        body = length === 126 ? at + 4 : at + 10
        if (body > data.length) break
        length = length === 126 ? data.readUInt16BE(at + 2) : data.readUInt32BE(at + 6)
      }
      const end = body + length
      if (end > data.length) break
      if (data[at] === FIN_TEXT) {
        const type = data[body]
        if (type === PING) pings++
        else if (type === OPEN) this.write(frame(`40${JSON.stringify(this.#auth)}`))
        else if (type === MESSAGE) {
          const kind = data[body + 1]
          if (kind === EVENT) this.#onEvent(data, body + 2, end)
          else if (kind === ACK) acks++
          else if (kind === CONNECT) this.#succeed()
          else this.#fail(`the server said ${data.toString('utf8', body, end)}`)
        }
      }
      at = end
    }
    if (at < data.length) this.#rest = data.subarray(at)
    if (pings > 0) {
      this.pings += pings
      this.#socket.write(pings === 1 ? PONG : Buffer.concat(Array.from({ length: pings }, () => PONG)))
    }
    if (acks === 0) return
    if (this.#expected === undefined) this.#onAcks(acks)
    else this.#succeed()
  }
}
