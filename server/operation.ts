/** All that an operator has of a running server: health, metrics, administration, and the ways to them. */
import { statSync } from 'node:fs'
import type { OriginGate } from '../bridge/socketio/index.ts'
import type { Broker, Logger, Refusals, Store } from '../broker/index.ts'
import { isLoopback } from '../config/loopback.ts'
import type { Config } from '../config/schema.ts'
import { adminRoutes, copyRoute } from './admin/routes.ts'
import { listenControl } from './control.ts'
import type { Holdfast } from './holdfast.ts'
import { createAdminGate, readAdminToken } from './http/admin-gate.ts'
import { healthRoutes } from './http/health.ts'
import { HttpError } from './http/http-error.ts'
import { mayConnect } from './http/origins.ts'
import { createOwnHttp, type OwnHttp } from './http/own-http.ts'
import { Router, type Route } from './http/router.ts'
import { tellRefused } from './http/tell-refused.ts'
import { type Address, authority, listen } from './listen.ts'
import { Counted } from './metrics/counted.ts'
import type { Metrics } from './metrics/metrics.ts'
import { storeFileOf } from './metrics/store-file.ts'
import { SysValues } from './metrics/sys.ts'
import { PROGRAM } from './program.ts'
import { version } from './version.ts'

export interface OperationOptions {
  readonly config: Config
  /** The folder of the store, where that is one of ours. */
  readonly data: string
  /** The program's own, which has no folder that we know. */
  readonly store?: Store | undefined
  readonly broker: Broker
  /** Which pages get as far as being asked for the token. */
  readonly origins: OriginGate
  readonly refusals: Refusals
  readonly log: Logger
  /** Why the server does not serve now; undefined where it does. */
  readonly notReady: () => string | undefined
  /** When the certificate of TLS ends, in seconds since 1970. */
  readonly certificateEndsAt?: (() => number | undefined) | undefined
}

/** Of whoever looks after a server, at each of the ways to it. */
const CONNECTIONS_MAX = 100
/** A payload in JSON may take twice its bytes, and what is around it. */
const BODY_BYTES = 65_536

export class Operation {
  /** Of the HTTP server that clients come by: health, and with a token what needs it. */
  readonly router: Router
  readonly #options: OperationOptions
  /** Undefined where there is no folder. */
  readonly #folder: string | undefined
  /** Made when it is first asked for: most servers never are, and prom-client takes its share of a small heap. */
  readonly #makeMetrics: () => Promise<Metrics>
  #metrics: Promise<Metrics> | undefined
  readonly #health: readonly Route[]
  readonly #metricsRoute: Route
  readonly #adminRoutes: readonly Route[]
  readonly #sys: SysValues
  readonly #ends: Array<() => Promise<void>> = []
  #running: Holdfast | undefined
  #address: Address | undefined

