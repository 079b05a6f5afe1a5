/** What a case is given: servers that are started and stopped for it, turn by turn, and the size of the run. */
import { cpuSeconds } from './machine.mjs'
import { runFolder, runLoad } from './processes.mjs'

export const PAYLOAD_BYTES = 200
export const WINDOW_MESSAGES = 50

export class Bench {
  /** Runs that failed, one sentence each. */
  failures = []

  /**
   * @param peers those that can run here; the first is Holdfast
   * @param rounds how often each peer has its turn
   * @param scale factor of every number of messages and sessions
   * @param say (sentence): what is going on
   * @param onMeasured (): the part of a run that is timed begins now; only what prepares it came before
   */
  constructor ({ peers, rounds, scale, folder, say, nodeArgs = [], onMeasured = () => {} }) {
    Object.assign(this, { peers, rounds, scale, folder, say, nodeArgs, onMeasured })
  }

  /** A number of messages or sessions, scaled. */
  size (count, least = 1) {
    return Math.max(least, Math.round(count * this.scale))
  }

  /** A server with an empty folder, for the time of `work`. */
  async withServer (peer, options, work) {
    const folder = runFolder(this.folder)
    try {
      const start = (more) => peer.start({ folder: folder.path, nodeArgs: this.nodeArgs, ...options, ...more })
      const server = await start()
      try {
        return await work(server, start)
      } finally {
        await server.stop()
      }
    } finally {
      folder.remove()
    }
  }

  /**
   * Each peer has its turn, `rounds` times: A B C, A B C, A B C. With `once`, peers other than Holdfast have one.
   * @param work (server, peer) resolves to what it measured
   * @returns {Promise<Map<string, object[]>>} what was measured, by the peer's name
   */
  async alternate (name, peers, work, { once = false } = {}) {
    const results = new Map(peers.map((peer) => [peer.name, []]))
    for (let round = 1; round <= this.rounds; round++) {
      for (const peer of once && round > 1 ? peers.slice(0, 1) : peers) {
        await this.attempt(`${name}, ${peer.title}, round ${round}`, async () => {
          const measured = await this.withServer(peer, {}, async (server) => {
            const before = cpuSeconds(server.pid)
            const figures = await work(server, peer)
            return { ...figures, cpuSeconds: cpuSeconds(server.pid) - before }
          })
          results.get(peer.name).push(measured)
          return measured
        })
      }
    }
    return results
  }

  /** One run; a failure is told and kept, and the others go on. */
  async attempt (what, run) {
    try {
      const measured = await run()
      this.say(`${what}: ${brief(measured)}`)
    } catch (error) {
      this.failures.push(`${what}: ${error.message.split('\n', 1)[0]}`)
      this.say(`${what}: FAILED: ${error.message}`)
    }
  }

  async load (spec) {
    return await runLoad({ payloadBytes: PAYLOAD_BYTES, windowMessages: WINDOW_MESSAGES, ...spec })
  }
}

/** Throws where nothing came through in a period: then there is no latency to speak of. */
export function periodOf (periods, word) {
  const period = periods.find((one) => one.word === word)
  if (typeof period?.p99Ms !== 'number') throw new Error(`nothing was exchanged in the period "${word}"`)
  return period
}

function brief (measured) {
  return Object.entries(measured)
    .filter(([, value]) => typeof value === 'number')
    .map(([name, value]) => `${name} ${Math.abs(value) >= 100 ? Math.round(value) : Number(value.toFixed(3))}`)
    .join(', ')
}
