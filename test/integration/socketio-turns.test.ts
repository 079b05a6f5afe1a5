/** Clients of Socket.IO take turns with all others, whatever carries them [G8]. */
import { once } from 'node:events'
import t from 'tap'
import { anonymous, type ProgramAuth, type ClientId, type Principal } from '../../broker/index.ts'
import { ROUND_UNITS } from '../../broker/system/turns.ts'
import { until } from '../helpers/wait.ts'
import { connectClient, connectMqtt, nextPacket, openRaw, startBridged } from './socketio-harness.ts'

/** An event costs no less (wire/inlets.ts). */
const EVENT_UNITS = 5
/** A round may be in the middle of what was read, and the next begin in the same turn; each takes less than two. */
const ROUNDS = 4

/** Counts what floods, and how much of it is taken in one turn of the event loop. */
function counter (): { auth: ProgramAuth, taken: number, mostInTurn: number } {
  let inTurn = 0
  const counts = {
    taken: 0,
    mostInTurn: 0,
    auth: {
      ...anonymous,
      mayPublish (_principal: Principal, _clientId: ClientId, topic: string): boolean {
        if (!topic.endsWith('/flood')) return true
        counts.taken++
        counts.mostInTurn = Math.max(counts.mostInTurn, ++inTurn)
        if (inTurn === 1) setImmediate(() => { inTurn = 0 })
        return true
      }
    }
  }
  return counts
}

const TOTAL = 5_000
const EVENTS = Array.from({ length: TOTAL }, (_, n) => `42["flood",${n}]`)

for (const via of ['WebSocket', 'one request of long polling'] as const) {
  t.test(`[G8] a client that floods by ${via} is taken in turns, and others of every kind come in between`, async t => {
    const counts = counter()
    const { url, port, mqttUrl } = await startBridged(t, { auth: counts.auth })
    const mqtt = await connectMqtt(t, mqttUrl)
    const page = await connectClient(t, url)
    const got: unknown[] = []
    page.on('flood', (n: unknown) => { got.push(n) })
    let answer: Promise<unknown> = Promise.resolve()
    if (via === 'WebSocket') {
      const flooder = await openRaw(t, port)
      for (const event of EVENTS) flooder.send(event)
    } else {
      const path = `${url}/socket.io/?EIO=4&transport=polling`
      const { sid } = JSON.parse((await (await fetch(`${path}&t=a`)).text()).slice(1)) as { sid: string }
      const post = async (body: string, t: string): Promise<Response> =>
        await fetch(`${path}&sid=${sid}&t=${t}`, { method: 'POST', body, headers: { 'content-type': 'text/plain' } })
      await post('40', 'b')
      await fetch(`${path}&sid=${sid}&t=c`)
      answer = post(EVENTS.join('\x1e'), 'd').then(async response => {
        t.equal(counts.taken, TOTAL, 'the request is answered when all of it is taken, and not before')
        return await response.text()
      })
    }
    await until(() => counts.taken > 0, 'the first of them', undefined, 1)
    await mqtt.publishAsync('other', 'x', { qos: 1 })
    const seen = [counts.taken]
    t.match(await page.emitWithAck('other'), { status: 'ok' })
    seen.push(counts.taken)
    t.comment(`taken when the others had their receipts: ${seen.join(' ')}`)
    t.ok(seen[1] < TOTAL, 'both were served before all of the flood was taken')
    await until(() => got.length === TOTAL, 'all of it')
    t.same(got, Array.from({ length: TOTAL }, (_, n) => n), 'in order')
    await answer
    t.ok(counts.mostInTurn <= ROUNDS * ROUND_UNITS / EVENT_UNITS, `${counts.mostInTurn} in one turn of the event loop`)
  })
}

t.test('[G8] many that flood have one round together', async t => {
  const counts = counter()
  const { port } = await startBridged(t, { auth: counts.auth })
  const flooders = await Promise.all(Array.from({ length: 12 }, async () => await openRaw(t, port)))
  for (const flooder of flooders) for (const event of EVENTS.slice(0, 500)) flooder.send(event)
  await until(() => counts.taken === 12 * 500, 'all of it')
  t.ok(counts.mostInTurn <= ROUNDS * ROUND_UNITS / EVENT_UNITS, `${counts.mostInTurn} in one turn of the event loop`)
})

t.test('[G8] asking for thousands of rooms again and again takes a turn each time, answered in order', async t => {
  const { broker, url, port } = await startBridged(t)
  const flooder = await openRaw(t, port, '40{"clientId":"flooder"}')
  const session = broker.session('io:_:flooder' as ClientId)!
  t.ok(session)
  const rooms = 3_000
  const joined = nextPacket(flooder, `43${rooms - 1}[`)
  for (let n = 0; n < rooms; n++) flooder.send(`42${n}["join","r${n}"]`)
  await joined
  const page = await connectClient(t, url)
  const answers: string[] = []
  flooder.on('message', data => { answers.push(String(data).slice(0, String(data).indexOf('['))) })
  const total = 60
  for (let n = 0; n < total; n++) flooder.send(`42${n}["rooms"]`)
  await until(() => answers.length > 0, 'the first answer', undefined, 1)
  t.match(await page.emitWithAck('other'), { status: 'ok' })
  t.ok(answers.length < total, `${answers.length} of ${total} answered when another client had its receipt`)
  await until(() => answers.filter(start => start.startsWith('43')).length === total, 'every answer')
  t.same(answers.filter(start => start.startsWith('43')), Array.from({ length: total }, (_, n) => `43${n}`))
})

t.test('[G8] frames that carry nothing count too: pings of the WebSocket, and empty ones', async t => {
  const { url, port } = await startBridged(t)
  const flooder = await openRaw(t, port)
  let pongs = 0
  flooder.on('pong', () => { pongs++ })
  const page = await connectClient(t, url)
  const total = 20_000
  for (let n = 0; n < total; n++) flooder.ping()
  await once(flooder, 'pong')
  t.match(await page.emitWithAck('other'), { status: 'ok' })
  t.ok(pongs < total, `${pongs} of ${total} answered when another client had its receipt`)
  await until(() => pongs === total, 'every pong')
})

t.test('a room that the session is in is not joined again: nothing is written for it', async t => {
  const { broker, url } = await startBridged(t)
  const page = await connectClient(t, url, { auth: { clientId: 'page' } })
  let subscribes = 0
  const subscribe = broker.subscribe.bind(broker)
  broker.subscribe = async (...args) => { subscribes++; return await subscribe(...args) }
  for (let n = 0; n < 5; n++) t.same(await page.emitWithAck('join', 'r'), { status: 'ok' })
  t.equal(subscribes, 1)
  t.same(await page.emitWithAck('leave', 'r'), { status: 'ok' })
  t.same(await page.emitWithAck('join', 'r'), { status: 'ok' })
  t.equal(subscribes, 2)
  t.same(await page.emitWithAck('rooms'), { status: 'ok', rooms: ['r'] })
})
