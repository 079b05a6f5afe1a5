/**
 * The proofs of one connection: which of them applies to its protocol and its transport as they are now, and when a
 * probe is written. At most one probe for a batch, and only while something waits for one.
 *
 *                WebSocket                               long polling
 *   Engine.IO 4  double ping                             next poll, with pings; without `t`, lock-step
 *   Engine.IO 3  heartbeat echo, with transport pings    heartbeat echo, with next poll; without `t`, in one response
 */
import type { Clock } from '../../../broker/index.ts'
import type { EnginePacket, EngineSocket } from '../wire/engine.ts'
import { LockStep, PINGS } from '../wire/lock-step.ts'
import type { PollStep } from '../wire/poll-step.ts'
import { PongStep } from '../wire/pong-step.ts'
import type { Wire } from '../wire/wire.ts'
import { DoublePing } from './double-ping.ts'
import { Evidence, type ProofLevel } from './evidence.ts'
import { HeartbeatEcho } from './heartbeat-echo.ts'
import { NextPoll } from './next-poll.ts'
import { TransportPing } from './transport-ping.ts'

/**
 * Messages in one response to a poll. python-engineio takes 16 packets at most and ends the connection otherwise, for
 * ever where more wait; heartbeats and answers to what it emits come besides.
 */
const RESPONSE_MESSAGES_MAX = 12

const MADE_UP = 'a Socket.IO client answered a ping that was not sent'
/** It has left long polling meanwhile. */
const UNANSWERED = 'a Socket.IO client without the query parameter t did not say that it has an answer'
const HASTY = 'a heartbeat of Engine.IO 3 did not wait for the answer to the one before, and its polls carry ' +
  'no t (such a client needs timestampRequests, or transports: ["websocket"])'

export interface ProverOwner<Mark> {
  /** In the order of writing. */
  proven (marks: readonly Mark[]): void
  /** Nothing that the client says can be believed any more. */
  disbelieve (why: string): void
  /** Something written was taken by the transport. */
  taken (): void
  /** The client has a namespace: messages are for it. */
  readonly isIn: boolean
}

/** What only Engine.IO 3 needs. */
interface Version3<Mark> {
  readonly echo: HeartbeatEcho<Mark>
  readonly pings: TransportPing<Mark>
  /** Of polls without `t`; undefined where the connection began as a WebSocket. */
  readonly step: PongStep | undefined
  /** By polls without `t` messages went out, and are not proven. */
  isPending: boolean
}

export class Prover<Mark> {
  readonly #engine: EngineSocket
  readonly #wire: Wire
  readonly #owner: ProverOwner<Mark>
  readonly #taken = (): void => this.#owner.taken()
  readonly #evidence = new Evidence<Mark>()
  readonly #pings = new DoublePing(this.#evidence)
  /** Of polls without `t` (Engine.IO 4); undefined where the connection began as a WebSocket. */
  readonly #lock: LockStep | undefined
  /** The ping that is being written ends such an answer. */
  #isLast = false
  #poll: NextPoll<Mark> | undefined
  readonly #version3: Version3<Mark> | undefined
  #isDue = false

  constructor (engine: EngineSocket, wire: Wire, owner: ProverOwner<Mark>, clock: Clock) {
    this.#engine = engine
    this.#wire = wire
    this.#owner = owner
    const { transport, protocol } = engine
    const isPolling = transport.name === 'polling'
    if (protocol === 3) {
      this.#version3 = {
        echo: new HeartbeatEcho(this.#evidence),
        pings: new TransportPing(this.#evidence),
        step: isPolling ? new PongStep(clock, engine.server.opts) : undefined,
        isPending: false
      }
    } else if (isPolling) {
      this.#lock = new LockStep(() => {
        this.#pings.pingedAlone()
        engine.resetPingTimeout()
      })
    }
    if (isPolling) {
      this.#poll = new NextPoll(this.#evidence)
      engine.on('upgrading', () => this.step?.upgrading())
      engine.on('close', () => this.step?.closed())
      // before the engine's own listener, which writes the next response
      transport.prependListener('ready', () => this.#polled())
    } else this.#listenForPongs()
  }

