/**
 * A real server under load from several publishers, with persistent subscribers, killed with SIGKILL at random
 * moments and started again on the same data: what got a receipt arrives, in order.
 * Repeat a run with HOLDFAST_TEST_SEED=N.
 */
import t, { type Test } from 'tap'
import { chooseSeed, createRandom } from '../helpers/random.ts'
import { startServer } from '../helpers/server.ts'
import { pause, until } from '../helpers/wait.ts'
import { startPublisher } from './publisher.ts'
import { startSubscriber } from './subscriber.ts'
import { isComplete, judge } from './verdict.ts'

const ROUNDS = 10
const COMPLETE_MS_MAX = 120_000

async function crash (t: Test, qos: 1 | 2): Promise<void> {
  const random = createRandom(chooseSeed())
  t.comment(`seed ${random.seed}`)
  const server = await startServer(t)
  const to = (): typeof server.mqtt => server.mqtt
  let run = 0
  const subscribers = await Promise.all([['steady', 'load/#'], ['narrow', 'load/p1'], ['restless', 'load/+'],
    ['absent', 'load/#']].map(([id, filter]) => startSubscriber(t, { id, filter, qos, to, run: () => run })))
  const [, , restless, absent] = subscribers
  const publishers = [1, 5, 20, 50].map((window, i) =>
    startPublisher(t, { id: `p${i}`, topic: `load/p${i}`, qos, window, payloadBytes: 100 + i * 400, to }))

  const moments: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const before = publishers.reduce((sum, { receipts }) => sum + receipts.size, 0)
    await until(() => publishers.reduce((sum, { receipts }) => sum + receipts.size, 0) > before, 'the load to flow')
    const ms = random.between(20, 800)
    if (round % 3 === 1) absent.leave(2_000)
    if (random.int(2) === 0) restless.leave(random.between(0, 300))
    await pause(ms)
    moments.push(ms)
    await server.kill()
    run++
    await server.restart()
  }
  await Promise.all(publishers.map(publisher => publisher.finish()))
  const interested = (filter: string): typeof publishers =>
    publishers.filter(({ id }) => filter === 'load/p1' ? id === 'p1' : true)
  await until(() => subscribers.every(subscriber => isComplete(subscriber, interested(subscriber.filter))),
    'every receipt to be seen', COMPLETE_MS_MAX, 100).catch(error => t.comment(String(error)))
  await Promise.all(subscribers.map(subscriber => subscriber.stop()))

  t.comment(`killed after ${moments.join(', ')} ms`)
  t.comment(publishers.map(({ id, sent }) => `${id} sent ${sent}`).join(', '))
  for (const subscriber of subscribers) {
    const verdict = judge(subscriber, interested(subscriber.filter))
    const { receipts, seen, lost, disordered, repeated, unexcused } = verdict
    t.comment(`${subscriber.id}: ${receipts} receipts, ${seen} seen, ${lost.length} lost, ` +
      `${disordered.length} out of order, ${repeated} repeated, ${subscriber.connections} connections`)
    t.same(lost.slice(0, 10), [], `${subscriber.id}: nothing that got a receipt is lost [G2]`)
    t.same(disordered.slice(0, 10), [], `${subscriber.id}: in order [G3]`)
    if (qos === 1) t.same(unexcused.slice(0, 10), [], `${subscriber.id}: what comes twice carries DUP [G4]`)
    else t.equal(repeated, 0, `${subscriber.id}: exactly once [G4]`)
    t.equal(subscriber.sessionsLost, 0, `${subscriber.id}: its session was always there [G5]`)
  }
  t.ok(publishers.every(({ receipts, sent }) => receipts.size === sent && sent > ROUNDS), 'every publisher got through')
  t.equal(publishers.reduce((sum, { sessionsLost }) => sum + sessionsLost, 0), 0, 'no publisher lost its session')
}

t.test('[G1] [G2] [G3] [G4] QoS 1: ten times killed under load, nothing that got a receipt is lost', t => crash(t, 1))

t.test('[G1] [G2] [G3] [G4] QoS 2: ten times killed under load, everything arrives exactly once', t => crash(t, 2))
