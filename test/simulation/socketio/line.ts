/** All the wires between one client and one server process: a WebSocket, requests of long polling, or both. */
import type { VirtualClock } from '../clock.ts'
import { Pipe } from '../network.ts'
import type { Random } from '../random.ts'
import type { Frames, Packet } from './packets.ts'

/** How long either side may go on believing in a connection that is gone. */
const NOTICE_MS_MAX = 400

/** The server's engine, as the network calls it. */
export interface ServerSide {
  polled (): void
  posted (packets: readonly Packet[]): void
  framed (frames: Frames): void
  drained (): void
  lost (): void
}

/** The client's engine, as the network calls it. */
export interface ClientSide {
  responded (packets: readonly Packet[]): void
  /** The answer to a POST. */
  accepted (): void
  framed (frames: Frames): void
  lost (): void
}

export interface LineOptions {
  readonly clock: VirtualClock
  readonly random: Random
  readonly latencyMs: () => number
  readonly linkBytesMax: number
  /** An answer is lost with its connection, and the network sends the request again, in silence. */
  readonly repeats: () => boolean
}

/** Requests are independent of each other, so a GET may overtake a POST; what shares a pipe stays in order. */
export class Line {
  readonly #options: LineOptions
  server!: ServerSide
  client!: ClientSide
  readonly #polls: Pipe<undefined>
  readonly #responses: Pipe<readonly Packet[]>
  readonly #posts: Pipe<readonly Packet[]>
  readonly #acceptances: Pipe<undefined>
  readonly #framesUp: Pipe<Frames>
  readonly #framesDown: Pipe<Frames>
  #isOver = false
  #posted: readonly Packet[] = []

  constructor (options: LineOptions) {
    this.#options = options
    const { clock, latencyMs, linkBytesMax } = options
    const pipe = <T>(arrives: (content: T) => void, bytesMax = Infinity, drained = (): void => {}): Pipe<T> =>
      new Pipe<T>({ clock, latencyMs, bytesMax, arrives, drained })
    this.#polls = pipe(() => { this.server.polled() })
    this.#responses = pipe(packets => { this.client.responded(packets) })
    this.#posts = pipe(packets => { this.server.posted(packets) })
    this.#acceptances = pipe(() => { this.client.accepted() })
    this.#framesUp = pipe(frames => { this.server.framed(frames) })
    this.#framesDown = pipe(frames => { this.client.framed(frames) }, linkBytesMax, () => { this.server.drained() })
  }

  poll (): void { this.#polls.send(undefined) }
  respond (packets: readonly Packet[]): void {
    if (this.#options.repeats()) this.#polls.send(undefined)
    else this.#responses.send(packets)
  }

  post (packets: readonly Packet[]): void {
    this.#posted = packets
    this.#posts.send(packets)
  }

  accept (): void {
    // what a client emits may come twice without `t`, and is no matter of followers
    const mayRepeat = this.#posted.every(({ type }) => type === 'pong' || type === 'ping')
    if (mayRepeat && this.#options.repeats()) this.#posts.send(this.#posted)
    else this.#acceptances.send(undefined)
  }

  frameUp (frames: Frames): void { this.#framesUp.send(frames) }
  frameDown (frames: Frames, bytes: number): void { this.#framesDown.send(frames, bytes) }

  /** The system takes more of the WebSocket's bytes. */
  get takes (): boolean { return this.#framesDown.writable }
  /** Bytes that the system has not taken. */
  get waitingBytes (): number { return Math.max(0, this.#framesDown.bytes - this.#options.linkBytesMax) }

  get #up (): ReadonlyArray<Pipe<never>> { return [this.#polls, this.#posts, this.#framesUp] as never }
  get #down (): ReadonlyArray<Pipe<never>> { return [this.#responses, this.#acceptances, this.#framesDown] as never }

  /** Nothing passes any more, in one direction or in both, and nobody is told. */
  freeze (both: boolean): void {
    for (const pipe of this.#down) pipe.freeze()
    if (both) for (const pipe of this.#up) pipe.freeze()
  }

  thaw (): void {
    for (const pipe of this.#down) pipe.thaw()
    for (const pipe of this.#up) pipe.thaw()
  }

  /** What is on its way is lost; each side notices in its own time. */
  cut (): void {
    if (this.#isOver) return
    this.#end(this.#up)
    this.#end(this.#down)
    const { clock, random } = this.#options
    const noticeMs = (): number => random.chance(0.5) ? 0 : random.between(1, NOTICE_MS_MAX)
    clock.after(noticeMs(), () => { this.server.lost() })
    clock.after(noticeMs(), () => { this.client.lost() })
    this.#isOver = true
  }

  /** The client has left it behind; the server goes on writing to it until it notices. */
  abandon (): void {
    if (this.#isOver) return
    this.#isOver = true
    const { clock, random } = this.#options
    if (random.chance(0.5)) this.#end(this.#up)
    clock.after(random.chance(0.2) ? 0 : random.between(1, 5 * NOTICE_MS_MAX), () => {
      this.#end(this.#up)
      this.#end(this.#down)
      this.server.lost()
    })
  }

  /** The server has closed it, or its process has died: what was written before may still arrive. */
  closedByServer (): void {
    if (this.#isOver) return
    this.#isOver = true
    const { clock, random } = this.#options
    this.#end(this.#up)
    if (random.chance(0.3)) this.#end(this.#down)
    clock.after(random.between(0, 20), () => {
      this.#end(this.#down)
      this.client.lost()
    })
  }

  #end (pipes: ReadonlyArray<Pipe<never>>): void {
    for (const pipe of pipes) pipe.cut()
  }
}
