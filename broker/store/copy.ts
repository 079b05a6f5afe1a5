/**
 * Whole copies of a data folder: a backup beside a server that runs or stopped, and a file without what is free in it.
 * What a backup has made is looked at as closely as at a start, and only then gets the name that a server looks for.
 *
 * A copy says so in its state: the log may have gone on after it was made, and clients may know places of that. So
 * whoever opens it gives it another epoch, each time it is restored (docs/decisions/0022-operation.md) [G2].
 */
import {
  closeSync, fsyncSync, mkdirSync, mkdtempSync, openSync, readdirSync, renameSync, rmSync, statSync
} from 'node:fs'
import { join, resolve } from 'node:path'
import { HoldfastError } from '../model/errors.ts'
import { Block, blockFault } from './block.ts'
import { checkDataFile, DATA_FILE } from './data-file.ts'
import { Engine } from './engine.ts'
import { afterKey, BLOCKS_END, BLOCKS_START, splitBlockKey } from './layout.ts'
import { lockFolder } from './lock.ts'
import { checkRecords } from './record-check.ts'
import { readState, STATE_KEYS, stateOperations } from './state.ts'

const CHUNK_BLOCKS = 128
const CHUNK_BYTES = 16_777_216
const FOLDER_MODE = 0o700

/** What is in a copy. */
export interface CopyReport {
  readonly messages: number
  readonly bytes: number
  /** What was found damaged; it was so in the folder that was copied, too. */
  readonly notes: readonly string[]
}

/** Where a copy is made before it is known to be whole: a folder of its own inside the one it is for. */
export interface Draft { readonly target: string, readonly folder: string }

/** Throws HoldfastError DATA_NOT_WRITABLE: the target is there and not empty, or can't be made. */
export function beginCopy (path: string): Draft {
  const target = resolve(path)
  try {
    mkdirSync(target, { recursive: true, mode: FOLDER_MODE })
    if (readdirSync(target).length > 0) {
      throw new HoldfastError('DATA_NOT_WRITABLE', `${target} is not empty; name a folder that is, or is not there yet`)
    }
    return { target, folder: mkdtempSync(join(target, 'partial-')) }
  } catch (cause) {
    if (cause instanceof HoldfastError) throw cause
    throw new HoldfastError('DATA_NOT_WRITABLE', `${target} (${(cause as Error).message})`, { cause })
  }
}

/** So many bytes are there already. */
export function copiedBytes ({ folder }: Draft): number {
  return statSync(join(folder, DATA_FILE), { throwIfNoEntry: false })?.size ?? 0
}

/** Of a folder that no server uses meanwhile: it is locked. Throws HoldfastError as Store.open() does. */
export async function copyStopped (source: string, { folder }: Draft): Promise<void> {
  await withEngine(resolve(source), async (engine) => { await engine.copyTo(folder) })
}

/** Looks at all that is in a copy, marks it, and gives it its name. Throws HoldfastError DATA_DAMAGED. */
export async function finishCopy ({ target, folder }: Draft): Promise<CopyReport> {
  checkDataFile(folder)
  const engine = await Engine.open(folder)
  let report: CopyReport
  try {
    const found = readState(folder, STATE_KEYS.map((key) => engine.get(key)))
    if (found === undefined) throw new HoldfastError('DATA_DAMAGED', `${folder} has no state record`)
    report = await look(folder, engine)
    await engine.commit(stateOperations({ ...found.state, isCopy: true }), false)
  } finally {
    await engine.close()
  }
  sync(join(folder, DATA_FILE))
  renameSync(join(folder, DATA_FILE), join(target, DATA_FILE))
  rmSync(folder, { recursive: true })
  sync(target)
  return report
}

/** Leaves the target as it was: empty. */
export function dropCopy ({ folder }: Draft): void {
  rmSync(folder, { recursive: true, force: true })
}

/**
 * Writes the data file of a stopped server anew, without what is free in it. A crash leaves the one or the other.
 * Throws HoldfastError as Store.open() does.
 */
export async function compactFolder (path: string): Promise<{ readonly before: number, readonly after: number }> {
  const folder = resolve(path)
  const file = join(folder, DATA_FILE)
  assertUsed(folder)
  const lock = await lockFolder(folder)
  let draft: string | undefined
  try {
    checkDataFile(folder)
    const before = statSync(file).size
    draft = mkdtempSync(join(folder, 'compact-'))
    const engine = await Engine.open(folder)
    try {
      await engine.copyTo(draft)
    } finally {
      await engine.close()
    }
    checkDataFile(draft)
    sync(join(draft, DATA_FILE))
    renameSync(join(draft, DATA_FILE), file)
    sync(folder)
    return { before, after: statSync(file).size }
  } finally {
    if (draft !== undefined) rmSync(draft, { recursive: true, force: true })
    await lock.release()
  }
}

/** Throws HoldfastError DATA_MISSING: opening would make one. */
function assertUsed (folder: string): void {
  if ((statSync(join(folder, DATA_FILE), { throwIfNoEntry: false })?.size ?? 0) > 0) return
  throw new HoldfastError('DATA_MISSING', `no server has used ${folder} yet`)
}

async function withEngine (folder: string, work: (engine: Engine) => Promise<void>): Promise<void> {
  assertUsed(folder)
  const lock = await lockFolder(folder)
  try {
    checkDataFile(folder)
    const engine = await Engine.open(folder)
    try {
      await work(engine)
    } finally {
      await engine.close()
    }
  } finally {
    await lock.release()
  }
}

async function look (folder: string, engine: Engine): Promise<CopyReport> {
  const notes = [...(await checkRecords(folder, engine)).notes]
  let messages = 0
  let bytes = 0
  for (let start: Buffer = BLOCKS_START; ;) {
    const found = engine.range(start, BLOCKS_END, CHUNK_BLOCKS, CHUNK_BYTES)
    if (found.length === 0) return { messages, bytes, notes }
    for (const { key, value } of found) {
      const { first, count } = splitBlockKey(key)
      const fault = blockFault(value, first, count)
      if (fault !== undefined) {
        notes.push(`The messages ${first} to ${first + count - 1} are damaged (${fault}).`)
        continue
      }
      const block = new Block(value)
      for (let k = 0; k < count; k++) {
        const size = block.messageBytes(k)
        if (size < 0) continue
        messages++
        bytes += size
      }
    }
    start = afterKey(found[found.length - 1].key)
  }
}

function sync (path: string): void {
  const fd = openSync(path, 'r')
  try { fsyncSync(fd) } finally { closeSync(fd) }
}
