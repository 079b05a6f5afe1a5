import t from 'tap'
import { DEFAULT_LIMITS, type ClientId } from '../../broker/index.ts'
import { until } from '../helpers/wait.ts'
import { collect, connectClient, connectMqtt, heard, newClient, refused, startBridged } from './socketio-harness.ts'

const OK = { status: 'ok' }

t.test('an event reaches everyone in the namespace, the sender too, and MQTT clients see it', async t => {
  const { url, mqttUrl } = await startBridged(t)
  const device = await connectMqtt(t, mqttUrl)
  await device.subscribeAsync('io/#', { qos: 1 })
  const seen = new Promise<[string, Buffer]>(resolve => {
    device.once('message', (topic, payload) => resolve([topic, payload]))
  })
  const one = await connectClient(t, url, { auth: { clientId: 'one' } })
  const two = await connectClient(t, url)
  const heardByAll = Promise.all([heard(one, 'news'), heard(two, 'news')])
  t.match(await one.emitWithAck('news', 'hello', { deep: [1] }), OK)
  t.same(await heardByAll, [['hello', { deep: [1] }], ['hello', { deep: [1] }]])
  const [topic, payload] = await seen
  t.equal(topic, 'io/_/all/news')
  t.match(JSON.parse(payload.toString()), { $hf: 1, id: String, args: ['hello', { deep: [1] }] })
})

t.test('bytes keep their place in the arguments, both ways', async t => {
  const { url } = await startBridged(t)
  const client = await connectClient(t, url)
  const got = heard(client, 'photo')
  await client.emitWithAck('photo', 'a', Buffer.from([1, 2, 3]), { inner: [Buffer.from([4])] })
  const [name, bytes, nested] = await got as [string, Buffer, { inner: Buffer[] }]
  t.equal(name, 'a')
  t.same([...bytes], [1, 2, 3])
  t.ok(Buffer.isBuffer(nested.inner[0]))
  t.same([...nested.inner[0]], [4])
})

t.test('a raw payload of an MQTT client becomes the one argument: JSON, else text, else bytes', async t => {
  const { url, mqttUrl } = await startBridged(t)
  const client = await connectClient(t, url, { auth: { clientId: 'U1' } })
  const device = await connectMqtt(t, mqttUrl)
  for (const [payload, argument] of [
    ['{"level":3}', { level: 3 }], ['hot', 'hot'], [Buffer.from([0xff, 0]), Buffer.from([0xff, 0])]
  ] as const) {
    const got = heard(client, 'alert')
    await device.publishAsync('io/_/user/U1/alert', payload, { qos: 1 })
    t.same(await got, [argument])
  }
})

t.test('send reaches the user or the room and nobody else', async t => {
  const { url } = await startBridged(t)
  const one = await connectClient(t, url, { auth: { clientId: 'one' } })
  const two = await connectClient(t, url, { query: { clientId: 'two' } })
  const odd = await connectClient(t, url, { auth: { clientId: 'a/b+#$%' } })
  t.same(await two.emitWithAck('join', 'red/#1'), OK)
  const byOne = collect(one, 'x')
  const byTwo = collect(two, 'x')
  const byOdd = collect(odd, 'x')
  t.match(await one.emitWithAck('send', { user: 'two' }, 'x', 1), OK)
  await one.emitWithAck('send', { room: 'red/#1' }, 'x', 2)
  await one.emitWithAck('send', { user: 'a/b+#$%' }, 'x', 3)
  await two.emitWithAck('leave', 'red/#1')
  await one.emitWithAck('send', { room: 'red/#1' }, 'x', 4)
  await one.emitWithAck('x', 5)
  t.same(await byTwo.wait(3), [1, 2, 5])
  t.same(await byOdd.wait(2), [3, 5])
  t.same(await byOne.wait(1), [5])
})

t.test('what is emitted behind a join finds the room, and answers come in the order of the emits', async t => {
  const { url } = await startBridged(t)
  const client = await connectClient(t, url, { auth: { clientId: 'U1' } })
  const got = collect(client, 'x')
  const answers: number[] = []
  client.emit('x', 0, () => answers.push(0))
  client.emit('join', 'r', () => answers.push(1))
  client.emit('send', { room: 'r' }, 'x', 1, () => answers.push(2))
  client.emit('send', {}, 'x', 2, () => answers.push(3))
  await client.emitWithAck('x', 3)
  t.same(await got.wait(3), [0, 1, 3])
  client.emit('leave', 'r', () => answers.push(4))
  client.emit('send', { room: 'r' }, 'x', 4, () => answers.push(5))
  await client.emitWithAck('x', 9)
  t.same(await got.wait(4), [0, 1, 3, 9])
  t.same(answers, [0, 1, 2, 3, 4, 5])
})

