/** An application's own auth that never answers, answers too late, or throws. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { connect } from 'mqtt'
import { Server } from 'socket.io'
import t, { type Test } from 'tap'
import { createMemoryDisk, createMemoryStore, type MemoryDisk } from '../../broker/store/memory.ts'
import {
  type Auth, type Holdfast, type HoldfastOptions, type Logger, type Principal, createHoldfast
} from '../../index.ts'
import { until, within } from '../helpers/wait.ts'
import { newClient } from './socketio-harness.ts'

const open: Auth = {
  anonymous: false, authenticate: async () => 'me' as Principal, mayPublish: () => true, maySubscribe: () => true
}
/** Longer than the machine may pause between the beginning of a connection and its CONNECT. */
const CONNECT_TIMEOUT_MS = 4_000

t.jobs = 4 // each waits most of the time

interface Started {
  readonly holdfast: Holdfast
  readonly disk: MemoryDisk
  readonly errors: readonly Record<string, unknown>[]
}

async function start (t: Test, options: HoldfastOptions): Promise<Started> {
  const disk = createMemoryDisk()
  const errors: Array<Record<string, unknown>> = []
  const logger: Logger = {
    debug () {}, info () {}, warn () {}, error (fields, sentence) { errors.push({ ...fields, sentence }) }
  }
  const holdfast = await createHoldfast({
    store: createMemoryStore(disk), logger, mqttPort: 0, httpPort: 0, connectTimeoutMs: CONNECT_TIMEOUT_MS, ...options
  })
  t.teardown(() => holdfast.close())
  return { holdfast, disk, errors }
}

type Knock = (t: Test, holdfast: Holdfast) => Promise<string>

const mqtt = (urlOf: (holdfast: Holdfast) => string): Knock => async (t, holdfast) => {
  const client = connect(urlOf(holdfast), { clientId: 'U1', clean: false, reconnectPeriod: 0 })
  t.teardown(() => client.endAsync(true))
  return await new Promise(resolve => {
    client.on('connect', () => resolve('in'))
    client.on('error', error => resolve(error.message))
    client.on('close', () => resolve('closed'))
  })
}

/** How a client is refused over each transport, in its words. */
const KNOCKS: Readonly<Record<string, Knock>> = {
  'MQTT over TCP': mqtt(({ addresses }) => `mqtt://127.0.0.1:${addresses.mqtt!.port}`),
  'MQTT over WebSocket': mqtt(({ addresses }) => `ws://127.0.0.1:${addresses.http!.port}/mqtt`),
  'Socket.IO': async (t, { addresses }) => {
    const url = `http://127.0.0.1:${addresses.http!.port}`
    const socket = newClient(t, url, { auth: { clientId: 'U1' }, reconnection: false })
    return await new Promise(resolve => {
      socket.on('connect', () => resolve('in'))
      socket.on('connect_error', error => resolve(error.message))
      socket.io.on('close', reason => resolve(reason))
    })
  }
}

/** For good: a client of Socket.IO closes by itself at connect_error. */
const NO = /Not authorized|^forced close$/
/** For now. */
const REFUSED = /Server unavailable|^closed$|transport close/

for (const [transport, knock] of Object.entries(KNOCKS)) {
  t.test(`${transport}: an authenticate that does not answer refuses the client; a late answer is ignored`, async t => {
    let answer = (_principal: Principal): void => {}
    const late = new Promise<Principal>(resolve => { answer = resolve })
    const { holdfast, disk, errors } = await start(t, { auth: { ...open, authenticate: () => late } })
    t.match(await within(knock(t, holdfast), 'an answer'), REFUSED)
    await until(() => holdfast.stats().authFailures > 0, 'the question to be given up')
    t.match(errors, [{ hook: 'authenticate', err: /connectTimeoutMs = 4000/ }])
    answer('me' as Principal)
    await holdfast.publish({ topic: 'a', payload: 'behind whatever would be written' })
    await holdfast.close()
    t.equal([...disk.records.sessions.keys()].length, 0, 'nothing durable came of it')
  })

  t.test(`${transport}: close() does not wait for an authenticate that never answers`, async t => {
    let asked = (): void => {}
    const isAsked = new Promise<void>(resolve => { asked = resolve })
    const { holdfast } = await start(t, {
      connectTimeoutMs: 600_000,
      auth: { ...open, authenticate: () => { asked(); return new Promise(() => {}) } }
    })
    const knocked = knock(t, holdfast)
    await within(isAsked, 'the question')
    await within(holdfast.close(), 'the end')
    t.not(await within(knocked, 'the end of the connection'), 'in')
  })

  t.test(`${transport}: an authenticate that throws refuses the client and ends nothing`, async t => {
    for (const authenticate of [
      () => { throw new Error('a fault of the program') },
      async () => { throw new Error('a fault of the program') }
    ]) {
      const { holdfast, errors } = await start(t, { connectTimeoutMs: 10_000, auth: { ...open, authenticate } })
      t.match(await within(knock(t, holdfast), 'an answer'), REFUSED)
      t.match(errors[0], { hook: 'authenticate', err: { message: 'a fault of the program' } })
    }
  })
}

