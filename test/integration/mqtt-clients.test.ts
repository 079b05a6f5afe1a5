import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { once } from 'node:events'
import mqtt, { type MqttClient } from 'mqtt'
import t, { type Test } from 'tap'
import { createProxy } from '../helpers/proxy.ts'
import { startServer, type ServerProcess } from '../helpers/server.ts'
import { until, within } from '../helpers/wait.ts'

interface Printing { readonly child: ChildProcess, readonly got: string[] }

/** mosquitto_sub with a persistent session: the payloads it has printed. */
function mosquittoSub (t: Test, server: ServerProcess, id: string, topic: string): Printing {
  const child = spawn('mosquitto_sub', ['-h', '127.0.0.1', '-p', String(server.mqtt.port), '-i', id, '-c', '-q', '1',
    '-t', topic], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => { child.kill() })
  const got: string[] = []
  createInterface({ input: child.stdout }).on('line', line => got.push(line))
  return { child, got }
}

async function mosquittoPub (server: ServerProcess, ...args: string[]): Promise<number | null> {
  const child = spawn('mosquitto_pub', ['-h', '127.0.0.1', '-p', String(server.mqtt.port), ...args],
    { stdio: ['ignore', 'inherit', 'inherit'] })
  const [code] = await within(once(child, 'exit'), 'mosquitto_pub to end') as [number | null]
  return code
}

async function connectJs (t: Test, url: string, options: mqtt.IClientOptions): Promise<MqttClient> {
  const client = mqtt.connect(url, { clean: false, reconnectPeriod: 50, connectTimeout: 2_000, ...options })
  client.on('error', () => {})
  t.teardown(() => { client.end(true) })
  await within(new Promise<void>(resolve => client.once('connect', () => resolve())), 'mqtt.js to connect')
  return client
}

t.test('[G2] mosquitto_pub to a mosquitto_sub that is away, with the server killed in between', async t => {
  const server = await startServer(t)
  const first = mosquittoSub(t, server, 'reader', 'm/#')
  await until(async () => {
    await mosquittoPub(server, '-t', 'm/hello', '-m', 'hello', '-q', '1')
    return first.got.length > 0
  }, 'mosquitto_sub to be subscribed')
  first.child.kill('SIGKILL')
  await once(first.child, 'exit')
  for (let i = 0; i < 5; i++) t.equal(await mosquittoPub(server, '-t', 'm/a', '-m', `message ${i}`, '-q', '2'), 0)
  await server.kill()
  await server.restart()
  const back = mosquittoSub(t, server, 'reader', 'm/#')
  await until(() => back.got.includes('message 4'), 'the last message')
  t.same(back.got.filter(line => line !== 'hello'), [0, 1, 2, 3, 4].map(i => `message ${i}`))
})

t.test('[G2] [G3] mqtt.js over TCP and over WebSocket, through a network that cuts', async t => {
  const server = await startServer(t)
  for (const [name, port, url] of [['tcp', server.mqtt.port, (p: number) => `mqtt://127.0.0.1:${p}`],
    ['websocket', server.http.port, (p: number) => `ws://127.0.0.1:${p}/mqtt`]] as const) {
    const proxy = await createProxy(t, { port })
    const reader = await connectJs(t, url(proxy.port), { clientId: `reader-${name}` })
    const got: number[] = []
    reader.on('message', (_topic, payload) => { got.push(Number(payload.toString())) })
    await reader.subscribeAsync(`${name}/#`, { qos: 1 })
    const writer = await connectJs(t, url(proxy.port), { clientId: `writer-${name}` })
    const total = 600
    /** Fulfilled or not: mqtt.js gives up on some that it would have to send again. */
    const receipts: Array<Promise<boolean>> = []
    for (let i = 0; i < total; i++) {
      receipts.push(writer.publishAsync(`${name}/a`, String(i), { qos: 1 }).then(() => true, () => false))
      if (i % 100 !== 50) continue
      await receipts[i - 10]
      const back = new Promise<void>(resolve => writer.once('connect', () => resolve()))
      proxy.cut(i % 200 === 50 ? 'reset' : 'finish')
      await within(back, `${name}: mqtt.js to be back`)
    }
    const kept = await within(Promise.all(receipts), `${name}: every receipt`)
    const promised = kept.flatMap((isKept, i) => isKept ? [i] : [])
    await until(() => promised.every(i => got.includes(i)), `${name}: every message that got a receipt`)
    const firstSight = [...new Set(got)]
    t.same(firstSight, [...firstSight].sort((a, b) => a - b), `${name}: in order of first sight`)
    t.ok(promised.length > total / 2, `${name}: most of them got through`)
    t.comment(`${name}: ${promised.length} of ${total} receipts, ${got.length - firstSight.length} repeated`)
    await Promise.all([reader.endAsync(true), writer.endAsync(true)])
  }
})

t.test('[G2] a client behind a network that swallows everything gets it all when the network is back', async t => {
  const server = await startServer(t)
  const proxy = await createProxy(t, server.mqtt)
  const reader = await connectJs(t, `mqtt://127.0.0.1:${proxy.port}`, { clientId: 'reader', keepalive: 1 })
  const got: string[] = []
  reader.on('message', (_topic, payload) => { got.push(payload.toString()) })
  // with so short a keep alive, a pause of the machine ends the connection
  await until(async () => await reader.subscribeAsync('h/#', { qos: 1 }).then(() => true, () => false), 'SUBACK')
  proxy.hole('both')
  for (let i = 0; i < 20; i++) t.equal(await mosquittoPub(server, '-t', 'h/a', '-m', String(i), '-q', '1'), 0)
  t.same(got, [], 'nothing comes through')
  proxy.pass()
  await until(() => got.length >= 20, 'the messages')
  t.same([...new Set(got)], Array.from({ length: 20 }, (_, i) => String(i)))
})