  /** Of polls without `t`; undefined where the connection began as a WebSocket. */
  get step (): PollStep | undefined { return this.#version3?.step ?? this.#lock }

  /** Messages that were written and have not arrived. */
  get unarrived (): number {
    return this.#evidence.unarrived
  }

  /** Of the response to a poll that carries `t`, as those of python-engineio do; undefined: any number [G6]. */
  get roomMessages (): number | undefined {
    const { transport, writeBuffer } = this.#engine
    if (this.#lock === undefined || this.#lock.isOn || transport.name !== 'polling') return undefined
    return RESPONSE_MESSAGES_MAX - writeBuffer.length
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
      if (this.#poll !== undefined && this.#lock?.isOn === true && !this.#isLast) this.#pings.pingedAlone()
      else if (this.#lock?.awaitsPong === true) this.#owner.disbelieve(UNANSWERED) // its pong could be owed
      else this.#pings.pinged()
    } else if (type === 'pong' && this.#version3 !== undefined) {
      this.#version3.echo.ponged()
      if (this.#isUntimed3) this.#version3.step?.ponged()
    }
  }

  /** The write buffer goes to the transport. */
  flushing (): void {
    if (this.#poll === undefined) return
    this.#poll.responding()
    const { writeBuffer } = this.#engine
    if (this.#version3 !== undefined) return this.#endWithPong(this.#version3, writeBuffer)
    const lock = this.#lock
    if (lock === undefined) return
    const isLoaded = lock.isOn && this.#owner.isIn && writeBuffer.some(({ type }) => type === 'message')
    if (isLoaded) this.#endWithPings()
    lock.answering(writeBuffer.filter(({ type }) => type === 'ping').length, isLoaded)
  }

  get #isUntimed3 (): boolean { return this.#poll !== undefined && this.#version3?.step?.isOn === true }

  #endWithPong (version3: Version3<Mark>, packets: EnginePacket[]): void {
    const at = packets.findIndex(({ type }) => type === 'pong')
    if (at === -1 || !this.#isUntimed3) return
    packets.push(...packets.splice(at, 1))
    version3.step?.answering()
    version3.echo.ponged(true)
    version3.isPending = packets.some(({ type }) => type === 'message')
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
      if (type === 'ping') this.#beaten(this.#version3)
    } else if (type === 'pong') {
      this.#answered(this.#pings.answered())
      this.#lock?.ponged()
      if (this.#lock?.awaitsPong !== true) this.#wire.resume()
    }
  }

  #beaten (version3: Version3<Mark>): void {
    const { isPending, step } = version3
    if ((this.#isUntimed3 || isPending) && step?.isEarly === true) return this.#owner.disbelieve(HASTY)
    version3.isPending = false
    this.#answered(version3.echo.pinged())
    if (isPending) this.#wire.resume()
  }

  /** The client has left long polling for a WebSocket. */
  upgraded (): void {
    const poll = this.#poll
    this.#poll = undefined
    // the engine has forgotten the timer of the heartbeat that is under way: of every one of version 3
    if (this.#version3 !== undefined || this.#pings.underWay > 0) this.#engine.resetPingTimeout()
    this.#listenForPongs()
    // or what comes next would come before what may be lost [G3]
    if (this.#lock?.awaitsPong === true || this.#version3?.isPending === true) this.#wire.stop()
    else if (poll !== undefined && this.#version3?.step?.isOn !== true) this.#answered(poll.polled())
  }

  #polled (): void {
    if (this.#poll !== undefined && !this.#isUntimed3) this.#answered(this.#poll.polled())
  }

  #listenForPongs (): void {
    const { transport } = this.#engine
    const pings = this.#version3?.pings
    if (pings === undefined || transport.name !== 'websocket') return
    transport.socket.on('pong', data => this.#answered(pings.answered(data.toString())))
  }

  #answered (proven: readonly Mark[] | undefined): void {
    if (proven === undefined) return this.#owner.disbelieve(MADE_UP)
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
    this.#lock?.release()
    if (this.#version3 === undefined) {
      if (transport.name !== 'polling') {
        if (this.#pings.wantsPing && this.#lock?.awaitsPong !== true) this.#ping()
      } else if (this.#pings.wantsSecond && this.#lock?.isOn !== true) this.#sendPing() // with the next response
    } else if (transport.name !== 'polling' && this.#version3.pings.wantsPing && !this.#version3.isPending) {
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
