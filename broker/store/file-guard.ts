/**
 * Is the file that is written to still the one that the next start will find [G1]? A file that was deleted, moved or
 * replaced takes writes and syncs as before, and all of it is lost. Looked at before each transaction, between its sync
 * and its receipts, and every second.
 *
 * Two transactions of LMDB have their heads in the file: the last one and the one before. A copy that was laid over the
 * file has others.
 */
import { fstatSync, statSync, type Stats } from 'node:fs'
import { join } from 'node:path'
import { DATA_FILE, HEADS_BYTES, readHeads, readTransactions } from './data-file.ts'

export class FileGuard {
  readonly #folder: string
  readonly #path: string
  readonly #file: number
  readonly #own: Stats
  /** Both heads are read into this. */
  readonly #bytes: Buffer
  /** Numbers of the transactions in the two heads, as they were left. */
  #last: bigint
  #before: bigint
  #overwritten: string | undefined

  /** @param file the open file, to be read from */
  constructor (folder: string, file: number) {
    this.#folder = folder
    this.#path = join(folder, DATA_FILE)
    this.#file = file
    this.#own = fstatSync(file)
    const [{ pageBytes }] = readHeads(file, this.#path)
    this.#bytes = Buffer.alloc(pageBytes + HEADS_BYTES);
    [this.#before, this.#last] = this.#heads()
  }

  /** Why what is written now would be lost, and what to do; undefined if not. Not while a commit is under way. */
  fault (bytesMin: number): string | undefined {
    const place = this.placeFault()
    if (place !== undefined) return place
    const [before, last] = this.#heads()
    const isSame = before === this.#before && last === this.#last
    return isSame && this.#size() >= bytesMin ? undefined : this.#isOverwritten()
  }

  /** The same after a transaction that was synced: the file now has its head. */
  committed (): string | undefined {
    const place = this.placeFault()
    if (place !== undefined) return place
    const [before, last] = this.#heads()
    if (before === this.#before && last === this.#last) return undefined // there was nothing to change
    if (before < this.#last) return this.#isOverwritten()
    this.#before = before
    this.#last = last
    return undefined
  }

  /** A transaction has failed: it may have left its head, or not. */
  reopened (): void {
    const [before, last] = this.#heads()
    if (last < this.#last) this.#isOverwritten()
    else [this.#before, this.#last] = [before, last]
  }

  /** Throws while the file is shorter than LMDB takes it to be: what is not there can't be read (SIGBUS). */
  checkLength (bytesMin: number): void {
    if (this.#overwritten === undefined && this.#size() < bytesMin) this.#isOverwritten()
    if (this.#overwritten !== undefined) throw new Error(this.#overwritten)
  }

  /** The same without a look at the heads, which change while a commit is under way. */
  placeFault (): string | undefined {
    if (this.#overwritten !== undefined) return this.#overwritten
    const found = statSync(this.#path, { throwIfNoEntry: false })
    if (found !== undefined && found.ino === this.#own.ino && found.dev === this.#own.dev) return undefined
    const what = found === undefined
      ? 'is gone: it, or its folder, was deleted or moved'
      : 'was replaced by another file'
    const rescue = process.platform === 'linux'
      ? ` While this process runs, "cp /proc/${process.pid}/fd/${this.#file} FILE" saves what was deleted.`
      : ''
    return `${this.#path} ${what} while the server runs on it. Put it back where it was, or stop the server, restore ` +
      `the folder and start again.${rescue}`
  }

  #isOverwritten (): string {
    this.#overwritten = `${this.#path} was overwritten or cut short while the server runs on it. Stop the server, ` +
      `restore ${this.#folder} as a whole and start again`
    return this.#overwritten
  }

  #size (): number { return fstatSync(this.#file).size }

  /** The lower number first; both -1 where there is no head any more. */
  #heads (): [bigint, bigint] {
    const numbers = readTransactions(this.#file, this.#bytes)
    if (numbers === undefined) return [-1n, -1n]
    return numbers[0] < numbers[1] ? numbers : [numbers[1], numbers[0]]
  }
}
