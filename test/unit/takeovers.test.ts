/** How fast a session can be taken over, by the one state machine and by the broker that asks it. */
import t, { type Test } from 'tap'
import type { BrokerEvents } from '../../broker/system/events.ts'
import { DEFAULT_LIMITS } from '../../broker/model/limits.ts'
import type { ClientId, Principal } from '../../broker/model/message.ts'
import { Pace, WAIT_MS_MIN } from '../../broker/session/pace.ts'
import { createMemoryDisk, createMemoryStore } from '../../broker/store/memory.ts'
import { Server, TestLink } from '../conformance/session-words.ts'

const { takeoversFreeMax, takeoverQuietMs, takeoverWaitMsMax } = DEFAULT_LIMITS

/** Waits as it is told to and takes over, `times` times; the waits. */
function storm (pace: Pace, times: number, startMs = 0): { readonly waits: number[], readonly endMs: number } {
  let nowMs = startMs
  const waits: number[] = []
  for (let i = 0; i < times; i++) {
    const waitMs = pace.waitMs(nowMs, DEFAULT_LIMITS)
    waits.push(waitMs)
    nowMs += waitMs
    pace.taken(nowMs, DEFAULT_LIMITS)
  }
  return { waits, endMs: nowMs }
}

t.test('the first takeovers are free, further ones wait twice as long each time, up to the longest wait', async t => {
  const { waits } = storm(new Pace(), takeoversFreeMax + 40)
  t.same(waits.slice(0, takeoversFreeMax), Array(takeoversFreeMax).fill(0))
  t.same(waits.slice(takeoversFreeMax, takeoversFreeMax + 4), [1, 2, 4, 8].map(times => times * WAIT_MS_MIN))
  t.equal(Math.max(...waits), takeoverWaitMsMax)
  t.ok(waits.slice(-20).every(waitMs => waitMs > takeoverWaitMsMax / 4), 'it goes on as long as they do')
})

t.test('a client on a bad link, with as many takeovers as are forgotten meanwhile, never waits', async t => {
  const pace = new Pace()
  for (let nowMs = 0; nowMs < 100 * takeoverQuietMs; nowMs += takeoverQuietMs) {
    t.equal(pace.waitMs(nowMs, DEFAULT_LIMITS), 0)
    pace.taken(nowMs, DEFAULT_LIMITS)
  }
})

t.test('everything is forgotten after a quiet time', async t => {
  const pace = new Pace()
  const { endMs } = storm(pace, 1_000)
  t.equal(pace.isOver(endMs, DEFAULT_LIMITS), false)
  const quietMs = endMs + takeoverQuietMs * (takeoversFreeMax + 10)
  t.equal(pace.isOver(quietMs, DEFAULT_LIMITS), true)
  t.same(storm(pace, takeoversFreeMax, quietMs).waits, Array(takeoversFreeMax).fill(0))
  t.equal(pace.inARow, takeoversFreeMax)
})

t.test('a clock that is put back or forward makes no wait longer', async t => {
  const pace = new Pace()
  const { endMs } = storm(pace, 100)
  for (const nowMs of [endMs - 86_400_000, endMs, endMs + 1]) {
    t.ok(pace.waitMs(nowMs, DEFAULT_LIMITS) <= takeoverWaitMsMax, String(nowMs))
  }
  t.equal(pace.waitMs(endMs + 86_400_000, DEFAULT_LIMITS), 0)
})

t.test('a longest wait of 0 slows nothing down, and half of connectTimeoutMs is never exceeded', async t => {
  const none = { ...DEFAULT_LIMITS, takeoverWaitMsMax: 0 }
  const short = { ...DEFAULT_LIMITS, connectTimeoutMs: 1_000 }
  for (const [limits, most] of [[none, 0], [short, 500]] as const) {
    const pace = new Pace()
    for (let i = 0; i < 50; i++) {
      t.ok(pace.waitMs(0, limits) <= most)
      pace.taken(0, limits)
    }
    t.equal(pace.waitMs(0, limits), most)
  }
})

async function startServer (t: Test): Promise<Server> {
  const disk = createMemoryDisk()
  return await Server.start(t, { create: () => createMemoryStore(disk), crash () {} })
}

class Placed extends TestLink {
  readonly remoteAddress: string

