/**
 * A look at LMDB's file before LMDB maps it: a file that is cut short would kill the process (SIGBUS) and a head
 * full of noise would lead it anywhere. Knows the head of data format 2 and nothing else:
 * two pages, each with a page header of 24 bytes and then the fields below.
 */
import { closeSync, fstatSync, ftruncateSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { HoldfastError } from '../model/errors.ts'
import { TreeCheck } from './tree-check.ts'

export const DATA_FILE = 'data.mdb'

const MAGIC = 0xBEEFC0DE
const DATA_FORMAT = 2
const META_FLAG = 0x08
const HEAD_BYTES = 168
const PAGE_BYTES_MIN = 256
const PAGE_BYTES_MAX = 65_536
const PAGES_MAX = 2 ** 48
const NO_ROOT = 2n ** 64n - 1n

// Places in a head page.
const AT = {
  flags: 18, magic: 24, version: 28, pageBytes: 48, freeRoot: 88, mainRoot: 136, lastPage: 144, transaction: 152
}

export interface Head {
  readonly pageBytes: number
  readonly lastPage: number
  readonly transaction: bigint
  /** Of the tree of free pages and of the tree of all else; undefined where it is empty. */
  readonly freeRoot: number | undefined
  readonly mainRoot: number | undefined
}

/**
 * What was found and done, in sentences. Throws HoldfastError DATA_DAMAGED or DATA_NEWER, naming the file.
 * A file that is too short is made longer again with empty pages: what was in them is then found damaged, and the rest
 * can be read.
 */
export function checkDataFile (folder: string): string[] {
  const path = join(folder, DATA_FILE)
  let file: number
  try {
    file = openSync(path, 'r+')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
  try {
    const bytes = fstatSync(file).size
    if (bytes === 0) return []
    const [first, second] = readHeads(file, path)
    const lastPage = Math.max(first.lastPage, second.lastPage)
    const needed = (lastPage + 1) * first.pageBytes
    if (bytes < needed) ftruncateSync(file, needed)
    checkTrees(file, path, newerOf(first, second, path), lastPage)
    return bytes >= needed ? [] : [`${path} had ${bytes} bytes and must have ${needed}: its end was missing.`]
  } finally {
    closeSync(file)
  }
}

/** That of the last transaction. Where a head could not be written, LMDB leaves one with other roots, and older. */
export function newerOf (first: Head, second: Head, path: string): Head {
  const newer = second.transaction > first.transaction ? second : first
  const { freeRoot = 0, mainRoot = 0, lastPage } = newer
  if (freeRoot > lastPage || mainRoot > lastPage) throw damaged(path, 'its head makes no sense')
  return newer
}

/** Both. Throws HoldfastError DATA_DAMAGED or DATA_NEWER, naming the file. */
export function readHeads (file: number, path: string): [Head, Head] {
  const first = readHead(file, 0, path)
  const second = readHead(file, first.pageBytes, path)
  if (second.pageBytes !== first.pageBytes) throw damaged(path, 'its two heads contradict each other')
  return [first, second]
}

/** Of the second head, behind the first page. */
export const HEADS_BYTES = HEAD_BYTES

/**
 * The numbers of the transactions of both heads, by one read; undefined where these are no heads.
 * @param bytes a page and HEADS_BYTES long; is overwritten
 */
export function readTransactions (file: number, bytes: Buffer): [bigint, bigint] | undefined {
  if (readSync(file, bytes, 0, bytes.length, 0) < bytes.length) return undefined
  const second = bytes.length - HEAD_BYTES
  if (bytes.readUInt32LE(AT.magic) !== MAGIC || bytes.readUInt32LE(second + AT.magic) !== MAGIC) return undefined
  return [bytes.readBigUInt64LE(AT.transaction), bytes.readBigUInt64LE(second + AT.transaction)]
}

function checkTrees (file: number, path: string, head: Head, lastPage: number): void {
  const check = new TreeCheck(file, head.pageBytes, lastPage, head.transaction)
  try {
    if (head.freeRoot !== undefined) check.walk(head.freeRoot, false)
    if (head.mainRoot !== undefined) check.walk(head.mainRoot, true)
    check.checkFree()
  } catch (error) {
    throw damaged(path, (error as Error).message)
  }
}

function readHead (file: number, position: number, path: string): Head {
  const head = Buffer.alloc(HEAD_BYTES)
  if (readSync(file, head, 0, HEAD_BYTES, position) < HEAD_BYTES) throw damaged(path, 'it ends within its head')
  if (head.readUInt32LE(AT.magic) !== MAGIC || (head.readUInt16LE(AT.flags) & META_FLAG) === 0) {
    throw damaged(path, `its head at byte ${position} is not LMDB's`)
  }
  const version = head.readUInt32LE(AT.version) & 0xFFFF
  if (version !== DATA_FORMAT) {
    throw new HoldfastError('DATA_NEWER', `${path} has LMDB data format ${version}, this version reads ${DATA_FORMAT}`)
  }
  const pageBytes = head.readUInt32LE(AT.pageBytes)
  const lastPage = Number(head.readBigUInt64LE(AT.lastPage))
  const transaction = head.readBigUInt64LE(AT.transaction)
  const [freeRoot, mainRoot] = [AT.freeRoot, AT.mainRoot].map(at => {
    const root = head.readBigUInt64LE(at)
    return root === NO_ROOT ? undefined : Number(root)
  })
  const sound = pageBytes >= PAGE_BYTES_MIN && pageBytes <= PAGE_BYTES_MAX && (pageBytes & (pageBytes - 1)) === 0 &&
    lastPage >= 1 && lastPage < PAGES_MAX && transaction < PAGES_MAX
  if (!sound) throw damaged(path, `its head at byte ${position} makes no sense`)
  return { pageBytes, lastPage, transaction, freeRoot, mainRoot }
}

function damaged (path: string, what: string): HoldfastError {
  return new HoldfastError('DATA_DAMAGED',
    `${path}: ${what}. Restore the folder from a copy, or move it away to begin with an empty log`)
}
