/** The server under test, as a user starts it. */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { MEASURABLE, startServer } from '../processes.mjs'

const COMMAND = fileURLToPath(new URL('../../dist/bin/holdfast.js', import.meta.url))

export const holdfast = {
  name: 'holdfast',
  title: 'Holdfast',
  receipt: 'the message is on disk and synced',
  protocols: ['mqtt', 'socketio'],
  scale: 1,
  missing: () => existsSync(COMMAND) ? undefined : 'dist/bin/holdfast.js is missing: run `npm run build`',
  /**
   * @param nodeArgs for Node, such as --cpu-prof
   * @param measurable whether it answers memoryOf()
   * @param args options of the server
   */
  async start ({ folder, nodeArgs = [], measurable = false, args = [] }) {
    const hook = measurable ? MEASURABLE : []
    const { match, ...server } = await startServer(process.execPath, [...nodeArgs, ...hook, COMMAND, 'start',
      '--mqtt-port', '0', '--http-port', '0', '--data', folder, '--log-level', 'warn', ...args],
    { ready: /^holdfast ready mqtt=\S+:(\d+) http=\S+:(\d+)/m, ipc: measurable })
    return { ...server, port: Number(match[1]), socketioPort: Number(match[2]) }
  }
}
