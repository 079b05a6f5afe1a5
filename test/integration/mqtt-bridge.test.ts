/** Bridges between brokers, which say by their protocol level that they are one: packet by packet, and mosquitto's. */
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { startInProcess, type InProcess } from '../helpers/in-process.ts'
import {
  connectWire, openWire, publish1, publish2, publishPacket, subscribe, take, text, type WireClient
} from '../helpers/mqtt-wire.ts'
import { tempFolder } from '../helpers/temp.ts'

const seen = ({ topic, retain, qos }: { topic: string, retain: boolean, qos: number }): string =>
  `${topic} ${qos}${retain ? ' retained' : ''}`

async function connectBridge (t: Test, server: InProcess, clientId: string, clean: boolean): Promise<WireClient> {
  const asBridge = { bridgeMode: true } // protocol level 0x84
  return (await connectWire(t, server, { clientId, clean, ...asBridge })).client
}

for (const clean of [true, false]) {
  t.test(`a bridge gets what others sent, with its retain flag, and never its own; clean=${clean}`, async t => {
    const server = await startInProcess(t, { limits: { inflightMessagesMax: 4 } })
    const { client: other } = await connectWire(t, server)
    const bridge = await connectBridge(t, server, 'bridge', clean)
    await subscribe(bridge, { 'b/#': 2 })
    for (let i = 1; i <= 10; i++) { // more than the window holds: none of them stays in it
      await publish1(bridge, 'b/own', 'x', i, { retain: i === 1 })
      await publish2(bridge, 'b/own', 'x', i)
      bridge.send(publishPacket('b/own', 'x'))
    }
    await publish1(other, 'b/plain', 'p')
    await publish1(other, 'b/kept', 'k', 2, { retain: true })
    await publish2(other, 'b/twice', 'k', 3, { retain: true })
    const got = [await take(bridge), await take(bridge), await take(bridge)]
    t.same(got.map(seen), ['b/plain 1', 'b/kept 1 retained', 'b/twice 2 retained'])
    const { client: plain } = await connectWire(t, server, { clientId: 'no-bridge' })
    await subscribe(plain, { 'p/#': 1 })
    await publish1(other, 'p/kept', 'k', 4, { retain: true })
    t.equal(seen(await take(plain)), 'p/kept 1', '[MQTT-3.3.1-9] whoever is no bridge sees new messages unretained')
  })
}

t.test('what came for a bridge while it was away comes with its retain flags, and its own stays away', async t => {
  const server = await startInProcess(t)
  const { client: other } = await connectWire(t, server)
  const first = await connectBridge(t, server, 'bridge', false)
  await subscribe(first, { 'b/#': 1 })
  await publish1(first, 'b/own', 'x')
  first.destroy()
  await first.closed
  await publish1(other, 'b/kept', 'k', 2, { retain: true })
  const again = await connectBridge(t, server, 'bridge', false)
  t.equal(seen(await take(again)), 'b/kept 1 retained')
})

async function freePort (): Promise<number> {
  const server = createServer()
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve) })
  const { port } = server.address() as AddressInfo
  await new Promise(resolve => { server.close(resolve) })
  return port
}

/** A mosquitto with a bridge to `server`; resolves when the bridge has subscribed. */
async function startMosquitto (t: Test, server: InProcess): Promise<{ readonly port: number }> {
  const port = await freePort()
  const file = join(tempFolder(t), 'mosquitto.conf')
  writeFileSync(file, [
    `listener ${port} 127.0.0.1`, 'allow_anonymous true', 'connection hf', `address 127.0.0.1:${server.port}`,
    'topic br/# both 1', 'notifications false', 'log_type all', ''
  ].join('\n'))
  const child = spawn('mosquitto', ['-c', file], { stdio: ['ignore', 'ignore', 'pipe'] })
  t.teardown(() => { child.kill() })
  await new Promise<void>((resolve, reject) => {
    let said = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text
      if (/Received SUBACK/.test(said)) resolve()
    })
    child.on('error', reject)
    child.on('exit', (code) => { reject(new Error(`mosquitto ended with ${code}: ${said}`)) })
  })
  return { port }
}

t.test('a bridge of mosquitto carries each message once, both ways, and retained ones as such', async t => {
  const server = await startInProcess(t)
  const mosquitto = await startMosquitto(t, server)
  const there = await openWire(t, { port: mosquitto.port })
  there.send({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clean: true, keepalive: 0, clientId: 'there' })
  await there.expect('connack')
  await subscribe(there, { 'br/#': 1 })
  const { client: here } = await connectWire(t, server, { clientId: 'here' })
  await subscribe(here, { 'br/#': 1 })
  there.send(publishPacket('br/from-mosquitto', 'A', { qos: 1, messageId: 1 }))
  await there.find('puback')
  t.equal(text(await take(there)), 'A')
  t.equal(text(await take(here)), 'A')
  here.send(publishPacket('br/kept', 'B', { qos: 1, messageId: 2, retain: true }))
  await here.find('puback')
  t.equal(text(await take(here)), 'B')
  t.equal(text(await take(there)), 'B', 'and A has not come back before it')
  const { client: late } = await connectWire(t, { port: mosquitto.port })
  await subscribe(late, { 'br/#': 1 })
  t.equal(seen(await take(late)), 'br/kept 1 retained', 'mosquitto keeps it')
  t.same([...here.waiting, ...there.waiting], [])
})
