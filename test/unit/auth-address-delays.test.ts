import t from 'tap'
import { addressDelays, patient } from '../helpers/auth.ts'
import { createManualClock } from '../helpers/manual-clock.ts'

t.test('each failure doubles the delay up to the longest, and time takes failures back', async t => {
  const clock = createManualClock(0)
  const delays = addressDelays(clock)
  const seen = [delays.delayMs('a')]
  for (let i = 0; i < 7; i++) {
    delays.failed('a', 'u1')
    seen.push(delays.delayMs('a'))
  }
  t.same(seen, [0, 100, 200, 400, 800, 1_000, 1_000, 1_000])
  t.equal(delays.delayMs('b'), 0, 'others are not concerned')
  const faded = [1, 2, 3, 4, 5].map(() => {
    clock.advance(10_000)
    return delays.delayMs('a')
  })
  t.same(faded, [800, 400, 200, 100, 0])
})

t.test('an attempt waits for its delay, and so many wait at most', async t => {
  const clock = createManualClock(0)
  const delays = addressDelays(clock)
  delays.failed('a', 'u1')
  let begun = 0
  const waiting = [1, 2, 3].map(() => delays.turn('a', 'u1', patient()).then(() => { begun++ }))
  await t.rejects(delays.turn('a', 'u1', patient()), { code: 'AUTH_UNAVAILABLE', message: /authDelayWaitingMax/ })
  t.equal(delays.refused, 1)
  await delays.turn('b', 'u1', patient())
  clock.advance(99)
  await Promise.resolve()
  t.equal(begun, 0)
  clock.advance(1)
  await Promise.all(waiting)
  t.equal(begun, 3)
  const gone = new AbortController()
  const last = delays.turn('a', 'u1', gone.signal)
  gone.abort()
  await t.rejects(last, { code: 'AUTH_UNAVAILABLE' })
  await t.rejects(delays.turn('a', 'u1', gone.signal), { code: 'AUTH_UNAVAILABLE' })
})

t.test('coming in under one name makes no room for guessing another', async t => {
  const clock = createManualClock(0)
  const delays = addressDelays(clock)
  for (let i = 0; i < 3; i++) delays.failed('a', 'victim')
  delays.cameIn('a', 'own')
  t.equal(delays.delayMs('a'), 400)
  await delays.turn('a', 'own', patient()) // they themselves do not wait for what others do at their address
  let isIn = false
  const guess = delays.turn('a', 'victim', patient()).then(() => { isIn = true })
  await Promise.resolve()
  t.equal(isIn, false)
  clock.advance(400)
  await guess
  delays.failed('a', 'own')
  const own = delays.turn('a', 'own', patient()).then(() => { isIn = false })
  await Promise.resolve()
  t.equal(isIn, true, 'a failure under their name ends this')
  clock.advance(1_000)
  await own
})

t.test('[G6] the tables are bounded: the address seen longest ago is forgotten', async t => {
  const delays = addressDelays(createManualClock(0), { authDelayAddressesMax: 2 })
  for (const address of ['a', 'b', 'a', 'c']) delays.failed(address, 'u1')
  t.equal(delays.size, 2)
  t.same(['a', 'b', 'c'].map(address => delays.delayMs(address)), [200, 0, 100])
})

t.test('with 0 nobody is slowed down', async t => {
  const delays = addressDelays(createManualClock(0), { authDelayMs: 0 })
  delays.failed('a', 'u1')
  t.equal(delays.delayMs('a'), 0)
  await delays.turn('a', 'u1', patient())
})
