/** When nothing more may be kept in memory, from figures that the test gives. */
import t from 'tap'
import { HeapGuard, type HeapUsage } from '../../broker/system/heap-guard.ts'
import { processHeap, unlimitedHeap } from '../../broker/system/heap.ts'

function makeGuard () {
  const state = { used: 100, held: 100, counted: 0, outside: 0, collections: 0 }
  const said: HeapUsage[] = []
  const guard = new HeapGuard({
    heap: {
      bytesMax: 1_000,
      used: () => state.used,
      onCollected: () => () => {},
      collect () {
        state.collections++
        state.used = state.held
      }
    },
    heapPercentMax: 80,
    counted: () => state.counted,
    outside: () => state.outside,
    changed: (usage) => { said.push(usage) }
  })
  return { state, guard, said }
}

t.test('[G6] what is only not collected yet does not count; what was taken in since counts at once', async t => {
  const { state, guard, said } = makeGuard()
  state.used = 990
  guard.check()
  t.equal(guard.isFull, false, 'nothing was taken in: it is what V8 has yet to collect')
  state.counted = 650
  guard.check()
  t.equal(guard.isFull, false, '100 at first and 650 are less than 800')
  state.counted = 700
  guard.check()
  t.equal(guard.isFull, true)
  t.match(said, [{ heldBytes: 800, heldBytesMax: 800, isFull: true }])
})

t.test('[G6] after a collection what is left is what is held, whoever holds it', async t => {
  const { state, guard } = makeGuard()
  state.used = 850
  guard.collected()
  guard.check()
  t.equal(guard.isFull, true, 'although the broker counts nothing')
})

t.test('[G6] the account may be too high: no more is held than is used', async t => {
  const { state, guard } = makeGuard()
  state.counted = 5_000
  state.used = 700
  guard.check()
  t.equal(guard.isFull, false)
})

t.test('[G6] what is held outside of the heap counts beside it', async t => {
  const { state, guard } = makeGuard()
  state.outside = 701
  guard.check()
  t.equal(guard.isFull, true)
})

t.test('[G6] there is room again a tenth below the bound, not at it', async t => {
  const { state, guard, said } = makeGuard()
  state.used = 1_000
  state.counted = 700
  guard.check()
  t.equal(guard.isFull, true)
  state.counted = 630 // acknowledged and trimmed; that V8 has not collected it does not matter
  guard.check()
  t.equal(guard.isFull, true)
  state.counted = 610
  guard.check()
  t.equal(guard.isFull, false)
  t.same(said.map(({ isFull }) => isFull), [true, false])
})

t.test('[G6] a heap that is full is collected now and then, ever less often: what filled it may be gone', async t => {
  const { state, guard } = makeGuard()
  state.used = 900
  guard.collected()
  state.held = 850
  const when: number[] = []
  for (let look = 0; look < 100_000; look++) {
    const before = state.collections
    guard.check()
    if (state.collections > before) when.push(look)
  }
  t.ok(when.length > 10, `${when.length} collections in 100,000 looks`)
  t.ok(when.length < 30, 'and they are few')
  t.ok(when[1] - when[0] > when[0], 'the second comes later than the first')
  state.held = 300
  for (let look = 0; look < 10_000 && guard.isFull; look++) guard.check()
  t.equal(guard.isFull, false, 'nobody was told, and it is found out')
  const { collections } = state
  for (let look = 0; look < 10_000; look++) guard.check()
  t.equal(state.collections, collections, 'nothing is collected while there is room')
})

t.test('[G6] every refusal is counted, and says what to do', async t => {
  const { state, guard } = makeGuard()
  guard.assertRoom('a filter')
  state.outside = 900
  guard.check()
  t.throws(() => { guard.assertRoom('a filter') },
    { code: 'MEMORY_FULL', message: /a filter; heapPercentMax = 80; .+--max-old/ })
  t.equal(guard.usage.refused, 1)
})

t.test('[G6] the heap of this process: its limit, its use, and its collections', async t => {
  const heap = processHeap()
  t.ok(heap.bytesMax > 10_000_000 && heap.used() > 1_000_000 && heap.used() < heap.bytesMax, `${heap.bytesMax} bytes`)
  await new Promise<void>((resolve) => {
    const stop = heap.onCollected(() => {
      stop()
      resolve()
    })
    heap.collect()
  })
})

t.test('[G6] a log may be opened as long as what is left of it after a collection fits', async t => {
  const { state, guard } = makeGuard()
  state.used = 990
  state.held = 840
  guard.assertStartable()
  t.equal(state.collections, 1, 'what is not collected yet is collected before anybody gives up')
  state.used = 860
  guard.assertStartable()
  t.equal(state.collections, 1, 'and not again for a little more')
  state.used = 990
  state.held = 850
  t.throws(() => guard.assertStartable(), { code: 'MEMORY_FULL' })
})

t.test('[G6] where the heap has no limit any log may be opened', async t => {
  const guard = new HeapGuard({
    heap: unlimitedHeap, heapPercentMax: 75, counted: () => 0, outside: () => 0, changed () {}
  })
  t.doesNotThrow(() => guard.assertStartable())
})
