/**
 * Clients that die inside a handler: what counted as received had run before. The messages come in one go, so that the
 * client's engine has all of them, and has answered, when the handler of one in the middle ends the process.
 */
import t from 'tap'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { TRANSPORTS, VERSIONS, type Transport } from '../helpers/socketio-clients.ts'
import { until, within } from '../helpers/wait.ts'
import { connectMqtt, startBridged } from './socketio-harness.ts'
import { watch } from './socketio-witness.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const BURST = 10
const DEADLY = 5
/** An unmodified client that says what its handler has done, and dies by SIGKILL inside the handler of one message. */
const DYING = `
  const { writeSync } = require('node:fs')
  const [name, version, transports, url] = process.argv.slice(1)
  const io = require(version === '4.8' ? 'socket.io-client' : 'socket.io-client-' + version)
  const socket = io(url, { transports: transports.split(','), query: { clientId: name } })
  socket.on('connect', () => writeSync(1, 'connect\\n'))
  socket.on('x', n => {
    if (n === ${DEADLY}) process.kill(process.pid, 'SIGKILL')
    writeSync(1, n + '\\n')
  })`

for (const transport of Object.keys(TRANSPORTS) as Transport[]) {
  t.test(`a client that is killed inside a handler has proven no more than it handled: ${transport} [G2]`, async t => {
    const { broker, url, mqttUrl } = await startBridged(t, {
      pingIntervalMs: 300, pingTimeoutMs: 4_500, bridge: { eio3PingIntervalMs: 100 }
    })
    const witness = watch(broker)
    const device = await connectMqtt(t, mqttUrl)
    await Promise.all(VERSIONS.map(async version => {
      const name = `${version}-${transport}`
      const send = async (n: number): Promise<unknown> => {
        const envelope = JSON.stringify({ $hf: 1, id: String(n), args: [n] })
        return await device.publishAsync(`io/_/user/${name}/x`, envelope, { qos: 1 })
      }
      const child = spawn(process.execPath, ['-e', DYING, name, version, TRANSPORTS[transport].join(), url],
        { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] })
      t.teardown(() => child.kill('SIGKILL'))
      const said: string[] = []
      createInterface({ input: child.stdout }).on('line', line => {
        said.push(line)
        if (line === 'connect') void send(0)
      })
      await witness.wait(name, 1, 20_000)
      const gone = within(once(child, 'close'), `the end of ${name}`)
      await Promise.all(Array.from({ length: BURST }, (_, index) => send(index + 1)))
      await gone
      await until(() => broker.session(`io:_:${name}` as never)?.attached === false, `the server to notice, ${name}`)
      t.same(said.slice(0, 2), ['connect', '0'], `${name} gives a receipt`)
      t.same(said.slice(2), ['1', '2', '3', '4'], `${name} died inside a handler`)
      const unhandled = witness.acknowledged(name).filter(n => !said.includes(String(n)))
      t.same(unhandled, [], `${name}: nothing counts as received that was not handled`)
    }))
  })
}
