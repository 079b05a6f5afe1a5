import t from 'tap'
import { connect } from 'mqtt'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { startServer } from '../helpers/server.ts'
import { tempFolder } from '../helpers/temp.ts'
import { until, within } from '../helpers/wait.ts'
import { collect, connectClient, connectMqtt, heard, newClient, refused } from './socketio-harness.ts'

const exampleFile = (path: string): string => fileURLToPath(new URL(`../../examples/${path}`, import.meta.url))

t.test('examples/rooms: rooms stay entered, messages wait, and one that is sent twice is taken once',
  async t => {
    const child = spawn(process.execPath, [exampleFile('rooms/rooms.mjs'), '0', tempFolder(t)],
      { stdio: ['ignore', 'pipe', 'inherit'] })
    t.teardown(() => child.kill('SIGKILL'))
    const [line] = await within(once(createInterface({ input: child.stdout }), 'line') as Promise<[string]>, 'the chat')
    const [, url] = /^rooms ready (\S+) mqtt=(\d+)$/.exec(line)!
    const ann = await connectClient(t, url, { auth: { clientId: 'ann' } })
    const bob = await connectClient(t, url, { auth: { clientId: 'bob' } })
    t.same(await bob.emitWithAck('enter', 'red'), { status: 'ok' })
    t.same(await bob.emitWithAck('my rooms'), { status: 'ok', rooms: ['red'] })
    bob.disconnect()
    t.match(await ann.emitWithAck('say', 'red', { id: '1', text: 'hello' }), { status: 'ok' })
    t.match(await ann.emitWithAck('say', 'red', { id: '1', text: 'hello' }), { status: 'ok' })
    t.match(await ann.emitWithAck('whisper', 'bob', { id: '2', text: 'psst' }), { status: 'ok' })
    t.match(await ann.emitWithAck('shout', 'hey'), { status: 'error', code: 'REFUSED' })
    const heardByBob: unknown[][] = []
    bob.onAny((event: string, ...args: unknown[]) => {
      if (!event.startsWith('holdfast:')) heardByBob.push([event, ...args.slice(0, event === 'said' ? 3 : 2)])
    })
    bob.connect()
    await until(() => heardByBob.length >= 2, 'both messages')
    t.same(heardByBob, [['said', 'red', 'ann', 'hello'], ['whispered', 'ann', 'psst']])
    t.match(await (await fetch(url)).text(), /my rooms/)
  })

t.test('examples/fleet: raw telemetry reaches pages as events, commands of pages reach devices that were away',
  async t => {
    const server = await startServer(t, { flags: ['--rules-module', exampleFile('fleet/rules.mjs')] })
    const van = await connectMqtt(t, `mqtt://127.0.0.1:${server.mqtt.port}`, { clientId: 'van-7', clean: false })
    await van.subscribeAsync('fleet/van-7/command', { qos: 1 })
    const page = await connectClient(t, `http://127.0.0.1:${server.http.port}/fleet`, { auth: { clientId: 'desk' } })
    const telemetry = heard(page, 'telemetry')
    await van.publishAsync('fleet/van-7/telemetry', Buffer.from([90, 0x14, 0xb4, 0x05, 0x1e]), { qos: 1 })
    t.same((await telemetry).slice(0, 2), ['van-7', { battery: 90, position: [53, 13.1] }])
    page.disconnect()
    await van.publishAsync('fleet/van-7/alarm', 'door open', { qos: 1 })
    const alarm = heard(page, 'alarm')
    page.connect()
    t.same((await alarm).slice(0, 2), ['van-7', 'door open'])
    await van.endAsync()
    t.match(await page.emitWithAck('command', 'van-7', { do: 'lock', id: 'c1' }), { status: 'ok' })
    t.match(await page.emitWithAck('command', 'van-7', { do: 'explode' }), { status: 'error', code: 'REFUSED' })
    const back = connect(`mqtt://127.0.0.1:${server.mqtt.port}`, { clientId: 'van-7', clean: false })
    t.teardown(() => back.endAsync(true))
    const [topic, payload] = await within(new Promise<[string, Buffer]>(resolve => {
      back.once('message', (name, bytes) => resolve([name, bytes]))
    }), 'the command')
    t.equal(topic, 'fleet/van-7/command')
    t.same(JSON.parse(payload.toString()), { do: 'lock', id: 'c1' })
    const elsewhere = newClient(t, `http://127.0.0.1:${server.http.port}/other`, {})
    t.match((await refused(elsewhere)).message, /namespace/i)
  })

t.test('examples/chat serves its page, and what was said meanwhile is there when a client comes back', async t => {
  const script = fileURLToPath(new URL('../../examples/chat/chat.mjs', import.meta.url))
  const child = spawn(process.execPath, [script, '0', tempFolder(t)], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  const [line] = await within(once(createInterface({ input: child.stdout }), 'line') as Promise<[string]>, 'the chat')
  const [, url, mqttPort] = /^chat ready (\S+) mqtt=(\d+)$/.exec(line)!

  const page = await (await fetch(url)).text()
  const bundle = /<script src="([^"]+)">/.exec(page)![1]
  t.match(await (await fetch(url + bundle)).text(), /Socket\.IO/)

  const ann = await connectClient(t, url, { auth: { clientId: 'ann' }, transports: ['polling', 'websocket'] })
  const bob = await connectClient(t, url, { auth: { clientId: 'bob' } })
  const first = heard(bob, 'chat message')
  await ann.emitWithAck('chat message', { from: 'ann', text: 'hello' })
  t.same(await first, [{ from: 'ann', text: 'hello' }])
  bob.disconnect()
  const device = await connectMqtt(t, `mqtt://127.0.0.1:${mqttPort}`)
  await device.publishAsync('io/_/all/chat message', 'hello from MQTT', { qos: 1 })
  const got = collect(bob, 'chat message')
  bob.connect()
  await until(() => got.values.includes('hello from MQTT'), 'the message')

  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  t.same(await within(ended, 'the end'), [0, null])
})