t.test('what a client missed comes after its connect, in order, rooms included [G2] [G3]', async t => {
  const { url, mqttUrl } = await startBridged(t)
  const away = await connectClient(t, url, { auth: { clientId: 'away' } })
  await away.emitWithAck('join', 'r')
  away.disconnect()
  const device = await connectMqtt(t, mqttUrl)
  const other = await connectClient(t, url)
  for (let n = 0; n < 200; n++) {
    if (n % 3 === 0) await device.publishAsync('io/_/user/away/x', String(n), { qos: 1 })
    else if (n % 3 === 1) await other.emitWithAck('send', { room: 'r' }, 'x', n)
    else await other.emitWithAck('x', n)
  }
  const order: string[] = []
  const back = newClient(t, url, { auth: { clientId: 'away' } })
  back.once('connect', () => order.push('connect'))
  back.on('holdfast:session', ({ present }) => order.push(`present ${present}`))
  back.once('x', () => order.push('x'))
  const got = collect(back, 'x')
  t.same(await got.wait(200), Array.from({ length: 200 }, (_, n) => n))
  t.same(order, ['connect', 'present true', 'x'])
})

t.test('namespaces are worlds of their own, made on demand', async t => {
  const { url, broker } = await startBridged(t)
  const options = { forceNew: false, auth: { clientId: 'U1' } }
  const root = await connectClient(t, url, options)
  const shop = await connectClient(t, `${url}/shop/eu`, options)
  const underscore = await connectClient(t, `${url}/_`, options)
  t.equal(shop.io, root.io, 'on one connection')
  t.same([...broker.sessions()].map(session => session.clientId).sort(), ['io:%5F:U1', 'io:_:U1', 'io:shop%2Feu:U1'])
  const byRoot = collect(root, 'x')
  const byShop = collect(shop, 'x')
  const byUnderscore = collect(underscore, 'x')
  await shop.emitWithAck('x', 1)
  await root.emitWithAck('x', 2)
  await underscore.emitWithAck('x', 3)
  await root.emitWithAck('x', 4)
  t.same(await byRoot.wait(2), [2, 4])
  t.same(byShop.values, [1])
  t.same(byUnderscore.values, [3])
})

t.test('without a client id the session is kept for a while, in case its client comes back', async t => {
  const { url, broker } = await startBridged(t, { limits: { sweepMs: 20 }, bridge: { recoveryExpiryMs: 50 } })
  const client = await connectClient(t, url)
  const [session] = broker.sessions()
  t.match(session.clientId, /^io:_::/)
  t.match(session, { clean: false, expiryMs: 50 })
  const ended = new Promise(resolve => broker.events.once('session-ended', resolve))
  client.disconnect()
  await ended
  t.equal([...broker.sessions()].length, 0)
})

t.test('a client id that can\'t be one is refused with a sentence', async t => {
  const { url } = await startBridged(t)
  for (const [clientId, says] of [
    [7, /must be a string/],
    ['', /clientId is empty/],
    ['x'.repeat(DEFAULT_LIMITS.clientIdBytesMax), /too long.*clientIdBytesMax/]
  ] as const) {
    const error = await refused(newClient(t, url, { auth: { clientId } }))
    t.match(error.message, says)
    t.equal(error.data?.code, 'CLIENT_ID_INVALID')
  }
})

t.test('a session belongs to the principal who made it [G7]', async t => {
  const auth = {
    anonymous: false,
    authenticate: async ({ username }: { username?: string }) => username as never,
    mayPublish: () => true,
    maySubscribe: () => true
  }
  const { url } = await startBridged(t, { auth })
  await connectClient(t, url, { auth: { clientId: 'U1', username: 'ann' } })
  const foreign = await refused(newClient(t, url, { auth: { clientId: 'U1', username: 'bob' } }))
  t.equal(foreign.data?.code, 'SESSION_FOREIGN')
  const nobody = await refused(newClient(t, url, { auth: { clientId: 'U2' } }))
  t.equal(nobody.data?.code, 'NOT_AUTHORIZED')
})

t.test('the same client id again takes the session over; the older client is told and stays away', async t => {
  const { url } = await startBridged(t)
  const older = await connectClient(t, url, { auth: { clientId: 'U1' } })
  const gone = heard(older, 'disconnect')
  const newer = await connectClient(t, url, { auth: { clientId: 'U1' } })
  t.same((await gone)[0], 'io server disconnect')
  t.equal(older.active, false, 'it does not reconnect by itself')
  const got = collect(newer, 'x')
  await newer.emitWithAck('x', 1)
  t.same(await got.wait(1), [1])
})

t.test('a client whose session is ended is told, and gets a new one when it connects again [G5]', async t => {
  const { broker, url } = await startBridged(t)
  const client = await connectClient(t, url, { auth: { clientId: 'U1' } })
  const gone = heard(client, 'disconnect')
  t.equal(await broker.end('io:_:U1' as ClientId), true)
  t.same((await gone)[0], 'io server disconnect')
  const told = heard(client, 'holdfast:session')
  client.connect()
  t.same(await told, [{ clientId: 'U1', present: false }])
})

t.test('a retained message reaches a new session once, not at every reconnect', async t => {
  const { broker, url, mqttUrl } = await startBridged(t)
  const device = await connectMqtt(t, mqttUrl)
  await device.publishAsync('io/_/all/state', 'on', { qos: 1, retain: true })
  const first = newClient(t, url, { auth: { clientId: 'U1' } })
  t.same(await heard(first, 'state'), ['on'])
  await until(() => broker.stats().acknowledged === 1, 'the receipt')
  first.disconnect()
  const again = newClient(t, url, { auth: { clientId: 'U1' } })
  const states = collect(again, 'state')
  const got = collect(again, 'x')
  await heard(again, 'connect')
  await again.emitWithAck('x', 1)
  await got.wait(1)
  t.same(states.values, [])
})
