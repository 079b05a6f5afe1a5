/** Every version of the client on every transport: what counts as received was handled, and when that is known. */
import t from 'tap'
import type { Test } from 'tap'
import { createProxy, type Proxy } from '../helpers/proxy.ts'
import {
  legacyClient, TRANSPORTS, VERSIONS, type LegacyOptions, type LegacySocket, type Transport, type Version
} from '../helpers/socketio-clients.ts'
import { until, within } from '../helpers/wait.ts'
import { connectMqtt, startBridged, type Bridged, type BridgedOptions } from './socketio-harness.ts'
import { watch, type Witness } from './socketio-witness.ts'

const CELLS = VERSIONS.flatMap(version => (Object.keys(TRANSPORTS) as Transport[]).map(transport => ({
  version, transport, name: `${version}-${transport}`
})))
const FAST = { pingIntervalMs: 300, pingTimeoutMs: 700, bridge: { eio3PingIntervalMs: 150 } }
/** All cells at once keep a small machine busy. */
const PATIENCE_MS = 120_000

interface Watched extends Bridged {
  readonly witness: Witness
  /** Resolves with the receipt of a message for that client. */
  send (name: string, n: number, filling?: string): Promise<void>
}

async function startWatched (t: Test, options: BridgedOptions = {}): Promise<Watched> {
  const bridged = await startBridged(t, options)
  const witness = watch(bridged.broker)
  const device = await connectMqtt(t, bridged.mqttUrl)
  return {
    ...bridged,
    witness,
    async send (name, n, filling) {
      const args = filling === undefined ? [n] : [n, filling]
      const envelope = JSON.stringify({ $hf: 1, id: String(n), args })
      await device.publishAsync(`io/_/user/${name}/x`, envelope, { qos: 1 })
    }
  }
}

interface Handling {
  readonly socket: LegacySocket
  /** In the order of first sight. */
  readonly seen: Set<number>
  calls: number
  disconnects: number
}

/** A client that tells the witness what its handler has done. */
function handle (
  t: Test, { witness }: Watched, port: number, name: string, version: Version, transport: Transport,
  options: LegacyOptions = {}
): Handling {
  const socket = legacyClient(version, `http://127.0.0.1:${port}`,
    { transports: TRANSPORTS[transport], query: { clientId: name }, timeout: 1_000, ...options })
  t.teardown(() => socket.disconnect())
  const handling: Handling = { socket, seen: new Set(), calls: 0, disconnects: 0 }
  socket.on('disconnect', () => { handling.disconnects++ })
  socket.on('x', (n: number) => {
    witness.handled(name, n)
    handling.seen.add(n)
    handling.calls++
  })
  return handling
}

async function connected ({ socket }: Handling, what: string): Promise<void> {
  await within(new Promise<void>(resolve => socket.once('connect', () => resolve())), what, PATIENCE_MS)
}

const numbers = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, index) => from + index)

async function attacked (t: Test, options: BridgedOptions, filling?: string): Promise<void> {
  const watched = await startWatched(t, options)
  const { witness, send, port } = watched
  const faults: ReadonlyArray<(proxy: Proxy) => void> = [
    () => {},
    proxy => proxy.cut('reset'),
    proxy => proxy.cutAfter(300, 'down', 'reset'),
    proxy => proxy.hole('down'),
    proxy => proxy.hole('up'),
    proxy => proxy.cutAfter(60, 'up', 'finish'),
    proxy => proxy.hole('both'),
    proxy => proxy.cut('finish')
  ]
  const calls = await Promise.all(CELLS.map(async ({ name, version, transport }) => {
    const proxy = await createProxy(t, { port })
    const client = handle(t, watched, proxy.port, name, version, transport)
    await connected(client, `${name} to connect`)
    let sent = 0
    for (const [index, fault] of faults.entries()) {
      const { disconnects } = client
      for (let n = 0; n < 5; n++) await send(name, sent++, filling)
      fault(proxy)
      for (let n = 0; n < 15; n++) await send(name, sent++, filling)
      // until what was there is gone or has been through, whatever the fault does to it
      await until(() => witness.acknowledged(name).includes(sent - 1) || client.disconnects > disconnects ||
        !client.socket.connected, `${name}: an end of fault ${index}`, PATIENCE_MS)
      proxy.pass()
      if (sent % 40 === 0) await witness.wait(name, sent, PATIENCE_MS)
    }
    await witness.wait(name, sent, PATIENCE_MS)
    t.same([...client.seen], numbers(0, sent), `${name}: all, in the order of first sight`)
    return `${name} ${client.calls - sent}`
  }))
  t.same(witness.lies, [], 'nothing counted as received that was not handled')
  t.comment(`duplicates: ${calls.join(', ')}`)
}

t.test('whatever happens to the connection, nothing counts as received that no handler has run for [G2] [G3]',
  async t => await attacked(t, FAST))

t.test('the proofs hold with compression (permessage-deflate) [G2] [G3]',
  async t => await attacked(t, { ...FAST, bridge: { ...FAST.bridge, socketioDeflate: true } }, 'x'.repeat(2_000)))
