/**
 * Messages that break the connection of real clients again and again are set aside (broker/session/poison.ts); links
 * that break by themselves, however often and wherever, have nothing set aside.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import type { SetAsideMessage, Broker, ClientId, Principal } from '../../broker/index.ts'
import { createProxy, type Proxy } from '../helpers/proxy.ts'
import { legacyClient, TRANSPORTS, type Transport, type Version } from '../helpers/socketio-clients.ts'
import { pause, until } from '../helpers/wait.ts'
import { startBridged, type BridgedOptions } from './socketio-harness.ts'

const APPLICATION = fileURLToPath(new URL('../helpers/poisoned-client.mjs', import.meta.url))
const PATIENCE_MS = 300_000
const POISON = 3
const HOW_MANY = 10
const QUICK: BridgedOptions = {
  pingIntervalMs: 200, pingTimeoutMs: 400, bridge: { eio3PingIntervalMs: 100 }, limits: { trialHoldMs: 20 }
}

t.jobs = 3

function publish (broker: Broker, topic: string, value: number): Promise<void> {
  const publisher = { clientId: 'publisher' as ClientId, principal: 'anonymous' as Principal }
  const payload = Buffer.from(JSON.stringify(value))
  return new Promise((resolve, reject) => {
    broker.publish(publisher, { topic, payload, qos: 1, retain: false, id: '' },
      (error) => { if (error === undefined) resolve(); else reject(error) })
  })
}

async function allSetAside (broker: Broker, clientId: string): Promise<SetAsideMessage[]> {
  const all: SetAsideMessage[] = []
  for await (const one of broker.listSetAside(clientId as ClientId)) all.push(one)
  return all
}

function firstSights (values: readonly number[]): number[] { return [...new Set(values)] }

function upTo (count: number, without?: number): number[] {
  return Array.from({ length: count }, (_, i) => i).filter((i) => i !== without)
}

// --- poison

/** Runs the application, again and again where it ends, until the test does. */
function supervise (t: Test, args: readonly string[], hear: (line: string) => void): { readonly starts: number } {
  let child: ChildProcess
  let isOver = false
  const life = { starts: 0 }
  function start (): void {
    if (isOver) return
    life.starts++
    child = fork(APPLICATION, args, { execArgv: [], env: { PATH: process.env['PATH'] }, stdio: 'ignore' })
    child.on('message', (line) => { hear(String(line)) })
    child.on('exit', start)
  }
  start()
  t.teardown(() => {
    isOver = true
    child.kill('SIGKILL')
  })
  return life
}

const POISONED: ReadonlyArray<readonly [Version, Transport, 'throw' | 'exit']> = [
  ['2.5', 'websocket', 'throw'], ['2.5', 'polling', 'throw'], ['3.1', 'polling', 'throw'],
  ['4.0', 'websocket', 'throw'], ['4.0', 'upgrade', 'exit'], ['4.8', 'websocket', 'exit'], ['4.8', 'polling', 'exit']
]

for (const [version, transport, how] of POISONED) {
  const does = how === 'exit' ? 'ends its process' : 'throws'
  t.test(`${version} ${transport}: a message at which the handler ${does} is set aside; the rest comes, in order [G3]`,
    async t => {
      const { broker, url } = await startBridged(t, QUICK)
      const told: string[] = []
      const handled: number[] = []
      const transports = TRANSPORTS[transport]
      const life = supervise(t, [version, url, 'U1', String(POISON), how, ...transports], (line) => {
        told.push(line)
        if (line.startsWith('handled ')) handled.push(Number(line.slice(8)))
      })
      await until(() => told.includes('connected'), 'the application to connect', PATIENCE_MS)
      await Promise.all(upTo(HOW_MANY).map(async (i) => { await publish(broker, 'io/_/user/U1/n', i) }))
      await until(() => handled.includes(HOW_MANY - 1), 'what comes behind the poison', PATIENCE_MS)
      t.same(firstSights(handled), upTo(HOW_MANY, POISON))
      const [aside, ...others] = await allSetAside(broker, 'io:_:U1')
      t.same(others, [], 'nothing else')
      t.match(aside, { message: { topic: 'io/_/user/U1/n' } })
      t.equal(aside.message.payload.toString(), String(POISON))
      t.ok(aside.attempts >= 10, `after ${aside.attempts} attempts`)
      t.equal(broker.stats().setAside, 1)
      await until(() => broker.session('io:_:U1' as ClientId)!.inflightMessages === 0, 'the last receipts', PATIENCE_MS)
      await publish(broker, 'io/_/user/U1/n', HOW_MANY)
      await until(() => handled.includes(HOW_MANY), 'the session to go on', PATIENCE_MS)
      t.comment(`${told.filter((line) => line === 'connected').length} connections, ${life.starts} processes`)
    })
}

