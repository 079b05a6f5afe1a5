/**
 * What every connection passes before anything of MQTT or HTTP is read: who it is (PROXY protocol), whether its address
 * has too many, and TLS. What takes long here, or is never done, is bounded in number and in time [G6].
 */
import { Socket, type Server } from 'node:net'
import { createServer, type Server as TlsServer, type TLSSocket } from 'node:tls'
import type { AddressGate, Clock, Refusals } from '../../broker/index.ts'
import type { Config } from '../../config/schema.ts'
import type { Certificates } from './certificates.ts'
import { setAddress, type Proxies } from './proxies.ts'
import { readProxyHeader, PROXY_HEADER_BYTES_MAX } from './proxy-header.ts'

export interface EntranceOptions {
  /** Of the protocol, for the log. */
  readonly name: string
  /** Application protocols that are spoken behind TLS (ALPN); who names others alone is refused (ALPACA). */
  readonly alpn: readonly string[]
  readonly config: Pick<Config, 'connectTimeoutMs' | 'handshakesMax' | 'proxyProtocol' | 'tlsClientCertificate'>
  readonly certificates: Certificates | undefined
  readonly proxies: Proxies
  readonly gate: AddressGate
  readonly clock: Clock
  readonly refusals: Refusals
  /** There is no room for one more; that is told. */
  isFull (socket: Socket): boolean
  /** It is through. */
  pass (socket: Socket): void
}

const NO_BYTES = Buffer.alloc(0)

export class Entrance {
  readonly #options: EntranceOptions
  readonly #tls: TlsServer | undefined
  /** On their way through TLS, by the address and port of the peer, which both sockets tell. */
  readonly #shaking = new Map<string, Socket>()
  /** On their way through; handshakesMax at most. */
  readonly #pending = new Set<Socket>()

  constructor (options: EntranceOptions) {
    this.#options = options
    if (options.certificates !== undefined) this.#tls = this.#makeTls(options.certificates)
  }

  /** From now on its connections come through here. */
  watch (server: Server, isEncrypted: boolean): void {
    server.on('connection', (socket: Socket) => { this.#take(socket, isEncrypted) })
    server.on('error', (error: Error) => {
      if (!server.listening) return // whoever asked for that is told
      this.#options.refusals.note({
        kind: 'connections',
        who: {},
        about: { error: error.message },
        what: `a connection of ${this.#options.name} could not be taken from the system`,
        toDo: 'let the process have more open files (ulimit -n), or look at what the error says'
      })
    })
  }

