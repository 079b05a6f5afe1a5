/** Clients with one identifier that come back as soon as they are thrown out, over each transport. */
import { once } from 'node:events'
import { connect } from 'mqtt'
import t, { type Test } from 'tap'
import { createMemoryStore } from '../../broker/store/memory.ts'
import { createHoldfast, type Holdfast, type Logger } from '../../index.ts'
import { until, within } from '../helpers/wait.ts'
import { collect, connectClient, newClient } from './socketio-harness.ts'

const FREE = 2
const MESSAGES = 20

interface Warning { readonly clientId?: string, readonly sentence: string }

async function start (t: Test): Promise<{ holdfast: Holdfast, http: string, warnings: Warning[] }> {
  const warnings: Warning[] = []
  const logger: Logger = {
    debug () {}, info () {}, error () {}, warn (fields, sentence) { warnings.push({ ...fields, sentence }) }
  }
  const holdfast = await createHoldfast(
    { store: createMemoryStore(), logger, mqttPort: 0, httpPort: 0, takeoversFreeMax: FREE })
  t.teardown(() => holdfast.close())
  return { holdfast, warnings, http: `127.0.0.1:${holdfast.addresses.http!.port}` }
}

/** Two of them, on the topic; what either gets. */
type Storm = (t: Test, started: { holdfast: Holdfast, http: string }, got: Set<string>) => string

function mqttStorm (urlOf: (started: { holdfast: Holdfast, http: string }) => string): Storm {
  return (t, started, got) => {
    for (let i = 0; i < 2; i++) {
      const client = connect(urlOf(started), { clientId: 'twin', clean: false, reconnectPeriod: 1 })
      client.on('connect', () => { client.subscribe('t/news', { qos: 1 }) })
      client.on('message', (_topic, payload) => { got.add(String(payload)) })
      client.on('error', () => {})
      t.teardown(() => client.endAsync(true))
    }
    return 't/news'
  }
}

const STORMS: Readonly<Record<string, Storm>> = {
  'MQTT over TCP': mqttStorm(({ holdfast }) => `mqtt://127.0.0.1:${holdfast.addresses.mqtt!.port}`),
  'MQTT over WebSocket': mqttStorm(({ http }) => `ws://${http}/mqtt`),
  'Socket.IO': (t, { http }, got) => {
    for (let i = 0; i < 2; i++) {
      const socket = newClient(t, `http://${http}`, { auth: { clientId: 'twin' } })
      socket.on('disconnect', reason => { if (reason === 'io server disconnect') socket.connect() })
      socket.on('news', text => { got.add(String(text)) })
    }
    return 'io/_/user/twin/news'
  }
}

for (const [transport, storm] of Object.entries(STORMS)) {
  t.test(`[G2] twins over ${transport}: each takeover waits, one line names them, messages arrive`, async t => {
    const started = await start(t)
    const { holdfast, warnings } = started
    const contested = once(holdfast.events, 'contested')
    const got = new Set<string>()
    const topic = storm(t, started, got)
    await within(contested, 'the first takeover that has to wait')
    for (let i = 0; i < MESSAGES; i++) await holdfast.publish({ topic, payload: `"${i}"` })
    await until(() => got.size === MESSAGES, 'every message')
    await until(() => holdfast.stats().takeoversSlowed >= 2, 'it goes on')
    const { takeovers, takeoversSlowed } = holdfast.stats()
    t.equal(takeovers - takeoversSlowed, FREE, 'all others have waited')
    const lines = warnings.filter(({ sentence }) => /take this session over from each other/.test(sentence))
    t.match(lines, [{ clientId: /twin$/, remoteAddress: '127.0.0.1', newcomerAddress: '127.0.0.1' }])
    t.equal(lines.length, 1)
  })
}

t.test('a Socket.IO client that is thrown out is told why, before it is', async t => {
  const { holdfast, http } = await start(t)
  for (const [reason, cause] of [
    ['taken-over', async () => { await connectClient(t, `http://${http}`, { auth: { clientId: 'twin' } }) }],
    ['ended', async () => { await holdfast.endSession('io:_:twin') }]
  ] as const) {
    const client = await connectClient(t, `http://${http}`, { auth: { clientId: 'twin' } })
    const heard: unknown[] = []
    client.on('holdfast:closed', told => heard.push(told))
    const gone = new Promise(resolve => client.on('disconnect', resolve))
    await cause()
    t.equal(await within(gone, 'the end'), 'io server disconnect')
    t.same(heard, [{ reason }])
  }
})

t.test('one takeover, or a few, are as fast as ever: nothing waits and nothing is said', async t => {
  const { holdfast, http, warnings } = await start(t)
  const first = await connectClient(t, `http://${http}`, { auth: { clientId: 'U1' } })
  const second = await connectClient(t, `http://${http}`, { auth: { clientId: 'U1' } })
  const news = collect(second, 'news')
  await holdfast.publish({ topic: 'io/_/user/U1/news', payload: '1' })
  await news.wait(1)
  t.equal(first.connected, false)
  t.match(holdfast.stats(), { takeovers: 1, takeoversSlowed: 0 })
  t.same(warnings, [])
})
