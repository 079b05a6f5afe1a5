/**
 * Poison: a message whose delivery breaks the connection again and again. It must not keep a session from all that
 * comes after it, and a bad link must never make a sound message look like one.
 *
 * 1. Breaks are counted for the oldest message that a session has out. A proof of receipt ends the count.
 * 2. After half of redeliveriesMax the message is on trial. Nothing is written but, where a transport has one, an event
 *    that no application listens for, until the client has lived longer than with anything that was out on a connection
 *    that broke before (and has taken more bytes, as its answers to that event prove); then the message, alone. So a
 *    link that dies after so many bytes or so much time, and a client that is there for a moment, end without it.
 * 3. A connection that breaks while the message is out alone speaks against it, if nothing else was written behind the
 *    message: else the client may have waited for that in vain, as where large packets are lost on the way. A break at
 *    once speaks against it in any case. One that breaks before the message is written speaks for it: all counts begin
 *    anew, and the next connections deliver as usual. So no client is kept waiting by its link.
 * 4. Once as many speak against it as remain of redeliveriesMax, it is set aside.
 *
 * What came along with the message is tried behind it in growing groups, as the first that is unproven is not always
 * the one at fault: a client that dies in the middle of a polling response proves nothing of it.
 *
 * Counts are in memory: they begin anew with the server.
 */
import type { Clock } from '../system/clock.ts'
import type { Limits } from '../model/limits.ts'
import type { Logger } from '../system/logger.ts'
import type { ClientId, PacketId, TimeMs } from '../model/message.ts'
import type { Delivery } from './link.ts'

/** What a trial asks of its link. No method may call back into the trial synchronously. */
export interface TrialSink {
  /** The connection that the link shares with others: one message at a time is on trial there. */
  readonly connection: object
  /** Each at QoS 1 comes back by proven(). */
  write (deliveries: readonly Delivery[]): void
  /**
   * Writes an event of about so many bytes that nobody listens for; comes back by proven(CONTROL_ID), which a transport
   * without such an event answers by itself.
   */
  control (bytes: number): void
  /** Answers by Trial.setAside(); must not write the message. */
  setAside (delivery: Delivery, attempts: number): void
  /** Nothing is suspected any more: the link goes on by itself. */
  over (): void
  /** How often something was written to the connection; for a transport whose clients leave where no answer comes. */
  readonly writes?: number
}

export interface SuspectsOptions {
  readonly clock: Clock
  readonly log: Logger
  readonly limits: Pick<Limits, 'redeliveriesMax' | 'trialHoldMs' | 'trialHoldMsMax'>
}

/** Stands for what control() writes. */
export const CONTROL_ID = 0 as PacketId

/** By so much a hold is longer than the longest life before, at most. */
const HOLD_MORE_MS_MAX = 60_000
/** A break in this part of trialHoldMs comes at once. */
const AT_ONCE = 0.5
/** A larger message need not be outweighed. */
const CONTROL_BYTES_MAX = 65_536
const NOTHING_WAITS = Infinity as TimeMs
/** What goes on the wire beside topic and payload. */
const FRAME_BYTES = 256

/** What is held against the oldest message that is out of a session. */
class Suspicion {
  /** The oldest unproven message; undefined until the next connection shows which it is. */
  message: Delivery | undefined
  /** Connections that broke one after the other, with no proof between. */
  breaks = 0
  /** The same over all, for the record. */
  attempts = 0
  /** Connections that broke with it alone. */
  score = 0
  /** How long at most something was out, whatever it was, on a connection that broke. */
  livedMs = 0
  /** What connections had carried that broke with the message alone. */
  carriedBytes = 0
}

export class Suspects {
  readonly clock: Clock
  readonly log: Logger
  readonly holdMsMin: number
  readonly holdMsMax: number
  /** Breaks until a message is on trial, and what must speak against it then. */
  readonly breaksMax: number
  readonly scoreMax: number
  /** Of sessions whose last connection left something unproven: bounded by the number of sessions. */
  readonly #bySession = new Map<ClientId, Suspicion>()
  readonly #turns = new WeakMap<object, Trial[]>()

  constructor ({ clock, log, limits }: SuspectsOptions) {
    const { redeliveriesMax } = limits
    this.clock = clock
    this.log = log
    this.holdMsMin = limits.trialHoldMs
    this.holdMsMax = limits.trialHoldMsMax
    this.breaksMax = Math.ceil(redeliveriesMax / 2)
    this.scoreMax = Math.max(1, redeliveriesMax - this.breaksMax)
  }

