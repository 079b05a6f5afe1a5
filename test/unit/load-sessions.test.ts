/** What becomes of sessions when records of theirs are damaged [G5]. */
import t from 'tap'
import { DEFAULT_LIMITS } from '../../broker/model/limits.ts'
import { loadSessions, type Loaded } from '../../broker/sessions/load.ts'
import { LogIndex } from '../../broker/log/log-index.ts'
import type { RecordChange } from '../../broker/log/log.ts'
import { ORIGIN, type ClientId, type Offset, type Principal, type TimeMs } from '../../broker/model/message.ts'
import { cursorChange, filterChange, incomingChange, sessionChange } from '../../broker/session/records.ts'
import { Session } from '../../broker/session/session.ts'
import { sessionKey } from '../../broker/store/keys.ts'
import { createMemoryStore } from '../../broker/store/memory.ts'
import type { DamagedRecord, Table } from '../../broker/store/store.ts'

const TAIL = 50 as Offset
const MESSAGES = 30
const NOW = 1_000 as TimeMs

function session (clientId: string, instance: number, sent = 40): Session {
  const one = new Session(clientId as ClientId, 'me' as Principal, false, 60_000, ORIGIN)
  one.instance = instance
  one.detachedAt = NOW
  one.sent = sent as Offset
  return one
}

/** Two sessions, A and B, each with a filter, a cursor and the identifier of a message that is being received. */
async function load (...gone: Array<[Table, key: string]>): Promise<Loaded> {
  return await loadWith(() => {}, gone)
}

async function loadWith (assertRoom: () => void, gone: ReadonlyArray<[Table, key: string]>): Promise<Loaded> {
  const store = createMemoryStore()
  await store.open()
  const changes: RecordChange[] = [session('A', 1), session('B', 2)].flatMap((one) => [
    sessionChange(one), cursorChange(one), filterChange(one, 'a/#', 1, false), incomingChange(one, 7 as never)
  ])
  const isGone = ({ table, key }: RecordChange): boolean => gone.some(([one, other]) => one === table && other === key)
  await store.append({
    messages: [], trim: [], changes: changes.filter((one) => !isGone(one)).map((one) => ({ ...one, after: 0 }))
  })
  const damagedRecords: DamagedRecord[] = gone.map(([table, key]) => ({ table, key }))
  return await loadSessions({
    store,
    recovery: { clean: true, tail: TAIL, damaged: [], damagedRecords },
    messages: MESSAGES,
    limits: DEFAULT_LIMITS,
    now: NOW,
    aliveAt: NOW,
    index: new LogIndex(0),
    assertRoom
  })
}

t.test('nothing damaged: all is there, and nobody is told anything', async t => {
  const { sessions, told, lost } = await load()
  t.same([...sessions.keys()], ['A', 'B'])
  t.same([told, [...lost]], [[], []])
  t.equal(sessions.get('A' as ClientId)!.uncertainThrough, 0)
})

t.test('a session whose record is damaged ends, alone, and is named [G5]', async t => {
  const { sessions, told, lost, stale, lastInstance } = await load(['sessions', 'A'])
  t.same([...sessions.keys()], ['B'])
  t.same([...lost], ['A'])
  t.same(told, [])
  t.same(stale.map(({ table }) => table).sort(), ['cursors', 'filters', 'incoming'], 'nothing of it stays')
  t.equal(lastInstance, 2)
})

t.test('if it is the key that was damaged, the session that is missing is named as well', async t => {
  const { lost } = await load(['sessions', 'A'], ['sessions', '\uFFFDA'])
  t.same([...lost].sort(), ['A', '\uFFFDA'])
})

t.test('a session without its cursor begins where its filters do, and all may have come before [G2] [G4]', async t => {
  const { sessions, lost } = await load(['cursors', 'A'])
  const [a, b] = [...sessions.values()]
  t.same([a.sent, a.uncertainThrough], [ORIGIN, TAIL])
  t.same([b.sent, b.uncertainThrough], [40, ORIGIN], 'another one goes on where it was')
  t.same([...lost], [])
})

t.test('a session that lost a filter is told of what it may have lost [G5]', async t => {
  const { sessions, told } = await load(['filters', sessionKey('A' as ClientId, 'a/#')])
  const a = sessions.get('A' as ClientId)!
  t.same(told, [a])
  t.same([...a.gaps!], [['damaged', 10]], 'no more than lies behind its position')
  t.equal(a.subscriptions.size, 0)
})

t.test('a filter of whom nobody knows is told to everybody [G5]', async t => {
  const { sessions, told } = await load(['filters', sessionKey('?' as ClientId, 'a/#')])
  t.same(told, [...sessions.values()])
})

t.test('what is lost of messages that are being received costs no session', async t => {
  const { sessions, told } = await load(['incoming', sessionKey('A' as ClientId, '7')])
  t.equal(sessions.get('A' as ClientId)!.incoming, undefined)
  t.equal(sessions.get('B' as ClientId)!.incoming!.size, 1)
  t.same(told, [])
})

t.test('each table is given up where the heap can hold no more of it [G6]', async t => {
  let asked = 0
  await loadWith(() => { asked++ }, [])
  t.ok(asked >= 4, 'after the records of each table')
  for (let roomFor = 0; roomFor < asked; roomFor++) {
    let left = roomFor
    const assertRoom = (): void => { if (left-- === 0) throw new Error('full') }
    await t.rejects(loadWith(assertRoom, []), { message: 'full' })
  }
})
