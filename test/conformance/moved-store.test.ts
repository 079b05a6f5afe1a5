/** A data folder that is taken away from under a store that runs on it. */
import {
  copyFileSync, cpSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, truncateSync, writeFileSync
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createEmbeddedStore } from '../../broker/store/embedded.ts'
import type { Store } from '../../broker/store/store.ts'
import { batch, entry, headers, m, many, put, read } from './store-words.ts'

interface Case {
  readonly says: RegExp
  take (folder: string): void
  /** Puts it back; left out where nothing can. */
  giveBack? (folder: string): void
}

const CASES: Record<string, Case> = {
  'the folder is moved': {
    says: /data\.mdb is gone: it, or its folder, was deleted or moved .* Put it back/,
    take: folder => renameSync(folder, `${folder}-elsewhere`),
    giveBack: folder => renameSync(`${folder}-elsewhere`, folder)
  },
  'the folder is moved, and another is in its place': {
    says: /was replaced by another file/,
    take (folder) {
      renameSync(folder, `${folder}-elsewhere`)
      cpSync(`${folder}-elsewhere`, folder, { recursive: true, filter: path => !/lock-|candidate-/.test(path) })
    },
    giveBack (folder) {
      rmSync(folder, { recursive: true })
      renameSync(`${folder}-elsewhere`, folder)
    }
  },
  'the folder is deleted': { says: /is gone/, take: folder => rmSync(folder, { recursive: true }) },
  'the file is deleted': { says: /is gone/, take: folder => rmSync(join(folder, 'data.mdb')) },
  'a copy takes the place of the file': {
    says: /was replaced by another file/,
    take (folder) {
      copyFileSync(`${folder}-copy/data.mdb`, join(folder, 'data.new'))
      renameSync(join(folder, 'data.new'), join(folder, 'data.mdb'))
    }
  },
  'an older copy is written over the file': {
    says: /was overwritten or cut short .* restore .* as a whole/,
    take: folder => copyFileSync(`${folder}-copy/data.mdb`, join(folder, 'data.mdb'))
  },
  'noise is written over the file': {
    says: /was overwritten/,
    take: folder => writeFileSync(join(folder, 'data.mdb'), Buffer.alloc(2_000_000, 0xA5))
  },
  'the file is cut short': { says: /cut short/, take: folder => truncateSync(join(folder, 'data.mdb'), 8_192) }
}

for (const [name, { says, take, giveBack }] of Object.entries(CASES)) {
  t.test(`${name}: it shows without a write, and there is no receipt any more [G1]`, async t => {
    const { store, folder } = await running(t)
    const refused = { code: 'STORE_UNAVAILABLE', message: says }
    t.equal(store.fault(), undefined)
    take(folder)
    t.match(store.fault(), says)
    await t.rejects(store.append(batch([m(31)])), refused)
    await t.rejects(store.append(batch([], [put('meta', 'k', 'v', 0)])), refused)
    if (giveBack === undefined) return t.ok(store.fault(), 'and it stays so')

    giveBack(folder)
    t.equal(store.fault(), undefined)
    t.equal(await store.append(batch([m(31)])), 31, 'it is there again, and all goes on')
    await store.close()
    const again = createEmbeddedStore({ folder })
    t.match(await again.open(), { clean: true, tail: 31 })
    t.equal((await headers(again)).length, 31)
    await again.close()
  })
}

t.test('a write that comes first is refused: the file is looked at before and after each sync [G1]', async t => {
  for (const [name, { says, take }] of Object.entries(CASES)) {
    const { store, folder } = await running(t)
    take(folder)
    await t.rejects(store.append(batch([m(31)])), { code: 'STORE_UNAVAILABLE', message: says }, name)
  }
  const { store, folder } = await running(t)
  const before = store.append(batch([m(31)]))
  const amid = store.append(batch([m(32)])) // its transaction begins when that of the other is over
  t.equal(await before, 31)
  rmSync(join(folder, 'data.mdb'))
  await t.rejects(amid, { code: 'STORE_UNAVAILABLE' })
})

t.test('what was deleted can be saved as the sentence says, while the process runs [G2]',
  process.platform === 'linux' ? {} : { skip: 'needs /proc' }, async t => {
    const { store, folder } = await running(t)
    rmSync(folder, { recursive: true })
    const [, from] = /"cp (\S+) FILE"/.exec(store.fault()!)!
    mkdirSync(folder)
    writeFileSync(join(folder, 'data.mdb'), readFileSync(from))
    t.match(store.fault(), /was replaced by another file/, 'it is not taken for the one that it writes to')
    await store.close()
    const again = createEmbeddedStore({ folder })
    await again.open()
    t.same(await read(again, [1, 30]), [entry(1), entry(30)])
    await again.close()
  })

t.test('a file that is cut short is not read from: that would end the process', async t => {
  const { store, folder } = await running(t)
  truncateSync(join(folder, 'data.mdb'), 8_192)
  t.same(await read(store, [1, 15, 30]), [])
  t.equal(await store.get('meta', 'k'), undefined)
  t.ok(statSync(join(folder, 'data.mdb')).size <= 8_192, 'nothing was written to it')
})

/** A store with thirty messages, and a copy of its folder as it was at ten of them. */
async function running (t: Test): Promise<{ store: Store, folder: string }> {
  const folder = join(t.testdir(), `data-${Math.random()}`)
  const store = createEmbeddedStore({ folder, cacheBytesMax: 0 })
  await store.open()
  await store.append(batch(many(1, 10), [put('meta', 'k', 'v', 0)]))
  cpSync(folder, `${folder}-copy`, { recursive: true, filter: path => !/lock-|candidate-/.test(path) })
  await store.append(batch(many(11, 10)))
  await store.append(batch(many(21, 10)))
  t.teardown(() => store.close())
  return { store, folder }
}
