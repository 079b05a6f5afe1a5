import t, { type Test } from 'tap'
import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { connect, createServer, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import { silent, type Logger } from '../../broker/index.ts'
import { createProxy, type Proxy } from '../helpers/proxy.ts'
import { legacyClient, VERSIONS, type Version } from '../helpers/socketio-clients.ts'
import { tempFolder } from '../helpers/temp.ts'
import { until, within } from '../helpers/wait.ts'
import { collect, connectClient, startBridged, type Bridged } from './socketio-harness.ts'

const MESSAGES = 40
const PATH = `${process.env['PATH']}:/usr/sbin`
const env = { ...process.env, PATH }
const isThere = spawnSync('which', ['nginx'], { env }).status === 0

/**
 * nginx as people put it in front, with two ways to the same server: every other connection goes through `proxy`, and
 * where that breaks before an answer nginx sends the request again the other way, POSTs too.
 */
async function startNginx (t: Test, direct: number, proxy: Proxy): Promise<number> {
  const folder = tempFolder(t, 'nginx')
  mkdirSync(join(folder, 'temp'))
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map(name => `${name}_temp_path ${folder}/temp/${name};`)
  writeFileSync(join(folder, 'nginx.conf'), `
    daemon off; master_process off; pid ${folder}/pid; error_log ${folder}/errors;
    events {}
    http {
      access_log off; ${temp.join(' ')}
      upstream holdfast {
        server 127.0.0.1:${proxy.port} max_fails=0;
        server 127.0.0.1:${direct} max_fails=0;
        keepalive 8;
      }
      server {
        listen unix:${folder}/socket;
        location /socket.io/ {
          proxy_pass http://holdfast;
          proxy_http_version 1.1;
          proxy_set_header Connection "";
          proxy_next_upstream error timeout non_idempotent;
        }
      }
    }`)
  const child = spawn('nginx', ['-p', folder, '-c', join(folder, 'nginx.conf')], { stdio: 'ignore', env })
  t.teardown(() => child.kill('SIGKILL'))
  // nginx can't be told to take a free port and say which
  const listener = createServer(client => {
    const server = connect(join(folder, 'socket'))
    for (const socket of [client, server]) {
      socket.on('error', () => {})
      socket.on('close', () => { client.destroy(); server.destroy() })
    }
    client.pipe(server).pipe(client)
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  t.teardown(() => listener.close())
  await until(async () => await new Promise(resolve => {
    const socket = connect(join(folder, 'socket'), () => { socket.destroy(); resolve(true) })
    socket.on('error', () => resolve(false))
  }), 'nginx to listen')
  return (listener.address() as AddressInfo).port
}

interface Result { readonly down: number[], readonly up: number[], readonly disconnects: number }

async function converse (t: Test, { url }: Bridged, port: number, version: Version, proxy: Proxy): Promise<Result> {
  const sender = await connectClient(t, url)
  const up = collect(sender, `up ${version}`)
  const client = legacyClient(version, `http://127.0.0.1:${port}`,
    { transports: ['polling'], auth: { clientId: version }, query: { clientId: version } })
  t.teardown(() => client.disconnect())
  const down: number[] = []
  const receipts = new Set<number>()
  let disconnects = 0
  client.on('down', (value: number) => down.push(value))
  client.on('disconnect', () => disconnects++)
  await within(new Promise<void>(resolve => client.once('connect', () => resolve())), `${version} to connect`)
  for (let n = 0; n < MESSAGES; n++) {
    if (n % 4 === 0) proxy.cutAfter(0, 'down', n % 8 === 0 ? 'reset' : 'finish') // answers that come that way are lost
    await sender.emitWithAck('send', { user: version }, 'down', n)
    await within(new Promise<void>(resolve => {
      client.emit(`up ${version}`, n, () => { receipts.add(n); resolve() })
    }), '', 1_000).catch(() => {})
    if (n % 4 === 2) proxy.pass()
  }
  proxy.pass()
  await until(() => new Set(down).size === MESSAGES, `${version}: all messages`)
  const unpublished = [...receipts].filter(n => !(up.values as number[]).includes(n))
  t.same(unpublished, [], `${version}: what has a receipt was published`)
  return { down, up: up.values as number[], disconnects }
}

t.test('nginx sends requests again to the next upstream; nothing is lost, and nothing runs twice [G2] [G4]',
  { skip: isThere ? false : 'nginx is not installed' }, async t => {
    for (const version of VERSIONS) {
      let again = 0
      const log: Logger = { ...silent, debug: (_fields, sentence) => { if (sentence.includes('same answer')) again++ } }
      const bridged = await startBridged(t, { log })
      const proxy = await createProxy(t, { port: bridged.port })
      const port = await startNginx(t, bridged.port, proxy)
      const { down, up, disconnects } = await converse(t, bridged, port, version, proxy)
      const first = down.filter((value, index) => down.indexOf(value) === index)
      t.same(first, [...Array(MESSAGES).keys()], `${version}: order of first sight`)
      t.same(up, [...up].sort((a, b) => a - b), `${version}: what it sent, in order`)
      t.equal(new Set(up).size, up.length, `${version}: each ran once`)
      t.ok(again > 0, `${version}: ${again} repeated requests got the same answer`)
      t.comment(`${version}: ${again} answered again, ${disconnects} disconnects, ${down.length - MESSAGES} duplicates`)
    }
  })
