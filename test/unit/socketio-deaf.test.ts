import t from 'tap'
import { DEAF_SESSIONS_MAX, DeafClients, Doubt, SILENT_CONNECTIONS_TOLD } from '../../bridge/socketio/proof/deaf.ts'
import { silent, type Peer } from '../../broker/index.ts'
import { createManualClock } from '../helpers/manual-clock.ts'

/** A client that comes for the first time. */
function sessionOf (clientId: string): Peer {
  return { clientId, present: false, sessionKey: {} } as unknown as Peer
}

/** The same session, followed once more. */
function back (peer: Peer): Peer {
  return { ...peer, present: true }
}

t.test('[G2] what a client proves in doubt counts once it has spoken, or after the time', async t => {
  for (const way of ['spoken', 'lived'] as const) {
    const clock = createManualClock(0)
    const released: string[] = []
    let asked = false
    const doubt = new Doubt<string>(clock, marks => released.push(...marks), () => { asked = true })
    t.notOk(doubt.hold(['before']), 'nothing is held of a client that is not suspected')
    doubt.begin('torn', 100)
    t.ok(doubt.hold(['a', 'b']))
    clock.advance(99)
    t.ok(doubt.hold(['c']))
    t.same(released, [])
    if (way === 'lived') {
      t.notOk(asked)
      clock.advance(1)
      t.ok(asked, 'it has to answer once more')
      t.ok(doubt.hold([]), 'which it has not yet')
    }
    doubt.end()
    t.same(released, ['a', 'b', 'c'], `${way}: in the order of the proofs`)
    t.notOk(doubt.hold(['d']))
    t.equal(doubt.suspicion, undefined)
    doubt.begin('torn', 100)
    t.notOk(doubt.hold(['e']), 'it stays sound on this connection')
  }
})

t.test('[G2] what was held back when the connection went is never proven, and the suspicion stays', async t => {
  const clock = createManualClock(0)
  const doubt = new Doubt<string>(clock, () => t.fail('released'), () => t.fail('asked'))
  doubt.begin('torn', 100)
  clock.advance(30)
  doubt.hold(['a'])
  clock.advance(30)
  doubt.drop()
  clock.advance(1_000)
  t.equal(doubt.suspicion, 'torn')
  t.equal(doubt.aliveMs, 30, 'alive until its last proof')
})

t.test('[G2] after a restart doubt begins with the first event that has bytes', async t => {
  const clock = createManualClock(0)
  const doubt = new Doubt<string>(clock, () => {}, () => {})
  doubt.begin('unknown', 100)
  t.notOk(doubt.hold(['a']), 'what came before the torn event was handled')
  doubt.carriesBytes()
  t.ok(doubt.hold(['b']))
  const sound = new Doubt<string>(clock, () => {}, () => sound.end())
  sound.begin('unknown', 100)
  clock.advance(100)
  sound.carriesBytes()
  t.notOk(sound.hold(['a']), 'not of a client that has lived for so long')
})

const torn = { suspicion: 'torn', aliveMs: 0, isLeft: false } as const

t.test('which sessions may have a deaf client', async t => {
  const deaf = new DeafClients(silent)
  const [fresh, restored] = [sessionOf('fresh'), sessionOf('restored')]
  t.equal(deaf.suspected(fresh), undefined, 'none that is new')
  t.equal(deaf.suspected(back(restored))?.suspicion, 'unknown', 'one from before the server started')
  deaf.gone(restored, undefined)
  t.equal(deaf.suspected(back(restored)), undefined, 'but not for ever')
  deaf.gone(fresh, torn)
  t.equal(deaf.suspected(back(fresh))?.suspicion, 'torn')
  deaf.gone(fresh, torn)
  t.equal(deaf.suspected(back(fresh))?.suspicion, 'torn', 'as long as it is in doubt')
  deaf.gone(fresh, undefined)
  t.equal(deaf.suspected(back(fresh)), undefined)
  deaf.gone(fresh, torn)
  deaf.forget(fresh.clientId)
  t.equal(deaf.suspected(fresh), undefined, 'not one that has ended')
})

t.test('on a bad link the time of all connections counts, unless the client left one alive', async t => {
  const deaf = new DeafClients(silent)
  const session = sessionOf('c')
  deaf.gone(session, torn)
  deaf.gone(session, { ...torn, aliveMs: 300 })
  deaf.gone(session, torn)
  deaf.gone(session, { ...torn, aliveMs: 500 })
  t.equal(deaf.suspected(back(session))?.aliveMs, 800)
  deaf.gone(session, { ...torn, aliveMs: 900, isLeft: true })
  t.equal(deaf.suspected(back(session))?.aliveMs, 0)
})

t.test('the log names a client that says nothing connection after connection, once', async t => {
  let lines = 0
  const deaf = new DeafClients({ ...silent, warn: () => { lines++ } })
  const session = sessionOf('c')
  for (let i = 1; i < SILENT_CONNECTIONS_TOLD; i++) deaf.gone(session, torn)
  t.equal(lines, 0)
  for (let i = 0; i < 5; i++) deaf.gone(session, torn)
  t.equal(lines, 1)
})

t.test('[G6] no more than so many sessions are suspected; the one that came first is forgotten', async t => {
  const deaf = new DeafClients(silent)
  for (let i = 0; i <= DEAF_SESSIONS_MAX; i++) deaf.gone(sessionOf(`s${i}`), torn)
  t.equal(deaf.suspected(sessionOf('s0')), undefined)
  t.equal(deaf.suspected(sessionOf('s1'))?.suspicion, 'torn')
})
