/** Rules in force: unmodified clients and MQTT devices on two sides of a bridge that translates as it is told. */
import { once } from 'node:events'
import t, { type Test } from 'tap'
import type { Logger } from '../../broker/index.ts'
import { readRules } from '../../config/bridge-rules.ts'
import type { RulesOption } from '../../config/rule.ts'
import { legacyClient } from '../helpers/socketio-clients.ts'
import { until, within } from '../helpers/wait.ts'
import {
  type Bridged, type BridgedOptions, collect, connectClient, connectMqtt, connected, heard, newClient, refused,
  startBridged
} from './socketio-harness.ts'

const OK = { status: 'ok' }

async function startRuled (t: Test, option: RulesOption, options: BridgedOptions = {}): Promise<Bridged> {
  const { rules, problems } = readRules(option)
  t.same(problems, [])
  return await startBridged(t, { ...options, bridge: { ...options.bridge, rules } })
}

interface Seen { readonly topic: string, readonly payload: Buffer, readonly retain: boolean, readonly qos: number }

/** A device; each call of `next` resolves with one message behind the other. */
async function startDevice (t: Test, mqttUrl: string, filter: string) {
  const device = await connectMqtt(t, mqttUrl)
  const seen: Seen[] = []
  let wake = (): void => {}
  device.on('message', (topic, payload, { retain, qos }) => {
    seen.push({ topic, payload, retain, qos })
    wake()
  })
  await device.subscribeAsync(filter, { qos: 1 })
  let taken = 0
  return {
    seen,
    async next (): Promise<Seen> {
      const index = taken++
      await within(new Promise<void>(resolve => {
        wake = () => { if (seen.length > index) resolve() }
        wake()
      }), `message ${index} on ${filter}`)
      return seen[index]
    },
    publish: async (topic: string, payload: string | Buffer) => await device.publishAsync(topic, payload, { qos: 1 })
  }
}

t.test('commands of pages reach devices as raw payloads, and telemetry of devices reaches pages as events', async t => {
  const { url, mqttUrl } = await startRuled(t, {
    namespaces: [{ match: '/fleet', subscribe: 'devices/+/telemetry' }],
    emit: [
      { event: 'command', topic: 'devices/{0}/command', payload: 'json', value: { do: '{1}', by: '{clientId}' } },
      { event: 'firmware', topic: 'devices/{0}/firmware', payload: 'bytes', value: '{1}' },
      { event: 'display', topic: 'devices/{0}/display', payload: 'text', value: '{1}' }
    ],
    deliver: [
      { topic: 'devices/{device}/telemetry', event: 'telemetry', payload: 'json', args: ['{device}', '{payload.t}'] }
    ]
  })
  const page = await connectClient(t, `${url}/fleet`, { auth: { clientId: 'P1' } })
  const device = await startDevice(t, mqttUrl, 'devices/d%2F1/#')
  for (const [event, argument, payload] of [
    ['command', 'open', Buffer.from('{"do":"open","by":"P1"}')],
    ['firmware', Buffer.from([0xff, 0]), Buffer.from([0xff, 0])],
    ['display', 'h\u00e9llo', Buffer.from('h\u00e9llo')]
  ] as const) {
    t.match(await page.emitWithAck(event, 'd/1', argument), OK)
    const { topic, payload: bytes } = await device.next()
    t.equal(topic, `devices/d%2F1/${event}`)
    t.same(bytes, payload)
  }
  const telemetry = heard(page, 'telemetry')
  await device.publish('devices/d%2F1/telemetry', '{"t":21.5,"noise":1}')
  t.same(await telemetry, ['d/1', 21.5])
})

t.test('what a device says while the page is away waits for it, translated when it comes back [G2] [G3]', async t => {
  const { url, mqttUrl } = await startRuled(t, {
    namespaces: [{ match: '/fleet', subscribe: 'devices/+/telemetry' }],
    deliver: [{ topic: 'devices/{device}/telemetry', event: 'telemetry', payload: 'text', args: ['{payload}'] }]
  })
  const page = await connectClient(t, `${url}/fleet`, { auth: { clientId: 'P1' } })
  const got = collect(page, 'telemetry')
  page.disconnect()
  const device = await startDevice(t, mqttUrl, 'nothing')
  for (let n = 0; n < 200; n++) await device.publish('devices/d1/telemetry', String(n))
  page.connect()
  t.same(await got.wait(200), Array.from({ length: 200 }, (_, n) => String(n)))
})

