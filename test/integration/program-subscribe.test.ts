/** A program hears messages in its own process, as a session like any other. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connectAsync } from 'mqtt'
import t, { type Test } from 'tap'
import { silent } from '../../broker/system/logger.ts'
import { createMemoryStore } from '../../broker/store/memory.ts'
import {
  type Auth, type Holdfast, type HoldfastOptions, type Principal, type ReceivedMessage, type Subscription,
  createHoldfast
} from '../../index.ts'
import { ROOT } from '../helpers/sources.ts'
import { tempFolder } from '../helpers/temp.ts'
import { until, within } from '../helpers/wait.ts'

async function start (t: Test, options: HoldfastOptions = {}): Promise<Holdfast> {
  const store = options.data === undefined ? { store: createMemoryStore() } : {}
  const holdfast = await createHoldfast({ mqttPort: 0, httpPort: 0, logger: silent, ...store, ...options })
  t.teardown(() => holdfast.close())
  return holdfast
}

const url = (holdfast: Holdfast): string => `mqtt://127.0.0.1:${holdfast.addresses.mqtt!.port}`

/** The next `count` messages; the last of them is not acknowledged. */
async function take (messages: Subscription, count: number): Promise<ReceivedMessage[]> {
  const got: ReceivedMessage[] = []
  while (got.length < count) {
    const { value, done } = await within(messages.next(), `message ${got.length + 1} of ${count}`)
    if (done === true) throw new Error('it ended')
    got.push(value)
  }
  return got
}

const words = (messages: readonly ReceivedMessage[]): string[] => messages.map(({ payload }) => payload.toString())

async function say (holdfast: Holdfast, from: number, to: number, topic = 'a/b'): Promise<void> {
  const numbers = Array.from({ length: to - from }, (_, i) => String(from + i))
  await Promise.all(numbers.map((payload) => holdfast.publish({ topic, payload })))
}

t.test('[G3] without a name a program hears what comes from now on, whole and in order', async (t) => {
  const holdfast = await start(t)
  await holdfast.publish({ topic: 'a/last', payload: 'kept', retain: true })
  await holdfast.publish({ topic: 'a/b', payload: 'before' })
  const messages = await holdfast.subscribe(['a/#', 'a/b'])
  t.equal(messages.present, false)
  const client = await connectAsync(url(holdfast), { clientId: 'device' })
  t.teardown(() => client.endAsync(true))
  await client.publishAsync('a/b', 'one', { qos: 1 })
  await client.publishAsync('a/c', 'two', { qos: 2, retain: true })
  await holdfast.publish({ topic: 'x', payload: 'not for it' })
  await holdfast.publish({ topic: 'a/b', payload: Buffer.from([0, 255]) })
  const got = await take(messages, 4)
  t.match(got, [
    { topic: 'a/last', qos: 1, retain: true, clientId: '$program', duplicate: false },
    { topic: 'a/b', qos: 1, retain: false, clientId: 'device', principal: 'anonymous', duplicate: false },
    { topic: 'a/c', qos: 2, retain: false, clientId: 'device' },
    { topic: 'a/b', payload: Buffer.from([0, 255]), principal: '$program' }
  ])
  t.same(words(got.slice(0, 3)), ['kept', 'one', 'two'])
  await client.publishAsync('a/b', 'passed on', { qos: 0 })
  t.match(await take(messages, 1), [{ qos: 0, payload: Buffer.from('passed on') }])
  t.ok(Math.abs(Date.now() - got[1].time) < 60_000, 'by the wall clock')
  messages.close()
  t.same([...holdfast.sessions()].map(({ clientId }) => clientId), ['device'], 'nothing of it is left')
})

t.test('[G7] what a reader changes in a message nobody else sees', async (t) => {
  const holdfast = await start(t)
  const [one, other] = [await holdfast.subscribe('a'), await holdfast.subscribe('a', { name: 'other' })]
  await holdfast.publish({ topic: 'a', payload: 'abc' })
  const [message] = await take(one, 1)
  message.payload.fill(0)
  t.same(words(await take(other, 1)), ['abc'])
})

