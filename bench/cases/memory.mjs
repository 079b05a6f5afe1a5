/** What a session that is away and a connection that is silent cost in memory. */
import { memoryOf, startLoad } from '../processes.mjs'

const SESSIONS = 100_000
const CONNECTIONS = 4_000
/** Made before the first reading, so that code and buffers that are needed once are in it. */
const FIRST = 500
const FILTERS = ['dev/{i}/cmd/+', 'dev/{i}/cfg', 'all/news']
const SESSION_BYTES_MAX = 2_048
const CONNECTION_BYTES_MAX = 25_600

export const memory = {
  name: 'memory',
  kind: 'property',
  async run (bench, [holdfast]) {
    const rows = []
    await bench.attempt('memory, sessions', async () => {
      const { live, loaded, empty, count } = await bench.withServer(holdfast, { measurable: true },
        (server, start) => sessions(bench, server, start))
      const made = per(count, live, empty)
      const read = per(count, loaded, empty)
      rows.push(row('detached session with 3 filters, as left by its client', count, made, SESSION_BYTES_MAX),
        row('detached session with 3 filters, after a restart', count, read, SESSION_BYTES_MAX))
      return { ...made, restartedHeapBytes: read.heapBytes, restartedRssAnonBytes: read.rssAnonBytes }
    })
    await bench.attempt('memory, connections', async () => {
      const { count, ...readings } = await bench.withServer(holdfast, { measurable: true },
        (server) => connections(bench, server))
      const one = per(count, readings.live, readings.empty)
      rows.push(row('idle MQTT connection with its session and a filter', count, one, CONNECTION_BYTES_MAX))
      return one
    })
    return { rows, checked: new Map() }
  }
}

async function sessions (bench, server, start) {
  const count = bench.size(SESSIONS)
  await bench.load({ role: 'sessions', port: server.port, prefix: 'first-', count: FIRST, filters: FILTERS })
  const empty = await memoryOf(server)
  await bench.load({ role: 'sessions', port: server.port, prefix: 'device-', count, filters: FILTERS })
  const live = await memoryOf(server)
  await server.stop()
  const again = await start()
  try {
    return { count, empty, live, loaded: await memoryOf(again) }
  } finally {
    await again.stop()
  }
}

async function connections (bench, server) {
  const count = bench.size(CONNECTIONS, 200)
  await hold(server, 'first-', FIRST)
  const empty = await memoryOf(server)
  const held = startLoad({ role: 'idle', port: server.port, prefix: 'idle-', count })
  await held.ready
  const live = await memoryOf(server)
  held.tell('end')
  await held.result
  return { count, empty, live }
}

async function hold (server, prefix, count) {
  const held = startLoad({ role: 'idle', port: server.port, prefix, count })
  await held.ready
  held.tell('end')
  await held.result
}

function per (count, after, before) {
  return Object.fromEntries(Object.keys(after).map((name) => [name, (after[name] - before[name]) / count]))
}

/** The resident memory is judged, without the mapped pages of the data file, which the system takes back at need. */
function row (what, count, { heapBytes, rssAnonBytes, rssBytes }, bytesMax) {
  const bytes = (n) => Math.round(n).toLocaleString('en')
  return {
    what: `memory of a ${what} (${count.toLocaleString('en')} of them)`.replace('of a idle', 'of an idle'),
    value: `${bytes(rssAnonBytes)} bytes resident (heap ${bytes(heapBytes)}; with mapped files ${bytes(rssBytes)})`,
    goal: `at most ${bytesMax / 1_024} KB`,
    met: rssAnonBytes <= bytesMax
  }
}