// --- bad links

interface Cut {
  readonly name: string
  /** Called again and again, so often as CUTS says. */
  readonly make: (proxy: Proxy, round: number) => Promise<unknown> | void
}

const CUTS = 40
const HOLE_MS = 350
const ROUND_MS_MAX = 600

const BAD_LINKS: readonly Cut[] = [
  // All that a client is sent from its first byte on is less than 1,500 bytes: each length ends in something else.
  ...[150, 300, 400, 500, 600, 700, 800, 1_000, 1_200].map((bytes) => ({
    name: `cut after ${bytes} bytes, always`,
    make: async (proxy: Proxy) => {
      proxy.cutAfter(bytes, 'down', 'reset')
      await proxy.accepted()
    }
  })),
  {
    name: 'cut at a different byte each time',
    make: async (proxy, round) => {
      proxy.cutAfter(100 + round * 37, 'down', round % 2 === 0 ? 'reset' : 'finish')
      await proxy.accepted()
    }
  },
  {
    name: 'cut after a moment, always',
    make: async (proxy) => {
      await proxy.accepted()
      await pause(60)
      proxy.cut('reset')
    }
  },
  ...(['up', 'down', 'both'] as const).map((direction) => ({
    name: `black hole ${direction}`,
    make: async (proxy: Proxy, round: number) => {
      proxy.hole(direction)
      await pause(HOLE_MS + round)
      proxy.pass()
      proxy.cut('reset')
      await proxy.accepted()
    }
  }))
]

for (const [version, transport] of [['2.5', 'websocket'], ['4.0', 'polling'], ['4.8', 'websocket']] as const) {
  t.test(`${version} ${transport}: a link that is cut ${CUTS} times, in whatever way, has nothing set aside [G2]`,
    async t => {
      const { broker, port } = await startBridged(t, { ...QUICK, pingIntervalMs: 300, pingTimeoutMs: 1_500 })
      const asides: unknown[] = []
      broker.events.on('set-aside', (aside) => asides.push(aside))
      await Promise.all(BAD_LINKS.map(async ({ name, make }, number) => {
        const user = `U${number}`
        const proxy = await createProxy(t, { port })
        const client = legacyClient(version, `http://127.0.0.1:${proxy.port}`,
          { transports: [transport], auth: { clientId: user }, query: { clientId: user }, timeout: 3_000 })
        t.teardown(() => client.disconnect())
        const seen: number[] = []
        client.on('n', (value: number) => { seen.push(value) })
        await until(() => client.connected, `${name}: the first connection`, PATIENCE_MS)
        let published = 0
        for (let round = 0; round < CUTS; round++) {
          await publish(broker, `io/_/user/${user}/n`, published++)
          await Promise.race([make(proxy, round), pause(ROUND_MS_MAX)]) // what lives on is cut at last
          if (round % 10 === 9) proxy.cut('reset')
        }
        proxy.pass()
        proxy.cut('reset')
        await until(() => seen.includes(published - 1), `${name}: all messages`, PATIENCE_MS)
        t.same(firstSights(seen), upTo(published), `${name}: nothing lost, in order`)
      }))
      t.same(asides, [])
      t.equal(broker.stats().setAside, 0)
    })
}
