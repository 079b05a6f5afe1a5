/**
 * The pages of LMDB's trees, looked at before LMDB follows them: it trusts what it maps, and a page of noise can end
 * the process. Knows data format 2 as far as this store uses it:
 *
 *   page    0 u64 its own number, 8 u64 transaction, 18 u16 flags, 20 u16 lower, 22 u16 upper, 24 body
 *           (own pages of a value: 20 u32 how many, 24 value)
 *   body    u16 places of the nodes, up to `lower`; the nodes, from `upper` to the end
 *   node    0 u32 bytes of the value, 4 u16 flags, 6 u16 bytes of the key, 8 key, then the value
 *           (branch: 0 u48 number of the page below)
 *   value   with flag 1, instead of it: u64 number of the first of its own pages, u64, u64 how many
 *
 * The values of the tree of free pages are lists: u64 how many words follow; i64 each: the number of a page, 0 for
 * nothing, or negative for so many pages in a row, of which the next word is the first. (As LMDB of package lmdb has
 * them.) Where such a list names a page that is in use, the next write destroys what is there.
 */
import { readSync } from 'node:fs'

const HEAD = 24
const NODE = 8
const BRANCH = 0x01
const LEAF = 0x02
const OVERFLOW = 0x04
const OWN_PAGES = 0x01
const POINTER_BYTES = 24
const DEPTH_MAX = 32

export class TreeCheck {
  readonly #file: number
  readonly #pageBytes: number
  readonly #lastPage: number
  readonly #transaction: bigint
  /** One for each level of a tree. */
  readonly #pages: Buffer[] = []
  /** A bit for each page that was met. */
  readonly #met: Uint8Array
  readonly #free: Array<readonly [first: number, count: number]> = []

  /** @param transaction the last one that was committed */
  constructor (file: number, pageBytes: number, lastPage: number, transaction: bigint) {
    this.#file = file
    this.#transaction = transaction
    this.#pageBytes = pageBytes
    this.#lastPage = lastPage
    this.#met = new Uint8Array((lastPage >> 3) + 1)
  }

  /**
   * Throws an Error that names the first page that is not as it must be. Reads all nodes, but no values.
   * @param ordered whether the keys are bytes, and not numbers as in the tree of free pages
   */
  walk (number: number, ordered: boolean, depth = 0): void {
    if (depth > DEPTH_MAX) throw wrong(number)
    this.#meet(number, 1)
    const page = this.#pages[depth] ??= Buffer.alloc(this.#pageBytes)
    this.#read(number, page)
    const flags = page.readUInt16LE(18)
    if (flags !== BRANCH && flags !== LEAF) throw wrong(number)
    const body = page.subarray(HEAD)
    const lower = page.readUInt16LE(20)
    const upper = page.readUInt16LE(22)
    if (lower < 2 || lower % 2 !== 0 || lower > upper || upper > body.length) throw wrong(number)

    let previous = { key: 0, end: 0 }
    for (let i = 0; i < lower; i += 2) {
      const at = body.readUInt16LE(i)
      if (at < upper || at + NODE > body.length) throw wrong(number)
      const value = at + NODE + body.readUInt16LE(at + 6)
      if (value > body.length) throw wrong(number)
      const key = at + NODE
      if (ordered && i > 0 && body.compare(body, previous.key, previous.end, key, value) <= 0) throw wrong(number)
      previous = { key, end: value }
      if (flags === BRANCH) this.walk(body.readUIntLE(at, 6), ordered, depth + 1)
      else this.#checkValue(number, body, at, value, !ordered)
    }
  }

  /** After both trees were walked: no page is free that is in use, or twice. */
  checkFree (): void {
    for (const [first, count] of this.#free) {
      if (first < 2 || first + count - 1 > this.#lastPage) throw wrongList()
      for (let number = first; number < first + count; number++) {
        if (!this.#mark(number)) throw wrongList()
      }
    }
  }

  #checkValue (number: number, body: Buffer, at: number, value: number, isFreeList: boolean): void {
    const bytes = body.readUInt32LE(at)
    const flags = body.readUInt16LE(at + 4)
    if (flags === 0) {
      if (value + bytes > body.length) throw wrong(number)
      if (isFreeList) this.#readList(body.subarray(value, value + bytes))
      return
    }
    if (flags !== OWN_PAGES || value + POINTER_BYTES > body.length) throw wrong(number)
    const first = Number(body.readBigUInt64LE(value))
    const pages = Number(body.readBigUInt64LE(value + 16))
    if (pages < Math.ceil((HEAD + bytes) / this.#pageBytes)) throw wrong(number)
    this.#meet(first, pages)
    const head = this.#read(first, Buffer.allocUnsafe(HEAD))
    if (head.readUInt16LE(18) !== OVERFLOW || head.readUInt32LE(20) !== pages) throw wrong(first)
    if (isFreeList) this.#readList(this.#read(first, Buffer.allocUnsafe(HEAD + bytes)).subarray(HEAD))
  }

  #readList (list: Buffer): void {
    if (list.length < 8) throw wrongList()
    const end = (Number(list.readBigInt64LE(0)) + 1) * 8
    if (!(end >= 8 && end <= list.length)) throw wrongList()
    for (let at = 8; at < end; at += 8) {
      let word = Number(list.readBigInt64LE(at))
      if (word === 0) continue
      let count = 1
      if (word < 0) {
        count = -word
        at += 8
        if (at >= end) throw wrongList()
        word = Number(list.readBigInt64LE(at))
      }
      this.#free.push([word, count])
    }
  }

  #meet (first: number, pages: number): void {
    if (first < 2 || first + pages - 1 > this.#lastPage) throw wrong(first)
    for (let number = first; number < first + pages; number++) {
      if (!this.#mark(number)) throw wrong(number)
    }
  }

  /** False if it was met before. */
  #mark (number: number): boolean {
    const bit = 1 << (number & 7)
    const isNew = (this.#met[number >> 3] & bit) === 0
    this.#met[number >> 3] |= bit
    return isNew
  }

  #read (number: number, page: Buffer): Buffer {
    const read = readSync(this.#file, page, 0, page.length, number * this.#pageBytes)
    if (read < page.length || page.readBigUInt64LE(0) !== BigInt(number)) throw wrong(number)
    // LMDB takes a page of a later transaction for one that it may write to.
    if (page.readBigUInt64LE(8) > this.#transaction) throw wrong(number)
    return page
  }
}

function wrongList (): Error {
  return new Error('its list of free pages is damaged')
}

function wrong (page: number): Error {
  return new Error(`page ${page} of its tree is damaged`)
}