  get size (): number { return this.#bySession.size }

  /** A connection begins to deliver; undefined where it can do so as usual. */
  trial (clientId: ClientId, sink: TrialSink): Trial | undefined {
    const suspicion = this.#bySession.get(clientId)
    return suspicion && new Trial(this, clientId, suspicion, sink)
  }

  /** A connection without a trial is gone, and left something unproven that was written so long ago. */
  broke (clientId: ClientId, livedMs: number): void {
    let suspicion = this.#bySession.get(clientId)
    if (suspicion === undefined) this.#bySession.set(clientId, suspicion = new Suspicion())
    suspicion.breaks++
    suspicion.attempts++
    suspicion.livedMs = Math.max(suspicion.livedMs, livedMs)
  }

  /** What was suspected is proven, or the session has ended. */
  forget (clientId: ClientId): void { this.#bySession.delete(clientId) }

  // --- one trial at a time on a connection

  enter (connection: object, trial: Trial): void {
    const turns = this.#turns.get(connection) ?? []
    this.#turns.set(connection, turns)
    if (turns.push(trial) === 1) trial.begin()
  }

  leave (connection: object, trial: Trial): void {
    const turns = this.#turns.get(connection)
    const at = turns?.indexOf(trial) ?? -1
    if (turns === undefined || at === -1) return
    turns.splice(at, 1)
    if (at === 0) turns[0]?.begin()
  }
}

type State = 'new' | 'watching' | 'waiting' | 'holding' | 'alone' | 'grouped' | 'setAside' | 'over'

/** One connection of a session whose last one broke. */
export class Trial {
  readonly #suspects: Suspects
  readonly #clientId: ClientId
  readonly #suspicion: Suspicion
  readonly #sink: TrialSink
  #state: State = 'new'
  /** Handed over and not yet written: bounded by the window of the session. */
  #held: Delivery[] = []
  /** Written and not proven. */
  readonly #out = new Set<PacketId>()
  #groupSize = 1
  readonly #startedAt: number
  #carriedBytes = 0
  /** Of what waits for its proof; what is held is not the client's to acknowledge. */
  #writtenAt = NOTHING_WAITS
  /** How long the link held without the message, and TrialSink.writes when that was written. */
  #heldMs = 0
  #writes: number | undefined
  #cancel = (): void => {}

  constructor (suspects: Suspects, clientId: ClientId, suspicion: Suspicion, sink: TrialSink) {
    this.#suspects = suspects
    this.#clientId = clientId
    this.#suspicion = suspicion
    this.#sink = sink
    this.#startedAt = suspects.clock.now()
  }

  /** False while the link must not be handed more: it waits in the log. */
  get open (): boolean { return this.#state === 'new' || this.#state === 'watching' || this.#state === 'over' }

  /** As Link.waitingSince: what is held back grows older, and its client is not to blame for that [G2]. */
  get waitingSince (): TimeMs | undefined { return this.open ? undefined : this.#writtenAt }

  /** What the session hands to the link. */
  take (deliveries: readonly Delivery[]): void {
    const first = this.#state === 'new' ? deliveries.find(({ qos }) => qos > 0) : undefined
    if (first !== undefined) this.#identify(first)
    if (this.open) {
      this.#sink.write(deliveries)
      return
    }
    const atMostOnce = deliveries.filter(({ qos }) => qos === 0)
    if (atMostOnce.length > 0) this.#sink.write(atMostOnce)
    for (const delivery of deliveries) if (delivery.qos > 0) this.#held.push(delivery)
    if (this.#state === 'waiting' && first !== undefined) this.#suspects.enter(this.#sink.connection, this)
  }

  /** The oldest that is out of the session is what the last connection broke with. */
  #identify (first: Delivery): void {
    const suspicion = this.#suspicion
    if (!first.dup) { // what was out when the last connection broke is proven in another way
      this.#over()
      return
    }
    const isOnTrial = suspicion.breaks >= this.#suspects.breaksMax
    const isKnown = suspicion.message?.message === first.message // of a group it comes under another identifier
    suspicion.message = first
    if (!isKnown) {
      suspicion.score = suspicion.carriedBytes = 0
      if (!isOnTrial) suspicion.breaks = suspicion.attempts = 1
    }
    this.#state = isOnTrial || suspicion.breaks >= this.#suspects.breaksMax ? 'waiting' : 'watching'
  }

  /** It is this trial's turn on the connection. Only for Suspects. */
  begin (): void {
    const { message, score, attempts, carriedBytes } = this.#suspicion
    if (score >= this.#suspects.scoreMax) {
      this.#state = 'setAside'
      this.#sink.setAside(message!, attempts)
      return
    }
    this.#suspects.log.info({ session: this.#clientId, topic: message!.message.topic, attempts },
      'the connection broke again and again with this message; it is tried alone, once the link has held without it')
    this.#state = 'holding'
    this.#control(carriedBytes + bytesOf(message!))
  }

  #control (bytes: number): void {
    const some = Math.min(bytes, CONTROL_BYTES_MAX)
    this.#carriedBytes += some + FRAME_BYTES
    this.#writtenAt = this.#suspects.clock.now()
    this.#sink.control(some)
  }

  /**
   * What became of TrialSink.setAside(): false if the message is not out any more, undefined if it could not be
   * written down.
   */
  setAside (isKept?: boolean): void {
    if (this.#state !== 'setAside') return
    if (isKept === undefined) {
      this.#cancel = this.#suspects.clock.after(this.#suspects.holdMsMin, () => this.begin())
      return
    }
    this.#held.shift()
    this.#acquit()
    if (isKept) this.#suspicion.attempts = 0
    this.#group()
  }

  /** The client has handled a message, or what control() wrote. */
  proven (packetId: PacketId): void {
    if (packetId === CONTROL_ID) {
      if (this.#state === 'holding') this.#alive()
    } else if (this.#state === 'watching') {
      if (packetId === this.#suspicion.message?.packetId) this.#over()
    } else if (this.#out.delete(packetId) && this.#out.size === 0) {
      if (this.#state === 'alone') this.#acquit()
      this.#group()
    }
  }

  #alive (): void {
    this.#writtenAt = NOTHING_WAITS
    const { clock, holdMsMin, holdMsMax } = this.#suspects
    const { livedMs, score } = this.#suspicion
    const moreMs = Math.min(holdMsMin * 2 ** score, Math.max(holdMsMin, HOLD_MORE_MS_MAX))
    const restMs = Math.min(livedMs + moreMs, holdMsMax) - this.#agedMs
    if (restMs <= 0) this.#alone()
    else this.#cancel = clock.after(restMs, () => { if (this.#state === 'holding') this.#control(0) })
  }

  get #agedMs (): number { return this.#suspects.clock.now() - this.#startedAt }

  #alone (): void {
    this.#heldMs = this.#agedMs
    this.#state = 'alone'
    this.#write(this.#held.splice(0, 1))
    this.#writes = this.#sink.writes
  }

  /** The message is not at fault, or gone: those that came with it are next, in growing groups. */
  #acquit (): void {
    this.#suspicion.message = undefined
    this.#suspicion.score = this.#suspicion.carriedBytes = 0
  }

  #group (): void {
    if (this.#held.length === 0) {
      this.#over()
      return
    }
    this.#state = 'grouped'
    const some = this.#held.splice(0, this.#groupSize)
    this.#groupSize *= 2
    this.#write(some)
  }

  #write (deliveries: readonly Delivery[]): void {
    this.#writtenAt = this.#suspects.clock.now()
    for (const { packetId } of deliveries) this.#out.add(packetId)
    this.#sink.write(deliveries)
  }

  #over (): void {
    this.#suspects.forget(this.#clientId)
    this.#end()
    this.#sink.over()
  }

