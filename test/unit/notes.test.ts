/** Notes beside the log: what is whole and of the same run is found again; what goes wrong is nobody's error. */
import { appendFileSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { NoteFiles } from '../../broker/store/notes.ts'
import { tempFolder } from '../helpers/temp.ts'

const RUN = 'run-1'
const NEXT = 'run-2'
const BYTES_MAX = 1_000

function words (folder: string, previousRun: string | undefined = RUN): string[] {
  const notes = new NoteFiles(folder, previousRun, NEXT, BYTES_MAX).read()
  return notes.map(({ key, value }) => `${key}=${value.toString()}`)
}

function write (notes: NoteFiles, ...pairs: string[]): void {
  for (const pair of pairs) {
    const [key, value] = pair.split('=')
    notes.write(key, Buffer.from(value))
  }
  notes.flush()
}

t.test('what was written is found by the next one, for its owner alone', async t => {
  const folder = tempFolder(t)
  const notes = new NoteFiles(folder, undefined, RUN, BYTES_MAX)
  t.same(notes.read(), [])
  write(notes, 'ü=1', 'b=2', 'ü=3')
  t.same(words(folder), ['ü=1', 'b=2', 'ü=3'])
  t.equal(statSync(join(folder, 'notes-0')).mode & 0o777, 0o600)
})

t.test('[G2] notes of another run are none: the log was put back from a copy, say', async t => {
  const folder = tempFolder(t)
  write(new NoteFiles(folder, undefined, RUN, BYTES_MAX), 'a=1')
  t.same(words(folder, 'another'), [])
  t.same(new NoteFiles(folder, undefined, NEXT, BYTES_MAX).read(), [])
})

t.test('the files take turns: what is from before the last turn but one is gone', async t => {
  const folder = tempFolder(t)
  const notes = new NoteFiles(folder, undefined, RUN, BYTES_MAX)
  write(notes, 'a=1')
  notes.turn()
  write(notes, 'a=2')
  t.same(words(folder).sort(), ['a=1', 'a=2'])
  notes.turn()
  write(notes, 'a=3')
  t.same(words(folder).sort(), ['a=2', 'a=3'])
  notes.remove()
  t.same(readdirSync(folder), [])
})

t.test('what is torn or damaged ends the notes of its file, wherever it is', async t => {
  const folder = tempFolder(t)
  const notes = new NoteFiles(folder, undefined, RUN, BYTES_MAX)
  write(notes, 'a=1', 'b=2', 'c=3')
  const path = join(folder, 'notes-0')
  const whole = readFileSync(path)
  const found = new Set<string>()
  for (let bytes = 0; bytes <= whole.length; bytes++) {
    writeFileSync(path, whole)
    truncateSync(path, bytes)
    found.add(words(folder).join())
    writeFileSync(path, whole.map((byte, i) => i === bytes ? byte ^ 4 : byte))
    found.add(words(folder).join())
  }
  t.same([...found].sort(), ['', 'a=1', 'a=1,b=2', 'a=1,b=2,c=3'])
  writeFileSync(path, whole)
  appendFileSync(path, Buffer.alloc(5_000))
  t.same(words(folder), ['a=1', 'b=2', 'c=3'], 'zeros behind them')
})

t.test('[G6] a file is no larger than its bound; after the turn there is room', async t => {
  const folder = tempFolder(t)
  const notes = new NoteFiles(folder, undefined, RUN, BYTES_MAX)
  for (let i = 0; i < 100; i++) write(notes, `a=${'x'.repeat(100)}`)
  t.ok(statSync(join(folder, 'notes-0')).size <= BYTES_MAX)
  notes.turn()
  write(notes, 'a=1')
  t.ok(words(folder).includes('a=1'))
})

t.test('a folder that is gone is no error of those who note', async t => {
  const folder = tempFolder(t)
  const notes = new NoteFiles(folder, undefined, RUN, BYTES_MAX)
  rmSync(folder, { recursive: true })
  t.doesNotThrow(() => { write(notes, 'a=1') })
  t.doesNotThrow(() => { notes.turn() })
})
