/**
 * Between the parser and Aedes: packets are kept in order and out of reach until CONNACK is out, and what MQTT forbids
 * but parser and engine let pass is stopped here.
 *
 * Without the gate Aedes handles a packet that comes while CONNECT is still being authenticated: it would get its
 * receipt without having been appended [G1], or overtake those that came before it [G3].
 */
export interface GatedPacket {
  readonly cmd: string
  readonly qos?: number
  readonly messageId?: number
  subscriptions?: Array<{ topic: string, qos: number }>
  readonly unsubscriptions?: readonly string[]
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
  /** What is wrong with a filter; undefined if nothing is. */
  readonly wrongFilter: (filter: string) => string | undefined
  /** Packets that may wait for CONNACK; reading stops meanwhile. */
  readonly waitingMax: number
}

/**
 * Stand for filters that must be answered, but not subscribed: with 0x80, or like the same filter later in the packet.
 * Aedes would disconnect for the first kind and leave out the return code of the second [MQTT-3.9.3-1].
 */
export const REFUSED_FILTER = '$holdfast/refused/'
export const REPEATED_FILTER = '$holdfast/repeated/'

/** What decoding makes of bytes that are not UTF-8: the connection ends [MQTT-1.5.3-1]. */
const REPLACEMENT = '\uFFFD'

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
    const wrong = violation(packet)
    if (wrong !== undefined) this.#break(wrong)
    else if (this.#isOpen) this.#pass(packet)
    else if (this.#waiting === undefined) { // CONNECT; anything else is refused by Aedes [MQTT-3.1.0-1]
      this.#waiting = []
      this.#options.connecting()
      this.#options.pass(packet)
    } else if (packet.cmd === 'connect') this.#break('a second CONNECT') // [MQTT-3.1.0-2]
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

  #pass (packet: GatedPacket): void {
    if (packet.cmd === 'disconnect') {
      this.#isOver = true
      this.#options.leave()
      return
    }
    if (packet.subscriptions !== undefined) markFilters(packet, this.#options.wrongFilter)
    this.#options.pass(packet)
  }

  #break (sentence: string): void {
    this.#isOver = true
    this.#waiting = []
    this.#options.refuse(sentence)
  }
}

function violation (packet: GatedPacket): string | undefined {
  const { cmd, messageId } = packet
  const needsId = cmd === 'subscribe' || cmd === 'unsubscribe' || (cmd === 'publish' && packet.qos! > 0)
  if (needsId && messageId === 0) return `${cmd} with packet identifier 0` // [MQTT-2.3.1-1]
  if (cmd === 'subscribe' && packet.subscriptions?.length === 0) return 'subscribe without a filter' // [MQTT-3.8.3-3]
  const filters = packet.subscriptions?.map(({ topic }) => topic) ?? packet.unsubscriptions
  if (filters?.some((filter) => filter.includes(REPLACEMENT)) === true) return 'a filter that is not UTF-8'
  // [MQTT-3.10.3-2]
  if (cmd === 'unsubscribe' && packet.unsubscriptions?.length === 0) return 'unsubscribe without a filter'
  return undefined
}

function markFilters (packet: GatedPacket, wrongFilter: GateOptions['wrongFilter']): void {
  const subscriptions = packet.subscriptions!
  const lastOf = new Map<string, number>()
  for (let i = 0; i < subscriptions.length; i++) lastOf.set(subscriptions[i].topic, i)
  for (let i = 0; i < subscriptions.length; i++) {
    const { topic } = subscriptions[i]
    if (wrongFilter(topic) !== undefined) subscriptions[i].topic = REFUSED_FILTER + i
    else if (lastOf.get(topic) !== i) subscriptions[i].topic = REPEATED_FILTER + i
  }
}
