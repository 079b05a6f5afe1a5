/**
 * What the server writes down of itself every few seconds, so that a crash does not count as time attached; and the
 * look, twice a second, at whether the clock was set, and whether the store can still keep what it promises.
 */
import type { Events } from './system/events.ts'
import type { Log } from './log/log.ts'
import type { TimeMs } from './model/message.ts'
import type { OwnTime } from './system/own-time.ts'
import { aliveChange, readAlive } from './session/records.ts'
import type { Recovery, Store } from './store/store.ts'

/** Also how often a store that has failed is tried again. */
export const ALIVE_MS = 5_000
export const HEARTBEAT_MS = 500

export interface HeartbeatOptions {
  readonly time: OwnTime
  readonly log: Log
  readonly store: Store
  readonly events: Events
}

export class Heartbeat {
  readonly #options: HeartbeatOptions
  /** When the oldest beat was handed over that the log has not answered yet. */
  #askedAt: TimeMs | undefined

  constructor (options: HeartbeatOptions) {
    this.#options = options
  }

  /**
   * At start: time goes on from the last beat. Returns when that was, at the latest, and whether the server had all
   * written down when it stopped: on a full disk it had not.
   */
  async resume (recovery: Recovery): Promise<{ aliveAt: TimeMs, isClean: boolean }> {
    const { time, store, events } = this.#options
    const alive = await readAlive(store)
    if (alive === undefined) {
      const isLost = recovery.damagedRecords.some(({ table }) => (table ?? 'meta') === 'meta')
      return { aliveAt: time.now(), isClean: !isLost }
    }
    const why = time.resume(alive, recovery.isCopy)
    if (why !== undefined) events.emit('clock-doubted', { why, wall: time.wall(time.now()), lastWall: alive.wall })
    return { aliveAt: Math.min(time.now(), alive.own + ALIVE_MS) as TimeMs, isClean: alive.isStopped }
  }

  beat (isStopped = false): void {
    const { log, time } = this.#options
    this.#askedAt ??= time.now()
    log.record([aliveChange(time.mark(), isStopped)], () => { this.#askedAt = undefined })
  }

  /** For how long the log has owed an answer to a beat; an error is one too. 0 while it owes none. */
  get silentMs (): number {
    return this.#askedAt === undefined ? 0 : this.#options.time.now() - this.#askedAt
  }

  check (): void {
    const { time, log, store, events } = this.#options
    const byMs = time.takeJump()
    if (byMs !== 0) {
      events.emit('clock-set', { byMs })
      this.beat()
    } else if (!log.failing && store.fault() !== undefined) {
      // What can't be made durable any more must show before anybody asks for it: the write fails, and says why.
      this.beat()
    }
  }
}
