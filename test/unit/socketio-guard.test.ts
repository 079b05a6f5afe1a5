import t from 'tap'
import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import { Refusals, silent, systemClock, Turns } from '../../broker/index.ts'
import type { EngineRequest, EngineServer, EngineSocket } from '../../bridge/socketio/wire/engine.ts'
import { guardPolling, OLDER_REQUESTS_MAX, REPEATS_MAX, T_CHARS_MAX } from '../../bridge/socketio/wire/guard.ts'
import { Inlets } from '../../bridge/socketio/wire/inlets.ts'
import { LockStep, PINGS } from '../../bridge/socketio/wire/lock-step.ts'
import type { PollStep } from '../../bridge/socketio/wire/poll-step.ts'
import { PongStep } from '../../bridge/socketio/wire/pong-step.ts'
import { createManualClock } from '../helpers/manual-clock.ts'

const BYTES_MAX = 1_000

/** What became of a response. */
class FakeResponse {
  head: unknown[] = []
  body: Buffer[] = []
  ended = false
  /** The system takes nothing of it. */
  stuck = false
  destroyed = false

  get writableFinished (): boolean { return this.ended && !this.stuck }
  writeHead (...head: unknown[]): this { this.head = head; return this }
  write (chunk: string | Buffer): boolean { this.body.push(Buffer.from(chunk as string)); return true }
  end (chunk?: string | Buffer): this {
    if (chunk !== undefined) this.body.push(Buffer.from(chunk as string)) // as Node does, not through write()
    this.ended = true
    return this
  }

  get seen (): { head: unknown[], body: string, ended: boolean } {
    return { head: this.head, body: Buffer.concat(this.body).toString(), ended: this.ended }
  }
}

interface Options { method?: string, port?: number, length?: string, transport?: string, sid?: string }

/** A guard with one polling connection `s1`; `passed` has the responses that Engine.IO got to answer. */
function setUp (bytesMax = BYTES_MAX, protocol: 3 | 4 = 4, other?: PollStep) {
  type Middleware = Parameters<EngineServer['use']>[0]
  const pinged = { count: 0 }
  const socket = Object.assign(new EventEmitter(), {
    id: 's1', protocol, upgrading: false, closed: false, close () { socket.closed = true }
  })
  const step = new LockStep(() => pinged.count++)
  let middleware: Middleware | undefined
  const engine = {
    clients: { s1: socket as unknown as EngineSocket },
    use (given: Middleware) { middleware = given }
  }
  guardPolling({
    engine: engine as unknown as EngineServer,
    inlets: new Inlets(new Turns()),
    log: silent,
    refusals: new Refusals({ clock: systemClock, log: silent }),
    answerBytesMax: bytesMax,
    stepOf: () => other ?? step
  })
  const passed: FakeResponse[] = []
  function request (id: string | undefined, options: Options = {}): FakeResponse {
    const { method = 'GET', port = 1, length, transport = 'polling', sid = 's1' } = options
    const response = new FakeResponse()
    middleware!({
      method, _query: { transport, sid, t: id }, headers: { 'content-length': length }, socket: { remotePort: port }
    } as unknown as EngineRequest, response as unknown as ServerResponse, () => passed.push(response))
    return response
  }
  return { socket, step, pinged, passed, request }
}

t.test('a repeated poll whose first copy was answered gets the same status, headers and body [G2]', async t => {
  const { socket, passed, request } = setUp()
  const first = request('a')
  first.writeHead(200, { 'Content-Type': 'text/plain' }).end('4hello')
  for (let copy = 0; copy < REPEATS_MAX; copy++) t.same(request('a', { port: 2 + copy }).seen, first.seen)
  t.equal(passed.length, 1, 'Engine.IO saw one request')
  t.equal(socket.closed, false)
})

t.test('a repeated answer has its bytes as they were, in one piece or in many', async t => {
  const { request } = setUp()
  const first = request('a')
  first.writeHead(200, { 'Content-Encoding': 'gzip' })
  first.write(Buffer.of(0xff, 0xfe))
  first.end(Buffer.of(0xfd))
  const again = request('a', { port: 2 })
  t.same(Buffer.concat(again.body), Buffer.of(0xff, 0xfe, 0xfd))
  t.same(again.head, first.head)
})

t.test('a repeated POST that was processed is not processed again and gets the same answer [G4]', async t => {
  const { socket, passed, request } = setUp()
  const first = request('a', { method: 'POST', length: '9' })
  first.writeHead(200).end('ok')
  t.same(request('a', { method: 'POST', length: '9', port: 2 }).seen, first.seen)
  t.equal(passed.length, 1)
  t.equal(socket.closed, false)
})

