/** Who takes part in the conversation from this process, and mosquitto's own programs. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Proxy } from '../helpers/proxy.ts'
import {
  legacyClient, RECOVERING, TRANSPORTS, type LegacySocket, type Transport, type Version
} from '../helpers/socketio-clients.ts'
import type { Scope } from '../helpers/temp.ts'
import { until, within } from '../helpers/wait.ts'
import { CHAT_EVENT, CHAT_TOPIC, type Participant } from './conversation.ts'
import { countLeftovers } from './life.ts'

const COME_MS_MAX = 120_000
/** mosquitto_pub that has no receipt by then is ended and started again. */
const PUBLISH_MS_MAX = 3_000

/** An unmodified client in the chat, which emits again what got no ack. */
export class ChatClient implements Participant {
  readonly source: string
  readonly kind: string
  readonly isExact: boolean
  readonly receipts = new Set<number>()
  readonly resent = new Map<number, number>()
  readonly seen: string[] = []
  readonly leftovers: ReadonlyMap<string, number> | undefined
  readonly joined: Promise<void>
  readonly #socket: LegacySocket
  #said = 0
  #connects = 0
  #recovered = 0

  constructor (name: string, version: Version, transport: Transport, proxy: Proxy) {
    this.source = name
    this.kind = `socket.io-client ${version}, ${transport}`
    this.isExact = RECOVERING.includes(version)
    const socket = legacyClient(version, `http://127.0.0.1:${proxy.port}`, {
      transports: TRANSPORTS[transport], auth: { clientId: name }, query: { clientId: name }, timeout: 3_000
    })
    this.#socket = socket
    if (this.isExact) {
      this.leftovers = countLeftovers(socket, ([event, text]) => event === CHAT_EVENT ? [text] : [], true)
    }
    socket.on(CHAT_EVENT, (text: string) => { this.seen.push(text) })
    socket.on('connect', () => {
      if (this.#connects++ > 0 && socket.recovered === true) this.#recovered++
      if (this.receipts.size === this.#said) return
      const number = this.#said - 1
      this.resent.set(number, (this.resent.get(number) ?? 0) + 1)
      this.#emit(number)
    })
    const connected = new Promise<void>(resolve => socket.once('connect', () => resolve()))
    this.joined = within(connected, `${name} to come`, COME_MS_MAX)
  }

  get reconnects (): number { return this.#connects - 1 }
  get recovered (): number { return this.#recovered }

  say (): void {
    if (this.receipts.size < this.#said || !this.#socket.connected) return
    this.#emit(this.#said++)
  }

  async finish (ms: number): Promise<void> {
    await until(() => this.receipts.size === this.#said, `receipts of ${this.source}`, ms)
  }

  async end (): Promise<void> {
    this.#socket.disconnect()
  }

  #emit (number: number): void {
    this.#socket.emit(CHAT_EVENT, `${this.source} ${number}`, (answer: { status: string }) => {
      if (answer.status === 'ok') this.receipts.add(number)
    })
  }
}

/** mosquitto_sub with a session that is kept, which connects again by itself, and a mosquitto_pub for each message. */
export class Mosquitto implements Participant {
  readonly source: string
  readonly kind = 'mosquitto_pub and mosquitto_sub'
  readonly isExact = false
  readonly receipts = new Set<number>()
  readonly resent = new Map<number, number>()
  readonly seen: string[] = []
  readonly joined = Promise.resolve()
  readonly recovered = undefined
  readonly reconnects = undefined
  readonly #proxy: Proxy
  #subscriber: ChildProcess | undefined
  #said = 0

  /** `greet` publishes something on the topic, so that the program shows that it is there. */
  static async start (scope: Scope, name: string, proxy: Proxy, greet: () => Promise<void>): Promise<Mosquitto> {
    const one = new Mosquitto(name, proxy)
    const child = spawn('mosquitto_sub', ['-h', proxy.host, '-p', String(proxy.port), '-i', name, '-c', '-q', '1',
      '-k', '5', '-t', CHAT_TOPIC, '-F', 'said %p'], { stdio: ['ignore', 'pipe', 'inherit'] })
    scope.teardown(() => child.kill('SIGKILL'))
    one.#subscriber = child
    const lines = createInterface({ input: child.stdout })
    lines.on('line', line => { if (line.startsWith('said ')) one.seen.push(textOf(line.slice('said '.length))) })
    await until(async () => {
      await greet()
      return one.seen.length > 0
    }, 'mosquitto_sub to come', COME_MS_MAX, 200)
    return one
  }

  constructor (name: string, proxy: Proxy) {
    this.source = name
    this.#proxy = proxy
  }

  say (): void {
    if (this.receipts.size === this.#said) void this.#publish(this.#said++)
  }

  async finish (ms: number): Promise<void> {
    await until(() => this.receipts.size === this.#said, 'receipts of mosquitto_pub', ms)
  }

  async end (): Promise<void> {
    this.#subscriber?.kill('SIGKILL')
  }

  async #publish (number: number): Promise<void> {
    const { host, port } = this.#proxy
    for (let tries = 0; !this.receipts.has(number); tries++) {
      if (tries > 0) this.resent.set(number, tries)
      const child = spawn('mosquitto_pub', ['-h', host, '-p', String(port), '-q', '1', '-t', CHAT_TOPIC,
        '-m', `${this.source} ${number}`], { stdio: 'ignore', timeout: PUBLISH_MS_MAX })
      const [code] = await once(child, 'close') as [number | null]
      if (code === 0) this.receipts.add(number) // PUBACK has come
    }
  }
}

/** What mosquitto_sub prints is the payload: the text itself, or the envelope that an emit became. */
function textOf (payload: string): string {
  return payload.startsWith('{"$hf":1,') ? (JSON.parse(payload) as { args: [string] }).args[0] : payload
}
