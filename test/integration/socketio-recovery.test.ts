/** Connection state recovery of Socket.IO 4.6 and later: an exact resume, in what situation ever. */
import { Server } from 'socket.io'
import t from 'tap'
import type { Test } from 'tap'
import { PROGRAM } from '../../server/program.ts'
import type { ClientId, Principal } from '../../broker/index.ts'
import { formatToken, RECOVERY_OFFSETS } from '../../bridge/socketio/proof/recovery-offset.ts'
import { createProxy, type Proxy } from '../helpers/proxy.ts'
import { chooseSeed, createRandom } from '../helpers/random.ts'
import { legacyClient, RECOVERING, TRANSPORTS, type LegacyOptions, type LegacySocket, type Transport, type Version
} from '../helpers/socketio-clients.ts'
import { until, within } from '../helpers/wait.ts'
import { startBridged, type Bridged, type BridgedOptions } from './socketio-harness.ts'

const PUBLISHER = { clientId: 'publisher' as ClientId, principal: 'anonymous' as Principal }
const numbers = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i)

/** What a client lived through, in order: numbers are the messages it handled. */
type Log = Array<number | 'connect' | 'recovered' | 'disconnect'>

interface Subject {
  readonly socket: LegacySocket
  readonly log: Log
  readonly got: number[]
  connected (): Promise<void>
}

interface Stage extends Bridged {
  readonly proxy: Proxy
  client (version: Version, transport: Transport, options?: LegacyOptions): Subject
  publish (from: number, to: number): Promise<void>
}

async function stage (t: Test, options: BridgedOptions = {}): Promise<Stage> {
  const bridged = await startBridged(t, options)
  const proxy = await createProxy(t, { port: bridged.port })
  return {
    ...bridged,
    proxy,
    client: (version, transport, more) => subject(t, `http://127.0.0.1:${proxy.port}`, version, transport, more),
    publish: async (from, to) => await publish(bridged, from, to)
  }
}

function subject (t: Test, url: string, version: Version, transport: Transport, options: LegacyOptions = {}): Subject {
  const socket = legacyClient(version, url, { transports: TRANSPORTS[transport], ...options })
  t.teardown(() => { socket.disconnect() })
  const log: Log = []
  socket.on('connect', () => log.push(socket.recovered === true ? 'recovered' : 'connect'))
  socket.on('disconnect', () => log.push('disconnect'))
  socket.on('x', (n: number) => { log.push(n) })
  return {
    socket,
    log,
    get got () { return log.filter(one => typeof one === 'number') },
    connected: async () => { await until(() => socket.connected, 'the client to be connected', undefined, 2) }
  }
}

async function publish ({ broker }: Bridged, from: number, to: number): Promise<void> {
  await Promise.all(numbers(from, to).map(async n => await new Promise<void>((resolve, reject) => {
    const payload = Buffer.from(String(n))
    broker.publish(PUBLISHER, { topic: 'io/_/all/x', payload, qos: 1, retain: false, id: '' },
      error => error === undefined ? resolve() : reject(error))
  })))
}

/** Until nothing is unproven, so that the server knows as much as the client. */
async function proven ({ broker }: Bridged): Promise<void> {
  await until(() => [...broker.sessions()].every(one => one.inflightMessages + one.backlogMessages === 0),
    'every proof', undefined, 2)
}

/** The link breaks and the client does not come back until pass() is called. */
function away ({ proxy }: Stage): void {
  proxy.refuse()
  proxy.cut('reset')
}