t.test('a payload that is not as the rule says is told, not dropped [G5]', async t => {
  const { url, mqttUrl } = await startRuled(t, {
    namespaces: [{ match: '/', subscribe: 'devices/#' }],
    deliver: [
      { topic: 'devices/{device}/json', event: 'x', payload: 'json' },
      { topic: 'devices/{device}/name', event: '{payload.name}' },
      { topic: 'devices/{device}/quiet', ignore: true }
    ]
  })
  const page = await connectClient(t, url)
  const got = collect(page, 'holdfast:undeliverable')
  const names = collect(page, 'connected')
  const device = await startDevice(t, mqttUrl, 'nothing')
  await device.publish('devices/d/json', 'not JSON')
  await device.publish('devices/d/name', '{}')
  await device.publish('devices/d/name', '{"name":"connect"}')
  await device.publish('devices/d/quiet', 'hush')
  await device.publish('devices/d/name', '{"name":"connected"}')
  t.same(await got.wait(3), [
    { topic: 'devices/d/json', reason: 'payload' }, { topic: 'devices/d/name', reason: 'rule' },
    { topic: 'devices/d/name', reason: 'reserved-event' }
  ])
  t.same(await names.wait(1), [{ name: 'connected' }])
})

t.test('a message that a rule ignores does not stay in the way of those behind it', async t => {
  const { url, mqttUrl, broker } = await startRuled(t, {
    namespaces: [{ match: '/', subscribe: 'q/#' }], deliver: [{ topic: 'q/quiet/#', ignore: true }]
  })
  const page = await connectClient(t, url, { auth: { clientId: 'P1' } })
  const got = collect(page, 'loud')
  const device = await startDevice(t, mqttUrl, 'nothing')
  for (let n = 0; n < 3 * broker.limits.inflightMessagesMax; n++) await device.publish('q/quiet/x', String(n))
  await device.publish('q/loud', '1')
  t.same(await got.wait(1), [1])
  await until(() => [...broker.sessions()].every(({ backlogMessages }) => backlogMessages === 0), 'everything counts')
})

t.test('QoS 0 and RETAIN of a rule are those of the message', async t => {
  const { url, mqttUrl } = await startRuled(t, {
    emit: [
      { event: 'position', topic: 'position/{clientId}', payload: 'json', qos: 0 },
      { event: 'state', topic: 'state/{clientId}', payload: 'json', retain: true }
    ]
  })
  const page = await connectClient(t, url, { auth: { clientId: 'P1' } })
  const device = await startDevice(t, mqttUrl, 'position/#')
  t.match(await page.emitWithAck('position', [1, 2]), OK)
  t.match(await device.next(), { topic: 'position/P1', qos: 0, retain: false })
  t.match(await page.emitWithAck('state', 'on'), OK)
  const late = await startDevice(t, mqttUrl, 'state/#')
  t.match(await late.next(), { topic: 'state/P1', payload: Buffer.from('"on"'), qos: 1, retain: true })
})

t.test('without echo an emit reaches everybody but the session that sent it, whatever its connection', async t => {
  const { url } = await startRuled(t, {
    emit: [{ event: 'post', topic: 'io/{namespace}/all/post', echo: false, id: '{0.id}' }]
  })
  const page = await connectClient(t, url, { auth: { clientId: 'P1' } })
  const other = await connectClient(t, url, { auth: { clientId: 'P2' } })
  const [own, others] = [collect(page, 'post'), collect(other, 'post')]
  t.match(await page.emitWithAck('post', { id: 1 }), OK)
  t.match(await page.emitWithAck('post', { id: 1 }), OK, 'sent again')
  page.disconnect().connect()
  t.match(await other.emitWithAck('post', { id: 2 }), OK)
  t.same(await own.wait(1), [{ id: 2 }])
  t.same(await others.wait(1), [{ id: 1 }])
  await page.emitWithAck('last')
  t.same([own.values.length, others.values.length], [1, 1])
})

