/**
 * A look into the data folder of the embedded store: while a server runs on it, or none does. It writes nothing, takes
 * no lock and keeps nothing from being used again, so the server does not notice. What it tells is put together from
 * several moments where the server goes on writing.
 */
import { closeSync, fstatSync, openSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { HoldfastError } from '../model/errors.ts'
import type { Offset } from '../model/message.ts'
import { Block, blockFault } from './block.ts'
import { DATA_FILE } from './data-file.ts'
import {
  afterKey, BLOCKS_END, BLOCKS_START, readRecord, recordKey, splitBlockKey, tableRange
} from './layout.ts'
import { ownerOf } from './lock.ts'
import { readState, STATE_KEYS, type State } from './state.ts'
import type { EntryHeader, StoredRecord, Table } from './store.ts'
import { ChangedError, TreeRead, type Found } from './tree-read.ts'

const CHUNK_ENTRIES = 256
const CHUNK_BYTES = 1_048_576
/** So often is a place tried, of which the server is faster; each time a smaller piece. */
const TRIES_MAX = 200

export class StoreInspector {
  readonly folder: string
  /** The process of the server that runs on it. */
  readonly pid: number | undefined
  readonly #file: number
  readonly #tree: TreeRead
  #state!: State

  private constructor (folder: string, file: number, pid: number | undefined) {
    this.folder = folder
    this.pid = pid
    this.#file = file
    this.#tree = new TreeRead(file, join(folder, DATA_FILE))
  }

  /** Throws HoldfastError DATA_MISSING, DATA_NEWER or DATA_DAMAGED, naming the folder. */
  static async open (path: string): Promise<StoreInspector> {
    const folder = resolve(path)
    const inspector = new StoreInspector(folder, openFile(folder), await ownerOf(folder))
    try {
      inspector.#state = await inspector.#readState()
      return inspector
    } catch (error) {
      inspector.close()
      throw error
    }
  }

  /** Of the log. */
  get epoch (): string { return this.#state.epoch }
  /** Whether its last server stopped as it should. Says nothing while one runs. */
  get clean (): boolean { return this.#state.clean }
  /** At least so far has the log come. */
  get tail (): Offset { return this.#state.tail }

  async #readState (): Promise<State> {
    const copies: Array<Buffer | undefined> = []
    for (const key of STATE_KEYS) copies.push((await this.#range(key, afterKey(key), 1))[0]?.value)
    try {
      const found = readState(this.folder, copies)
      if (found !== undefined) return found.state
    } catch (cause) {
      if (cause instanceof HoldfastError) throw cause
      throw new HoldfastError('DATA_DAMAGED', `${this.folder} (${(cause as Error).message})`, { cause })
    }
    throw new HoldfastError('DATA_MISSING', `no server has used ${this.folder} yet`)
  }

  /** As Store.records(); what is damaged is left out, the next start says so. */
  async * records (table: Table): AsyncGenerator<readonly StoredRecord[]> {
    let { start, end } = tableRange(table)
    for (;;) {
      const found = await this.#range(start, end, CHUNK_ENTRIES)
      if (found.length === 0) return
      yield found.flatMap(({ key, value }) => readRecord(key, value) ?? [])
      start = afterKey(found[found.length - 1].key)
    }
  }

  /** As Store.get(). */
  async get (table: Table, key: string): Promise<StoredRecord | undefined> {
    const start = recordKey(table, key)
    const [found] = await this.#range(start, afterKey(start), 1)
    return found === undefined ? undefined : readRecord(start, found.value)
  }

  /** As Store.scan(); without what is damaged, with some that are trimmed: nobody waits for these. */
  async * scan (): AsyncGenerator<readonly EntryHeader[]> {
    let start: Buffer = BLOCKS_START
    for (;;) {
      const found = await this.#range(start, BLOCKS_END, CHUNK_ENTRIES)
      if (found.length === 0) return
      const headers: EntryHeader[] = []
      for (const { key, value } of found) {
        const { first, count } = splitBlockKey(key)
        if (blockFault(value, first, count) !== undefined) continue
        const block = new Block(value)
        for (let k = 0; k < count; k++) {
          const header = block.header(k)
          if (header !== undefined) headers.push({ ...header, offset: first + k as Offset })
        }
      }
      yield headers
      start = afterKey(found[found.length - 1].key)
    }
  }

  close (): void { closeSync(this.#file) }

  async #range (start: Buffer, end: Buffer, count: number): Promise<Found[]> {
    let damage: unknown
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      try {
        return this.#tree.range(start, end, Math.max(1, count >> tries), tries === 0 ? CHUNK_BYTES : 1)
      } catch (error) {
        // A head that is just being written looks damaged, too.
        damage = error instanceof ChangedError ? undefined : error
        if (damage !== undefined && this.pid === undefined) throw damage
      }
      await new Promise(resolve => setImmediate(resolve))
    }
    throw damage ?? new HoldfastError('DATA_DAMAGED', this.pid === undefined
      ? `${this.folder} can't be read as it is; start a server on it, which says what is wrong`
      : `process ${this.pid} writes to ${this.folder} faster than it can be read; try again`)
  }
}

function openFile (folder: string): number {
  try {
    const file = openSync(join(folder, DATA_FILE), 'r')
    if (fstatSync(file).size > 0) return file
    closeSync(file)
    throw new HoldfastError('DATA_MISSING', `no server has used ${folder} yet`)
  } catch (cause) {
    if (cause instanceof HoldfastError) throw cause
    const { code, message } = cause as NodeJS.ErrnoException
    throw new HoldfastError('DATA_MISSING', code === 'ENOENT' || code === 'ENOTDIR'
      ? `there is no ${DATA_FILE} in ${folder}`
      : `${join(folder, DATA_FILE)} can't be read (${message})`, { cause })
  }
}
