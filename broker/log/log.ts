/**
 * The one way in and the one way out. Everything that must be durable, or must keep its place among what is durable,
 * goes through one queue; what waits while a sync runs shares the next one (group commit).
 *
 * For each batch, in this order:
 *   1. the store makes it durable                                   [G1]
 *   2. its entries reach the sessions, in offset order              [G3]
 *   3. receipts are given, in the order of the calls                [G1]
 */
import type { HoldfastError } from '../model/errors.ts'
import { HoldfastError as StoreError } from '../model/errors.ts'
import { messageBytes, type Entry, type Message, type Offset, type TimeMs } from '../model/message.ts'
import type { Batch, Change, Store, Table } from '../store/store.ts'

/** A change without its place in the batch, which the log gives. */
export interface RecordChange {
  readonly table: Table
  readonly key: string
  readonly value: Buffer | null
}

/** @param keepers as publish() was told; 0 or left out where nothing is stored */
export type Receipt = (error?: HoldfastError, keepers?: number) => void
/** @param at the position of the log at which the change counts */
export type Applied = (error: HoldfastError | undefined, at: Offset) => void

export interface LogEvents {
  /**
   * A durable message, or one that nobody durable wanted: then it has no offset, and its place is after the entry at
   * `at`. Must not throw.
   */
  deliver (message: Message | Entry, at: Offset): void
  /** Asked after each of them: what has to be awaited before the next one, so that others have their turn [G8]. */
  turn (): Promise<void> | undefined
  /** Something else takes its place behind what was delivered so far: that is to be carried out now, if it was not. */
  settle (): void
  /** All of a batch was delivered: what was gathered for a connection can be written in one go. */
  delivered (): void
  /** False while nothing may be trimmed; it is asked again with the next batch. */
  mayTrim (): boolean
  failed (error: HoldfastError): void
  recovered (): void
  /** From taking a message in to its receipt, of those that are stored. */
  readonly receipts?: { now (): TimeMs, note (ms: number): void }
}

const PUBLISH = 0
const RECORD = 1
const TURN = 2

type Item =
  | { readonly kind: typeof PUBLISH, readonly message: Message, readonly keepers: number,
    readonly changes: readonly RecordChange[], readonly receipt: Receipt }
  | { readonly kind: typeof RECORD, readonly changes: readonly RecordChange[], readonly applied: Applied }
  | { readonly kind: typeof TURN, readonly changes: readonly RecordChange[], readonly receipt: Receipt }

const NO_CHANGES: readonly RecordChange[] = []
const NO_OFFSETS: readonly Offset[] = []

export class Log {
  readonly #store: Store
  readonly #events: LogEvents
  readonly #batchBytesMax: number
  #queue: Item[] = []
  #trim: Offset[] = []
  #fed: Entry[] = []
  #tail: Offset
  #running: Promise<void> | undefined
  #failing = false

