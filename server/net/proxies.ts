/**
 * Who may say for whom they speak, and what they say over HTTP: `X-Forwarded-For`, or `Forwarded` (RFC 7239). What
 * anybody else says there is nothing but a claim.
 */
import type { IncomingMessage, Server } from 'node:http'
import { isIP, type BlockList } from 'node:net'
import { blockListOf } from '../../config/networks.ts'
import type { Config } from '../../config/schema.ts'
import type { Parts } from '../parts.ts'

export class Proxies {
  readonly #trusted: BlockList
  readonly #header: Config['forwardedHeader']
  readonly #isNone: boolean

  constructor ({ trustedProxies, forwardedHeader }: Pick<Config, 'trustedProxies' | 'forwardedHeader'>) {
    this.#trusted = blockListOf(trustedProxies)
    this.#header = forwardedHeader
    this.#isNone = trustedProxies.length === 0
  }

  trusts (address: string | undefined): boolean {
    const version = this.#isNone || address === undefined ? 0 : isIP(address)
    return version !== 0 && this.#trusted.check(address!, version === 4 ? 'ipv4' : 'ipv6')
  }

  /** From where a request came: of what trusted proxies say the last that is no trusted proxy; else the peer. */
  clientOf (peer: string, headers: IncomingMessage['headers']): string {
    if (this.#header === 'off' || !this.trusts(peer)) return peer
    const value = headers[this.#header]
    const said = typeof value !== 'string' ? [] : this.#header === 'forwarded' ? readForwarded(value) : value.split(',')
    let client = peer
    for (const one of said.reverse()) {
      const address = addressIn(one)
      if (address === undefined) break // what stands before it came through nobody knows whom
      client = address
      if (!this.trusts(address)) break
    }
    return client
  }

  /**
   * From now on the socket of a request has the address of the client, for whoever asks (logs, limits, authentication,
   * Engine.IO). A proxy may send the requests of several clients over one connection, one after the other.
   */
  watch (http: Server, parts: Parts): void {
    if (this.#isNone || this.#header === 'off') return
    const peers = new WeakMap<object, string>()
    const look = ({ socket, headers }: IncomingMessage): void => {
      const peer = peers.get(socket) ?? socket.remoteAddress ?? ''
      peers.set(socket, peer)
      const client = this.clientOf(peer, headers)
      if (client !== socket.remoteAddress) setAddress(socket, client)
    }
    http.prependListener('request', look)
    http.prependListener('upgrade', look)
    parts.add(async () => {
      http.off('request', look)
      http.off('upgrade', look)
    })
  }
}

/** What `socket.remoteAddress` says from now on. */
export function setAddress (socket: object, address: string): void {
  Object.defineProperty(socket, 'remoteAddress', { value: address, configurable: true, enumerable: true })
}

/** The `for` of each element; '' where it has none. */
function readForwarded (value: string): string[] {
  const elements = value.match(/(?:"(?:[^"\\]|\\.)*"|[^",])+/g) ?? []
  return elements.map((element) =>
    /(?:^|;)\s*for\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;]+))\s*(?:;|$)/i.exec(element)?.slice(1)
      .find((found) => found !== undefined) ?? '')
}

/** `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:4711`. */
function addressIn (text: string): string | undefined {
  const found = text.trim()
  if (isIP(found) !== 0) return found.includes('%') ? undefined : found
  const [, v6, v4] = /^(?:\[([0-9a-f:.]+)\](?::\d{1,5})?|([\d.]+):\d{1,5})$/i.exec(found) ?? []
  const address = v6 ?? v4
  return address !== undefined && isIP(address) === (v6 === undefined ? 4 : 6) ? address : undefined
}
