/**
 * The store on this machine's disk: blocks of messages and records in one LMDB environment.
 *
 * A trimmed message in a block that lives on for the sake of others may appear in scan() again after a restart; what
 * rebuilds the index finds that nobody wants it and trims it again. Nothing else comes back.
 */
import { randomUUID } from 'node:crypto'
import { HoldfastError } from '../model/errors.ts'
import { Histogram } from '../system/histogram.ts'
import { ORIGIN } from '../model/message.ts'
import type { Entry, Offset } from '../model/message.ts'
import { Block, blockFault } from './block.ts'
import { BlockCache, CachedBlock } from './block-cache.ts'
import { BlockTable } from './block-table.ts'
import type { BlockFacts } from './block-table.ts'
import { checkBatch } from './check.ts'
import type { Engine } from './engine.ts'
import {
  afterKey, blockKey, BLOCKS_END, BLOCKS_START, readRecord, recordKey, splitBlockKey, tableRange, type Operation
} from './layout.ts'
import { LiveBytes } from './live-bytes.ts'
import type { FolderLock } from './lock.ts'
import { NoteFiles } from './notes.ts'
import { CHUNK_BYTES, CHUNK_RECORDS, nameOf } from './record-check.ts'
import { openFolder } from './recovery.ts'
import { FORMAT, stateOperations } from './state.ts'
import type { Batch, EntryHeader, Recovery, Store, StoredRecord, StoreUsage, Table } from './store.ts'
import { Transaction } from './transaction.ts'

export interface EmbeddedStoreOptions {
  /** Is made if it is not there. Belongs to one server at a time. */
  readonly folder: string
  /** Bytes of blocks that were read last and are kept for the next reader; never more than 32 MiB. */
  readonly cacheBytesMax?: number
  /** Size of each of the two files of notes. */
  readonly notesBytesMax?: number
  readonly makeEpoch?: () => string
  /** Told in a sentence what turns out to be damaged after open(). */
  readonly report?: (sentence: string) => void
  /** Told once, why, when the process should end: its memory may be damaged. Nothing is written from then on. */
  readonly broken?: (sentence: string) => void
}

const CACHE_BYTES_MAX = 33_554_432
const NOTES_BYTES_MAX = 16_777_216
/** A transaction takes up no more batches once it has so many bytes of messages. */
const TRANSACTION_BYTES_MAX = 16_777_216
const CHUNK_BLOCKS = 128
/** What turns out to be damaged is told once; of so many places. */
const TOLD_MAX = 10_000

interface Waiting {
  readonly batch: Batch
  readonly resolve: (tail: Offset) => void
  readonly reject: (error: unknown) => void
}

export function createEmbeddedStore (options: EmbeddedStoreOptions): Store {
  return new EmbeddedStore(options)
}

class EmbeddedStore implements Store {
  readonly #folder: string
  readonly #makeEpoch: () => string
  readonly #report: (sentence: string) => void
  readonly #broken: (sentence: string) => void
  readonly #cache: BlockCache
  readonly #notesBytesMax: number
  readonly #listeners: Array<(entries: readonly Entry[]) => void> = []
  /** Bounded by the callers, who wait for each append or count its bytes (limits.pendingBytesMax). */
  #waiting: Waiting[] = []
  #writing: Promise<void> | undefined
  #closing: Promise<void> | undefined
  readonly #told = new Set<string>()
  readonly syncs = new Histogram()
  #tail: Offset = ORIGIN
  #epoch = ''
  #blocks = new BlockTable()
  #live = new LiveBytes()
  #engine!: Engine
  #isBroken = false
  #lock!: FolderLock
  #isOpen = false
  #notes!: NoteFiles
  #run = ''

  constructor ({ folder, cacheBytesMax, notesBytesMax, makeEpoch, report, broken }: EmbeddedStoreOptions) {
    this.#folder = folder
    this.#makeEpoch = makeEpoch ?? randomUUID
    this.#report = report ?? (() => {})
    this.#broken = broken ?? (() => {})
    this.#cache = new BlockCache(Math.min(cacheBytesMax ?? Infinity, CACHE_BYTES_MAX))
    this.#notesBytesMax = notesBytesMax ?? NOTES_BYTES_MAX
  }

