/**
 * Pages that hear nothing any more after a WebSocket that broke inside an event with bytes, and answer pings all the
 * same (bridge/socketio/proof/deaf.ts).
 */
import t, { type Test } from 'tap'
import type { Logger, SessionInfo } from '../../broker/index.ts'
import { silent } from '../../broker/index.ts'
import { builtClient, bundledClient } from '../helpers/bundled-client.ts'
import { createProxy, type Proxy } from '../helpers/proxy.ts'
import { type LegacySocket, type Version } from '../helpers/socketio-clients.ts'
import { pause, until, WAIT_MS_MAX } from '../helpers/wait.ts'
import { connectMqtt, cookieOf, startBridged, type Bridged, type BridgedOptions } from './socketio-harness.ts'

const TOPIC = 'io/_/all/m'
const NAME = { clientId: 'page' }
const BYTES = Buffer.alloc(100_000, 0xff)
/** Enough for the text of the event, and not for its bytes. */
const TORN_AFTER_BYTES = 5_000

interface Scene extends Bridged {
  readonly proxy: Proxy
  /** Publishes the next number, or bytes. */
  publish (bytes?: Buffer): Promise<void>
  readonly published: number
  /** It gives its name, or has a cookie instead; from the published file, or built of the packages of today. */
  open (version: Version, options?: { readonly cookie?: string | undefined, readonly isBuilt?: boolean }): Page
}

interface Page {
  readonly socket: LegacySocket
  /** What its handler got. */
  readonly seen: unknown[]
  /** Reasons of its disconnects. */
  readonly left: string[]
  /** What was thrown while packets were read, where that is known. */
  readonly errors: Error[]
}

async function setUp (t: Test, options: BridgedOptions = {}): Promise<Scene> {
  const bridged = await startBridged(t, options)
  const proxy = await createProxy(t, { port: bridged.port })
  const publisher = await connectMqtt(t, bridged.mqttUrl)
  let published = 0
  return {
    ...bridged,
    proxy,
    get published () { return published },
    async publish (bytes) {
      await publisher.publishAsync(TOPIC, bytes ?? String(published), { qos: 1 })
      published++
    },
    open (version, { cookie, isBuilt = false } = {}) {
      const identity = cookie === undefined ? { auth: NAME, query: NAME } : { cookie }
      const options = { ...identity, reconnectionDelay: 100, reconnectionDelayMax: 100, timeout: 2_000 }
      const url = `http://127.0.0.1:${proxy.port}`
      const [seen, left, errors]: [unknown[], string[], Error[]] = [[], [], []]
      const socket = isBuilt
        ? builtClient(version, url, options, error => { errors.push(error) })
        : bundledClient(version, url, options)
      t.teardown(() => socket.disconnect())
      socket.on('m', (value: never) => { seen.push(value) })
      socket.on('disconnect', (reason: never) => { left.push(reason) })
      return { socket, seen, left, errors }
    }
  }
}

/** The link breaks when the page has the text of the event and a part of its bytes. */
async function tear (scene: Scene, { socket }: Page): Promise<void> {
  await until(() => socket.connected, 'the page to connect')
  await until(() => missingReceipts(scene) === 0, 'all receipts')
  const isTorn = new Promise<void>(resolve => { socket.once('disconnect', () => resolve()) })
  scene.proxy.cutAfter(scene.proxy.bytes.down + TORN_AFTER_BYTES, 'down', 'finish')
  await scene.publish(BYTES)
  await isTorn
  scene.proxy.pass()
}

/** The session of the page; fails where there are two. */
function sessionOf ({ broker }: Bridged): SessionInfo {
  const [session, ...others] = [...broker.sessions()].filter(({ clientId }) => clientId.startsWith('io:'))
  if (others.length > 0) throw new Error(`the page has ${others.length + 1} sessions`)
  return session
}

function missingReceipts (scene: Bridged): number {
  const { backlogMessages, inflightMessages } = sessionOf(scene)
  return backlogMessages + inflightMessages
}

