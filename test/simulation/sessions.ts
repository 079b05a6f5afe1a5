/** The lives of sessions as seen from outside: which must be there, which may, and which can't be any more [G2, G5]. */
import type { ClientId } from '../../broker/model/message.ts'
import { Life } from './life.ts'
import type { Referee } from './referee.ts'

/** A call of connect() that has not been answered. */
export interface ConnectCall {
  readonly clientId: ClientId
  readonly clean: boolean
  readonly expiryMs: number
}

export class Sessions {
  readonly #referee: Referee
  /** How much longer than its expiry a session may be found. */
  readonly #expirySlackMs: number
  /** How long what a session is (detached since when) may wait to be written. */
  readonly #flushSlackMs: number
  readonly #current = new Map<ClientId, Life>()
  readonly #open = new Set<ConnectCall>()
  /** Calls of connect() that were never answered, or refused, and may have made a session all the same. */
  readonly #mayHaveMade = new Set<ConnectCall>()
  #lives = 0

  constructor (referee: Referee, expirySlackMs: number, flushSlackMs: number) {
    this.#referee = referee
    this.#expirySlackMs = expirySlackMs
    this.#flushSlackMs = flushSlackMs
  }

  /** The latest life of every client that has not certainly ended. */
  * alive (): IterableIterator<Life> {
    for (const life of this.#current.values()) if (life.ended === undefined) yield life
  }

  of (clientId: ClientId): Life | undefined {
    return this.#current.get(clientId)
  }

  /** Seen from outside, nothing can have ended it. */
  isCertainlyThere (life: Life): boolean {
    if (life.ended !== undefined || life.mayHaveEnded || life.isUncertain) return false
    return life.kept ? !life.mayHaveExpired(this.#referee.nowMs) : life.attached !== 0
  }

  called (call: ConnectCall): void {
    const life = this.#current.get(call.clientId)
    this.#open.add(call)
    if (call.clean) {
      if (life !== undefined) life.mayHaveEnded = true
    } else if (life === undefined || life.ended !== undefined || life.mayHaveEnded || !life.kept ||
      life.mayHaveExpired(this.#referee.nowMs)) this.#mayHaveMade.add(call)
  }

  failed (call: ConnectCall): void {
    this.#open.delete(call)
  }

  /** @returns the life that the connection follows */
  succeeded (call: ConnectCall, present: boolean): Life {
    this.#open.delete(call)
    const { clientId, clean } = call
    const now = this.#referee.nowMs
    const life = this.#current.get(clientId)
    const isHere = life !== undefined && life.ended === undefined && life.kept
    this.#mayHaveMade.delete(call)
    const mayBeOther = [...this.#mayHaveMade].some(other => other.clientId === clientId)
    for (const other of this.#mayHaveMade) {
      if (other.clientId === clientId && !this.#open.has(other)) this.#mayHaveMade.delete(other)
    }
    if (present) {
      if (clean) this.#violate('G5', `${clientId} connected clean, but was told that its session was present`)
      else if (!isHere && !mayBeOther) this.#violate('G5', `${clientId} was told that its session was present; none is`)
      if (!isHere) return this.#begin(call)
      if (life.mustHaveExpired(now, this.#expirySlackMs) && !mayBeOther) {
        this.#violate('G5', `${life.name} expired ${Math.round(now - life.detachedMsMax! - life.expiryMs)} ms ago, ` +
          'but was told that its session was present')
      }
      if (mayBeOther) life.becomeUncertain()
      life.mayHaveEnded = this.#isEnding(clientId)
      if (life.attached === 0) life.detachedMs = life.detachedMsMax = undefined // its time begins anew
      return life
    }
    if (isHere && !clean && !life.mayHaveEnded && !life.mayHaveExpired(now)) {
      this.#violate('G2', `${life.name} came back before its session expired, and was told that it was gone`)
    }
    if (life !== undefined) this.end(life, clean ? 'clean-connect' : 'not present')
    return this.#begin(call)
  }

  #begin ({ clientId, clean, expiryMs }: ConnectCall): Life {
    const life = new Life(clientId, !clean, expiryMs, ++this.#lives, this.#referee.nowMs)
    this.#current.set(clientId, life)
    life.mayHaveEnded = this.#isEnding(clientId)
    return life
  }

  /** Is a call under way that ends the session of this name? */
  #isEnding (clientId: ClientId): boolean {
    for (const call of this.#open) if (call.clientId === clientId && call.clean) return true
    return false
  }

  /** The broker says of itself that a session has ended. */
  told (clientId: ClientId, reason: string): void {
    const life = this.#current.get(clientId)
    if (life === undefined || life.ended !== undefined) return
    this.#referee.count(`session ended: ${reason}`)
    if (reason === 'expired' && !life.mayHaveEnded && !life.mayHaveExpired(this.#referee.nowMs)) {
      const since = life.detachedMs === undefined ? 'attached' : `detached since ${life.detachedMs.toFixed(0)} ms`
      this.#violate('G2', `${life.name} was ended as expired; it is ${since} and has ${life.expiryMs} ms`)
    }
    life.mayHaveEnded = true
  }

  end (life: Life, reason: string): void {
    life.ended ??= reason
    this.#referee.trace?.(`${life.name} has ended: ${reason}`)
  }

  // --- connections and processes

  attached (life: Life, connection: number): void {
    life.attached = connection
    life.detachedMs = undefined
    life.detachedMsMax = undefined
  }

  /** The server closed the connection by itself; the session hears of it now or when the transport is gone. */
  closing (life: Life, connection: number): void {
    life.brokenMs = this.#referee.nowMs
    if (life.attached !== connection) return
    life.attached = 0
    life.detachedMs = this.#referee.nowMs
    life.closing = connection
    if (!life.kept) life.mayHaveEnded = true
  }

  /** A connection that was answered went away before it was attached. */
  released (life: Life): void {
    if (life.attached !== 0) return
    life.detachedMs = life.detachedMsMax = this.#referee.nowMs
    if (!life.kept) this.end(life, 'disconnected')
  }

  detached (life: Life, connection: number): void {
    life.brokenMs = this.#referee.nowMs
    if (life.attached === connection) life.detachedMs = this.#referee.nowMs
    else if (life.closing !== connection || life.attached !== 0) return
    life.attached = 0
    life.closing = 0
    life.detachedMsMax = this.#referee.nowMs
    if (!life.kept) this.end(life, 'disconnected')
  }

  /** @param diskTroubleMs when the disk last could not be written, or slowly */
  crashed (diskTroubleMs: number): void {
    const now = this.#referee.nowMs
    const writtenMs = Math.min(now, diskTroubleMs < 0 ? now : diskTroubleMs) - this.#flushSlackMs
    for (const life of this.alive()) {
      if (!life.kept) {
        this.end(life, 'crash')
        continue
      }
      life.detachedMs ??= now
      const isWritten = life.attached === 0 && now - (life.detachedMsMax ?? now) > this.#flushSlackMs
      if (!isWritten) life.detachedMsMax = undefined
      life.attached = 0
      life.closing = 0
      life.forget(writtenMs, now)
    }
    this.#open.clear()
  }

  /**
   * The process has ended in an orderly way: all connections are gone, everything is written.
   * @param diskTroubleMs undefined where the disk was well
   */
  stopped (diskTroubleMs: number | undefined): void {
    const now = this.#referee.nowMs
    for (const life of this.alive()) {
      if (!life.kept) this.end(life, 'shutdown')
      life.detachedMs ??= now
      life.detachedMsMax ??= now
      life.forgetUnsubscribed()
      if (diskTroubleMs !== undefined) {
        const writtenMs = diskTroubleMs - this.#flushSlackMs
        life.forget(writtenMs, now)
        if (life.detachedMsMax >= writtenMs) life.detachedMsMax = undefined
      }
      life.attached = 0
      life.closing = 0
    }
    this.#open.clear()
  }

  /** A new process has taken over; a session it believed attached counts as detached from now on at the latest. */
  opened (isClockDoubted: boolean): void {
    for (const life of this.alive()) {
      if (isClockDoubted) life.detachedMsMax = undefined // it may last longer, but not less
      else life.detachedMsMax ??= this.#referee.nowMs
    }
  }

  #violate (clause: 'G2' | 'G5', text: string): void {
    this.#referee.violate(clause, text)
  }
}
