/** Plain Socket.IO: as it comes, and with its connection state recovery. */
import { fileURLToPath } from 'node:url'
import { MEASURABLE, startServer } from '../processes.mjs'

const SERVER = fileURLToPath(new URL('socketio-server.mjs', import.meta.url))
const READY = /^socketio ready (\d+)$/m

export const socketio = peer('socketio', 'Socket.IO', 'nothing is kept: the event was written to who was connected')
export const socketioRecovery = peer('socketio-recovery', 'Socket.IO with recovery',
  'nothing is kept on disk: the event is in memory for two minutes', 'recovery')

function peer (name, title, receipt, ...args) {
  return {
    name,
    title,
    receipt,
    protocols: ['socketio'],
    scale: 1,
    missing: () => undefined,
    async start ({ measurable = false }) {
      const node = measurable ? MEASURABLE : []
      const { match, ...server } = await startServer(process.execPath, [...node, SERVER, ...args],
        { ready: READY, ipc: measurable })
      return { ...server, socketioPort: Number(match[1]) }
    }
  }
}
