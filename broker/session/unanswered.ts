/**
 * What a client that acknowledges each message by itself never acknowledges, as a small device drops what is too large
 * for it: a pure state machine. Each connection that is cut for that is looked at once.
 *
 * 1. After half of triesMax such connections a message takes no place in the window any more, so that others pass it.
 * 2. A try counts against it only with evidence that the client had it and had time: it once acknowledged what was
 *    sent behind it, or the message is the oldest and the client was still heard long after that was sent, and had
 *    acknowledged nothing. What a link merely had no time to carry is never held against a message.
 * 3. Once triesMax count against it, it is to be set aside.
 *
 * Counts are in memory: they begin anew with the server.
 */
import type { TimeMs } from '../model/message.ts'
import { Doubt, FLIGHT_SENT, type Flight, type Window } from './window.ts'

export interface Cut {
  /** What was sent later had less than ackTimeoutMs. */
  readonly dueAt: TimeMs
  /** When the client must have been heard at the earliest to count as alive. */
  readonly aliveFrom: TimeMs
  readonly heardAt: TimeMs
  /** The last of what was acknowledged on this connection, by its order in the window; 0: nothing was. */
  readonly ackedOrder: number
  /** Its link holds back what it is handed: only the oldest has been written for sure. */
  readonly isOnTrial: boolean
}

/** A connection is cut as its client did not acknowledge in time. Returns what is to be set aside, in order. */
export function unanswered (window: Window, cut: Cut, triesMax: number): Flight[] {
  const convicted: Flight[] = []
  const oldest = window.oldest
  for (const flight of window.flights()) {
    if (cut.isOnTrial && flight !== oldest) break
    if (flight.state !== FLIGHT_SENT || flight.sentAt > cut.dueAt) continue
    const doubt = flight.doubt ??= new Doubt()
    if (flight.order < cut.ackedOrder) doubt.isPassed = true
    const wasAlive = flight === oldest && cut.ackedOrder === 0 && cut.heardAt >= cut.aliveFrom
    if (doubt.isPassed || wasAlive) doubt.tries++
    if (++doubt.timeouts >= Math.ceil(triesMax / 2)) window.waive(flight)
    if (doubt.tries >= triesMax) convicted.push(flight)
  }
  return convicted
}
