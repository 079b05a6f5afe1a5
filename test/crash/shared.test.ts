/**
 * A group of workers over a real server that is killed with SIGKILL under load: what got a receipt is seen by one of
 * them. What two see, or one sees twice, carries DUP.
 */
import t from 'tap'
import { startServer } from '../helpers/server.ts'
import { until } from '../helpers/wait.ts'
import { startPublisher } from './publisher.ts'
import { startSubscriber } from './subscriber.ts'

const ROUNDS = 2

t.test('[G1] [G2] [G4] killed under load, nothing that got a receipt is lost to a group', async t => {
  const server = await startServer(t)
  const to = (): typeof server.mqtt => server.mqtt
  let run = 0
  const workers = await Promise.all(['w1', 'w2', 'w3'].map(id =>
    startSubscriber(t, { id, filter: '$share/workers/load/#', qos: 1, to, run: () => run })))
  const publishers = [1, 20].map((window, i) =>
    startPublisher(t, { id: `p${i}`, topic: `load/p${i}`, qos: 1, window, payloadBytes: 200, to }))
  const receipts = (): number => publishers.reduce((sum, one) => sum + one.receipts.size, 0)
  for (let round = 0; round < ROUNDS; round++) {
    const before = receipts()
    await until(() => receipts() > before + 20, 'the load to flow', 60_000)
    workers[round].leave(round * 100)
    await server.kill()
    run++
    await server.restart()
  }
  await Promise.all(publishers.map(publisher => publisher.finish()))
  const seen = (): Set<string> => new Set(workers.flatMap(worker =>
    worker.sightings.map(({ publisher, number }) => `${publisher} ${number}`)))
  const lost = (): string[] => {
    const known = seen()
    return publishers.flatMap(({ id, receipts }) => [...receipts].map(number => `${id} ${number}`))
      .filter(name => !known.has(name))
  }
  await until(() => lost().length === 0, 'every receipt to be seen', 60_000, 100)
    .catch(error => t.comment(String(error)))
  await Promise.all(workers.map(worker => worker.stop()))

  t.same(lost().slice(0, 10), [], 'nothing that got a receipt is lost [G2]')
  t.ok(workers.every(({ sightings }) => sightings.length > 0), 'each had its part')
  t.ok(workers.every(({ sessionsLost }) => sessionsLost === 0), 'their sessions were always there [G5]')
  const firsts = new Set<string>()
  const unexcused: string[] = []
  for (const { sightings } of workers) {
    for (const { publisher, number, dup } of sightings) {
      const name = `${publisher} ${number}`
      if (dup) continue
      // One that was sent again for want of a receipt is another message.
      const isResent = publishers.find(({ id }) => id === publisher)!.resent.has(number)
      if (firsts.has(name) && !isResent) unexcused.push(name)
      firsts.add(name)
    }
  }
  t.same(unexcused.slice(0, 10), [], 'what comes twice carries DUP [G4]')
  t.comment(`${receipts()} receipts, ${workers.map(({ sightings }) => sightings.length).join(' + ')} seen`)
})