t.test('who subscribes again gets the retained message again, though its id was seen', async t => {
  const { url } = await startRuled(t, {
    emit: [
      { event: 'set', topic: 'state', payload: 'json', retain: true, id: '{0.id}' },
      { event: 'watch', subscribe: 'state' }, { event: 'unwatch', unsubscribe: 'state' }
    ]
  })
  const page = await connectClient(t, url, { auth: { clientId: 'P1' } })
  const got = collect(page, 'state')
  await page.emitWithAck('watch')
  await page.emitWithAck('set', { id: 1 })
  await got.wait(1)
  await page.emitWithAck('unwatch')
  await page.emitWithAck('watch')
  t.same(await got.wait(2), [{ id: 1 }, { id: 1 }])
})

t.test('a rule can subscribe, unsubscribe, list, ignore and refuse', async t => {
  const { url } = await startRuled(t, {
    emit: [
      { event: 'enter', subscribe: ['chat/{0}/said', 'chat/{0}/left'] },
      { event: 'exit', unsubscribe: ['chat/{0}/said', 'chat/{0}/left'] },
      { event: 'where', list: 'chat/{room}/said' },
      { event: 'say', topic: 'chat/{0}/said', args: ['{clientId}', '{1...}'] },
      { event: 'typing', ignore: true },
      { event: 'admin:*', refuse: 'not from here' }
    ]
  })
  const page = await connectClient(t, url, { auth: { clientId: 'P1' } })
  const said: unknown[][] = []
  page.on('said', (...args: unknown[]) => said.push(args.slice(0, 3)))
  t.same(await page.emitWithAck('enter', 'a/b'), OK)
  t.same(await page.emitWithAck('enter', 'c'), OK)
  t.same(await page.emitWithAck('where'), { status: 'ok', rooms: ['a/b', 'c'] })
  const heardIt = heard(page, 'said')
  t.match(await page.emitWithAck('say', 'a/b', 'hello', { n: 1 }), OK)
  t.same(await heardIt, ['P1', 'hello', { n: 1 }])
  t.same(await page.emitWithAck('exit', 'a/b'), OK)
  t.same(await page.emitWithAck('where'), { status: 'ok', rooms: ['c'] })
  t.same(await page.emitWithAck('typing'), OK)
  t.same(await page.emitWithAck('admin:stop'), { status: 'error', code: 'REFUSED', message: 'not from here' })
  t.match(await page.emitWithAck('say', { no: 'text' }), { status: 'error', code: 'ARGUMENTS_INVALID' })
})

t.test('a page whose callbacks take an error first sees success as success, and a refusal as an error', async t => {
  const answer = 'error-first'
  const { url } = await startRuled(t, {
    emit: [
      { event: 'enter', subscribe: 'chat/{0}/said', answer },
      { event: 'where', list: 'chat/{room}/said', answer },
      { event: 'say', topic: 'chat/{0}/said', answer },
      { event: 'order', run: ({ args }) => args[0] === 'x' ? { refuse: 'no x' } : { topic: 'orders' }, answer },
      { event: 'admin', refuse: 'not from here', answer }
    ]
  })
  const page = await connectClient(t, url, { auth: { clientId: 'P1' } })
  const called = async (...emit: [string, ...unknown[]]): Promise<unknown[]> =>
    await within(new Promise(resolve => { page.emit(...emit, (...given: unknown[]) => { resolve(given) }) }), emit[0])
  t.same(await called('enter', 'a'), [null])
  t.same(await called('say', 'a', 'hello'), [null])
  t.same(await called('where'), [null, ['a']])
  t.same(await called('order', 'y'), [null])
  t.same(await called('order', 'x'), [{ code: 'REFUSED', message: 'no x' }])
  t.same(await called('admin'), [{ code: 'REFUSED', message: 'not from here' }])
  t.match(await called('say', { no: 'text' }), [{ code: 'ARGUMENTS_INVALID' }])
})

