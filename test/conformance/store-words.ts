/** Vocabulary of the store tests. */
import type { Test } from 'tap'
import type { ClientId, Entry, Message, Offset, Principal, QoS, TimeMs } from '../../broker/model/message.ts'
import type { Batch, Change, EntryHeader, Recovery, Store, StoredRecord, Table } from '../../broker/store/store.ts'

export interface StoreWorld {
  /** A store over this world's data, not yet open. One at a time. */
  create (): Store
  /** Ends the store as `kill -9` would. What is left is what create() finds. */
  crash (store: Store): Promise<void>
  /** Makes the disk refuse writes, or take them again. Left out where that cannot be done: the reason, in words. */
  readonly fail: ((failing: boolean) => void | Promise<void>) | string
}

export type WorldFactory = (t: Test) => StoreWorld | Promise<StoreWorld>

export interface Opened { readonly store: Store, readonly recovery: Recovery }

export async function begin (world: StoreWorld): Promise<Opened> {
  const store = world.create()
  return { store, recovery: await store.open() }
}

export async function stop (world: StoreWorld, store: Store): Promise<Opened> {
  await store.close()
  return begin(world)
}

export async function crash (world: StoreWorld, store: Store): Promise<Opened> {
  await world.crash(store)
  return begin(world)
}

export function m (i: number): Message {
  return {
    topic: `topic/${i % 7}/${i}`,
    payload: Buffer.from(`payload of ${i}`),
    qos: i % 3 as QoS,
    retain: i % 2 === 0,
    publisher: `client-${i % 5}` as ClientId,
    principal: 'anonymous' as Principal,
    time: 1_700_000_000_000 + i as TimeMs,
    id: i % 4 === 0 ? '' : `id-${i}`
  }
}

export function many (from: number, count: number): Message[] {
  return Array.from({ length: count }, (_, i) => m(from + i))
}

export function entry (i: number): Entry {
  return { ...m(i), offset: i as Offset }
}

export function batch (messages: Message[], changes: Change[] = [], trim: number[] = []): Batch {
  return { messages, changes, trim: trim as Offset[] }
}

export function put (table: Table, key: string, value: string, after: number): Change {
  return { table, key, value: Buffer.from(value), after }
}

export function remove (table: Table, key: string): Change {
  return { table, key, value: null, after: 0 }
}

export function record (key: string, value: string, at: number): StoredRecord {
  return { key, value: Buffer.from(value), at: at as Offset }
}

/** Entries as plain objects: a store may carry more in them than the contract says. */
export async function read (store: Store, offsets: number[]): Promise<Entry[]> {
  return (await store.read(offsets as Offset[])).map(found => {
    const { offset, topic, payload, qos, retain, publisher, principal, time, id } = found
    return { topic, payload, qos, retain, publisher, principal, time, id, offset }
  })
}

export async function headers (store: Store): Promise<EntryHeader[]> {
  const all: EntryHeader[] = []
  for await (const chunk of store.scan()) all.push(...chunk)
  return all
}

export async function records (store: Store, table: Table): Promise<StoredRecord[]> {
  const all: StoredRecord[] = []
  for await (const chunk of store.records(table)) all.push(...chunk)
  return all
}
