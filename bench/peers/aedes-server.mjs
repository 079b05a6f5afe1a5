/** Stock Aedes as a server: `aedes-server.mjs [REDIS-PORT]`. Prints its own port, which the system picks. */
import { createServer } from 'node:net'
import { Aedes } from 'aedes'

/** Messages it works on at a time; its default of 100 is slower here. */
const CONCURRENCY = 1_000
/** Offline messages that a session gets when it comes back; the default of 1,000 would count as loss. */
const DELIVERY_MAX = 1_000_000

const [redisPort] = process.argv.slice(2)
const options = { concurrency: CONCURRENCY }
if (redisPort !== undefined) {
  const { default: persistence } = await import('aedes-persistence-redis')
  const { default: emitter } = await import('mqemitter-redis')
  options.persistence = persistence({ port: Number(redisPort), maxSessionDelivery: DELIVERY_MAX })
  options.mq = emitter({ port: Number(redisPort) })
}
const broker = await Aedes.createBroker(options)
const server = createServer(broker.handle)
server.listen(0, '127.0.0.1', () => console.log(`aedes ready ${server.address().port}`))
process.on('SIGTERM', () => process.exit(0))
