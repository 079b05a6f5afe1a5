/** Work that every Socket.IO server can do, measured in deliveries a second; and what a silent connection costs. */
import { memoryOf, startLoad } from '../processes.mjs'
import { median } from '../statistics.mjs'

const GOALS = { room: { socketio: 1, 'socketio-recovery': 1 }, ack: { socketio: 0.8 } }
const CONNECTIONS = 4_000
/** Made before the first reading, so that code and buffers that are needed once are in it. */
const FIRST = 500
const MEMORY_RATIO_MAX = 1.3

export const SOCKETIO_CASES = [
  flow('socketio-one-4', 'one to one with ack, 4 emitters to 4 receivers', 'msg/s',
    { emitters: 4, receivers: 4, messages: 200_000 }, GOALS.ack),
  flow('socketio-one-16', 'one to one with ack, 16 emitters to 16 receivers', 'msg/s',
    { emitters: 16, receivers: 16, messages: 240_000 }, GOALS.ack),
  flow('socketio-room-50', 'room of 50, 1 emitter', 'deliveries/s',
    { emitters: 1, receivers: 50, messages: 20_000, fanout: true }, GOALS.room),
  flow('socketio-room-1000', 'room of 1,000, 1 emitter', 'deliveries/s',
    { emitters: 1, receivers: 1_000, messages: 1_000, fanout: true }, GOALS.room)
]

export const socketioMemory = {
  name: 'socketio-memory',
  kind: 'property',
  protocol: 'socketio',
  async run (bench, peers) {
    const results = new Map()
    for (const peer of peers) {
      await bench.attempt(`memory of a Socket.IO connection, ${peer.title}`, async () => {
        const measured = await bench.withServer(peer, { measurable: true }, (server) => idle(bench, server))
        results.set(peer.name, measured)
        return measured
      })
    }
    const bytes = (n) => Math.round(n).toLocaleString('en')
    const rows = peers.filter(({ name }) => results.has(name)).map(({ name, title }) => {
      const { count, heapBytes, rssAnonBytes } = results.get(name)
      const plain = results.get('socketio')?.rssAnonBytes
      const isOurs = name === 'holdfast'
      return {
        what: `memory of an idle Socket.IO connection in one room (${count.toLocaleString('en')} of them): ${title}`,
        value: `${bytes(rssAnonBytes)} bytes resident (heap ${bytes(heapBytes)})` +
          (isOurs && plain !== undefined ? `: ${(rssAnonBytes / plain).toFixed(2)} x` : ''),
        ...(isOurs && plain !== undefined
          ? { goal: `at most ${MEMORY_RATIO_MAX} x Socket.IO`, met: rssAnonBytes <= plain * MEMORY_RATIO_MAX }
          : {})
      }
    })
    return { rows, checked: new Map() }
  }
}

/** @param goals least ratio to each peer, by its name */
function flow (name, work, unit, shape, goals) {
  return {
    name,
    kind: 'throughput',
    protocol: 'socketio',
    work,
    unit,
    goals,
    note: (results) => `with ${median(results.map(({ pings }) => pings)).toPrecision(2)} pings a delivery`,
    run: (bench, peers) => bench.alternate(name, peers, ({ socketioPort: port }, peer) => bench.load({
      role: 'socketioFlow', port, ...shape, messages: bench.size(shape.messages * peer.scale, shape.emitters * 20)
    }))
  }
}

async function idle (bench, server) {
  const count = bench.size(CONNECTIONS, 200)
  const first = await hold(server, 'first-', FIRST)
  await first.end()
  const before = await memoryOf(server)
  const held = await hold(server, 'idle-', count)
  const after = await memoryOf(server)
  await held.end()
  return {
    count,
    heapBytes: (after.heapBytes - before.heapBytes) / count,
    rssAnonBytes: (after.rssAnonBytes - before.rssAnonBytes) / count
  }
}

async function hold ({ socketioPort: port }, prefix, count) {
  const load = startLoad({ role: 'socketioIdle', port, prefix, count })
  await load.ready
  return {
    async end () {
      load.tell('end')
      await load.result
    }
  }
}
