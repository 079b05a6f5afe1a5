/** Shared subscriptions with MQTT.js over a real connection. */
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt'
import t, { type Test } from 'tap'
import { startInProcess, type InProcess } from '../helpers/in-process.ts'
import { until } from '../helpers/wait.ts'

const WAIT_MS = 60_000

interface Worker { readonly client: MqttClient, readonly got: string[], readonly dups: string[] }

/** Connects; what it gets is acknowledged by MQTT.js once the handler has called back, which `isDeaf` never does. */
async function worker (t: Test, { host, port }: InProcess, clientId: string,
  { isDeaf = false, ...options }: IClientOptions & { isDeaf?: boolean } = {}): Promise<Worker> {
  const client = mqtt.connect({ host, port, clientId, reconnectPeriod: 0, clean: true, ...options })
  const got: string[] = []
  const dups: string[] = []
  client.handleMessage = ({ payload, dup }, done) => {
    got.push(payload.toString())
    if (dup) dups.push(payload.toString())
    if (!isDeaf) done()
  }
  t.teardown(() => { client.end(true) })
  await new Promise<void>(resolve => { client.once('connect', () => { resolve() }) })
  return { client, got, dups }
}

async function join ({ client }: Worker, filter = '$share/billing/orders/+', qos: 0 | 1 | 2 = 1): Promise<number> {
  const [{ qos: granted }] = await client.subscribeAsync(filter, { qos })
  return granted
}

async function publish ({ client }: Worker, from: number, to: number): Promise<void> {
  for (let i = from; i < to; i++) await client.publishAsync(`orders/${i}`, String(i), { qos: 1 })
}

const sorted = (...workers: Worker[]): number[] =>
  workers.flatMap(({ got }) => got.map(Number)).sort((a, b) => a - b)
const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i)

t.test('[G2] each message goes to one worker; two groups and a plain subscription get each', async t => {
  const server = await startInProcess(t)
  const [a, b, other, plain, shop] =
    await Promise.all(['a', 'b', 'other', 'plain', 'shop'].map(id => worker(t, server, id)))
  t.equal(await join(a), 1)
  t.equal(await join(b, undefined, 2), 1, 'QoS 1 is the most')
  await join(other, '$share/audit/orders/#')
  await plain.client.subscribeAsync('orders/#', { qos: 1 })
  await publish(shop, 0, 10)
  await until(() => sorted(a, b).length >= 10 && plain.got.length >= 10 && other.got.length >= 10, 'all', WAIT_MS)
  t.same(sorted(a, b), upTo(10))
  t.same(sorted(other), upTo(10))
  t.same(sorted(plain), upTo(10))
  t.ok(a.got.length > 0 && b.got.length > 0)
})

t.test('[G2] [G4] what a worker leaves unacknowledged goes to another one, with DUP', async t => {
  const server = await startInProcess(t)
  const deaf = await worker(t, server, 'deaf', { isDeaf: true, clean: false })
  const shop = await worker(t, server, 'shop')
  await join(deaf)
  await publish(shop, 0, 3)
  await until(() => deaf.got.length > 0, 'a message', WAIT_MS)
  const next = await worker(t, server, 'next')
  await join(next)
  deaf.client.stream.destroy()
  await until(() => next.got.length >= 3, 'all of them', WAIT_MS)
  t.same(sorted(next), upTo(3))
  t.ok(next.dups.includes('0'), 'it may have been handled before')
})

t.test('[G2] nobody is there: what comes waits for the kept workers', async t => {
  const server = await startInProcess(t)
  const first = await worker(t, server, 'first', { clean: false })
  const shop = await worker(t, server, 'shop')
  await join(first)
  await first.client.endAsync()
  await until(() => server.broker.session('first' as never)?.attached === false, 'it to be away', WAIT_MS)
  await publish(shop, 0, 3)
  const back = await worker(t, server, 'first', { clean: false })
  await until(() => back.got.length >= 3, 'all of them', WAIT_MS)
  t.same(back.got, ['0', '1', '2'])
  t.match(server.broker.session('$share/billing/orders/+' as never), { filters: [{ filter: 'orders/+', qos: 1 }] })
  await back.client.unsubscribeAsync('$share/billing/orders/+')
  t.equal(server.broker.session('$share/billing/orders/+' as never), undefined)
})

t.test('[G7] no client can have the name of a group', async t => {
  const { host, port } = await startInProcess(t)
  const client = mqtt.connect({ host, port, clientId: '$share/billing/orders/+', reconnectPeriod: 0 })
  t.teardown(() => { client.end(true) })
  const error = await new Promise<Error>(resolve => { client.once('error', resolve) })
  t.match(error, { code: 2 })
})
