/**
 * The seam below the broker: one durable log and a few tables of records.
 * `memory.ts` is the reference; `embedded.ts` keeps it on this machine's disk.
 * `test/conformance/store.ts` is the contract as a function of a factory.
 */
import type { HistogramCounts } from '../system/histogram.ts'
import type { Entry, Message, Offset, TimeMs } from '../model/message.ts'

/** The tables beside the log; new ones come last (see layout.ts). Keys are made in keys.ts. */
export const TABLES = ['meta', 'sessions', 'filters', 'cursors', 'retained', 'wills', 'incoming', 'setAside'] as const
export type Table = typeof TABLES[number]

/** Puts a record (or removes it, with null) in the same atomic step as the messages of its batch. */
export interface Change {
  readonly table: Table
  /** Not empty, at most KEY_BYTES_MAX bytes of UTF-8. */
  readonly key: string
  readonly value: Buffer | null
  /** How many messages of the same batch come before it; the record is stamped accordingly (see StoredRecord.at). */
  readonly after: number
}

export interface StoredRecord {
  readonly key: string
  readonly value: Buffer
  /** Position of the log when the record was written: the offset of the last message that came before it. */
  readonly at: Offset
}

export interface Batch {
  readonly messages: readonly Message[]
  readonly changes: readonly Change[]
  /** Offsets that nobody will ask for again, ascending. Unknown ones are ignored. */
  readonly trim: readonly Offset[]
}

/** What the index needs to know of an entry, without its payload. */
export interface EntryHeader {
  readonly offset: Offset
  readonly topic: string
  /** As messageBytes() counts. */
  readonly bytes: number
  readonly time: number
  /** Undefined for one that does not expire. */
  readonly expiresAt?: TimeMs | undefined
}

/** A record that was found damaged and is gone. */
export interface DamagedRecord {
  /** Undefined where not even that can be told. */
  readonly table: Table | undefined
  /** As it was found: it may be the key that is damaged. */
  readonly key: string
}

/** What opening found, in words an operator can use. Empty `notes` after a clean stop. */
export interface Recovery {
  /** Made when the log was created; a position of another epoch means nothing here. */
  readonly epoch: string
  /** A backup made it, and this is the first time that it is opened; the epoch is new. Left out: false. */
  readonly isCopy?: boolean
  /** The highest offset ever given, ORIGIN for a new log. The next append continues after it. */
  readonly tail: Offset
  /** False after a crash: cursors may lag behind what clients have acknowledged, by at most the unsynced tail [G4]. */
  readonly clean: boolean
  /** One sentence for each thing that was found damaged and what was done about it. */
  readonly notes: readonly string[]
  /** Offsets that were found damaged and are gone; the sessions that would have received them are told [G5]. */
  readonly damaged: readonly Offset[]
  /** Likewise records. */
  readonly damagedRecords: readonly DamagedRecord[]
}

export interface StoreUsage {
  /** Entries and their bytes (as messageBytes counts) that were appended and not yet trimmed. */
  readonly messages: number
  readonly messageBytes: number
  /** Bytes taken on disk, or in memory. */
  readonly storedBytes: number
}

export interface Note {
  readonly key: string
  readonly value: Buffer
}

/**
 * Hints that are kept without a sync: the next process finds them when this one is killed, though perhaps not when the
 * machine goes down. No call fails: what can't be kept is left out.
 */
export interface Notes {
  /** What the last process wrote, the file that is older first or last; who wrote it knows which of two is newer. */
  read (): readonly Note[]
  /** Gathers; what was gathered is kept when flush() returns. */
  write (key: string, value: Buffer): void
  flush (): void
  /** What was written before the last call of this may be forgotten from now on. */
  turn (): void
}

export interface Store {
  /** How long writes took until they were synced, since open(); where that is measured. */
  readonly syncs?: HistogramCounts | undefined
  /** Of this store, where it can keep any. There once it is open. */
  readonly notes?: Notes | undefined

  /**
   * Opens or creates; takes the lock of its folder. Throws HoldfastError with code DATA_LOCKED, DATA_NOT_WRITABLE,
   * DATA_DAMAGED, DATA_NEWER or DATA_OLDER, each naming the folder. Must be called once, before anything else.
   */
  open (): Promise<Recovery>

  /**
   * Makes a batch durable: when the promise resolves, all of it is on disk and synced, and survives a power cut [G1].
   * All or nothing. Batches become durable in the order of the calls, and the messages of a batch take consecutive
   * offsets after `tail`. Resolves to the new tail.
   *
   * Before the promise resolves, the followers have been called with the entries [G3].
   * Rejects with HoldfastError STORE_UNAVAILABLE (disk full or failing): then nothing of the batch is kept, the offsets
   * may be given again, and a later call may succeed without reopening.
   */
  append (batch: Batch): Promise<Offset>

  /** The listener is called with every durable entry, in offset order, each once, from now on. It must not throw. */
  follow (listener: (entries: readonly Entry[]) => void): void

  /**
   * The entries at these offsets (ascending), without those that were trimmed or are damaged. Synchronous where the
   * store can answer from memory or a mapped file. The payloads belong to the caller: they stay valid.
   */
  read (offsets: readonly Offset[]): readonly Entry[] | Promise<readonly Entry[]>

  /** All entries that are not trimmed, in offset order, in chunks; for rebuilding the index at start. */
  scan (): AsyncIterable<readonly EntryHeader[]>

  /** All records of a table in key order (by UTF-8 bytes), in chunks; without those that are damaged. */
  records (table: Table): AsyncIterable<readonly StoredRecord[]>

  /** One record as of the last durable batch; undefined also where it is damaged. */
  get (table: Table, key: string): StoredRecord | undefined | Promise<StoredRecord | undefined>

  usage (): StoreUsage

  /**
   * Why nothing can be made durable any more, as far as it can be seen without writing, in words an operator can use;
   * undefined while all is well. Cheap: it is asked every second. An append says the same, and says it first.
   */
  fault (): string | undefined

  /**
   * Puts a copy of all that is on disk now into an empty folder, for finishCopy() of copy.ts; appends go on meanwhile.
   * Left out where the store has no file. One at a time: rejects otherwise, and with what the disk says.
   */
  copyTo? (folder: string): Promise<void>

  /** Waits for appends under way, marks the log as cleanly closed, releases the lock. */
  close (): Promise<void>
}
