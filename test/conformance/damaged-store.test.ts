/** What the embedded store does with a data folder that is not as it was left. */
import {
  closeSync, cpSync, mkdirSync, openSync, readFileSync, readSync, statSync, truncateSync, writeFileSync, writeSync
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createEmbeddedStore } from '../../broker/store/embedded.ts'
import { Engine } from '../../broker/store/engine.ts'
import { encodeState, FORMAT, STATE_KEYS } from '../../broker/store/state.ts'
import type { Recovery, Store } from '../../broker/store/store.ts'
import { batch, entry, headers, m, many, put, read, record } from './store-words.ts'

const PAGE = 4_096

t.test('a block with a flipped bit is lost alone, and said to be [G5]', async t => {
  const data = await filled(t.testdir())
  const at = readFileSync(join(data, 'data.mdb')).indexOf('payload of 150')
  overwrite(data, at, Buffer.from('P'))

  const { store, recovery } = await reopen(data)
  t.same(recovery.damaged, Array.from({ length: 100 }, (_, i) => 101 + i))
  t.equal(recovery.notes.length, 1)
  t.match(recovery.notes[0], /messages 101 to 200 .* damaged and lost \(the checksum is wrong\)/)
  t.same(await read(store, [100, 101, 150, 200, 201]), [entry(100), entry(201)])
  t.equal((await headers(store)).length, 200)
  t.same(await store.get('meta', 'k'), record('k', 'v', 300))
  t.equal(await store.append(batch([m(301)])), 301)
  await store.close()

  const again = await reopen(data)
  t.match(again.recovery, { clean: true, notes: [], damaged: [], tail: 301 }, 'it is told once')
  await again.store.close()
})

t.test('the tail survives the loss of the last block', async t => {
  const data = await filled(t.testdir())
  overwrite(data, readFileSync(join(data, 'data.mdb')).indexOf('payload of 250'), Buffer.from('P'))
  await (await reopen(data)).store.close()
  const { store, recovery } = await reopen(data)
  t.equal(recovery.tail, 300)
  t.equal(await store.append(batch([m(301)])), 301)
  await store.close()
})

t.test('a block that turns bad while the server runs is left out and reported', async t => {
  const data = await filled(t.testdir())
  const reports: string[] = []
  const store = createEmbeddedStore({ folder: data, report: sentence => reports.push(sentence) })
  await store.open()
  overwrite(data, readFileSync(join(data, 'data.mdb')).indexOf('payload of 150'), Buffer.from('P'))
  t.same(await read(store, [100, 150, 201]), [entry(100), entry(201)])
  t.match(reports, [/messages 101 to 200 .* can not be read: the checksum is wrong/])
  await store.close()
})

t.test('a file whose end is missing gives what is left, or a clear refusal, and never ends the process', async t => {
  const base = t.testdir()
  const whole = await filled(base)
  const used = lastPageEnd(whole)
  let kept = 0
  let refused = 0
  for (let bytes = used - PAGE; bytes > 0; bytes -= PAGE) {
    const data = join(base, `cut-${bytes}`)
    mkdirSync(data)
    cpSync(join(whole, 'data.mdb'), join(data, 'data.mdb'))
    truncateSync(join(data, 'data.mdb'), bytes)
    const store = createEmbeddedStore({ folder: data })
    try {
      const recovery = await store.open()
      t.match(recovery.notes[0], /its end was missing/)
      const all = [...recovery.damaged, ...(await headers(store)).map(h => h.offset)].sort((a, b) => a - b)
      t.same(all, Array.from({ length: 300 }, (_, i) => i + 1), `${bytes} bytes: every message is there or told`)
      await store.close()
      kept++
    } catch (error) {
      t.match(error, { code: 'DATA_DAMAGED', message: data }, `${bytes} bytes: ${error}`)
      refused++
    }
  }
  t.ok(kept > 0, `${kept} opened`)
  t.ok(refused > 0, `${refused} refused`)
})

t.test('heads full of noise are refused in a sentence that names the file', async t => {
  const base = t.testdir()
  const whole = await filled(base)
  const cases: Record<string, (data: string) => void> = {
    'all noise': data => writeFileSync(join(data, 'data.mdb'), Buffer.alloc(40_000, 0xA5)),
    'a few bytes': data => writeFileSync(join(data, 'data.mdb'), 'hello'),
    'first head': data => overwrite(data, 24, Buffer.alloc(100, 0xA5)),
    'second head': data => overwrite(data, PAGE + 40, Buffer.alloc(120, 0xA5)),
    'second magic': data => overwrite(data, PAGE + 24, Buffer.alloc(4)),
    'root beyond the end': data => overwrite(data, 136, Buffer.from([0xFF, 0xFF, 0xFF, 0x0F, 0, 0, 0, 0])),
    'page size': data => overwrite(data, 48, Buffer.from([3, 0, 0, 0]))
  }
  for (const [name, damage] of Object.entries(cases)) {
    const data = join(base, name)
    cpSync(whole, data, { recursive: true })
    damage(data)
    const open = (): Promise<unknown> => createEmbeddedStore({ folder: data }).open()
    await t.rejects(open(), { code: 'DATA_DAMAGED', message: /data\.mdb: .* Restore/ }, name)
    await t.rejects(open(), { code: 'DATA_DAMAGED' }, `${name}: the lock is free again`)
  }
})