t.test('[G2] under a name all comes that nobody read, over a restart too; [G4] not what was asked past', async (t) => {
  const data = tempFolder(t)
  const first = await start(t, { data })
  await first.publish({ topic: 'a/last', payload: 'kept', retain: true })
  const early = await first.subscribe('a/#', { name: 'archive' })
  t.equal(early.present, false)
  await say(first, 0, 5)
  const before: string[] = []
  for await (const message of early) {
    before.push(message.payload.toString())
    if (message.payload.toString() === '2') break
  }
  t.same(before, ['kept', '0', '1', '2'])
  t.same(await early.next(), { done: true, value: undefined })
  await say(first, 5, 8)
  const again = await first.subscribe('a/#', { name: 'archive' })
  t.equal(again.present, true)
  t.same((await take(again, 2)).map(({ payload, duplicate }) => [payload.toString(), duplicate]),
    [['2', true], ['3', true]], 'at 2 the loop ended; 3 was on its way')
  again.acknowledge()
  again.close()
  await first.close()
  const second = await start(t, { data })
  const rest = await second.subscribe('a/#', { name: 'archive' })
  t.equal(rest.present, true)
  await say(second, 8, 9)
  t.same(words(await take(rest, 5)), ['4', '5', '6', '7', '8'], 'nor does the retained one come again')
})

t.test('[G2] after kill -9 nothing is missing that the program had not done', async (t) => {
  const folder = tempFolder(t)
  const program = join(folder, 'program.mjs')
  writeFileSync(program, `
    const { createHoldfast } = await import(${JSON.stringify(`${ROOT}/dist/index.js`)})
    const holdfast = await createHoldfast({ data: process.argv[2], mqttPort: 0, httpPort: 0, logLevel: 'silent' })
    const messages = await holdfast.subscribe('a', { name: 'archive' })
    for (let i = 0; i < 300; i++) await holdfast.publish({ topic: 'a', payload: String(i) })
    for await (const { payload } of messages) process.stdout.write(payload + '\\n')`)
  const data = join(folder, 'data')
  const child = spawn(process.execPath, [program, data], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => { child.kill('SIGKILL') })
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text
    if (said.split('\n').length > 150) child.kill('SIGKILL')
  })
  await within(once(child, 'close'), 'the end', 60_000)
  const seen = said.split('\n').slice(0, -1).map(Number)
  const holdfast = await start(t, { data })
  const messages = await holdfast.subscribe('a', { name: 'archive' })
  t.equal(messages.present, true)
  await holdfast.publish({ topic: 'a', payload: 'end' })
  const rest: ReceivedMessage[] = []
  for await (const message of messages) {
    if (message.payload.toString() === 'end') break
    rest.push(message)
  }
  const numbers = words(rest).map(Number)
  t.same([...new Set([...seen, ...numbers])], Array.from({ length: 300 }, (_, i) => i), 'each, in order')
  const repeated = rest.filter(({ payload }) => seen.includes(Number(payload.toString())))
  t.ok(repeated.length <= 2 * 64, `${repeated.length} come twice: two windows at most`)
  t.ok(repeated.every(({ duplicate }) => duplicate), 'marked')
})

t.test('[G8] a program that does not read holds up nobody; [G5] it hears what it lost', async (t) => {
  const holdfast = await start(t, { inflightMessagesMax: 4, cleanQueueMessagesMax: 10, sweepMs: 10 })
  const told: unknown[] = []
  const idle = await holdfast.subscribe('a/b', { onGap: (gap) => { told.push(gap) } })
  const waiting = await holdfast.subscribe('a/b', { name: 'waiting' })
  const client = await connectAsync(url(holdfast), { clientId: 'device', clean: false })
  t.teardown(() => client.endAsync(true))
  let came = 0
  client.on('message', () => { came++ })
  await client.subscribeAsync('a/b', { qos: 1 })
  await say(holdfast, 0, 100)
  await until(() => came === 100, 'all for the other one')
  const lost = told.reduce((sum: number, gap) => sum + (gap as { count: number }).count, 0)
  t.equal(lost, 86, 'of 100 it holds a window and a queue')
  t.match(told[0], { reason: 'queue-full' })
  t.same(words(await take(idle, 14)), Array.from({ length: 14 }, (_, i) => String(i)))
  t.same(words(await take(waiting, 100)), Array.from({ length: 100 }, (_, i) => String(i)),
    'under a name it all waits in the log')
})

