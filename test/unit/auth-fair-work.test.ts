import t from 'tap'
import { fairWork, patient } from '../helpers/auth.ts'

/** Work that ends when it is told to, and who was let begin in which order. */
function jobs (runningMax: number, waitingMax: number) {
  const work = fairWork(runningMax, waitingMax)
  const begun: string[] = []
  const ends: Array<() => void> = []
  return {
    work,
    begun,
    run: (address: string, name: string, signal = patient()) => work.run(address, signal, async () => {
      begun.push(name)
      await new Promise<void>(resolve => { ends.push(resolve) })
      return name
    }),
    async endOne () {
      ends.shift()!()
      await new Promise(resolve => { setImmediate(resolve) })
    }
  }
}

t.test('so much runs at once, and addresses take turns', async t => {
  const { run, begun, endOne, work } = jobs(2, 100)
  const all = ['a1', 'a2', 'a3', 'a4', 'b1', 'b2', 'c1'].map(name => run(name[0], name))
  t.same(begun, ['a1', 'a2'])
  t.equal(work.waiting, 5)
  for (let i = 0; i < 7; i++) await endOne()
  t.same(begun, ['a1', 'a2', 'a3', 'b1', 'c1', 'a4', 'b2'])
  t.same(await Promise.all(all), ['a1', 'a2', 'a3', 'a4', 'b1', 'b2', 'c1'])
  t.same([work.waiting, work.running], [0, 0])
})

t.test('[G8] at the bound the address with the most waiting loses its newest, not the newcomer', async t => {
  const { run, endOne, begun, work } = jobs(1, 3)
  const running = run('a', 'a0')
  const waiting = ['a1', 'a2', 'a3'].map(name => run('a', name))
  const other = run('b', 'b1')
  await t.rejects(waiting[2], { code: 'AUTH_UNAVAILABLE', message: /workMax/ })
  await t.rejects(run('a', 'a4'), { code: 'AUTH_UNAVAILABLE' })
  t.equal(work.refused, 2)
  for (let i = 0; i < 4; i++) await endOne()
  t.same(begun, ['a0', 'a1', 'b1', 'a2'])
  await Promise.all([running, waiting[0], waiting[1], other])
})

t.test('whoever gave up waiting takes no turn', async t => {
  const { run, endOne, begun, work } = jobs(1, 10)
  const running = run('a', 'a0')
  const gone = new AbortController()
  const waiting = run('a', 'a1', gone.signal)
  const next = run('a', 'a2')
  gone.abort()
  await t.rejects(waiting, { code: 'AUTH_UNAVAILABLE' })
  await t.rejects(run('a', 'a3', gone.signal), { code: 'AUTH_UNAVAILABLE' })
  t.equal(work.waiting, 1)
  await endOne()
  await endOne()
  t.same(begun, ['a0', 'a2'])
  await Promise.all([running, next])
})

t.test('what an address has waiting can be given up; work that fails makes room like any other', async t => {
  const work = fairWork(1, 10)
  let fail: (error: Error) => void = () => {}
  const failing = work.run('a', patient(), () => new Promise((_resolve, reject) => { fail = reject }))
  const dropped = work.run('a', patient(), async () => 'a')
  const kept = work.run('b', patient(), async () => 'b')
  work.giveUp('a', 'it failed too often')
  work.giveUp('nobody', 'it failed too often')
  await t.rejects(dropped, { code: 'AUTH_UNAVAILABLE', message: /failed too often/ })
  fail(new Error('broken'))
  await t.rejects(failing, { message: 'broken' })
  t.equal(await kept, 'b')
  t.same([work.waiting, work.running], [0, 0])
})
