/** What admission leans on in Socket.IO, and fails here when an upgrade changes it; and that nothing gets past it. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Server, type Namespace } from 'socket.io'
import t from 'tap'
import type { Test } from 'tap'
import { hookNamespaces, rename, type Admit } from '../../bridge/socketio/admission/namespace-hook.ts'
import type { Pid, Sid } from '../../bridge/socketio/admission/recovery.ts'
import { legacyClient, VERSIONS, type LegacySocket, type Version } from '../helpers/socketio-clients.ts'
import { until, within } from '../helpers/wait.ts'

interface Waiting { readonly _preConnectSockets: Map<string, unknown> }
const waitingIn = (namespace: Namespace): Map<string, unknown> =>
  (namespace as unknown as Waiting)._preConnectSockets

interface Started {
  readonly io: Server
  client (version: Version, path?: string): LegacySocket
}

async function start (t: Test, admit: Admit): Promise<Started> {
  const http = createServer()
  const io = new Server(http, { allowEIO3: true })
  hookNamespaces(io, admit)
  io.of(/.*/)
  await new Promise<void>(resolve => http.listen(0, '127.0.0.1', resolve))
  t.teardown(async () => { await io.close() })
  const { port } = http.address() as AddressInfo
  return {
    io,
    client (version, path = '/') {
      const socket = legacyClient(version, `http://127.0.0.1:${port}${path}`, { transports: ['websocket'] })
      t.teardown(() => { socket.disconnect() })
      return socket
    }
  }
}

for (const version of VERSIONS) {
  t.test(`${version}: every namespace, behind every middleware, before CONNECT and the handlers`, async t => {
    const order: string[] = []
    const { io, client } = await start(t, async socket => {
      order.push(`admit ${socket.nsp.name} ${socket.connected}`)
      return {
        enter (connect) {
          order.push('enter')
          connect()
          order.push(`entered ${socket.connected}`)
        },
        abandon () {}
      }
    })
    for (const name of ['/', '/made/before']) {
      io.of(name).use((_socket, next) => { order.push('first'); setImmediate(next) })
      io.of(name).use((_socket, next) => { order.push('second'); next() })
      io.of(name).on('connection', () => { order.push('connection') })
    }
    for (const [path, expected] of [
      ['/', ['first', 'second', 'admit / false', 'enter', 'connection', 'entered true']],
      ['/made/before', ['first', 'second', 'admit /made/before false', 'enter', 'connection', 'entered true']],
      ['/made/now', ['admit /made/now false', 'enter', 'entered true']]
    ] as const) {
      order.length = 0
      const socket = client(version, path)
      await within(new Promise<void>(resolve => socket.once('connect', () => resolve())), 'connect')
      // version 2 opens the root namespace besides
      const own = version === '2.5' && path !== '/' ? order.slice(order.indexOf('entered true') + 1) : order
      await until(() => own.length >= expected.length || order.length >= 6 + expected.length, 'the way in')
      t.same(order.slice(-expected.length), expected)
      socket.disconnect()
      await until(() => io.engine.clientsCount === 0, 'the end')
    }
  })

  t.test(`${version}: a refusal reaches the client as a middleware's does, and leaves nothing behind`, async t => {
    const { io, client } = await start(t, async () => {
      throw Object.assign(new Error('no'), { data: { code: 'NO' } })
    })
    const socket = client(version)
    const refusal = await within(new Promise<unknown>(resolve => {
      socket.once('connect_error', resolve)
      socket.once('error', resolve)
    }), 'the refusal')
    if (version === '2.5') t.same(refusal, { code: 'NO' })
    else t.match(refusal, { message: 'no', data: { code: 'NO' } })
    t.equal(waitingIn(io.of('/')).size, 0)
    t.equal(io.of('/').sockets.size, 0)
  })
}

t.test('a connection that breaks while it is being admitted is abandoned, and leaves nothing behind', async t => {
  let letIn: (() => void) | undefined
  let abandoned = 0
  const { io, client } = await start(t, async () => {
    await new Promise<void>(resolve => { letIn = resolve })
    return { enter () { t.fail('it is gone') }, abandon () { abandoned++ } }
  })
  const socket = client('4.8', '/room')
  await until(() => letIn !== undefined, 'the admission')
  const namespace = io.of('/room')
  t.equal(waitingIn(namespace).size, 1)
  socket.disconnect()
  await until(() => io.engine.clientsCount === 0, 'the end')
  letIn!()
  await until(() => abandoned === 1, 'it to be abandoned')
  t.equal(waitingIn(namespace).size, 0)
  t.equal(namespace.sockets.size, 0)
})

t.test('a socket that is renamed before it is connected goes by its new name everywhere', async t => {
  const { io, client } = await start(t, async socket => ({
    enter (connect) {
      rename(socket, 'the sid' as Sid, 'the pid' as Pid, true)
      connect()
    },
    abandon () {}
  }))
  const socket = client('4.8')
  await within(new Promise<void>(resolve => socket.once('connect', () => resolve())), 'connect')
  t.equal(socket.id, 'the sid')
  t.equal((socket as unknown as { _pid: string })._pid, 'the pid')
  const namespace = io.of('/')
  t.same([...namespace.sockets.keys()], ['the sid'])
  t.equal(waitingIn(namespace).size, 0)
  t.equal(namespace.sockets.get('the sid')?.recovered, true)
  const heard = new Promise(resolve => socket.once('x', resolve))
  io.to('the sid').emit('x', 1)
  t.equal(await within(heard, 'an emit to its room'), 1)
  socket.disconnect()
  await until(() => namespace.sockets.size === 0, 'it to leave')
  t.equal(namespace.adapter.rooms.size, 0)
})