t.test('what is doubtful is refused, and the connection is closed so that the session redelivers [G2]', async t => {
  const cases: ReadonlyArray<[string, Options, (first: FakeResponse) => void, RegExp]> = [
    ['a poll that waits', { port: 2 }, () => {}, /not at hand/],
    ['an answer under way', { port: 2 }, first => { first.writeHead(200); first.write('4hel') }, /not at hand/],
    ['an answer that is too large', { port: 2 }, first => first.end('x'.repeat(BYTES_MAX + 1)), /not at hand/],
    ['a POST that is being read', { method: 'POST', port: 2 }, () => {}, /not at hand/],
    ['the same connection', {}, first => first.end('x'), /over the same connection/],
    ['another body', { method: 'POST', length: '2', port: 2 }, first => first.end('ok'), /another length/]
  ]
  for (const [name, options, answer, says] of cases) {
    const { socket, passed, request } = setUp()
    answer(request('a', { method: options.method }))
    const again = request('a', options).seen
    t.equal(again.head[0], 400, name)
    t.match(again.body, says, name)
    t.equal(socket.closed, true, name)
    t.equal(passed.length, 1, name)
  }
})

t.test('one t for every request is refused after the few times that a browser tries again', async t => {
  const { socket, request } = setUp()
  request('a').writeHead(200).end('x')
  for (let copy = 0; copy < REPEATS_MAX; copy++) t.equal(request('a', { port: 2 + copy }).head[0], 200)
  t.equal(request('a', { port: 9 }).head[0], 400)
  t.equal(socket.closed, true)
})

t.test('nothing is kept where nothing may be kept', async t => {
  const { socket, request } = setUp(0)
  request('a').writeHead(200).end('x')
  t.equal(request('a', { port: 2 }).head[0], 400)
  t.equal(socket.closed, true)
})

t.test('a late copy of an older request takes nothing and disturbs nobody [G2]', async t => {
  const { socket, passed, request } = setUp()
  for (let n = 0; n <= OLDER_REQUESTS_MAX; n++) request(`t${n}`).writeHead(200).end('x')
  const late = request('t0', { port: 2 })
  t.equal(late.head[0], 400)
  t.equal(passed.length, OLDER_REQUESTS_MAX + 1)
  t.equal(socket.closed, false)
  request('next')
  request('t0', { port: 2 })
  t.equal(passed.length, OLDER_REQUESTS_MAX + 3, 'memory is bounded: the oldest is forgotten [G6]')
})

t.test('an answer is kept until the next request, of its method alone', async t => {
  const { passed, request } = setUp()
  request('a').writeHead(200).end('first')
  request('p', { method: 'POST' }).writeHead(200).end('ok')
  t.equal(request('a', { port: 2 }).seen.body, 'first')
  request('b')
  t.equal(request('b', { port: 2 }).head[0], 400, 'the second poll waits')
  t.equal(passed.length, 3)
})

t.test('a t of any length is refused', async t => {
  const { socket, passed, request } = setUp()
  const answer = request('x'.repeat(T_CHARS_MAX + 1)).seen
  t.equal(answer.head[0], 400)
  t.match(JSON.parse(answer.body).message, /longer than 64/)
  t.equal(socket.closed, true)
  t.equal(passed.length, 0)
})

t.test('without t, a poll waits until the pings of the answer before it are answered; then a ping comes alone [G2]',
  async t => {
    const { socket, step, pinged, passed, request } = setUp()
    const pong = (): void => {
      step.ponged()
      step.release()
    }
    request(undefined).writeHead(200).end('4hello')
    step.answering(PINGS, true)
    const next = request(undefined, { port: 2 })
    for (let n = 1; n < PINGS; n++) pong()
    t.equal(next.ended, false, 'any but the last may be a repeated one')
    pong()
    t.same([next.seen.body, pinged.count], ['2', 1])
    const third = request(undefined)
    t.equal(passed.length, 1)
    pong()
    t.equal(passed[1], third)
    t.equal(socket.closed, false)
  })

t.test('without t, a second poll while one waits is refused, and the connection closed [G2]', async t => {
  const { socket, step, passed, request } = setUp()
  request(undefined).writeHead(200).end('4hello')
  step.answering(PINGS, true)
  request(undefined)
  t.equal(request(undefined).head[0], 400)
  t.equal(socket.closed, true)
  t.equal(passed.length, 1)
})

t.test('without t, a poll that waits ends with nothing while a WebSocket takes over, and goes on when all is closed',
  async t => {
    const { socket, step, passed, request } = setUp()
    request(undefined).writeHead(200).end('4hello')
    step.answering(PINGS, true)
    const waiting = request(undefined)
    step.upgrading()
    t.same([waiting.head[0], waiting.seen.body], [200, '6'])
    socket.upgrading = true
    t.equal(request(undefined).seen.body, '6')
    socket.upgrading = false
    const last = request(undefined)
    t.equal(last.ended, false)
    step.closed()
    t.equal(passed[1], last, 'Engine.IO refuses it')
  })