  constructor (store: Store, tail: Offset, batchBytesMax: number, events: LogEvents) {
    this.#store = store
    this.#tail = tail
    this.#batchBytesMax = batchBytesMax
    this.#events = events
    store.follow((entries) => {
      if (this.#fed.length === 0) this.#fed = entries as Entry[]
      else for (const entry of entries) this.#fed.push(entry)
    })
  }

  /** The highest offset that was delivered to the sessions that are attached. */
  get tail (): Offset { return this.#tail }
  get failing (): boolean { return this.#failing }

  /**
   * @param keepers how many sessions that are kept want it; with 0 it takes its turn, but is not stored
   * @param changes records that become durable with it, or not at all
   */
  publish (message: Message, keepers: number, receipt: Receipt, changes: readonly RecordChange[] = NO_CHANGES): void {
    this.#queue.push({ kind: PUBLISH, message, keepers, changes, receipt })
    this.#start()
  }

  record (changes: readonly RecordChange[], applied: Applied): void {
    this.#queue.push({ kind: RECORD, changes, applied })
    this.#start()
  }

  /** As record(), as a promise. */
  async recorded (changes: readonly RecordChange[]): Promise<Offset> {
    return await new Promise((resolve, reject) => {
      this.record(changes, (error, at) => { if (error === undefined) resolve(at); else reject(error) })
    })
  }

  /** Nothing is written: `receipt` only takes its place among the receipts [MQTT-4.6.0-2]. */
  inTurn (receipt: Receipt): void {
    this.#queue.push({ kind: TURN, changes: NO_CHANGES, receipt })
    this.#start()
  }

  /** Nobody needs these any more; they go with the next batch. */
  trim (offsets: readonly Offset[]): void {
    if (offsets.length === 0) return
    this.#trim = this.#trim.length === 0 ? offsets as Offset[] : mergeSorted(this.#trim, offsets)
    this.#start()
  }

  /** Resolves when all that was handed over so far is done. */
  async settled (): Promise<void> {
    while (this.#running !== undefined) await this.#running
  }

  #start (): void {
    if (this.#running !== undefined) return
    // After the current callback: what one read of a socket brought is one batch.
    this.#running = Promise.resolve().then(() => this.#run())
  }

  /** Takes turns until nothing is left. Ends in the step that saw the queue empty: what comes next starts anew. */
  async #run (): Promise<void> {
    while (this.#queue.length > 0 || (this.#trim.length > 0 && this.#events.mayTrim())) {
      const items = this.#take()
      const batch = this.#batch(items)
      if (batch === undefined) {
        await this.#finish(items, undefined, this.#tail)
        continue
      }
      const before = this.#tail
      let tail = before
      let error: HoldfastError | undefined
      try {
        tail = await this.#store.append(batch) // [G1] nothing below happens before this is on disk
      } catch (cause) {
        error = asStoreError(cause)
        this.#trim = mergeSorted(this.#trim, batch.trim)
      }
      this.#tell(error)
      await this.#finish(items, error, before)
      this.#tail = tail
      if (error !== undefined && this.#queue.length === 0) break // what is to be trimmed waits for the next write
    }
    this.#running = undefined
  }

  #tell (error: HoldfastError | undefined): void {
    if (this.#failing === (error !== undefined)) return
    this.#failing = error !== undefined
    if (error === undefined) this.#events.recovered()
    else this.#events.failed(error)
  }

  #take (): readonly Item[] {
    const queue = this.#queue
    let bytes = 0
    let count = 0
    while (count < queue.length && bytes < this.#batchBytesMax) {
      const item = queue[count++]
      if (item.kind === PUBLISH && item.keepers > 0) bytes += messageBytes(item.message)
    }
    if (count === queue.length) {
      this.#queue = []
      return queue
    }
    this.#queue = queue.slice(count)
    return queue.slice(0, count)
  }

  #batch (items: readonly Item[]): Batch | undefined {
    const messages: Message[] = []
    const changes: Change[] = []
    for (const item of items) {
      if (item.kind === PUBLISH && item.keepers > 0) messages.push(item.message)
      for (const change of item.changes) changes.push({ ...change, after: messages.length })
    }
    const trim = this.#events.mayTrim() ? this.#trim : NO_OFFSETS
    if (messages.length === 0 && changes.length === 0 && trim.length === 0) return undefined
    if (trim === this.#trim) this.#trim = []
    return { messages, changes, trim }
  }

  async #finish (items: readonly Item[], error: HoldfastError | undefined, before: Offset): Promise<void> {
    const entries = this.#fed
    this.#fed = []
    let at = before
    let next = 0
    for (const item of items) {
      if (item.kind === TURN) continue
      const entry = item.kind === PUBLISH && item.keepers > 0 && error === undefined ? entries[next++] : undefined
      if (entry !== undefined) this.#tail = at = entry.offset
      this.#apply(item, entry, error, at)
      const turn = this.#events.turn()
      if (turn !== undefined) await turn
    }
    this.#events.settle()
    this.#events.delivered()
    const { receipts } = this.#events
    const now = receipts?.now() ?? 0
    for (const item of items) {
      acknowledge(item, error)
      if (item.kind === PUBLISH && item.keepers > 0 && error === undefined) receipts?.note(now - item.message.time)
    }
  }

  /** @param entry what the store made of a message that it keeps; undefined where it could not */
  #apply (item: Item, entry: Entry | undefined, error: HoldfastError | undefined, at: Offset): void {
    if (entry !== undefined) this.#events.deliver(entry, at)
    else if (item.kind === RECORD) {
      this.#events.settle()
      item.applied(item.changes.length === 0 ? undefined : error, at)
    } else if (item.kind === PUBLISH && item.keepers === 0 && (error === undefined || item.changes.length === 0)) {
      this.#events.deliver(item.message, at)
    }
  }
}

function acknowledge (item: Item, error: HoldfastError | undefined): void {
  if (item.kind === PUBLISH) {
    item.receipt(item.keepers > 0 || item.changes.length > 0 ? error : undefined, item.keepers)
  } else if (item.kind === TURN) item.receipt()
}

function asStoreError (cause: unknown): HoldfastError {
  if (cause instanceof StoreError) return cause
  return new StoreError('STORE_UNAVAILABLE', cause instanceof Error ? cause.message : String(cause), { cause })
}

function mergeSorted (a: readonly Offset[], b: readonly Offset[]): Offset[] {
  return [...a, ...b].sort((x, y) => x - y)
}
