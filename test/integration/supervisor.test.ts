/** The built server under something that speaks as systemd does, through the real systemd-notify. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { startServer } from '../helpers/server.ts'
import { tempFolder } from '../helpers/temp.ts'
import { until } from '../helpers/wait.ts'

const LISTENER = fileURLToPath(new URL('../helpers/notify-socket.py', import.meta.url))

async function listen (t: Test): Promise<{ path: string, heard: readonly string[] }> {
  const path = join(tempFolder(t, 'notify'), 'socket')
  const child = spawn('/usr/bin/python3', [LISTENER, path], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => { child.kill('SIGKILL') })
  const heard: string[] = []
  createInterface({ input: child.stdout }).on('line', (line) => { heard.push(line) })
  await until(() => heard.shift() === 'listening', 'the socket')
  return { path, heard }
}

t.test('systemd hears when the server is ready, that it is well, and that it stops', async (t) => {
  const { path, heard } = await listen(t)
  const server = await startServer(t, { env: { NOTIFY_SOCKET: path, WATCHDOG_USEC: '200000' } })
  await until(() => heard.filter((one) => one === 'WATCHDOG=1').length > 3, 'the watchdog')
  const { host, port } = server.mqtt
  t.equal(heard[0], `STATUS=holdfast ready mqtt=${host}:${port} http=${server.http.host}:${server.http.port}`)
  t.equal(heard[1], 'READY=1', 'once it accepts connections, and not before')
  t.same(await server.stop(), { code: 0, signal: null })
  await until(() => heard.includes('STOPPING=1'), 'the stop')
  t.notMatch(server.stderr, /service manager can't be told/)
})

t.test('a start that fails is never called ready', async (t) => {
  const { path, heard } = await listen(t)
  const env = { NOTIFY_SOCKET: path }
  const first = await startServer(t)
  await t.rejects(startServer(t, { data: first.data, env }), /the server ended with 1/)
  t.same(heard, [])
})
