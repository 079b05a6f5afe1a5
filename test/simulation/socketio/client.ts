/**
 * A Socket.IO client that nobody can change: what it keeps when its connection breaks, and what it shows when it comes
 * back, is what socket.io-client of its version does. It may lose its process at any moment; what it had not handled by
 * then is gone, and it comes back under its name, knowing nothing.
 */
import { formatToken, readToken } from '../../../bridge/socketio/proof/recovery-offset.ts'
import type { Offset, QoS } from '../../../broker/model/message.ts'
import type { Checker } from '../checker.ts'
import { isPoisonous } from '../ledger.ts'
import type { ClientOptions, Participant } from '../client.ts'
import { ClientEngine } from './client-engine.ts'
import { SocketEnd } from './end.ts'
import { kindName, type Kind } from './kind.ts'
import { Line } from './line.ts'
import type { HeartbeatOptions } from './engine.ts'
import type { ToClient } from './packets.ts'

export interface SocketClientOptions extends Omit<ClientOptions, 'arrived' | 'hasWill'>, HeartbeatOptions {
  readonly kind: Kind
  /** Some messages end its process whenever it handles them, until everything heals. */
  readonly isPoisoned: boolean
  readonly checker: Checker
}

type Event = ToClient & { type: 'event' }

interface Emit {
  readonly topic: string
  readonly padding: number
  readonly retain: boolean
  readonly sequence: number
  attempts: number
  key: string
}

/** What a page holds in its memory. */
class Page {
  pid: string | undefined
  offset: string | undefined
  /** Events that came before CONNECT; they are handled when it comes, on whatever connection. */
  receiveBuffer: Event[] = []
  /** Keys of them that were left over from a connection before. */
  readonly leftOver = new Set<string>()
  readonly handled = new Set<string>()
  /** Answers to events for which there is no connection. */
  answers: number[] = []
}

const RECONNECT_MS = 20
/** Of the answers to requests without `t`. */
const REPEATED = 0.05
const EMITS_MAX = 100
const BEYOND_ANY_LOG = 2 ** 40 as Offset

export class SocketClient implements Participant {
  readonly options: SocketClientOptions
  #page = new Page()
  /** Another page under the same name, which comes back when this one is gone. */
  #other: Page | undefined
  #engine: ClientEngine | undefined
  #line: Line | undefined
  #isConnected = false
  /** It showed how far it had come, by itself, and the server took it for that. */
  #showsOwn = false
  #isExact = false
  #wantsConnection = false
  readonly #outbox: Emit[] = []
  #outstanding: Emit[] = []
  #sequence = 0
  #isHealed = false
  /** What its engine has read and its handlers have not seen. */
  #queued: Event[] = []
  /** What has reached its machine, and not its engine. */
  #received: Event[] = []

  constructor (options: SocketClientOptions) {
    this.options = options
    options.referee.trace?.(`${options.clientId} is a client ${kindName(options.kind)}`)
  }

