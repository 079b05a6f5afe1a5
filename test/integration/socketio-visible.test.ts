/** What goes over the wire that no application sent: as little as the promises allow (docs/socketio.md). */
import { once } from 'node:events'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import type { ClientId, Principal } from '../../broker/index.ts'
import { until, within } from '../helpers/wait.ts'
import { startBridged } from './socketio-harness.ts'
import { startProgram } from './socketio-programs.ts'

/** Speaks the protocol itself, so that it sees each packet. */
class Wire {
  readonly packets: string[] = []
  readonly closed: Promise<unknown>
  readonly #socket: WebSocket

  constructor (t: Test, url: string, cookie?: string) {
    const headers = cookie === undefined ? {} : { cookie }
    const address = `${url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`
    this.#socket = new WebSocket(address, { headers })
    t.teardown(() => this.#socket.terminate())
    this.closed = once(this.#socket, 'close')
    this.#socket.on('message', data => this.packets.push(String(data)))
  }

  send (packet: string): void { this.#socket.send(packet) }

  async comes (count: number): Promise<void> {
    await until(() => this.packets.length >= count, `packet ${count}, after ${this.packets.join(' ')}`)
  }
}

const ASK = '421["rooms"]'
const ANSWER = '431[{"status":"ok","rooms":[]}]'

t.test('[G5] who can have had a session is told whether it is there; a newcomer is told nothing', async t => {
  const { url } = await startBridged(t)
  const { headers } = await fetch(`${url}/socket.io/?EIO=4&transport=polling`)
  const cookie = headers.getSetCookie()[0].split(';')[0]
  for (const [auth, told, shown] of [
    ['', undefined, undefined],
    ['{"token":"x"}', undefined, undefined],
    ['', undefined, 'holdfast=made-up'],
    ['', '{"present":false}', cookie],
    ['{"clientId":"U1"}', '{"clientId":"U1","present":false}', undefined],
    ['{"pid":"123456789012345678901234"}', '{"present":false}', undefined]
  ] as const) {
    const wire = new Wire(t, url, shown)
    await wire.comes(1)
    wire.send(`40${auth}`)
    await wire.comes(2)
    wire.send(ASK)
    await until(() => wire.packets.at(-1) === ANSWER, 'the answer')
    const [, connect, ...more] = wire.packets
    t.match(connect, /^40\{"sid":"[\w-]{20}","pid":"/)
    const events = more.filter(packet => packet !== ANSWER)
    if (told === undefined) t.same(events, [])
    else t.ok(events.length === 1 && events[0].startsWith(`42["holdfast:session",${told}`), events.join())
  }
})

t.test('[G4] of what is written together, what ends in no text of its own and the last bring an offset', async t => {
  const { broker, url } = await startBridged(t)
  const wire = new Wire(t, url)
  await wire.comes(1)
  wire.send('40')
  await wire.comes(2)
  const who = { clientId: 'someone' as ClientId, principal: 'anonymous' as Principal }
  const payloads = ['"a"', '"b"', '"a"', '{"c":1}', '"d"', '"e"']
  await Promise.all(payloads.map(payload => new Promise(resolve => {
    broker.publish(who, { topic: 'io/_/all/m', payload: Buffer.from(payload), qos: 1, retain: false, id: '' }, resolve)
  })))
  await wire.comes(2 + payloads.length + 3)
  const sent = wire.packets.slice(2).filter(packet => packet.startsWith('42')) // and pings
  t.same(sent.map(packet => packet.startsWith('42["holdfast:offset","hf~') ? '^' : packet.slice(7, -1)),
    ['"a"', '"b"', '"a"', '^', '{"c":1}', '^', '"d"', '"e"', '^'])
})

t.test('a client of a program\'s own server gets what its handlers emit, and nothing besides', async t => {
  const { url } = await startProgram(t, io => {
    io.on('connection', socket => {
      socket.emit('hello', 'text')
      socket.on('say', (...args) => socket.emit('said', ...args))
    })
  })
  const wire = new Wire(t, url)
  await wire.comes(1)
  wire.send('40')
  await wire.comes(3)
  for (const word of ['"a"', '1,{"b":[]}']) wire.send(`42["say",${word}]`)
  await wire.comes(5)
  t.same(wire.packets.slice(2), ['42["hello","text"]', '42["said","a"]', '42["said",1,{"b":[]}]'])
})

t.test('a program that takes a connection off Socket.IO speaks what it likes on it', async t => {
  const { io, url, holdfast } = await startProgram(t, () => {})
  io.engine.on('connection', (socket: Raw) => {
    socket.removeAllListeners('data')
    socket.on('data', data => { socket.send(`${data} to you`) })
  })
  const wire = new Wire(t, url)
  await wire.comes(1)
  for (const word of ['hello', '2["x"]']) wire.send(`4${word}`)
  await wire.comes(3)
  t.same(wire.packets.slice(1), ['4hello to you', '42["x"] to you'])
  t.equal(holdfast.stats().refusals.violations, 0)
})

t.test('[G6] where Socket.IO still listens, who sends something else than CONNECT is closed; what listeners of the ' +
  'program answer goes out before', async t => {
  const { io, url, holdfast } = await startProgram(t, () => {})
  io.engine.on('connection', (socket: Raw) => {
    socket.on('data', data => { socket.send(`${data} to you`) })
  })
  for (const packet of ['hello', '51-["x",{"_placeholder":true,"num":0}]']) {
    const wire = new Wire(t, url)
    await wire.comes(1)
    wire.send(`4${packet}`)
    await within(wire.closed, 'the end')
    if (packet !== 'hello') t.same(wire.packets.slice(1), [`4${packet} to you`])
  }
  t.equal(holdfast.stats().refusals.violations, 2)
})

interface Raw {
  removeAllListeners (event: 'data'): void
  on (event: 'data', listener: (data: string) => void): void
  send (data: string): void
}
