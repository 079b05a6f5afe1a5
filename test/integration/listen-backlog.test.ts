/** How many may knock at once: the system keeps connections that the server has not taken yet. */
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import t from 'tap'
import { startServer } from '../helpers/server.ts'
import { within } from '../helpers/wait.ts'

/** More than Node.js asks for by itself. */
const KNOCKS = 700
const NODE_BACKLOG = 511

t.test('[G6] as many may knock at once as the system allows, at each port, while the server takes none', async t => {
  const allowed = Number(readFileSync('/proc/sys/net/core/somaxconn', 'utf8'))
  const count = Math.min(KNOCKS, allowed)
  if (count <= NODE_BACKLOG) t.comment(`net.core.somaxconn = ${allowed}: no more than without the option`)
  const server = await startServer(t)
  const sockets: Socket[] = []
  process.kill(server.pid, 'SIGSTOP')
  try {
    for (const { port } of [server.mqtt, server.http]) {
      await within(Promise.all(Array.from({ length: count }, async () => {
        const socket = connect(port, '127.0.0.1')
        sockets.push(socket)
        socket.on('error', () => {})
        await new Promise((resolve) => { socket.once('connect', resolve) })
      })), `${count} connections to port ${port}`)
    }
    t.equal(sockets.length, 2 * count)
  } finally {
    process.kill(server.pid, 'SIGCONT')
    for (const socket of sockets) socket.destroy()
  }
})
