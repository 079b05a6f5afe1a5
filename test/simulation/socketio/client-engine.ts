/**
 * The client's end of an Engine.IO connection, as engine.io-client 3 to 6 do it. What a socket or a response brings is
 * read in one turn of the event loop, and answered as it is read; handlers run while it is read, or (from 4.5 on, in
 * Node) when all of it has been read. While a handler keeps the thread busy nothing else happens, but the network goes
 * on receiving. A client can die between any two steps.
 */
import type { VirtualClock } from '../clock.ts'
import type { Random } from '../random.ts'
import type { HeartbeatOptions } from './engine.ts'
import type { Kind } from './kind.ts'
import type { ClientSide, Line } from './line.ts'
import { upward, type Frames, type Packet, type ToClient, type ToServer } from './packets.ts'

/** What is to be done next; returns for how long it keeps the thread busy. */
type Step = () => number

const UPGRADE_AFTER_MS_MAX = 60

export interface ClientEngineOptions extends HeartbeatOptions {
  readonly clock: VirtualClock
  readonly random: Random
  readonly line: Line
  readonly kind: Kind
  /** The network has it, the client's own code has not. */
  readonly received: (packet: ToClient) => void
  /** Its engine has read it and will hand it on. */
  readonly queued: (packet: ToClient) => void
  /** Hands it on. Returns for how long that keeps the thread busy. */
  readonly message: (packet: ToClient) => number
  readonly closed: () => void
}

export class ClientEngine implements ClientSide {
  readonly #options: ClientEngineOptions
  #transport: 'polling' | 'websocket'
  #isOpen = true
  /** What has come and was not read. */
  #inbox: Array<{ readonly steps: () => Step[], readonly isMergeable: boolean }> = []
  #steps: Step[] = []
  #deferred: Step[] = []
  #isBusy = false
  #writeBuffer: Packet[] = []
  #isPosting = false
  #isPolling = false
  #upgrade: 'none' | 'probing' | 'pausing' | 'done' = 'none'
  #cancelTimeout: () => void = () => {}

  constructor (options: ClientEngineOptions) {
    this.#options = options
    this.#transport = options.kind.transport === 'websocket' ? 'websocket' : 'polling'
  }

  get isPolling (): boolean { return this.#transport === 'polling' }

  open (): void {
    const { kind, clock, random, line } = this.#options
    if (kind.protocol === 3) this.#pingLater()
    else this.#expect()
    if (this.#transport === 'websocket') return
    this.#poll()
    if (kind.transport !== 'upgrade') return
    clock.after(random.between(0, UPGRADE_AFTER_MS_MAX), () => {
      if (!this.#isOpen) return
      this.#upgrade = 'probing'
      line.frameUp({ type: 'packets', packets: [{ type: 'ping', data: 'probe' }] })
    })
  }

  send (packet: ToServer): void { this.#write(upward(packet)) }

  /** Closed from here, orderly; what comes is not read any more. */
  close (): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#cancelTimeout()
    if (this.#transport === 'websocket') this.#options.line.frameUp({ type: 'close' })
  }

  /** The process is gone. */
  die (): void {
    this.#isOpen = false
    this.#cancelTimeout()
    this.#inbox = []
    this.#steps = []
    this.#deferred = []
  }

  // --- writing

  #write (packet: Packet): void {
    if (!this.#isOpen) return
    this.#writeBuffer.push(packet)
    this.#flush()
  }

  #flush (): void {
    if (this.#writeBuffer.length === 0 || this.#isPosting || this.#upgrade === 'pausing') return
    const packets = this.#writeBuffer
    this.#writeBuffer = []
    if (this.#transport === 'websocket') return this.#options.line.frameUp({ type: 'packets', packets })
    this.#isPosting = true
    this.#options.line.post(packets)
  }

  #poll (): void {
    this.#isPolling = true
    this.#options.line.poll()
  }

  // --- the network

  responded (packets: readonly Packet[]): void {
    this.#came(packets)
    this.#take(() => [
      ...packets.map(packet => () => this.#read(packet)),
      () => {
        this.#isPolling = false
        if (this.#upgrade === 'pausing') this.#switch()
        else if (this.#isOpen) this.#poll()
        return 0
      }
    ], false)
  }

  accepted (): void {
    this.#take(() => [() => {
      this.#isPosting = false
      if (this.#upgrade === 'pausing') this.#switch()
      else this.#flush()
      return 0
    }], false)
  }

  framed (frames: Frames): void {
    if (frames.type === 'ping') { // what a browser's network answers by itself
      if (this.#isOpen) this.#options.line.frameUp({ type: 'pong', payload: frames.payload })
    } else if (frames.type === 'packets') {
      this.#came(frames.packets)
      this.#take(() => frames.packets.map(packet => () => this.#read(packet)), true)
    }
  }

  lost (): void {
    this.#take(() => [() => {
      this.#end()
      return 0
    }], false)
  }

  #came (packets: readonly Packet[]): void {
    for (const { down } of packets) if (down !== undefined && this.#isOpen) this.#options.received(down)
  }

  // --- turns

  #take (steps: () => Step[], isMergeable: boolean): void {
    this.#inbox.push({ steps, isMergeable })
    if (this.#isBusy) return
    this.#isBusy = true
    this.#options.clock.after(0, () => { this.#turn() })
  }

  /** What has come in one go is read in one turn, however many writes it was. */
  #turn (): void {
    const first = this.#inbox.shift()
    if (first === undefined) {
      this.#isBusy = false
      return
    }
    this.#steps = first.steps()
    while (this.#inbox[0]?.isMergeable === true && first.isMergeable && this.#options.random.chance(0.5)) {
      this.#steps.push(...this.#inbox.shift()!.steps())
    }
    this.#go()
  }

