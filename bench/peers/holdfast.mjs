/** The server under test, as a user starts it. */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { startServer } from '../processes.mjs'

const COMMAND = fileURLToPath(new URL('../../dist/bin/holdfast.js', import.meta.url))
const MEMORY_HOOK = new URL('../memory-hook.mjs', import.meta.url).href

export const holdfast = {
  name: 'holdfast',
  title: 'Holdfast',
  receipt: 'the message is on disk and synced',
  scale: 1,
  missing: () => existsSync(COMMAND) ? undefined : 'dist/bin/holdfast.js is missing: run `npm run build`',
  /** @param nodeArgs for Node, such as --cpu-prof; with `measurable` it answers memoryOf() */
  async start ({ folder, nodeArgs = [], measurable = false }) {
    const hook = measurable ? ['--expose-gc', '--import', MEMORY_HOOK] : []
    const { match, ...server } = await startServer(process.execPath, [...nodeArgs, ...hook, COMMAND, 'start',
      '--mqtt-port', '0', '--http-port', '0', '--data', folder, '--log-level', 'warn'],
    { ready: /^holdfast ready mqtt=\S+:(\d+) http=/m, ipc: measurable })
    return { ...server, port: Number(match[1]) }
  }
}

/**
 * Memory of a server started with `measurable`, in bytes, when garbage collection has settled.
 * `rssAnonBytes` leaves out the pages of mapped files, which the system takes back when it needs them.
 * @returns {Promise<{ heapBytes: number, rssBytes: number, rssAnonBytes: number }>}
 */
export async function memoryOf ({ child }) {
  const answer = new Promise((resolve) => child.once('message', resolve))
  child.send('memory')
  return await answer
}
