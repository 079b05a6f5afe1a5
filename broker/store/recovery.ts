/** Opening a data folder: what must be in order before the store may use it, and what is done about what is not. */
import { randomUUID } from 'node:crypto'
import { accessSync, closeSync, constants, existsSync, fsyncSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { HoldfastError } from '../model/errors.ts'
import type { ErrorCode } from '../model/errors.ts'
import { ORIGIN } from '../model/message.ts'
import type { Offset } from '../model/message.ts'
import { Block, blockFault } from './block.ts'
import { BlockTable } from './block-table.ts'
import { checkDataFile } from './data-file.ts'
import { Engine } from './engine.ts'
import { afterKey, BLOCKS_END, BLOCKS_START, damagedKey, splitBlockKey, type Operation } from './layout.ts'
import { LiveBytes } from './live-bytes.ts'
import { lockFolder } from './lock.ts'
import type { FolderLock } from './lock.ts'
import { checkRecords, mendedBlock } from './record-check.ts'
import { FORMAT, readState, STATE_KEYS, stateOperations, type State } from './state.ts'
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
  const created = attempt(folder, 'DATA_NOT_WRITABLE', () => makeFolder(folder))
  const lock = await attemptLater(folder, 'DATA_NOT_WRITABLE', () => lockFolder(folder))
  let engine: Engine | undefined
  try {
    const notes = attempt(folder, 'DATA_NOT_WRITABLE', () => checkDataFile(folder))
    attempt(folder, 'DATA_NOT_WRITABLE', () => allocateLockFile(folder))
    engine = await attemptLater(folder, 'DATA_DAMAGED', () => Engine.open(folder))
    const log = await recover(folder, engine, notes, makeEpoch)
    // The names of new files and folders must survive a power cut, too.
    syncFolders(folder, created)
    return { lock, engine, ...log }
  } catch (error) {
    await engine?.close()
    await lock.release()
    throw error
  }
}

async function recover (folder: string, engine: Engine, notes: string[], makeEpoch: () => string):
Promise<Omit<OpenFolder, 'lock' | 'engine'>> {
  const state = attempt(folder, 'DATA_DAMAGED', () => stateOf(folder, engine, notes)) ??
    { format: FORMAT, epoch: makeEpoch(), tail: ORIGIN, clean: true, run: undefined }
  const isCopy = state.isCopy === true
  // clients may know places that the log has come to after it was copied: they must mean nothing here [G2]
  const epoch = isCopy ? makeEpoch() : state.epoch
  const records = await attemptLater(folder, 'DATA_DAMAGED', () => checkRecords(folder, engine))
  const move = async (moves: readonly Operation[]): Promise<void> => {
    if (moves.length > 0) await attemptLater(folder, 'DATA_NOT_WRITABLE', () => engine.commit(moves, false))
  }
  const read = async (): Promise<FoundBlocks> =>
    await attemptLater(folder, 'DATA_DAMAGED', () => readBlocks(folder, engine, state.tail))
  await move(records.moves)
  let found = await read()
  if (found.moves.length > 0) {
    await move(found.moves)
    notes.push(`Blocks of messages in ${folder} had damaged keys; they are in their places again.`)
    found = await read()
  }
  const tail = Math.max(state.tail, found.tail) as Offset
  const run = randomUUID()
  const opened = stateOperations({ format: FORMAT, epoch, tail, clean: false, run })
  const changes = [...records.changes, ...found.changes, ...opened]
  await attemptLater(folder, 'DATA_NOT_WRITABLE', () => engine.commit(changes, false))

  if (isCopy) {
    notes.unshift(`${folder} is a copy that a backup made: what was acknowledged after it ` +
      'comes again, what was published after it is gone. The time since then counts as none.')
  } else if (!state.clean) {
    notes.unshift(`${folder} was not closed by its last server; the log is complete up to offset ${tail}.`)
  }
  const recovery = {
    epoch,
    isCopy,
    tail,
    clean: state.clean,
    notes: [...notes, ...records.notes, ...found.notes],
    damaged: found.damaged,
    damagedRecords: records.damaged
  }
  return { blocks: found.blocks, live: found.live, recovery, previousRun: state.run, run }
}

function stateOf (folder: string, engine: Engine, notes: string[]): State | undefined {
  const found = readState(folder, STATE_KEYS.map(key => engine.get(key)))
  if (found === undefined) {
    if (engine.range(BLOCKS_START, BLOCKS_END, 1).length > 0) throw new Error('it has messages, but no state record')
    return undefined
  }
  if (found.isHalf) {
    notes.push(`One of the two copies of the state record in ${folder} is damaged; it is written anew.`)
  }
  return found.state
}

interface FoundBlocks {
  readonly blocks: BlockTable
  readonly live: LiveBytes
  readonly tail: Offset
  /** Puts damaged blocks aside. */
  readonly changes: readonly Operation[]
  /** Brings sound blocks under their own keys; then all is to be read again. */
  readonly moves: readonly Operation[]
  readonly damaged: readonly Offset[]
  readonly notes: readonly string[]
}

async function readBlocks (folder: string, engine: Engine, stateTail: Offset): Promise<FoundBlocks> {
  const blocks = new BlockTable()
  const live = new LiveBytes()
  const changes: Operation[] = []
  const moves: Operation[] = []
  const damaged: Offset[] = []
  const notes: string[] = []
  let tail: Offset = ORIGIN
  /** Where key and block contradict each other, all up to the next sound block may be lost. */
  let lostAfter: Offset | undefined
  const lose = (from: number, to: number): void => {
    for (let offset = from; offset <= to; offset++) damaged.push(offset as Offset)
  }
  for (let start: Buffer = BLOCKS_START; ;) {
    const found = engine.range(start, BLOCKS_END, CHUNK_BLOCKS)
    if (found.length === 0) {
      if (lostAfter !== undefined) lose(lostAfter + 1, stateTail)
      return { blocks, live, tail, changes, moves, damaged, notes }
    }
    for (const { key, value } of found) {
      const { first, count } = splitBlockKey(key)
      const last = first + count - 1 as Offset
      const fault = blockFault(value, first, count)
      if (fault === undefined) {
        if (lostAfter !== undefined) lose(lostAfter + 1, first - 1)
        lostAfter = undefined
        addBlock(blocks, live, first, new Block(value))
        tail = last
        continue
      }
      const right = mendedBlock(value)
      changes.push({ key, value: null })
      if (right !== undefined && engine.get(right.key) === undefined) {
        moves.push({ key, value: null }, right)
        continue
      }
      changes.push({ key: damagedKey(key), value })
      const said = Block.placeOf(value)
      if (said?.first === first && said.count === count && first > tail) {
        notes.push(
          `The messages ${first} to ${last} in ${folder} are damaged and lost (${fault}); their bytes are kept.`)
        lose(first, last)
        tail = last
      } else {
        notes.push(`Messages after ${tail} in ${folder} are damaged and lost with their place; their bytes are kept.`)
        lostAfter ??= tail
      }
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

function syncFolders (folder: string, firstCreated: string | undefined): void {
  const top = firstCreated === undefined ? folder : dirname(resolve(firstCreated))
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
  // LMDB met something in the file that it can't go on with, whatever was to be done.
  const isDamage = /^MDB_(BAD_TXN|CORRUPTED|INVALID|PAGE_NOTFOUND|PANIC|PROBLEM)/.test(reason)
  return new HoldfastError(isDamage ? 'DATA_DAMAGED' : code, `${folder} (${reason})`, { cause })
}
