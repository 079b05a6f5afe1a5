/** How soon each proof comes, over a link with a delay, and what a rule that prefers speed gets instead. */
import t from 'tap'
import { performance } from 'node:perf_hooks'
import { readRules } from '../../config/bridge-rules.ts'
import { createProxy } from '../helpers/proxy.ts'
import {
  legacyClient, TRANSPORTS, VERSIONS, type LegacySocket, type Transport
} from '../helpers/socketio-clients.ts'
import { until, within } from '../helpers/wait.ts'
import { connectMqtt, startBridged } from './socketio-harness.ts'
import { watch } from './socketio-witness.ts'

const DELAY_MS = 30
const TRIP_MS = 2 * DELAY_MS
const EIO3_PING_INTERVAL_MS = 400
/** A timer may fire so much too early. */
const TIMER_MS = 2
const { rules } = readRules({
  namespaces: [{ match: '/', subscribe: ['fast/{clientId}'] }],
  deliver: [{ topic: 'fast/+', event: 'x', payload: 'json', args: ['{payload}'], proof: 'received' }]
})

async function opened (socket: LegacySocket, transport: Transport): Promise<void> {
  await within(new Promise<void>(resolve => socket.once('connect', () => resolve())), 'connect')
  if (transport === 'upgrade') {
    await until(() => socket.io.engine.transport.name === 'websocket', 'the upgrade', undefined, 5)
  }
}

t.test('a proof comes as soon as it can and no sooner, on every version and transport [G2]', async t => {
  const { broker, port, mqttUrl } = await startBridged(t, {
    bridge: { eio3PingIntervalMs: EIO3_PING_INTERVAL_MS, rules }
  })
  const witness = watch(broker)
  const device = await connectMqtt(t, mqttUrl)
  const proxy = await createProxy(t, { port })
  proxy.delay(DELAY_MS)
  await Promise.all(VERSIONS.map(async version => {
    for (const transport of Object.keys(TRANSPORTS) as Transport[]) {
      const name = `${version}-${transport}`
      const client = legacyClient(version, `http://127.0.0.1:${proxy.port}`,
        { transports: TRANSPORTS[transport], query: { clientId: name } })
      t.teardown(() => client.disconnect())
      client.on('x', (n: number) => { witness.handled(name, n) })
      await opened(client, transport)
      const tookMs = async (topic: string, n: number, payload: string): Promise<number> => {
        const start = performance.now()
        await device.publishAsync(topic, payload, { qos: 1 })
        await within(new Promise<void>(resolve => {
          const look = setInterval(() => {
            if (!witness.acknowledged(name).includes(n)) return
            clearInterval(look)
            resolve()
          }, 1)
        }), `the receipt of ${n}, ${name}`)
        return performance.now() - start
      }
      const handledMs = await tookMs(`io/_/user/${name}/x`, 1, '1')
      const receivedMs = await tookMs(`fast/${name}`, 2, '2')
      const isByHeartbeat = version === '2.5' && transport !== 'polling'
      t.ok(receivedMs >= TRIP_MS - TIMER_MS, `${name}: received after ${Math.round(receivedMs)} ms, one round trip`)
      t.ok(handledMs >= (isByHeartbeat ? EIO3_PING_INTERVAL_MS : 2 * TRIP_MS) - TIMER_MS,
        `${name}: handled after ${Math.round(handledMs)} ms, ${isByHeartbeat ? 'a ping interval' : 'two round trips'}`)
      client.disconnect()
    }
  }))
  t.same(witness.lies, [])
})
