/** Node-RED as a device of the plant: what its nodes for MQTT take, hand on, and are refused. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import type { Test } from 'tap'
import { connectWire, publish1, subscribe, take, text, type WireClient } from '../helpers/mqtt-wire.ts'
import { startServer, type ServerProcess } from '../helpers/server.ts'
import { tempFolder } from '../helpers/temp.ts'
import { until, within } from '../helpers/wait.ts'

t.setTimeout(120_000)

const PROGRAM = fileURLToPath(new URL('../node-red/run.mjs', import.meta.url))
const START_MS_MAX = 30_000
/** The default of the option topicBytesMax. */
const TOPIC_BYTES_MAX = 1_024

/** What comes as `{ to, n }` on in/# goes out as `n` on the topic `to`. */
function flows (port: number): object[] {
  return [
    { id: 'tab', type: 'tab', label: 'plant' },
    {
      id: 'broker',
      type: 'mqtt-broker',
      broker: '127.0.0.1',
      port: String(port),
      clientid: 'node-red',
      autoConnect: true,
      usetls: false,
      protocolVersion: '4',
      keepalive: '60',
      cleansession: false,
      autoUnsubscribe: false // else it unsubscribes when its flow is stopped, and wants nothing of what comes then
    },
    {
      id: 'in', type: 'mqtt in', z: 'tab', topic: 'in/#', qos: '1', datatype: 'json', broker: 'broker', wires: [['map']]
    },
    {
      id: 'map',
      type: 'change',
      z: 'tab',
      rules: [
        { t: 'set', p: 'topic', pt: 'msg', to: 'payload.to', tot: 'msg' },
        { t: 'set', p: 'payload', pt: 'msg', to: 'payload.n', tot: 'msg' }
      ],
      wires: [['out']]
    },
    { id: 'out', type: 'mqtt out', z: 'tab', topic: '', qos: '1', retain: 'false', broker: 'broker', wires: [] }
  ]
}

interface NodeRed {
  /** What its client took, in the order of first sight. */
  readonly taken: ReadonlySet<number>
  /** As Node-RED itself stops. */
  stop (): Promise<void>
}

/** Resolves once its flows are started. */
async function startNodeRed (t: Test, folder: string): Promise<NodeRed> {
  const child = fork(PROGRAM, [folder], { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
  t.teardown(() => child.kill('SIGKILL'))
  let said = ''
  for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (data) => { said += String(data) })
  const gone = once(child, 'exit')
  const failed = gone.then(() => { throw new Error(`Node-RED has ended: ${said}`) })
  failed.catch(() => {})
  const taken = new Set<number>()
  const started = new Promise<void>(resolve => child.on('message', message => {
    if (message === 'started') resolve()
    else taken.add((JSON.parse((message as { took: string }).took) as { n: number }).n)
  }))
  await within(Promise.race([started, failed]), 'the flows to be started', START_MS_MAX)
  return {
    taken,
    async stop () {
      child.send('stop')
      await within(gone, 'Node-RED to end', START_MS_MAX)
    }
  }
}

interface Plant {
  readonly reader: WireClient
  send (to: string, n: number): Promise<void>
}

/** Who gives Node-RED its messages, and who reads what it makes of them. */
async function connectPlant (t: Test, server: ServerProcess): Promise<Plant> {
  const { client: writer } = await connectWire(t, server.mqtt)
  const { client: reader, connack } = await connectWire(t, server.mqtt, { clientId: 'reader', clean: false })
  if (!connack.sessionPresent) await subscribe(reader, { 'out/#': 1 })
  let sent = 0
  return { reader, send: async (to, n) => { await publish1(writer, 'in/x', JSON.stringify({ to, n }), ++sent) } }
}

/** What Node-RED published, in the order of first sight, until `last` was among it. */
async function readUntil ({ reader }: Plant, last: number): Promise<number[]> {
  const seen = new Set<number>()
  while (!seen.has(last)) seen.add(Number(text(await take(reader, START_MS_MAX))))
  return [...seen]
}

/**
 * What its client took, until `last` was among it; without what is before `first`, which a kill of the server may
 * repeat [G4]. Of what comes right behind CONNACK its nodes themselves drop some: they listen, and publish, once
 * MQTT.js has told them of the connection, and by then it has acknowledged what came.
 */
async function takenUntil ({ taken }: NodeRed, first: number, last: number): Promise<number[]> {
  await until(() => taken.has(last), `Node-RED to take ${last}`)
  return [...taken].filter(n => n >= first)
}

function numbers (from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i)
}

t.test('[G2] [G3] Node-RED gets what came while its flow or the server was down, in order; ' +
  'what it may never publish holds up nothing', async t => {
  const server = await startServer(t)
  const folder = tempFolder(t, 'node-red')
  writeFileSync(join(folder, 'flows.json'), JSON.stringify(flows(server.mqtt.port)))
  let plant = await connectPlant(t, server)
  let nodeRed = await startNodeRed(t, folder)
  await until(async () => { // its subscription
    await plant.send('out/hello', 0)
    return plant.reader.waiting.length > 0
  }, 'Node-RED to be subscribed', START_MS_MAX, 100)
  await plant.send('out/a', 1)
  await plant.send('$SYS/reserved', 2)
  await plant.send('out/' + 'x'.repeat(TOPIC_BYTES_MAX), 3)
  await plant.send('out/b', 4)
  t.same(await readUntil(plant, 4), [0, 1, 4])

  await nodeRed.stop()
  for (let n = 5; n < 20; n++) await plant.send('out/c', n)
  await server.kill()
  await server.restart()
  plant = await connectPlant(t, server)
  nodeRed = await startNodeRed(t, folder)
  t.same(await takenUntil(nodeRed, 5, 19), numbers(5, 19), 'what came while it was stopped')

  await server.kill()
  await server.restart()
  plant = await connectPlant(t, server)
  for (let n = 20; n < 30; n++) await plant.send('out/d', n)
  t.same(await takenUntil(nodeRed, 20, 29), numbers(20, 29), 'it is back by itself')
})
