import t from 'tap'
import { createNotifier, supervisorOf } from '../../bin/supervisor.ts'
import { silent } from '../../broker/index.ts'
import { createMemoryStore } from '../../broker/store/memory.ts'
import { startInProcess } from '../helpers/in-process.ts'
import { createManualClock } from '../helpers/manual-clock.ts'
import { createStoreDouble } from '../helpers/store-double.ts'
import { until } from '../helpers/wait.ts'

const PID = 4_711

function watched (env: NodeJS.ProcessEnv) {
  const clock = createManualClock(0)
  const said: string[] = []
  const errors: string[] = []
  const log = { ...silent, error (_about: object, says: string) { errors.push(says) } }
  const supervisor = supervisorOf({ env, pid: PID, clock, log, tell: (one) => said.push(one) })
  return { clock, said, errors, supervisor }
}

t.test('without a service manager nobody is told anything', async (t) => {
  const { clock, said, supervisor } = watched({ WATCHDOG_USEC: '1000000' })
  supervisor.ready('ready', () => 0)
  supervisor.stopping()
  clock.advance(60_000)
  t.same(said, [])
})

t.test('a service manager hears of the start, twice in each of its intervals that all is well, and of the stop',
  async (t) => {
    const { clock, said, supervisor } = watched({ NOTIFY_SOCKET: '/x', WATCHDOG_USEC: '10000000' })
    t.same(said, [], 'not before the server is ready')
    supervisor.ready('up', () => 0)
    t.same(said.splice(0), ['STATUS=up', 'READY=1', 'WATCHDOG=1'])
    clock.advance(30_000)
    t.same(said.splice(0), Array(6).fill('WATCHDOG=1'))
    supervisor.stopping()
    t.same(said, ['STOPPING=1'])
  })

t.test('while the log owes an answer for as long as the watchdog waits, it is not told that all is well',
  async (t) => {
    const { clock, said, errors, supervisor } = watched({ NOTIFY_SOCKET: '/x', WATCHDOG_USEC: '10000000' })
    let silentMs = 0
    supervisor.ready('up', () => silentMs)
    said.splice(0)
    silentMs = 9_999
    clock.advance(5_000)
    t.same(said.splice(0), ['WATCHDOG=1'])
    silentMs = 10_000
    clock.advance(20_000)
    t.same(said, [])
    t.match(errors, [/the log gives no answer/, /Look at the disk/])
    silentMs = 0
    clock.advance(5_000)
    t.same(said, ['WATCHDOG=1'], 'the log answers again')
  })

t.test('a watchdog that is meant for another process, or for none, is not fed', async (t) => {
  const others = { WATCHDOG_USEC: '1000000', WATCHDOG_PID: '1' }
  for (const env of [others, { WATCHDOG_USEC: '0' }, { WATCHDOG_USEC: 'x' }, {}]) {
    const { clock, said, supervisor } = watched({ NOTIFY_SOCKET: '/x', ...env })
    supervisor.ready('up', () => 0)
    clock.advance(60_000)
    t.same(said, ['STATUS=up', 'READY=1'], JSON.stringify(env))
  }
  const { said, supervisor } = watched({ NOTIFY_SOCKET: '/x', WATCHDOG_USEC: '1000000', WATCHDOG_PID: String(PID) })
  supervisor.ready('up', () => 0)
  t.ok(said.includes('WATCHDOG=1'))
})

t.test('the log owes an answer from the beat on that the store does not answer; an error is an answer', async (t) => {
  const clock = createManualClock(1_000_000)
  const store = createStoreDouble(createMemoryStore())
  const { broker } = await startInProcess(t, { store, clock })
  const silentMs = (): number => broker.stats().logSilentMs
  await until(() => silentMs() === 0, 'the first beat')
  const open = store.hold()
  clock.advance(5_000)
  t.equal(silentMs(), 0, 'a beat was just handed over')
  clock.advance(60_000)
  t.equal(silentMs(), 60_000, 'counted from the oldest beat, not from the last')
  const heal = store.fail()
  open()
  await until(() => silentMs() === 0, 'the answer')
  clock.advance(5_000)
  await until(() => silentMs() === 0, 'a failing store answers')
  t.equal(broker.stats().storeFailing, true)
  heal()
})

t.test('a service manager that can\'t be told is told of in the log', async (t) => {
  const errors: object[] = []
  const log = { ...silent, error (about: object) { errors.push(about) } }
  const tell = createNotifier({ PATH: '/nowhere:/bin', NOTIFY_SOCKET: '/nowhere/socket' }, log)
  tell('READY=1')
  await until(() => errors.length > 0, 'the log')
  t.match(errors, [{ code: Number, said: String }])
  t.not((errors[0] as { said: string }).said, '')
  tell('READY=1') // nothing throws
})
