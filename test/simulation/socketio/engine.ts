/**
 * The server's end of an Engine.IO connection, as engine.io 6.6 is seen by the bridge: what is written waits until the
 * transport takes it, which on long polling is when a poll waits for its response.
 */
import { EventEmitter } from 'node:events'
import type { Socket as TcpSocket } from 'node:net'
import type {
  EnginePolling, EngineSocket, EngineTransport, EngineWebSocketTransport
} from '../../../bridge/socketio/wire/engine.ts'
import type { PollStep } from '../../../bridge/socketio/wire/poll-step.ts'
import type { EngineWebSocket } from '../../../bridge/socketio/wire/ws.ts'
import type { Clock } from '../../../broker/system/clock.ts'
import type { Line, ServerSide } from './line.ts'
import { bytesOf, type Frames, type Packet, type ToServer } from './packets.ts'

/** While a client upgrades, a poll that waits is answered, so that it can be the last one. */
const UPGRADE_CHECK_MS = 10
/** Until the system has taken a write. */
const TAKEN_MS = 0.01

export interface HeartbeatOptions {
  readonly pingIntervalMs: number
  readonly pingTimeoutMs: number
}

export interface SimulatedEngineOptions extends HeartbeatOptions {
  /** Of the process, so that nothing happens once it has died. */
  readonly clock: Clock
  readonly line: Line
  readonly protocol: 3 | 4
  readonly isPolling: boolean
  /** Its polls carry no `t`. */
  readonly isUntimed: boolean
  readonly stepOf: () => PollStep | undefined
  readonly message: (packet: ToServer) => void
}

class Polling extends EventEmitter implements EnginePolling {
  readonly name = 'polling'
  closeTimeout = 30_000
  maxHttpBufferSize = 0
  writable = false
}

class SimulatedWebSocket extends EventEmitter implements EngineWebSocket {
  readonly readyState = 1
  /** There is no TCP connection to write to. */
  readonly extensions = 'simulated'
  readonly _socket = { destroyed: false } as unknown as TcpSocket
  readonly _receiver = null
  readonly _extensions = {}
  isPaused = false
  readonly #line: Line

  constructor (line: Line) {
    super()
    this.#line = line
  }

  get bufferedAmount (): number { return this.#line.waitingBytes }
  pause (): void { this.isPaused = true }
  resume (): void { this.isPaused = false }
  terminate (): void {}

  ping (payload: string, _mask: false, sent: () => void): void {
    this.#line.frameDown({ type: 'ping', payload }, 0)
    sent()
  }
}

class WebSocketTransport extends EventEmitter implements EngineWebSocketTransport {
  readonly name = 'websocket'
  readonly supportsBinary = true
  writable = true
  readonly socket: SimulatedWebSocket

  constructor (line: Line) {
    super()
    this.socket = new SimulatedWebSocket(line)
  }
}

export class SimulatedEngine extends EventEmitter implements EngineSocket, ServerSide {
  readonly id = 'simulated'
  readonly remoteAddress = '192.0.2.1'
  readonly protocol: 3 | 4
  readonly server: EngineSocket['server']
  readyState: EngineSocket['readyState'] = 'open'
  writeBuffer: Packet[] = []
  readonly #options: SimulatedEngineOptions
  #transport: Polling | WebSocketTransport
  #taken: Array<() => void> = []
  /** A write of the WebSocket that the system has not taken. */
  #writing: Array<() => void> | undefined
  #cancelPing: () => void = () => {}
  #cancelTimeout: (() => void) | undefined
  #cancelCheck: () => void = () => {}
  #wantsClose = false
  #isUpgrading = false

  constructor (options: SimulatedEngineOptions) {
    super()
    this.#options = options
    this.protocol = options.protocol
    const { pingIntervalMs: pingInterval, pingTimeoutMs: pingTimeout } = options
    this.server = { opts: { pingInterval, pingTimeout, maxHttpBufferSize: Infinity } }
    if (options.isPolling) {
      this.#transport = new Polling()
      this.#transport.on('ready', () => { this.flush() })
    } else this.#transport = new WebSocketTransport(options.line)
  }

  /** After whoever listens has begun to. */
  open (): void {
    if (this.protocol === 3) this.resetPingTimeout()
    else this.#schedulePing()
  }

