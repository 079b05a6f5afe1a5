/** Clients in other languages: python-socketio, and one that sends only what the protocols demand. */
import t from 'tap'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { WebSocket } from 'ws'
import type { Broker, ClientId } from '../../broker/index.ts'
import { BarePolling } from '../helpers/bare-polling.ts'
import { createRepeater, type Repetition } from '../helpers/repeater.ts'
import { until, within } from '../helpers/wait.ts'
import { collect, connectClient, startBridged } from './socketio-harness.ts'

const SCRIPT = fileURLToPath(new URL('../helpers/foreign-client.py', import.meta.url))
/** Debian's own: that is where its packages are. */
const PYTHON = '/usr/bin/python3'
const U1 = 'io:_:U1' as ClientId
const START_MS_MAX = 90_000

t.jobs = 4

class PythonClient {
  readonly process: ChildProcess
  readonly heard: unknown[][] = []
  #wake = (): void => {}

  constructor (t: Test, url: string, transports: string) {
    this.process = spawn(PYTHON, [SCRIPT, url, 'U1', transports], { stdio: ['pipe', 'pipe', 'inherit'] })
    t.teardown(() => this.process.kill('SIGKILL'))
    createInterface({ input: this.process.stdout! }).on('line', line => {
      this.heard.push(JSON.parse(line) as unknown[])
      this.#wake()
    })
  }

  emit (n: number): void { this.process.stdin!.write(`${n}\n`) }

