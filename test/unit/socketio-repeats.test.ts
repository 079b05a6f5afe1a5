import t from 'tap'
import type { ClientId } from '../../broker/index.ts'
import {
  Repeats, RepeatsBySession, REPEATS_PER_SESSION_MAX, REPEATS_SESSIONS_MAX
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
