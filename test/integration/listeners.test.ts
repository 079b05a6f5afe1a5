/** A program's own code that throws, wherever it is called, costs a line in the log and nobody else anything. */
import { connectAsync } from 'mqtt'
import t from 'tap'
import { createMemoryStore } from '../../broker/store/memory.ts'
import { type Logger, createHoldfast, type HoldfastOptions } from '../../index.ts'
import { until } from '../helpers/wait.ts'

const EVENTS = ['attached', 'detached', 'session-created', 'session-ended', 'gap'] as const

for (const fails of ['throws', 'rejects'] as const) {
  t.test(`[G1] [G2] a listener that ${fails} on any event stops nothing: receipts, deliveries, sessions`, async t => {
    const errors: Array<Record<string, unknown>> = []
    const logger: Logger = { debug () {}, info () {}, warn () {}, error (fields) { errors.push({ ...fields }) } }
    const holdfast = await createHoldfast({
      store: createMemoryStore(), logger, mqttPort: 0, httpPort: 0, backlogMessagesMax: 5, sweepMs: 10
    })
    t.teardown(() => holdfast.close())
    const failed = new Set<string>()
    holdfast.events.on('listener-failed', ({ event }) => { failed.add(event) })
    let called = 0
    for (const event of EVENTS) {
      holdfast.events.on(event, fails === 'throws'
        ? () => { called++; throw new Error('boom') }
        : async () => { called++; throw new Error('boom') })
    }
    const url = `mqtt://127.0.0.1:${holdfast.addresses.mqtt!.port}`
    const kept = await connectAsync(url, { clientId: 'kept', clean: false })
    await kept.subscribeAsync('t', { qos: 1 })
    await kept.endAsync(true)
    await until(() => holdfast.stats().attached === 0, 'the client to be gone')
    for (let i = 0; i < 20; i++) await holdfast.publish({ topic: 't', payload: String(i) })
    await until(() => holdfast.stats().gapMessages > 0, 'the session to reach its bound')
    const again = await connectAsync(url, { clientId: 'kept', clean: false })
    const got: string[] = []
    again.on('message', (_topic, payload) => { got.push(String(payload)) })
    await until(() => got.includes('19'), 'what is left')
    await again.endAsync(true)
    await holdfast.endSession('kept')
    t.ok(called >= EVENTS.length)
    t.ok(failed.size > 0)
    t.match(errors[0], { event: String, err: { message: 'boom' }, times: 1 })
  })
}

t.test('a logger that throws stops nothing', async t => {
  const broken = (): never => { throw new Error('a logger that is broken') }
  const logger: Logger = { debug: broken, info: broken, warn: broken, error: broken }
  const options: HoldfastOptions = { store: createMemoryStore(), logger, mqttPort: 0, httpPort: 0 }
  const warned = new Promise<Error>(resolve => { process.once('warning', resolve) })
  const holdfast = await createHoldfast(options)
  t.match((await warned).message, /the logger of the program failed: a logger that is broken/)
  const client = await connectAsync(`mqtt://127.0.0.1:${holdfast.addresses.mqtt!.port}`, { clientId: 'U1' })
  await client.publishAsync('a', 'x', { qos: 1 })
  await client.endAsync(true)
  await holdfast.close()
})
