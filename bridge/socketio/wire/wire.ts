/**
 * How bytes get to a client. Engine.IO's own way works everywhere: long polling, an upgrade under way, compression. It
 * is several objects, callbacks and system calls for each packet. Where frames can simply follow each other on
 * a TCP connection, they are written straight to it, gathered to the end of the turn of the event loop with whatever
 * Socket.IO itself writes meanwhile, and go out as one write.
 *
 * The order holds because both ways end in the same stream: what was written through Engine.IO before is already in it
 * (nothing waits in Engine.IO or ws, or frames are not written directly), and what comes after follows.
 */
import type { Socket as TcpSocket } from 'node:net'
import type { EnginePacket, EnginePolling, EngineSocket, EngineTransport } from './engine.ts'
import { tcpOf } from './ws.ts'
import { Joiner, type EncodedEvent } from './frames.ts'

/** A text frame with an Engine.IO ping packet: '2'. */
const PING_FRAME = Buffer.of(0x81, 0x01, 0x32)
/** Type digits of the Socket.IO packets EVENT and BINARY_EVENT. */
const EVENT = /^[25]/
/** readyState of ws. */
const OPEN = 1

/** What the connections of a bridge share: the end of the turn of the event loop, and the last batch. */
export class Writing {
  readonly joiner = new Joiner()
  #due: Wire[] = []
  readonly #run = (): void => {
    const due = this.#due
    this.#due = []
    for (const wire of due) wire.endTurn()
  }

  add (wire: Wire): void {
    if (this.#due.push(wire) === 1) setImmediate(this.#run)
  }
}

export interface WireOwner {
  /** Writes what is to come last in a turn. Must not throw. */
  endTurn (): void
}

/** One for a connection. */
export class Wire {
  readonly #engine: EngineSocket
  readonly #writing: Writing
  readonly #owner: WireOwner
  #isDue = false
  #isWriting = false
  /** Whose TCP connection `#tcp` is. */
  #transport: EngineTransport | undefined
  /** Undefined where frames can't be written directly. */
  #tcp: TcpSocket | undefined
  #corked: TcpSocket | undefined
  /** Takes nothing until resume(). */
  #stopped: EngineTransport | undefined
  /** Whose poll waits for the end of the turn. */
  #held: EnginePolling | undefined

  constructor (engine: EngineSocket, writing: Writing, owner: WireOwner) {
    this.#engine = engine
    this.#writing = writing
    this.#owner = owner
  }

  /** True while frames may be written directly; ask again in each turn, and after anything was written elsewhere. */
  get direct (): boolean {
    const { transport, writeBuffer, readyState } = this.#engine
    if (transport !== this.#transport) this.#useTransport(transport)
    return this.#tcp !== undefined && this.#stopped === undefined && writeBuffer.length === 0 &&
      readyState === 'open' && transport.name === 'websocket' && transport.socket.readyState === OPEN
  }

  /** The link may break between two events; a response to a poll comes whole or not at all. */
  get isTorn (): boolean { return this.#engine.transport.name === 'websocket' || this.#engine.upgrading }

  /** An event that is about to be written and does not come from here: a program's, past the log. */
  isForeignEvent ({ type, data }: EnginePacket): boolean {
    return !this.#isWriting && type === 'message' && typeof data === 'string' && EVENT.test(data)
  }

  /** Whether binary values are taken as frames; old clients and some others want them otherwise. */
  get takesBinary (): boolean {
    const { transport, protocol } = this.#engine
    return protocol === 4 && transport.name === 'websocket' && transport.supportsBinary
  }

  /** Events in Engine.IO's own way; the pieces of one go together, as far as the transport lets them. */
  write (event: EncodedEvent): void {
    this.#hold()
    const { transport } = this.#engine
    const isTogether = event.pieces.length > 1 && transport.name === 'websocket' && transport.writable
    if (isTogether) {
      this.gather()
      transport.writable = false
    }
    this.#isWriting = true
    for (const { data, options } of event.pieces) this.#engine.write(data, options)
    this.#isWriting = false
    if (!isTogether) return
    transport.writable = true
    this.#engine.flush()
  }

  /** While the engine says that it hands over what waits: behind that. */
  append (event: EncodedEvent | undefined): void {
    if (event === undefined) return
    const { transport } = this.#engine
    transport.writable = false // or it would be handed over by itself
    this.#isWriting = true
    for (const { data, options } of event.pieces) this.#engine.write(data, options)
    this.#isWriting = false
    transport.writable = true
  }

  /** In whichever way is open. */
  writeOne (event: EncodedEvent): void {
    if (!this.direct || (event.isBinary && !this.takesBinary)) return this.write(event)
    this.gather()
    this.#tcp!.write(event.frames)
  }

  /** Only while `direct`. */
  writeFrames (events: readonly EncodedEvent[]): void {
    this.gather()
    for (const bytes of this.#writing.joiner.join(events)) this.#tcp!.write(bytes)
  }

  /** Only while `direct`. `taken` is called when the system has taken everything up to it. */
  writePing (taken: () => void): void {
    this.#tcp!.write(PING_FRAME, taken)
  }

  /** Calls back once, when the system has taken what was written before; over long polling, the next poll. */
  whenTaken (taken: () => void): void {
    const { transport } = this.#engine
    if (transport.name === 'websocket') tcpOf(transport.socket).write('', taken)
    else this.#engine.once('drain', taken)
  }

  /** Where frames are written directly: holds back what is written in this turn, by Socket.IO too, until its end. */
  gather (): void {
    if (this.#corked !== undefined || !this.direct) return
    this.#corked = this.#tcp
    this.#corked!.cork()
    this.endTurnSoon()
  }

  endTurnSoon (): void {
    if (this.#isDue) return
    this.#isDue = true
    this.#writing.add(this)
  }

  endTurn (): void {
    this.#isDue = false
    this.#owner.endTurn()
    this.#corked?.uncork()
    this.#corked = undefined
    this.release()
  }

  /** What is written waits, in the engine. */
  stop (): void {
    this.#stopped = this.#engine.transport
    this.#stopped.writable = false
  }

  resume (): void {
    const stopped = this.#stopped
    this.#stopped = undefined
    if (stopped === undefined || stopped !== this.#engine.transport) return
    stopped.writable = true
    this.#engine.flush()
  }

  /** A poll that waits gets what was written in this turn. */
  release (): void {
    const held = this.#held
    this.#held = undefined
    if (held === undefined || held !== this.#engine.transport) return
    held.writable = true
    this.#engine.flush()
  }

  /**
   * Engine.IO answers a poll with the first packet alone. With all of a turn in one response there are fewer of them,
   * and no event is torn apart: some clients never recover from a connection that ends between its pieces (deaf.ts).
   */
  #hold (): void {
    const { transport } = this.#engine
    if (transport.name !== 'polling' || !transport.writable) return
    this.#held = transport
    transport.writable = false
    this.endTurnSoon()
  }

  #useTransport (transport: EngineTransport): void {
    this.#transport = transport
    this.#tcp = undefined
    if (transport.name !== 'websocket') return
    // with an extension (compression) frames are made for each connection, and may wait inside ws
    if (transport.socket.extensions === '') this.#tcp = tcpOf(transport.socket)
  }
}
