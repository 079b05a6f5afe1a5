/** Work that every peer can do, measured in messages a second. */

export const THROUGHPUT_CASES = [
  flow('inbox-16', 'inbox, 16 publishers to 16 sessions', 'msg/s',
    { publishers: 16, subscribers: 16, messages: 120_000 }, { aedes: 1, 'aedes-redis': 8, mosquitto: 0.7 }),
  flow('inbox-4', 'inbox, 4 publishers to 4 sessions', 'msg/s',
    { publishers: 4, subscribers: 4, messages: 100_000 }, {}),
  flow('fanout-50', 'fan-out, 1 publisher to 50 sessions', 'deliveries/s',
    { publishers: 1, subscribers: 50, messages: 8_000, fanout: true }, { aedes: 2.3, mosquitto: 1.4 }),
  flow('fanout-1000', 'fan-out, 1 publisher to 1,000 sessions', 'deliveries/s',
    { publishers: 1, subscribers: 1_000, messages: 300, fanout: true }, { aedes: 5, mosquitto: 2.5 }),
  {
    name: 'drain',
    kind: 'throughput',
    work: 'backlog drain after reconnect, 4 sessions',
    unit: 'msg/s',
    goals: { aedes: 6, mosquitto: 0.7 },
    run: (bench, peers) => bench.alternate('drain', peers, (server, peer) => drain(bench, server, peer))
  }
]

/** @param goals least ratio to each peer, by its name */
function flow (name, work, unit, shape, goals) {
  return {
    name,
    kind: 'throughput',
    work,
    unit,
    goals,
    run: (bench, peers) => bench.alternate(name, peers, ({ port }, peer) => bench.load({
      role: 'flow', port, ...shape, messages: bench.size(shape.messages * peer.scale, shape.publishers * 20)
    }))
  }
}

const DRAINING_SESSIONS = 4
const DRAIN_MESSAGES = 120_000

/** One publisher a session; the clock starts when the clients connect again. */
async function drain (bench, { port }, peer) {
  const each = bench.size(DRAIN_MESSAGES * peer.scale / DRAINING_SESSIONS, 20)
  const numbers = Array.from({ length: DRAINING_SESSIONS }, (_, i) => i)
  await bench.load({ role: 'sessions', port, prefix: 'away-', count: DRAINING_SESSIONS, filters: ['away/{i}'] })
  const { acked } = await bench.load({
    role: 'publish',
    port,
    publishers: DRAINING_SESSIONS,
    messages: each * DRAINING_SESSIONS,
    topics: numbers.map((i) => `away/${i}`)
  })
  if (acked !== each * DRAINING_SESSIONS) throw new Error(`only ${acked} messages got a receipt`)
  bench.onMeasured()
  return await bench.load({
    role: 'drain', port, clientIds: numbers.map((i) => `away-${i}`), publishers: 1, each
  })
}
