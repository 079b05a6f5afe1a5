/** Clients that send more than they should: each is slowed or refused by a limit, and costs nobody else anything. */
import { io } from 'socket.io-client'
import t from 'tap'
import { readRules } from '../../config/bridge-rules.ts'
import { createMemoryStore } from '../../broker/store/memory.ts'
import { createStoreDouble } from '../helpers/store-double.ts'
import { pause, until } from '../helpers/wait.ts'
import { connectClient, connected, countPublishes, openRaw, startBridged } from './socketio-harness.ts'

const OK = { status: 'ok' }

for (const asks of [true, false]) {
  const how = asks ? 'with' : 'without'
  t.test(`emits ${how} acks faster than the disk are not read, and none is lost [G2] [G6]`, async t => {
    const store = createStoreDouble(createMemoryStore())
    const pendingBytesMax = 65_536
    const { broker, bridge, url } = await startBridged(t, { store, limits: { pendingBytesMax } })
    const taken = countPublishes(broker)
    const keeper = await connectClient(t, url, { auth: { clientId: 'keeper' } })
    const page = await connectClient(t, url)
    const release = store.hold()
    const count = 1_000
    const filler = 'x'.repeat(2_000)
    let answers = 0
    for (let n = 0; n < count; n++) {
      if (asks) page.emit('flood', n, filler, () => { answers++ })
      else page.emit('flood', n, filler)
    }
    let got = 0
    keeper.on('flood', () => { got++ })
    await until(() => taken() * filler.length > pendingBytesMax / 2, 'the first of them')
    t.ok(taken() * filler.length < 8 * pendingBytesMax, `${taken()} of ${count} taken while the disk was busy`)
    t.equal(bridge.connections, 2, 'slowed down, not cut')
    release()
    await until(() => got === count, 'all of them')
    t.match(await page.emitWithAck('y'), OK)
    if (asks) t.equal(answers, count)
  })
}

t.test('a flood over long polling waits for its answer while the disk is busy, and none is lost [G2] [G6]', async t => {
  const store = createStoreDouble(createMemoryStore())
  const pendingBytesMax = 65_536
  const { broker, bridge, url } = await startBridged(t, { store, limits: { pendingBytesMax } })
  const taken = countPublishes(broker)
  const keeper = await connectClient(t, url, { auth: { clientId: 'keeper' } })
  const page = io(url, { transports: ['polling'], forceNew: true, reconnection: false })
  t.teardown(() => page.disconnect())
  await connected(page)
  const release = store.hold()
  const filler = 'x'.repeat(2_000)
  const count = 2_000
  const got: unknown[] = []
  keeper.on('flood', (n: unknown) => { got.push(n) })
  for (let n = 0; n < count; n++) page.emit('flood', n, filler)
  await until(() => taken() * filler.length > pendingBytesMax / 2, 'the first of them')
  for (let turn = 0; turn < 200; turn++) await new Promise(resolve => { setImmediate(resolve) })
  t.ok(taken() * filler.length < 2 * pendingBytesMax, `${taken()} of ${count} taken while the disk was busy`)
  t.equal(bridge.connections, 2, 'slowed down, not cut')
  release()
  await until(() => got.length === count, 'all of them')
  t.same(got, Array.from({ length: count }, (_, n) => n))
  t.match(await page.emitWithAck('y'), OK)
})

t.test('a client that asks and never reads the answers is not read either [G6]', async t => {
  let taken = 0
  const { rules } = readRules({ emit: [{ event: 'no', run: () => { taken++; return { refuse: 'x'.repeat(1_000) } } }] })
  const { url, port } = await startBridged(t, { limits: { writeBufferBytesMax: 65_536 }, bridge: { rules } })
  const hostile = await openRaw(t, port)
  const other = await connectClient(t, url)
  hostile.pause()
  const count = 30_000
  const answers = new Set<string>()
  hostile.on('message', data => { if (String(data).startsWith('43')) answers.add(String(data).split('[')[0]) })
  for (let n = 0; n < count; n++) hostile.send(`42${n}["no","${'y'.repeat(500)}"]`)
  await until(() => taken > 0, 'the first of them')
  let before = 0
  while (taken > before) {
    before = taken
    t.match(await other.emitWithAck('y'), OK, 'others go on [G8]')
    await pause(300) // what is taken meanwhile shows whether it has stopped
  }
  t.ok(taken < count / 2, `${taken} of ${count} were taken`)
  hostile.resume()
  await until(() => answers.size === count, 'every answer, once it reads')
  t.equal(taken, count)
})
