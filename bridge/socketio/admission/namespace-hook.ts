/**
 * Puts admission at the one place of Socket.IO that every opening of a namespace passes: behind all middlewares, those
 * of an application too, and before the CONNECT packet, so that what a client missed can be written before it.
 *
 * What that is called inside Socket.IO stands in wire/socketio.ts.
 */
import type { Namespace, Server, Socket } from 'socket.io'
import {
  forgetSocket, interceptConnect, namespacesOf, refuseSocket, renameSocket, type HookedSocket
} from '../wire/socketio.ts'
import type { Pid, Sid } from './recovery.ts'

/** A socket that may come in. One of the two is called, once, in a turn of its own. */
export interface Entry {
  /** `connect` opens the namespace: it writes CONNECT and runs the application's connection handlers. */
  enter (connect: () => void): void
  /** The connection broke meanwhile. */
  abandon (): void
}

/** Rejects with an Error to refuse the socket: the client sees its message and its `data` as connect_error. */
export type Admit = (socket: Socket) => Promise<Entry>

const OLD_PROTOCOL = 3

/** All namespaces of a server, those that are made later too. */
export function hookNamespaces (io: Server, admit: Admit): void {
  hookedNamespaces(io, namespace => hookNamespace(namespace, admit))
}

/** Calls back for each namespace that is there, and for each that is made later. */
export function hookedNamespaces (io: Server, each: (namespace: Namespace) => void): void {
  for (const namespace of namespacesOf(io)) each(namespace)
  io.on('new_namespace', each)
}

export function hookNamespace (namespace: Namespace, admit: Admit): void {
  interceptConnect(namespace, (socket, connect) => {
    // In turns of their own, as Socket.IO has it: an exception of an application's handler is the application's.
    admit(socket as unknown as Socket).then(entry => process.nextTick(() => {
      if (socket.conn.readyState === 'open') return entry.enter(connect)
      forgetSocket(socket)
      entry.abandon()
    }), (error: unknown) => process.nextTick(() => {
      forgetSocket(socket)
      if (socket.conn.readyState === 'open') refuse(socket, error as Error & { data?: unknown })
    }))
  })
}

/** Before the namespace is opened: the socket goes by these from now on. */
export function rename (socket: Socket, sid: Sid, pid: Pid, recovered: boolean): void {
  const hooked = socket as unknown as HookedSocket
  renameSocket(hooked, sid)
  hooked.pid = pid
  hooked.recovered = recovered
}

/** As Socket.IO refuses what a middleware refuses: clients of version 2 get the data alone. */
function refuse (socket: HookedSocket, { message, data }: Error & { data?: unknown }): void {
  const isOld = (socket.conn as unknown as { protocol: number }).protocol === OLD_PROTOCOL
  refuseSocket(socket, isOld ? data ?? message : { message, data })
}
