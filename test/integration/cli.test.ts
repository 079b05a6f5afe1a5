/** The command as a person or a supervisor uses it: a real process of what was built. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { io } from 'socket.io-client'
import t, { type Test } from 'tap'
import { startServer } from '../helpers/server.ts'
import { tempFolder } from '../helpers/temp.ts'
import { within } from '../helpers/wait.ts'

const COMMAND = fileURLToPath(new URL('../../dist/bin/holdfast.js', import.meta.url))
const ANY_PORTS = ['--mqtt-port', '0', '--http-port', '0']

interface Ended { readonly code: number | null, readonly stdout: string, readonly lines: readonly string[] }

/** Runs the command until it ends by itself; `lines` is what it wrote on standard error. */
async function run (t: Test, args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  const child = spawn(process.execPath, [COMMAND, ...args],
    { cwd: tempFolder(t), env: { PATH: process.env.PATH, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  t.teardown(() => { child.kill('SIGKILL') })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => { stdout += text })
  child.stderr.setEncoding('utf8').on('data', (text: string) => { stderr += text })
  const [code] = await once(child, 'close') as [number | null]
  return { code, stdout, lines: stderr.split('\n').filter((line) => line !== '') }
}

/** What a person sees of a failure: these lines, each with the name of the program, no stack, and a code. */
function complains (t: Test, ended: Ended, code: number, patterns: readonly RegExp[]): void {
  t.equal(ended.code, code, 'exit code')
  const said = ended.lines.filter((line) => !line.startsWith('{')) // the log is JSON
  t.match(said, patterns, 'standard error')
  t.equal(said.length, patterns.length, 'one line for each problem')
  t.ok(said.every((line) => line.startsWith('holdfast: ') && !/^\s+at /.test(line)))
  t.notMatch(ended.stdout, /^holdfast ready/m)
}

/** JavaScript that runs in the process before the command does. */
function withHook (script: string): Record<string, string> {
  return { NODE_OPTIONS: `--import=data:text/javascript,${encodeURI(script)}` }
}

/** A port that somebody else has. */
async function busyPort (t: Test): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return String((server.address() as { port: number }).port)
}

t.test('a start says where to connect, what to try, what the promise survives, and that it is ready', async (t) => {
  const server = await startServer(t)
  const mqtt = `${server.mqtt.host}:${server.mqtt.port}`
  const http = `${server.http.host}:${server.http.port}`
  t.not(server.mqtt.port, 0, 'the ready line names the port that the system picked')
  t.not(server.http.port, 0)
  t.equal(server.stdout.split('\n').filter((line) => line.startsWith('holdfast ready')).length, 1)
  for (const said of [
    `mqtt://${mqtt}`, `ws://${http}/mqtt`, `http://${http}/socket.io/`, 'mosquitto_sub', 'mosquitto_pub', 'kill -9',
    'It does not survive the loss of that disk', server.data
  ]) {
    t.ok(server.stdout.includes(said), said)
  }
  t.equal((await fetch(`http://${http}/healthz`)).status, 200)
  t.same(await (await fetch(`http://${http}/readyz`)).json(), { ready: true })
})

t.test('the log goes to standard error, one JSON object a line where that is no terminal', async (t) => {
  const server = await startServer(t)
  await server.stop()
  t.ok(server.stderr.trim().split('\n').every((line) => typeof JSON.parse(line).msg === 'string'))
  t.notMatch(server.stdout, /"msg"/)
})

t.test('HTTP says in plain words what is there', async (t) => {
  const server = await startServer(t, { flags: ['--mqtt-path', '/m'] })
  const http = `http://${server.http.host}:${server.http.port}`
  const missing = await fetch(`${http}/missing`)
  t.equal(missing.status, 404)
  t.match(await missing.text(), /nothing at \/missing.*\/m,.*\/socket\.io\/.*\/healthz/)
  t.equal((await fetch(`${http}/m`)).status, 426)
  t.equal((await fetch(`${http}/healthz`, { method: 'POST' })).status, 405)
  t.equal((await fetch(`${http}/socket.io/?EIO=4&transport=polling&t=1`)).status, 200)
})

t.test('Socket.IO can have another path, as behind a proxy that hands on /chat/... as it is', async (t) => {
  const server = await startServer(t, { flags: ['--mqtt-path', '/chat/mqtt', '--socketio-path', '/chat/socket.io'] })
  const http = `http://${server.http.host}:${server.http.port}`
  t.equal((await fetch(`${http}/chat/socket.io/?EIO=4&transport=polling`)).status, 200)
  t.equal((await fetch(`${http}/chat/mqtt`)).status, 426)
  const missing = await fetch(`${http}/socket.io/?EIO=4&transport=polling`)
  t.equal(missing.status, 404)
  t.match(await missing.text(), /Socket\.IO at \/chat\/socket\.io\//)
  t.match(server.stdout, /http:\/\/[^ ]+\/chat\/socket\.io\//)
  for (const transport of ['websocket', 'polling'] as const) {
    const client = io(http, { path: '/chat/socket.io', transports: [transport], forceNew: true })
    t.teardown(() => client.close())
    await within(new Promise<void>(resolve => client.once('connect', () => resolve())), transport)
  }
})

t.test('SIGTERM and SIGINT stop it with code 0, and it starts again on the same data', async (t) => {
  const server = await startServer(t)
  t.same(await server.stop(), { code: 0, signal: null })
  await server.restart()
  process.kill(server.pid, 'SIGINT')
  t.same(await server.exited(), { code: 0, signal: null })
})

t.test('a signal during the start stops it with code 0, and it never says that it is ready', async (t) => {
  const hook = 'import net from "node:net"; const { listen } = net.Server.prototype; ' +
    'net.Server.prototype.listen = function (...args) { net.Server.prototype.listen = listen; ' +
    'process.kill(process.pid, "SIGTERM"); return listen.apply(this, args) }'
  const ended = await run(t, ['start', ...ANY_PORTS], withHook(hook))
  t.equal(ended.code, 0)
  t.equal(ended.stdout, '')
  t.match(ended.lines.at(-1), /"stopped"/)
})

t.test('a second signal forces the stop, with code 1', async (t) => {
  const server = await startServer(t)
  // both are waiting when it goes on, so the second comes while the first is at work
  process.kill(server.pid, 'SIGSTOP')
  process.kill(server.pid, 'SIGTERM')
  process.kill(server.pid, 'SIGINT')
  process.kill(server.pid, 'SIGCONT')
  t.same(await server.exited(), { code: 1, signal: null })
  t.match(server.stderr, /a second signal came/)
})

t.test('a stop that hangs says so on /readyz and is forced after shutdownGraceMs, with code 1', async (t) => {
  // listeners that never report that they are closed
  const hook = 'import net from "node:net"; net.Server.prototype.close = function () { return this }'
  const server = await startServer(t, { flags: ['--shutdown-grace-ms', '1500'], env: withHook(hook) })
  process.kill(server.pid, 'SIGTERM')
  const http = `http://${server.http.host}:${server.http.port}`
  let answer = await fetch(`${http}/readyz`)
  while (answer.status === 200) answer = await fetch(`${http}/readyz`)
  t.equal(answer.status, 503)
  t.same(await answer.json(), { ready: false, reason: 'stopping' })
  t.equal((await fetch(`${http}/healthz`)).status, 200)
  t.equal((await fetch(`${http}/socket.io/?EIO=4&transport=polling`)).status, 503, 'nothing new is taken in')
  t.same(await server.exited(), { code: 1, signal: null })
  t.match(server.stderr, /shutdownGraceMs has passed/)
})

t.test('an error of the program is logged as fatal and ends it with code 70', async (t) => {
  const hook = 'process.on("SIGUSR2", () => { throw new Error("a fault") })'
  const server = await startServer(t, { env: withHook(hook) })
  process.kill(server.pid, 'SIGUSR2')
  t.same(await server.exited(), { code: 70, signal: null })
  t.match(JSON.parse(server.stderr.trim().split('\n').at(-1)!), { level: 60, err: { message: 'a fault' } })
})

t.test('a reader that goes away does not end the server', async (t) => {
  const data = tempFolder(t)
  const child = spawn(process.execPath, [COMMAND, 'start', ...ANY_PORTS, '--data', data],
    { env: { PATH: process.env.PATH }, stdio: ['ignore', 'pipe', 'pipe'] })
  t.teardown(() => { child.kill('SIGKILL') })
  child.stdout.destroy()
  await once(child.stderr, 'data')
  let log = ''
  for await (const text of child.stderr.setEncoding('utf8')) {
    log += text as string
    if (log.includes('"ready"')) break
  }
  child.kill('SIGTERM')
  t.same(await once(child, 'exit'), [0, null])
})

t.test('a busy port: one line names it and the option', async (t) => {
  const port = await busyPort(t)
  complains(t, await run(t, ['start', '--mqtt-port', port, '--http-port', '0']), 1,
    [new RegExp(`MQTT can't listen on 127\\.0\\.0\\.1:${port}: the port is in use.*--mqtt-port`)])
  complains(t, await run(t, ['start', '--http-port', port, '--mqtt-port', '0']), 1,
    [new RegExp(`HTTP can't listen on 127\\.0\\.0\\.1:${port}: the port is in use.*--http-port`)])
})

t.test('an address of another machine: one line names it and the option', async (t) => {
  complains(t, await run(t, ['start', ...ANY_PORTS, '--host', '192.0.2.1', '--allow-anonymous']), 1,
    [/192\.0\.2\.1:0: this machine has no such address.*--host/])
})

t.test('a data folder that another server uses: one line names it', async (t) => {
  const server = await startServer(t)
  complains(t, await run(t, ['start', ...ANY_PORTS, '--data', server.data]), 1,
    [new RegExp(`in use by another server.*${server.data}.*--data`)])
  t.ok(server.running, 'the first goes on')
})

t.test('a data folder that can\'t be written: one line names it', async (t) => {
  const file = join(tempFolder(t), 'file')
  writeFileSync(file, '')
  complains(t, await run(t, ['start', ...ANY_PORTS, '--data', join(file, 'data')]), 1,
    [new RegExp(`cannot be written.*${file}.*--data`)])
})

t.test('a wrong configuration: one line for each problem, whatever its source, and nothing is started', async (t) => {
  const folder = tempFolder(t)
  const file = join(folder, 'holdfast.json')
  writeFileSync(file, '{"sessionsMax": -1}')
  const data = join(folder, 'data')
  complains(t, await run(t, ['start', '--config', file, '--mqtt-prot', '1', '--http-port', '70000', '--data', data],
    { HOLDFAST_DATAA: 'x' }), 64, [
    /HOLDFAST_DATAA: there is no such variable; did you mean HOLDFAST_DATA\?/,
    /--mqtt-prot: there is no such option; did you mean --mqtt-port\?/,
    /holdfast\.json: sessionsMax: -1 must be a whole number from 1/,
    /--http-port: 70000 must be a whole number from 0 to 65,535/
  ])
  t.notOk(existsSync(data))
})

t.test('beyond loopback without authentication: refused, and the option that overrides it named', async (t) => {
  complains(t, await run(t, ['start', ...ANY_PORTS, '--host', '0.0.0.0']), 64,
    [/--host: 0\.0\.0\.0 .*--allow-anonymous/])
  const server = await startServer(t, { flags: ['--host', '0.0.0.0', '--allow-anonymous'] })
  t.equal(server.mqtt.host, '0.0.0.0')
})

t.test('an unknown command names the known ones', async (t) => {
  complains(t, await run(t, ['strat']), 64, [/there is no command strat; did you mean start\?/])
  const known = /the first word must be a command \(start, check, sessions, .*help\)/
  complains(t, await run(t, ['--mqtt-port', '1']), 64, [known])
  complains(t, await run(t, ['start', 'now']), 64, [/"now": options are written --name value/])
})

t.test('check says what a configuration means and where each value comes from, and starts nothing', async (t) => {
  const { code, stdout } = await run(t, ['check', '--sessions-max', '10'], { HOLDFAST_MQTT_PORT: '2883' })
  t.equal(code, 0)
  const says = [/mqtt:\/\/127\.0\.0\.1:2883/, /kill -9/, /packetBytesMax +1 MiB/, /every program on this machine/]
  for (const said of says) {
    t.match(stdout, said)
  }
  t.match(stdout, /mqttPort +2883 +\(HOLDFAST_MQTT_PORT/)
  t.match(stdout, /sessionsMax +10 +\(--sessions-max/)
})

t.test('check --json gives the resolved configuration to programs', async (t) => {
  const { code, stdout } = await run(t, ['check', '--json', '--mqtt-port', '0'])
  t.equal(code, 0)
  t.match(JSON.parse(stdout), {
    config: { mqttPort: 0, httpPort: 8080 },
    from: { mqttPort: { kind: 'flag', name: '--mqtt-port' }, httpPort: { kind: 'default' } }
  })
})

t.test('check complains as start does', async (t) => {
  complains(t, await run(t, ['check', '--mqtt-port', 'x']), 64, [/--mqtt-port: "x" must be a whole number/])
})

t.test('help lists commands and options, and explains one option', async (t) => {
  t.match((await run(t, [])).stdout, /Usage: holdfast COMMAND/)
  t.match((await run(t, ['help', 'options'])).stdout, /--inflight-messages-max +64/)
  for (const name of ['mqttPort', '--mqtt-port', 'HOLDFAST_MQTT_PORT']) {
    t.match((await run(t, ['help', name])).stdout, /TCP port for MQTT/)
  }
  complains(t, await run(t, ['help', 'mqtPort']), 64, [/did you mean mqttPort\?/])
})

t.test('help of a command is the same by its name and by --help', async (t) => {
  for (const [command, says] of [['start', /--quiet/], ['check', /--json/], ['sessions', /--client ID/]] as const) {
    const { stdout, code } = await run(t, ['help', command])
    t.equal(code, 0)
    t.match(stdout, new RegExp(`^Usage: holdfast ${command} `))
    t.match(stdout, says)
    t.equal((await run(t, [command, '--help'])).stdout, stdout)
  }
})

t.test('--quiet leaves the ready line alone on standard output', async (t) => {
  const server = await startServer(t, { flags: ['--quiet'] })
  t.match(server.stdout, /^holdfast ready mqtt=\S+ http=\S+\n$/)
})

t.test('a folder that no file system makes is refused at once, with what to do', async (t) => {
  for (const folder of ['/proc/holdfast', '/proc/holdfast/data', '/dev/null/data']) {
    const ended = await run(t, ['start', ...ANY_PORTS, '--data', folder])
    complains(t, ended, 1, [new RegExp(`the data folder cannot be written: ${folder} .*--data`)])
    t.equal(ended.lines.length, 1, 'and nothing else')
  }
})

t.test('a folder in use is refused in one line', async (t) => {
  const { data } = await startServer(t)
  const ended = await run(t, ['start', ...ANY_PORTS, '--data', data])
  complains(t, ended, 1, [/in use by another server: .* belongs to process \d+\. Stop that server, or .*--data\)$/])
  t.equal(ended.lines.length, 1, 'and nothing else')
})

t.test('--version is the version of the package', async (t) => {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  t.equal((await run(t, ['--version'])).stdout, `${version}\n`)
})
