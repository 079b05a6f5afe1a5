/**
 * [G8]: what each of the loads that are known to be hard costs somebody who has nothing to do with it. The server is
 * on one core; the load, and the bystander before it, on another.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { periodOf } from '../bench.mjs'
import { startLoad } from '../processes.mjs'

const EVERY_MS = 5
const WARM_UP_MS = 500
const QUIET_MS = 2_000
const BUSY_MS = 3_000
/** What a load does first may be the worst of it: measured from the moment it is told to begin. */
const RATIO_MAX = 2
/** The load gives way to the bystander on the core that they share: what is measured is the server. */
const LOAD_NICE = 10

/** `prepare` is done before anything is measured; `load` is the role that goes on meanwhile; `args` of the server. */
const LOADS = [
  {
    title: '300 sessions away that are over their bound, 20,000 topics, and nothing else (sweeps)',
    args: ['--backlog-messages-max', '15000'],
    async prepare (bench, { port }) {
      await bench.load({ role: 'sessions', port, prefix: 'swept-', count: bench.size(300), filters: ['swept/#'] })
      await bench.load({ role: 'fillTopics', port, prefix: 'swept/', topics: bench.size(20_000) })
    },
    load: () => ({ role: 'nothing' })
  },
  {
    title: 'a session drains 100,000 topics with one message each',
    async prepare (bench, { port }) {
      await bench.load({ role: 'sessions', port, prefix: 'wide-', count: 1, filters: ['wide/#'] })
      await bench.load({ role: 'fillTopics', port, prefix: 'wide/', topics: bench.size(100_000) })
    },
    load: (bench) => ({ role: 'takeAll', clientIds: ['wide-0'], each: bench.size(100_000) })
  },
  {
    title: "SUBSCRIBE '#' 300 times over 20,000 retained messages, by one who does not read",
    prepare: (bench, { port }) =>
      bench.load({ role: 'fillTopics', port, prefix: 'kept/', topics: bench.size(20_000), retain: true }),
    load: (bench) => ({ role: 'subscribeAgain', times: bench.size(300) })
  },
  {
    title: 'rooms with names of 900 KB, 3 a second',
    load: () => ({ role: 'hugeNames', bytes: 900_000, perSecond: 3 })
  },
  { title: 'a flood of Socket.IO events, 1 client', load: () => ({ role: 'socketioFlood', clients: 1 }) },
  { title: 'a flood of Socket.IO events, 8 clients', load: () => ({ role: 'socketioFlood', clients: 8 }) },
  {
    title: 'a flood of `rooms` by a session with 2,000 rooms',
    load: (bench) => ({ role: 'socketioFlood', clients: 1, event: 'rooms', asks: true, rooms: bench.size(2_000) })
  },
  { title: 'two MQTT clients of one name, back at once', load: () => ({ role: 'takeovers' }), isMqtt: true },
  { title: 'two Socket.IO clients of one name, back at once', load: () => ({ role: 'takeovers' }) },
  { title: 'a flood of MQTT messages, 1 client', load: () => ({ role: 'mqttFlood', clients: 1 }) },
  { title: 'a flood of MQTT messages, 8 clients', load: () => ({ role: 'mqttFlood', clients: 8 }) },
  {
    title: 'a message to 2,000 connected sessions, 5 a second',
    load: (bench) => ({ role: 'fanOut', sessions: bench.size(2_000), everyMs: 200 })
  }
]

export const bystanderLoads = {
  name: 'bystander-loads',
  kind: 'property',
  async run (bench, [holdfast]) {
    const rows = []
    const checked = []
    for (const load of LOADS) {
      await bench.attempt(`bystander-loads, ${load.title}`, async () => {
        const measured = await bench.withServer(holdfast, { args: load.args },
          async (server) => await once(bench, server, load))
        rows.push(row(load, measured))
        checked.push(measured)
        return measured
      })
    }
    return { rows, checked: new Map([['holdfast', checked]]) }
  }
}

async function once (bench, { port, socketioPort }, { prepare, load, isMqtt = false }) {
  await prepare?.(bench, { port })
  const ports = isMqtt ? { port } : { port, socketioPort }
  const loading = startLoad({ ...load(bench), ...ports }, { nice: LOAD_NICE })
  const bystander = startLoad({ role: 'exchange', port, everyMs: EVERY_MS })
  try {
    await Promise.all([loading.ready, bystander.ready])
    await sleep(WARM_UP_MS)
    bystander.tell('quiet')
    await sleep(bench.size(QUIET_MS, WARM_UP_MS))
    bench.onMeasured()
    bystander.tell('busy')
    loading.tell('begin')
    await sleep(bench.size(BUSY_MS, WARM_UP_MS))
    bystander.tell('end')
    const { periods, lost } = await bystander.result
    const [quiet, busy] = ['quiet', 'busy'].map((word) => periodOf(periods, word))
    return {
      quietP50Ms: quiet.p50Ms,
      quietP99Ms: quiet.p99Ms,
      busyP50Ms: busy.p50Ms,
      busyP99Ms: busy.p99Ms,
      busyMaxMs: busy.maxMs,
      ratio: busy.p99Ms / quiet.p99Ms,
      expected: quiet.count + busy.count + lost,
      received: quiet.count + busy.count,
      lost,
      duplicates: 0,
      outOfOrder: 0
    }
  } finally {
    loading.tell('end')
    loading.kill()
    bystander.kill()
  }
}

function row ({ title }, { quietP50Ms, quietP99Ms, busyP50Ms, busyP99Ms, busyMaxMs, ratio }) {
  const ms = (value) => value.toFixed(1)
  return {
    what: `p50 / p99 of an exchange of two others: ${title}`,
    value: `${ms(busyP50Ms)} / ${ms(busyP99Ms)} ms (max ${ms(busyMaxMs)}), without ${ms(quietP50Ms)} / ` +
      `${ms(quietP99Ms)} ms: ${ratio.toFixed(2)} x`,
    goal: `at most ${RATIO_MAX} x`,
    met: ratio <= RATIO_MAX
  }
}
