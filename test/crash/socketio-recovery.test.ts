/**
 * A real server under load, killed with SIGKILL three times, with the clients of Socket.IO that take part in connection
 * state recovery, on every transport and without a name: each goes on exactly where it was.
 * Repeat a run with HOLDFAST_TEST_SEED=N.
 */
import { connectAsync, type MqttClient } from 'mqtt'
import t, { type Test } from 'tap'
import { chooseSeed, createRandom } from '../helpers/random.ts'
import { startServer, type Address } from '../helpers/server.ts'
import { legacyClient, RECOVERING, TRANSPORTS, type LegacySocket, type Transport } from '../helpers/socketio-clients.ts'
import { pause, until } from '../helpers/wait.ts'

const ROUNDS = 3
/** Messages under way at the publisher. */
const WINDOW = 20

/** Publishes numbers, each once, and knows which of them got a receipt. */
interface Source {
  readonly receipts: number[]
  readonly sent: number
  stop (): Promise<void>
}

async function startSource (to: Address, from: number): Promise<Source> {
  const client: MqttClient = await connectAsync(`mqtt://${to.host}:${to.port}`, { reconnectPeriod: 0 })
  client.on('error', () => {})
  const receipts: number[] = []
  let sent = from
  let stopped = false
  const one = async (): Promise<void> => {
    while (!stopped && client.connected) {
      const n = sent++
      await client.publishAsync('io/_/all/x', String(n), { qos: 1 })
      receipts.push(n) // [G1]
    }
  }
  const all = Promise.allSettled(Array.from({ length: WINDOW }, one))
  return {
    receipts,
    get sent () { return sent },
    async stop () {
      stopped = true
      if (client.connected) await all
      await client.endAsync(true)
    }
  }
}

interface Life {
  readonly name: string
  readonly socket: LegacySocket
  readonly ids: Set<string | undefined>
  readonly seen: number[]
  connects: number
  recovered: number
  /** Its emits in their order, as everybody got them. */
  readonly heard: number[]
}

function startLife (t: Test, url: string, version: typeof RECOVERING[number], transport: Transport): Life {
  const socket = legacyClient(version, url, { transports: TRANSPORTS[transport] })
  t.teardown(() => { socket.disconnect() })
  const life: Life =
    { name: `${version} ${transport}`, socket, ids: new Set(), seen: [], connects: 0, recovered: 0, heard: [] }
  socket.on('connect', () => {
    life.connects++
    life.ids.add(socket.id)
    if (socket.recovered === true) life.recovered++
  })
  socket.on('x', (n: number) => { life.seen.push(n) })
  socket.on(life.name, (n: number) => { life.heard.push(n) })
  return life
}

t.test('[G1] [G2] [G3] [G4] after kill -9, clients from 4.6 on are recovered: nothing is lost, nothing comes twice',
  async t => {
    const random = createRandom(chooseSeed())
    t.comment(`seed ${random.seed}`)
    const server = await startServer(t)
    const url = `http://${server.http.host}:${server.http.port}`
    const lives = RECOVERING.flatMap(version =>
      (Object.keys(TRANSPORTS) as Transport[]).map(transport => startLife(t, url, version, transport)))
    await until(() => lives.every(({ socket }) => socket.connected), 'all clients')
    const receipts: number[] = []
    let from = 0
    for (let round = 1; round <= ROUNDS; round++) {
      const source = await startSource(server.mqtt, from)
      await until(() => lives.every(({ seen }) => seen.length > receipts.length / 2 + 50), 'the load to flow')
      await pause(random.between(20, 500))
      await server.kill()
      await until(() => lives.every(({ socket }) => !socket.connected), 'the clients to notice')
      for (const { socket, name } of lives) socket.emit(name, round) // while it is offline
      await source.stop()
      receipts.push(...source.receipts)
      from = source.sent
      await server.restart()
      await until(() => lives.every(({ connects }) => connects === round + 1), 'the clients to come back')
    }
    await until(() => lives.every(({ seen }) => receipts.every(n => seen.includes(n))), 'every receipt to be seen')
      .catch(error => t.comment(String(error)))
    await until(() => lives.every(({ heard }) => heard.length >= ROUNDS), 'what was emitted meanwhile')
    await pause(300) // for what should not come
    t.comment(`${receipts.length} receipts of ${from} messages`)
    for (const { name, ids, seen, connects, recovered, heard } of lives) {
      const got = new Set(seen)
      t.same(receipts.filter(n => !got.has(n)), [], `${name}: nothing is lost [G2]`)
      t.equal(seen.length - got.size, 0, `${name}: nothing comes twice [G4]`)
      t.same(seen.filter((n, i) => i > 0 && n < seen[i - 1]), [], `${name}: in order [G3]`)
      t.same([connects, recovered, ids.size], [ROUNDS + 1, ROUNDS, 1], `${name}: recovered each time, under one id`)
      t.same(heard, [1, 2, 3], `${name}: what was emitted offline follows`)
    }
  })
