/** A link that is dead and says nothing is noticed by both ends, no later than Socket.IO itself would. */
import t from 'tap'
import { WebSocket } from 'ws'
import type { Broker } from '../../broker/index.ts'
import { createProxy } from '../helpers/proxy.ts'
import { legacyClient, TRANSPORTS, type LegacySocket, type Transport } from '../helpers/socketio-clients.ts'
import { until, within } from '../helpers/wait.ts'
import { connectClient, nextPacket, startBridged } from './socketio-harness.ts'

const PING_INTERVAL_MS = 200
/** A pause of the machine should not end a link before it is cut. */
const PING_TIMEOUT_MS = 3_000
/** Interval and timeout, and the rest for a machine that has other things to do. */
const NOTICED_MS_MAX = PING_INTERVAL_MS + PING_TIMEOUT_MS + 15_000
const OPTIONS = {
  pingIntervalMs: PING_INTERVAL_MS,
  pingTimeoutMs: PING_TIMEOUT_MS,
  bridge: { eio3PingIntervalMs: PING_INTERVAL_MS }
}

async function detached (broker: Broker): Promise<void> {
  await within(new Promise<void>(resolve => broker.events.once('detached', () => resolve())), 'the end to be noticed')
}

async function once (client: LegacySocket, event: string): Promise<void> {
  await within(new Promise<void>(resolve => client.once(event, () => resolve())), event)
}

t.jobs = 6 // each waits most of the time
for (const version of ['2.5', '4.8'] as const) {
  for (const transport of Object.keys(TRANSPORTS) as Transport[]) {
    const title = `a dead link is noticed in time, while messages wait for their proof: ${version}, ${transport}`
    t.test(title, { buffered: true }, async t => {
      const { broker, port, url } = await startBridged(t, OPTIONS)
      const proxy = await createProxy(t, { port })
      const sender = await connectClient(t, url)
      for (const direction of ['up', 'down', 'both'] as const) {
        proxy.pass()
        const client = legacyClient(version, `http://127.0.0.1:${proxy.port}`,
          { transports: TRANSPORTS[transport], query: { clientId: 'U1' }, reconnection: false })
        t.teardown(() => client.disconnect())
        await once(client, 'connect')
        await until(() => client.io.engine.transport.name === TRANSPORTS[transport].at(-1), 'the upgrade')
        const start = Date.now()
        const noticed: Record<string, number> = {}
        proxy.hole(direction)
        // what the server writes and asks now must not keep it from noticing
        const sending = setInterval(() => sender.emit('send', { user: 'U1' }, 'x', 1), PING_INTERVAL_MS / 4)
        await Promise.all([
          detached(broker).then(() => { noticed.server = Date.now() - start }),
          once(client, 'disconnect').then(() => { noticed.client = Date.now() - start })
        ]).finally(() => clearInterval(sending))
        t.ok(noticed.server < NOTICED_MS_MAX && noticed.client < NOTICED_MS_MAX,
          `${direction}: ${JSON.stringify(noticed)}`)
      }
    })
  }
}

t.test('a link that dies in the upgrade, with a heartbeat under way, is noticed in time', async t => {
  const { broker, port, url } = await startBridged(t, OPTIONS)
  const get = async (query: string): Promise<string> => {
    return await (await fetch(`${url}/socket.io/?EIO=4&transport=polling&${query}`)).text()
  }
  const { sid } = JSON.parse((await get('t=1')).slice(1)) as { sid: string }
  await fetch(`${url}/socket.io/?EIO=4&transport=polling&sid=${sid}&t=2`, { method: 'POST', body: '40' })
  t.match(await get(`sid=${sid}&t=3`), /40\{/)
  const raw = new WebSocket(`ws://127.0.0.1:${port}/socket.io/?EIO=4&transport=websocket&sid=${sid}`)
  t.teardown(() => raw.terminate())
  await within(new Promise<void>(resolve => raw.once('open', () => resolve())), 'the WebSocket')
  const gone = detached(broker)
  t.match(await get(`sid=${sid}&t=4`), /(^|\x1e)(2|42.*)/s) // the heartbeat, behind what came before it
  const probed = nextPacket(raw, '3probe')
  raw.send('2probe')
  await probed
  raw.send('5') // and not a word after it
  await gone
})