t.test('an older head with other roots is what a failed write leaves: it costs nothing [G2]', async t => {
  const base = t.testdir()
  const whole = await filled(base)
  const file = readFileSync(join(whole, 'data.mdb'))
  const older = file.readBigUInt64LE(152) < file.readBigUInt64LE(PAGE + 152) ? 0 : PAGE
  overwrite(whole, older + 136, Buffer.from([0xFF, 0xFF, 0xFF, 0x0F, 0, 0, 0, 0]))
  const { store, recovery } = await reopen(whole)
  t.match(recovery, { notes: [], damaged: [], tail: 300 })
  t.equal(await store.append(batch([m(301)])), 301)
  await store.close()
})

t.test('noise in any page is found before LMDB follows it, and never ends the process', async t => {
  const base = t.testdir()
  const whole = await filled(base)
  const noise = Buffer.alloc(PAGE, 0xA5)
  for (let at = PAGE * 2; at < lastPageEnd(whole); at += PAGE) {
    // all of the page; its transaction, which makes LMDB take it for one to write to; the place of its first node
    for (const [from, bytes] of [[0, noise], [14, noise.subarray(0, 2)], [24, noise.subarray(0, 2)]] as const) {
      const data = join(base, `page-${at}-${from}`)
      cpSync(whole, data, { recursive: true })
      overwrite(data, at + from, bytes)
      const store = createEmbeddedStore({ folder: data })
      const found = await store.open().catch((error: unknown) => error)
      if (found instanceof Error) {
        t.match(found, { code: 'DATA_DAMAGED', message: data })
        continue
      }
      const all = [...(found as Recovery).damaged, ...(await headers(store)).map(h => h.offset)].sort((a, b) => a - b)
      t.same(all, Array.from({ length: 300 }, (_, i) => i + 1), `byte ${at + from}: every message is there or told`)
      await store.append(batch([m(301)], [], all))
      await store.close()
    }
  }
})

t.test('a folder of a newer version is refused and left alone', async t => {
  const data = await filled(t.testdir())
  const engine = await Engine.open(data)
  const value = encodeState({ format: FORMAT + 1, epoch: 'e', tail: 7 as never, clean: true })
  await engine.commit(STATE_KEYS.map(key => ({ key, value })), false)
  await engine.close()
  await t.rejects(createEmbeddedStore({ folder: data }).open(), { code: 'DATA_NEWER', message: data })
  const still = await Engine.open(data)
  for (const key of STATE_KEYS) t.same(still.get(key), value)
  await still.close()
})

t.test('a state record that is gone or malformed is refused while there are messages', async t => {
  const data = await filled(t.testdir())
  for (const value of [null, Buffer.from('{"format":2}'), Buffer.from('nonsense')]) {
    const engine = await Engine.open(data)
    await engine.commit(STATE_KEYS.map(key => ({ key, value })), false)
    await engine.close()
    await t.rejects(createEmbeddedStore({ folder: data }).open(), { code: 'DATA_DAMAGED', message: data })
  }
})

/** A folder with three blocks of 100 messages each and a record, closed. */
async function filled (base: string): Promise<string> {
  const folder = join(base, 'data')
  const store = createEmbeddedStore({ folder })
  await store.open()
  for (const from of [1, 101, 201]) await store.append(batch(many(from, 100)))
  await store.append(batch([], [put('meta', 'k', 'v', 0)]))
  await store.close()
  return folder
}

async function reopen (folder: string): Promise<{ store: Store, recovery: Recovery }> {
  const store = createEmbeddedStore({ folder })
  return { store, recovery: await store.open() }
}

function overwrite (folder: string, at: number, bytes: Buffer): void {
  const file = openSync(join(folder, 'data.mdb'), 'r+')
  writeSync(file, bytes, 0, bytes.length, at)
  closeSync(file)
}

/** Where the part of the file ends that LMDB uses; behind it is room for more. */
function lastPageEnd (folder: string): number {
  const head = Buffer.alloc(PAGE * 2)
  const file = openSync(join(folder, 'data.mdb'), 'r')
  readSync(file, head, 0, head.length, 0)
  closeSync(file)
  const last = Math.max(head.readUInt32LE(144), head.readUInt32LE(PAGE + 144))
  return Math.min((last + 1) * PAGE, statSync(join(folder, 'data.mdb')).size)
}
