/**
 * The proofs of one connection: which of them applies to its protocol and its transport as they are now, and when a
 * probe is written. At most one probe for a batch, and only while something waits for one.
 *
 *                WebSocket                               long polling
 *   Engine.IO 4  double ping                             next poll, with pings
 *   Engine.IO 3  heartbeat echo, with transport pings    heartbeat echo, with next poll
 */
import type { EnginePacket, EngineSocket } from '../wire/engine.ts'
import type { Wire } from '../wire/wire.ts'
import { DoublePing } from './double-ping.ts'
import { Evidence, type ProofLevel } from './evidence.ts'
import { HeartbeatEcho } from './heartbeat-echo.ts'
import { NextPoll } from './next-poll.ts'
import { TransportPing } from './transport-ping.ts'

export interface ProverOwner<Mark> {
  /** In the order of writing. */
  proven (marks: readonly Mark[]): void
  /** The client answered a ping that was not sent: nothing it says can be believed. */
  deceived (): void
  /** Something written was taken by the transport. */
  taken (): void
}

/** What only Engine.IO 3 on a WebSocket needs. */
interface Version3<Mark> {
  readonly echo: HeartbeatEcho<Mark>
  readonly pings: TransportPing<Mark>
}

export class Prover<Mark> {
  readonly #engine: EngineSocket
  readonly #wire: Wire
  readonly #owner: ProverOwner<Mark>
  readonly #taken = (): void => this.#owner.taken()
  readonly #evidence = new Evidence<Mark>()
  readonly #pings = new DoublePing(this.#evidence)
  #poll: NextPoll<Mark> | undefined
  readonly #version3: Version3<Mark> | undefined
  #isDue = false

  constructor (engine: EngineSocket, wire: Wire, owner: ProverOwner<Mark>) {
    this.#engine = engine
    this.#wire = wire
    this.#owner = owner
    if (engine.protocol === 3) {
      this.#version3 = { echo: new HeartbeatEcho(this.#evidence), pings: new TransportPing(this.#evidence) }
    }
    const { transport } = engine
    if (transport.name === 'polling') {
      this.#poll = new NextPoll(this.#evidence)
      // before the engine's own listener, which writes the next response
      transport.prependListener('ready', () => this.#polled())
    } else this.#listenForPongs()
  }

  /** Messages that were written and have not arrived. */
  get unarrived (): number {
    return this.#evidence.unarrived
  }

  /** A message was written just now, all of it. */
  delivered (mark: Mark, level: ProofLevel): void {
    this.#poll?.delivering(this.#engine.writeBuffer.length === 0)
    this.#evidence.delivered(mark, level)
    this.#askSoon()
  }

  /** A packet is about to be written. */
  creating ({ type }: EnginePacket): void {
    if (type === 'ping') this.#pings.pinged()
    else if (type === 'pong') this.#version3?.echo.ponged()
  }

  /** The write buffer goes to the transport. */
  flushing (): void {
    this.#poll?.responding()
  }

  /** A packet was read; the engine has not looked at it. */
  read ({ type }: EnginePacket): void {
    if (this.#version3 !== undefined) {
      if (type === 'ping') this.#answered(this.#version3.echo.pinged())
    } else if (type === 'pong') this.#answered(this.#pings.answered())
  }

  /** The client has left long polling for a WebSocket. */
  upgraded (): void {
    const poll = this.#poll
    this.#poll = undefined
    // the engine has forgotten the timer of the heartbeat that is under way: of every one of version 3
    if (this.#version3 !== undefined || this.#pings.underWay > 0) this.#engine.resetPingTimeout()
    this.#listenForPongs()
    if (poll !== undefined) this.#answered(poll.polled())
  }

  #polled (): void {
    if (this.#poll !== undefined) this.#answered(this.#poll.polled())
  }

  #listenForPongs (): void {
    const { transport } = this.#engine
    const pings = this.#version3?.pings
    if (pings === undefined || transport.name !== 'websocket') return
    transport.socket.on('pong', data => this.#answered(pings.answered(data.toString())))
  }

  #answered (proven: readonly Mark[] | undefined): void {
    if (proven === undefined) return this.#owner.deceived()
    if (this.#engine.readyState !== 'open') return
    if (proven.length > 0) this.#owner.proven(proven)
    this.#owner.taken()
    this.#askSoon()
  }

  /** What is written in this turn of the event loop shares a probe. */
  #askSoon (): void {
    if (this.#isDue) return
    this.#isDue = true
    this.#wire.endTurnSoon()
  }

  /** At the end of a turn of the event loop. */
  ask (): void {
    if (!this.#isDue) return
    this.#isDue = false
    const { transport, readyState, writeBuffer } = this.#engine
    if (readyState !== 'open') return
    if (this.#version3 === undefined) {
      if (transport.name !== 'polling') {
        if (this.#pings.wantsPing) this.#ping()
      } else if (this.#pings.wantsSecond) this.#sendPing() // with the next response, whatever that is
    } else if (transport.name !== 'polling' && this.#version3.pings.wantsPing) {
      // it would overtake what waits; the engine is done with that when it is writable again
      if (writeBuffer.length > 0) {
        this.#isDue = true
        this.#engine.once('drain', () => this.ask())
      } else transport.socket.ping(this.#version3.pings.pinged(), false, this.#taken)
    }
  }

  #ping (): void {
    if (!this.#wire.direct) return this.#sendPing()
    this.#pings.pinged()
    this.#wire.writePing(this.#taken)
  }

  #sendPing (): void {
    this.#engine.sendPacket('ping', undefined, {}, this.#taken)
  }
}
