/**
 * A client as MQTT means it: it publishes until it has a receipt, acknowledges late, out of order or not at all, loses
 * its connections, and comes back. It follows the protocol; whatever goes wrong is the broker's.
 */
import type { ClientId, PacketId, QoS } from '../../broker/model/message.ts'
import type { VirtualClock } from './clock.ts'
import type { Random } from './random.ts'
import type { Referee } from './referee.ts'
import type { Scenario } from './scenario.ts'
import { Wire } from './connection.ts'
import type { ServerProcess } from './server.ts'
import type { Sent, ToClient } from './wire.ts'

export interface ClientOptions {
  readonly clientId: ClientId
  /** False for a client that connects with CleanSession. */
  readonly isKept: boolean
  readonly publishes: boolean
  readonly hasWill: boolean
  readonly scenario: Scenario
  readonly clock: VirtualClock
  readonly random: Random
  readonly referee: Referee
  /** The process that answers at the moment. */
  readonly server: () => ServerProcess | undefined
  /** A message has reached it. */
  readonly arrived: (life: number, sent: Sent, wasHandled: boolean) => void
}

/** A client of any kind, as the world sees it. */
export interface Participant {
  readonly options: Pick<ClientOptions, 'clientId' | 'isKept' | 'publishes'>
  readonly isConnected: boolean
  /** How many messages have no receipt yet. */
  readonly waiting: number
  readonly wire: Cuttable | undefined
  come (clean?: boolean): void
  /** @param isOrderly it takes leave, else as if the network had gone */
  go (isOrderly: boolean): void
  /** A new connection while the old one still stands, as far as the server can see. */
  takeOver (anew?: boolean): void
  heal (): void
  publish (topic: string, qos: QoS, padding: number, retain: boolean): void
  subscribe (filter: string, qos: QoS): void
  unsubscribe (filter: string): void
}

/** Its connection, as faults see it. */
export interface Cuttable {
  cut (): void
  freeze (both: boolean): void
  thaw (): void
}

interface Outgoing {
  readonly topic: string
  readonly qos: QoS
  readonly sequence: number
  readonly padding: number
  readonly retain: boolean
  attempts: number
  packetId: PacketId
  key: string
  /** PUBREC has come; PUBREL is out. */
  isReceived: boolean
}

const RECONNECT_MS = 20
/** Messages that a client keeps for when it can send them. */
const OUTBOX_MAX = 100

export class Client implements Participant {
  readonly options: ClientOptions
  readonly #outbox: Outgoing[] = []
  #outstanding: Outgoing[] = []
  /** QoS 2 messages that were received and not yet released [MQTT-4.3.3-2]: identifier to key. */
  readonly #receiving = new Map<PacketId, string>()
  #wire: Wire | undefined
  #isConnected = false
  #life = 0
  #doubts = 0
  #sequence = 0
  #nextPacketId = 1
  #wantsConnection = false
  #connectsClean = false
  /** Messages that it did not acknowledge on purpose; only a new connection brings them back. */
  #withheld = 0
  /** From now on it does all it can. */
  #isHealed = false

  constructor (options: ClientOptions) {
    this.options = options
  }

