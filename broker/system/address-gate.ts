/**
 * How many connections one address may have and begin, so that a stranger can't take them all [G6] [G8]. Pure: time
 * comes in.
 */
import { addressGroup } from './address-group.ts'
import { Buckets } from './buckets.ts'
import type { Clock } from './clock.ts'
import type { Refusals } from './refusals.ts'

export interface AddressLimits {
  readonly connectionsPerAddressMax: number
  readonly connectionAttemptsPerAddressPerMinuteMax: number
  /** Whose attempts are remembered. */
  readonly addressesMax: number
}

export interface AddressGateOptions {
  readonly limits: AddressLimits
  readonly clock: Pick<Clock, 'now'>
  readonly refusals: Refusals
  /** What is counted, for the log: `of MQTT`. */
  readonly of: string
  /** Who has no bound: this machine, and proxies that speak for others. */
  isExempt (address: string): boolean
}

const MINUTE_S = 60

export class AddressGate {
  readonly #options: AddressGateOptions
  readonly #attempts: Buckets
  /** Of those that are open; no more of them than connections. */
  readonly #open = new Map<string, number>()

  constructor (options: AddressGateOptions) {
    this.#options = options
    const { connectionAttemptsPerAddressPerMinuteMax: attemptsMax, addressesMax } = options.limits
    this.#attempts = new Buckets({ perSecond: attemptsMax / MINUTE_S, burst: attemptsMax }, addressesMax)
  }

  /** Addresses that have something open. */
  get size (): number { return this.#open.size }

  /** May one more begin? Counts the attempt; a refusal is told. */
  mayCome (address: string): boolean {
    const { limits, clock, isExempt } = this.#options
    if (isExempt(address)) return true
    const key = addressGroup(address)
    const bucket = this.#attempts.of(key, clock.now())
    if (bucket.left(clock.now()) < 1) return this.#refuse(address, 'connectionAttemptsPerAddressPerMinuteMax')
    bucket.take(1, clock.now())
    const isFull = (this.#open.get(key) ?? 0) >= limits.connectionsPerAddressMax
    return isFull ? this.#refuse(address, 'connectionsPerAddressMax') : true
  }

  /** One is open, until the function that this returns is called. */
  came (address: string): () => void {
    if (this.#options.isExempt(address)) return () => {}
    const key = addressGroup(address)
    this.#open.set(key, (this.#open.get(key) ?? 0) + 1)
    let isOpen = true
    return () => {
      if (!isOpen) return
      isOpen = false
      const left = this.#open.get(key)! - 1
      if (left === 0) this.#open.delete(key)
      else this.#open.set(key, left)
    }
  }

  #refuse (address: string, limit: keyof AddressLimits): false {
    const { refusals, of, limits } = this.#options
    refusals.note({
      kind: 'addresses',
      who: { remoteAddress: address },
      about: { [limit]: limits[limit] },
      sameAs: `${of} ${limit}`,
      what: `a connection ${of} was refused, as its address has or begins too many`,
      toDo: `find out who it is; raise ${limit}, or name it in trustedProxies where it is a proxy of yours`
    })
    return false
  }
}
