/** Records of a data folder that are not as they were written: told, put right or put aside, and never believed. */
import { cpSync, openSync, closeSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createEmbeddedStore } from '../../broker/store/embedded.ts'
import { Engine } from '../../broker/store/engine.ts'
import { blockKey, damagedKey, recordKey } from '../../broker/store/layout.ts'
import { encodeState, FORMAT, STATE_KEYS } from '../../broker/store/state.ts'
import type { Offset } from '../../broker/model/message.ts'
import { TABLES, type Recovery, type Store, type Table } from '../../broker/store/store.ts'
import { chooseSeed, createRandom } from '../helpers/random.ts'
import { batch, entry, headers, many, put, read, record, records } from './store-words.ts'

const KEYS = ['one', 'two', 'three']
const MESSAGES = 40

t.test('a damaged record of any table is lost alone, told, and kept for who looks into it [G5]', async t => {
  const whole = await filled(t.testdir())
  for (const table of TABLES) {
    const folder = copy(whole, table)
    const key = recordKey(table, 'two')
    await damage(folder, key, value => { value[10] ^= 0x18 })
    const { store, recovery } = await reopen(folder)
    t.same(recovery.damagedRecords, [{ table, key: 'two' }], table)
    t.match(recovery.notes, [new RegExp(`The record "two" of '${table}' in .* is damaged and lost`)], table)
    t.equal(await store.get(table, 'two'), undefined)
    for (const other of TABLES) {
      const left = KEYS.filter(one => other !== table || one !== 'two').sort()
      t.same((await records(store, other)).map(one => one.key), left, `${other} beside ${table}`)
    }
    t.same(await read(store, [1, MESSAGES]), [entry(1), entry(MESSAGES)])
    await store.append(batch([], [put(table, 'two', 'anew', 0)]))
    await store.close()
    const again = await reopen(folder)
    t.match(again.recovery, { notes: [], damagedRecords: [] }, 'it is told once')
    t.same(await again.store.get(table, 'two'), record('two', 'anew', MESSAGES))
    await again.store.close()
    const engine = await Engine.open(folder)
    t.ok(engine.get(damagedKey(key)), 'its bytes are kept')
    await engine.close()
  }
})

t.test('one flipped bit of a record is put right, and said', async t => {
  const whole = await filled(t.testdir())
  for (const [i, table] of TABLES.entries()) {
    const folder = copy(whole, table)
    await damage(folder, recordKey(table, 'two'), value => { value[i] ^= 1 << i })
    const { store, recovery } = await reopen(folder)
    t.same(recovery.damagedRecords, [])
    t.match(recovery.notes, [/could be put right; nothing of it is lost/])
    t.same(await store.get(table, 'two'), record('two', `two of ${table}`, 3))
    await store.close()
    const again = await reopen(folder)
    t.same(again.recovery.notes, [])
    await again.store.close()
  }
})

t.test('a record under a key that is not its own is seen: another name, another table, none at all', async t => {
  const whole = await filled(t.testdir())
  const key = recordKey('sessions', 'two')
  const cases: Array<[string, (wrong: Buffer) => void, table: Table | undefined]> = [
    ['name', wrong => { wrong[2] ^= 0x22 }, 'sessions'],
    ['table', wrong => { wrong[0] ^= 0x03; wrong[2] ^= 0x22 }, 'filters'],
    ['unknown', wrong => { wrong[0] ^= 0x70 }, undefined]
  ]
  for (const [name, change, table] of cases) {
    const folder = copy(whole, name)
    const wrong = Buffer.from(key)
    change(wrong)
    await rename(folder, key, wrong)
    const { store, recovery } = await reopen(folder)
    t.same(recovery.damagedRecords, [{ table, key: wrong.toString('utf8', 1) }], name)
    for (const one of TABLES) {
      const found = (await records(store, one)).map(({ key }) => key)
      t.same(found, (one === 'sessions' ? ['one', 'three'] : [...KEYS].sort()), `${name}: ${one}`)
    }
    await store.close()
  }
  const folder = copy(whole, 'one bit')
  await rename(folder, key, Buffer.from(key).fill(key[1] ^ 2, 1, 2))
  const { store, recovery } = await reopen(folder)
  t.same(recovery.damagedRecords, [])
  t.same(await store.get('sessions', 'two'), record('two', 'two of sessions', 3), 'one bit is put right')
  await store.close()
})

t.test('a block under a key that is not its own comes back to its place [G2]', async t => {
  const whole = await filled(t.testdir())
  const key = blockKey(11 as never, 10)
  for (const at of [0, 2, 8, 10]) { // of what it is, of its place, and of how many messages
    const folder = copy(whole, `byte-${at}`)
    const wrong = Buffer.from(key)
    wrong[at] ^= 0x60
    await rename(folder, key, wrong)
    const { store, recovery } = await reopen(folder)
    t.match(recovery, { tail: MESSAGES, damaged: [], damagedRecords: [] })
    t.equal(recovery.notes.length, 1)
    t.equal((await headers(store)).length, MESSAGES)
    t.same(await read(store, [11, 20]), [entry(11), entry(20)])
    await store.close()
  }
})

t.test('of the two copies of the state one is enough', async t => {
  const whole = await filled(t.testdir())
  for (const [i, key] of STATE_KEYS.entries()) {
    const folder = copy(whole, String(i))
    await damage(folder, key, value => { value[20] ^= 1 })
    const { store, recovery } = await reopen(folder)
    t.match(recovery, { tail: MESSAGES, clean: true, epoch: 'epoch' })
    t.match(recovery.notes, [/One of the two copies of the state record/])
    await store.close()
    const again = await reopen(folder)
    t.same(again.recovery.notes, [])
    await again.store.close()
  }
})

