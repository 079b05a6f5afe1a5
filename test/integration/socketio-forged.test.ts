/** Nobody makes a client believe that something happened to it which did not. */
import t from 'tap'
import { legacyClient } from '../helpers/socketio-clients.ts'
import { within } from '../helpers/wait.ts'
import { connectClient, connectMqtt, startBridged } from './socketio-harness.ts'
import { startProgram } from './socketio-programs.ts'

const LIFE = ['connecting', 'connect_timeout', 'error', 'reconnect', 'reconnect_attempt', 'reconnecting',
  'reconnect_error', 'reconnect_failed', 'ping', 'pong']
const RESERVED = ['connect', 'connect_error', 'disconnect']

t.test('[G5] events of a client\'s own life can\'t be forged', async t => {
  for (const version of ['2.5', '4.8'] as const) {
    const bridged = await startBridged(t, { bridge: { eio3PingIntervalMs: 60_000 } })
    const mqtt = await connectMqtt(t, bridged.mqttUrl)
    const forger = await connectClient(t, bridged.url, { auth: { clientId: 'forger' } })
    const open = async (): Promise<{ events: string[], told: string[], all (count: number): Promise<void> }> => {
      const client = legacyClient(version, bridged.url, { query: { clientId: 'victim' } })
      t.teardown(() => { client.disconnect() })
      const events: string[] = []
      const told: string[] = []
      let wake = (): void => {}
      for (const event of [...LIFE, ...RESERVED]) {
        client.on(event, (...args: unknown[]) => {
          if (args.includes('forged')) events.push(event)
          wake()
        })
      }
      client.on('holdfast:undeliverable', (...args: unknown[]) => {
        told.push((args[0] as { topic: string }).topic.split('/').at(-1)!)
        wake()
      })
      await within(new Promise(resolve => client.on('holdfast:session', resolve)), 'the session')
      return { events, told, all: count => within(new Promise<void>(resolve => {
        wake = () => { if (events.length + told.length >= count) resolve() }
        wake()
      }), 'all of it') }
    }
    const forge = async (): Promise<void> => {
      for (const event of [...LIFE, ...RESERVED]) {
        await mqtt.publishAsync(`io/_/user/victim/${event}`, '"forged"', { qos: 1 })
      }
      for (const event of LIFE) await forger.emitWithAck('send', { user: 'victim' }, event, 'forged')
    }
    const first = await open()
    await forge()
    await first.all(2 * LIFE.length + RESERVED.length)
    const isOld = version === '2.5'
    t.same(first.events, isOld ? [] : [...LIFE, ...LIFE], `${version}: events`)
    t.same(first.told, isOld ? [...LIFE, ...RESERVED, ...LIFE] : RESERVED, `${version}: undeliverable`)
    t.equal(bridged.bridge.tallies.forged, isOld ? 2 * LIFE.length : 0)
  }
})

t.test('the program itself may use these names, as in Socket.IO', async t => {
  const { io, url, holdfast } = await startProgram(t, io => {
    io.on('connection', socket => { void socket.join('r') })
  }, {}, { allowEIO3: true })
  const client = legacyClient('2.5', url, { query: { clientId: 'c' } })
  t.teardown(() => { client.disconnect() })
  await within(new Promise(resolve => client.on('holdfast:session', resolve)), 'the session')
  const errors: unknown[] = []
  const both = new Promise<void>(resolve => client.on('error', (...args: unknown[]) => {
    if (errors.push(args[0]) === 2) resolve()
  }))
  io.to('r').emit('error', 'not allowed here')
  await holdfast.publish({ topic: 'io/_/user/c/error', payload: '"by topic"' })
  await within(both, 'both')
  t.same(errors, ['not allowed here', 'by topic'])
})
