/** [G4]: what a kill -9 repeats of what a session had, while messages are published to it and while it drains. */
import { startLoad } from '../processes.mjs'
import { PAYLOAD_BYTES, WINDOW_MESSAGES } from '../bench.mjs'

const SESSIONS = [1, 4]
const MESSAGES_EACH = 30_000
/** The kill comes when so many have come. */
const FIRST_SHARE = 0.2
/** inflightMessagesMax, twice. */
const REPEATED_MAX = 128
const WAYS = [
  { name: 'draining', publishers: 0 },
  { name: 'being published to', publishers: 3 }
]

export const repeats = {
  name: 'repeats',
  kind: 'property',
  async run (bench, [holdfast]) {
    const rows = []
    for (const { name, publishers } of WAYS) {
      for (const sessions of SESSIONS) {
        const measured = []
        for (let round = 1; round <= bench.rounds; round++) {
          await bench.attempt(`repeats, ${sessions} sessions ${name}, round ${round}`, async () => {
            const one = await bench.withServer(holdfast, {},
              async (server, start) => await once(bench, server, start, sessions, publishers * sessions))
            measured.push(one)
            return one
          })
        }
        if (measured.length > 0) rows.push(row(name, sessions, measured))
      }
    }
    return { rows, checked: new Map() }
  }
}

async function once (bench, server, start, sessions, publishers) {
  const { port } = server
  const each = bench.size(MESSAGES_EACH)
  await bench.load({ role: 'sessions', port, prefix: 'killed-', count: sessions, filters: ['killed/{i}'] })
  if (publishers === 0) {
    const topics = Array.from({ length: sessions }, (_, i) => `killed/${i}`)
    await bench.load({ role: 'publish', port, publishers: sessions, messages: each * sessions, topics })
  }
  bench.onMeasured()
  const load = startLoad({
    role: 'killed',
    port,
    sessions,
    publishers,
    first: Math.ceil(each * FIRST_SHARE),
    windowMessages: WINDOW_MESSAGES,
    payloadBytes: PAYLOAD_BYTES
  })
  let next
  try {
    await load.ready
    await server.stop('SIGKILL')
    next = await start()
    load.tell(next.port)
    return await load.result
  } finally {
    load.kill()
    await next?.stop()
  }
}

function row (name, sessions, measured) {
  const max = Math.max(...measured.map(({ repeatedMax }) => repeatedMax))
  return {
    what: `messages that a kill repeats, ${sessions} session${sessions > 1 ? 's' : ''} ${name}: ` +
      'the most of one session',
    value: max.toLocaleString('en'),
    goal: `at most ${REPEATED_MAX}, two windows`,
    met: max <= REPEATED_MAX
  }
}
