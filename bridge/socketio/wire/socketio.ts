/**
 * What the bridge uses of Socket.IO that the library keeps to itself, by name: missingOfSocketio() looks at the start
 * whether it is there, and contract tests fail when an upgrade changes what it does.
 */
import { type Namespace, type Server, type ServerOptions, Socket } from 'socket.io'
import { missingIn } from './missing.ts'

/** A text, then binary values. */
export type EncodedPackets = readonly [string, ...Array<Uint8Array | ArrayBuffer>]

/** Socket.IO's encoder; one for a server, as `server.encoder`. */
export interface PacketEncoder {
  encode (packet: {
    readonly type: number, readonly nsp: string, readonly data: readonly unknown[], readonly id?: number | undefined
  }): EncodedPackets
}

/** What Socket.IO has besides and keeps to itself. */
export interface PrivateNamespace {
  readonly server: { readonly encoder: PacketEncoder }
  /** The next identifier of an event that asks for an answer. */
  _ids: number
}

export interface PrivateSocket {
  /** Called with the client's answer to the event with that identifier, and taken away. */
  readonly acks: Map<number, (...answer: unknown[]) => void>
  /** Makes the function that answers the client's event with that identifier. */
  ack (id: number): (...answer: unknown[]) => void
}

/** Those that are there now. */
export function namespacesOf (io: Server): IterableIterator<Namespace> {
  return (io as unknown as { readonly _nsps: ReadonlyMap<string, Namespace> })._nsps.values()
}

export function privateOf (namespace: Namespace): PrivateNamespace {
  return namespace as unknown as PrivateNamespace
}

export function privateSocketOf (socket: Socket): PrivateSocket {
  return socket as unknown as PrivateSocket
}

/** A socket on its way into a namespace. */
export interface HookedSocket extends Omit<Socket, 'id' | 'pid' | 'recovered'> {
  id: string
  pid: string | undefined
  recovered: boolean
  _cleanup (): void
  _error (error: unknown): void
}

interface HookedNamespace {
  readonly _preConnectSockets: Map<string, unknown>
  _doConnect (socket: HookedSocket, opened?: (socket: HookedSocket) => void): void
}

/** Stands at the one place that opens a namespace: `connect` goes on there. */
export function interceptConnect (
  namespace: Namespace, intercept: (socket: HookedSocket, connect: () => void) => void
): void {
  const hooked = namespace as unknown as HookedNamespace
  const connect = hooked._doConnect
  hooked._doConnect = (socket, opened) => intercept(socket, () => connect.call(namespace, socket, opened))
}

/** Forgets a socket that is not let in. */
export function forgetSocket (socket: HookedSocket): void { socket._cleanup() }

/** Writes CONNECT_ERROR. */
export function refuseSocket (socket: HookedSocket, error: unknown): void { socket._error(error) }

/** Before the namespace is opened: the socket goes by this identifier from now on. */
export function renameSocket (socket: HookedSocket, id: string): void {
  const { _preConnectSockets: waiting } = socket.nsp as unknown as HookedNamespace
  waiting.delete(socket.id)
  socket.id = id
  waiting.set(id, socket)
}

/** It has dynamic namespaces, and what clients make of them stays. */
export function keepsChildNamespaces (io: Server): boolean {
  const { size } = (io as unknown as { readonly parentNsps: ReadonlyMap<unknown, Namespace> }).parentNsps
  return size > 0 && optionsOf(io).cleanupEmptyChildNamespaces !== true
}

/** What the server was made with. */
export function optionsOf (io: Server): Partial<ServerOptions> {
  return (io as unknown as { readonly opts: Partial<ServerOptions> }).opts
}

/** Names that are not there as they should be. */
export function missingOfSocketio (io: Server): readonly string[] {
  const root = io.of('/')
  const client = { id: 'x', conn: { protocol: 4, remoteAddress: '' }, request: undefined }
  return [
    ...missingIn('Server', io, { _nsps: 'object', parentNsps: 'object', opts: 'object', encoder: 'object' }),
    ...missingIn('Server.encoder', (io as unknown as PrivateNamespace['server']).encoder, { encode: 'function' }),
    ...missingIn('Namespace', root, {
      server: 'object', _ids: 'number', _preConnectSockets: 'object', _doConnect: 'function'
    }),
    ...missingIn('Adapter', root.adapter, { addAll: 'function', del: 'function', broadcast: 'function' }),
    ...missingIn('Socket', new Socket(root, client as never, {}), {
      ack: 'function', acks: 'object', _cleanup: 'function', _error: 'function', recovered: 'boolean'
    })
  ]
}