  async open (): Promise<Recovery> {
    const { lock, engine, blocks, live, recovery, previousRun, run } = await openFolder(this.#folder, this.#makeEpoch)
    this.#run = run
    this.#notes = new NoteFiles(this.#folder, previousRun, run, this.#notesBytesMax)
    this.#lock = lock
    this.#engine = engine
    this.#blocks = blocks
    this.#live = live
    this.#tail = recovery.tail
    this.#epoch = recovery.epoch
    this.#isOpen = true
    return recovery
  }

  get notes (): NoteFiles { return this.#notes }

  append (batch: Batch): Promise<Offset> {
    return new Promise((resolve, reject) => {
      if (this.#closing !== undefined) throw new HoldfastError('CLOSED', 'the store is closed')
      checkBatch(batch)
      this.#waiting.push({ batch, resolve, reject })
      this.#writing ??= this.#write()
    })
  }

  /** Writes what waits, one transaction after the other; what came in during one shares the next [G1]. */
  async #write (): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#takeGroup()
      const transaction = new Transaction(
        { blocks: this.#blocks, live: this.#live, load: facts => this.#loadBlock(facts) },
        this.#tail, group.map(({ batch }) => batch))
      const { operations, tail } = transaction
      if (transaction.losesTail) operations.push(...this.#state(tail, false))
      const began = performance.now()
      try {
        await this.#engine.commit(operations, transaction.entries.length > 0)
        this.syncs.note(performance.now() - began)
      } catch (cause) {
        const error = new HoldfastError('STORE_UNAVAILABLE', `${this.#folder}: ${sentenceOf(cause)}`, { cause })
        if (this.#engine.isBroken) this.#tellBroken()
        for (const { reject } of group) reject(error)
        continue
      }
      transaction.apply()
      this.#tail = tail
      for (const { first } of transaction.changed) this.#cache.delete(first)
      if (transaction.entries.length > 0) for (const listener of this.#listeners) listener(transaction.entries)
      group.forEach(({ resolve }, i) => resolve(transaction.tails[i]))
    }
    this.#writing = undefined
  }

  #takeGroup (): Waiting[] {
    let bytes = 0
    let n = 0
    for (; n < this.#waiting.length && bytes < TRANSACTION_BYTES_MAX; n++) {
      const { messages, trim } = this.#waiting[n].batch
      // A batch that trims what an earlier one of the group brings has to come after it.
      if (n > 0 && trim.length > 0 && trim[trim.length - 1] > this.#tail) break
      for (const { payload } of messages) bytes += payload.length
    }
    return this.#waiting.splice(0, n)
  }

  follow (listener: (entries: readonly Entry[]) => void): void {
    this.#listeners.push(listener)
  }

  read (offsets: readonly Offset[]): readonly Entry[] | Promise<readonly Entry[]> {
    const { reopening } = this.#engine
    if (reopening !== undefined) return reopening.then(() => this.read(offsets))
    const entries: Entry[] = []
    let block: CachedBlock | undefined
    for (const offset of offsets) {
      if (this.#live.get(offset) < 0) continue
      if (block === undefined || offset < block.first || offset >= block.end) block = this.#cachedBlock(offset)
      const entry = block?.entry(offset)
      if (entry !== undefined) entries.push(entry)
    }
    return entries
  }

  #cachedBlock (offset: Offset): CachedBlock | undefined {
    const facts = this.#blocks.find(offset)
    if (facts === undefined) return undefined
    const known = this.#cache.get(facts.first)
    if (known !== undefined) return known
    const bytes = this.#loadBytes(facts)
    if (bytes === undefined) return undefined
    const block = new CachedBlock(bytes)
    this.#cache.set(block)
    return block
  }

  #loadBlock (facts: BlockFacts): Block | undefined {
    const bytes = this.#loadBytes(facts)
    return bytes === undefined ? undefined : new Block(bytes)
  }

  /** The bytes of a block, checked again after reading. */
  #loadBytes ({ first, count }: BlockFacts): Buffer | undefined {
    const key = blockKey(first, count)
    const bytes = this.#load(key)
    const fault = bytes === undefined ? 'it is missing' : blockFault(bytes, first, count)
    if (fault === undefined) return bytes
    this.#tell(key, `The messages ${first} to ${first + count - 1} in ${this.#folder} can not be read: ${fault}.`)
    return undefined
  }

  /** A tree that turned bad while the server runs costs who asked for what it can't give any more, and nobody else. */
  #load (key: Buffer): Buffer | undefined {
    try {
      return this.#engine.get(key)
    } catch (error) {
      this.#tell(key, `${this.#folder} can not be read in part: ${sentenceOf(error)}.`)
      return undefined
    }
  }

  #decode (key: Buffer, value: Buffer): StoredRecord | undefined {
    const record = readRecord(key, value)
    if (record === undefined) this.#tell(key, `${nameOf(key)} in ${this.#folder} is damaged and can not be read.`)
    return record
  }

  #tell (key: Buffer, sentence: string): void {
    const place = key.toString('latin1')
    if (this.#told.has(place) || this.#told.size >= TOLD_MAX) return
    this.#told.add(place)
    this.#report(sentence)
  }

  async * scan (): AsyncGenerator<readonly EntryHeader[]> {
    let start: Buffer = BLOCKS_START
    for (;;) {
      await this.#engine.reopening
      const found = this.#range(start, BLOCKS_END, CHUNK_BLOCKS)
      if (found.length === 0) return
      const headers: EntryHeader[] = []
      for (const { key, value } of found) {
        const { first, count } = splitBlockKey(key)
        if (this.#blocks.find(first)?.count !== count || Block.placeOf(value)?.first !== first) continue
        const block = new Block(value)
        for (let k = 0; k < count; k++) {
          const offset = first + k as Offset
          if (this.#live.get(offset) < 0) continue
          const header = block.header(k)
          if (header === undefined) continue
          headers.push({ offset, ...header })
        }
      }
      yield headers
      start = afterKey(found[found.length - 1].key)
    }
  }

  async * records (table: Table): AsyncGenerator<readonly StoredRecord[]> {
    let { start, end } = tableRange(table)
    for (;;) {
      await this.#engine.reopening
      const found = this.#range(start, end, CHUNK_RECORDS)
      if (found.length === 0) return
      yield found.flatMap(({ key, value }) => this.#decode(key, value) ?? [])
      start = afterKey(found[found.length - 1].key)
    }
  }

  #range (start: Buffer, end: Buffer, count: number): Array<{ key: Buffer, value: Buffer }> {
    try {
      return this.#engine.range(start, end, count, CHUNK_BYTES)
    } catch (cause) {
      throw new HoldfastError('DATA_DAMAGED', `${this.#folder} (${sentenceOf(cause)})`, { cause })
    }
  }

  get (table: Table, key: string): StoredRecord | undefined | Promise<StoredRecord | undefined> {
    const { reopening } = this.#engine
    if (reopening !== undefined) return reopening.then(() => this.get(table, key))
    const place = recordKey(table, key)
    const value = this.#load(place)
    return value === undefined ? undefined : this.#decode(place, value)
  }

  usage (): StoreUsage {
    return {
      messages: this.#live.messages,
      messageBytes: this.#live.bytes,
      storedBytes: this.#engine.usedBytes
    }
  }

  async copyTo (folder: string): Promise<void> {
    try {
      await this.#engine.copyTo(folder)
    } catch (cause) {
      throw new HoldfastError('STORE_UNAVAILABLE', `${this.#folder} could not be copied (${sentenceOf(cause)})`,
        { cause })
    }
  }

  fault (): string | undefined { return this.#engine.fault }

  #tellBroken (): void {
    if (this.#isBroken) return
    this.#isBroken = true
    this.#broken(`${this.#folder}: ${this.#engine.fault}`)
  }

  close (): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close (): Promise<void> {
    if (!this.#isOpen) return // what a failed open() had opened is closed again
    await this.#writing
    try {
      await this.#engine.commit(this.#state(this.#tail, true), false)
      this.#notes.remove()
    } catch (error) {
      this.#report(`${this.#folder} could not be marked as closed: ${sentenceOf(error)}.`)
    }
    await this.#engine.close()
    await this.#lock.release()
  }

  #state (tail: Offset, clean: boolean): Operation[] {
    return stateOperations({ format: FORMAT, epoch: this.#epoch, tail, clean, run: this.#run })
  }
}

function sentenceOf (error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
