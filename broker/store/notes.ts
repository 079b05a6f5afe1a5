/**
 * Notes beside the log: written to the system at once but never synced, so they cost next to nothing and outlive the
 * process, though perhaps not the machine. They are hints: who reads them has to know whether they are newer than the
 * records.
 *
 * Two files take turns, so that one can be cleared while the other is written. Each begins with the run of the store
 * it belongs to: notes beside a log that was restored from a copy are none. A note is its length (u32), a check sum of
 * the rest (u32), the length of the key (u16), the key and the value.
 */
import { closeSync, constants, ftruncateSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import type { Note, Notes } from './store.ts'

const FILES = ['notes-0', 'notes-1'] as const
const HEAD_BYTES = 8
const KEY_LENGTH_BYTES = 2
const FILE_MODE = 0o600

export class NoteFiles implements Notes {
  readonly #folder: string
  readonly #run: string
  readonly #bytesMax: number
  readonly #found: readonly Note[]
  #turn = 0
  #file: number | undefined
  #at = 0
  #hasFailed = false
  /** Bounded by those who gather: they flush before anything is sent to a client. */
  #gathered: Buffer[] = []

  /**
   * @param previousRun of the store that wrote what is there
   * @param bytesMax of each file; what comes beyond it is left out until the files turn
   */
  constructor (folder: string, previousRun: string | undefined, run: string, bytesMax: number) {
    this.#folder = folder
    this.#run = run
    this.#bytesMax = bytesMax
    this.#found = previousRun === undefined ? [] : FILES.flatMap((name) => readNotes(join(folder, name), previousRun))
  }

  read (): readonly Note[] { return this.#found }

  write (key: string, value: Buffer): void {
    if (!this.#hasFailed) this.#gathered.push(encodeNote(key, value))
  }

  flush (): void {
    if (this.#gathered.length === 0) return
    const notes = this.#gathered.length === 1 ? this.#gathered[0] : Buffer.concat(this.#gathered)
    this.#gathered = []
    try {
      this.#file ??= this.#open()
      if (this.#at + notes.length > this.#bytesMax) return
      if (writeSync(this.#file, notes, 0, notes.length, this.#at) < notes.length) this.#hasFailed = true
      this.#at += notes.length
    } catch {
      this.#hasFailed = true // a full disk, say: tried again when the files turn
    }
  }

  turn (): void {
    this.flush()
    this.#close()
    this.#turn = 1 - this.#turn
    this.#hasFailed = false
  }

  /** All is in the records. */
  remove (): void {
    this.#gathered = []
    this.#close()
    for (const name of FILES) rmSync(join(this.#folder, name), { force: true })
  }

  #open (): number {
    const { O_RDWR, O_CREAT, O_NOFOLLOW } = constants
    const file = openSync(join(this.#folder, FILES[this.#turn]), O_RDWR | O_CREAT | O_NOFOLLOW, FILE_MODE)
    ftruncateSync(file)
    this.#at = writeSync(file, encodeNote(this.#run, Buffer.alloc(0)), 0)
    return file
  }

  #close (): void {
    if (this.#file !== undefined) closeSync(this.#file)
    this.#file = undefined
  }
}

function encodeNote (key: string, value: Buffer): Buffer {
  const keyBytes = Buffer.byteLength(key)
  const note = Buffer.allocUnsafe(HEAD_BYTES + KEY_LENGTH_BYTES + keyBytes + value.length)
  note.writeUInt32BE(note.length - HEAD_BYTES, 0)
  note.writeUInt16BE(keyBytes, HEAD_BYTES)
  note.write(key, HEAD_BYTES + KEY_LENGTH_BYTES)
  note.set(value, HEAD_BYTES + KEY_LENGTH_BYTES + keyBytes)
  note.writeUInt32BE(crc32(note.subarray(HEAD_BYTES)), 4)
  return note
}

/** As far as they are whole: the process, or the machine, may have ended within one. */
function readNotes (path: string, run: string): Note[] {
  let bytes: Buffer
  try {
    bytes = readFileSync(path)
  } catch {
    return []
  }
  const notes: Note[] = []
  for (let at = 0; at + HEAD_BYTES + KEY_LENGTH_BYTES <= bytes.length;) {
    const end = at + HEAD_BYTES + bytes.readUInt32BE(at)
    const body = bytes.subarray(at + HEAD_BYTES, end)
    if (end > bytes.length || body.length < KEY_LENGTH_BYTES || crc32(body) !== bytes.readUInt32BE(at + 4)) break
    const keyEnd = KEY_LENGTH_BYTES + body.readUInt16BE(0)
    notes.push({ key: body.toString('utf8', KEY_LENGTH_BYTES, keyEnd), value: body.subarray(keyEnd) })
    at = end
  }
  return notes[0]?.key === run ? notes.slice(1) : []
}
