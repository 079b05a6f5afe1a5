/**
 * The proofs of one connection: which of them applies to its protocol and its transport as they are now, and when a
 * probe is written. At most one probe for a batch, and only while something waits for one.
 *
 *                WebSocket                               long polling
 *   Engine.IO 4  double ping                             next poll, with pings; without `t`, lock-step
 *   Engine.IO 3  heartbeat echo, with transport pings    heartbeat echo, with next poll
 */
import type { EnginePacket, EngineSocket } from '../wire/engine.ts'
import { LockStep, PINGS } from '../wire/lock-step.ts'
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
  /** The client has not answered what it was asked, and has left long polling meanwhile. */
  unanswered (): void
  /** Something written was taken by the transport. */
  taken (): void
  /** The client has a namespace: messages are for it. */
  readonly isIn: boolean
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
  /** Of polls without `t`; undefined where the connection began as a WebSocket. */
  readonly step: LockStep | undefined
  /** The ping that is being written ends such an answer. */
  #isLast = false
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
      const step = this.step = new LockStep(() => {
        this.#pings.pingedAlone()
        engine.resetPingTimeout()
      })
      engine.on('upgrading', () => step.upgrading())
      engine.on('close', () => step.closed())
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
    if (type === 'ping') {
      if (this.#poll !== undefined && this.step?.isOn === true && !this.#isLast) this.#pings.pingedAlone()
      else if (this.step?.isOwing === true) this.#owner.unanswered() // its pong could be one of those that are owed
      else this.#pings.pinged()
    }
    else if (type === 'pong') this.#version3?.echo.ponged()
  }

  /** The write buffer goes to the transport. */
  flushing (): void {
    if (this.#poll === undefined) return
    this.#poll.responding()
    const { step } = this
    if (step === undefined || this.#version3 !== undefined) return
    const { writeBuffer } = this.#engine
    const isLoaded = step.isOn && this.#owner.isIn && writeBuffer.some(({ type }) => type === 'message')
    if (isLoaded) this.#endWithPings()
    step.answering(writeBuffer.filter(({ type }) => type === 'ping').length, isLoaded)
  }

  /** Behind all that goes into the answer that is about to be written. */
  #endWithPings (): void {
    const { transport } = this.#engine
    transport.writable = false // or each would be an answer of its own
    for (let left = PINGS; left > 0; left--) {
      this.#isLast = left === 1
      this.#sendPing()
    }
    this.#isLast = false
    transport.writable = true
    this.#engine.resetPingTimeout()
  }

  /** A packet was read; the engine has not looked at it. */
  read ({ type }: EnginePacket): void {
    if (this.#version3 !== undefined) {
      if (type === 'ping') this.#answered(this.#version3.echo.pinged())
    } else if (type === 'pong') {
      this.#answered(this.#pings.answered())
      this.step?.ponged()
      if (this.step?.isOwing !== true) this.#wire.resume()
    }
  }

  /** The client has left long polling for a WebSocket. */
  upgraded (): void {
    const poll = this.#poll
    this.#poll = undefined
    // the engine has forgotten the timer of the heartbeat that is under way: of every one of version 3
    if (this.#version3 !== undefined || this.#pings.underWay > 0) this.#engine.resetPingTimeout()
    this.#listenForPongs()
    if (this.step?.isOwing === true) this.#wire.stop() // or what comes next would come before what may be lost [G3]
    else if (poll !== undefined) this.#answered(poll.polled())
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
    this.step?.release()
    if (this.#version3 === undefined) {
      if (transport.name !== 'polling') {
        if (this.#pings.wantsPing && this.step?.isOwing !== true) this.#ping()
      } else if (this.#pings.wantsSecond && this.step?.isOn !== true) this.#sendPing() // with the next response
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
