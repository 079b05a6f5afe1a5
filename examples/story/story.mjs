/**
 * A client is away in the worst way, and gets everything: see README.md.
 * Needs `npm run build` first, and the clients mqtt and socket.io-client, which `npm ci` installs for development.
 * Ports are picked by the system, data goes to a temporary folder.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import mqtt from 'mqtt'
import { io } from 'socket.io-client'

const COMMAND = fileURLToPath(new URL('../../dist/bin/holdfast.js', import.meta.url))
const COUNT = 100
const say = text => console.log(text)

/** Starts the server on the ports of its last run; resolves when it is ready. */
async function startServer (data, { mqttPort = 0, httpPort = 0 } = {}) {
  const child = spawn(process.execPath, [COMMAND, 'start', '--data', data,
    '--mqtt-port', mqttPort, '--http-port', httpPort, '--ping-interval-ms', '500', '--ping-timeout-ms', '500',
    '--log-level', 'debug', '--log-format', 'json'])
  const noticed = new Promise(resolve => {
    createInterface({ input: child.stderr }).on('line', line => { if (line.includes('ping timeout')) resolve() })
  })
  for await (const line of createInterface({ input: child.stdout })) {
    const ready = /^holdfast ready mqtt=\S+:(\d+) http=\S+:(\d+)$/.exec(line)
    if (ready !== null) return { child, noticed, mqttPort: Number(ready[1]), httpPort: Number(ready[2]) }
  }
  throw new Error('the server did not start')
}

/** U1's network: while `silent`, bytes vanish in both directions and nobody is told. */
async function startNetwork (port) {
  const network = { silent: false, port: 0 }
  const server = createServer(client => {
    const upstream = connect(port(), '127.0.0.1')
    let lost = false
    for (const [from, to] of [[client, upstream], [upstream, client]]) {
      from.on('data', bytes => {
        lost ||= network.silent
        if (!lost) to.write(bytes)
      })
      from.on('close', () => { if (!lost && !network.silent) to.destroy() })
      from.on('error', () => {})
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  network.port = server.address().port
  return network
}

const data = await mkdtemp(join(tmpdir(), 'holdfast-story-'))
let server = await startServer(data)
const network = await startNetwork(() => server.httpPort)

const patience = { timeout: 1000, reconnectionDelayMax: 500 }
const u1 = io(`http://127.0.0.1:${network.port}`, { auth: { clientId: 'U1' }, ...patience })
const handled = []
let wake = () => {}
u1.on('alert', n => {
  handled.push(n)
  wake()
})
u1.on('disconnect', reason => say(`U1 is disconnected (${reason})`))
u1.on('connect', () => say('U1 is connected'))
await once(u1, 'connect')
const u2 = await mqtt.connectAsync(`mqtt://127.0.0.1:${server.mqttPort}`, { clientId: 'U2' })
const u3 = io(`http://127.0.0.1:${server.httpPort}`, { auth: { clientId: 'U3' } })

network.silent = true
say('U1 is behind a network that swallows every byte; neither side is told')
for (let n = 1; n <= COUNT; n++) {
  if (n % 2 === 0) await u2.publishAsync('io/_/user/U1/alert', String(n), { qos: 1 })
  else await u3.emitWithAck('send', { user: 'U1' }, 'alert', n)
}
say(`U2 (MQTT) and U3 (Socket.IO) sent U1 ${COUNT} messages, and every one was acknowledged`)
await server.noticed
say('the server noticed that the link of U1 is dead')

server.child.kill('SIGKILL')
await once(server.child, 'exit')
say('the server was killed with SIGKILL')
server = await startServer(data, server)
say('the server runs again on the same data')

network.silent = false
say('the network of U1 is back')
while (handled.length < COUNT) await new Promise(resolve => { wake = resolve })
const inOrder = handled.length === COUNT && handled.every((n, index) => n === index + 1)
const how = inOrder ? 'in order, each once' : `but not in order: ${handled}`
say(`U1 got ${handled.length} of ${COUNT} messages, ${how}`)

server.child.kill('SIGTERM')
await once(server.child, 'exit')
await rm(data, { recursive: true })
process.exit(inOrder ? 0 : 1)
