/** A broker with its MQTT server and its Socket.IO bridge inside the test, and unmodified clients for it. */
import { createServer, type Server } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt'
import { io, type ManagerOptions, type Socket, type SocketOptions } from 'socket.io-client'
import type { Test } from 'tap'
import { WebSocket } from 'ws'
import {
  silent, Turns, type Auth, type Broker, type Clock, type Limits, type Logger, type MqttServer, type ProgramAuth,
  type Refusals, type Store, type TimeSource
} from '../../broker/index.ts'
import { isToken } from '../../bridge/socketio/proof/recovery-offset.ts'
import {
  createSocketioBridge, type BridgeConfig, type SocketioBridge, type SocketioBridgeOptions
} from '../../bridge/socketio/index.ts'
import { defaults } from '../../config/schema.ts'
import type { Core } from '../../broker/core.ts'
import { startInProcess } from '../helpers/in-process.ts'
import { within } from '../helpers/wait.ts'

export interface Bridged {
  readonly broker: Core
  readonly bridge: SocketioBridge
  readonly http: Server
  readonly mqtt: MqttServer
  readonly url: string
  readonly port: number
  readonly mqttUrl: string
  readonly refusals: Refusals
}

export interface BridgedOptions {
  readonly limits?: Partial<Limits>
  readonly auth?: ProgramAuth | Auth
  readonly store?: Store
  readonly clock?: Clock & TimeSource
  readonly log?: Logger
  readonly pingIntervalMs?: number
  readonly pingTimeoutMs?: number
  /** Any other option of the bridge, or of its configuration. */
  readonly bridge?: Partial<SocketioBridgeOptions & BridgeConfig>
}

export async function startBridged (t: Test, options: BridgedOptions = {}): Promise<Bridged> {
  const turns = new Turns()
  const { broker, refusals, server: mqtt, port: mqttPort } = await startInProcess(t, { ...options, turns })
  const http = createServer((_request, response) => { response.writeHead(404).end('elsewhere') })
  const bridge = createSocketioBridge({
    broker,
    refusals,
    http,
    log: options.log ?? silent,
    turns,
    ...options.bridge,
    config: {
      ...defaults(),
      socketioSessionExpiryMs: 3_600_000,
      ...options.pingIntervalMs !== undefined && { pingIntervalMs: options.pingIntervalMs },
      ...options.pingTimeoutMs !== undefined && { pingTimeoutMs: options.pingTimeoutMs },
      ...options.bridge
    }
  })
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  t.teardown(async () => {
    await bridge.close()
    http.closeAllConnections()
    http.close()
  })
  const { port } = http.address() as AddressInfo
  const [url, mqttUrl] = [`http://127.0.0.1:${port}`, `mqtt://127.0.0.1:${mqttPort}`]
  return { broker, refusals, bridge, http, mqtt, port, url, mqttUrl }
}

export type ClientOptions = Partial<ManagerOptions & SocketOptions>

/** A client that has not connected yet; over WebSocket unless told otherwise. */
export function newClient (t: Test, url: string, options: ClientOptions = {}): Socket {
  const socket = io(url, {
    transports: ['websocket'], forceNew: true, reconnectionDelay: 20, reconnectionDelayMax: 50, ...options
  })
  t.teardown(() => socket.disconnect())
  return socket
}

export async function connectClient (t: Test, url: string, options: ClientOptions = {}): Promise<Socket> {
  const socket = newClient(t, url, options)
  await connected(socket)
  return socket
}

export async function connected (socket: Socket): Promise<void> {
  if (!socket.connected) await heard(socket, 'connect')
}

/** The device cookie that the server gives a browser, as that sends it back. */
export async function cookieOf ({ url }: Pick<Bridged, 'url'>): Promise<string> {
  const { headers } = await fetch(`${url}/socket.io/?EIO=4&transport=polling&t=${Math.random()}`)
  return headers.get('set-cookie')!.split(';')[0]
}

/** The arguments of the next such event, without the recovery token. */
export async function heard (socket: Socket, event: string, ms?: number): Promise<unknown[]> {
  return await within(new Promise<unknown[]>(resolve => {
    socket.once(event, (...args: unknown[]) => resolve(isToken(args.at(-1)) ? args.slice(0, -1) : args))
  }), `the event ${event}`, ms)
}

/** The message with which connecting is refused. */
export async function refused (socket: Socket): Promise<Error & { data?: { code: string } }> {
  return (await heard(socket, 'connect_error'))[0] as Error & { data?: { code: string } }
}

interface Collected {
  readonly values: unknown[]
  wait (count: number): Promise<unknown[]>
}

/** Collects the first argument of an event from now on; wait() resolves when there are so many. */
export function collect (socket: Socket, event: string): Collected {
  const values: unknown[] = []
  let wake = (): void => {}
  socket.on(event, (value: unknown) => {
    values.push(value)
    wake()
  })
  return {
    values,
    async wait (count) {
      await within(new Promise<void>(resolve => {
        wake = () => { if (values.length >= count) resolve() }
        wake()
      }), `${count} times ${event}`)
      return values
    }
  }
}

/** A WebSocket that says what it is told; has opened the namespace that `connect` asks for. */
export async function openRaw (t: Test, port: number, connect = '40'): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/socket.io/?EIO=4&transport=websocket`)
  t.teardown(() => socket.terminate())
  socket.on('error', () => {})
  const joined = new Promise<void>(resolve => socket.on('message', data => {
    if (String(data).startsWith('0')) socket.send(connect)
    else if (String(data).startsWith('40')) resolve()
  }))
  await within(joined, 'the namespace')
  return socket
}

/** The next packet that begins so. */
export async function nextPacket (socket: WebSocket, start: string): Promise<string> {
  return await within(new Promise<string>(resolve => {
    socket.on('message', function look (data) {
      if (!String(data).startsWith(start)) return
      socket.off('message', look)
      resolve(String(data))
    })
  }), `a packet ${start}`)
}

export async function connectMqtt (t: Test, url: string, options: IClientOptions = {}): Promise<MqttClient> {
  const client = await connectAsync(url, options)
  t.teardown(async () => await client.endAsync(true))
  return client
}

/** How many messages those who come in from now on have published; `published` is called with each. */
export function countPublishes (broker: Pick<Broker, 'enter'>, published = (): void => {}): () => number {
  let count = 0
  const enter = broker.enter.bind(broker)
  broker.enter = async request => {
    const peer = await enter(request)
    const publish = peer.publish.bind(peer)
    peer.publish = (...args) => {
      count++
      publish(...args)
      published()
    }
    return peer
  }
  return () => count
}