t.test('without t, what the client can\'t have had is answered again: GET and POST, as far as that goes [G2] [G4]',
  async t => {
    for (const method of ['GET', 'POST']) {
      const { socket, passed, request } = setUp()
      const lose = (response: FakeResponse): void => { Object.assign(response, { stuck: true, destroyed: true }) }
      const first = request(undefined, { method, length: '5' })
      lose(first)
      first.writeHead(200).end('4hello')
      const again = request(undefined, { method, length: '5', port: 2 })
      t.same(again.seen, first.seen, method)
      t.equal(passed.length, 1, method)
      const next = request(undefined, { method, length: '5', port: 2 })
      t.equal(passed[1], next, `${method}: that answer arrived`)
      t.equal(socket.closed, false)
    }
  })

t.test('without t, a POST is a new one: nothing tells it from a repeated one', async t => {
  const { passed, request } = setUp()
  for (const port of [1, 2]) request(undefined, { method: 'POST', length: '5', port }).writeHead(200).end('ok')
  t.equal(passed.length, 2)
})

t.test('a request with t after one without, or the other way round, is a new one', async t => {
  const { step, passed, request } = setUp()
  request('a').writeHead(200).end('4x')
  step.answering(1, false)
  request(undefined).writeHead(200).end('4y')
  t.equal(passed.length, 2, 'it has not the t of the one before')
  step.answering(PINGS, true)
  request('b')
  t.equal(passed.length, 3)
})

t.test('handshakes, other transports and methods, and unknown connections are not guarded', async t => {
  const { passed, request } = setUp()
  const options = [{ sid: '' }, { transport: 'websocket' }, { method: 'OPTIONS' }, { sid: '__proto__' }, { sid: 's2' }]
  for (const each of options) for (let copy = 0; copy < 2; copy++) request('a', each)
  t.equal(passed.length, 2 * options.length)
})

t.test('after the upgrade nothing of the polling is kept', async t => {
  const { socket, passed, request } = setUp()
  request('a').writeHead(200).end('x')
  socket.emit('upgrade')
  request('a', { port: 2 })
  t.equal(passed.length, 2)
})

t.test('a poll that comes before the answer to the one before it was taken is refused [G6]', async t => {
  for (const [how, isRefused] of [['stuck', true], ['taken', false], ['broken', false]] as const) {
    const { socket, request, passed } = setUp()
    const first = request('a')
    first.stuck = how !== 'taken'
    first.destroyed = how === 'broken'
    first.writeHead(200, {}).end('4x')
    const second = request('b')
    t.equal(passed.includes(second), !isRefused, how)
    t.equal(socket.closed, isRefused, how)
    if (isRefused) t.match(second.seen, { head: [400], ended: true })
  }
})

const OPTS = { pingInterval: 1_000, pingTimeout: 1_000, maxHttpBufferSize: 1 }
const GATHER_MS = 100

t.test('Engine.IO 3 without t: a poll waits for the answer to a ping, which waits a moment [G2]', async t => {
  const clock = createManualClock(0)
  const step = new PongStep(clock, OPTS)
  const { socket, passed, request } = setUp(BYTES_MAX, 3, step)
  request(undefined)
  t.equal(passed.length, 0)
  step.ponged()
  clock.advance(GATHER_MS - 1)
  t.equal(passed.length, 0)
  clock.advance(1)
  t.equal(passed.length, 1)
  step.answering()
  passed[0].writeHead(200).end('5:4hello1:3')
  const next = request(undefined)
  t.equal(passed.length, 1, 'the next poll proves nothing')
  step.ponged()
  step.upgrading()
  t.same([next.head[0], next.seen.body], [200, '1:6'], 'a WebSocket takes over')
  socket.upgrading = true
  t.equal(request(undefined).seen.body, '1:6')
  socket.upgrading = false
  clock.advance(GATHER_MS)
  request(undefined)
  t.equal(passed.length, 2, 'there was no poll when it was due')
  step.answering()
  const last = request(undefined)
  step.closed()
  t.equal(last.seen.body, '1:6')
})

t.test('Engine.IO 3 without t: a ping before its time has waited for no answer [G2]', async t => {
  const clock = createManualClock(0)
  const step = new PongStep(clock, OPTS)
  t.equal(step.isEarly, false, 'the first')
  step.polled({ isUntimed: true, pass () {}, answer () {} }, false)
  step.ponged()
  t.equal(step.isEarly, true, 'the answer waits')
  clock.advance(GATHER_MS)
  t.equal(step.isEarly, true, 'and is due')
  step.answering()
  clock.advance(OPTS.pingInterval - GATHER_MS)
  t.equal(step.isEarly, true, 'as one by the clock is')
  clock.advance(GATHER_MS)
  t.equal(step.isEarly, false)
  step.polled({ isUntimed: false, pass () {}, answer () {} }, false)
  step.ponged()
  t.equal(step.isEarly, false, 'with t it does not matter')
})

t.test('Engine.IO 3 with t: no poll waits', async t => {
  const { passed, request } = setUp(BYTES_MAX, 3, new PongStep(createManualClock(0), OPTS))
  request('a').writeHead(200).end('1:6')
  request('b')
  t.equal(passed.length, 2)
})
