/**
 * Who publishes into the room of a cell: a device over MQTT, whose link is sound, and the client itself, through the
 * link that is cut. Both keep their side of the bargain: what got no receipt is sent again, in its order.
 */
import { connect, type MqttClient } from 'mqtt'
import { decodeEnvelope, encodeEnvelope } from '../../protocol/envelope.ts'
import type { Random } from '../helpers/random.ts'
import type { Address } from '../helpers/server.ts'
import type { LegacySocket } from '../helpers/socketio-clients.ts'
import { until } from '../helpers/wait.ts'
import type { Promised } from './verdict.ts'

export interface Publisher extends Promised {
  /** Answers that say that something will never work; there should be none. */
  readonly refusals: readonly string[]
  /** Up to so many more, as far as its window has room. */
  publish (count: number): void
  /** Resolves when everything has its receipt. */
  finish (ms: number): Promise<void>
  end (): void
}

const DEVICE_WINDOW = 32
const CLIENT_WINDOW = 4
const LONG_BYTES_MAX = 6_000
const SHORT_BYTES_MAX = 200

/** Mostly short; some long enough for several TCP segments; some binary, which is more than one frame. */
function filling (random: Random): string | Buffer {
  const length = random.int(10) === 0 ? random.int(LONG_BYTES_MAX) : random.int(SHORT_BYTES_MAX)
  return random.int(6) === 0 ? Buffer.alloc(length, 'b') : 'x'.repeat(length)
}

export class DevicePublisher implements Publisher {
  readonly source: string
  readonly receipts = new Set<number>()
  readonly resent = new Map<number, number>()
  readonly refusals: string[] = []
  readonly #topic: string
  readonly #random: Random
  readonly #client: MqttClient
  /** Payloads without a receipt. */
  readonly #open = new Map<number, Buffer>()
  /** What mqtt.js gave up, as it was not connected. */
  readonly #givenUp = new Set<number>()
  /** Numbers by packet identifier, of packets that were written. */
  readonly #written = new Map<number, number>()
  #sent = 0

  constructor (source: string, room: string, to: Address, random: Random) {
    this.source = source
    this.#topic = `io/_/room/${room}/m`
    this.#random = random
    this.#client = connect(`mqtt://${to.host}:${to.port}`, { clientId: source, clean: false, reconnectPeriod: 20 })
    this.#client.on('error', () => {}) // it connects again
    this.#client.on('connect', () => {
      const again = [...this.#givenUp].sort((a, b) => a - b)
      this.#givenUp.clear()
      for (const number of again) this.#send(number)
    })
    this.#client.on('packetsend', packet => {
      if (packet.cmd !== 'publish') return
      const number = decodeEnvelope(packet.payload as Buffer)!.args[1] as number
      if (this.#written.get(packet.messageId!) === number) this.#countAgain(number)
      this.#written.set(packet.messageId!, number)
    })
  }

  publish (count: number): void {
    for (let left = count; left > 0 && this.#open.size < DEVICE_WINDOW && this.#client.connected; left--) {
      const number = this.#sent++
      const args = [this.source, number, filling(this.#random)]
      this.#open.set(number, Buffer.from(encodeEnvelope({ id: `${this.source}-${number}`, args })))
      this.#send(number)
    }
  }

  async finish (ms: number): Promise<void> {
    await until(() => this.#open.size === 0, `receipts of ${this.source}`, ms)
  }

  end (): void {
    this.#client.end(true)
  }

  #send (number: number): void {
    this.#client.publish(this.#topic, this.#open.get(number)!, { qos: 1 }, error => {
      if (error == null) {
        this.receipts.add(number)
        this.#open.delete(number)
      } else {
        this.#givenUp.add(number)
        this.#countAgain(number) // it may have been written all the same
      }
    })
  }

  #countAgain (number: number): void {
    this.resent.set(number, (this.resent.get(number) ?? 0) + 1)
  }
}

export class ClientPublisher implements Publisher {
  readonly source: string
  readonly receipts = new Set<number>()
  readonly resent = new Map<number, number>()
  readonly refusals: string[] = []
  readonly #room: string
  readonly #random: Random
  /** In the order of sending. */
  readonly #open = new Map<number, string | Buffer>()
  #socket: LegacySocket | undefined
  #sent = 0

  constructor (source: string, room: string, random: Random) {
    this.source = source
    this.#room = room
    this.#random = random
  }

  /** From now on it publishes through this client. */
  use (socket: LegacySocket): void {
    this.#socket = socket
    socket.on('connect', () => {
      if (socket === this.#socket) this.#sendAgain()
    })
    if (socket.connected) this.#sendAgain()
  }

  publish (count: number): void {
    for (let left = count; left > 0 && this.#open.size < CLIENT_WINDOW; left--) {
      // what is emitted while it is away would wait in the client, out of its order
      if (this.#socket?.connected !== true) return
      const number = this.#sent++
      this.#open.set(number, filling(this.#random))
      this.#send(number)
    }
  }

  async finish (ms: number): Promise<void> {
    await until(() => this.#open.size === 0, `receipts of ${this.source}`, ms)
  }

  end (): void {
    this.#socket = undefined
  }

  #send (number: number): void {
    this.#socket!.emit('send', { room: this.#room }, 'm', this.source, number, this.#open.get(number),
      (answer: { status: string }) => {
        if (answer.status === 'ok') this.receipts.add(number)
        else this.refusals.push(`${this.source} ${number}: ${JSON.stringify(answer)}`)
        this.#open.delete(number)
      })
  }

  #sendAgain (): void {
    for (const number of this.#open.keys()) {
      this.resent.set(number, (this.resent.get(number) ?? 0) + 1)
      this.#send(number)
    }
  }
}
