/**
 * How much address space LMDB may set aside for a file. It must be asked before: where the system has none left, the
 * package (lmdb 3.5.6) does not throw but ends the process (SIGSEGV). That is so for the 70th environment of a process,
 * under `ulimit -v`, and on machines with addresses of 39 bits.
 */
import { readFileSync } from 'node:fs'
import { HoldfastError } from '../model/errors.ts'

/** The first that leaves enough to others: growing inside costs nothing, growing beyond a new mapping. */
const MAP_BYTES = [2 ** 40, 2 ** 36, 2 ** 33]
/** One environment takes so small a part of what is free: others come, and the heap grows. */
const PARTS = 4
/** As a last resort. */
const PARTS_MIN = 2
/** Where addresses can't be looked at: 47 bits, the least of what 64-bit systems that are not Linux have. */
const UNKNOWN_BYTES = 2 ** 47
const MAPPED = /^([0-9a-f]+)-([0-9a-f]+) /gm
/** What the kernel has mapped for itself lies above. */
const USER_END = 2 ** 57
const ADDRESS_LIMIT = /^Max address space +(\d+)/m

/**
 * @param freeBytes in one piece
 * @param fileBytes what there is already, which is mapped in any case
 * @throws HoldfastError MEMORY_FULL
 */
export function mapBytes (freeBytes: number, fileBytes: number): number {
  const size = MAP_BYTES.find(bytes => bytes >= fileBytes && bytes * PARTS <= freeBytes)
  if (size !== undefined) return size
  const least = Math.max(fileBytes, MAP_BYTES.at(-1)!)
  if (least * PARTS_MIN <= freeBytes) return least
  throw new HoldfastError('MEMORY_FULL', `a log needs ${gib(least * PARTS_MIN)} GiB of address space, and this ` +
    `process has ${gib(freeBytes)} GiB left; raise its limit (ulimit -v), or open fewer data folders in one process`)
}

function gib (bytes: number): number {
  return Math.ceil(bytes / 2 ** 30)
}

/** The longest piece of address space that this process can still map. */
export function largestFreeBytes (): number {
  try {
    return freeOf(readFileSync('/proc/self/maps', 'latin1'), readFileSync('/proc/self/limits', 'latin1'))
  } catch {
    return UNKNOWN_BYTES
  }
}

/** Of the files `maps` and `limits` that Linux has for a process. The stack lies at the end of what it may map. */
export function freeOf (maps: string, limits: string): number {
  let end = 0
  let mapped = 0
  let free = 0
  for (const [, from, to] of maps.matchAll(MAPPED)) {
    const start = parseInt(from, 16)
    if (start >= USER_END) break
    free = Math.max(free, start - end)
    end = parseInt(to, 16)
    mapped += end - start
  }
  const limit = ADDRESS_LIMIT.exec(limits)?.[1]
  return limit === undefined ? free : Math.min(free, Number(limit) - mapped)
}