for (const version of RECOVERING) {
  for (const transport of Object.keys(TRANSPORTS) as Transport[]) {
    t.test(`${version} ${transport}: missed events come before connect, in order, once each; ` +
      'the id stays, and what was emitted meanwhile follows [G2] [G3] [G4]', async t => {
      const scene = await stage(t)
      const { socket, log, connected } = scene.client(version, transport)
      await connected()
      const { id } = socket
      await scene.publish(0, 5)
      await until(() => log.length === 6, 'the first')
      for (let round = 1; round <= 5; round++) {
        const from = round * 5
        log.length = 0
        away(scene)
        await until(() => !socket.connected, 'the client to notice')
        await scene.publish(from, from + 5)
        const answered = new Promise(resolve => socket.emit('y', round, resolve))
        scene.proxy.pass()
        await connected()
        t.match(await within(answered, 'the answer'), { status: 'ok' })
        t.same(log, ['disconnect', ...numbers(from, from + 5), 'recovered'])
        t.equal(socket.id, id)
        await proven(scene) // otherwise the next connection has to find out first what is left over of this one
      }
    })
  }

  t.test(`${version}: of many missed events a window comes before connect, the rest after it [G3] [G6]`, async t => {
    const scene = await stage(t)
    const { socket, log, connected } = scene.client(version, 'websocket')
    await connected()
    away(scene)
    await until(() => !socket.connected, 'the client to notice')
    await scene.publish(0, 300)
    scene.proxy.pass()
    await until(() => log.length === 303, 'all of it')
    t.equal(log.indexOf('recovered'), 2 + scene.broker.limits.inflightMessagesMax)
    t.same(log.filter(one => typeof one === 'number'), numbers(0, 300))
    await proven(scene)
  })

  t.test(`${version}: cut at any moment of a flow, nothing is lost and nothing comes twice [G2] [G4]`, async t => {
    const random = createRandom(chooseSeed())
    t.comment(`seed ${random.seed}`)
    for (const transport of Object.keys(TRANSPORTS) as Transport[]) {
      // A client whose WebSocket breaks in the middle of an upgrade has paused its polling for good: it notices by the
      // heartbeat that does not come.
      const scene = await stage(t, { pingIntervalMs: 500, pingTimeoutMs: 500 })
      const life = scene.client(version, transport)
      const { socket, log, connected } = life
      await connected()
      let published = 0
      for (let round = 0; round < 20; round++) {
        const seen = life.got.length
        const flow = scene.publish(published, published += 20)
        const some = random.int(20)
        await until(() => life.got.length >= seen + some, `${some} of them`, undefined, 0)
        scene.proxy.cut(round % 2 === 0 ? 'reset' : 'finish')
        await flow
        await scene.publish(published, published += 7)
        await connected()
      }
      await until(() => life.got.length >= published, 'all of it')
      await proven(scene)
      t.same(life.got, numbers(0, published), transport)
      t.equal(log.filter(one => one === 'connect').length, 1, `${transport}: recovered each time`)
      socket.disconnect()
    }
  })

  t.test(`${version}: back before the server noticed, a client takes its half-open predecessor's place [G2] [G4]`,
    async t => {
      for (const transport of Object.keys(TRANSPORTS) as Transport[]) {
        const scene = await stage(t)
        const { socket, log, connected } = scene.client(version, transport)
        await connected()
        const { id } = socket
        if (transport === 'upgrade') {
          await until(() => socket.io.engine.transport.name === 'websocket', 'the upgrade', undefined, 2)
        }
        await scene.publish(0, 3)
        await until(() => log.length === 4, 'the first')
        for (let round = 1; round <= 3; round++) {
          const from = round * 10
          log.length = 0
          scene.proxy.hole('down')
          const { down } = scene.proxy.bytes
          await scene.publish(from, from + 3)
          await until(() => scene.proxy.bytes.down > down, 'it to go into the hole') // a poll may still be on its way
          scene.proxy.roam()
          scene.proxy.pass()
          t.equal(scene.bridge.connections, 1, 'the server does not know')
          await until(() => log.includes('recovered'), 'the client to be back')
          await scene.publish(from + 3, from + 6)
          await until(() => log.length === 8, 'what came meanwhile')
          const [missed, live] = [numbers(from, from + 3), numbers(from + 3, from + 6)]
          t.same(log, ['disconnect', ...missed, 'recovered', ...live], transport)
          t.equal(socket.id, id)
          t.equal(scene.bridge.connections, 1, 'the predecessor is gone')
          await proven(scene)
        }
        socket.disconnect()
      }
    })

  t.test(`${version}: a client that has received nothing yet is recovered as well [G2]`, async t => {
    const scene = await stage(t)
    const { socket, log, connected } = scene.client(version, 'websocket')
    await connected()
    await until(() => [...scene.broker.sessions()].some(({ attached }) => attached), 'the session to be followed')
    away(scene)
    await until(() => !socket.connected, 'the client to notice')
    await scene.publish(0, 3)
    scene.proxy.pass()
    await connected()
    t.same(log, ['connect', 'disconnect', 0, 1, 2, 'recovered'])
  })

  for (const recoveryOffset of RECOVERY_OFFSETS) {
    t.test(`${version} ${recoveryOffset}: no argument of an application is taken for an offset [G2]`, async t => {
      const scene = await stage(t, { bridge: { recoveryOffset } })
      const { socket, log, connected } = scene.client(version, 'websocket')
      const words: string[] = []
      socket.on('word', (word: string) => { words.push(word) })
      await connected()
      const { epoch } = scene.broker
      const forged = ['hello', '', formatToken(epoch, 1_000_000 as never), formatToken('another', 1 as never), 'hf~']
      for (const word of forged) {
        await scene.publish(0, 2)
        const before = log.length + words.length
        await new Promise(resolve => socket.emit('word', word, resolve))
        await until(() => words.at(-1) === word, 'the word')
        await scene.publish(2, 4)
        await until(() => log.length + words.length >= before + 3, 'the rest')
        await proven(scene)
        const from = log.length
        away(scene)
        await until(() => !socket.connected, 'the client to notice')
        await scene.publish(10, 15)
        scene.proxy.pass()
        await connected()
        await proven(scene)
        t.same(log.slice(from), ['disconnect', 10, 11, 12, 13, 14, 'recovered'], `after ${JSON.stringify(word)}`)
      }
      t.same(words, forged)
    })
  }

  t.test(`${version}: messages of the time in which an application's middleware thinks are not lost [G2]`, async t => {
    const io = new Server({ transports: ['websocket'] })
    let letIn: (() => void) | undefined
    io.use((_socket, next) => { letIn = next })
    const scene = await stageOf(t, io)
    const { socket, log, connected } = scene.client(version, 'websocket')
    await until(() => letIn !== undefined, 'the middleware')
    letIn!()
    await connected()
    await scene.publish(0, 2)
    await until(() => log.length === 3, 'the first')
    letIn = undefined
    away(scene)
    await until(() => !socket.connected, 'the client to notice')
    await scene.publish(2, 4)
    scene.proxy.pass()
    await until(() => letIn !== undefined, 'the middleware')
    await scene.publish(4, 6)
    t.same(log, ['connect', 0, 1, 'disconnect'], 'nothing is delivered before the middleware has let it in')
    letIn!()
    await connected()
    t.same(log.slice(4), [2, 3, 4, 5, 'recovered'])
  })

  t.test(`${version}: a page that comes anew under the name is not recovered, and ends an older page's claim [G2]`,
    async t => {
      const scene = await stage(t)
      const auth = { clientId: 'U1' }
      const older = scene.client(version, 'websocket', { auth, reconnection: false })
      await older.connected()
      await scene.publish(0, 3)
      await until(() => older.got.length === 3, 'the first')
      await proven(scene)
      older.socket.io.engine.close()
      await scene.publish(3, 6)
      const newer = scene.client(version, 'websocket', { auth })
      await newer.connected()
      t.equal(newer.socket.recovered, false)
      t.not(newer.socket.id, older.socket.id)
      await until(() => newer.got.length === 3, 'what the name has missed')
      t.same(newer.got, [3, 4, 5])
      await proven(scene)
      newer.socket.disconnect()
      await scene.publish(6, 9)
      older.socket.connect() // with its identifier, and an offset of long ago
      await older.connected()
      await until(() => older.got.length === 6, 'what the name has missed')
      t.same(older.log, ['connect', 0, 1, 2, 'disconnect', 'connect', 6, 7, 8])
    })

  t.test(`${version}: with the log, the claims of its time are gone [G2]`, async t => {
    const first = await stage(t)
    const { socket, log, connected } = first.client(version, 'websocket')
    await connected()
    await first.publish(0, 9)
    await until(() => log.length === 10, 'them')
    const second = await startBridged(t)
    away(first)
    await until(() => !socket.connected, 'the client to notice')
    first.proxy.target = { host: '127.0.0.1', port: second.port }
    first.proxy.pass()
    await connected()
    t.equal(socket.recovered, false)
    await publish(second, 20, 25)
    await until(() => log.length === 17, 'the new ones')
    t.same(log.slice(10), ['disconnect', 'connect', 20, 21, 22, 23, 24])
  })
}

async function stageOf (t: Test, io: Server): Promise<Stage> {
  const { createServer } = await import('node:http')
  const http = createServer()
  io.attach(http)
  await new Promise<void>(resolve => http.listen(0, '127.0.0.1', resolve))
  t.teardown(async () => { await io.close() })
  const { port } = http.address() as { port: number }
  const bridged = await startBridged(t, { bridge: { program: { io, publisher: PROGRAM } } })
  const proxy = await createProxy(t, { port })
  return {
    ...bridged,
    proxy,
    client: (version, transport, more) => subject(t, `http://127.0.0.1:${proxy.port}`, version, transport, more),
    publish: async (from, to) => await publish(bridged, from, to)
  }
}
