/**
 * What the embedded store needs of LMDB (package lmdb), and the handling of what that package does when a disk fails.
 * One environment in `data.mdb`, one database of binary keys and values, one transaction at a time.
 */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { open } from 'lmdb'
import type { RootDatabase, RootDatabaseOptions } from 'lmdb'
import { DATA_FILE } from './data-file.ts'
import { largestFreeBytes, mapBytes } from './address-space.ts'
import { FileGuard } from './file-guard.ts'
import type { Operation } from './layout.ts'
import { Reserve } from './reserve.ts'
import { pagesNeeded, pagesOf } from './file-use.ts'
import type { LmdbStats, Pages } from './file-use.ts'

/** Room for transactions that free more than they take, when the disk is full: a share of the file, within limits. */
const SPARE_SHARE = 1 / 8
const SPARE_BYTES_MIN = 524_288
const SPARE_BYTES_MAX = 16_777_216

const TEXT_BYTES = 100
const BROKEN = 'the disk failed while LMDB wrote, and LMDB has damaged the memory of this process. It must end; ' +
  'what has a receipt is on the disk, and the next start finds it'

export class Engine {
  readonly #folder: string
  readonly #reserve: Reserve
  readonly #guard: FileGuard
  #db: RootDatabase<Buffer, Buffer> | undefined
  #reopening: Promise<void> | undefined
  #lastPages: Pages
  #broken: string | undefined
  #isCommitting = false
  #copying: Promise<void> | undefined

  private constructor (folder: string, db: RootDatabase<Buffer, Buffer>, reserve: Reserve) {
    this.#folder = folder
    this.#db = db
    this.#reserve = reserve
    this.#guard = new FileGuard(folder, reserve.fd)
    this.#lastPages = pagesOf(db.getStats() as LmdbStats)
  }

  /** Opens or creates the environment. Throws what LMDB says. The caller holds the lock of the folder. */
  static async open (folder: string): Promise<Engine> {
    const db = openEnvironment(folder)
    try {
      return new Engine(folder, db, await Reserve.open(join(folder, DATA_FILE)))
    } catch (error) {
      await db.close()
      throw error
    }
  }

  /** Bytes of the pages in use; the file may be longer. */
  get usedBytes (): number {
    const pages = this.#pages()
    return pages.used * pages.pageBytes
  }

