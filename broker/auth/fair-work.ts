/**
 * Slow work in parallel, so much at once and so much waiting. Addresses take turns, so that somebody who sends a
 * thousand attempts waits behind themselves and not before others [G8].
 */
import { HoldfastError } from '../model/errors.ts'

export interface FairWorkOptions {
  /** Runs at once. */
  readonly runningMax: number
  /** Beyond it the address with the most waiting loses its newest: AUTH_UNAVAILABLE, so that it comes again. */
  readonly waitingMax: number
  /** What there is too much of, and the option to raise: for the message. */
  readonly what: string
}

interface Job {
  readonly begin: () => void
  readonly giveUp: (error: Error) => void
}

export class FairWork {
  readonly #options: FairWorkOptions
  /** By address, the address whose turn is next first. */
  readonly #waiting = new Map<string, Job[]>()
  #waitingCount = 0
  #running = 0
  /** Since start: given up at the bound. */
  refused = 0

  constructor (options: FairWorkOptions) {
    this.#options = options
  }

  get waiting (): number { return this.#waitingCount }
  get running (): number { return this.#running }

  /** Rejects with AUTH_UNAVAILABLE at the bound, or where `signal` ends before its turn comes. */
  async run<T> (address: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    if (this.#running < this.#options.runningMax && this.#waitingCount === 0) this.#running++
    else await this.#turn(address, signal)
    try {
      return await work()
    } finally {
      this.#running--
      this.#next()
    }
  }

  /** What waits for this address is given up. */
  giveUp (address: string, why: string): void {
    for (const job of [...this.#waiting.get(address) ?? []]) {
      this.#remove(address, job)
      job.giveUp(new HoldfastError('AUTH_UNAVAILABLE', why))
    }
  }

  #turn (address: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(late())
        return
      }
      const job: Job = { begin: () => { leave(); resolve() }, giveUp: (error) => { leave(); reject(error) } }
      const ended = (): void => {
        this.#remove(address, job)
        job.giveUp(late())
      }
      const leave = (): void => signal.removeEventListener('abort', ended)
      signal.addEventListener('abort', ended)
      const jobs = this.#waiting.get(address)
      if (jobs === undefined) this.#waiting.set(address, [job])
      else jobs.push(job)
      this.#waitingCount++
      if (this.#waitingCount > this.#options.waitingMax) this.#refuseOne()
    })
  }

  #refuseOne (): void {
    let most: Job[] = []
    let address = ''
    for (const [each, jobs] of this.#waiting) {
      if (jobs.length >= most.length) [address, most] = [each, jobs]
    }
    const job = most.at(-1)!
    this.refused++
    this.#remove(address, job)
    job.giveUp(new HoldfastError('AUTH_UNAVAILABLE', this.#options.what))
  }

  #remove (address: string, job: Job): void {
    const jobs = this.#waiting.get(address)
    const at = jobs?.indexOf(job) ?? -1
    if (jobs === undefined || at < 0) return
    jobs.splice(at, 1)
    this.#waitingCount--
    if (jobs.length === 0) this.#waiting.delete(address)
  }

  #next (): void {
    if (this.#running >= this.#options.runningMax) return
    const turn = this.#waiting.entries().next()
    if (turn.done === true) return
    const [address, jobs] = turn.value
    const job = jobs.shift()!
    this.#waitingCount--
    this.#waiting.delete(address)
    if (jobs.length > 0) this.#waiting.set(address, jobs) // to the end of the round
    this.#running++
    job.begin()
  }
}

function late (): HoldfastError {
  return new HoldfastError('AUTH_UNAVAILABLE', 'it was given up before its turn came')
}