  get isConnected (): boolean { return this.#isConnected }
  get wire (): Line | undefined { return this.#line }
  get waiting (): number { return this.#outbox.length + this.#outstanding.length }

  // --- coming and going

  come (): void {
    this.#wantsConnection = true
    if (this.#line === undefined) this.#dial()
  }

  /** @param isOrderly with DISCONNECT, else as if the network had gone */
  go (isOrderly: boolean): void {
    const line = this.#line
    if (isOrderly && this.#isConnected) {
      this.options.referee.trace?.(`${this.options.clientId} disconnects`)
      this.#engine!.send({ type: 'disconnect' })
      this.#drop('left')
      // The engine goes on answering until the server has closed the connection.
      this.options.clock.after(50, () => { line?.cut() })
    } else {
      line?.cut()
      this.#drop('cut')
    }
    this.#wantsConnection = false
    this.#forget()
  }

  /** A new connection while the old one still stands, as far as the server can see. */
  takeOver (anew = false): void {
    if (anew) return this.die()
    this.#line?.abandon()
    this.#engine?.close()
    this.#drop('cut')
    this.#forget()
    this.#wantsConnection = true
    this.#dial()
  }

  /** The process is gone, with all that it had not handled; sometimes it was one of two pages under the name. */
  die (): void {
    const { referee, clientId, random, clock, scenario } = this.options
    referee.count('client killed')
    referee.trace?.(`${clientId} is killed`)
    this.#drop('killed')
    this.#engine?.die()
    if (random.chance(0.5)) this.#line?.cut()
    else this.#line?.abandon()
    const other = this.#other
    this.#other = random.chance(0.3) ? this.#page : undefined
    if (this.#other !== undefined) this.#other.receiveBuffer = []
    this.#page = other ?? new Page()
    if (other !== undefined) referee.count('an older page came back')
    this.#outbox.length = 0
    this.#forget()
    this.#outstanding = []
    this.#outbox.length = 0
    this.#wantsConnection = false
    clock.after(random.around(this.#isHealed ? RECONNECT_MS : scenario.awayMs), () => { this.come() })
  }

  heal (): void {
    this.#isHealed = true
    for (let i = this.#outbox.length - 1; i >= 0 && this.#outbox[i].attempts === 0; i--) this.#outbox.pop()
    this.#line?.thaw()
    this.come()
  }

  #dial (): void {
    const { clock, random, scenario, kind, server, pingIntervalMs, pingTimeoutMs } = this.options
    const process = server()
    if (process === undefined || !process.isOpen) return this.#comeBack()
    const line = new Line({
      clock,
      random,
      latencyMs: () => 0.1 + random.around(this.#isHealed ? 0.5 : scenario.latencyMs),
      repeats: () => kind.isUntimed && !this.#isHealed && random.chance(REPEATED),
      linkBytesMax: scenario.linkBytesMax
    })
    const isMine = (): boolean => this.#line === line
    const engine = new ClientEngine({
      clock,
      random,
      line,
      kind,
      pingIntervalMs,
      pingTimeoutMs,
      received: packet => { if (packet.type === 'event') this.#reached(packet, isMine()) },
      queued: packet => { if (isMine() && packet.type === 'event') this.#queued.push(packet) },
      message: packet => isMine() ? this.#handle(packet) : 0,
      closed: () => { if (isMine()) this.#lost() }
    })
    line.client = engine
    const end = new SocketEnd(process, line, kind, { pingIntervalMs, pingTimeoutMs }, scenario.linkBytesMax)
    line.server = end.engine
    this.#line = line
    this.#engine = engine
    this.#isExact = false
    for (const { sent } of this.#page.receiveBuffer) this.#page.leftOver.add(keyOf(sent.message.payload))
    end.engine.open()
    engine.open()
    this.#connect(engine, process.epoch)
  }

  #connect (engine: ClientEngine, epoch: string): void {
    const { clientId, scenario, kind, random, referee } = this.options
    let { pid, offset } = kind.recovers ? this.#page : new Page()
    // Events that ask for an answer carry no offset, so what is shown is from before them.
    this.#showsOwn = kind.proof !== 'ack'
    if (pid !== undefined && offset !== undefined && !this.#isHealed && random.chance(scenario.sockets.confused)) {
      referee.count('a wrong offset was shown')
      this.#showsOwn = false
      offset = random.pick([
        formatToken(epoch, BEYOND_ANY_LOG), offset.slice(0, -1), 'an argument',
        formatToken(`${epoch}-before`, (readToken(epoch, offset) ?? 0) + random.between(1, 30) as Offset)
      ])
    }
    engine.send({ type: 'connect', clientId, expiryMs: scenario.expiryMs, pid, offset })
  }

  #lost (): void {
    this.#drop('cut')
    this.#forget()
    if (this.#wantsConnection) this.#comeBack()
  }

  #comeBack (): void {
    const { clock, random } = this.options
    clock.after(random.around(RECONNECT_MS), () => {
      if (this.#wantsConnection && this.#line === undefined) this.#dial()
    })
  }

  /** What had come and was not handled is not handled any more. */
  #drop (how: 'left' | 'cut' | 'killed'): void {
    const held = [...this.#received, ...this.#queued]
    if (how === 'killed') held.push(...this.#page.receiveBuffer)
    const { sockets } = this.options.checker
    for (const { sent, life, connection } of held) sockets.dropped(life, sent, connection)
    this.#received = []
    this.#queued = []
  }

  #forget (): void {
    this.#line = undefined
    this.#engine = undefined
    this.#isConnected = false
    this.#outbox.unshift(...this.#outstanding)
    this.#outstanding = []
  }

  // --- what comes

  /** @param isMine false where the client has left it, though its engine still listens */
  #reached (event: Event, isMine: boolean): void {
    const { checker } = this.options
    checker.sockets.reached(event.life, event.sent, event.connection)
    if (isMine) this.#received.push(event)
    else checker.sockets.dropped(event.life, event.sent, event.connection)
  }

  #handle (packet: ToClient): number {
    const page = this.#page
    switch (packet.type) {
      case 'connected': {
        this.#isExact = packet.isExact && this.#showsOwn
        if (!this.#isExact) page.handled.clear() // what it shows next time says nothing of what was before this
        page.pid = this.options.kind.recovers ? packet.pid : undefined
        this.#isConnected = true
        let busyMs = 0
        for (let event = page.receiveBuffer.shift(); event !== undefined; event = page.receiveBuffer.shift()) {
          busyMs += this.#run(event)
          if (this.#page !== page) return 0 // its process is gone
        }
        for (const ackId of page.answers) this.#engine?.send({ type: 'answer', ackId })
        page.answers = []
        this.#pump()
        return busyMs
      }
      case 'event':
        remove(this.#received, packet)
        remove(this.#queued, packet)
        if (this.#isConnected) return this.#run(packet)
        page.receiveBuffer.push(packet)
        return 0
      case 'marker':
        if (this.#isConnected && packet.token !== undefined) page.offset = packet.token
        return 0
      case 'receipt':
        this.#outstanding = this.#outstanding.filter(({ key }) => key !== packet.key)
        this.#pump()
        return 0
      case 'disconnect':
        this.#isConnected = false
        return 0
    }
  }

  /** The handlers are called, and return. */
  #run ({ sent, token, ackId, life, connection }: Event): number {
    const { checker, referee, random, scenario, clock, clientId } = this.options
    const page = this.#page
    const key = keyOf(sent.message.payload)
    if (this.options.isPoisoned && !this.#isHealed && isPoisonous(key)) {
      referee.count('a handler ended its process')
      checker.sockets.dropped(life, sent, connection)
      this.die()
      return 0
    }
    if (page.handled.has(key) && this.#isExact && !page.leftOver.has(key) && !sent.retain) {
      referee.violate('G4', `${clientId} had shown how far it was, which counted, and handled ${key} again`)
    }
    if (!sent.retain) page.handled.add(key)
    checker.sockets.arrivedBySocket(clientId, life, sent, connection)
    if (token !== undefined) page.offset = token
    if (ackId !== undefined) {
      const asked = page
      clock.after(random.around(this.#isHealed ? 1 : scenario.ackMs), () => { this.#answer(asked, ackId) })
    }
    const { handlerBusy, handlerMs } = scenario.sockets
    return this.#isHealed || !random.chance(handlerBusy) ? 0 : random.around(handlerMs)
  }

  /** The application answers when it is done; on another connection, perhaps, or never, if its page is gone. */
  #answer (asked: Page, ackId: number): void {
    if (asked !== this.#page) return
    if (this.#isConnected) this.#engine!.send({ type: 'answer', ackId })
    else asked.answers.push(ackId)
  }

  // --- emits

  publish (topic: string, _qos: QoS, padding: number, retain: boolean): void {
    if (this.#outbox.length >= EMITS_MAX) return
    this.#outbox.push({ topic, padding, retain, sequence: ++this.#sequence, attempts: 0, key: '' })
    this.#pump()
  }

  #pump (): void {
    const { clientId, scenario } = this.options
    while (this.#isConnected && this.#outbox.length > 0 && this.#outstanding.length < scenario.publishWindowMax) {
      const emit = this.#outbox.shift()!
      const attempt = ++emit.attempts
      emit.key = `${clientId}.${emit.sequence}${attempt > 1 ? `.${attempt}` : ''}`
      this.#outstanding.push(emit)
      const { key, topic, padding, retain } = emit
      this.#engine!.send({ type: 'publish', key, topic, padding, retain })
    }
  }

  subscribe (filter: string): void {
    if (this.#isConnected) this.#engine!.send({ type: 'subscribe', filter })
  }

  unsubscribe (filter: string): void {
    if (this.#isConnected) this.#engine!.send({ type: 'unsubscribe', filter })
  }
}

function keyOf (payload: Buffer): string {
  return payload.toString().split('|', 1)[0]
}

function remove<T> (list: T[], item: T): void {
  const at = list.indexOf(item)
  if (at >= 0) list.splice(at, 1)
}
