/** The commands of docs/operating.md, as they stand, beside a server. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { samples } from '../helpers/samples.ts'
import { ROOT } from '../helpers/sources.ts'
import { tempFolder } from '../helpers/temp.ts'
import { until, within } from '../helpers/wait.ts'

const OPERATING = 'docs/operating.md'
const commands = samples().filter(({ language, page }) => language === 'sh' && page === OPERATING)

async function freePort (): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

t.test(`${OPERATING}: its commands run as they stand, beside a server, in the order of the page`, async (t) => {
  const folder = tempFolder(t)
  const [mqttPort, httpPort] = [await freePort(), await freePort()]
  mkdirSync(join(folder, 'bin'))
  writeFileSync(join(folder, 'bin/holdfast'), `#!/bin/sh\nexec ${process.execPath} ${ROOT}/dist/bin/holdfast.js "$@"\n`,
    { mode: 0o755 })
  const env = {
    PATH: `${join(folder, 'bin')}:${process.env['PATH']}`,
    HOLDFAST_MQTT_PORT: String(mqttPort),
    HOLDFAST_HTTP_PORT: String(httpPort)
  }
  const bash = (command: string): readonly [string, string[], object] =>
    ['bash', ['--norc', '-euo', 'pipefail', '-c', command], { cwd: folder, env }]
  let server: ChildProcess | undefined
  const start = async (command: string): Promise<void> => {
    if (server !== undefined) {
      server.kill('SIGTERM')
      await within(once(server, 'exit'), 'the end of the server')
    }
    const started = spawn(...bash(`exec ${command}`))
    server = started
    t.teardown(() => { started.kill('SIGKILL') })
    await until(() => fetch(`http://127.0.0.1:${httpPort}/readyz`).then(({ ok }) => ok, () => false), 'the server')
  }
  await start('holdfast start')
  for (const { code, at } of commands) {
    for (const command of code.trim().replaceAll(':8080', `:${httpPort}`).split('\n')) {
      if (command.startsWith('holdfast start')) await start(command)
      else {
        const { stdout } = await promisify(execFile)(...bash(command))
        if (command.startsWith('curl')) t.match(JSON.parse(stdout), { sessions: [], next: null }, at)
        else t.pass(`${at}: ${command}`)
      }
    }
  }
  t.ok(readdirSync(folder).some((name) => name.startsWith('backup-')), 'the backup')
})
