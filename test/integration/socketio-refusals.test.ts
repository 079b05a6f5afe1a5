/** What may pass is no refusal: a client that is told connect_error would stay away for good. */
import t from 'tap'
import { silent } from '../../broker/index.ts'
import { createMemoryDisk, createMemoryStore } from '../../broker/store/memory.ts'
import { legacyClient, VERSIONS } from '../helpers/socketio-clients.ts'
import { until } from '../helpers/wait.ts'
import { nextPacket, openRaw, startBridged } from './socketio-harness.ts'

for (const version of VERSIONS) {
  t.test(`[G2] ${version}: a client that connects while the disk is full comes in when there is space`, async t => {
    const disk = createMemoryDisk()
    const { url, bridge } = await startBridged(t, { store: createMemoryStore(disk) })
    for (const transports of [['websocket'], ['polling']]) {
      disk.failing = true
      const socket = legacyClient(version, url, { query: { clientId: `c-${transports[0]}` }, transports })
      t.teardown(() => socket.disconnect())
      let refusals = 0
      let attempts = 0
      const count = (): void => { refusals++ }
      socket.on('connect_error', count)
      if (version === '2.5') socket.on('error', count)
      socket.io.on('reconnect_attempt', () => { attempts++ })
      await until(() => attempts >= 2, 'two more attempts')
      t.equal(refusals, 0, `${transports[0]}: not refused`)
      disk.failing = false
      await until(() => socket.connected, 'the connection')
    }
    t.ok(bridge.connections >= 2)
  })
}

t.test('[G8] a client that is refused again and again writes a line in the log once in a while', async t => {
  const lines: object[] = []
  const warn = (fields: object, message: string): void => {
    if (message.startsWith('a Socket.IO client was refused')) lines.push(fields)
  }
  const { port } = await startBridged(t, { log: { ...silent, warn } })
  const socket = await openRaw(t, port)
  const last = nextPacket(socket, '44/last')
  const namespace = 'x'.repeat(300)
  for (let n = 0; n < 100; n++) socket.send(`40/${namespace}${n},`)
  socket.send(`40/last${namespace},`)
  await last
  t.match(lines, [{ code: 'NAMESPACE_INVALID', times: 1 }])
  t.equal(lines.length, 1)
})