  /** The numbers that came with such an event, when there are so many; it calls each handler in a thread of its own. */
  async wait (event: string, count: number): Promise<number[]> {
    const found = (): number[] => this.heard.filter(([name]) => name === event).map(([, n]) => n as number)
    await within((async () => {
      while (found().length < count) await new Promise<void>(resolve => { this.#wake = resolve })
    })(), `${count} times ${event} in Python`, START_MS_MAX)
    return found().sort((a, b) => a - b)
  }

  async kill (): Promise<void> {
    const gone = once(this.process, 'exit')
    this.process.kill('SIGKILL')
    await gone
  }
}

function numbers (from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index)
}

async function proven (broker: Broker): Promise<void> {
  await until(() => broker.session(U1)?.inflightMessages === 0, 'the proofs')
}

for (const transports of ['polling', 'websocket', 'polling,websocket']) {
  t.test(`python-socketio by ${transports}: everything comes, once, over a kill too [G2] [G4]`, async t => {
    const { broker, url } = await startBridged(t)
    const sender = await connectClient(t, url, { auth: { clientId: 'node' } })
    const answered = collect(sender, 'y')
    const first = new PythonClient(t, url, transports)
    await first.wait('connect', 1)
    for (const n of numbers(0, 50)) await sender.emitWithAck('send', { user: 'U1' }, 'x', n)
    t.same(await first.wait('x', 50), numbers(0, 50))
    await proven(broker)
    for (const n of numbers(0, 5)) first.emit(n)
    t.same((await answered.wait(5)).sort(), numbers(0, 5), 'what it emits')
    t.same(await first.wait('answer', 5), numbers(0, 5), 'its callbacks')
    await first.kill()
    // it may have left no poll behind by which its end would be seen; the next one takes over
    for (const n of numbers(50, 80)) await sender.emitWithAck('send', { user: 'U1' }, 'x', n)
    const second = new PythonClient(t, url, transports)
    t.same(await second.wait('x', 30), numbers(50, 80))
    await proven(broker)
  })
}

t.test('a client whose requests carry no t gets everything, once, in order, each proven [G2] [G3]', async t => {
  const { broker, url } = await startBridged(t)
  const sender = await connectClient(t, url)
  const client = await BarePolling.open(t, url, ['40{"clientId":"U1"}'])
  await client.wait('0{', 1)
  for (const n of numbers(0, 30)) await sender.emitWithAck('send', { user: 'U1' }, 'x', n)
  const got = await within(client.wait('2["x"', 30), '30 messages')
  t.same(got.map(packet => (JSON.parse(packet.slice(1)) as unknown[])[1]), numbers(0, 30))
  await proven(broker)
  client.post(['421["send",{"user":"U1"},"x","own"]'])
  t.match((await within(client.wait('2["x","own"', 1), 'its own message'))[0], /own/)
  t.match((await within(client.wait('31[', 1), 'the answer'))[0], /"status":"ok"/)
  t.equal(client.isOver, false)
})

t.test('without t, an answer that is lost while its poll is sent again in silence is no receipt [G2] [G3]', async t => {
  const { broker, port, url } = await startBridged(t, { pingIntervalMs: 300, pingTimeoutMs: 4_500 })
  const sender = await connectClient(t, url)
  let lost: Repetition = 'pass'
  const repeater = await createRepeater(t, { port }, method => {
    const now = method === 'GET' ? lost : 'pass'
    if (now !== 'pass') lost = 'pass'
    return now
  })
  const client = await BarePolling.open(t, repeater.url, ['40{"clientId":"U1"}'])
  await client.wait('2["holdfast:session"', 1)
  await proven(broker)
  lost = 'answered' // the poll after the one that waits; whichever of the answers it has
  for (const n of numbers(0, 6)) await sender.emitWithAck('send', { user: 'U1' }, 'x', n)
  await until(() => repeater.done.answered === 1, 'an answer to be lost')
  const numbersOf = (packets: readonly string[]): unknown[] =>
    packets.map(packet => (JSON.parse(packet.slice(1)) as unknown[])[1])
  await within(Promise.race([client.over(), client.wait('2["x"', 6)]), 'the end, or all of it')
  const before = numbersOf(await client.wait('2["x"', 0))
  t.same(before, numbers(0, before.length), 'no gap')
  const again = await BarePolling.open(t, url, ['40{"clientId":"U1"}'])
  await sender.emitWithAck('send', { user: 'U1' }, 'x', 6)
  await within(until(() => again.messages.some(packet => packet.startsWith('2["x",6')), 'the last'), 'the last')
  const after = numbersOf(await again.wait('2["x"', 1)) as number[]
  t.ok(after[0] <= before.length, 'the session goes on where it was, or before')
  t.same(after, numbers(after[0], 7))
})

t.test('without t, the pongs of an answer that came before the upgrade come behind it, and nothing before them [G3]',
  async t => {
    const { broker, port, url } = await startBridged(t)
    const sender = await connectClient(t, url)
    const start = `${url}/socket.io/?EIO=4&transport=polling`
    const ask = async (path: string, body?: string): Promise<string> =>
      await (await fetch(path, body === undefined ? {} : { method: 'POST', body })).text()
    const { sid } = JSON.parse((await ask(start)).slice(1)) as { sid: string }
    const path = `${start}&sid=${sid}`
    await ask(path, '40{"clientId":"U1"}')
    t.match(await ask(path), /^40\{.*\x1e2\x1e2\x1e2$/s, 'an answer with pings behind its messages')
    const waiting = ask(path)
    const socket = new WebSocket(`ws://127.0.0.1:${port}/socket.io/?EIO=4&transport=websocket&sid=${sid}`)
    t.teardown(() => socket.terminate())
    const frames: string[] = []
    const heard = new Promise<void>(resolve => socket.on('message', data => {
      frames.push(String(data))
      if (String(data).includes('"x"')) resolve()
    }))
    await once(socket, 'open')
    const probed = once(socket, 'message')
    socket.send('2probe')
    await within(probed, 'the probe')
    t.equal(await within(waiting, 'the poll to end'), '6')
    socket.send('5')
    await sender.emitWithAck('send', { user: 'U1' }, 'x', 1)
    t.equal(frames.filter(frame => frame.startsWith('42')).length, 0, 'nothing before its pongs')
    for (let n = 0; n < 3; n++) socket.send('3')
    socket.on('message', data => { if (String(data) === '2') socket.send('3') })
    await within(heard, 'the message')
    await proven(broker)
  })

t.test('the answer to a poll with t is small enough for python-engineio, which takes 16 packets [G6]', async t => {
  const { broker, url } = await startBridged(t)
  const sender = await connectClient(t, url)
  const start = `${url}/socket.io/?EIO=4&transport=polling`
  let polls = 0
  const ask = async (path: string, body?: string): Promise<string> =>
    await (await fetch(`${path}&t=${++polls}`, body === undefined ? {} : { method: 'POST', body })).text()
  const { sid } = JSON.parse((await ask(start)).slice(1)) as { sid: string }
  const path = `${start}&sid=${sid}`
  await ask(path, '40{"clientId":"U1"}')
  await until(() => broker.session(U1) !== undefined, 'the session')
  for (const n of numbers(0, 40)) await sender.emitWithAck('send', { user: 'U1' }, 'x', n)
  const got: unknown[] = []
  while (got.length < 40) {
    const packets = (await within(ask(path), 'an answer')).split('\x1e')
    t.ok(packets.length <= 16, `${packets.length} packets`)
    for (const packet of packets) {
      if (packet === '2') await ask(path, '3')
      else if (packet.startsWith('42["x"')) got.push((JSON.parse(packet.slice(2)) as unknown[])[1])
    }
  }
  t.same(got, numbers(0, 40))
})