t.test('rooms lists the rooms, behind every join before it, and after a restart of the connection too', async t => {
  const { url } = await startBridged(t)
  const page = await connectClient(t, url, { auth: { clientId: 'P1' } })
  for (const room of ['red/#1', '', 'r']) page.emit('join', room)
  t.same(await page.emitWithAck('rooms'), { status: 'ok', rooms: ['red/#1', '', 'r'] })
  page.emit('leave', 'r')
  page.disconnect().connect()
  t.same(await page.emitWithAck('rooms'), { status: 'ok', rooms: ['red/#1', ''] })
  const told = heard(page, 'holdfast:error')
  page.emit('rooms')
  t.match(await told, [{ event: 'rooms', code: 'ARGUMENTS_INVALID' }])
})

t.test('without the defaults only the rules hold', async t => {
  const { url, mqttUrl, broker } = await startRuled(t, {
    defaults: false,
    namespaces: [{ match: '/', subscribe: ['news', 'odd'] }],
    deliver: [{ topic: 'news', event: 'news' }]
  })
  const page = await connectClient(t, url, { auth: { clientId: 'P1' } })
  t.same([...broker.sessions()].flatMap(({ filters }) => filters.map(({ filter }) => filter)), ['news', 'odd'])
  t.match(await page.emitWithAck('chat', 1), { status: 'error', code: 'NO_RULE' })
  const news = heard(page, 'news')
  const odd = heard(page, 'holdfast:undeliverable')
  const device = await startDevice(t, mqttUrl, 'nothing')
  await device.publish('odd', '1')
  await device.publish('news', '2')
  t.same(await odd, [{ topic: 'odd', reason: 'no-rule' }])
  t.same(await news, [2])
})

t.test('a namespace that is denied is refused, for every version of the client, and leaves nothing behind', async t => {
  const { url, broker } = await startRuled(t, { namespaces: [{ match: '/admin*', allow: false }] })
  for (const namespace of ['/admin', '/administration', '/admin/x']) {
    const error = await refused(newClient(t, `${url}${namespace}`, { auth: { clientId: 'P1' }, reconnection: false }))
    t.equal(error.message, 'Invalid namespace')
    t.equal(error.data?.code, 'NAMESPACE_INVALID')
  }
  const old = legacyClient('2.5', `${url}/admin`, { transports: ['websocket'] })
  t.teardown(() => old.disconnect())
  t.match((await once(old as never, 'error'))[0], { code: 'NAMESPACE_INVALID' })
  t.notOk([...broker.sessions()].some(({ clientId }) => clientId.includes('admin')))
  await connected(newClient(t, `${url}/open`))
})

t.test('a namespace that is mapped shares sessions, rooms and events with the one it stands for', async t => {
  const { url, broker } = await startRuled(t, { namespaces: [{ match: '/v1/{rest}', as: '/{rest}' }] })
  const old = await connectClient(t, `${url}/v1/chat`, { auth: { clientId: 'old' } })
  const young = await connectClient(t, `${url}/chat`, { auth: { clientId: 'young' } })
  const both = Promise.all([heard(old, 'x'), heard(young, 'x')])
  t.match(await old.emitWithAck('x', 1), OK)
  t.same(await both, [[1], [1]])
  const alone = heard(old, 'y')
  t.match(await young.emitWithAck('send', { user: 'old' }, 'y', 2), OK)
  t.same(await alone, [2])
  await until(() => [...broker.sessions()].every(({ backlogMessages }) => backlogMessages === 0), 'all is handled')
  old.disconnect()
  await young.emitWithAck('send', { user: 'old' }, 'y', 3)
  const again = newClient(t, `${url}/chat`, { auth: { clientId: 'old' } })
  t.same((await collect(again, 'y').wait(1)).at(-1), 3, 'the session is the same')
})