  /** Whoever is on the way through stays outside. */
  close (): void {
    for (const socket of this.#pending) socket.destroy()
  }

  #take (socket: Socket, isEncrypted: boolean): void {
    const { config, proxies, gate, isFull } = this.#options
    const peer = socket.remoteAddress
    socket.on('error', () => {}) // it may break at any time
    const speaksFirst = config.proxyProtocol !== 'off' && proxies.trusts(peer)
    const isRefused = peer === undefined || isFull(socket) || (!speaksFirst && !gate.mayCome(peer)) ||
      ((speaksFirst || isEncrypted) && this.#isCrowded(peer))
    if (isRefused) socket.destroy()
    else if (speaksFirst) this.#readHeader(socket, peer, isEncrypted)
    else this.#admit(socket, peer, isEncrypted)
  }

  #isCrowded (peer: string): boolean {
    const { name, config, refusals } = this.#options
    if (this.#pending.size < config.handshakesMax) return false
    refusals.note({
      kind: 'connections',
      who: { remoteAddress: peer },
      about: { handshakes: this.#pending.size },
      what: `a connection of ${name} was refused, as there are handshakesMax under way already`,
      toDo: 'find out who begins so many and does not end them, or raise handshakesMax'
    })
    return true
  }

  /** Its address is known. */
  #admit (socket: Socket, address: string, isEncrypted: boolean): void {
    socket.once('close', this.#options.gate.came(address))
    if (isEncrypted) this.#secure(socket)
    else this.#options.pass(socket)
  }

  // --- PROXY protocol

  #readHeader (socket: Socket, peer: string, isEncrypted: boolean): void {
    const { clock, config, gate } = this.#options
    let bytes: Buffer = NO_BYTES
    this.#pending.add(socket)
    const cancel = clock.after(config.connectTimeoutMs, () => {
      this.#refuseHeader(socket, peer, 'it did not come in time')
    })
    const done = (): void => {
      cancel()
      this.#pending.delete(socket)
      socket.off('readable', onReadable).off('end', onEnd).off('close', done)
    }
    const onEnd = (): void => { socket.destroy() }
    const onReadable = (): void => {
      const chunk = socket.read() as Buffer | null
      if (chunk === null) return
      bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk])
      const header = readProxyHeader(bytes)
      if (header.kind === 'more' && bytes.length < PROXY_HEADER_BYTES_MAX) return
      done()
      if (header.kind === 'more') return this.#refuseHeader(socket, peer, 'it is too long')
      if (header.kind === 'wrong') return this.#refuseHeader(socket, peer, header.says)
      const address = header.kind === 'client' ? header.address : peer
      if (!gate.mayCome(address)) {
        socket.destroy()
        return
      }
      if (header.kind === 'client') setAddress(socket, address)
      if (header.bytes < bytes.length) socket.unshift(bytes.subarray(header.bytes))
      // only then has the stream noted that nobody waits for 'readable' any more
      process.nextTick(() => { if (!socket.destroyed) this.#admit(socket, address, isEncrypted) })
    }
    socket.on('readable', onReadable).on('end', onEnd).on('close', done)
  }

  #refuseHeader (socket: Socket, peer: string, says: string): void {
    this.#options.refusals.note({
      kind: 'handshakes',
      who: { remoteAddress: peer },
      about: { error: says },
      what: `a connection of ${this.#options.name} was refused, as a trusted proxy sent no proper header of the ` +
        'PROXY protocol',
      toDo: 'let the proxy send it (send-proxy-v2 of HAProxy, proxy_protocol of nginx), or set proxyProtocol to off'
    })
    socket.destroy()
  }

  // --- TLS

  #makeTls (certificates: Certificates): TlsServer {
    const { alpn, config } = this.#options
    const server = createServer({
      ...certificates.context,
      ALPNProtocols: [...alpn],
      handshakeTimeout: config.connectTimeoutMs,
      requestCert: config.tlsClientCertificate !== 'off',
      rejectUnauthorized: config.tlsClientCertificate === 'required'
    })
    certificates.serve(server)
    server.on('secureConnection', (socket) => { this.#secured(socket) })
    server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
      const below = this.#shaking.get(peerOf(socket))
      this.#refuseHandshake(below?.remoteAddress ?? socket.remoteAddress, error)
      socket.destroy()
      below?.destroy()
    })
    return server
  }

  #secure (socket: Socket): void {
    const peer = peerOf(socket)
    this.#pending.add(socket)
    this.#shaking.set(peer, socket)
    socket.once('close', () => { this.#through(peer, socket) })
    this.#tls!.emit('connection', socket)
  }

  #through (peer: string, socket: Socket): void {
    this.#pending.delete(socket)
    if (this.#shaking.get(peer) === socket) this.#shaking.delete(peer)
  }

  #secured (socket: TLSSocket): void {
    const { config, pass } = this.#options
    const peer = peerOf(socket)
    const below = this.#shaking.get(peer)
    if (below === undefined) { // it has gone meanwhile
      socket.destroy()
      return
    }
    this.#through(peer, below)
    const address = below.remoteAddress ?? ''
    if (address !== socket.remoteAddress) setAddress(socket, address)
    // who shows a certificate must show a good one
    const isRefused = config.tlsClientCertificate !== 'off' && !socket.authorized &&
      Object.keys(socket.getPeerCertificate() ?? {}).length > 0
    if (!isRefused) return pass(socket)
    const error = new Error(String(socket.authorizationError))
    this.#refuseHandshake(address, Object.assign(error, { code: 'UNVERIFIED' }))
    socket.destroy()
  }

  #refuseHandshake (address: string | undefined, { code = '', message }: NodeJS.ErrnoException): void {
    if (code === 'ECONNRESET' || code === 'EPIPE') return // it has gone
    this.#options.refusals.note({
      kind: 'handshakes',
      who: { remoteAddress: address },
      about: { code, error: message },
      sameAs: code,
      what: `a connection of ${this.#options.name} was refused, as its TLS handshake failed`,
      toDo: TO_DO[code] ?? 'look at the client, and at what the error says'
    })
  }
}

const CERTIFICATE = 'give the client a certificate of an authority in tlsClientCa that is valid now'
const PLAIN = 'use TLS in the client (mqtts://, https://, wss://), or the port that is not encrypted'
const TRUST = 'the client refuses the certificate: give it the authority of tlsCert, and let tlsCert hold the whole ' +
  'chain'

const TO_DO: Readonly<Record<string, string>> = {
  ERR_SSL_UNSUPPORTED_PROTOCOL: 'update the client: TLS 1.2 and 1.3 are spoken',
  ERR_SSL_VERSION_TOO_LOW: 'update the client: TLS 1.2 and 1.3 are spoken',
  ERR_SSL_NO_SHARED_CIPHER: 'update the client: it knows no cipher that is still safe',
  ERR_SSL_HTTP_REQUEST: PLAIN,
  ERR_SSL_WRONG_VERSION_NUMBER: PLAIN,
  ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE: CERTIFICATE,
  UNVERIFIED: CERTIFICATE,
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: TRUST,
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN: TRUST,
  ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE: TRUST,
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED: 'renew the certificate in tlsCert',
  ERR_TLS_HANDSHAKE_TIMEOUT: 'look at who connects and does not go on, or raise connectTimeoutMs'
}

/** Both sockets of a TLS connection tell the same. */
function peerOf (socket: Socket): string {
  const address: unknown = Reflect.get(Socket.prototype, 'remoteAddress', socket) // whatever was set over it
  return `${String(address)} ${socket.remotePort}`
}
