/** What the broker tells by events alone, counted for metrics by kinds of which there are few. */
import {
  ERRORS, GAP_REASONS, type Broker, type ErrorCode, type GapReason
} from '../../broker/index.ts'

export class Counted {
  readonly gapMessages = new Map<GapReason, number>(GAP_REASONS.map((reason) => [reason, 0]))
  readonly refusedMessages = new Map<ErrorCode, number>()
  readonly sessionsEnded = new Map<string, number>()
  sessionsMade = 0
  setAside = 0
  storeFailures = 0

  constructor (events: Broker['events']) {
    events.on('gap', ({ count, reason }) => { add(this.gapMessages, reason, count) })
    events.on('refused', ({ code }) => { if (code in ERRORS) add(this.refusedMessages, code, 1) })
    events.on('session-ended', ({ reason }) => { add(this.sessionsEnded, reason, 1) })
    events.on('session-created', () => { this.sessionsMade++ })
    events.on('set-aside', () => { this.setAside++ })
    events.on('store-failed', () => { this.storeFailures++ })
  }
}

function add<K> (counts: Map<K, number>, key: K, more: number): void {
  counts.set(key, (counts.get(key) ?? 0) + more)
}
