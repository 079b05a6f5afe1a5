/** One client object, from its making to its end: an unmodified Socket.IO client whose handlers are watched. */
import { Agent, type ClientRequestArgs } from 'node:http'
import { Duplex } from 'node:stream'
import { isToken } from '../../bridge/socketio/proof/recovery-offset.ts'
import {
  legacyClient, RECOVERING, TRANSPORTS, type LegacySocket, type Transport, type Version
} from '../helpers/socketio-clients.ts'
import { within } from '../helpers/wait.ts'

export interface LifeOptions {
  readonly version: Version
  readonly transport: Transport
  readonly url: string
  readonly clientId: string
  /** Whether requests of long polling share a TCP connection, as in browsers; Node's own default is not to. */
  readonly keepAlive: boolean
  /**
   * A handler ran to its end; `token` is the recovery offset that came with the message, where one did. `isKept`: the
   * client had it from a connection that its application had left, and kept it until the next CONNECT.
   */
  readonly onSeen: (source: string, number: number, token?: string, isKept?: boolean) => void
  readonly restarts?: boolean
  /** A fault of the client itself has ended its process; a supervisor would start it again. */
  readonly onCrash: () => void
}

/** A client as the scenes of the proof use it: in this process, or in one of its own (victim.ts). */
export interface Life {
  readonly dead: boolean
  /** Connections after the first. */
  readonly reconnects: number
  readonly recovered: number
  readonly thrownOut: number
  /**
   * How often a client of 4.6 or later was left with a message (`source number`) by a link that broke before CONNECT
   * came. It keeps such messages, handles them at its next CONNECT, and does not count them in the offset it tells.
   * Or by a link that broke between a message that ends in no text and the event behind it that brings its offset.
   */
  readonly leftovers?: ReadonlyMap<string, number>
  /** Undefined for a client in another process. */
  readonly socket: LegacySocket | undefined
  /** Resolves when it is connected and has joined the room, or is dead. */
  joined (room: string): Promise<void>
  /** Resolves when it has noticed that its link is down, or after `ms`. */
  noticed (ms: number): Promise<void>
  /** Its TCP connections are gone, and it knows; it connects again. */
  dropConnections (): void
  /** Dies without a word inside the handler after so many more have run; resolves then. */
  dieAfter (handlers: number): Promise<void>
  /** Another client of its name has come: it is expected to be thrown out. */
  replaced (): void
  /** Dies without a word now. */
  kill (): Promise<void>
}

/**
 * With socket.io-parser 3.3.3 to 3.3.6 and 4.0.5, as they are installed here, clients throw for ever once a link was
 * cut between the frames of a binary event: they never forget the half of it. In Node that ends the process; a page
 * has to be loaded again, which page.html sees to. No server can help.
 */
const CRASH = /when (not )?reconstructing a packet|'attachments'/

/** Longer than Node's timers need to see that a connection is gone. */
const RECONNECT_DELAY_MS = 40
const CONNECT_TIMEOUT_MS = 3_000
const JOIN_MS_MAX = 120_000

export class InProcessLife implements Life {
  readonly socket: LegacySocket
  readonly leftovers: ReadonlyMap<string, number> | undefined
  readonly #agent: MortalAgent
  readonly #options: LifeOptions
  #dead = false
  #replaced = false
  #connects = 0
  #recovered = 0
  #thrownOut = 0
  #handlersLeft = Infinity
  #isKept = false
  #died = (): void => {}
  readonly over: Promise<void>