  /**
   * Resolves when all of it is on disk and synced [G1]; rejects when nothing of it is kept, or where what is kept is no
   * longer what the next start finds. If it was LMDB that failed, the environment has been opened anew: LMDB refuses
   * all writes after a failed write of its head, and the package would wait for a lock for ever. The values must not
   * change before. Only one call at a time.
   * @param growing whether it may wait for room; what shrinks the log should not have to
   */
  async commit (operations: readonly Operation[], growing: boolean): Promise<void> {
    refuse(this.#broken ?? this.#guard.fault(this.#reserve.bytes))
    if (this.#db === undefined) await this.#reopen()
    const db = this.#environment()
    await this.#makeRoom(operations, growing)
    this.#isCommitting = true
    // All writes of one turn of the event loop are one transaction (eventTurnBatching), mostly with one promise.
    const done = new Set<Promise<boolean>>()
    try {
      for (const { key, value } of operations) done.add(value === null ? db.remove(key) : db.put(key, value))
      await Promise.all(done)
    } catch (error) {
      const reason = await reasonOf(error)
      if (hasOverrun(reason)) this.#broken = BROKEN // nothing more is done with it, not even closing
      else await this.#reopen()
      throw reason
    } finally {
      this.#isCommitting = false
    }
    refuse(this.#guard.committed()) // between the sync and the receipts
  }

  /** Why nothing can be written, as far as it can be seen without trying. */
  get fault (): string | undefined {
    if (this.#broken !== undefined) return this.#broken
    return this.#isCommitting ? this.#guard.placeFault() : this.#guard.fault(this.#reserve.bytes)
  }

  /** The process should end: the memory of it may be damaged. */
  get isBroken (): boolean { return this.#broken !== undefined }

  /** The value as it was committed last, a copy. Must not be called while `reopening` is pending. */
  get (key: Buffer): Buffer | undefined {
    this.#guard.checkLength(this.#reserve.bytes)
    return this.#environment().getBinary(key)
  }

  /**
   * The first entries from `start` (inclusive) to `end` (exclusive), as many as `limit`, and not many more than
   * `bytesMax` of values, in the order of the keys.
   */
  range (start: Buffer, end: Buffer, limit: number, bytesMax = Infinity): Array<{ key: Buffer, value: Buffer }> {
    this.#guard.checkLength(this.#reserve.bytes)
    const found: Array<{ key: Buffer, value: Buffer }> = []
    let bytes = 0
    for (const entry of this.#environment().getRange({ start, end, limit })) {
      found.push(entry)
      bytes += entry.value.length
      if (bytes >= bytesMax) break
    }
    return found
  }

  /** While the environment is opened anew after a failure: nothing can be read until it resolves. */
  get reopening (): Promise<void> | undefined {
    return this.#reopening
  }

  /**
   * A copy as of now, without what is free, as `data.mdb` in this folder, which has none. Another thread makes it, and
   * writes go on; the pages that they set free are not used again meanwhile, so the file grows by as much. One at a
   * time. Not synced. Rejects with what LMDB says.
   */
  async copyTo (folder: string): Promise<void> {
    refuse(this.#broken ?? (this.#copying === undefined ? undefined : 'a copy is being made already'))
    await this.#reopening
    this.#copying = this.#environment().backup(folder, true)
    try {
      await this.#copying
    } finally {
      this.#copying = undefined
    }
  }

  async close (): Promise<void> {
    if (this.isBroken) return
    await this.#reopening
    await this.#copied()
    const db = this.#db
    this.#db = undefined
    await db?.close()
    await this.#reserve.close()
  }

  /** The environment must not be closed under the thread that copies it. */
  async #copied (): Promise<void> { await this.#copying?.catch(() => {}) }

  /** Throws where the disk has no room for a transaction that may need it. */
  async #makeRoom (operations: readonly Operation[], growing: boolean): Promise<void> {
    const pages = this.#pages()
    const { pageBytes } = pages
    const end = pages.spanned * pageBytes
    const needed = pagesNeeded(operations, pages) * pageBytes
    const spare = Math.min(Math.max(Math.ceil(end * SPARE_SHARE), SPARE_BYTES_MIN), SPARE_BYTES_MAX)
    try {
      if (this.#reserve.bytes < end + needed + spare) await this.#reserve.ensure(end + needed + spare)
    } catch (error) {
      // The disk is full. The pages that trimming gave back may do, or the spare ones, if this gives back others.
      const free = (pages.spanned - pages.used) * pageBytes
      const possible = this.#reserve.bytes >= end + needed && (free >= needed * 2 || !growing)
      if (!possible) throw error
    }
    this.#reserve.prepare(end + needed * 2 + spare)
  }

  /** As of the last transaction; of the last one before while the environment is opened anew. */
  #pages (): Pages {
    if (this.#db !== undefined) this.#lastPages = pagesOf(this.#db.getStats() as LmdbStats)
    return this.#lastPages
  }

  #environment (): RootDatabase<Buffer, Buffer> {
    if (this.#db === undefined) throw new Error(`${this.#folder} could not be opened again after a failure`)
    return this.#db
  }

  async #reopen (): Promise<void> {
    this.#reopening = (async () => {
      await this.#copied()
      const db = this.#db
      this.#db = undefined
      await db?.close()
      try {
        this.#db = openEnvironment(this.#folder)
        this.#guard.reopened()
      } catch {} // The next commit tries again, and says why if it fails.
    })()
    await this.#reopening
    this.#reopening = undefined
  }
}

/** @throws HoldfastError MEMORY_FULL: LMDB would not throw, it would end the process */
function openEnvironment (folder: string): RootDatabase<Buffer, Buffer> {
  const { size = 0 } = statSync(join(folder, DATA_FILE), { throwIfNoEntry: false }) ?? {}
  const options: RootDatabaseOptions = {
    encoding: 'binary',
    keyEncoding: 'binary',
    noSubdir: false,
    mapSize: mapBytes(largestFreeBytes(), size),
    // With overlapping syncs a transaction is visible before it is synced, and is found again if its sync failed.
    overlappingSync: false
  }
  return open<Buffer, Buffer>({ ...options, path: folder })
}

function refuse (fault: string | undefined): void {
  if (fault !== undefined) throw new Error(fault)
}

/**
 * Where the write of a page fails, LMDB prints a text into 100 bytes, however long it is (lmdb 3.5.6, mdb_page_flush),
 * and gives it here as a part of its message: so it can be seen whether it has written over what lies behind.
 */
function hasOverrun (reason: unknown): boolean {
  const text = /Attempting to write page .*/.exec(String(reason))
  return text !== null && text[0].length >= TEXT_BYTES
}

/** The package rejects with a general error that holds a promise of the reason; that one must not stay unhandled. */
async function reasonOf (error: unknown): Promise<unknown> {
  const { commitError } = error as { commitError?: Promise<unknown> }
  if (commitError === undefined) return error
  const later = new Promise(resolve => setImmediate(resolve, error))
  return await Promise.race([commitError.catch((reason: unknown) => reason), later.then(() => later)])
}
