/** Emits its events to a room with a window of those without an ack; what a read makes room for is one write. */
import { SocketioClient, frame } from './socketio-client.mjs'

/** Where the numbers of an event stand, from its first byte behind the packet type: `["msg",{"from":"0001",...`. */
const FROM_AT = '["msg",{"from":"'.length
const FROM_DIGITS = 4
const SEQUENCE_AT = FROM_AT + FROM_DIGITS + '","seq":"'.length
const SEQUENCE_DIGITS = 8
const ACK_ID_DIGITS = 7
const DATA_BYTES = JSON.stringify({ from: '0000', seq: '00000000', text: '' }).length

export class SocketioEmitter {
  acked = 0
  #client
  #template
  #ackIdAt
  #sequenceAt
  #window
  #messages
  #sent = 0
  #allowed = 0
  #onAcked

  /** @param payloadBytes length of the argument as JSON */
  constructor ({ port, number, room, messages, windowMessages, payloadBytes, onAcked = () => {} }) {
    const data = { from: digits(number, FROM_DIGITS), seq: digits(0, SEQUENCE_DIGITS), text: '' }
    data.text = 'x'.repeat(Math.max(0, payloadBytes - DATA_BYTES))
    const ackId = '9'.repeat(ACK_ID_DIGITS) // no id begins with 0
    this.#template = frame(`42${ackId}${JSON.stringify(['send', { room }, 'msg', data])}`)
    this.#ackIdAt = this.#template.indexOf(ackId) + 1
    this.#sequenceAt = this.#template.indexOf(`"seq":"${data.seq}"`) + '"seq":"'.length
    this.#window = windowMessages
    this.#messages = messages
    this.#onAcked = onAcked
    this.#client = new SocketioClient({
      port,
      auth: { clientId: `emitter-${number}` },
      onAcks: (count) => {
        this.acked += count
        this.#pump()
        this.#onAcked(count)
      }
    })
    this.connected = this.#client.connected
  }

  /** Lets it emit `count` more. */
  allow (count) {
    this.#allowed = Math.min(this.#messages, this.#allowed + count)
    this.#pump()
  }

  async end () {
    await this.#client.end()
  }

  #pump () {
    const count = Math.min(this.#window - (this.#sent - this.acked), this.#allowed - this.#sent)
    if (count <= 0) return
    const out = Buffer.allocUnsafe(count * this.#template.length)
    for (let at = 0; at < out.length; at += this.#template.length, this.#sent++) {
      out.set(this.#template, at)
      write(out, at + this.#ackIdAt, this.#sent, ACK_ID_DIGITS - 1)
      write(out, at + this.#sequenceAt, this.#sent, SEQUENCE_DIGITS)
    }
    this.#client.write(out)
  }
}

/** Who emitted the event and as which of its events, given where it begins; the rest of it is not looked at. */
export function readEvent (data, at) {
  return { from: number(data, at + FROM_AT, FROM_DIGITS), sequence: number(data, at + SEQUENCE_AT, SEQUENCE_DIGITS) }
}

function digits (value, count) {
  return String(value).padStart(count, '0')
}

function write (bytes, at, value, count) {
  for (let i = count - 1, rest = value; i >= 0; i--, rest = Math.floor(rest / 10)) bytes[at + i] = 0x30 + rest % 10
}

function number (bytes, at, count) {
  let value = 0
  for (let i = 0; i < count; i++) value = value * 10 + bytes[at + i] - 0x30
  return value
}
