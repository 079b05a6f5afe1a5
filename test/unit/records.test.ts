/** What is written down of sessions and messages is read back as it was. */
import t from 'tap'
import { GAP_REASONS } from '../../broker/session/link.ts'
import {
  cursorChange, decodeMessage, encodeMessage, filterChange, incomingChange, readCursor, readFilter, readIncoming,
  readSession, sessionChange
} from '../../broker/session/records.ts'
import { Session } from '../../broker/session/session.ts'
import { FLIGHT_RELEASED, FLIGHT_RELEASING, FLIGHT_SENT, Window } from '../../broker/session/window.ts'
import type { ClientId, Message, Offset, PacketId, Principal, QoS, TimeMs } from '../../broker/model/message.ts'
import type { RecordChange } from '../../broker/log/log.ts'
import { splitSessionKey } from '../../broker/store/keys.ts'
import type { StoredRecord } from '../../broker/store/store.ts'

const AT = 77 as Offset
/** Which of the sessions that had this name one after the other. */
const INSTANCE = 2 ** 40
/** A log may hold more entries than 32 bits count. */
const FAR = 9_007_199_254_740_000 as Offset

function stored ({ key, value }: RecordChange): StoredRecord { return { key, value: value!, at: AT } }

function makeSession (): Session {
  const session = new Session('constructor' as ClientId, 'Ünü "x"' as Principal, false, 86_400_000, FAR)
  session.instance = INSTANCE
  return session
}

t.test('a session: who, how long, since when it is detached', async t => {
  const session = makeSession()
  t.match(readSession(stored(sessionChange(session))),
    { clientId: 'constructor', principal: 'Ünü "x"', expiryMs: 86_400_000, detachedAt: undefined,
      instance: INSTANCE })
  session.detachedAt = 1_700_000_000_123 as TimeMs
  t.equal(readSession(stored(sessionChange(session))).detachedAt, 1_700_000_000_123)
  t.equal(readSession(stored(sessionChange(session))).tag, undefined)
  session.tag = 'tag "1"'
  t.equal(readSession(stored(sessionChange(session))).tag, 'tag "1"')
})

t.test('a session that was written down before there were tags is read as it was', async t => {
  const value = Buffer.from('\u0001{"principal":"p","expiryMs":5,"detachedAt":0,"instance":7}')
  t.same(readSession({ key: 'old', value, at: AT }),
    { clientId: 'old', principal: 'p', expiryMs: 5, detachedAt: undefined, instance: 7, tag: undefined })
})

t.test('a filter counts from the place of its record, or from the one that it names', async t => {
  const session = makeSession()
  for (const qos of [0, 1, 2] as QoS[]) {
    for (const retainedDue of [true, false]) {
      const change = filterChange(session, 'a/+/#', qos, retainedDue)
      t.same(splitSessionKey(change.key), { clientId: 'constructor', part: 'a/+/#' })
      t.same(readFilter(stored(change)), { qos, retainedDue, instance: INSTANCE, from: AT })
      for (const from of [0 as Offset, FAR]) {
        const written = stored(filterChange(session, 'f', qos, retainedDue, from))
        t.same(readFilter(written), { qos, retainedDue, instance: INSTANCE, from })
      }
    }
  }
})

t.test('a cursor: how far, what is out, what has to be told [G2] [G5]', async t => {
  const session = makeSession()
  t.match(readCursor(stored(cursorChange(session))), { instance: INSTANCE, sent: FAR, flights: [], gaps: [] })
  const window = session.window = new Window(65_535)
  window.restore(65_535 as PacketId, 1, 1 as Offset, FLIGHT_SENT, 0 as TimeMs)
  window.restore(1 as PacketId, 2, FAR, FLIGHT_RELEASED, 0 as TimeMs)
  window.restore(9 as PacketId, 2, (FAR + 1) as Offset, FLIGHT_RELEASING, 0 as TimeMs)
  window.send({} as Message, 1, 0 as Offset, true, false, 0 as TimeMs)
  session.gaps = new Map(GAP_REASONS.map((reason, i) => [reason, i === 0 ? 2 ** 40 : i]))
  const cursor = readCursor(stored(cursorChange(session)))
  t.same(cursor.flights, [
    { packetId: 65_535, offset: 1, qos: 1, state: FLIGHT_SENT },
    { packetId: 1, offset: FAR, qos: 2, state: FLIGHT_RELEASED },
    { packetId: 9, offset: FAR + 1, qos: 2, state: FLIGHT_RELEASED }
  ], 'a retained message that is out has no place in the cursor; what is being released is, once this is written')
  t.same(cursor.gaps, GAP_REASONS.map((reason, i) => [reason, i === 0 ? 0xffff_ffff : i]))
})

t.test('a packet identifier that was received belongs to the session that received it, not to its name', async t => {
  const change = incomingChange(makeSession(), 65_535 as PacketId)
  t.same(splitSessionKey(change.key), { clientId: 'constructor', part: '65535' })
  t.same(readIncoming(stored(change)), { instance: INSTANCE })
})

t.test('a cursor holds a full window', async t => {
  const session = makeSession()
  session.window = new Window(65_535)
  for (let i = 1; i <= 65_535; i++) session.window.send({} as Message, 1, i as Offset, false, false, 0 as TimeMs)
  const { flights } = readCursor(stored(cursorChange(session)))
  t.equal(flights.length, 65_535)
  t.same([flights[0].offset, flights[65_534].offset], [1, 65_535])
})

t.test('a message: every field, any bytes', async t => {
  const message: Message = {
    topic: 'ü/"/\\/😀', payload: Buffer.from(Array.from({ length: 256 }, (_, i) => i)), qos: 2, retain: true,
    publisher: '__proto__' as ClientId, principal: 'p' as Principal, time: 1_700_000_000_123 as TimeMs, id: 'id "1"',
    extension: { userProperties: [['a', 'b']], expiresAt: 9 as TimeMs }
  }
  t.same(decodeMessage({ key: 'k', value: encodeMessage(message), at: AT }), message)
  const empty = { ...message, payload: Buffer.alloc(0), topic: '/', id: '', extension: undefined }
  t.same(decodeMessage({ key: 'k', value: encodeMessage(empty), at: AT }), empty)
})

t.test('a record of a version that is not known is refused, and named', async t => {
  const { key, value } = cursorChange(makeSession())
  const newer = Buffer.from(value!)
  newer[0] = 9
  t.throws(() => readCursor({ key, value: newer }), /"constructor" has unknown version 9/)
  t.throws(() => decodeMessage({ key: 'will of x', value: newer, at: AT }), /"will of x" has unknown version 9/)
})