  get transport (): EngineTransport { return this.#transport }
  get upgrading (): boolean { return this.#isUpgrading }

  // --- writing

  write (data: string | Buffer): void { this.#send({ type: 'message', data }) }
  sendPacket (type: 'ping' | 'noop', _data: undefined, _options: object, taken: () => void): void {
    this.#send({ type }, taken)
  }

  message (packet: Packet): void { this.#send(packet) }

  #send (packet: Packet, taken?: () => void): void {
    if (this.readyState !== 'open') return
    this.emit('packetCreate', packet)
    this.writeBuffer.push(packet)
    if (taken !== undefined) this.#taken.push(taken)
    this.flush()
  }

  flush (): void {
    if (this.readyState === 'closed' || !this.#transport.writable || this.writeBuffer.length === 0) return
    this.emit('flush', this.writeBuffer)
    const packets = this.writeBuffer
    this.writeBuffer = []
    const taken = this.#taken
    this.#taken = []
    this.#transport.writable = false
    if (this.#transport.name === 'polling') {
      this.#options.line.respond(packets)
      for (const one of taken) one()
    } else {
      this.#options.line.frameDown({ type: 'packets', packets }, bytesOf(packets))
      this.#writing = taken
      if (this.#options.line.takes) this.#options.clock.after(TAKEN_MS, () => { this.drained() })
    }
    this.emit('drain')
  }

  /** The system has taken what was written to the WebSocket. */
  drained (): void {
    const taken = this.#writing
    if (taken === undefined || this.readyState === 'closed' || !this.#options.line.takes) return
    this.#writing = undefined
    for (const one of taken) one()
    this.#transport.writable = true
    this.flush()
  }

  // --- what comes

  polled (): void {
    const { stepOf, isUntimed } = this.#options
    const step = stepOf()
    if (step === undefined || this.readyState === 'closed' || this.#transport.name !== 'polling') return this.#polled()
    const answer = (packet: '2' | '6'): void => {
      this.#options.line.respond([{ type: packet === '2' ? 'ping' : 'noop' }])
    }
    if (step.isHolding) return this.#closed('transport error') // as the guard does it
    step.polled({ isUntimed, pass: () => { this.#polled() }, answer }, this.#isUpgrading)
  }

  #polled (): void {
    const transport = this.#transport
    if (this.readyState === 'closed' || transport.name !== 'polling') return
    if (transport.writable) return this.#closed('transport error') // overlapping polls
    transport.writable = true
    transport.emit('ready')
    if (transport.writable && this.#wantsClose) this.#closeNow()
  }

  posted (packets: readonly Packet[]): void {
    for (const packet of packets) this.#read(packet)
    this.#options.line.accept()
  }

  framed (frames: Frames): void {
    if (this.readyState === 'closed') return
    if (frames.type === 'close') return this.lost()
    if (frames.type === 'pong' && this.#transport.name === 'websocket') {
      this.#transport.socket.emit('pong', Buffer.from(frames.payload))
    }
    if (frames.type !== 'packets') return
    for (const packet of frames.packets) {
      if (this.#transport.name === 'websocket') this.#read(packet)
      else if (packet.type === 'ping') this.#probed()
      else if (packet.type === 'upgrade') this.#upgrade()
    }
  }

  #read (packet: Packet): void {
    if (this.readyState !== 'open') return
    this.emit('packet', packet)
    if (packet.type === 'ping') {
      this.resetPingTimeout()
      this.#send({ type: 'pong' })
    } else if (packet.type === 'pong') {
      this.#stopTimeout()
      this.#schedulePing()
    } else if (packet.up !== undefined) this.#options.message(packet.up)
  }

  // --- from long polling to a WebSocket

  #probed (): void {
    const { line, clock } = this.#options
    this.#isUpgrading = true
    line.frameDown({ type: 'packets', packets: [{ type: 'pong', data: 'probe' }] }, 0)
    const check = (): void => {
      this.#cancelCheck = clock.after(UPGRADE_CHECK_MS, () => {
        if (this.readyState === 'closed' || this.#transport.name !== 'polling') return
        if (this.#transport.writable) { // past everything that listens, as Engine.IO does it
          this.#transport.writable = false
          line.respond([{ type: 'noop' }])
        }
        check()
      })
    }
    this.emit('upgrading', this.#transport)
    this.#cancelCheck()
    check()
  }

  #upgrade (): void {
    this.#cancelCheck()
    this.#isUpgrading = false
    this.#transport = new WebSocketTransport(this.#options.line)
    this.#stopTimeout()
    this.emit('upgrade')
    this.flush()
    if (this.readyState === 'closing') this.#closed('forced close')
  }

  // --- heartbeats and the end

  resetPingTimeout (): void {
    this.#stopTimeout()
    const { clock, pingIntervalMs, pingTimeoutMs } = this.#options
    const ms = this.protocol === 3 ? pingIntervalMs + pingTimeoutMs : pingTimeoutMs
    this.#cancelTimeout = clock.after(ms, () => { this.#closed('ping timeout') })
  }

  #stopTimeout (): void {
    this.#cancelTimeout?.()
    this.#cancelTimeout = undefined
  }

  #schedulePing (): void {
    this.#cancelPing()
    this.#cancelPing = this.#options.clock.after(this.#options.pingIntervalMs, () => {
      this.#send({ type: 'ping' })
      this.resetPingTimeout()
    })
  }

  close (discard = false): void {
    if (discard) return this.#closed('forced close')
    if (this.readyState !== 'open') return
    this.readyState = 'closing'
    if (this.writeBuffer.length > 0) this.once('drain', () => { this.#closeTransport() })
    else this.#closeTransport()
  }

  #closeTransport (): void {
    if (this.#transport.name === 'websocket' || this.#transport.writable) return this.#closeNow()
    this.#wantsClose = true
    this.#options.clock.after(this.#transport.closeTimeout, () => { this.#closed('forced close') })
  }

  #closeNow (): void {
    if (this.readyState === 'closed') return
    if (this.#transport.name === 'polling') this.#options.line.respond([{ type: 'close' }])
    this.#closed('forced close')
  }

  lost (): void { this.#closed('transport close') }

  #closed (reason: string): void {
    if (this.readyState === 'closed') return
    this.readyState = 'closed'
    this.#cancelPing()
    this.#stopTimeout()
    this.#cancelCheck()
    this.#writing = undefined
    this.#taken = []
    this.writeBuffer = []
    this.#options.line.closedByServer()
    this.emit('close', reason)
  }

  /** The process has died: nobody hears of anything any more. */
  die (): void {
    this.readyState = 'closed'
    this.removeAllListeners()
    this.#options.line.closedByServer()
  }
}
