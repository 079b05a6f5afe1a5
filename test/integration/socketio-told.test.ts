/** What used to end in silence, or was told too often: each is counted once, and told with what to do. */
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Server } from 'socket.io'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { createFront } from '../../server/http/front.ts'
import { Router } from '../../server/http/router.ts'
import { Refusals, silent, systemClock } from '../../broker/index.ts'
import { createMemoryStore } from '../../broker/store/memory.ts'
import { createHoldfast, type Holdfast, type HoldfastOptions, type Logger } from '../../index.ts'
import { until, within } from '../helpers/wait.ts'
import { connectClient, newClient, refused } from './socketio-harness.ts'

interface Line { readonly level: string, readonly fields: Readonly<Record<string, unknown>>, readonly sentence: string }

async function start (t: Test, options: HoldfastOptions = {}): Promise<{
  holdfast: Holdfast, url: string, lines: readonly Line[], line (sentence: RegExp): Promise<Line>
}> {
  const lines: Line[] = []
  const at = (level: string) => (fields: object, sentence: string): void => {
    lines.push({ level, fields: { ...fields }, sentence })
  }
  const logger: Logger = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
  const doors = options.io === undefined ? { httpPort: 0 } : {}
  const holdfast = await createHoldfast({ store: createMemoryStore(), logger, mqttPort: 0, ...doors, ...options })
  t.teardown(() => holdfast.close())
  const line = async (sentence: RegExp): Promise<Line> => {
    await until(() => lines.some(line => sentence.test(line.sentence)), String(sentence))
    return lines.find(line => sentence.test(line.sentence))!
  }
  return { holdfast, url: `http://127.0.0.1:${holdfast.addresses.http?.port}`, lines, line }
}

async function open (t: Test, url: string, packet?: string): Promise<WebSocket> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`)
  t.teardown(() => socket.terminate())
  await within(once(socket, 'message'), 'the handshake')
  if (packet !== undefined) socket.send(packet)
  return socket
}

t.test('a stranger whose CONNECT is none is counted and told', async t => {
  const { holdfast, url, line } = await start(t)
  const bad = ['40{bad', '40[1]', '40null', '40/a,"x"']
  for (const packet of bad) await within(once(await open(t, url, packet), 'close'), 'the end')
  t.equal(holdfast.stats().refusals.violations, bad.length)
  t.match((await line(/broke the protocol/)).fields, { remoteAddress: '127.0.0.1', error: /CONNECT is no packet/ })
  for (const packet of ['40', '407', '40{}', '40/a', '40/a,', '40/b?q=1,{"x":[1]}']) {
    const [data] = await within(once(await open(t, url, packet), 'message'), packet) as [Buffer]
    t.match(String(data), /^40/)
  }
  t.equal(holdfast.stats().refusals.violations, bad.length, 'and no other')
})

t.test('so is one that opens no namespace in time, unless it is refused', async t => {
  const { holdfast, url, line } = await start(t, {
    connectTimeoutMs: 300,
    identify: ({ auth }) => {
      if (auth['token'] === undefined) throw new Error('no\n token')
      return {}
    }
  })
  const idle = await open(t, url)
  const unwanted = await open(t, url, '40')
  await within(Promise.all([once(idle, 'close'), once(unwanted, 'close')]), 'the end')
  t.match((await line(/opened no namespace within 300 ms/)).fields, { remoteAddress: '127.0.0.1', count: 2 })
  t.equal(holdfast.stats().refusals.clients, 2)
})

t.test('the stack of an identify() that throws stands at level debug, in one line', async t => {
  const { url, lines } = await start(t, { identify: () => { throw new Error('the users are\n gone') } })
  await refused(newClient(t, url, { reconnection: false }))
  const [{ level, fields }] = lines.filter(({ sentence }) => sentence.startsWith('identify() of the program threw'))
  t.equal(level, 'debug')
  t.match(fields['stack'], /^Error: the users are\\u\{a\} gone.*socketio-told/)
  t.notMatch(fields['stack'], /\n/)
})

t.test('what nobody can read counts once, whatever the number of namespaces', async t => {
  const { holdfast, url } = await start(t)
  const client = await connectClient(t, url, { reconnection: false })
  for (const name of ['/a', '/b']) {
    const socket = client.io.socket(name)
    await within(new Promise<void>(resolve => socket.on('connect', () => resolve())), name)
  }
  const ended = new Promise<void>(resolve => client.on('disconnect', () => resolve()))
  client.io.engine.send('4garbage')
  await within(ended, 'the end')
  t.equal(holdfast.stats().refusals.violations, 1)
})

t.test('what is asked while the server starts or stops is counted', async t => {
  const http = createServer()
  const refusals = new Refusals({ clock: systemClock, log: silent })
  const front = createFront({
    http, own: true, mqttPath: '/mqtt', ownSocketioPath: '/socket.io', refusals,
    router: new Router({ routes: [], bodyBytesMax: 0 }),
    origins: { allows: () => true, refuse () {} }, upgrade: (_request, socket) => { socket.destroy() }
  })
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  t.teardown(() => {
    http.closeAllConnections()
    http.close()
  })
  const { port } = http.address() as AddressInfo
  const ask = async (): Promise<void> => {
    t.equal((await fetch(`http://127.0.0.1:${port}/x`)).status, 503)
    for (const path of ['mqtt', 'socket.io/']) {
      const socket = new WebSocket(`ws://127.0.0.1:${port}/${path}`)
      const [, response] = await within(once(socket, 'unexpected-response'), path) as [unknown, IncomingMessage]
      t.equal(response.statusCode, 503)
    }
  }
  await ask()
  front.open()
  t.equal((await fetch(`http://127.0.0.1:${port}/x`)).status, 404)
  front.refuse('stopping')
  await ask()
  t.match(refusals.counts, { unready: 6, paths: 1 })
})

for (const [what, make] of [
  ['before', (io: Server) => { io.of(/^\/room-/) }],
  ['after', undefined]
] as const) {
  t.test(`a server that keeps its dynamic namespaces for ever is told of once: made ${what} it is handed over`,
    async t => {
      for (const cleanupEmptyChildNamespaces of [false, true]) {
        const http = createServer()
        const io = new Server(http, { cleanupEmptyChildNamespaces })
        t.teardown(() => io.close())
        make?.(io)
        http.listen(0, '127.0.0.1')
        await once(http, 'listening')
        const { lines } = await start(t, { io, allowAnonymous: true })
        if (make === undefined) io.of((_name, _auth, next) => { next(null, true) })
        const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`
        for (const name of ['/room-1', '/room-2']) await connectClient(t, `${url}${name}`)
        const told = lines.filter(({ sentence }) => sentence.includes('cleanupEmptyChildNamespaces: true'))
        t.same(told.map(({ level }) => level), cleanupEmptyChildNamespaces ? [] : ['warn'])
      }
    })
}