t.test('a folder of an older format is refused in a sentence that says what to do, and left alone', async t => {
  const folder = await filled(t.testdir())
  const first = Buffer.from('{"format":1,"epoch":"e","tail":7,"clean":true}')
  const second = encodeState({ format: 2, epoch: 'e', tail: 7 as never, clean: true })
  for (const [format, value] of [[1, first], [2, second]] as const) {
    const engine = await Engine.open(folder)
    await engine.commit([{ key: STATE_KEYS[0], value }, { key: STATE_KEYS[1], value: null }], false)
    await engine.close()
    const says = new RegExp(`older version: .* has format ${format}, this version reads ${FORMAT} .* move it away`)
    await t.rejects(createEmbeddedStore({ folder }).open(), { code: 'DATA_OLDER', message: says })
    const still = await Engine.open(folder)
    t.same(still.get(STATE_KEYS[0]), value)
    await still.close()
  }
})

t.test('a record that turns bad while the server runs is left out and reported once', async t => {
  const folder = await filled(t.testdir())
  const reports: string[] = []
  const store = createEmbeddedStore({ folder, report: sentence => reports.push(sentence) })
  await store.open()
  const places = placesOf(folder, 'two of retained')
  for (const at of places) overwrite(folder, at, Buffer.from('!!'))
  for (let n = 0; n < 3; n++) t.equal(await store.get('retained', 'two'), undefined)
  t.same((await records(store, 'retained')).map(({ key }) => key), ['one', 'three'])
  t.match(reports, [/The record "two" of 'retained' in .* is damaged and can not be read/])
  t.equal(reports.length, 1)
  for (const at of places) overwrite(folder, at, Buffer.from('uw'))
  t.same(await store.get('retained', 'two'), record('two', 'two of retained', 3), 'one bit is nothing')
  await store.close()
})

t.test('a flipped bit anywhere: everything is as it was written, or told, or refused [G2] [G5]', async t => {
  const whole = await filled(t.testdir())
  const random = createRandom(chooseSeed())
  t.comment(`seed ${random.seed}`)
  const size = usedBytes(whole)
  for (let n = 0; n < 60; n++) {
    const folder = copy(whole, `flip-${n}`)
    const at = random.int(size)
    const byte = readFileSync(join(folder, 'data.mdb'))[at]
    overwrite(folder, at, Buffer.from([byte ^ 1 << random.int(8)]))
    const store = createEmbeddedStore({ folder })
    const opened = await store.open().catch((error: unknown) => error)
    if (opened instanceof Error) {
      t.match(opened, { code: 'DATA_DAMAGED', message: folder })
      continue
    }
    const { damaged, damagedRecords } = opened as Recovery
    const offsets = (await headers(store)).map(h => h.offset)
    const known = new Set([...offsets, ...damaged])
    t.same(many(1, MESSAGES).map((_, i) => i + 1).filter(offset => !known.has(offset as Offset)), [], `at ${at}`)
    t.same(await read(store, offsets), offsets.map(entry))
    let found = 0
    for (const table of TABLES) {
      for (const one of await records(store, table)) {
        t.same(one, record(one.key, `${one.key} of ${table}`, 3), `at ${at}`)
        found++
      }
    }
    t.ok(found + damagedRecords.length >= TABLES.length * KEYS.length, `at ${at}: every record is there or told`)
    await store.append(batch(many(MESSAGES + 1, 5), [], offsets)) // nothing that is free is in use
    await store.close()
  }
})

/** A folder with 40 messages in blocks of ten, and three records in each table, closed. */
async function filled (base: string): Promise<string> {
  const folder = join(base, 'data')
  const store = createEmbeddedStore({ folder, makeEpoch: () => 'epoch' })
  await store.open()
  const changes = TABLES.flatMap(table => KEYS.map(key => put(table, key, `${key} of ${table}`, 3)))
  await store.append(batch(many(1, 10), changes))
  for (let from = 11; from < MESSAGES; from += 10) await store.append(batch(many(from, 10)))
  await store.close()
  return folder
}

function copy (whole: string, name: string): string {
  const folder = join(whole, '..', `copy-${name}`)
  cpSync(whole, folder, { recursive: true })
  return folder
}

async function reopen (folder: string): Promise<{ store: Store, recovery: Recovery }> {
  const store = createEmbeddedStore({ folder })
  return { store, recovery: await store.open() }
}

async function damage (folder: string, key: Buffer, change: (value: Buffer) => void): Promise<void> {
  const engine = await Engine.open(folder)
  const value = engine.get(key)!
  change(value)
  await engine.commit([{ key, value }], false)
  await engine.close()
}

async function rename (folder: string, from: Buffer, to: Buffer): Promise<void> {
  const engine = await Engine.open(folder)
  await engine.commit([{ key: from, value: null }, { key: to, value: engine.get(from)! }], false)
  await engine.close()
}

function overwrite (folder: string, at: number, bytes: Buffer): void {
  const file = openSync(join(folder, 'data.mdb'), 'r+')
  writeSync(file, bytes, 0, bytes.length, at)
  closeSync(file)
}

/** Pages of earlier transactions hold it, too. */
function placesOf (folder: string, text: string): number[] {
  const file = readFileSync(join(folder, 'data.mdb'))
  const places: number[] = []
  for (let at = file.indexOf(text); at >= 0; at = file.indexOf(text, at + 1)) places.push(at)
  return places
}

function usedBytes (folder: string): number {
  const file = readFileSync(join(folder, 'data.mdb'))
  let end = file.length
  while (end > 0 && file[end - 1] === 0) end--
  return end
}
