/** The cache of recent entries: what it counts, what goes, and that it answers for what it holds alone. */
import t from 'tap'
import { EntryCache } from '../../broker/log/entry-cache.ts'
import { entryBytes, Placed } from '../../broker/model/message.ts'
import type { ClientId, Entry, Offset, Principal, TimeMs } from '../../broker/model/message.ts'
import { chooseSeed, createRandom } from '../helpers/random.ts'

function entryAt (offset: number, payload = Buffer.from(new ArrayBuffer(10))): Entry {
  return new Placed({
    topic: 't', payload, qos: 1, retain: false, publisher: 'p' as ClientId,
    principal: 'anonymous' as Principal, time: 0 as TimeMs, id: ''
  }, offset as Offset)
}

t.test('[G6] the oldest go at the bound, and what was trimmed is gone at once', async t => {
  const random = createRandom(chooseSeed())
  t.comment(`seed ${random.seed}`)
  const cache = new EntryCache(20_000)
  const held = new Map<number, Entry>()
  let last = 0
  for (let step = 0; step < 20_000; step++) {
    if (random.int(3) > 0) {
      if (random.int(1_000) === 0) { // a gap in the log: what came before is no part of it any more
        last += 5
        held.clear()
      }
      const entry = entryAt(++last)
      cache.add(entry)
      held.set(last, entry)
      for (const offset of held.keys()) { // those that went must be the oldest
        if (cache.get(offset as Offset) !== undefined) break
        held.delete(offset)
      }
    } else {
      const offset = random.between(Math.max(1, last - 60), last)
      cache.delete(offset as Offset)
      held.delete(offset)
    }
    const offset = random.between(Math.max(0, last - 60), last + 2)
    if (cache.get(offset as Offset) !== held.get(offset)) t.fail(`step ${step}: ${offset} is not what it was`)
    if (cache.bytes > 20_000) t.fail(`step ${step}: ${cache.bytes} bytes`)
    if (held.size > 50) t.fail(`step ${step}: ${held.size} entries of more than 400 bytes`)
    if (!t.passing()) return
  }
  t.ok(held.size > 5, `${held.size} entries are left`)
})

t.test('[G6] what a small payload keeps alive is counted, once for all that share it', async t => {
  const cache = new EntryCache(1_000_000)
  const chunk = Buffer.alloc(65_536)
  cache.add(entryAt(1, chunk.subarray(0, 10)))
  const one = cache.bytes
  t.ok(one > 65_536, `${one} bytes for a payload of 10 in a chunk of 65,536`)
  cache.add(entryAt(2, chunk.subarray(10, 20)))
  t.ok(cache.bytes - one < 1_000, `${cache.bytes - one} more for its neighbour`)
  for (let offset = 3; offset <= 100; offset++) cache.add(entryAt(offset, Buffer.alloc(65_536).subarray(0, 10)))
  t.ok(cache.bytes <= 1_000_000)
  t.equal(cache.get(85 as Offset), undefined, 'and so only the last 14 of such are held')
  t.ok(cache.get(90 as Offset))
})

t.test('[G6] places that stay empty behind an entry that is needed for long are bounded', async t => {
  const cache = new EntryCache(100_000)
  cache.add(entryAt(1))
  let offset = 1
  while (cache.get(1 as Offset) !== undefined && offset < 1_000_000) {
    cache.add(entryAt(++offset))
    cache.delete(offset as Offset)
  }
  t.ok(offset < 10_000, `the first went for the sake of ${offset} places`)
})

t.test('an entry larger than the cache is not held', async t => {
  const cache = new EntryCache(1_000)
  const entry = entryAt(1, Buffer.alloc(2_000))
  cache.add(entry)
  t.equal(cache.get(1 as Offset), undefined)
  t.equal(cache.bytes, 0)
  t.ok(entryBytes(entry) > 2_000)
})
