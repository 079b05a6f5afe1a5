/** Private names of the libraries are looked at before the start: what is missing is named, with the version. */
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { Server, Socket } from 'socket.io'
import t from 'tap'
import type { Test } from 'tap'
import { createHoldfast } from '../../server/index.ts'
import { checkLibraries } from '../../server/libraries.ts'
import { missingOfEngine, type EngineModule } from '../../bridge/socketio/wire/engine.ts'
import { missingOfWs, type WsModule } from '../../bridge/socketio/wire/ws.ts'
import { silent } from '../../broker/index.ts'
import { tempFolder } from '../helpers/temp.ts'

const require = createRequire(createRequire(import.meta.url).resolve('socket.io'))
const engineIo = require('engine.io') as EngineModule & { Server: new () => object }
const ws = createRequire(require.resolve('engine.io'))('ws') as WsModule & { WebSocket: { prototype: object } }
const { version } = createRequire(import.meta.url)('socket.io/package.json') as { version: string }

/** Hides a name of a prototype until the test ends. */
function hide (t: Test, owner: object, name: string): void {
  const found = Object.getOwnPropertyDescriptor(owner, name)
  if (found === undefined) throw new Error(`there is no ${name} to hide`)
  Reflect.deleteProperty(owner, name)
  t.teardown(() => Object.defineProperty(owner, name, found))
}

t.test('with the libraries as they are nothing is missing, for a server of the program too', async t => {
  const io = new Server(createServer())
  t.doesNotThrow(() => checkLibraries())
  t.doesNotThrow(() => checkLibraries(io))
  t.equal(io.sockets.sockets.size, 0, 'what was looked at is not left behind')
})

for (const [what, owner, name] of [
  ['Namespace', new Server().of('/').constructor.prototype, '_doConnect'],
  ['Adapter', Object.getPrototypeOf(new Server().of('/').adapter), 'broadcast'],
  ['Socket', Socket.prototype, 'ack'],
  ['Socket', Socket.prototype, '_cleanup'],
  ['Socket', Socket.prototype, '_error']
] as const) {
  t.test(`Socket.IO without ${what}.${name} ends the start with the version and the name`, async t => {
    hide(t, owner as object, name)
    const message = new RegExp(`socket\\.io ${version}: it lacks ${what}\\.${name}, .*install socket\\.io >=4`)
    await t.rejects(createHoldfast({ logger: silent, mqttPort: 0, httpPort: 0, data: tempFolder(t) }), { message })
  })
}

t.test('names of Engine.IO and of ws', async t => {
  t.test('Engine.IO', async t => {
    hide(t, engineIo.Socket.prototype, 'resetPingTimeout')
    t.throws(() => checkLibraries(), { message: /engine\.io \d+\.\d+\.\d+: it lacks Socket\.resetPingTimeout, / })
    t.same(missingOfEngine(engineIo, {}, undefined),
      ['Server.clients', 'Server.clientsCount', 'Server.opts', 'Socket.resetPingTimeout'])
  })
  t.test('ws', async t => {
    hide(t, ws.WebSocket.prototype, 'isPaused')
    t.throws(() => checkLibraries(), { message: /ws \d+\.\d+\.\d+: it lacks WebSocket\.isPaused, / })
    class Deaf extends ws.WebSocketServer {
      override handleUpgrade (): void {}
    }
    t.match(missingOfWs({ WebSocketServer: Deaf }), {
      missing: ['WebSocket._socket', 'WebSocket._receiver', 'WebSocket._extensions', 'WebSocket.bufferedAmount',
        'WebSocket.isPaused', 'Receiver._maxPayload', 'the listener socketOnData', 'the listener socketOnEnd',
        'the listener socketOnClose']
    })
  })
})
