/**
 * What the server writes down of itself every few seconds, so that a crash does not count as time attached; and the
 * look, twice a second, at whether the store can still keep what it promises.
 */
import type { Clock } from './clock.ts'
import type { Log } from './log/log.ts'
import type { TimeMs } from './message.ts'
import { aliveChange, readAlive } from './session/records.ts'
import type { Store } from './store/store.ts'

/** Also how often a store that has failed is tried again. */
export const ALIVE_MS = 5_000
export const LOOK_MS = 500

export class Heartbeat {
  readonly #clock: Clock
  readonly #log: Log
  readonly #store: Pick<Store, 'fault'>

  constructor (clock: Clock, log: Log, store: Pick<Store, 'fault'>) {
    this.#clock = clock
    this.#log = log
    this.#store = store
  }

  beat (isStopped = false): void { this.#log.record([aliveChange(this.#clock.now(), isStopped)], () => {}) }

  /** What can't be made durable any more must show before anybody asks for it: the write fails, and says why. */
  look (): void {
    if (!this.#log.failing && this.#store.fault() !== undefined) this.beat()
  }
}

/** When the last server ran last, and whether it had all written down when it stopped: on a full disk it had not. */
export async function lastBeat (store: Pick<Store, 'get'>, now: TimeMs):
Promise<{ aliveAt: TimeMs, isClean: boolean }> {
  const alive = await readAlive(store)
  if (alive === undefined) return { aliveAt: now, isClean: true }
  return { aliveAt: Math.min(now, alive.at + ALIVE_MS) as TimeMs, isClean: alive.isStopped }
}