  constructor (remoteAddress: string) {
    super()
    this.remoteAddress = remoteAddress
  }
}

/** Takes `a` over until a newcomer has to wait. */
async function contest (server: Server, clean: boolean): Promise<TestLink> {
  let link = new TestLink()
  for (let i = 0; i <= takeoversFreeMax; i++) {
    const session = await server.session('a', { clean })
    link = new Placed(`10.0.0.${i}`)
    link.session = session
    link.attachment = server.broker.attach(session, link)
  }
  return link
}

/** What has become of a promise by now. */
async function state (promise: Promise<unknown>): Promise<string> {
  let state = 'waits'
  promise.then(() => { state = 'in' }, (error: Error) => { state = error.message })
  for (let turns = 0; turns < 20; turns++) await new Promise(resolve => { setImmediate(resolve) })
  return state
}

for (const clean of [false, true]) {
  const what = clean ? 'a clean session' : 'a kept session'
  t.test(`${what}: a newcomer waits, the present one goes on, and the program is told once`, async t => {
    const server = await startServer(t)
    const told: Array<BrokerEvents['contested'][0]> = []
    server.broker.events.on('contested', event => { told.push(event) })
    const present = await contest(server, clean)
    await server.broker.subscribe(present.session!, 't', 1)
    const newcomer = server.broker.connect({
      clientId: 'a' as ClientId, principal: 'me' as Principal, clean, expiryMs: 0, remoteAddress: '10.0.0.99'
    })
    t.equal(await state(newcomer), 'waits')
    await server.publish('t', 'x')
    t.same([present.got, present.closed], [['x'], undefined])
    await server.pass(WAIT_MS_MIN)
    t.equal(await state(newcomer), 'in')
    server.attach((await newcomer).session)
    t.equal(present.closed, 'taken-over')
    t.same(told, [{
      clientId: 'a',
      takeovers: takeoversFreeMax,
      waitMs: WAIT_MS_MIN,
      remoteAddress: `10.0.0.${takeoversFreeMax}`,
      newcomerAddress: '10.0.0.99',
      sessions: 1
    }])
    t.equal(await state(server.connect('a', { clean })), 'waits')
    t.equal(told.length, 1, 'and not again soon')
    t.match(server.broker.stats(), { takeovers: takeoversFreeMax + 1, takeoversSlowed: 1 })
  })

  t.test(`${what}: when the present connection goes, the newcomer waits no longer`, async t => {
    const server = await startServer(t)
    const present = await contest(server, clean)
    const newcomer = server.connect('a', { clean })
    t.equal(await state(newcomer), 'waits')
    present.detach()
    t.equal(await state(newcomer), 'in')
  })

  t.test(`${what}: a newcomer that has gone meanwhile takes nothing over`, async t => {
    const server = await startServer(t)
    const present = await contest(server, clean)
    const gone = server.broker.connect({
      clientId: 'a' as ClientId, principal: 'me' as Principal, clean, expiryMs: 0, isWanted: () => false
    })
    t.equal(await state(gone), 'waits')
    await server.pass(takeoverWaitMsMax)
    t.match(await state(gone), /not open any more: the connection is gone/)
    t.equal(present.closed, undefined)
  })
}

t.test('[G6] one newcomer waits at a time: a later one in its place', async t => {
  const server = await startServer(t)
  await contest(server, false)
  const [second, third] = [server.connect('a'), server.connect('a')].map(state)
  t.match(await second, /a later connection waits/)
  t.equal(await third, 'waits')
})

t.test('[G7] who may not have the session is refused at once, and slows nobody down', async t => {
  const server = await startServer(t)
  await contest(server, false)
  for (let i = 0; i < 3; i++) {
    await t.rejects(server.connect('a', { principal: 'other' }), { code: 'SESSION_FOREIGN' })
  }
  const newcomer = server.connect('a')
  await server.pass(WAIT_MS_MIN)
  t.equal(await state(newcomer), 'in')
})

t.test('a server that stops lets nobody wait', async t => {
  const server = await startServer(t)
  await contest(server, false)
  const newcomer = server.connect('a')
  t.equal(await state(newcomer), 'waits')
  const closing = server.broker.close()
  await t.rejects(newcomer, /the server is shutting down/)
  await closing
})
