/**
 * What clients send, taken in turns with all other connections of the server [G8], whatever carries it: a WebSocket
 * some frames at a time, before ws has them, so that control frames and empty ones count too and what waits stays
 * unread in the TCP socket; a polling request some packets at a time, and it is answered when the last is taken.
 */
import type { Socket as TcpSocket } from 'node:net'
import type { Writable } from 'node:stream'
import { Intake, type IntakeSource, type Taker, type Turn, type Turns } from '../../../broker/index.ts'
import type { EnginePollingReader, EngineServer, EngineSocket, EngineTransport } from './engine.ts'
import { FrameEnds } from './frame-ends.ts'
import { Payload } from './payload.ts'
import { receiverOf, tcpOf, type EngineWebSocket } from './ws.ts'

/** In so few bytes is a heartbeat, or what means as little. */
const HEARTBEAT_BYTES_MAX = 8
const HEARTBEAT_UNITS = 1
/** What any other packet costs, besides its bytes: an emit with its ack takes some three times a small PUBLISH. */
const PACKET_UNITS = 5
/** A packet is decoded, parsed, and encoded anew: a unit for 128 bytes. */
function packetUnits (bytes: number): number {
  return bytes <= HEARTBEAT_BYTES_MAX ? HEARTBEAT_UNITS : PACKET_UNITS + (bytes >>> 7)
}

/** Where packets come from. */
interface Inlet {
  readonly turn: Turn
  /** Takes nothing more until resume(). */
  pause (): void
  resume (): void
  /** Calls back when nothing is left of what has come; at once if nothing is. */
  whenTaken (taken: () => void): void
}

export class Inlets {
  readonly #turns: Turns
  readonly #byTransport = new WeakMap<EngineTransport, Inlet>()

  constructor (turns: Turns) {
    this.#turns = turns
  }

  /** A place for work of another kind. */
  turn (taker: Taker): Turn { return this.#turns.turn(taker) }

  /** From now on, for every transport that the server makes. */
  attach (engine: EngineServer): void {
    const { createTransport } = engine
    engine.createTransport = (name, request) => {
      const transport = createTransport.call(engine, name, request)
      const inlet = this.#make(transport)
      if (inlet !== undefined) this.#byTransport.set(transport, inlet)
      return transport
    }
  }

  /** Of the transport that the connection has now; undefined where a program has put something of its own. */
  of ({ transport }: EngineSocket): Inlet | undefined {
    return this.#byTransport.get(transport)
  }

  #make (transport: EngineTransport): Inlet | undefined {
    if (transport.name === 'polling') return new PollingInlet(transport as EnginePollingReader, this.#turns)
    const receiver = receiverOf(transport.socket)
    return receiver === undefined ? undefined : new WebSocketInlet(transport.socket, receiver, this.#turns)
  }
}

/** Whose socket it is. There are very many idle ones, so listeners are shared. */
const INLET = Symbol('inlet')
interface ReadSocket extends TcpSocket { [INLET]: WebSocketInlet }

function onReadable (this: ReadSocket): void { this[INLET].readable() }
function onEnd (this: ReadSocket): void { this[INLET].ended('end') }
function onClose (this: ReadSocket): void { this[INLET].ended('close') }

class WebSocketInlet implements Inlet, IntakeSource {
  readonly stream: TcpSocket
  readonly #receiver: Writable
  readonly #intake: Intake
  readonly #frames = new FrameEnds()
  /** What is inflated takes a while. */
  readonly #done: (() => void) | undefined
  /** Of ws. What they hear of the end of the socket waits until all is taken that came before. */
  readonly #ends: Readonly<Record<'end' | 'close', (() => void) | undefined>>
  #held: Array<'end' | 'close'> | undefined
  #isOver = false

  constructor (socket: EngineWebSocket, receiver: Writable, turns: Turns) {
    const tcp = tcpOf(socket)
    this.stream = tcp
    this.#receiver = receiver
    this.#intake = new Intake(this, turns)
    this.#ends = { end: takeListener(tcp, 'end', 'socketOnEnd'), close: takeListener(tcp, 'close', 'socketOnClose') }
    if (socket.extensions !== '') this.#done = processedOne(this.#intake)
    const read = Object.assign(tcp, { [INLET]: this }) as ReadSocket
    // In this order: without any listener what the socket has would go by.
    read.on('end', onEnd).on('close', onClose).on('readable', onReadable)
    takeListener(tcp, 'data', 'socketOnData')
  }

  get turn (): Turn { return this.#intake.turn }
  pause (): void { this.#intake.pause() }
  resume (): void { this.#intake.resume() }
  whenTaken (taken: () => void): void { taken() }

  readable (): void { this.#intake.readable() }

  ended (event: 'end' | 'close'): void {
    if (this.#isOver) return this.#ends[event]?.call(this.stream)
    ;(this.#held ??= []).push(event)
    this.#intake.end()
  }

  take (chunk: Buffer, turn: Turn): number {
    const receiver = this.#receiver
    // behind a close frame, or what is none, nothing counts
    if (receiver.writableEnded || receiver.destroyed) return chunk.length
    let at = 0
    while (at < chunk.length && turn.left > 0) {
      const end = this.#frames.next(chunk, at)
      turn.left -= packetUnits(end - at)
      at = end
    }
    receiver.write(at < chunk.length ? chunk.subarray(0, at) : chunk, this.#done)
    return at
  }

  processed (): number { return this.#receiver.writableLength > 0 ? Infinity : 0 }

  over (): void {
    this.#isOver = true
    for (const event of this.#held?.splice(0) ?? []) this.#ends[event]?.call(this.stream)
  }
}

/** Holds nothing else. */
function processedOne (intake: Intake): () => void { return () => { intake.processedOne() } }

/** Removes a listener of ws, by its name. */
function takeListener (tcp: TcpSocket, event: string, name: string): (() => void) | undefined {
  const found = tcp.listeners(event).find(listener => listener.name === name) as (() => void) | undefined
  if (found !== undefined) tcp.removeListener(event, found)
  return found
}

class PollingInlet implements Inlet, Taker {
  readonly turn: Turn
  readonly #transport: EnginePollingReader
  readonly #read: (data: string | Buffer) => void
  #payload: Payload | undefined
  #whenTaken: Array<() => void> = []
  #isPaused = false

  constructor (transport: EnginePollingReader, turns: Turns) {
    this.#transport = transport
    this.#read = transport.onData.bind(transport)
    this.turn = turns.turn(this)
    transport.onData = data => {
      this.#payload = new Payload(data, transport.protocol)
      this.turn.ask()
    }
    transport.on('close', () => this.turn.ask()) // whoever waits is answered, paused or not
  }

  pause (): void {
    this.#isPaused = true
    this.turn.stop()
  }

  resume (): void {
    this.#isPaused = false
    this.turn.askLater()
  }

  whenTaken (taken: () => void): void {
    if (this.#payload === undefined) taken()
    else this.#whenTaken.push(taken)
  }

  take (): boolean {
    if (this.#isPaused && this.#transport.readyState === 'open') return false
    while (this.turn.left > 0) {
      const piece = this.#transport.readyState === 'closed' ? undefined : this.#payload?.next()
      if (piece === undefined) {
        this.#payload = undefined
        for (const taken of this.#whenTaken.splice(0)) taken()
        return false
      }
      this.turn.left -= packetUnits(piece.length)
      this.#read(piece)
    }
    return !this.#isPaused
  }
}
