/** Reading LMDB's file without LMDB, while somebody else goes on writing to it. */
import { closeSync, copyFileSync, openSync, readFileSync, readSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createEmbeddedStore } from '../../broker/store/embedded.ts'
import { decodeRecord, tableRange } from '../../broker/store/layout.ts'
import type { Store } from '../../broker/store/store.ts'
import { ChangedError, TreeRead } from '../../broker/store/tree-read.ts'
import { tempFolder } from '../helpers/temp.ts'

const RECORDS = 300
const { start, end } = tableRange('meta')

/** Every record says in which round it was written; every 50th takes pages of its own. */
async function writeRound (store: Store, round: number): Promise<void> {
  await store.append({
    messages: [],
    trim: [],
    changes: Array.from({ length: RECORDS }, (_, i) => ({
      table: 'meta' as const,
      key: `key ${String(i).padStart(4, '0')}`,
      value: Buffer.alloc(i % 50 === 0 ? 20_000 : 20 + i % 7, round),
      after: 0
    }))
  })
}

/** The file as it was after each round, at the same path. */
async function rounds (t: Test, count: number): Promise<{ path: string, files: Buffer[] }> {
  const folder = tempFolder(t)
  const store = createEmbeddedStore({ folder })
  await store.open()
  const files: Buffer[] = []
  for (let round = 0; round < count; round++) {
    await writeRound(store, round)
    files.push(readFileSync(join(folder, 'data.mdb')))
  }
  await store.close()
  const path = join(tempFolder(t), 'data.mdb')
  copyFileSync(join(folder, 'data.mdb'), path)
  return { path, files }
}

/** The round that all records are of; throws where they are not of one. */
function roundOf (found: ReadonlyArray<{ readonly key: Buffer, readonly value: Buffer }>): number {
  if (found.length !== RECORDS) throw new Error(`${found.length} records`)
  const values = found.map(({ key, value }) => decodeRecord(key, value)?.value)
  const round = values[0]?.[0]
  if (round === undefined || values.some((value) => value?.every((byte) => byte === round) !== true)) {
    throw new Error(`not all are of round ${round}`)
  }
  return round
}

t.test('entries come in order from any key on, so many as are asked for, whole', async t => {
  const { path, files } = await rounds(t, 3)
  writeFileSync(path, files[2]!)
  const file = openSync(path, 'r')
  t.teardown(() => closeSync(file))
  const tree = new TreeRead(file, path)
  t.equal(roundOf(tree.range(start, end, 10_000, 1e9)), 2)
  const seen: string[] = []
  for (let from = start; ;) {
    const some = tree.range(from, end, 7, 1e9)
    if (some.length === 0) break
    t.ok(some.length <= 7)
    seen.push(...some.map(({ key }) => key.toString('utf8', 1)))
    from = Buffer.concat([some.at(-1)!.key, Buffer.alloc(1)])
  }
  t.same(seen, Array.from({ length: RECORDS }, (_, i) => `key ${String(i).padStart(4, '0')}`))
  t.equal(tree.range(start, end, 10_000, 1).length, 1, 'bytes are a bound, too')
  t.same(tree.range(end, end, 10, 10), [])
})

t.test('whatever is written at whatever moment of a look, it is of one moment, or tried again', async t => {
  const { path, files } = await rounds(t, 12)
  const outcomes = new Map<string, number>()
  for (const later of [1, 2, 3, 5, 8]) {
    for (let from = 0; from + later < files.length; from++) {
      for (let at = 1; ; at += 3) {
        writeFileSync(path, files[from]!)
        const file = openSync(path, 'r')
        let reads = 0
        const tree = new TreeRead(file, path, ((...args: Parameters<typeof readSync>) => {
          if (++reads === at) writeFileSync(path, files[from + later]!)
          return readSync(...args)
        }) as typeof readSync)
        let outcome: string
        try {
          const round = roundOf(tree.range(start, end, 10_000, 1e9))
          outcome = round === from ? 'as it was' : `of round ${round}, which was not there yet`
        } catch (error) {
          outcome = error instanceof ChangedError ? 'again' : String(error)
        }
        closeSync(file)
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
        if (reads < at) break
      }
    }
  }
  t.same([...outcomes.keys()].sort(), ['again', 'as it was'], JSON.stringify([...outcomes]))
})
