/**
 * The story that everything is about: a legacy client goes silent, an MQTT device and another legacy client write to
 * him, the server notices, is killed and started again, and when his network is back he gets it all.
 */
import t from 'tap'
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Socket } from 'socket.io-client'
import { createProxy } from '../helpers/proxy.ts'
import { startServer } from '../helpers/server.ts'
import { until, within } from '../helpers/wait.ts'
import { collect, connected, connectClient, connectMqtt, newClient } from './socketio-harness.ts'

const FLAGS = ['--ping-interval-ms', '500', '--ping-timeout-ms', '5000', '--log-level', 'debug', '--log-format', 'json']
const TOPIC = 'io/_/user/U1/x'
const numbers = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, index) => from + index)

/**
 * Resolves when the server has the receipts of everything the client has handled so far: two pings were answered since,
 * and something that the client sent behind the pongs has come back.
 */
async function receiptsAreBack (client: Socket): Promise<void> {
  await within(new Promise<void>(resolve => {
    let pings = 0
    client.io.on('ping', () => { if (++pings === 2) resolve() })
  }), 'two pings')
  await client.emitWithAck('leave', 'a room nobody is in')
}

for (const [name, transports] of [['over WebSocket', ['websocket']], ['with default options', undefined]] as const) {
  const title = `a legacy client ${name} gets all it missed, in order and once, after a silent link and a SIGKILL`
  t.test(`${title} [G1] [G2] [G3] [G4] [G5]`, async t => {
    const server = await startServer(t, { flags: FLAGS })
    const proxy = await createProxy(t, { port: server.http.port })
    const options = { auth: { clientId: 'U1' }, timeout: 1_000, transports: transports && [...transports] }
    const u1 = newClient(t, `http://127.0.0.1:${proxy.port}`, options)
    const handled = collect(u1, 'x')
    const sessions: boolean[] = []
    u1.on('holdfast:session', ({ present }) => sessions.push(present))
    const u2 = await connectMqtt(t, `mqtt://127.0.0.1:${server.mqtt.port}`, { clientId: 'U2' })
    const u3 = await connectClient(t, `http://127.0.0.1:${server.http.port}`, { auth: { clientId: 'U3' } })
    await connected(u1)

    async function send (n: number): Promise<void> {
      if (n % 2 === 0) await u2.publishAsync(TOPIC, String(n), { qos: 1 })
      else t.match(await u3.emitWithAck('send', { user: 'U1' }, 'x', n), { status: 'ok' })
    }

    for (const n of numbers(0, 10)) await send(n)
    await handled.wait(10)
    await receiptsAreBack(u1)

    proxy.hole('both')
    for (const n of numbers(10, 110)) await send(n)
    await until(() => server.stderr.includes('ping timeout'), 'the server to notice the dead link')
    t.same(handled.values, numbers(0, 10), 'nothing got through')

    await server.kill()
    await server.restart()
    proxy.pass()
    t.same(await handled.wait(110), numbers(0, 110))
    await receiptsAreBack(u1)
    t.same(handled.values, numbers(0, 110), 'each once')
    t.equal(sessions.shift(), false)
    t.ok(sessions.length > 0 && sessions.every(present => present), 'he is told that his session was still there')
  })
}

t.test('the story can be watched: examples/story', async t => {
  const script = fileURLToPath(new URL('../../examples/story/story.mjs', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, [script], { timeout: 60_000 })
  t.match(stdout, /U1 got 100 of 100 messages, in order, each once/)
})