  /** The connection is gone; `onPurpose`: by the will of the server or the client, which says nothing of a message. */
  broke (onPurpose: boolean): void {
    const state = this.#state
    if (state === 'over') return
    const suspicion = this.#suspicion
    if (!onPurpose) {
      if (state === 'watching' || state === 'grouped') {
        suspicion.breaks++
        suspicion.attempts++
        const outMs = state === 'watching' ? this.#agedMs : this.#suspects.clock.now() - this.#writtenAt
        suspicion.livedMs = Math.max(suspicion.livedMs, outMs)
      } else if (state === 'alone') this.#brokeAlone()
      else if (state === 'holding') this.#suspects.forget(this.#clientId)
    }
    this.#end()
  }

  #brokeAlone (): void {
    const suspicion = this.#suspicion
    const { holdMsMin } = this.#suspects
    const afterMs = this.#agedMs - this.#heldMs
    const hasHeld = this.#heldMs > suspicion.livedMs
    const isAtOnce = afterMs <= holdMsMin * AT_ONCE
    suspicion.attempts++
    if (isAtOnce || (hasHeld && this.#writes === this.#sink.writes)) suspicion.score++
    else if (!hasHeld) { // and longer it can't: for all that is known the client is never there for longer
      this.#suspects.forget(this.#clientId)
      return
    }
    suspicion.livedMs = Math.max(suspicion.livedMs, afterMs)
    suspicion.carriedBytes = Math.max(suspicion.carriedBytes, this.#carriedBytes + bytesOf(suspicion.message!))
  }

  #end (): void {
    this.#state = 'over'
    this.#cancel()
    this.#suspects.leave(this.#sink.connection, this)
  }
}

function bytesOf ({ message }: Delivery): number {
  return message.topic.length + message.payload.length + FRAME_BYTES
}
