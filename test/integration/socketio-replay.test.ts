import t from 'tap'
import { request as send, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { gunzipSync } from 'node:zlib'
import type { Test } from 'tap'
import type { Broker, ClientId } from '../../broker/index.ts'
import { chooseSeed, createRandom } from '../helpers/random.ts'
import { createRepeater, type Repeater, type Repetition } from '../helpers/repeater.ts'
import { legacyClient, VERSIONS, type Version } from '../helpers/socketio-clients.ts'
import { until, within } from '../helpers/wait.ts'
import { collect, connectClient, newClient, startBridged } from './socketio-harness.ts'

interface Answer { readonly status: number, readonly headers: IncomingHttpHeaders, readonly body: Buffer }
type Poll = (t: string, body?: string, headers?: Record<string, string>) => Promise<Answer>

/** A polling client by hand: each request has the `t` it is told, and comes over a connection of its own. */
async function openPolling (port: number, query: string): Promise<Poll & { readonly path: string }> {
  async function request (path: string, body?: string, headers: Record<string, string> = {}): Promise<Answer> {
    const request = send({
      host: '127.0.0.1', port, agent: false, path, method: body === undefined ? 'GET' : 'POST', headers
    })
    request.end(body)
    const [response] = await once(request, 'response') as [IncomingMessage]
    return { status: response.statusCode!, headers: response.headers, body: await buffer(response) }
  }
  const start = `/socket.io/?transport=polling&${query}`
  const { body } = await request(`${start}&t=open`)
  const path = `${start}&sid=${/"sid":"([^"]+)"/.exec(body.toString())![1]}`
  const poll: Poll = async (t, body, headers) =>
    await request(`${path}&t=${t}`, body, { 'content-type': 'text/plain;charset=UTF-8', ...headers })
  return Object.assign(poll, { path })
}

/** Status, body, and the headers but for those of the moment. */
function told ({ status, headers, body }: Answer): object {
  const { date, ...rest } = headers
  return { status, rest, body: body.toString('latin1') }
}

/** Opens the root namespace as U1; how an Engine.IO 3 client says it is in its handshake, so that is all it takes. */
async function openAs (port: number, eio: 3 | 4, more = ''): Promise<Poll & { readonly path: string }> {
  const poll = await openPolling(port, `EIO=${eio}&clientId=U1${more}`)
  if (eio === 4) await poll('connect', '40{"clientId":"U1"}')
  for (let n = 0; ; n++) {
    const { status, body } = await poll(`open${n}`)
    if (status !== 200) throw new Error(`a poll was answered ${status}: ${body.toString()}`)
    if (body.includes('holdfast:session')) return poll
  }
}

/** Resolves to the `t` of a poll that waits, as nothing is left to be sent or proven, and to its answer. */
async function waitingPoll (broker: Broker, poll: Poll): Promise<[t: string, answer: Promise<Answer>]> {
  const isIdle = (): boolean => broker.session('io:_:U1' as ClientId)?.inflightMessages === 0
  for (let n = 0; ; n++) {
    const answer = poll(`wait${n}`)
    const isAnswered = await Promise.race([answer.then(() => true), until(isIdle, 'the proofs').then(() => false)])
    if (!isAnswered) return [`wait${n}`, answer]
  }
}

for (const eio of [3, 4] as const) {
  t.test(`Engine.IO ${eio}: a repeated poll gets the same response, the next one what follows [G2] [G4]`, async t => {
    const { broker, port, url } = await startBridged(t)
    const sender = await connectClient(t, url)
    const poll = await openAs(port, eio)
    await sender.emitWithAck('send', { user: 'U1' }, 'x', 'first')
    const first = await poll('1')
    t.match(first.body.toString(), /first/)
    await sender.emitWithAck('send', { user: 'U1' }, 'x', 'second')
    t.same(told(await poll('1')), told(first), 'the same status, headers and body')
    t.equal(broker.session('io:_:U1' as ClientId)?.inflightMessages, 2, 'it proves nothing')
    const next = (await poll('2')).body.toString()
    t.match(next, /second/)
    t.notMatch(next, /first/)
  })

  t.test(`Engine.IO ${eio}: a response that is compressed is repeated byte by byte`, async t => {
    const { port, url } = await startBridged(t)
    const sender = await connectClient(t, url)
    const poll = await openAs(port, eio)
    await sender.emitWithAck('send', { user: 'U1' }, 'x', 'long'.repeat(5_000))
    const headers = { 'accept-encoding': 'gzip' }
    const first = await poll('1', undefined, headers)
    t.equal(first.headers['content-encoding'], 'gzip')
    t.match(gunzipSync(first.body).toString(), /long/)
    t.same(told(await poll('1', undefined, headers)), told(first))
  })

  t.test(`Engine.IO ${eio}: a response with binary arguments is repeated byte by byte`, async t => {
    for (const more of ['', '&b64=1']) {
      const { port, url } = await startBridged(t)
      const sender = await connectClient(t, url)
      const poll = await openAs(port, eio, more)
      await sender.emitWithAck('send', { user: 'U1' }, 'x', Buffer.of(0xff, 0, 0xfe))
      const first = await poll('1')
      const isBytes = eio === 3 && more === ''
      t.equal(first.headers['content-type'], isBytes ? 'application/octet-stream' : 'text/plain; charset=UTF-8')
      t.ok(first.body.includes(isBytes ? Buffer.of(0xff, 0, 0xfe) : Buffer.of(0xff, 0, 0xfe).toString('base64')))
      t.same(told(await poll('1')), told(first), more)
    }
  })

  t.test(`Engine.IO ${eio}: a repeated POST is answered again and publishes once [G4]`, async t => {
    const { port, url } = await startBridged(t)
    const got = collect(await connectClient(t, url), 'x')
    const poll = await openAs(port, eio)
    const packet = (value: number): string => eio === 4 ? `42["x",${value}]` : `9:42["x",${value}]`
    const first = await poll('2', packet(1))
    t.equal(first.body.toString(), 'ok')
    t.same(told(await poll('2', packet(1))), told(first))
    t.equal((await poll('3', packet(2))).status, 200)
    t.same(await got.wait(2), [1, 2])
  })

  t.test(`Engine.IO ${eio}: a poll that is repeated while it waits is refused, and nothing is lost [G2]`, async t => {
    const { broker, port, url } = await startBridged(t)
    const sender = await connectClient(t, url)
    const poll = await openAs(port, eio)
    const [id, first] = await waitingPoll(broker, poll)
    t.equal((await poll(id)).status, 400)
    t.equal((await first).body.toString(), eio === 4 ? '1' : '1:1', 'the first copy gets nothing but the close')
    t.equal((await poll('later')).status, 400, 'the connection is closed')
    await sender.emitWithAck('send', { user: 'U1' }, 'x', 'message')
    const client = newClient(t, url, { auth: { clientId: 'U1' } })
    t.same(await collect(client, 'x').wait(1), ['message'])
  })

  t.test(`Engine.IO ${eio}: a POST repeated while it is read is refused, and runs once at most [G4]`, async t => {
    const { http, port, url } = await startBridged(t)
    const got = collect(await connectClient(t, url), 'x')
    const poll = await openAs(port, eio)
    const arrived = once(http, 'request')
    const body = eio === 4 ? '42["x",1]' : '9:42["x",1]'
    const half = connectTcp(port, '127.0.0.1')
    t.teardown(() => half.destroy())
    half.write(`POST ${poll.path}&t=2 HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n` +
      `Content-Length: ${body.length}\r\n\r\n${body.slice(0, 4)}`)
    await within(arrived, 'the first half')
    t.equal((await poll('2', body)).status, 400)
    half.end(body.slice(4))
    await (await connectClient(t, url)).emitWithAck('x', 2)
    t.same((await got.wait(1)).at(-1), 2)
    t.ok(got.values.filter(value => value === 1).length <= 1)
  })
}

/** What was seen by a client behind a repeater while 'both ways' messages flow. */
async function converse (
  t: Test, version: Version, decide: (method: string) => Repetition, count: number
): Promise<Conversation> {
  const { port, url } = await startBridged(t)
  const repeater = await createRepeater(t, { port }, decide)
  const sender = await connectClient(t, url)
  const heard = collect(sender, 'up')
  const client = legacyClient(version, repeater.url, {
    transports: ['polling'], auth: { clientId: 'U1' }, query: { clientId: 'U1' }
  })
  t.teardown(() => client.disconnect())
  const down: number[] = []
  const answered = new Set<number>()
  let disconnects = 0
  client.on('down', (value: number) => down.push(value))
  client.on('disconnect', () => disconnects++)
  await within(new Promise<void>(resolve => client.once('connect', () => resolve())), `${version} to connect`)
  for (let n = 0; n < count; n++) {
    await sender.emitWithAck('send', { user: 'U1' }, 'down', n)
    client.emit('up', n, () => answered.add(n))
  }
  await until(() => new Set(down).size === count, `${version}: all messages`)
  const missing = (): number[] => [...Array(count).keys()].filter(n => !answered.has(n))
  if (disconnects === 0) await until(() => missing().length === 0, `${version}: all answers`)
  return { down, up: heard.values as number[], answered: [...answered], disconnects, repeater }
}

interface Conversation {
  readonly down: number[]
  readonly up: number[]
  /** Emits whose ack callback was called. */
  readonly answered: number[]
  readonly disconnects: number
  readonly repeater: Repeater
}

const MESSAGES = 60
const inOrder = (values: readonly number[]): boolean =>
  values.every((value, index) => index === 0 || values[index - 1] < value)

for (const version of VERSIONS) {
  t.test(`client ${version}: every request arrives twice, and nothing is lost, run twice or cut [G2] [G4]`, async t => {
    const result = await converse(t, version, () => 'answered', MESSAGES)
    t.same(result.down, [...Array(MESSAGES).keys()])
    t.same(result.up, [...Array(MESSAGES).keys()])
    t.equal(result.disconnects, 0)
    t.ok(result.repeater.done.answered > MESSAGES / 4, `${result.repeater.done.answered} requests were repeated`)
  })

  t.test(`client ${version}: requests repeated at any moment lose nothing that had a receipt [G2] [G3]`, async t => {
    const random = createRandom(chooseSeed())
    t.comment(`seed ${random.seed}`)
    const result = await converse(t, version, () =>
      random.pick(['pass', 'pass', 'pass', 'answered', 'answered', 'late', random.int(4) === 0 ? 'waiting' : 'pass']),
    MESSAGES)
    const { down, up, answered, disconnects, repeater } = result
    const first = down.filter((value, index) => down.indexOf(value) === index)
    t.same(first, [...Array(MESSAGES).keys()], 'order of first sight')
    t.ok(inOrder(up), 'what came from the client ran once, in order')
    t.same(answered.filter(n => !up.includes(n)), [], 'what has a receipt was published')
    t.comment(`${JSON.stringify(repeater.done)}, ${down.length - MESSAGES} duplicates, ${disconnects} disconnects`)
  })
}
