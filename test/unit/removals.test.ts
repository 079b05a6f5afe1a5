/** What a full disk kept from being removed is removed later, by whoever writes next under the name. */
import t from 'tap'
import { Log } from '../../broker/log/log.ts'
import type { ClientId } from '../../broker/model/message.ts'
import { Removals } from '../../broker/sessions/removals.ts'
import type { Session } from '../../broker/session/session.ts'
import { sessionKey } from '../../broker/store/keys.ts'
import { createMemoryDisk, createMemoryStore } from '../../broker/store/memory.ts'

const NAME = 'a' as ClientId
const REMOVAL = [{ table: 'sessions' as const, key: NAME, value: null }]
const RECORD = [{ table: 'sessions' as const, key: NAME, value: Buffer.from('new') }]
const nobody = (): boolean => false

async function begin () {
  const disk = createMemoryDisk()
  const store = createMemoryStore(disk)
  const { tail } = await store.open()
  const log: Log = new Log(store, tail, 1_000, {
    deliver () {}, turn: () => undefined, settle () {}, delivered () {}, failed () {}, recovered () {},
    mayTrim: (): boolean => !owed.hasFailed
  })
  const owed: Removals = new Removals(log)
  await log.recorded([{ table: 'sessions', key: NAME, value: Buffer.from('old') }])
  const stored = async () => (await store.get('sessions', NAME))?.value.toString()
  return { disk, log, owed, stored, store }
}

t.test('[G5] the removal of a session that failed is tried again, and nothing is trimmed meanwhile', async t => {
  const { disk, log, owed, stored } = await begin()
  disk.failing = true
  owed.remove(NAME, REMOVAL)
  await log.settled()
  t.ok(owed.hasFailed)
  owed.retry(nobody)
  await log.settled()
  disk.failing = false
  owed.retry(() => true)
  await log.settled()
  t.equal(await stored(), 'old', 'somebody who takes the name writes it himself')
  owed.retry(nobody)
  await log.settled()
  t.equal(await stored(), undefined)
  t.notOk(owed.hasFailed)
})

t.test('[G5] a clean connect writes what is owed of its name: what has ended is not present', async t => {
  const { disk, log, owed, stored } = await begin()
  disk.failing = true
  owed.remove(NAME, REMOVAL)
  await log.settled()
  await t.rejects(owed.replace(NAME, [], []), { code: 'STORE_UNAVAILABLE' })
  disk.failing = false
  await owed.replace(NAME, [], [])
  t.equal(await stored(), undefined)
  owed.retry(nobody)
  await log.settled()
})

t.test('[G2] what is owed does not take the records of a new session along', async t => {
  const { disk, log, owed, stored } = await begin()
  disk.failing = true
  owed.remove(NAME, REMOVAL)
  await log.settled()
  disk.failing = false
  await owed.replace(NAME, [], RECORD)
  owed.retry(nobody)
  await log.settled()
  t.equal(await stored(), 'new')
  t.notOk(owed.hasFailed)
})

t.test('an unsubscribe that failed is owed, unless the filter is subscribed anew', async t => {
  const { disk, log, owed, store } = await begin()
  const subscribed = new Set<string>()
  const session = { clientId: NAME, ended: false, subscriptions: subscribed } as unknown as Session
  const put = async (filter: string) => await log.recorded([
    { table: 'filters', key: sessionKey(NAME, filter), value: Buffer.from('f') }
  ])
  const stored = async (filter: string) => await store.get('filters', sessionKey(NAME, filter)) !== undefined
  await Promise.all(['again', 'itself', 'anew'].map(put))
  disk.failing = true
  for (const filter of ['again', 'itself', 'anew']) {
    await t.rejects(owed.removeFilter(session, filter), { code: 'STORE_UNAVAILABLE' })
    t.ok(owed.owesFilter(session, filter), filter)
  }
  disk.failing = false
  await owed.removeFilter(session, 'again')
  await put('anew')
  owed.filterWritten(session, 'anew')
  owed.retry(nobody)
  await log.settled()
  t.same(await Promise.all(['again', 'itself', 'anew'].map(stored)), [false, false, true])
  t.notOk(owed.owesFilter(session, 'itself'))
})

t.test('a filter that is being subscribed anew is left alone', async t => {
  const { disk, log, owed, store } = await begin()
  const session = { clientId: NAME, ended: false, subscriptions: new Set(['f']) } as unknown as Session
  await log.recorded([{ table: 'filters', key: sessionKey(NAME, 'f'), value: Buffer.from('f') }])
  disk.failing = true
  await t.rejects(owed.removeFilter(session, 'f'))
  disk.failing = false
  owed.retry(nobody)
  await log.settled()
  t.ok(await store.get('filters', sessionKey(NAME, 'f')))
})
