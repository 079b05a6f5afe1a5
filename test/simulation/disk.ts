/**
 * A disk that takes time, fills up, and loses what was not synced when the power goes. The disk outlives the server
 * processes that mount it; each process gets a Store of its own, which falls silent when the process dies.
 */
import type { TimeSource } from '../../broker/system/clock.ts'
import { HoldfastError } from '../../broker/model/errors.ts'
import { messageBytes, ORIGIN, Placed, type Entry, type Message, type Offset } from '../../broker/model/message.ts'
import { decodeMessage } from '../../broker/session/records.ts'
import { checkBatch } from '../../broker/store/check.ts'
import { MemoryNotes, type MemoryDisk } from '../../broker/store/memory.ts'
import {
  TABLES, type Batch, type EntryHeader, type Notes, type Recovery, type Store, type StoredRecord, type StoreUsage,
  type Table
} from '../../broker/store/store.ts'
import type { Random } from './random.ts'

/** More batches than this at once mean that the broker does not group its commits. */
const PENDING_BATCHES_MAX = 10_000
const CHUNK_MAX = 7

/** How a disk behaves; drawn anew for every call. */
export interface DiskBehaviour {
  appendMs (): number
  /** 0 where the store answers at once. */
  readMs (): number
  isFull (): boolean
}

/** Who watches what is on the disk. */
export interface DiskWitness {
  /** Entries that are synced from now on, whether or not anybody was told. */
  durable (entries: readonly Entry[]): void
  trimmed (offsets: readonly Offset[]): void
  damaged (entry: Entry): void
  /** The retained message of a topic is this from now on. */
  retained (message: Message): void
  /** The broker broke the contract of the store. */
  misused (what: string): void
  /** The disk was asked for something. */
  working (): void
}

interface Pending {
  readonly batch: Batch
  readonly resolve: (tail: Offset) => void
  readonly reject: (error: Error) => void
}

export class SimulatedDisk {
  readonly entries = new Map<Offset, Entry>()
  readonly tables = new Map<Table, Map<string, StoredRecord>>(TABLES.map(table => [table, new Map()]))
  readonly behaviour: DiskBehaviour
  readonly witness: DiskWitness
  readonly random: Random
  readonly epoch: string
  tail = ORIGIN
  messageBytes = 0
  clean = true
  notes: MemoryDisk['notes'] = [[], []]
  #crashes = 0
  #damaged: Offset[] = []
  #mounted: MountedStore | undefined

  constructor (behaviour: DiskBehaviour, witness: DiskWitness, random: Random) {
    this.behaviour = behaviour
    this.witness = witness
    this.random = random
    this.epoch = `epoch-${random.int(1_000_000)}`
  }

