/** A broker with its MQTT server inside the test, for what needs no process of its own. */
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import type { Test } from 'tap'
import {
  authOf, createMqttServer, DEFAULT_LIMITS, everybody, Refusals, silent, systemClock,
  type Auth, type Clock, type Limits, type Logger, type MqttServer, type ProgramAuth, type Store, type TimeSource,
  type Turns
} from '../../broker/index.ts'
import type { Core } from '../../broker/core.ts'
import { createCore } from '../../broker/holdfast-broker.ts'
import { createMemoryStore } from '../../broker/store/memory.ts'

export interface InProcessOptions {
  readonly limits?: Partial<Limits>
  readonly auth?: ProgramAuth | Auth
  readonly store?: Store
  readonly clock?: Clock & TimeSource
  readonly log?: Logger
  readonly sessionExpiryMs?: number
  readonly refusedMessages?: 'acknowledge' | 'disconnect'
  readonly qos0Messages?: 'pass' | 'keep'
  readonly turns?: Turns
}

export interface InProcess {
  readonly broker: Core
  readonly server: MqttServer
  readonly refusals: Refusals
  readonly host: string
  readonly port: number
  close (): Promise<void>
}

const DAY_MS = 86_400_000
let lastMade = 0

/** Listens on a free port of 127.0.0.1; closed when the test ends. */
export async function startInProcess (t: Test, options: InProcessOptions = {}): Promise<InProcess> {
  const broker = createCore({
    store: options.store ?? createMemoryStore(),
    auth: options.auth === undefined ? everybody : 'rightsOf' in options.auth ? options.auth : authOf(options.auth),
    limits: { ...DEFAULT_LIMITS, ...options.limits },
    clock: options.clock ?? systemClock,
    makeId: () => `made-${++lastMade}`
  })
  await broker.open()
  const expiryMs = options.sessionExpiryMs ?? DAY_MS
  const log = options.log ?? silent
  const refusals = new Refusals({ clock: systemClock, log })
  const server = await createMqttServer({
    broker,
    log,
    refusals,
    tcpSessionExpiryMs: expiryMs,
    websocketSessionExpiryMs: expiryMs,
    refusedMessages: options.refusedMessages,
    qos0Messages: options.qos0Messages,
    turns: options.turns
  })
  const listener = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => { server.take(socket) })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address() as AddressInfo
  let closed = false
  async function close (): Promise<void> {
    if (closed) return
    closed = true
    listener.close()
    await server.close()
    await broker.close()
  }
  t.teardown(close)
  return { broker, server, refusals, host: '127.0.0.1', port, close }
}
