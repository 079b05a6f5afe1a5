/**
 * The HTTP front: what the router has, and which upgrade belongs to whom. Socket.IO attaches itself beside it.
 * On a program's own server only the router's paths and, where that door is open, mqttPath are answered; everything
 * else stays the program's.
 */
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Server as SocketioServer } from 'socket.io'
import type { OriginGate } from '../../bridge/socketio/index.ts'
import { unready, type Refusals } from '../../broker/index.ts'
import { answer, refuseUpgrade } from './answers.ts'
import { splitUrl, type Router } from './router.ts'

export interface FrontOptions {
  readonly http: Server
  /** False on a program's own server. */
  readonly own: boolean
  /** Undefined where MQTT over WebSocket is closed: then that path is nothing of ours. */
  readonly mqttPath: string | undefined
  /** Of a server of ours. */
  readonly ownSocketioPath: string
  /** The program's own Socket.IO server, which has attached itself to `http` already. */
  readonly program?: SocketioServer | undefined
  /** Which pages may connect. */
  readonly origins: OriginGate
  readonly refusals: Refusals
  /** Health, and whatever else is answered here; asked while the server starts and stops, too. */
  readonly router: Router
  /** Takes an upgrade to MQTT over WebSocket; called once the server has started, until it stops. */
  readonly upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void
}

export interface Front {
  /** Everything that attaches itself to the server has done so: its upgrades are known to have an owner. */
  open (): void
  /** `starting`, `stopping`, or undefined while it serves. */
  readonly refusal: string | undefined
  /** Refuses new work with 503, the router's aside. */
  refuse (reason: string): void
  /** Leaves the server as it was found, but for what others attached. */
  detach (): void
}

export function createFront (options: FrontOptions): Front {
  const { http, own, mqttPath, ownSocketioPath, program, origins, refusals, router, upgrade } = options
  let refusal: string | undefined = 'starting'
  let attached = true
  const socketioPath = program?.path() ?? ownSocketioPath
  // of Engine.IO, which does not answer for other paths
  const upgradersOfIo = program?.engine.opts.transports?.includes('websocket') === true ? 1 : 0
  let upgradersOfOurs = 1 + upgradersOfIo
  const programs = http.listeners('request') as RequestListener[]
  const upgradersBefore = http.listenerCount('upgrade')

  function tell (kind: 'paths' | 'requests', request: IncomingMessage, what: string, toDo: string): void {
    const { method, headers: { upgrade }, socket: { remoteAddress } } = request
    const path = pathOf(request)
    const about = { method, path, upgrade }
    refusals.note({ kind, who: { remoteAddress }, about, sameAs: `${what} ${path}`, what, toDo })
  }

  function tellPath (request: IncomingMessage, what: string): void {
    tell('paths', request, what, 'correct the path in the client, or in the proxy, or set mqttPath or socketioPath ' +
      `to what it asks for. There is ${places(mqttPath, socketioPath)}`)
  }

  function onRequest (request: IncomingMessage, response: ServerResponse): void {
    const path = pathOf(request)
    if (attached && router.has(path)) void router.handle(request, response) // which never rejects
    else if (attached && path === mqttPath) {
      tell('requests', request, 'a request for mqttPath asks for no WebSocket',
        'let the client connect with ws://, or have the proxy hand on Upgrade and Connection')
      answer(response, 426, 'MQTT over WebSocket is here: connect with ws, subprotocol mqtt.\n',
        { Upgrade: 'websocket' })
    } else if (!own) {
      for (const listener of programs) listener.call(http, request, response)
    } else if (refusal !== undefined) {
      refusals.note(unready(request.socket.remoteAddress, refusal))
      answer(response, 503, `The server is ${refusal}. Try again soon.\n`, { 'Retry-After': '1' })
    } else {
      tellPath(request, 'there is nothing at the path of a request')
      answer(response, 404, `There is nothing at ${path.slice(0, 200)}. There is ${places(mqttPath, socketioPath)}.\n`)
    }
  }

  function refuseUnready (request: IncomingMessage, socket: Duplex, is: string): void {
    refusals.note(unready(request.socket.remoteAddress, is))
    refuseUpgrade(socket, '503 Service Unavailable', `The server is ${is}. Try again soon.\n`)
  }

  function onUpgrade (request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const path = pathOf(request)
    if (path === mqttPath) {
      if (refusal !== undefined) refuseUnready(request, socket, refusal)
      else if (origins.allows(request)) upgrade(request, socket, head)
      else origins.refuse(request, socket)
    } else if (path.startsWith(socketioPath + '/') || (program !== undefined && path === socketioPath)) {
      if (refusal !== undefined && own) refuseUnready(request, socket, refusal)
    } else if (own || http.listenerCount('upgrade') <= upgradersOfOurs) {
      tellPath(request, 'there is nothing at the path of a WebSocket')
      // with no other listener nobody would ever answer: the socket would stay open for good
      refuseUpgrade(socket, '404 Not Found',
        `There is nothing at this path. There is ${places(mqttPath, socketioPath)}.\n`)
    }
  }

  if (!own) http.removeAllListeners('request')
  http.on('request', onRequest)
  http.on('upgrade', onUpgrade)
  return {
    get refusal () { return refusal },
    open () {
      refusal = undefined
      upgradersOfOurs = http.listenerCount('upgrade') - upgradersBefore + upgradersOfIo
    },
    refuse (reason) {
      refusal = reason
      if (!own) return
      // what others attached must not take new work either
      http.removeAllListeners('request').on('request', onRequest)
      http.removeAllListeners('upgrade').on('upgrade', onUpgrade)
    },
    detach () {
      attached = false
      http.off('upgrade', onUpgrade)
      if (own || !http.listeners('request').includes(onRequest)) return
      http.off('request', onRequest)
      for (const listener of programs) http.on('request', listener)
    }
  }
}

function places (mqttPath: string | undefined, socketioPath: string): string {
  const mqtt = mqttPath === undefined ? '' : `MQTT over WebSocket at ${mqttPath}, `
  const closed = mqttPath === undefined ? '; MQTT over WebSocket is closed here (mqttWebsocket)' : ''
  return `${mqtt}Socket.IO at ${socketioPath}/, health at /healthz and /readyz${closed}`
}

function pathOf (request: IncomingMessage): string {
  return splitUrl(request).path
}
