/**
 * Failures slow an address down: each doubles the time that its next attempt waits, and time takes them back one by
 * one. Whoever came in lately from there under a name of their own does not wait for the failures of others; a failure
 * under that name ends this. So nobody makes room for guessing one name by coming in under another.
 */
import type { Clock } from '../system/clock.ts'
import { HoldfastError } from '../model/errors.ts'

export interface AddressDelaysLimits {
  /** After the first failure; 0: nobody is slowed down. */
  readonly authDelayMs: number
  readonly authDelayMsMax: number
  /** In this time one failure is taken back. */
  readonly authDelayFadeMs: number
  /** Addresses with failures, and names that came in; beyond it the one seen longest ago is forgotten. */
  readonly authDelayAddressesMax: number
  /** Attempts of one address that wait; further ones are refused at once. */
  readonly authDelayWaitingMax: number
}

export interface AddressDelaysOptions {
  readonly clock: Pick<Clock, 'now' | 'after'>
  readonly limits: AddressDelaysLimits
}

interface Slowed {
  failures: number
  /** When `failures` was right. */
  atMs: number
  waiting: number
}

export class AddressDelays {
  readonly #options: AddressDelaysOptions
  /** In the order in which they failed last. */
  readonly #slowed = new Map<string, Slowed>()
  /** In the order in which they came in last. */
  readonly #welcome = new Set<string>()
  readonly #failuresMax: number
  /** Since start: attempts that were refused, as too many of their address waited. */
  refused = 0

  constructor (options: AddressDelaysOptions) {
    this.#options = options
    const { authDelayMs, authDelayMsMax } = options.limits
    this.#failuresMax = authDelayMs === 0 ? 0 : 1 + Math.max(0, Math.ceil(Math.log2(authDelayMsMax / authDelayMs)))
  }

  get size (): number { return this.#slowed.size }

  /**
   * Resolves when this attempt may be looked at; rejects with AUTH_UNAVAILABLE where too many wait, or `signal` ends.
   *
   * @param address as addressGroup() has it
   * @param name what stands for the name that is tried there
   */
  async turn (address: string, name: string, signal: AbortSignal): Promise<void> {
    const slowed = this.#slowed.get(address)
    const delayMs = this.#welcome.has(keyOf(address, name)) ? 0 : this.delayMs(address)
    if (slowed === undefined || delayMs === 0) return
    if (slowed.waiting >= this.#options.limits.authDelayWaitingMax) {
      this.refused++
      throw new HoldfastError('AUTH_UNAVAILABLE', 'too many attempts of this address wait (authDelayWaitingMax)')
    }
    slowed.waiting++
    try {
      await pause(this.#options.clock, delayMs, signal)
    } finally {
      slowed.waiting--
    }
  }

  /** How long the next attempt of an address would wait. */
  delayMs (address: string): number {
    const { limits: { authDelayMs, authDelayMsMax } } = this.#options
    const failures = this.failuresOf(address)
    return failures === 0 ? 0 : Math.min(authDelayMsMax, authDelayMs * 2 ** (failures - 1))
  }

  failed (address: string, name: string): void {
    this.#welcome.delete(keyOf(address, name))
    if (this.#failuresMax === 0) return
    const before = this.#slowed.get(address)
    const failures = Math.min(this.#failuresMax, this.failuresOf(address) + 1)
    const slowed = before ?? { failures, atMs: 0, waiting: 0 }
    slowed.failures = failures
    slowed.atMs = this.#options.clock.now()
    this.#slowed.delete(address)
    this.#slowed.set(address, slowed)
    this.#bound(this.#slowed)
  }

  cameIn (address: string, name: string): void {
    const key = keyOf(address, name)
    this.#welcome.delete(key)
    this.#welcome.add(key)
    this.#bound(this.#welcome)
  }

  /** Those that count: not more than make a difference, less those that time has taken back. */
  failuresOf (address: string): number {
    const slowed = this.#slowed.get(address)
    if (slowed === undefined) return 0
    const { clock, limits: { authDelayFadeMs } } = this.#options
    return Math.max(0, slowed.failures - Math.floor((clock.now() - slowed.atMs) / authDelayFadeMs))
  }

  #bound (known: Map<string, unknown> | Set<string>): void {
    if (known.size > this.#options.limits.authDelayAddressesMax) known.delete(known.keys().next().value!)
  }
}

function keyOf (address: string, name: string): string {
  return `${address}\n${name}`
}

/** Rejects with AUTH_UNAVAILABLE where `signal` ends before. */
export function pause (clock: Pick<Clock, 'after'>, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    function end (): void {
      cancel()
      reject(new HoldfastError('AUTH_UNAVAILABLE', 'it was given up while it waited'))
    }
    const cancel = clock.after(ms, () => {
      signal.removeEventListener('abort', end)
      resolve()
    })
    if (signal.aborted) end()
    else signal.addEventListener('abort', end, { once: true })
  })
}