t.test('[G8] a program may take its time with a message, where a client would be cut', async (t) => {
  const holdfast = await start(t, {
    ackTimeoutMs: 50, sweepMs: 5, pingIntervalMs: 10, eio3PingIntervalMs: 10, tornEventHoldMs: 0
  })
  const messages = await holdfast.subscribe('a', { name: 'slow' })
  await say(holdfast, 0, 2, 'a')
  const got = await take(messages, 1)
  const client = await connectAsync(url(holdfast), { clientId: 'mute', clean: false, reconnectPeriod: 0 })
  t.teardown(() => client.endAsync(true))
  client.handleMessage = () => {} // acknowledges nothing
  const cut = new Promise((resolve) => { client.on('close', () => { resolve(undefined) }) })
  await client.subscribeAsync('b', { qos: 1 })
  await holdfast.publish({ topic: 'b', payload: '' })
  await within(cut, 'the cut')
  t.same(words([...got, ...await take(messages, 1)]), ['0', '1'])
})

t.test('[G6] what is not stored is left out where the queue is full, and counted', async (t) => {
  const holdfast = await start(t, { cleanQueueMessagesMax: 10 })
  const messages = await holdfast.subscribe('a/b')
  for (let i = 0; i < 30; i++) await holdfast.publish({ topic: 'a/b', payload: String(i), qos: 0 })
  t.equal(holdfast.stats().droppedQos0, 20)
  t.same(words(await take(messages, 10)), Array.from({ length: 10 }, (_, i) => String(i)))
  await holdfast.publish({ topic: 'a/b', payload: 'then', qos: 0 })
  t.same(words(await take(messages, 1)), ['then'])
})

t.test('[G5] a backlog has its bound; the program hears of it, also when it was away', async (t) => {
  const holdfast = await start(t, { backlogMessagesMax: 10, sweepMs: 10 })
  const gap = (): Promise<unknown> => once(holdfast.events, 'gap');
  (await holdfast.subscribe('a/b', { name: 'slow' })).close()
  const away = gap()
  await say(holdfast, 0, 30)
  t.match(await within(away, 'the gap'), [{ clientId: '$program:slow', reason: 'backlog-messages' }])
  let lost = 0
  const messages = await holdfast.subscribe('a/b', { name: 'slow', onGap: ({ count }) => { lost += count } })
  await say(holdfast, 30, 31)
  const [{ payload }] = await take(messages, 1)
  t.equal(Number(payload.toString()), lost, 'all but those that it was told of')
})

t.test('the filters of a name are those it was asked for last', async (t) => {
  const holdfast = await start(t)
  await holdfast.publish({ topic: 'b', payload: 'kept b', retain: true });
  (await holdfast.subscribe(['a', 'b', 'c'], { name: 'n' })).close()
  await say(holdfast, 0, 1, 'a')
  await say(holdfast, 1, 2, 'c')
  const messages = await holdfast.subscribe(['b', 'c', 'd'], { name: 'n' })
  t.match([...holdfast.sessions()],
    [{ clientId: '$program:n', filters: [{ filter: 'b' }, { filter: 'c' }, { filter: 'd' }] }])
  await say(holdfast, 2, 3, 'a')
  await say(holdfast, 3, 4, 'd')
  t.same(words(await take(messages, 3)), ['kept b', '1', '3'])
})

