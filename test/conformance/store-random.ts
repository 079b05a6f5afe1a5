/** Random operations on a store and on a model that is obviously right, compared again and again. */
import type { Test } from 'tap'
import type { Message, Offset } from '../../broker/model/message.ts'
import { TABLES } from '../../broker/store/store.ts'
import type { Change, Store } from '../../broker/store/store.ts'
import { chooseSeed } from '../helpers/random.ts'
import { begin, crash, headers, m, read, records, stop } from './store-words.ts'
import type { StoreWorld } from './store-words.ts'

const OPERATIONS = 2_000
const KEYS = ['a', 'b', 'c', 'a\u0000x', 'a\u0000y', '__proto__', 'ü', 'k'.repeat(1_900)]

interface Model {
  tail: number
  readonly entries: Map<number, Message>
  readonly records: Map<string, { value: string, at: number }>
}

export async function randomOperations (t: Test, world: StoreWorld): Promise<void> {
  const seed = chooseSeed()
  t.comment(`seed ${seed}`)
  const random = generator(seed)
  const below = (n: number): number => Math.floor(random() * n)
  const model: Model = { tail: 0, entries: new Map(), records: new Map() }
  let { store } = await begin(world)
  let pending: Array<Promise<unknown>> = []

  for (let i = 0; i < OPERATIONS; i++) {
    const dice = random()
    if (dice < 0.95) {
      pending.push(appendRandom(t, store, model, below))
      if (below(3) === 0) pending = (await Promise.all(pending), [])
    } else if (dice < 0.98) {
      await Promise.all(pending)
      await compare(t, store, model, `seed ${seed}, operation ${i}`)
    } else {
      await Promise.all(pending)
      const clean = below(2) === 0
      const again = clean ? await stop(world, store) : await crash(world, store)
      t.match(again.recovery, { clean, tail: model.tail, damaged: [] }, `seed ${seed}, operation ${i}: reopened`)
      store = again.store
      await removeReappeared(store, model)
      await compare(t, store, model, `seed ${seed}, operation ${i}: reopened`)
    }
  }
  await Promise.all(pending)
  await compare(t, store, model, `seed ${seed}, at the end`)
}

/** The model changes with the call, the store when it gets to it: the results must agree all the same. */
async function appendRandom (t: Test, store: Store, model: Model, below: (n: number) => number): Promise<void> {
  const count = below(4) === 0 ? below(60) : below(4)
  const messages = Array.from({ length: count }, (_, i): Message => {
    const message = m(model.tail + 1 + i)
    return below(20) === 0 ? { ...message, payload: Buffer.alloc(below(100_000), 'z') } : message
  })
  const before = model.tail
  const trim = randomOffsets(model, below)
  const changes = Array.from({ length: below(4) }, (): Change => ({
    table: TABLES[below(TABLES.length)],
    key: KEYS[below(KEYS.length)],
    value: below(3) === 0 ? null : Buffer.from(`value-${below(1_000)}`),
    after: below(count + 1)
  }))

  for (const offset of trim) model.entries.delete(offset)
  messages.forEach((message, i) => model.entries.set(before + i + 1, message))
  for (const { table, key, value, after } of changes) {
    if (value === null) model.records.delete(`${table} ${key}`)
    else model.records.set(`${table} ${key}`, { value: value.toString(), at: before + after })
  }
  model.tail += count
  const tail = await store.append({ messages, changes, trim: trim as Offset[] })
  if (tail !== before + count) t.equal(tail, before + count, 'append resolves to the tail')
}

function randomOffsets (model: Model, below: (n: number) => number): number[] {
  const live = [...model.entries.keys()]
  const dice = below(10)
  if (dice < 4) return []
  if (dice < 8) return live.slice(0, below(30))
  if (dice < 9) return live.filter(() => below(3) > 0)
  return [...new Set(Array.from({ length: 10 }, () => below(model.tail + 20)))].toSorted((a, b) => a - b)
    .filter(offset => offset <= model.tail)
}

/** A trimmed entry may be back after a restart (Store.scan in embedded.ts); whoever reads the index trims it again. */
async function removeReappeared (store: Store, model: Model): Promise<void> {
  const back = (await headers(store)).map(h => h.offset).filter(offset => !model.entries.has(offset))
  await store.append({ messages: [], changes: [], trim: back })
}

/** One assertion, so that the number of assertions does not depend on the seed. */
async function compare (t: Test, store: Store, model: Model, when: string): Promise<void> {
  const asked = Array.from({ length: model.tail + 2 }, (_, i) => i)
  const entries = await read(store, asked)
  const wrong = entries.filter(({ offset, ...message }) => !same(message, model.entries.get(offset)))
  const { messages, messageBytes } = store.usage()
  const found: Model['records'] = new Map()
  for (const table of TABLES) {
    for (const { key, value, at } of await records(store, table)) {
      found.set(`${table} ${key}`, { value: value.toString(), at })
    }
  }
  const offsets = [...model.entries.keys()]
  let bytes = 0
  for (const { topic, payload } of model.entries.values()) bytes += topic.length + payload.length
  t.same({
    scan: (await headers(store)).map(h => h.offset),
    read: entries.map(e => e.offset),
    wrong,
    usage: { messages, messageBytes },
    records: sorted(found)
  }, {
    scan: offsets,
    read: offsets,
    wrong: [],
    usage: { messages: offsets.length, messageBytes: bytes },
    records: sorted(model.records)
  }, when)
}

function sorted (records: Model['records']): unknown {
  return [...records].sort(([a], [b]) => a < b ? -1 : 1)
}

function same (a: Message, b: Message | undefined): boolean {
  return b !== undefined && a.payload.equals(b.payload) && a.topic === b.topic && a.id === b.id && a.qos === b.qos &&
    a.retain === b.retain && a.publisher === b.publisher && a.principal === b.principal && a.time === b.time
}

/** mulberry32: 32 bits of state, good enough to explore with. */
function generator (seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6D2B79F5) >>> 0
    let x = Math.imul(state ^ (state >>> 15), state | 1)
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61)
    return ((x ^ (x >>> 14)) >>> 0) / 4_294_967_296
  }
}
