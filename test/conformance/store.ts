/**
 * The contract of broker/store/store.ts as a function of a factory. In the tests:
 * - world: the data of one store, as the disk keeps it; create() makes a store over it
 * - stop: close and open again; crash: end it as `kill -9` would, and open what is left
 * - m(i): the i-th test message; its topic and payload tell it from the others
 */
import t from 'tap'
import type { Test } from 'tap'
import { ORIGIN } from '../../broker/model/message.ts'
import type { ClientId, Entry, Message, Principal, TimeMs } from '../../broker/model/message.ts'
import { TABLES } from '../../broker/store/store.ts'
import type { EntryHeader } from '../../broker/store/store.ts'
import { randomOperations } from './store-random.ts'
import {
  batch, begin, crash, entry, headers, m, many, put, read, record, records, remove, stop
} from './store-words.ts'
import type { StoreWorld, WorldFactory } from './store-words.ts'

export type { StoreWorld, WorldFactory } from './store-words.ts'

export function suite (name: string, factory: WorldFactory): void {
  const check = (sentence: string, body: (t: Test, world: StoreWorld) => Promise<unknown>): Promise<unknown> =>
    t.test(`${name}: ${sentence}`, async t => { await body(t, await factory(t)) })

  check('a new log has an epoch, begins at 0 and is clean', async (t, world) => {
    const { recovery } = await begin(world)
    t.match(recovery, { tail: ORIGIN, clean: true, notes: [], damaged: [] })
    t.not(recovery.epoch, '')
  })

  check('messages get consecutive offsets and append resolves to the tail', async (t, world) => {
    const { store } = await begin(world)
    t.equal(await store.append(batch([m(1), m(2)])), 2)
    t.equal(await store.append(batch([m(3)])), 3)
    t.equal(await store.append(batch([])), 3)
    t.same(await read(store, [1, 2, 3]), [entry(1), entry(2), entry(3)])
  })

  check('what was appended is there after a stop, with its epoch and a clean mark [G2]', async (t, world) => {
    const first = await begin(world)
    await first.store.append(batch([m(1), m(2)], [put('sessions', 'a', 'x', 1)]))
    const again = await stop(world, first.store)
    t.match(again.recovery, { epoch: first.recovery.epoch, tail: 2, clean: true, notes: [] })
    t.same(await read(again.store, [1, 2]), [entry(1), entry(2)])
    t.same(await again.store.get('sessions', 'a'), record('a', 'x', 1))
  })

  check('what was appended is there after a crash, and the crash is noticed [G1] [G2]', async (t, world) => {
    const first = await begin(world)
    await first.store.append(batch([m(1), m(2)], [put('sessions', 'a', 'x', 1)]))
    const again = await crash(world, first.store)
    t.match(again.recovery, { epoch: first.recovery.epoch, tail: 2, clean: false, damaged: [] })
    t.same(await read(again.store, [1, 2]), [entry(1), entry(2)])
    t.same(await again.store.get('sessions', 'a'), record('a', 'x', 1))
    t.match((await stop(world, again.store)).recovery, { clean: true, tail: 2 })
  })

  check('offsets are not given again after a stop or a crash, even when all was trimmed', async (t, world) => {
    let { store } = await begin(world)
    await store.append(batch([m(1), m(2), m(3)]))
    await store.append(batch([], [], [1, 2, 3]));
    ({ store } = await stop(world, store))
    t.equal(await store.append(batch([m(4)])), 4)
    await store.append(batch([], [], [4]));
    ({ store } = await crash(world, store))
    t.same(await headers(store), [])
    t.equal(await store.append(batch([m(5)], [], [4])), 5)
    t.same(await read(store, [1, 4, 5]), [entry(5)])
  })

  check('followers get every entry once, in order, before append resolves [G3]', async (t, world) => {
    const { store } = await begin(world)
    const seen: Entry[] = []
    const late: Entry[] = []
    store.follow(entries => seen.push(...entries))
    await store.append(batch([m(1), m(2)])).then(() => t.same(seen.map(e => e.offset), [1, 2]))
    store.follow(entries => late.push(...entries))
    await store.append(batch([m(3)]))
    t.same(seen, [entry(1), entry(2), entry(3)])
    t.same(late, [entry(3)])
  })

  check('appends that do not wait for each other keep the order of the calls [G3]', async (t, world) => {
    const { store } = await begin(world)
    const seen: number[] = []
    const resolved: number[] = []
    store.follow(entries => seen.push(...entries.map(e => e.offset)))
    const sizes = [1, 3, 0, 2, 1, 5, 1]
    let given = 0
    await Promise.all(sizes.map(async size => {
      const messages = Array.from({ length: size }, () => m(++given))
      resolved.push(await store.append(batch(messages)))
    }))
    t.same(resolved, [1, 4, 4, 6, 7, 12, 13])
    t.same(seen, Array.from({ length: 13 }, (_, i) => i + 1))
    t.same(await read(store, seen), seen.map(entry))
  })

  check('a record is stamped with the position at which it was written', async (t, world) => {
    const { store } = await begin(world)
    await store.append(batch([m(1)], [put('filters', 'before', '', 0), put('filters', 'after', '', 1)]))
    await store.append(batch([m(2), m(3)], [put('filters', 'between', '', 1)]))
    await store.append(batch([], [put('filters', 'alone', '', 0)]))
    const at = async (key: string): Promise<unknown> => (await store.get('filters', key))?.at
    t.same([await at('before'), await at('after'), await at('between'), await at('alone')], [0, 1, 2, 3])
  })

  check('a later change of the same key wins, in a batch and across batches', async (t, world) => {
    let { store } = await begin(world)
    const three = [put('meta', 'k', 'a', 0), put('meta', 'k', 'b', 1), put('meta', 'gone', 'x', 0)]
    await store.append(batch([m(1)], three))
    t.same(await store.get('meta', 'k'), record('k', 'b', 1))
    const next = [put('meta', 'k', 'c', 0), remove('meta', 'gone')]
    await Promise.all(next.map(change => store.append(batch([], [change]))))
    await store.append(batch([], [put('meta', 'twice', 'x', 0), remove('meta', 'twice'), remove('meta', 'never')]));
    ({ store } = await crash(world, store))
    t.same(await records(store, 'meta'), [record('k', 'c', 1)])
  })

  check('tables are apart, and records come in the order of their UTF-8 bytes', async (t, world) => {
    const { store } = await begin(world)
    // U+10000 follows U+FFFD in UTF-8 and comes before it in UTF-16
    const keys = ['a', 'a\u0000b', 'a\u0001', 'ab', 'b', 'é', '\uFFFD', '\u{10000}', '\u0001', ' ']
    await store.append(batch([], keys.map(key => put('incoming', key, `v${key}`, 0))))
    const sorted = keys.toSorted((a, b) => Buffer.from(a).compare(Buffer.from(b)))
    t.same((await records(store, 'incoming')).map(r => r.key), sorted)
    t.same(await store.get('incoming', 'é'), record('é', 'vé', 0))
    for (const table of TABLES) if (table !== 'incoming') t.same(await records(store, table), [])
  })

  check('keys may be 1,900 bytes long or names of prototypes', async (t, world) => {
    let { store } = await begin(world)
    const keys = ['__proto__', 'constructor', 'hasOwnProperty', 'toString', 'x'.repeat(1_900), 'é'.repeat(950)]
    for (const key of keys) t.equal(await store.get('wills', key), undefined)
    await store.append(batch([], keys.map(key => put('wills', key, key.slice(0, 9), 0))));
    ({ store } = await stop(world, store))
    for (const key of keys) t.same(await store.get('wills', key), record(key, key.slice(0, 9), 0))
    t.equal((await records(store, 'wills')).length, keys.length)
  })

  check('a batch that breaks the contract is refused and leaves nothing', async (t, world) => {
    const { store } = await begin(world)
    await t.rejects(store.append(batch([m(1)], [put('meta', '', 'x', 0)])), /1 to 1900 bytes/)
    await t.rejects(store.append(batch([m(1)], [put('meta', 'é'.repeat(951), 'x', 0)])), /1 to 1900 bytes/)
    await t.rejects(store.append(batch([m(1)], [put('meta', 'k', 'x', 2)])), /after 2 of 1 messages/)
    t.equal(await store.append(batch([m(1)])), 1)
    t.same(await records(store, 'meta'), [])
  })

  check('payloads may be empty, binary or 1 MiB; topics are Unicode', async (t, world) => {
    let { store } = await begin(world)
    const odd: Message[] = [
      { ...m(1), payload: Buffer.alloc(0) },
      { ...m(2), payload: Buffer.from(Array.from({ length: 256 }, (_, i) => i)) },
      { ...m(3), payload: Buffer.alloc(1_048_576, 'mega'), topic: 'Grüße/🚀/\u{10000}/中文' },
      { ...m(4), id: 'é-🚀', publisher: 'Gerät' as ClientId, principal: '管理' as Principal, retain: true },
      { ...m(5), topic: '__proto__', id: '', publisher: '' as ClientId, time: 0 as TimeMs },
      { ...m(6), topic: 't'.repeat(65_535), time: 8_640_000_000_000_000 as TimeMs, qos: 0 },
      { ...m(7), topic: 'ÿ'.repeat(300), id: 'i'.repeat(300) }
    ]
    const expected = odd.map((message, i) => ({ ...message, offset: i + 1 }))
    await store.append(batch(odd))
    t.same(await read(store, [1, 2, 3, 4, 5, 6, 7]), expected);
    ({ store } = await crash(world, store))
    t.same(await read(store, [1, 2, 3, 4, 5, 6, 7]), expected)
    t.same((await headers(store)).map(h => h.topic), odd.map(message => message.topic))
  })

  check('scan yields what messageBytes counts, the topic and the time of every entry', async (t, world) => {
    const { store } = await begin(world)
    await store.append(batch([m(1)]))
    await store.append(batch([m(2), { ...m(3), topic: 'é', payload: Buffer.from('é') }]))
    const header = ({ offset, topic, payload, time }: Entry): EntryHeader =>
      ({ offset, topic, bytes: topic.length + payload.length, time, expiresAt: undefined })
    const third = { offset: 3, topic: 'é', bytes: 3, time: m(3).time, expiresAt: undefined }
    t.same(await headers(store), [header(entry(1)), header(entry(2)), third])
  })

  check('trimmed entries are gone, others stay; unknown and repeated offsets are ignored', async (t, world) => {
    let { store } = await begin(world)
    await store.append(batch(many(1, 10)))
    await store.append(batch(many(11, 10)))
    await store.append(batch([m(21)], [], [2, 3, 3, 11, 20, 21, 99]))
    await Promise.all([store.append(batch([], [], [3, 12])), store.append(batch([], [], [12, 13]))])
    const left = [1, 4, 5, 6, 7, 8, 9, 10, 14, 15, 16, 17, 18, 19, 21]
    t.same(await read(store, Array.from({ length: 25 }, (_, i) => i)), left.map(entry))
    t.same((await headers(store)).map(h => h.offset), left)
    t.equal(store.usage().messages, left.length)
    await store.append(batch([], [], [1, 4, 5, 6, 7, 8, 9, 10]));
    ({ store } = await stop(world, store))
    t.same(await read(store, [1, 10, 16, 21]), [entry(16), entry(21)])
  })

  check('usage counts what is there, also after a crash', async (t, world) => {
    let { store } = await begin(world)
    const bytes = (from: number, count: number): number =>
      many(from, count).reduce((sum, { topic, payload }) => sum + topic.length + payload.length, 0)
    t.match(store.usage(), { messages: 0, messageBytes: 0 })
    await store.append(batch(many(1, 100)))
    await store.append(batch([m(101)]))
    t.match(store.usage(), { messages: 101, messageBytes: bytes(1, 101) })
    t.ok(store.usage().storedBytes > 0)
    await store.append(batch([], [], Array.from({ length: 100 }, (_, i) => i + 1)));
    ({ store } = await crash(world, store))
    t.match(store.usage(), { messages: 1, messageBytes: bytes(101, 1) })
  })

  check('payloads that were read stay as they are while the log goes on', async (t, world) => {
    const { store } = await begin(world)
    await store.append(batch(many(1, 50)))
    const entries = await read(store, Array.from({ length: 50 }, (_, i) => i + 1))
    await store.append(batch(many(51, 50), [], Array.from({ length: 50 }, (_, i) => i + 1)))
    for (let i = 0; i < 20; i++) await store.append(batch(many(101 + i * 10, 10)))
    t.same(entries, many(1, 50).map((_, i) => entry(i + 1)))
  })

  check('scan and records yield all of a large store', async (t, world) => {
    let { store } = await begin(world)
    const keys = Array.from({ length: 5_000 }, (_, i) => `key-${String(i).padStart(5, '0')}`)
    await store.append(batch(many(1, 5_000), keys.map(key => put('cursors', key, key, 5_000))))
    await Promise.all(many(5_001, 300).map(message => store.append(batch([message]))));
    ({ store } = await crash(world, store))
    t.same((await headers(store)).map(h => h.offset), Array.from({ length: 5_300 }, (_, i) => i + 1))
    t.same((await records(store, 'cursors')).map(r => r.key), keys)
  })

  check('close waits for appends under way; a later append is refused', async (t, world) => {
    const { store } = await begin(world)
    const appends = [store.append(batch(many(1, 10))), store.append(batch(many(11, 10)))]
    const closing = store.close()
    await t.rejects(store.append(batch([m(21)])), { code: 'CLOSED' })
    t.same(await Promise.all(appends), [10, 20])
    await closing
    const again = await begin(world)
    t.match(again.recovery, { clean: true, tail: 20 })
    t.same(await read(again.store, [1, 20, 21]), [entry(1), entry(20)])
  })

  t.test(`${name}: a disk that refuses costs the batch and nothing else [G1]`, async t => {
    const world = await factory(t)
    const { fail } = world
    if (typeof fail === 'string') return t.pass('the disk can not be made to fail here', { skip: fail })
    let { store } = await begin(world)
    const seen: number[] = []
    store.follow(entries => seen.push(...entries.map(e => e.offset)))
    await store.append(batch(many(1, 5), [put('cursors', 'k', 'old', 5)]))

    await fail(true)
    const wide = many(6, 20).map(message => ({ ...message, payload: Buffer.alloc(200_000, 'x') }))
    const refused = [batch(wide, [put('cursors', 'k', 'new', 3), put('cursors', 'l', 'new', 3)], [1, 2]), batch(wide)]
    for (let round = 0; round < 3; round++) {
      for (const result of await Promise.allSettled(refused.map(b => store.append(b)))) {
        t.match(result, { status: 'rejected', reason: { code: 'STORE_UNAVAILABLE', retriable: true } })
      }
    }
    t.same(seen, [1, 2, 3, 4, 5])
    t.same(await read(store, [1, 2, 3, 4, 5, 6, 7]), [1, 2, 3, 4, 5].map(entry), 'not even the trim happened')
    t.same(await records(store, 'cursors'), [record('k', 'old', 5)])
    t.match(store.usage(), { messages: 5 })

    await fail(false)
    t.equal(await store.append(batch([m(6)], [], [1])), 6, 'goes on without reopening')
    t.same(seen, [1, 2, 3, 4, 5, 6]);
    ({ store } = await crash(world, store))
    t.same(await read(store, [2, 3, 4, 5, 6, 7]), [2, 3, 4, 5, 6].map(entry))
    t.same((await headers(store)).map(h => h.offset).filter(offset => offset > 1), [2, 3, 4, 5, 6])
    t.same(await records(store, 'cursors'), [record('k', 'old', 5)])
  })

  check('2,000 random operations agree with a model', async (t, world) => {
    await randomOperations(t, world)
  })
}
