/**
 * The reference: the Store contract in the fewest lines that keep it, on a disk that is an object. For tests, and
 * for those who want the broker without the promise: nothing survives the process.
 */
import { randomUUID } from 'node:crypto'
import { HoldfastError } from '../model/errors.ts'
import { messageBytes, ORIGIN, Placed } from '../model/message.ts'
import type { Entry, Offset } from '../model/message.ts'
import { checkBatch } from './check.ts'
import { TABLES } from './store.ts'
import type { Batch, EntryHeader, Note, Notes, Recovery, Store, StoredRecord, StoreUsage, Table } from './store.ts'

/** What a process that was killed leaves behind. A store over the same disk finds it again. */
export interface MemoryDisk {
  readonly epoch: string
  tail: Offset
  clean: boolean
  /** While true, appends are refused as a full disk refuses them. */
  failing: boolean
  messageBytes: number
  readonly entries: Map<Offset, Entry>
  readonly records: Record<Table, Map<string, StoredRecord>>
  /** The second ones are from before they turned. */
  notes: readonly [Note[], Note[]]
}

const CHUNK = 1_000

export function createMemoryDisk (epoch: string = randomUUID()): MemoryDisk {
  const records = Object.fromEntries(TABLES.map(table => [table, new Map()])) as MemoryDisk['records']
  return {
    epoch, tail: ORIGIN, clean: true, failing: false, messageBytes: 0, entries: new Map(), records, notes: [[], []]
  }
}

export function createMemoryStore (disk: MemoryDisk = createMemoryDisk()): Store {
  return new MemoryStore(disk)
}

export class MemoryNotes implements Notes {
  readonly #disk: Pick<MemoryDisk, 'notes'>
  readonly #found: readonly Note[]
  #gathered: Note[] = []
  #hasWritten = false

  constructor (disk: Pick<MemoryDisk, 'notes'>) {
    this.#disk = disk
    this.#found = disk.notes.flat()
  }

  read (): readonly Note[] { return this.#found }

  write (key: string, value: Buffer): void {
    this.#gathered.push({ key, value })
  }

  flush (): void {
    if (this.#gathered.length === 0) return
    if (!this.#hasWritten) this.#disk.notes = [[], []]
    this.#hasWritten = true
    this.#disk.notes[0].push(...this.#gathered)
    this.#gathered = []
  }

  turn (): void {
    this.flush()
    this.#disk.notes = [[], this.#disk.notes[0]]
  }
}

class MemoryStore implements Store {
  readonly notes: Notes
  readonly #disk: MemoryDisk
  readonly #listeners: Array<(entries: readonly Entry[]) => void> = []
  /** Settles when every append so far has. */
  #last: Promise<unknown> = Promise.resolve()
  #closed = false

  constructor (disk: MemoryDisk) {
    this.#disk = disk
    this.notes = new MemoryNotes(disk)
  }

  async open (): Promise<Recovery> {
    const { epoch, tail, clean } = this.#disk
    this.#disk.clean = false
    return { epoch, tail, clean, notes: clean ? [] : ['The store was not closed.'], damaged: [], damagedRecords: [] }
  }

  append (batch: Batch): Promise<Offset> {
    if (this.#closed) return Promise.reject(new HoldfastError('CLOSED', 'the store is closed'))
    const done = this.#last.then(() => this.#commit(batch))
    this.#last = done.catch(() => {})
    return done
  }

  #commit (batch: Batch): Offset {
    const { messages, changes, trim } = batch
    const disk = this.#disk
    checkBatch(batch)
    if (disk.failing) throw new HoldfastError('STORE_UNAVAILABLE', 'the disk was told to fail')

    const before = disk.tail
    const entries = messages.map((message, i) => new Placed(message, before + i + 1 as Offset))
    for (const offset of trim) this.#remove(offset)
    for (const entry of entries) {
      disk.entries.set(entry.offset, entry)
      disk.messageBytes += messageBytes(entry)
    }
    for (const { table, key, value, after } of changes) {
      if (value === null) disk.records[table].delete(key)
      else disk.records[table].set(key, { key, value, at: before + after as Offset })
    }
    disk.tail = before + entries.length as Offset

    if (entries.length > 0) for (const listener of this.#listeners) listener(entries)
    return disk.tail
  }

  #remove (offset: Offset): void {
    const entry = this.#disk.entries.get(offset)
    if (entry === undefined) return
    this.#disk.entries.delete(offset)
    this.#disk.messageBytes -= messageBytes(entry)
  }

  follow (listener: (entries: readonly Entry[]) => void): void {
    this.#listeners.push(listener)
  }

  read (offsets: readonly Offset[]): readonly Entry[] {
    return offsets.flatMap(offset => this.#disk.entries.get(offset) ?? [])
  }

  async * scan (): AsyncGenerator<readonly EntryHeader[]> {
    yield * chunks([...this.#disk.entries.values()].map(entry => ({
      offset: entry.offset,
      topic: entry.topic,
      bytes: messageBytes(entry),
      time: entry.time,
      expiresAt: entry.extension?.expiresAt
    })))
  }

  async * records (table: Table): AsyncGenerator<readonly StoredRecord[]> {
    const sorted = [...this.#disk.records[table].values()].map(record => ({ record, bytes: Buffer.from(record.key) }))
    sorted.sort((a, b) => a.bytes.compare(b.bytes))
    yield * chunks(sorted.map(({ record }) => record))
  }

  get (table: Table, key: string): StoredRecord | undefined {
    return this.#disk.records[table].get(key)
  }

  usage (): StoreUsage {
    const { entries, messageBytes } = this.#disk
    return { messages: entries.size, messageBytes, storedBytes: messageBytes }
  }

  fault (): undefined {}

  async close (): Promise<void> {
    this.#closed = true
    await this.#last
    this.#disk.clean = true
  }
}

function * chunks<T> (items: readonly T[]): Generator<readonly T[]> {
  for (let i = 0; i < items.length; i += CHUNK) yield items.slice(i, i + CHUNK)
}