// As a program in JavaScript answers: a row that was not found, a comparison that failed, a row in place of its name.
for (const [transport, knock] of Object.entries(KNOCKS)) {
  t.test(`${transport}: [G7] authenticate lets in by a text alone, and a refused client leaves nothing`, async t => {
    let answer: unknown
    const { holdfast, disk, errors } = await start(t, {
      connectTimeoutMs: 60_000, auth: { ...open, authenticate: async () => answer as Principal }
    })
    for (answer of [null, false, '']) {
      t.match(await within(knock(t, holdfast), 'an answer'), NO, String(answer))
    }
    t.equal(holdfast.stats().authFailures, 0, 'a no is no fault')
    for (answer of [0, 1, true, NaN, { id: 7 }, ['me'], Symbol('me'), () => 'me', 'a\ud800']) {
      const before = holdfast.stats().authFailures
      t.match(await within(knock(t, holdfast), 'an answer'), REFUSED)
      t.ok(holdfast.stats().authFailures > before)
    }
    t.match(errors[0], { hook: 'authenticate', err: /must resolve to a text .* type number/ })
    t.same([...disk.records.sessions.keys()], [])
    answer = '__proto__'
    t.equal(await within(knock(t, holdfast), 'an answer'), 'in', 'a text is a text')
    t.match([...holdfast.sessions()].map(({ principal }) => principal), ['__proto__'])
  })
}

t.test('an answer that is in time for a client that has gone meanwhile makes nothing', async t => {
  for (const [transport, knock] of Object.entries(KNOCKS)) {
    let answer = (_principal: Principal): void => {}
    let asked = (): void => {}
    const isAsked = new Promise<void>(resolve => { asked = resolve })
    const { holdfast, disk } = await start(t, {
      connectTimeoutMs: 60_000,
      auth: { ...open, authenticate: () => new Promise(resolve => { answer = resolve; asked() }) }
    })
    await t.test(transport, async t => {
      knock(t, holdfast).catch(() => {})
      await within(isAsked, 'the question')
    }) // which ends the client
    await until(() => {
      const { mqtt, socketio } = holdfast.stats().connections
      return mqtt + socketio === 0
    }, 'the end of the connection')
    answer('me' as Principal)
    await holdfast.close()
    t.equal([...disk.records.sessions.keys()].length, 0, transport)
  }
})

t.test('an identify that does not answer in time refuses the client, with nothing written', async t => {
  let asked = 0
  const { holdfast, disk } = await start(t, { identify: () => { asked++; return new Promise(() => {}) } })
  t.match(await within(KNOCKS['Socket.IO'](t, holdfast), 'an answer'), REFUSED)
  t.ok(asked > 0)
  t.equal([...disk.records.sessions.keys()].length, 0)
})

t.test('on a program\'s own io too, whose connectTimeout is its own', async t => {
  const http = createServer()
  const io = new Server(http)
  http.listen(0, '127.0.0.1')
  const { holdfast } = await start(t, {
    io, httpPort: undefined, identify: () => new Promise(() => {})
  })
  t.teardown(() => io.close())
  const socket = newClient(t, `http://127.0.0.1:${(http.address() as AddressInfo).port}`, { reconnection: false })
  const closed = new Promise(resolve => { socket.io.on('close', reason => resolve(reason)) })
  t.equal(await within(closed, 'the end of the connection'), 'transport close')
  t.equal([...holdfast.sessions()].length, 0)
})

t.test('a maySubscribe that throws, or gives no answer, is a no, and a mayPublish gives no receipt', async t => {
  const never = (): Promise<boolean> => new Promise(() => {})
  const throws = (): boolean => { throw new Error('a fault of the program') }
  for (const may of [never, throws]) {
    const { holdfast, errors } = await start(t, {
      connectTimeoutMs: 1_000, auth: { ...open, mayPublish: may, maySubscribe: may }
    })
    const url = `mqtt://127.0.0.1:${holdfast.addresses.mqtt!.port}`
    const client = connect(url, { clientId: 'U1', reconnectPeriod: 50 }) // one that was too slow itself comes again
    t.teardown(() => client.endAsync(true))
    const [granted] = await client.subscribeAsync('a', { qos: 1 }).catch(() => [{ qos: 128 }])
    t.equal(granted.qos, 128)
    const closed = new Promise(resolve => { client.once('close', () => resolve(undefined)) })
    client.publish('a', 'x', { qos: 1 })
    await within(closed, 'the end of a client that may not publish')
    await until(() => errors.length > 0, 'a line')
    t.ok(holdfast.stats().authFailures >= 2)
  }
})
