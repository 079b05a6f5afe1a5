/** What stands between the ports and those who speak MQTT or HTTP: listeners, TLS, proxies, and who has too many. */
import { createServer, type Server, type Socket } from 'node:net'
import { AddressGate, type Clock, type Logger, type MqttServer, type Refusals } from '../../broker/index.ts'
import { isLoopback } from '../../config/loopback.ts'
import { arePlainPortsOpen } from '../../config/net-contradictions.ts'
import type { Config } from '../../config/schema.ts'
import type { OwnHttp } from '../http/own-http.ts'
import { type Address, type PortOption, addressOf, listen } from '../listen.ts'
import { Certificates } from './certificates.ts'
import { Entrance } from './entrance.ts'
import { Proxies } from './proxies.ts'

export interface NetworkOptions {
  readonly config: Config
  /** Nobody is asked to come by a port of ours: nothing of TLS is needed. */
  readonly isClosed: boolean
  readonly clock: Clock
  readonly log: Logger
  readonly refusals: Refusals
}

/** Where it listens now; what is closed is left out. */
export interface Addresses {
  readonly mqtt?: Address
  readonly http?: Address
  readonly mqtts?: Address
  readonly https?: Address
}
type Door = keyof Addresses
type Kind = 'mqtt' | 'http'

const DOORS: Readonly<Record<Door, { readonly what: string, readonly option: Exclude<PortOption, 'metricsPort'> }>> = {
  mqtt: { what: 'MQTT', option: 'mqttPort' },
  http: { what: 'HTTP', option: 'httpPort' },
  mqtts: { what: 'MQTT over TLS', option: 'mqttsPort' },
  https: { what: 'HTTPS', option: 'httpsPort' }
}
const DOORS_OF = { mqtt: ['mqtt', 'mqtts'], http: ['http', 'https'] } as const
/** As registered with IANA, and what clients of AWS offer. */
const MQTT_ALPN = ['mqtt', 'x-amzn-mqtt-ca']
const HTTP_ALPN = ['http/1.1']

export class Network {
  readonly proxies: Proxies
  readonly #options: NetworkOptions
  readonly #certificates: Certificates | undefined
  readonly #servers = new Map<Door, Server>()
  /** Of them, and of those that are still to listen: made here. */
  readonly #made = new Map<Door, Server>()
  readonly #entrances = new Map<Kind, Entrance>()

  private constructor (options: NetworkOptions, certificates: Certificates | undefined) {
    this.#options = options
    this.#certificates = certificates
    this.proxies = new Proxies(options.config)
  }

  /** Rejects with ConfigError where the files of TLS are no good. */
  static async create (options: NetworkOptions): Promise<Network> {
    const { config, clock, log } = options
    const hasTls = config.tlsCert !== '' && !options.isClosed
    const certificates = hasTls
      ? await Certificates.load({ files: config, watchMs: config.tlsWatchMs, clock, log })
      : undefined
    return new Network(options, certificates)
  }

  get addresses (): Addresses {
    return Object.fromEntries(Object.keys(DOORS).flatMap((door) => {
      const server = this.#servers.get(door as Door)
      const address = server && addressOf(server)
      return address === undefined ? [] : [[door, address]]
    }))
  }

  /** When the certificate in force ends, in seconds since 1970; undefined without TLS. */
  get certificateEndsAt (): number | undefined { return this.#certificates?.endsAt }

  /** For what is counted apart: `of MQTT`, `of Socket.IO`. */
  gate (of: string): AddressGate {
    const { config, clock, refusals } = this.#options
    return new AddressGate({
      limits: config,
      clock,
      refusals,
      of,
      isExempt: (address) => isLoopback(address) || this.proxies.trusts(address)
    })
  }

  /** Rejects with ListenError. */
  async listenHttp (http: OwnHttp): Promise<void> {
    const entrance = this.#entrance('http', HTTP_ALPN, (socket) => http.isFull(socket),
      (socket) => { http.take(socket) })
    // of two listeners it is the server itself that has the first: its timeouts run while it listens
    let first: Server | undefined = http.server
    for (const door of this.#open('http')) {
      await this.#listen(door, first ?? this.#make(door), entrance)
      first = undefined
    }
  }

  /** Rejects with ListenError. */
  async listenMqtt (mqtt: MqttServer): Promise<void> {
    const entrance = this.#entrance('mqtt', MQTT_ALPN, () => false, (socket) => { mqtt.take(socket) })
    for (const door of this.#open('mqtt')) await this.#listen(door, this.#make(door), entrance)
  }

  /** Takes the files of TLS anew. Rejects with ConfigError, and goes on with what was in force. */
  async reload (): Promise<void> { await this.#certificates?.reload() }

  /** Says once what everybody on the way can read. */
  sayUnencrypted (): void {
    const { config: { host }, log } = this.#options
    const open = (['mqtt', 'http'] as const).filter((door) => this.#servers.has(door))
    if (open.length === 0 || isLoopback(host)) return
    log.warn({ host, ports: open.map((door) => DOORS[door].option) }, 'what comes and goes by these ports is not ' +
      'encrypted, passwords and tokens too: everybody on the way can read and change it. Set tlsCert and tlsKey, or ' +
      'listen on 127.0.0.1 behind a proxy that ends TLS')
  }

  /** Takes no further connections of a kind; resolves when those are gone that came by a listener made here. */
  async stop (kind: Kind): Promise<void> {
    this.#entrances.get(kind)?.close()
    await Promise.all(DOORS_OF[kind].map(async (door) => {
      const made = this.#made.get(door)
      if (made?.listening === true) await new Promise<void>((resolve) => { made.close(() => { resolve() }) })
    }))
  }

  close (): void { this.#certificates?.close() }

  #open (kind: Kind): readonly Door[] {
    const [plain, encrypted] = DOORS_OF[kind]
    return [
      ...arePlainPortsOpen(this.#options.config) ? [plain] : [],
      ...this.#certificates === undefined ? [] : [encrypted]
    ]
  }

  #make (door: Door): Server {
    const server = createServer({ noDelay: true, allowHalfOpen: true }) // what came before the end is answered
    this.#made.set(door, server)
    return server
  }

  #entrance (kind: Kind, alpn: readonly string[], isFull: (socket: Socket) => boolean,
    pass: (socket: Socket) => void): Entrance {
    const { config, clock, refusals } = this.#options
    const { what } = DOORS[kind]
    const entrance = new Entrance({
      name: what,
      alpn,
      config,
      certificates: this.#certificates,
      proxies: this.proxies,
      gate: this.gate(`of ${what}`),
      clock,
      refusals,
      isFull,
      pass
    })
    this.#entrances.set(kind, entrance)
    return entrance
  }

  async #listen (door: Door, server: Server, entrance: Entrance): Promise<void> {
    const { config } = this.#options
    const { what, option } = DOORS[door]
    entrance.watch(server, door === 'mqtts' || door === 'https')
    await listen(server, what, { host: config.host, port: config[option] }, option, config.listenBacklogConnectionsMax)
    this.#servers.set(door, server)
  }
}
