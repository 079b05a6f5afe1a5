/**
 * Between the parser and Aedes: packets are kept in order and out of reach until CONNACK is out. What is malformed has
 * been stopped before (well-formed.ts).
 *
 * Without the gate Aedes handles a packet that comes while CONNECT is still being authenticated: it would get its
 * receipt without having been appended [G1], or overtake those that came before it [G3].
 */
import type { Answer } from '../../session/link.ts'
import { isShared, misplacedWildcard, SHARED_QOS_MAX } from '../../model/topics.ts'

export interface GatedPacket {
  readonly cmd: string
  readonly qos?: number
  readonly messageId?: number
  subscriptions?: Array<{ topic: string, qos: number }>
  unsubscriptions?: readonly string[]
}

export interface GateOptions {
  /** Hands a packet to Aedes. */
  readonly pass: (packet: GatedPacket) => void
  /** The first packet has come, CONNECT: nothing more is to be read before CONNACK. */
  readonly connecting: () => void
  /** The client takes its leave: DISCONNECT. Nothing comes behind it [MQTT-3.14.4-2]. */
  readonly leave: () => void
  /** The client broke the protocol: its connection ends. */
  readonly refuse: (sentence: string) => void
  /** Is a filter one? Where it is not, that is told. */
  readonly mayFilter: (filter: string) => boolean
  /** What is wrong with an answer to a message; undefined if nothing is. */
  readonly wrongAnswer: (answer: Answer, packetId: number) => string | undefined
  /** Packets that may wait for CONNACK; reading stops meanwhile. */
  readonly waitingMax: number
}

/**
 * Stand for filters that must be answered, but not subscribed: with 0x80, or like the same filter later in the packet.
 * Aedes would disconnect for the first kind and leave out the return code of the second [MQTT-3.9.3-1].
 */
export const REFUSED_FILTER = '$holdfast/refused/'
export const REPEATED_FILTER = '$holdfast/repeated/'

export class PacketGate {
  readonly #options: GateOptions
  #waiting: GatedPacket[] | undefined
  #isOpen = false
  #isOver = false

  constructor (options: GateOptions) {
    this.#options = options
  }

  /** The parser has read a packet. */
  take (packet: GatedPacket): void {
    if (this.#isOver) return
    if (this.#isOpen) this.#pass(packet)
    else if (this.#waiting === undefined) { // CONNECT; anything else is refused by Aedes [MQTT-3.1.0-1]
      this.#waiting = []
      this.#options.connecting()
      this.#options.pass(packet)
    } else if (packet.cmd === 'connect') this.#break('a second CONNECT [MQTT-3.1.0-2]')
    else if (this.#waiting.push(packet) > this.#options.waitingMax) {
      this.#break(`more than ${this.#options.waitingMax} packets before CONNACK`)
    }
  }

  /** CONNACK is not out yet. */
  get isConnecting (): boolean { return !this.#isOpen && !this.#isOver }
  /** Packets wait for it. */
  get hasWaiting (): boolean { return this.#waiting !== undefined && this.#waiting.length > 0 }

  get isOpen (): boolean { return this.#isOpen && !this.#isOver }

  /** CONNACK is out. */
  open (): void {
    const waiting = this.#waiting ?? []
    this.#waiting = []
    this.#isOpen = true
    for (const packet of waiting) if (!this.#isOver) this.#pass(packet)
  }

  /** False if it is not the answer that the message asked for: then the connection ends. */
  takesAnswer (answer: Answer, packetId: number): boolean {
    const wrong = this.#options.wrongAnswer(answer, packetId)
    if (wrong === undefined) return true
    this.#break(wrong)
    return false
  }

  #pass (packet: GatedPacket): void {
    if (packet.cmd === 'disconnect') {
      this.#isOver = true
      this.#options.leave()
      return
    }
    if (isAnswer(packet.cmd) && !this.takesAnswer(packet.cmd, packet.messageId!)) return
    if (packet.subscriptions !== undefined) markFilters(packet, this.#options.mayFilter)
    if (packet.unsubscriptions !== undefined) { // for a filter that never was granted, Aedes would disconnect
      packet.unsubscriptions = packet.unsubscriptions.filter((filter) => misplacedWildcard(filter) === undefined)
    }
    this.#options.pass(packet)
  }

  #break (sentence: string): void {
    this.#isOver = true
    this.#waiting = []
    this.#options.refuse(sentence)
  }
}

function isAnswer (cmd: string): cmd is Answer { return cmd === 'puback' || cmd === 'pubrec' || cmd === 'pubcomp' }

function markFilters (packet: GatedPacket, mayFilter: GateOptions['mayFilter']): void {
  const subscriptions = packet.subscriptions!
  const lastOf = new Map<string, number>()
  for (let i = 0; i < subscriptions.length; i++) lastOf.set(subscriptions[i].topic, i)
  for (let i = 0; i < subscriptions.length; i++) {
    const { topic, qos } = subscriptions[i]
    // Aedes takes what it answers from here.
    if (isShared(topic)) subscriptions[i].qos = Math.min(qos, SHARED_QOS_MAX)
    if (!mayFilter(topic)) subscriptions[i].topic = REFUSED_FILTER + i
    else if (lastOf.get(topic) !== i) subscriptions[i].topic = REPEATED_FILTER + i
  }
}
