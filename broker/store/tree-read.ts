/**
 * Reads LMDB's tree from the file, page by page, without LMDB: no lock, no reader's slot, nothing that a server which
 * writes to the same file could notice. Where the pages are and what is in them is said in tree-check.ts.
 *
 * LMDB never overwrites a page of its last two transactions. So what was read is sound if, after reading, not more
 * than one transaction has been committed on top; otherwise it is read again from a newer head.
 */
import { readSync } from 'node:fs'
import { newerOf, readHeads, type Head } from './data-file.ts'

const HEAD = 24
const NODE = 8
const BRANCH = 0x01
const LEAF = 0x02
const OWN_PAGES = 0x01
const DEPTH_MAX = 32

/** The file has changed while it was read: it must be tried again. */
export class ChangedError extends Error {}

export interface Found {
  readonly key: Buffer
  readonly value: Buffer
}

export class TreeRead {
  readonly #file: number
  readonly #path: string
  readonly #readSync: typeof readSync

  /** @param path for the errors */
  constructor (file: number, path: string, read = readSync) {
    this.#file = file
    this.#path = path
    this.#readSync = read
  }

  /**
   * Entries from `start` (inclusive) to `end` (exclusive), in the order of the keys: as many as `count`, and not many
   * more than `bytesMax` of values. Throws ChangedError, or HoldfastError DATA_DAMAGED or DATA_NEWER.
   */
  range (start: Buffer, end: Buffer, count: number, bytesMax: number): Found[] {
    const head = this.#newest()
    const found: Found[] = []
    if (head.mainRoot !== undefined) {
      this.#collect(head, head.mainRoot, start, end, { found, count, bytes: bytesMax }, 0)
    }
    if (this.#newest().transaction > head.transaction + 1n) throw new ChangedError()
    return found
  }

  #newest (): Head {
    const [first, second] = readHeads(this.#file, this.#path)
    return newerOf(first, second, this.#path)
  }

  /** Returns false when enough was found. */
  #collect (head: Head, number: number, start: Buffer, end: Buffer,
    wanted: { found: Found[], count: number, bytes: number }, depth: number): boolean {
    const page = this.#page(head, number)
    const flags = page.readUInt16LE(18)
    const body = page.subarray(HEAD)
    const lower = page.readUInt16LE(20)
    if ((flags !== BRANCH && flags !== LEAF) || lower > body.length || depth > DEPTH_MAX) throw new ChangedError()
    for (let i = 0; i < lower; i += 2) {
      const at = body.readUInt16LE(i)
      if (at + NODE > body.length) throw new ChangedError()
      const valueAt = at + NODE + body.readUInt16LE(at + 6)
      if (valueAt > body.length) throw new ChangedError()
      const key = body.subarray(at + NODE, valueAt)
      if (flags === BRANCH) {
        // All below comes before the key of the next branch.
        if (i + 2 < lower && Buffer.compare(keyAt(body, i + 2), start) <= 0) continue
        if (i > 0 && Buffer.compare(key, end) >= 0) return false
        if (!this.#collect(head, body.readUIntLE(at, 6), start, end, wanted, depth + 1)) return false
      } else {
        if (Buffer.compare(key, start) < 0) continue
        if (Buffer.compare(key, end) >= 0 || wanted.found.length >= wanted.count || wanted.bytes <= 0) return false
        const value = this.#value(head, body, at, valueAt)
        wanted.bytes -= value.length
        wanted.found.push({ key: Buffer.from(key), value })
      }
    }
    return true
  }

  #value (head: Head, body: Buffer, at: number, valueAt: number): Buffer {
    const bytes = body.readUInt32LE(at)
    if ((body.readUInt16LE(at + 4) & OWN_PAGES) === 0) {
      if (valueAt + bytes > body.length) throw new ChangedError()
      return Buffer.from(body.subarray(valueAt, valueAt + bytes))
    }
    if (valueAt + 8 > body.length) throw new ChangedError()
    const first = Number(body.readBigUInt64LE(valueAt))
    if (first + Math.ceil((HEAD + bytes) / head.pageBytes) - 1 > head.lastPage) throw new ChangedError()
    return this.#read(head, first, HEAD + bytes).subarray(HEAD)
  }

  #page (head: Head, number: number): Buffer { return this.#read(head, number, head.pageBytes) }

  /** One page, or several in a row with one head. */
  #read (head: Head, number: number, bytes: number): Buffer {
    const page = Buffer.allocUnsafe(bytes)
    const read = this.#readSync(this.#file, page, 0, bytes, number * head.pageBytes)
    const isThis = read === bytes && page.readBigUInt64LE(0) === BigInt(number) &&
      page.readBigUInt64LE(8) <= head.transaction
    if (!isThis) throw new ChangedError()
    return page
  }
}

function keyAt (body: Buffer, i: number): Buffer {
  const at = body.readUInt16LE(i)
  if (at + NODE > body.length) throw new ChangedError()
  return body.subarray(at + NODE, at + NODE + body.readUInt16LE(at + 6))
}