  #go (): void {
    const { clock, random } = this.#options
    for (;;) {
      const step = this.#steps.shift()
      if (step === undefined) break
      const busyMs = step()
      if (busyMs > 0) {
        clock.after(busyMs, () => { this.#go() })
        return
      }
    }
    if (this.#deferred.length > 0) {
      this.#steps = this.#deferred
      this.#deferred = []
      // Nothing comes between, but the end of the process may.
      clock.after(random.chance(0.5) ? 0 : 0.5, () => { this.#go() })
      return
    }
    clock.after(0, () => { this.#turn() })
  }

  #read (packet: Packet): number {
    if (!this.#isOpen) return 0
    const { kind, message, queued } = this.#options
    if (kind.protocol === 4) this.#heard(packet)
    switch (packet.type) {
      case 'ping':
        this.#write({ type: 'pong' })
        break
      case 'pong':
        if (packet.data === 'probe') this.#probed()
        else this.#pingLater()
        break
      case 'close':
        this.#end()
        break
      case 'message': {
        const { down } = packet
        if (down === undefined) break
        if (!kind.isDeferred) return message(down)
        queued(down)
        this.#deferred.push(() => message(down))
      }
    }
    return 0
  }

  // --- from long polling to a WebSocket

  #probed (): void {
    if (this.#upgrade !== 'probing') return
    this.#upgrade = 'pausing'
    this.#switch()
  }

  /** As soon as nothing is under way by polling. */
  #switch (): void {
    if (!this.#isOpen || this.#isPolling || this.#isPosting) return
    this.#upgrade = 'done'
    this.#transport = 'websocket'
    this.#options.line.frameUp({ type: 'packets', packets: [{ type: 'upgrade' }] })
    this.#flush()
  }

  // --- heartbeats and the end

  /** Engine.IO 4: the server pings. */
  #heard ({ type }: Packet): void {
    if (type === 'ping') this.#expect()
  }

  #expect (): void {
    const { clock, pingIntervalMs, pingTimeoutMs } = this.#options
    this.#cancelTimeout()
    this.#cancelTimeout = clock.after(pingIntervalMs + pingTimeoutMs, () => { this.#timedOut() })
  }

  /** Engine.IO 3: the client pings, an interval after the last answer. */
  #pingLater (): void {
    const { clock, pingIntervalMs, pingTimeoutMs } = this.#options
    this.#cancelTimeout()
    this.#cancelTimeout = clock.after(pingIntervalMs, () => {
      this.#write({ type: 'ping' })
      this.#cancelTimeout = clock.after(pingTimeoutMs, () => { this.#timedOut() })
    })
  }

  #timedOut (): void {
    if (!this.#isOpen) return
    this.#options.line.abandon()
    this.lost()
  }

  #end (): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#cancelTimeout()
    this.#options.closed()
  }
}
