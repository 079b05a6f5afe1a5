/** Two pipes between a client and a server process, and all the ways in which they can fail. */
import type { VirtualClock } from './clock.ts'
import { Pipe } from './network.ts'
import type { Random } from './random.ts'
import type { Scenario } from './scenario.ts'
import { ServerEnd, type ServerProcess } from './server.ts'
import type { ToClient, ToServer } from './wire.ts'

/** How long either side may go on believing in a connection that is gone. */
const NOTICE_MS_MAX = 400

export interface WireOptions {
  readonly clock: VirtualClock
  readonly random: Random
  readonly scenario: Scenario
  readonly process: ServerProcess
  readonly latencyMs: () => number
  readonly arrives: (packet: ToClient) => void
  readonly lost: () => void
}

export class Wire {
  readonly #options: WireOptions
  readonly #up: Pipe<ToServer>
  readonly #down: Pipe<ToClient>
  readonly #end: ServerEnd

  constructor (options: WireOptions) {
    this.#options = options
    const { clock, scenario, process, latencyMs } = options
    this.#down = new Pipe({
      clock,
      latencyMs,
      bytesMax: scenario.linkBytesMax,
      arrives: options.arrives,
      drained: () => { this.#end.drained() }
    })
    const down = this.#down
    this.#end = new ServerEnd(process, {
      get writable () { return down.writable },
      send: (packet, bytes) => { down.send(packet, bytes) },
      closed: () => { this.#closedByServer() }
    })
    this.#up = new Pipe({
      clock, latencyMs, bytesMax: Infinity, arrives: packet => { this.#end.handle(packet) }, drained: () => {}
    })
  }

  up (packet: ToServer): void { this.#up.send(packet) }

  get frozen (): boolean { return this.#down.frozen }

  /** Nothing passes any more, in one direction or in both, and nobody is told. */
  freeze (both: boolean): void {
    this.#down.freeze()
    if (both) this.#up.freeze()
  }

  thaw (): void {
    this.#down.thaw()
    this.#up.thaw()
  }

  /** What is on its way is lost; each side notices in its own time. */
  cut (): void {
    const { clock, random, lost } = this.#options
    this.#up.cut()
    this.#down.cut()
    const noticeMs = (): number => random.chance(0.5) ? 0 : random.between(1, NOTICE_MS_MAX)
    clock.after(noticeMs(), () => { this.#end.lost() })
    clock.after(noticeMs(), lost)
  }

  /** The client has left it behind; the server goes on writing to it until it notices. */
  abandon (): void {
    const { clock, random } = this.#options
    if (random.chance(0.5)) this.#up.cut()
    clock.after(random.between(1, 5 * NOTICE_MS_MAX), () => {
      this.#up.cut()
      this.#down.cut()
      this.#end.lost()
    })
  }

  /** FIN: what was written before it still arrives, unless chance has it otherwise. */
  #closedByServer (): void {
    const { clock, random, lost } = this.#options
    this.#up.cut()
    if (random.chance(0.5)) this.#down.cut()
    clock.after(random.between(0, 20), () => {
      this.#down.cut()
      lost()
    })
  }
}
