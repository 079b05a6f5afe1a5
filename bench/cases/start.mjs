/** From spawn to the ready line, with 100,000 sessions and 1,000,000 messages that wait for them. */
import { fileURLToPath } from 'node:url'
import { runFolder, startServer } from '../processes.mjs'
import { median } from '../statistics.mjs'

const FILL = fileURLToPath(new URL('../fill.mjs', import.meta.url))
const SESSIONS = 100_000
const MESSAGES_EACH = 10
const STARTS = 2
const SECONDS_MAX = 10
const CHECKED = 200

export const start = {
  name: 'start',
  kind: 'property',
  async run (bench, [holdfast]) {
    const sessions = bench.size(SESSIONS)
    const folder = runFolder(bench.folder)
    const rows = []
    const checked = []
    try {
      bench.say(`start: filling a folder with ${sessions} sessions and ${sessions * MESSAGES_EACH} messages`)
      const filler = await startServer(process.execPath, [FILL, folder.path, String(sessions), String(MESSAGES_EACH)],
        { ready: /^filled$/m })
      await filler.stop()
      const clean = []
      const crashed = []
      for (let i = 0; i < STARTS; i++) {
        await bench.attempt('start after a clean stop', () => timed(bench, holdfast, folder, clean, 'SIGKILL'))
        await bench.attempt('start after SIGKILL', () => timed(bench, holdfast, folder, crashed, 'SIGTERM'))
      }
      await bench.attempt('start, messages that waited', async () => {
        const server = await holdfast.start({ folder: folder.path })
        try {
          const clientIds = Array.from({ length: Math.min(CHECKED, sessions) }, (_, i) => (
            `device-${Math.floor(i * sessions / CHECKED) % sessions}`))
          const seen = await bench.load(
            { role: 'drain', port: server.port, clientIds, publishers: 1, each: MESSAGES_EACH })
          checked.push(seen)
          return seen
        } finally {
          await server.stop()
        }
      })
      rows.push(row('a clean stop', sessions, clean), row('SIGKILL', sessions, crashed))
    } finally {
      folder.remove()
    }
    return { rows, checked: new Map([['holdfast', checked]]) }
  }
}

async function timed (bench, holdfast, folder, times, stopSignal) {
  const from = performance.now()
  const server = await holdfast.start({ folder: folder.path, nodeArgs: bench.nodeArgs })
  const seconds = (performance.now() - from) / 1_000
  times.push(seconds)
  await server.stop(stopSignal)
  return { seconds }
}

function row (after, sessions, times) {
  const seconds = median(times)
  const count = (n) => n.toLocaleString('en')
  return {
    what: `start after ${after}: ${count(sessions)} sessions, ${count(sessions * MESSAGES_EACH)} stored messages`,
    value: times.length === 0 ? 'failed' : `${seconds.toFixed(1)} s`,
    goal: `under ${SECONDS_MAX} s`,
    met: seconds < SECONDS_MAX
  }
}