  /** The store as a server process sees it; the process before must have ended. */
  mount (clock: TimeSource): Store {
    if (this.#mounted !== undefined) throw new Error('two processes mounted the disk')
    this.#mounted = new MountedStore(this, clock, () => { this.#mounted = undefined })
    return this.#mounted
  }

  /** Power is cut: of the batches that were under way, the first few are there, the rest never were. */
  crash (): void {
    if (this.#mounted === undefined) return
    const pending = this.#mounted.die()
    const survivors = this.behaviour.isFull() ? 0 : this.random.int(pending.length + 1)
    for (const { batch } of pending.slice(0, survivors)) this.apply(batch)
    this.#mounted = undefined
    this.#loseNotes()
  }

  /** They were never synced: all are there, as where only the process ended, or the first few of each, or none. */
  #loseNotes (): void {
    const [now, before] = this.notes
    const share = [1, 0.5, 0][this.#crashes++ % 3]
    this.notes = [now.slice(0, now.length * share), before.slice(0, before.length * share)]
  }

  /** One entry has become unreadable, which the next start finds out. False if there is none. */
  damageOne (): boolean {
    if (this.entries.size === 0) return false
    const entry = this.random.pick([...this.entries.values()])
    this.#remove(entry.offset)
    this.#damaged.push(entry.offset)
    this.witness.damaged(entry)
    return true
  }

  found (): Recovery {
    const damaged = this.#damaged.sort((a, b) => a - b)
    this.#damaged = []
    const notes = damaged.map(offset => `The entry at ${offset} was damaged and is gone.`)
    if (!this.clean) notes.push('The server did not stop in an orderly way.')
    return { epoch: this.epoch, tail: this.tail, clean: this.clean, notes, damaged, damagedRecords: [] }
  }

  /** All of it, in one step. */
  apply ({ messages, changes, trim }: Batch): Entry[] {
    const before = this.tail
    const entries = messages.map((message, i) => new Placed(message, before + i + 1 as Offset))
    for (const entry of entries) {
      this.entries.set(entry.offset, entry)
      this.messageBytes += messageBytes(entry)
      this.tail = entry.offset
    }
    for (const { table, key, value, after } of changes) {
      const records = this.tables.get(table)!
      if (value === null) records.delete(key)
      else records.set(key, { key, value, at: before + after as Offset })
      if (table === 'retained' && value !== null) this.witness.retained(decodeMessage({ key, value, at: before }))
    }
    const gone = trim.filter(offset => this.#remove(offset))
    if (gone.length > 0) this.witness.trimmed(gone)
    if (entries.length > 0) this.witness.durable(entries)
    return entries
  }

  #remove (offset: Offset): boolean {
    const entry = this.entries.get(offset)
    if (entry === undefined) return false
    this.messageBytes -= messageBytes(entry)
    return this.entries.delete(offset)
  }
}

class MountedStore implements Store {
  readonly notes: Notes
  readonly #disk: SimulatedDisk
  readonly #clock: TimeSource
  readonly #unmount: () => void
  #state: 'new' | 'open' | 'closing' | 'closed' | 'dead' = 'new'
  #pending: Pending[] = []
  readonly #listeners: Array<(entries: readonly Entry[]) => void> = []
  #whenIdle: (() => void) | undefined

  constructor (disk: SimulatedDisk, clock: TimeSource, unmount: () => void) {
    this.#disk = disk
    this.notes = new MemoryNotes(disk)
    this.#clock = clock
    this.#unmount = unmount
  }

  /** Answers nothing any more; returns the batches that were under way. */
  die (): readonly Pending[] {
    this.#state = 'dead'
    return this.#pending
  }

  async open (): Promise<Recovery> {
    if (this.#state !== 'new') this.#misused('open() was called twice')
    await this.#pause(this.#disk.behaviour.appendMs())
    this.#state = 'open'
    const found = this.#disk.found()
    this.#disk.clean = false
    return found
  }

  append (batch: Batch): Promise<Offset> {
    this.#mustBeOpen('append')
    this.#check(batch)
    return new Promise((resolve, reject) => {
      this.#pending.push({ batch, resolve, reject })
      if (this.#pending.length > PENDING_BATCHES_MAX) this.#misused('too many batches wait for the disk')
      if (this.#pending.length === 1) this.#sync()
    })
  }

  follow (listener: (entries: readonly Entry[]) => void): void {
    this.#listeners.push(listener)
  }

  read (offsets: readonly Offset[]): readonly Entry[] | Promise<readonly Entry[]> {
    this.#mustBeOpen('read')
    if (!isAscending(offsets)) this.#misused(`read() of offsets that do not ascend: ${offsets.join(' ')}`)
    return this.#answer(() => offsets.flatMap(offset => this.#disk.entries.get(offset) ?? []))
  }

  async * scan (): AsyncIterable<readonly EntryHeader[]> {
    const headers = [...this.#disk.entries.values()].map((entry) => (
      { offset: entry.offset, topic: entry.topic, bytes: messageBytes(entry), time: entry.time,
        expiresAt: entry.extension?.expiresAt }))
    yield * this.#chunks(headers)
  }

  async * records (table: Table): AsyncIterable<readonly StoredRecord[]> {
    const records = [...this.#disk.tables.get(table)!.values()]
    yield * this.#chunks(records.sort((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key))))
  }

  get (table: Table, key: string): StoredRecord | undefined | Promise<StoredRecord | undefined> {
    this.#mustBeOpen('get')
    return this.#answer(() => this.#disk.tables.get(table)!.get(key))
  }

  usage (): StoreUsage {
    const { entries, messageBytes } = this.#disk
    return { messages: entries.size, messageBytes, storedBytes: messageBytes }
  }

  fault (): undefined {}

  async close (): Promise<void> {
    if (this.#state === 'closed') return
    this.#state = 'closing'
    if (this.#pending.length > 0) await new Promise<void>(resolve => { this.#whenIdle = resolve })
    await this.#pause(this.#disk.behaviour.appendMs())
    this.#disk.clean = true
    this.#state = 'closed'
    this.#unmount()
  }

  #sync (): void {
    this.#clock.after(this.#disk.behaviour.appendMs(), () => {
      if (this.#state === 'dead') return
      do this.#commit()
      while (this.#pending.length > 0 && this.#disk.random.chance(0.3)) // they shared a sync
      if (this.#pending.length > 0) this.#sync()
      else this.#whenIdle?.()
    })
  }

  #commit (): void {
    const { batch, resolve, reject } = this.#pending.shift()!
    if (this.#disk.behaviour.isFull()) return reject(new HoldfastError('STORE_UNAVAILABLE', 'simulated: disk full'))
    const entries = this.#disk.apply(batch)
    if (entries.length > 0) for (const listener of this.#listeners) listener(entries)
    resolve(this.#disk.tail)
  }

  #answer<T> (look: () => T): T | Promise<T> {
    const ms = this.#disk.behaviour.readMs()
    return ms === 0 ? look() : this.#pause(ms).then(look)
  }

  async * #chunks<T> (items: readonly T[]): AsyncIterable<readonly T[]> {
    for (let at = 0; at < items.length; at += CHUNK_MAX) yield items.slice(at, at + CHUNK_MAX)
  }

  /** Never ends when the process dies meanwhile. */
  #pause (ms: number): Promise<void> {
    return new Promise(resolve => {
      this.#clock.after(ms, () => { if (this.#state !== 'dead') resolve() })
    })
  }

  #mustBeOpen (method: string): void {
    this.#disk.witness.working()
    if (this.#state !== 'open') this.#misused(`${method}() on a store that is ${this.#state}`)
  }

  #check (batch: Batch): void {
    if (!isAscending(batch.trim)) this.#misused(`offsets to trim do not ascend: ${batch.trim.join(' ')}`)
    try {
      checkBatch(batch)
    } catch (error) {
      this.#misused(String(error))
    }
  }

  #misused (what: string): void {
    this.#disk.witness.misused(what)
  }
}

function isAscending (offsets: readonly Offset[]): boolean {
  return offsets.every((offset, i) => i === 0 || offset > offsets[i - 1])
}