  get isConnected (): boolean { return this.#isConnected }
  get life (): number { return this.#life }
  get wire (): Wire | undefined { return this.#wire }
  get waiting (): number { return this.#outbox.length + this.#outstanding.length }

  // --- coming and going

  come (clean = !this.options.isKept): void {
    this.#wantsConnection = true
    this.#connectsClean = clean
    if (this.#wire === undefined) this.#dial()
  }

  /** @param isOrderly with DISCONNECT, else as if the network had gone */
  go (isOrderly: boolean): void {
    this.#wantsConnection = false
    if (isOrderly && this.#isConnected) this.#wire?.up({ type: 'disconnect' })
    else this.#wire?.cut()
    this.#forget()
  }

  /** A new connection while the old one still stands, as far as the server can see. */
  takeOver (clean = !this.options.isKept): void {
    this.#wire?.abandon()
    this.#forget()
    this.#wantsConnection = true
    this.#connectsClean = clean
    this.#dial()
  }

  heal (): void {
    this.#isHealed = true
    for (let i = this.#outbox.length - 1; i >= 0 && this.#outbox[i].attempts === 0; i--) this.#outbox.pop()
    this.#wire?.thaw()
    this.#connectsClean = !this.options.isKept
    if (this.#withheld > 0) this.#wire?.cut()
    this.come()
  }

  #dial (): void {
    const { clock, random, scenario, clientId, hasWill, server } = this.options
    const process = server()
    if (process === undefined || !process.isOpen) return this.#comeBack()
    const wire = new Wire({
      clock,
      random,
      scenario,
      process,
      latencyMs: () => 0.1 + random.around(this.#isHealed ? 0.5 : scenario.latencyMs),
      arrives: packet => { if (this.#wire === wire) this.#handle(packet) },
      lost: () => { if (this.#wire === wire) this.#lost() }
    })
    this.#wire = wire
    this.#withheld = 0
    wire.up({ type: 'connect', clientId, clean: this.#connectsClean, expiryMs: scenario.expiryMs, hasWill })
    this.#connectsClean = !this.options.isKept
  }

  #lost (): void {
    this.#forget()
    if (this.#wantsConnection) this.#comeBack()
  }

  #comeBack (): void {
    const { clock, random } = this.options
    clock.after(random.around(RECONNECT_MS), () => {
      if (this.#wantsConnection && this.#wire === undefined) this.#dial()
    })
  }

  /** What was sent and not answered is sent again on the next connection, before anything else and in order. */
  #forget (): void {
    this.#wire = undefined
    this.#isConnected = false
    this.#outbox.unshift(...this.#outstanding)
    this.#outstanding = []
  }

  // --- publishing

  publish (topic: string, qos: QoS, padding: number, retain: boolean): void {
    if (this.#outbox.length >= OUTBOX_MAX) return
    this.#outbox.push({
      topic,
      qos,
      sequence: ++this.#sequence,
      padding,
      retain,
      attempts: 0,
      packetId: 0 as PacketId,
      key: '',
      isReceived: false
    })
    this.#pump()
  }

  #pump (): void {
    const { clientId, scenario } = this.options
    while (this.#isConnected && this.#outbox.length > 0 && this.#outstanding.length < scenario.publishWindowMax) {
      const message = this.#outbox.shift()!
      if (message.isReceived) {
        this.#outstanding.push(message)
        this.#wire!.up({ type: 'completed', packetId: message.packetId })
        continue
      }
      const attempt = ++message.attempts
      // The broker can know a repetition again at QoS 2 only, by the packet identifier.
      if (message.qos < 2 || attempt === 1) {
        message.key = `${clientId}.${message.sequence}${attempt > 1 ? `.${attempt}` : ''}`
      }
      if (message.qos === 2 && message.packetId === 0) {
        message.packetId = this.#nextPacketId as PacketId
        this.#nextPacketId = this.#nextPacketId % 65_535 + 1
      }
      if (message.qos > 0) this.#outstanding.push(message)
      const { topic, qos, padding, retain, key, packetId } = message
      this.#wire!.up({ type: 'publish', key, topic, qos, padding, retain, packetId })
    }
  }

  // --- what comes

  #handle (packet: ToClient): void {
    switch (packet.type) {
      case 'connected': return this.#connected(packet.life, packet.doubts)
      case 'deliver':
        for (const sent of packet.deliveries) this.#arrive(sent)
        return
      case 'release':
        this.#receiving.delete(packet.packetId)
        return this.#soon(wire => { wire.up({ type: 'acknowledge', packetId: packet.packetId }) })
      case 'receipt': return this.#receipt(packet.key)
      case 'completed':
        this.#outstanding = this.#outstanding.filter(one => one.packetId !== packet.packetId || !one.isReceived)
        return this.#pump()
      case 'closed': return this.#lost()
    }
  }

  /**
   * @param life number of the session. A real client is only told whether a session was present; it can miss that it
   *   was made anew when the answer was lost, and then QoS 2 is not exactly once. That is not held against the broker.
   * @param doubts where it can't be told whether it was, what was sent at QoS 2 becomes other messages, too
   */
  #connected (life: number, doubts: number): void {
    if (life !== this.#life) this.#receiving.clear()
    if (life !== this.#life || doubts !== this.#doubts) {
      // The server has forgotten which QoS 2 messages it had: they become other messages.
      for (const message of this.#outbox) {
        if (message.qos !== 2 || message.attempts === 0) continue
        message.attempts = 0
        message.packetId = 0 as PacketId
        if (!message.isReceived) (message as { sequence: number }).sequence = ++this.#sequence
      }
      for (let i = this.#outbox.length - 1; i >= 0; i--) if (this.#outbox[i].isReceived) this.#outbox.splice(i, 1)
    }
    this.#life = life
    this.#doubts = doubts
    this.#isConnected = true
    this.#pump()
  }

  #receipt (key: string): void {
    const message = this.#outstanding.find(one => one.key === key)
    if (message === undefined) return
    if (message.qos === 2) {
      message.isReceived = true
      this.#wire!.up({ type: 'completed', packetId: message.packetId })
      return
    }
    this.#outstanding.splice(this.#outstanding.indexOf(message), 1)
    this.#pump()
  }

  #arrive (sent: Sent): void {
    const { packetId, qos } = sent
    const key = sent.message.payload.toString().split('|', 1)[0]
    const known = qos === 2 ? this.#receiving.get(packetId) : undefined
    if (known !== undefined && known !== key) {
      this.options.referee.violate('G4',
        `${this.options.clientId} holds ${known} under identifier ${packetId}, but got ${key} under it`)
    }
    this.options.arrived(this.#life, sent, known === undefined)
    if (qos === 0) return
    if (qos === 2) this.#receiving.set(packetId, key)
    if (!this.#isHealed && this.options.random.chance(this.options.scenario.ackNever)) {
      this.#withheld++
      return
    }
    this.#soon(wire => { wire.up({ type: qos === 1 ? 'acknowledge' : 'received', packetId }) })
  }

  /** After a while of its own for each, so that acknowledgements come out of order; not at all if the wire is lost. */
  #soon (answer: (wire: Wire) => void): void {
    const { clock, random, scenario } = this.options
    const wire = this.#wire!
    clock.after(random.around(this.#isHealed ? 1 : scenario.ackMs), () => { if (this.#wire === wire) answer(wire) })
  }

  // --- subscribing

  subscribe (filter: string, qos: QoS): void {
    if (this.#isConnected) this.#wire!.up({ type: 'subscribe', filter, qos })
  }

  unsubscribe (filter: string): void {
    if (this.#isConnected) this.#wire!.up({ type: 'unsubscribe', filter })
  }
}
