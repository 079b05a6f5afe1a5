import t from 'tap'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { tempFolder } from '../helpers/temp.ts'
import { until, within } from '../helpers/wait.ts'
import { collect, connectClient, connectMqtt, heard } from './socketio-harness.ts'

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