  /** @throws ConfigError */
  constructor (options: OperationOptions) {
    const { config, broker, data, store, origins, notReady, certificateEndsAt } = options
    this.#options = options
    this.#folder = store === undefined ? data : undefined
    const token = readAdminToken(config.adminTokenFile, statSync)
    const holdfast = (): Holdfast => this.#holdfast()
    const counted = new Counted(broker.events)
    this.#makeMetrics = async () => (await import('./metrics/metrics.ts')).createMetrics({
      version: version(),
      meters: broker.meters,
      counted,
      stats: () => holdfast().stats(),
      isReady: () => notReady() === undefined,
      storeFile: async () => this.#folder === undefined ? undefined : await storeFileOf(this.#folder),
      certificateEndsAt: () => certificateEndsAt?.()
    })
    this.#health = healthRoutes(notReady)
    this.#metricsRoute = { method: 'GET', path: '/metrics', answer: async () => await this.#answerMetrics() }
    this.#adminRoutes = adminRoutes({ holdfast, version: version(), notReady })
    this.router = this.#routerOf(token === undefined
      ? this.#health
      : [...this.#health, ...admitted([this.#metricsRoute, ...this.#adminRoutes], createAdminGate(token, origins))])
    this.#sys = new SysValues({ broker, publisher: PROGRAM, intervalMs: config.sysIntervalMs, version: version() })
  }

  /** Of metricsPort, while it is listened on. */
  get address (): Address | undefined { return this.#address }

  /** Rejects with ListenError. */
  async start (holdfast: Holdfast): Promise<void> {
    this.#running = holdfast
    const { metricsPort } = this.#options.config
    if (metricsPort !== false) await this.#listenForMetrics(metricsPort)
    if (this.#folder !== undefined) await this.#listenForCommands(this.#folder)
    this.#sys.start(() => holdfast.stats())
  }

  async close (): Promise<void> {
    this.#running = undefined
    this.#address = undefined
    this.#sys.close()
    const metrics = await this.#metrics?.catch(() => undefined)
    metrics?.close()
    for (const end of this.#ends.splice(0)) await end()
  }

  #holdfast (): Holdfast {
    if (this.#running !== undefined) return this.#running
    throw new HttpError(503, 'CLOSED', 'the server is not open', { 'Retry-After': '1' })
  }

  async #answerMetrics (): Promise<{ status: number, text: string, headers: Record<string, string> }> {
    this.#holdfast()
    const metrics = await (this.#metrics ??= this.#makeMetrics())
    return { status: 200, text: await metrics.text(), headers: { 'Content-Type': metrics.contentType } }
  }

  #routerOf (routes: readonly Route[]): Router {
    const { config, log, refusals } = this.#options
    return new Router({
      routes,
      bodyBytesMax: config.packetBytesMax * 2 + BODY_BYTES,
      refused: (request, error) => { tellRefused(refusals, request, error) },
      failed: ({ method, url }, err) => { log.error({ err, method, url }, 'a request of an operator has failed') }
    })
  }

  #serve (routes: readonly Route[]): OwnHttp {
    const { config, log, refusals } = this.#options
    const http = createOwnHttp({ ...config, connectionsMax: CONNECTIONS_MAX }, refusals)
    const router = this.#routerOf([...this.#health, ...routes])
    http.server.on('connection', (socket) => {
      if (http.isFull(socket)) socket.destroy()
      else http.take(socket)
    })
    http.server.on('error', (err) => { // before it listens, whoever asked for that is told
      if (http.server.listening) log.warn({ err }, 'a connection of an operator could not be taken from the system')
    })
    http.server.on('request', (request, response) => { void router.handle(request, response) }) // which never rejects
    return http
  }

  async #listenForMetrics (port: number): Promise<void> {
    const { config: { metricsHost: host, allowedOrigins: allowed, listenBacklogConnectionsMax }, log } = this.#options
    const http = this.#serve(admitted([this.#metricsRoute], ({ headers }) => {
      if (mayConnect(headers, { allowed, anonymous: isLoopback(host) }, true)) return
      throw new HttpError(403, 'NOT_AUTHORIZED', 'a page of another origin may not read metrics')
    }))
    this.#address = await listen(http.server, 'metrics', { host, port }, 'metricsPort', listenBacklogConnectionsMax)
    this.#ends.push(() => http.close())
    log.info({ metrics: this.#address },
      `metrics at http://${authority(this.#address)}/metrics, for whoever reaches that port`)
  }

  async #listenForCommands (folder: string): Promise<void> {
    const { broker } = this.#options
    const copy = copyRoute(async (to) => { await broker.copyTo(to) })
    const http = this.#serve([this.#metricsRoute, ...this.#adminRoutes, copy])
    const remove = await listenControl(http.server, folder)
    this.#ends.push(async () => {
      remove()
      await http.close()
    })
  }
}

function admitted (routes: readonly Route[], admit: Route['admit']): Route[] {
  return routes.map((route) => ({ ...route, admit }))
}