  constructor (options: LifeOptions) {
    this.#options = options
    this.over = new Promise(resolve => { this.#died = resolve })
    const { version, transport, url, clientId, keepAlive } = options
    this.#agent = new MortalAgent({ keepAlive })
    this.socket = legacyClient(version, url, {
      transports: TRANSPORTS[transport],
      agent: this.#agent,
      auth: { clientId },
      query: { clientId },
      timeout: CONNECT_TIMEOUT_MS,
      reconnectionDelay: RECONNECT_DELAY_MS,
      reconnectionDelayMax: 2 * RECONNECT_DELAY_MS
    })
    this.#noticeCrash()
    if (RECOVERING.includes(version)) {
      this.leftovers = countLeftovers(this.socket,
        ([event, source, number]) => event === 'm' ? [`${source} ${number}`] : [], options.restarts === true)
    } else this.#noticeKept()
    this.socket.on('connect', () => {
      if (this.#connects++ > 0 && this.socket.recovered === true) this.#recovered++
    })
    this.socket.on('disconnect', (reason: string) => {
      if (reason !== 'io server disconnect' || this.#replaced || this.#dead) return
      this.#thrownOut++
      this.socket.connect()
    })
    this.socket.on('m', (source: string, number: number, _filling: unknown, token?: string) => {
      if (this.#dead) return
      if (this.#handlersLeft-- <= 0) {
        void this.kill()
        return
      }
      this.#options.onSeen(source, number, token, this.#isKept)
    })
  }

  get dead (): boolean { return this.#dead }
  get reconnects (): number { return Math.max(0, this.#connects - 1) }
  get recovered (): number { return this.#recovered }
  get thrownOut (): number { return this.#thrownOut }

  async joined (room: string): Promise<void> {
    const { socket } = this
    let join = (): void => {}
    const isJoined = new Promise<void>(resolve => {
      join = () => { socket.emit('join', room, () => resolve()) }
      socket.on('connect', join)
      if (socket.connected) join()
    })
    await within(Promise.race([isJoined, this.over]), `${this.#options.clientId} to join its room`, JOIN_MS_MAX)
    socket.off('connect', join)
  }

  async noticed (ms: number): Promise<void> {
    if (!this.socket.connected) return
    const { socket } = this
    await within(new Promise<void>(resolve => socket.once('disconnect', () => resolve())), '', ms).catch(() => {})
  }

  dropConnections (): void {
    this.#agent.dropConnections()
  }

  async dieAfter (handlers: number): Promise<void> {
    this.#handlersLeft = handlers
    await this.over
  }

  replaced (): void {
    this.#replaced = true
  }

  async kill (): Promise<void> {
    if (this.#dead) return
    this.#dead = true
    // What was written before is on its way, as when a process is killed; nothing is written from here on.
    this.#agent.kill()
    this.socket.disconnect()
    this.#died()
  }

  /** To a client before 4.6 nothing is sent before CONNECT: what it has by then is of a connection before. */
  #noticeKept (): void {
    const inside = this.socket as unknown as { emitBuffered (): void }
    const { emitBuffered } = inside
    inside.emitBuffered = () => {
      this.#isKept = true
      emitBuffered.call(inside)
      this.#isKept = false
    }
  }

  /** An exception that nobody catches says not whose it is, so it is caught on its way. */
  #noticeCrash (): void {
    const manager = this.socket.io as unknown as { ondata (data: unknown): void }
    const { ondata } = manager
    manager.ondata = data => {
      try {
        ondata.call(manager, data)
      } catch (error) {
        if (!CRASH.test((error as Error).message)) throw error
        if (this.#dead) return
        void this.kill()
        this.#options.onCrash()
      }
    }
  }
}

/**
 * Leftovers as in Life, of a client of 4.6 or later that was just made; `keysOf` gives the message of an event that is
 * of interest. The same is in page.html. `restarts`: the server is killed meanwhile, and forgets what events ended in.
 */
export function countLeftovers (
  client: LegacySocket, keysOf: (event: readonly string[]) => string[], restarts: boolean
): ReadonlyMap<string, number> {
  const inside = client as unknown as Inside
  const counts = new Map<string, number>()
  const count = (keys: readonly string[]): void => {
    for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  let left: string[] = []
  let handled: string[] = []
  let unmarked: string[] = []
  const { emitEvent } = inside
  inside.emitEvent = event => {
    emitEvent.call(inside, event)
    const keys = keysOf(event)
    handled.push(...keys)
    if (typeof event.at(-1) === 'string') unmarked = []
    else unmarked.push(...keys)
  }
  client.io.on('close', () => {
    left = inside.receiveBuffer.flatMap(keysOf)
    count(restarts && inside._lastOffset !== undefined && !isToken(inside._lastOffset) ? handled : unmarked)
    handled = []
    unmarked = []
  })
  client.on('connect', () => {
    count(left)
    left = []
  })
  return counts
}

/** What such a client keeps to itself. */
interface Inside {
  readonly receiveBuffer: ReadonlyArray<readonly string[]>
  readonly _lastOffset?: string
  emitEvent (event: readonly string[]): void
}

/** Knows the TCP connections of a client. */
class MortalAgent extends Agent {
  readonly #open = new Set<Duplex>()
  #dead = false

  dropConnections (): void {
    for (const socket of this.#open) socket.destroy()
  }

  kill (): void {
    this.#dead = true
    this.dropConnections()
  }

  override createConnection (
    options: ClientRequestArgs, done?: (error: Error | null, socket: Duplex) => void
  ): Duplex {
    // nothing leaves a dead client, and it gets no answer
    if (this.#dead) return new Duplex({ read () {}, write () {} })
    const socket = super.createConnection(options, done)!
    this.#open.add(socket)
    socket.on('close', () => this.#open.delete(socket))
    return socket
  }
}
