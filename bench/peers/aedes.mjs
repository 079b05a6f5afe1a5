/** Stock Aedes: in memory, and with its Redis packages as their documentation says. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort, has, startServer } from '../processes.mjs'

const SERVER = fileURLToPath(new URL('aedes-server.mjs', import.meta.url))
const READY = /^aedes ready (\d+)$/m

export const aedes = {
  name: 'aedes',
  title: 'Aedes in memory',
  receipt: 'nothing: it comes before the message is stored, in memory',
  protocols: ['mqtt'],
  scale: 1,
  missing: () => undefined,
  async start () {
    const { match, ...server } = await startServer(process.execPath, [SERVER], { ready: READY })
    return { ...server, port: Number(match[1]) }
  }
}

export const aedesRedis = {
  name: 'aedes-redis',
  title: 'Aedes with Redis',
  receipt: 'nothing: it comes before the message is stored, in Redis (append-only file, synced every second)',
  protocols: ['mqtt'],
  scale: 0.05,
  debian: 'redis-server',
  missing: () => has('redis-server') ? undefined : 'redis-server is not installed',
  async start ({ folder }) {
    const redisPort = await freePort()
    const data = join(folder, 'redis')
    mkdirSync(data, { recursive: true })
    const redis = await startServer('redis-server', [
      '--port', String(redisPort), '--bind', '127.0.0.1', '--dir', data, '--daemonize', 'no',
      '--appendonly', 'yes', '--appendfsync', 'everysec', '--save', ''
    ], { ready: /Ready to accept connections/ })
    try {
      const { match, ...server } = await startServer(process.execPath, [SERVER, String(redisPort)], { ready: READY })
      return {
        ...server,
        port: Number(match[1]),
        async stop () {
          await server.stop()
          await redis.stop('SIGKILL')
        }
      }
    } catch (error) {
      await redis.stop('SIGKILL')
      throw error
    }
  }
}
