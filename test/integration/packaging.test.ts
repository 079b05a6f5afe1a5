/** What stands in packaging/: it fits the server that is built, as far as this machine can run it. */
import { execFile, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { connectAsync } from 'mqtt'
import { io } from 'socket.io-client'
import t, { type Test } from 'tap'
import { OPTIONS } from '../../config/schema.ts'
import { createOwnCa } from '../helpers/own-ca.ts'
import { startServer } from '../helpers/server.ts'
import { ROOT } from '../helpers/sources.ts'
import { tempFolder } from '../helpers/temp.ts'
import { until, within } from '../helpers/wait.ts'

const run = promisify(execFile)
const packaged = (name: string): string => readFileSync(`${ROOT}/packaging/${name}`, 'utf8')

// --- systemd

t.test('systemd understands the unit, and finds it well closed', async (t) => {
  const unit = join(tempFolder(t, 'unit'), 'holdfast.service')
  // verify looks whether the programs are there
  const credentials = packaged('holdfast.service').replace(/^#(?=LoadCredential|Environment)/gm, '')
  writeFileSync(unit, credentials.replace('/usr/bin/node', process.execPath))
  const { stdout, stderr } = await run('systemd-analyze', ['verify', unit])
  t.equal(stdout + stderr, '')
  const said = await run('systemd-analyze', ['security', '--offline=true', '--no-pager', '--threshold=20', unit])
  t.match(said.stdout, /Overall exposure level for holdfast\.service: [01]\.\d OK/)
})

t.test('the unit starts the command that the package has, and stops it later than it stops itself', async (t) => {
  const unit = packaged('holdfast.service')
  const [, file] = /^ExecStart=\S+ \/opt\/holdfast\/node_modules\/holdfast\/(\S+) start /m.exec(unit) ?? []
  const { bin } = JSON.parse(readFileSync(`${ROOT}/package.json`, 'utf8')) as { bin: { holdfast: string } }
  t.equal(file, bin.holdfast)
  const [, seconds] = /^TimeoutStopSec=(\d+)s$/m.exec(unit) ?? []
  t.ok(Number(seconds) * 1_000 > OPTIONS.shutdownGraceMs.default)
})

/** Of a unit whose filter is `SystemCallFilter=@system-service` without `@privileged`. */
async function allowedCalls (): Promise<ReadonlySet<string>> {
  const callsOf = async (group: string): Promise<string[]> => {
    const { stdout } = await run('systemd-analyze', ['syscall-filter', '--no-pager', group])
    const names = stdout.split('\n').map((line) => line.trim()).filter((line) => /^@?\w/.test(line)).slice(1)
    const nested = await Promise.all(names.map((name) => name.startsWith('@') ? callsOf(name) : [name]))
    return nested.flat()
  }
  const allowed = new Set(await callsOf('@system-service'))
  for (const call of await callsOf('@privileged')) allowed.delete(call)
  return allowed
}

/** Node does without these where they are refused, which is seen here. */
const DISPENSABLE = ['io_uring_setup', 'pkey_alloc']

t.test('a server that starts, serves and stops makes no system call that the unit forbids', async (t) => {
  t.match(packaged('holdfast.service'), /^SystemCallFilter=@system-service\nSystemCallFilter=~@privileged$/m)
  const folder = tempFolder(t, 'strace')
  const trace = join(folder, 'calls')
  const child = spawn('strace', [
    '-f', '-qq', '-e', 'signal=none', '-o', trace, '-e', `inject=${DISPENSABLE.join(',')}:error=EPERM`,
    process.execPath, `${ROOT}/dist/bin/holdfast.js`, 'start', '--quiet', '--mqtt-port', '0', '--http-port', '0',
    '--data', join(folder, 'data')
  ], { stdio: ['ignore', 'pipe', 'ignore'], env: { PATH: process.env['PATH'] } })
  t.teardown(() => { child.kill('SIGKILL') })
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => { said += text })
  await until(() => said.includes('\n'), 'the ready line')
  const [, mqtt, http] = /mqtt=(\S+) http=(\S+)/.exec(said) ?? []
  const device = await connectAsync(`mqtt://${mqtt}`, { clientId: 'd1', clean: false, reconnectPeriod: 0 })
  await device.subscribeAsync('a', { qos: 1 })
  await device.publishAsync('a', 'x', { qos: 1 })
  await device.endAsync()
  t.equal((await fetch(`http://${http}/readyz`)).status, 200)
  const pid = Number(/^(\d+) /.exec(readFileSync(trace, 'utf8'))?.[1])
  process.kill(pid, 'SIGTERM')
  await within(once(child, 'exit'), 'the end')
  const calls = new Set([...readFileSync(trace, 'utf8').matchAll(/^\d+ +(?:<\.\.\. )?([a-z]\w*)(?:\(| resumed)/gm)]
    .map(([, call]) => call))
  t.ok(calls.has('fdatasync') || calls.has('msync'), 'the trace has what a server does')
  const allowed = await allowedCalls()
  t.ok(allowed.size > 200)
  t.same([...calls].filter((call) => !allowed.has(call) && !DISPENSABLE.includes(call)), [])
})

// --- Docker

t.test('the image is of two stages, runs as nobody special, and its health is asked as the server answers',
  async (t) => {
    const lines = packaged('Dockerfile').replace(/ \\\n\s*/g, ' ').split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
    const all = (word: string): string[] =>
      lines.filter((line) => line.startsWith(`${word} `)).map((line) => line.slice(word.length + 1))
    t.match(all('FROM'), [/^node:\d+-\w+-slim AS build$/, /^node:\d+-\w+-slim$/])
    t.equal(all('FROM').length, 2)
    t.same(all('USER'), ['10001:10001'])
    t.ok(lines.indexOf('USER 10001:10001') > lines.findIndex((line) => line.startsWith('RUN groupadd')))
    const ports = [OPTIONS.mqttPort.default, OPTIONS.httpPort.default].map(String)
    t.same(ports.filter((port) => !all('EXPOSE').join(' ').split(' ').includes(port)), [])
    for (const names of all('COPY').filter((one) => !one.startsWith('--from'))) {
      for (const name of names.split(' ').slice(0, -1)) t.ok(existsSync(join(ROOT, name)), name)
    }
    t.match(all('ENTRYPOINT'), ['["node", "dist/bin/holdfast.js"]'])
    const [health] = all('HEALTHCHECK')
    const [node, ...args] = JSON.parse(health.slice(health.indexOf('CMD ') + 4)) as string[]
    t.equal(node, 'node')
    const server = await startServer(t)
    const ask = (port: number): Promise<unknown> =>
      run(process.execPath, args, { env: { READY_URL: `http://127.0.0.1:${port}/readyz` } })
    await ask(server.http.port)
    await t.rejects(ask(1), { code: 1 })
  })

// --- nginx, Caddy

const NGINX_ENV = { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin` }

async function freePort (): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** The example as it stands, but for files and ports of this test. */
async function startNginx (
  t: Test, mqtt: number, http: number
): Promise<{ ca: Buffer, https: number, mqtts: number }> {
  const folder = tempFolder(t, 'nginx')
  const { ca, cert, key } = createOwnCa(t)
  const [https, mqtts] = [await freePort(), await freePort()]
  mkdirSync(join(folder, 'temp'))
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${folder}/temp/${name};`).join(' ')
  const changed = [
    ['load_module modules/', 'load_module /usr/lib/nginx/modules/'],
    ['user www-data;', 'daemon off; master_process off;'],
    ['pid /run/nginx.pid', `pid ${folder}/pid`], ['/var/log/nginx/error.log', `${folder}/errors`],
    ['access_log /var/log/nginx/access.log;', `access_log off; ${temp}`],
    ['worker_rlimit_nofile 65536;', ''], ['worker_connections 16384', 'worker_connections 256'],
    ['listen 443 ssl', `listen 127.0.0.1:${https} ssl`], ['listen 8883 ssl', `listen 127.0.0.1:${mqtts} ssl`],
    ['127.0.0.1:8080', `127.0.0.1:${http}`], ['127.0.0.1:1883', `127.0.0.1:${mqtt}`],
    ['/etc/nginx/tls/fullchain.pem', cert], ['/etc/nginx/tls/privkey.pem', key]
  ]
  let config = packaged('nginx.conf')
  for (const [stands, here] of changed) {
    t.ok(config.includes(stands), stands)
    config = config.replaceAll(stands, here)
  }
  writeFileSync(join(folder, 'nginx.conf'), config)
  const child = spawn('nginx', ['-p', folder, '-c', join(folder, 'nginx.conf')], { stdio: 'inherit', env: NGINX_ENV })
  t.teardown(() => { child.kill('SIGKILL') })
  await until(() => existsSync(join(folder, 'pid')) && readFileSync(join(folder, 'pid'), 'utf8') !== '', 'nginx')
  return { ca: readFileSync(ca), https, mqtts }
}

t.test('through nginx as in the example: Socket.IO, MQTT over WebSocket, and MQTT over TLS', async (t) => {
  t.equal(OPTIONS.mqttPath.default, '/mqtt')
  t.equal(OPTIONS.socketioPath.default, '/socket.io')
  const server = await startServer(t)
  const { ca, https, mqtts } = await startNginx(t, server.mqtt.port, server.http.port)
  const pages = (['polling', 'websocket'] as const).map((transport) => {
    const page = io(`https://localhost:${https}`,
      { transports: [transport], auth: { clientId: transport }, ca, forceNew: true } as object)
    t.teardown(() => { page.close() })
    return page
  })
  const heard = pages.map((page) => new Promise((resolve) => { page.on('hello', resolve) }))
  await Promise.all(pages.map((page) =>
    within(new Promise<void>((resolve) => { page.on('connect', resolve) }), 'the page')))
  for (const url of [`wss://localhost:${https}/mqtt`, `mqtts://localhost:${mqtts}`]) {
    const device = await connectAsync(url, { ca, reconnectPeriod: 0, wsOptions: { ca } })
    await device.publishAsync('io/_/all/hello', JSON.stringify(url), { qos: 1 })
    await device.endAsync()
  }
  t.same(await within(Promise.all(heard), 'the events'), Array(2).fill(`wss://localhost:${https}/mqtt`))
})

t.test('Caddy hands on what Holdfast serves', async (t) => {
  const { socketioPath, mqttPath, httpPort } = OPTIONS
  t.match(packaged('Caddyfile'), `@holdfast path ${socketioPath.default}/* ${mqttPath.default}\n` +
    `\treverse_proxy @holdfast 127.0.0.1:${httpPort.default} {`)
})

// --- Kubernetes

t.test('the manifest is one replica with its volume, and its names fit each other', async (t) => {
  const manifest = packaged('kubernetes.yaml')
  const all = (pattern: RegExp): string[] => [...manifest.matchAll(pattern)].map(([, one]) => one)
  t.same(all(/^kind: (\w+)$/gm), ['ConfigMap', 'Service', 'StatefulSet'])
  t.same(all(/^ *replicas: (.*)$/gm), ['1'])
  t.match(manifest, /runAsNonRoot: true\n +runAsUser: 10001\n +runAsGroup: 10001\n +fsGroup: 10001\n/)
  t.match(manifest, /allowPrivilegeEscalation: false\n +readOnlyRootFilesystem: true\n/)
  const mounts = [...manifest.matchAll(/\{ name: (\w+), mountPath: ([^,} ]+)/g)]
  const tail = manifest.slice(manifest.indexOf('      volumes:\n'))
  const volumes = [...tail.matchAll(/(?:^ {8}- name: |metadata:\n +name: )(\w+)/gm)].map(([, name]) => name)
  t.same(mounts.map(([, name]) => name).sort(), volumes.sort())
  t.ok(mounts.some(([, , path]) => packaged('Dockerfile').includes(`HOLDFAST_DATA=${path} `)), 'data is on the volume')
  t.same(all(/targetPort: (\w+)/g), all(/name: (\w+), containerPort/g))
  t.same(all(/containerPort: (\d+)/g), [OPTIONS.mqttsPort.default, OPTIONS.httpsPort.default].map(String))
  t.same(new Set(all(/port: ([a-z]+),/g)), new Set(['https']), 'what probes ask')
  const [config] = all(/holdfast\.json: \|\n((?: {4}.*\n)+)/g)
  t.same(Object.keys(JSON.parse(config) as object).filter((name) => !(name in OPTIONS)), [])
  t.equal(Number(/terminationGracePeriodSeconds: (\d+)/.exec(manifest)?.[1]) * 1_000 > OPTIONS.shutdownGraceMs.default,
    true)
})
