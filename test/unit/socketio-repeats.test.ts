import t from 'tap'
import { HoldfastError, type ClientId } from '../../broker/index.ts'
import {
  Repeats, RepeatsBySession, REPEATS_PER_SESSION_MAX, REPEATS_SESSIONS_MAX, Retries, RetriesBySession,
  RETRIES_PER_SESSION_MAX, type Receipt
} from '../../bridge/socketio/repeats.ts'

t.test('what went into a connection that broke is no repeat on the next one [G2]', async t => {
  const repeats = new Repeats()
  const [first, second] = [{}, {}]
  t.equal(repeats.repeated('a', first), false)
  t.equal(repeats.repeated('a', first), true)
  t.equal(repeats.repeated('a', second), false)
  repeats.proven('a')
  t.equal(repeats.repeated('a', {}), true)
})

t.test('the memory is bounded, for a session and over all [G6]', async t => {
  const repeats = new Repeats()
  for (let n = 0; n <= REPEATS_PER_SESSION_MAX; n++) {
    repeats.repeated(String(n), t)
    repeats.proven(String(n))
  }
  t.equal(repeats.repeated('1', {}), true)
  t.equal(repeats.repeated('0', {}), false, 'the oldest is forgotten')
  const sessions = new RepeatsBySession()
  const kept = sessions.of('kept' as ClientId)
  const lost = sessions.of('lost' as ClientId)
  for (let n = 0; n < REPEATS_SESSIONS_MAX - 1; n++) {
    sessions.of(String(n) as ClientId)
    if (sessions.of('kept' as ClientId) !== kept) t.fail(`forgotten after ${n}`)
  }
  t.not(sessions.of('lost' as ClientId), lost)
})

t.test('an emit that comes again is published once, and each gets the receipt of the first [G1] [G4]', async t => {
  const retries = new Retries()
  const published: Receipt[] = []
  const told: string[] = []
  const once = (name: string, topic: string, id: string): void => {
    retries.once(topic, id, receipt => published.push(receipt),
      (error, keepers) => told.push(`${name} ${error?.code ?? `ok ${keepers}`}`))
  }
  once('first', 't', '1')
  once('again', 't', '1')
  t.same(told, [], 'no receipt before the message is durable')
  once('another id', 't', '2')
  once('another topic', 'u', '1')
  once('no other way to write both', 't\u00001', '')
  t.equal(published.length, 4)
  published[0](undefined, 2)
  t.same(told, ['first ok 2', 'again ok 2'])
  once('later', 't', '1')
  t.same(told, ['first ok 2', 'again ok 2', 'later ok 2'])
  t.equal(published.length, 4)
})

t.test('an emit that could not be kept can be sent again [G2]', async t => {
  const retries = new Retries()
  const told: unknown[] = []
  let published = 0
  const failing = (receipt: Receipt): void => { published++; receipt(new HoldfastError('STORE_UNAVAILABLE')) }
  retries.once('t', '1', failing, error => told.push(error?.code))
  retries.once('t', '1', receipt => { published++; receipt() }, error => told.push(error?.code))
  t.same(told, ['STORE_UNAVAILABLE', undefined])
  t.equal(published, 2)
})

t.test('the memory of emits is bounded [G6]', async t => {
  const retries = new Retries()
  let published = 0
  const emit = (id: number): void => retries.once('t', String(id), receipt => { published++; receipt() }, () => {})
  for (let id = 0; id <= RETRIES_PER_SESSION_MAX; id++) emit(id)
  emit(1)
  t.equal(published, RETRIES_PER_SESSION_MAX + 1)
  emit(0)
  t.equal(published, RETRIES_PER_SESSION_MAX + 2, 'the oldest is forgotten')
  const sessions = new RetriesBySession()
  t.equal(sessions.of('a' as ClientId), sessions.of('a' as ClientId))
  t.not(sessions.of('a' as ClientId), sessions.of('b' as ClientId))
})
