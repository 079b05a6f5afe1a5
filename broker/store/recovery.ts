/** Opening a data folder: what must be in order before the store may use it, and what is done about what is not. */
import { randomUUID } from 'node:crypto'
import { accessSync, closeSync, constants, existsSync, fsyncSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { HoldfastError } from '../errors.ts'
import type { ErrorCode } from '../errors.ts'
import { ORIGIN } from '../message.ts'
import type { Offset } from '../message.ts'
import { Block, blockFault } from './block.ts'
import { BlockTable } from './block-table.ts'
import { checkDataFile } from './data-file.ts'
import { Engine } from './engine.ts'
import {
  afterKey, BLOCKS_END, BLOCKS_START, damagedKey, decodeState, encodeState, FORMAT, splitBlockKey, STATE_KEY
} from './layout.ts'
import type { Operation, State } from './layout.ts'
import { LiveBytes } from './live-bytes.ts'
import { lockFolder } from './lock.ts'
import type { FolderLock } from './lock.ts'
import type { Recovery } from './store.ts'

const CHUNK_BLOCKS = 128
/** Room for 126 readers and more. */
const LOCK_FILE_BYTES = 16_384
/** What is in it is for its owner alone; a folder that is there already keeps its mode. */
const FOLDER_MODE = 0o700

export interface OpenFolder {
  readonly lock: FolderLock
  readonly engine: Engine
  readonly blocks: BlockTable
  readonly live: LiveBytes
  readonly recovery: Recovery
  /** Of the store that was open before this one, and of this one. */
  readonly previousRun: string | undefined
  readonly run: string
}

/** Throws HoldfastError with one of the codes that begin with DATA_, naming the folder; then nothing stays open. */
export async function openFolder (path: string, makeEpoch: () => string): Promise<OpenFolder> {
  const folder = resolve(path)
  const made = attempt(folder, 'DATA_NOT_WRITABLE', () => makeFolder(folder))
  const lock = await attemptLater(folder, 'DATA_NOT_WRITABLE', () => lockFolder(folder))
  let engine: Engine | undefined
  try {
    const notes = attempt(folder, 'DATA_NOT_WRITABLE', () => checkDataFile(folder))
    attempt(folder, 'DATA_NOT_WRITABLE', () => allocateLockFile(folder))
    engine = await attemptLater(folder, 'DATA_DAMAGED', () => Engine.open(folder))
    const log = await recover(folder, engine, notes, makeEpoch)
    // The names of new files and folders must survive a power cut, too.
    syncFolders(folder, made)
    return { lock, engine, ...log }
  } catch (error) {
    await engine?.close()
    await lock.release()
    throw error
  }
}

async function recover (folder: string, engine: Engine, notes: string[], makeEpoch: () => string):
Promise<Omit<OpenFolder, 'lock' | 'engine'>> {
  const state = attempt(folder, 'DATA_DAMAGED', () => readState(engine)) ??
    { format: FORMAT, epoch: makeEpoch(), tail: ORIGIN, clean: true, run: undefined }
  if (state.format > FORMAT) {
    throw new HoldfastError('DATA_NEWER',
      `${folder} has format ${state.format}, this version reads up to ${FORMAT}. Use the version that wrote it`)
  }
  const found = await attemptLater(folder, 'DATA_DAMAGED', () => readBlocks(folder, engine))
  const tail = Math.max(state.tail, found.tail) as Offset
  const run = randomUUID()
  const changes = [...found.changes, { key: STATE_KEY, value: encodeState({ ...state, tail, clean: false, run }) }]
  await attemptLater(folder, 'DATA_NOT_WRITABLE', () => engine.commit(changes, false))

  if (!state.clean) {
    notes.unshift(`${folder} was not closed by its last server; the log is complete up to offset ${tail}.`)
  }
  const recovery = {
    epoch: state.epoch, tail, clean: state.clean, notes: [...notes, ...found.notes], damaged: found.damaged
  }
  return { blocks: found.blocks, live: found.live, recovery, previousRun: state.run, run }
}

function readState (engine: Engine): State | undefined {
  const value = engine.get(STATE_KEY)
  if (value !== undefined) return decodeState(value)
  if (engine.range(BLOCKS_START, BLOCKS_END, 1).length > 0) throw new Error('it has messages, but no state record')
  return undefined
}

interface FoundBlocks {
  readonly blocks: BlockTable
  readonly live: LiveBytes
  readonly tail: Offset
  /** Puts damaged blocks aside. */
  readonly changes: readonly Operation[]
  readonly damaged: readonly Offset[]
  readonly notes: readonly string[]
}

async function readBlocks (folder: string, engine: Engine): Promise<FoundBlocks> {
  const blocks = new BlockTable()
  const live = new LiveBytes()
  const changes: Operation[] = []
  const damaged: Offset[] = []
  const notes: string[] = []
  let tail = ORIGIN
  for (let start: Buffer = BLOCKS_START; ;) {
    const found = engine.range(start, BLOCKS_END, CHUNK_BLOCKS)
    if (found.length === 0) return { blocks, live, tail, changes, damaged, notes }
    for (const { key, value } of found) {
      const { first, count } = splitBlockKey(key)
      const last = first + count - 1 as Offset
      tail = last
      const fault = blockFault(value, first, count)
      if (fault === undefined) {
        addBlock(blocks, live, first, new Block(value))
        continue
      }
      notes.push(`The messages ${first} to ${last} in ${folder} are damaged and lost (${fault}); their bytes are kept.`)
      for (let offset = first; offset <= last; offset = offset + 1 as Offset) damaged.push(offset)
      changes.push({ key, value: null }, { key: damagedKey(key), value })
    }
    start = afterKey(found[found.length - 1].key)
    await new Promise(resolve => setImmediate(resolve))
  }
}

function addBlock (blocks: BlockTable, live: LiveBytes, first: Offset, block: Block): void {
  let messages = 0
  let bytes = 0
  for (let k = 0; k < block.count; k++) {
    const size = block.messageBytes(k)
    if (size < 0) continue
    live.add(first + k as Offset, size)
    messages++
    bytes += size
  }
  if (messages > 0) blocks.push({ first, count: block.count, live: messages, liveBytes: bytes, heldBytes: bytes })
}

/**
 * The first folder that was made, if one was. One folder at a time: where a file system makes none and says ENOENT
 * (/proc), Node's recursive mkdir never returns.
 */
function makeFolder (folder: string): string | undefined {
  const missing: string[] = []
  let there = folder
  for (; !existsSync(there); there = dirname(there)) missing.unshift(there)
  accessSync(there, constants.W_OK) // says why, where mkdir says ENOENT
  for (const path of missing) {
    try {
      mkdirSync(path, path === folder ? { mode: FOLDER_MODE } : {})
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error // another server was faster
    }
  }
  return missing[0]
}

/** LMDB maps this file and writes to it: on a full disk a hole in it would end the process (SIGBUS). */
function allocateLockFile (folder: string): void {
  const file = openSync(join(folder, 'lock.mdb'), constants.O_RDWR | constants.O_CREAT)
  try { writeSync(file, Buffer.alloc(LOCK_FILE_BYTES), 0, LOCK_FILE_BYTES, 0) } finally { closeSync(file) }
}

function syncFolders (folder: string, firstMade: string | undefined): void {
  const top = firstMade === undefined ? folder : dirname(resolve(firstMade))
  for (let path = folder; ; path = dirname(path)) {
    try {
      const fd = openSync(path, 'r')
      try { fsyncSync(fd) } finally { closeSync(fd) }
    } catch (error) {
      // A folder above may be none of ours to read.
      if (path === folder) throw explained(folder, 'DATA_NOT_WRITABLE', error)
    }
    if (path === top || path === dirname(path)) return
  }
}

function attempt<T> (folder: string, code: ErrorCode, action: () => T): T {
  try {
    return action()
  } catch (error) {
    throw explained(folder, code, error)
  }
}

async function attemptLater<T> (folder: string, code: ErrorCode, action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (error) {
    throw explained(folder, code, error)
  }
}

function explained (folder: string, code: ErrorCode, cause: unknown): HoldfastError {
  if (cause instanceof HoldfastError) return cause
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new HoldfastError(code, `${folder} (${reason})`, { cause })
}