t.test('each way that reading ends', async (t) => {
  const holdfast = await start(t, { cleanQueueMessagesMax: 1, inflightMessagesMax: 1 })
  const open = async (name: string): Promise<{ messages: Subscription, pending: Promise<unknown> }> => {
    const messages = await holdfast.subscribe('a', { name })
    return { messages, pending: messages.next() }
  }
  const done = { done: true, value: undefined }
  const closed = await open('closed')
  closed.messages.close()
  t.same(await within(closed.pending, 'close()'), done)
  const returned = await open('returned')
  t.same(await within(returned.messages.return!(), 'return()'), done)
  t.same(await within(returned.pending, 'the one that waited'), done)
  const ended = await open('ended')
  const refused = t.rejects(ended.pending, { code: 'CLOSED', message: /ended/ })
  await holdfast.endSession('$program:ended')
  await refused
  const cut = await open('cut')
  const gone = t.rejects(cut.pending, { code: 'CLOSED', message: /disconnected/ })
  t.equal(holdfast.disconnect('$program:cut'), 1)
  await gone
  t.equal((await holdfast.subscribe('a', { name: 'cut' })).present, true, 'the name is free, and its session goes on')
  const failing = await holdfast.subscribe('a', { onGap: () => { throw new Error('of the program') } })
  await say(holdfast, 0, 3, 'a')
  const read = (async () => { for await (const message of failing) t.ok(message) })()
  await t.rejects(within(read, 'the end'), { message: 'of the program' })
  const last = await holdfast.subscribe('b', { name: 'last' })
  const pending = last.next()
  await holdfast.close()
  t.same(await within(pending, 'the end of the server'), done)
  await t.rejects(holdfast.subscribe('a'), { code: 'CLOSED' })
})

t.test('[G7] a name is the program\'s own, whatever access control says, and has one reader', async (t) => {
  const nobody: Auth = {
    anonymous: false,
    authenticate: async ({ username }) => username as Principal | undefined,
    mayPublish: () => true,
    maySubscribe: () => false
  }
  const holdfast = await start(t, { auth: nobody })
  for (const clientId of ['$program:archive', '$program', '$program/x']) {
    await t.rejects(connectAsync(url(holdfast), { clientId, username: 'ann', clean: false, reconnectPeriod: 0 }))
  }
  const [first, second] = await Promise.allSettled(
    [holdfast.subscribe('a', { name: 'archive' }), holdfast.subscribe('a', { name: 'archive' })])
  t.match(second, { status: 'rejected', reason: { code: 'NAME_IN_USE', message: /"archive"/ } })
  t.equal(first.status, 'fulfilled')
  t.match([...holdfast.sessions()], [{ clientId: '$program:archive', principal: '$program', attached: true }])
})

t.test('what is wrong is named, and leaves nothing', async (t) => {
  const holdfast = await start(t)
  const subscribe = holdfast.subscribe as (...args: unknown[]) => Promise<unknown>
  for (const [args, message] of [
    [[[]], /filters/], [[5], /not iterable|filters/], [[['a', 5]], /filters/],
    [['a', { nmae: 'x' }], /"nmae" is no option/],
    [['a', { name: '' }], /name/], [['a', { name: 5 }], /name/], [['a', { name: '\ud800' }], /name/],
    [['a', { qos: 2 }], /qos/], [['a', { onGap: true }], /onGap/], [['a', { expiryMs: 5 }], /expiryMs/],
    [['a', { name: 'n', expiryMs: NaN }], /expiryMs/]
  ] as const) await t.rejects(subscribe(...args), { name: 'TypeError', message })
  for (const name of [undefined, 'n']) {
    await t.rejects(holdfast.subscribe(['ok', 'a/#/b'], { name }), { code: 'FILTER_INVALID', message: /a\/#\/b/ })
  }
  await t.rejects(holdfast.subscribe('a', { name: 'n'.repeat(300) }), { code: 'CLIENT_ID_INVALID' })
  t.same([...holdfast.sessions()], [])
  t.equal((await holdfast.subscribe('a', { name: 'n' })).present, false, 'the name is free')
})
