/**
 * Token buckets: how much each of many may do in a second, with their names made up by strangers. Pure: time comes in.
 * A bucket that is full says no more than none, so it may be forgotten.
 */
export interface Rate {
  readonly perSecond: number
  /** What may come at once. */
  readonly burst: number
}

export class Bucket {
  readonly #rate: Rate
  #tokens: number
  #atMs: number

  constructor (rate: Rate, nowMs: number) {
    this.#rate = rate
    this.#tokens = rate.burst
    this.#atMs = nowMs
  }

  /** What may be taken now; below zero where more was taken than there was. */
  left (nowMs: number): number {
    if (nowMs > this.#atMs) {
      const { burst, perSecond } = this.#rate
      this.#tokens = Math.min(burst, this.#tokens + (nowMs - this.#atMs) * perSecond / 1_000)
      this.#atMs = nowMs
    }
    return this.#tokens
  }

  take (tokens: number, nowMs: number): void {
    this.#tokens = this.left(nowMs) - tokens
  }
}

/** One for each name; beyond `keysMax` the one that was asked for longest ago is forgotten [G6]. */
export class Buckets {
  readonly #rate: Rate
  readonly #keysMax: number
  /** In the order in which they were asked for. */
  readonly #byKey = new Map<string, Bucket>()

  constructor (rate: Rate, keysMax: number) {
    this.#rate = rate
    this.#keysMax = keysMax
  }

  get size (): number { return this.#byKey.size }

  of (key: string, nowMs: number): Bucket {
    let bucket = this.#byKey.get(key)
    if (bucket === undefined) bucket = new Bucket(this.#rate, nowMs)
    else this.#byKey.delete(key)
    this.#byKey.set(key, bucket)
    if (this.#byKey.size > this.#keysMax) this.#byKey.delete(this.#byKey.keys().next().value!)
    return bucket
  }
}