for (const known of ['its name', 'a cookie']) {
  t.test(`[G2] what a deaf page known by ${known} proves does not count; loaded again it gets everything`, async t => {
    const warnings: string[] = []
    const log: Logger = { ...silent, warn: (...line: readonly unknown[]) => { warnings.push(String(line.at(-1))) } }
    const scene = await setUp(t, { log, pingIntervalMs: 50 })
    const cookie = known === 'a cookie' ? await cookieOf(scene) : undefined
    const deaf = scene.open('4.5', { cookie })
    await tear(scene, deaf)
    for (let i = 0; i < 5; i++) await scene.publish()
    // connection after connection, each left alive with an engine that answers pings
    await until(() => deaf.left.length > 8, 'eight connections of the deaf page')
    t.same(new Set(deaf.left.slice(1)), new Set(['parse error']), 'it is deaf: each packet is an error')
    t.equal(deaf.seen.length, 0, 'it has handled nothing')
    t.equal(missingReceipts(scene), 6, 'no receipt was counted')
    t.equal(sessionOf(scene).setAsideMessages, 0, 'no message is suspected of breaking it')
    t.equal(warnings.filter(line => line.includes('4.5.4')).length, 1, 'the log says what to do, once')

    deaf.socket.disconnect()
    const loaded = scene.open('4.5', { cookie })
    await until(() => loaded.seen.length === 6, 'everything that was missed')
    t.same(loaded.seen.slice(1), [1, 2, 3, 4, 5], 'in order')
    t.same(Buffer.from(loaded.seen[0] as ArrayBuffer), BYTES, 'the torn event is whole')
    loaded.socket.emit('join', 'somewhere') // it can speak, so it can hear
    await until(() => missingReceipts(scene) === 0, 'all receipts')
  })
}

t.test('[G2] what a deaf page proves that does not even come back does not count for a while', async t => {
  for (const version of ['2.5', '4.0'] as const) {
    const scene = await setUp(t, { pingIntervalMs: 50, bridge: { eio3PingIntervalMs: 50, tornEventHoldMs: 60_000 } })
    const deaf = scene.open(version, { isBuilt: true })
    await tear(scene, deaf)
    for (let i = 0; i < 5; i++) await scene.publish()
    await until(() => scene.bridge.connections === 1 && sessionOf(scene).inflightMessages === 6, 'its next connection')
    await until(() => deaf.errors.length > 6, `${version}: it can read nothing that comes`)
    await pause(500) // time for any proof
    t.equal(missingReceipts(scene), 6, `${version}: no receipt was counted`)
    deaf.socket.disconnect()
    const loaded = scene.open(version)
    await until(() => loaded.seen.length === 6, 'everything that was missed')
    loaded.socket.emit('join', 'somewhere')
    await until(() => missingReceipts(scene) === 0, 'all receipts')
  }
})

t.test('[G2] a page that can hear has its receipts held back until it speaks, or for a while', async t => {
  for (const speaks of [true, false]) {
    const tornEventHoldMs = speaks ? 600_000 : 4_000
    const scene = await setUp(t, { bridge: { tornEventHoldMs } })
    const page = scene.open('4.0') // its parser forgets the torn event
    await tear(scene, page)
    const tornAt = Date.now()
    await scene.publish()
    await until(() => page.seen.length === 2, 'both messages')
    t.equal(missingReceipts(scene), 2, 'nothing counts yet')
    if (speaks) page.socket.emit('join', 'somewhere')
    await until(() => missingReceipts(scene) === 0, 'all receipts')
    const ms = Date.now() - tornAt
    if (!speaks) t.ok(ms >= tornEventHoldMs, `held back for ${ms} ms`)
    // from now on the client is sound
    await scene.publish(BYTES)
    await until(() => missingReceipts(scene) === 0, 'its next receipt', Math.min(WAIT_MS_MAX, tornEventHoldMs - 500))
    t.equal(page.seen.length, 3, 'handled')
    page.socket.disconnect()
  }
})

t.test('[G2] a link that breaks where no event can be torn holds nothing back', async t => {
  const scene = await setUp(t)
  const page = scene.open('4.0')
  await until(() => page.socket.connected, 'the page to connect')
  await scene.publish(BYTES)
  await until(() => missingReceipts(scene) === 0, 'the receipt for what has bytes')
  scene.proxy.cutAfter(scene.proxy.bytes.down + 6, 'down', 'reset')
  await scene.publish()
  await until(() => page.left.length === 1, 'the break')
  scene.proxy.pass()
  await until(() => missingReceipts(scene) === 0, 'the receipt')
  t.same([...new Set(page.seen.slice(1))], [1]) // more than once where a slow machine cost it a second link [G4]
})
