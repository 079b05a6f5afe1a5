/** Retained messages (MQTT 3.1.1, 3.3.1.3) over a store. */
import t from 'tap'
import { systemClock } from '../../broker/system/clock.ts'
import type { ClientId, Message, Offset, Principal, TimeMs } from '../../broker/model/message.ts'
import { Retained } from '../../broker/messages/retained.ts'
import { createMemoryStore } from '../../broker/store/memory.ts'
import type { Store } from '../../broker/store/store.ts'

const MESSAGES_MAX = 3

function message (topic: string, payload: string): Message {
  return {
    topic, payload: Buffer.from(payload), qos: 1, retain: true, publisher: 'p' as ClientId,
    principal: 'me' as Principal, time: 1 as TimeMs, id: 'x'
  }
}

async function begin (): Promise<{ store: Store, retained: Retained }> {
  const store = createMemoryStore()
  await store.open()
  return { store, retained: new Retained(store, MESSAGES_MAX, systemClock) }
}

/** As the log does it: durable first, then applied. Resolves to its place. */
async function set (store: Store, retained: Retained, topic: string, payload: string): Promise<Offset> {
  const one = message(topic, payload)
  const change = retained.change(one)
  const at = await store.append({ messages: [one], changes: [{ ...change, after: 1 }], trim: [] })
  retained.applied(one, at)
  return at
}

async function payloads (retained: Retained, filter: string): Promise<string[]> {
  const found: string[] = []
  for await (const { payload } of retained.messages(filter)) found.push(payload.toString())
  return found.sort()
}

t.test('[MQTT-3.3.1-5] the last message of a topic stands, and is found by filters', async t => {
  const { store, retained } = await begin()
  await set(store, retained, 'a/1', 'old')
  await set(store, retained, 'a/1', 'new')
  await set(store, retained, 'a/2', 'other')
  t.same(await payloads(retained, 'a/+'), ['new', 'other'])
  t.same(await payloads(retained, 'a/1'), ['new'])
  t.same(await payloads(retained, 'a'), [])
  t.equal(retained.size, 2)
})

t.test('[MQTT-3.3.1-10] [MQTT-3.3.1-11] an empty payload clears the topic, and is not kept itself', async t => {
  const { store, retained } = await begin()
  await set(store, retained, 'a', 'x')
  await set(store, retained, 'a', '')
  await set(store, retained, 'never there', '')
  t.same([retained.size, await payloads(retained, '#')], [0, []])
  t.equal(await store.get('retained', 'a'), undefined)
})

t.test('it is found again after a restart', async t => {
  const { store, retained } = await begin()
  const at = await set(store, retained, 'a', 'x')
  const again = new Retained(store, MESSAGES_MAX, systemClock)
  await again.load()
  t.same([again.size, await payloads(again, '#')], [1, ['x']])
  t.equal((await again.get('a', at))?.payload.toString(), 'x')
})

t.test('a subscription gets what stood there at its place; what came later it gets from the log [G4]', async t => {
  const { store, retained } = await begin()
  const first = await set(store, retained, 'a', 'first')
  t.equal((await retained.get('a', first))?.payload.toString(), 'first')
  t.equal(await retained.get('a', (first - 1) as Offset), undefined)
  const second = await set(store, retained, 'a', 'second')
  t.equal(await retained.get('a', first), undefined)
  t.equal((await retained.get('a', second))?.payload.toString(), 'second')
})

t.test('[G6] beyond retainedMessagesMax none is added; one that is there can be replaced or cleared', async t => {
  const { store, retained } = await begin()
  for (const topic of ['a', 'b', 'c']) await set(store, retained, topic, 'x')
  t.throws(() => retained.change(message('d', 'x')), { code: 'RETAINED_FULL', message: /retainedMessagesMax = 3/ })
  await set(store, retained, 'a', 'y')
  await set(store, retained, 'b', '')
  await set(store, retained, 'd', 'x')
  t.equal(retained.size, 3)
})
