/** A server with TLS inside the test, and what its log says. */
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls'
import type { Test } from 'tap'
import { createMemoryStore } from '../../broker/store/memory.ts'
import { createHoldfast, type Holdfast, type HoldfastOptions, type Logger } from '../../index.ts'
import { createAuthority, type Authority, type Certificate } from '../helpers/certificates.ts'
import { within } from '../helpers/wait.ts'

export interface Line {
  readonly level: 'info' | 'warn' | 'error'
  readonly sentence: string
  readonly [field: string]: unknown
}

export interface Started {
  readonly holdfast: Holdfast
  readonly lines: readonly Line[]
  /** The log has such a line. */
  says (sentence: string, fields?: Readonly<Record<string, unknown>>): boolean
}

export async function start (t: Test, options: HoldfastOptions): Promise<Started> {
  const lines: Line[] = []
  const note = (level: Line['level']) => (fields: object, sentence: string): void => {
    lines.push({ ...fields, level, sentence })
  }
  const logger: Logger = { debug () {}, info: note('info'), warn: note('warn'), error: note('error') }
  const holdfast = await createHoldfast({
    store: createMemoryStore(), logger, mqttPort: 0, httpPort: 0, mqttsPort: 0, httpsPort: 0, ...options
  })
  t.teardown(() => holdfast.close())
  return {
    holdfast,
    lines,
    says: (sentence, fields = {}) => lines.some((line) => line.sentence.includes(sentence) &&
      Object.entries(fields).every(([name, value]) => line[name] === value))
  }
}

export interface Secured extends Started {
  readonly authority: Authority
  readonly server: Certificate
}

export async function startTls (
  t: Test, options: HoldfastOptions | ((authority: Authority) => HoldfastOptions) = {}
): Promise<Secured> {
  const authority = createAuthority(t)
  const server = authority.issue('server', '/CN=localhost')
  const more = typeof options === 'function' ? options(authority) : options
  const started = await start(t, { tlsCert: server.certFile, tlsKey: server.keyFile, ...more })
  return { ...started, authority, server }
}

/** Resolves with what a handshake came to: the socket, or the error that it ended with. */
export async function shake (t: Test, port: number, options: ConnectionOptions): Promise<TLSSocket | Error> {
  const socket = connectTls({ host: '127.0.0.1', port, ...options })
  t.teardown(() => socket.destroy())
  return await within(new Promise((resolve) => {
    socket.once('secureConnect', () => { resolve(socket) })
    socket.once('error', resolve)
  }), 'the handshake')
}

/** With TLS 1.3 the client hears of a refusal of its certificate after the handshake. */
export async function ended (socket: TLSSocket): Promise<void> {
  socket.on('error', () => {})
  socket.resume()
  if (!socket.closed) await within(new Promise((resolve) => { socket.once('close', resolve) }), 'the end')
}
