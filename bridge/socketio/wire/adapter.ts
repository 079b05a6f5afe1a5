/**
 * Which adapter a program's Socket.IO server has. The log takes the place of the default one; another, of Redis or a
 * cluster, would go on believing that it brings emits to other nodes, while it hears of none.
 */
import { EventEmitter } from 'node:events'
import { Server } from 'socket.io'
import { namespacesOf } from './socketio.ts'

/** Names the first namespace or setting that has another adapter than the default; undefined where none has. */
export function foreignAdapter (io: Server): string | undefined {
  const isDefault = defaultAdapter(io)
  if (!isDefault(io.adapter())) return 'the option adapter, or io.adapter()'
  for (const { name, adapter } of namespacesOf(io)) {
    if (!isDefault(adapter.constructor)) return `the adapter of the namespace ${name}`
  }
  return undefined
}

/** From now on, until what is returned is called, the program can't put another adapter under the log. */
export function keepAdapter (io: Server): () => void {
  const adapter: (this: Server) => unknown = io.adapter
  io.adapter = ((...given: readonly unknown[]) => {
    if (given.length === 0) return adapter.call(io)
    throw new Error('io.adapter(): Holdfast carries what this server emits, and another adapter would be bypassed in ' +
      'silence; leave it out')
  }) as Server['adapter']
  return () => { io.adapter = adapter as Server['adapter'] }
}

/** Another copy of the library has a class of its own, which is known by what it is made of. */
function defaultAdapter (io: Server): (adapter: unknown) => boolean {
  if (io instanceof Server) {
    const own: unknown = new Server().adapter()
    return adapter => adapter === own
  }
  return adapter => Object.getPrototypeOf(adapter) === EventEmitter
}