t.test('a function stands for a rule; what it throws or answers wrong is refused, logged and harms nobody', async t => {
  const warned: Array<{ rule?: string, err?: Error }> = []
  const log: Logger = { debug () {}, info () {}, warn (fields) { warned.push(fields) }, error () {} }
  const { url, mqttUrl } = await startRuled(t, {
    namespaces: [{ match: '/', subscribe: 'devices/#' }],
    emit: [
      {
        event: 'ok',
        run: ({ args, level }) => ({ topic: `x/${level(String(args[0]))}`, payload: 'text', value: 'v' })
      },
      { event: 'throws', run: () => { throw new Error('boo') } },
      { event: 'wrong', run: () => ({ topic: 5 }) as never },
      { event: 'later', run: () => Promise.resolve({ ignore: true }) as never },
      { event: 'wild', run: () => ({ topic: 'a/#' }) },
      { event: '*', run: ({ event }) => event === 'left' ? { next: true } : { refuse: 'no' } }
    ],
    deliver: [
      { topic: 'devices/bad', run: () => { throw new Error('boo') } },
      { topic: 'devices/{name}', run: ({ captured, args }) => ({ event: 'device', args: [captured.name, ...args] }) }
    ]
  }, { log })
  const page = await connectClient(t, url)
  const device = await startDevice(t, mqttUrl, 'x/#')
  t.match(await page.emitWithAck('ok', 'a/b'), OK)
  t.match(await device.next(), { topic: 'x/a%2Fb', payload: Buffer.from('v') })
  for (const event of ['throws', 'wrong', 'later']) {
    t.match(await page.emitWithAck(event), { status: 'error', code: 'RULE_FAILED', message: /rules\.emit\[[123]\]/ })
  }
  t.match(await page.emitWithAck('wild'), { status: 'error', code: 'TOPIC_INVALID' })
  t.match(await page.emitWithAck('other'), { status: 'error', code: 'REFUSED' })
  t.match(await page.emitWithAck('left'), OK)
  t.same(warned.flatMap(({ rule }) => rule ?? []), ['emit[1]', 'emit[2]', 'emit[3]'])
  const told = heard(page, 'holdfast:undeliverable')
  const got = heard(page, 'device')
  await device.publish('devices/bad', '1')
  await device.publish('devices/d1', '2')
  t.same(await told, [{ topic: 'devices/bad', reason: 'rule' }])
  t.same(await got, ['d1', 2])
})

t.test('an emit that names its id is appended once, whatever connection it comes again on [G4]', async t => {
  const { url, mqttUrl, broker } = await startRuled(t, {
    emit: [{ event: 'order', topic: 'orders/{clientId}', payload: 'json', id: '{0.id}' }]
  })
  const device = await startDevice(t, mqttUrl, 'orders/#')
  const page = await connectClient(t, url, { auth: { clientId: 'P1' } })
  t.match(await Promise.all([1, 2].map(async () => await page.emitWithAck('order', { id: 7 }))), [OK, OK])
  page.disconnect().connect()
  t.match(await page.emitWithAck('order', { id: 7 }), OK)
  t.match(await page.emitWithAck('order', { id: 8 }), OK)
  const other = await connectClient(t, url, { auth: { clientId: 'P2' } })
  t.match(await other.emitWithAck('order', { id: 7 }), OK)
  t.match(await page.emitWithAck('order', { id: {} }), { status: 'error', code: 'ARGUMENTS_INVALID' })
  t.match(await page.emitWithAck('order', { id: 'x'.repeat(257) }), { status: 'error', code: 'ARGUMENTS_INVALID' })
  for (const expected of ['7', '8', '7']) t.equal((await device.next()).payload.toString(), `{"id":${expected}}`)
  t.equal(broker.stats().published, 3)
})

t.test('retries of a client of 4.6 and later do not reach a handler twice where a rule names the id [G4]', async t => {
  const { url, mqttUrl } = await startRuled(t, {
    emit: [{ event: 'order', topic: 'orders', payload: 'json', id: '{0.id}' }]
  })
  const device = await startDevice(t, mqttUrl, 'orders')
  // an ack that takes longer than this is taken for lost, and the emit is repeated: nearly all of these are
  const page = await connectClient(t, url, { auth: { clientId: 'P1' }, retries: 20, ackTimeout: 1 })
  const count = 100
  const done = Array.from({ length: count }, async (_, id) => await new Promise<void>((resolve, reject) => {
    page.emit('order', { id }, (error: Error | null) => error === null ? resolve() : reject(error))
  }))
  await within(Promise.all(done), 'every order')
  for (let id = 0; id < count; id++) t.equal((await device.next()).payload.toString(), `{"id":${id}}`)
  t.equal(device.seen.length, count)
})
