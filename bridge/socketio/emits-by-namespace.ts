/** A program's own Socket.IO server, under whose every namespace the log carries what it emits. */
import type { Namespace, Server } from 'socket.io'
import { hookedNamespaces } from './admission/namespace-hook.ts'
import { ApplicationEmits, type Member } from './application-emits.ts'
import type { SocketioBridgeOptions } from './options.ts'
import type { Rules } from './rules/rules.ts'
import type { Tally } from './tally.ts'
import { keepAdapter } from './wire/adapter.ts'
import { warnOfDynamicNamespaces } from './wire/own-io.ts'
import { namespacesOf } from './wire/socketio.ts'

export interface EmitsOptions {
  readonly bridge: Pick<SocketioBridgeOptions, 'broker' | 'log' | 'program'>
  /** By the id of the socket. */
  readonly members: ReadonlyMap<string, Member>
  readonly rules: Rules
  readonly makeId: () => string
  readonly tally: Tally
}

/** Has none where the Socket.IO server is one of ours. */
export class EmitsByNamespace {
  /** Gone with their namespaces, whose names clients may choose. */
  readonly #all = new WeakMap<Namespace, ApplicationEmits>()
  readonly #io: Server | undefined
  readonly #releaseAdapter: (() => void) | undefined

  constructor ({ bridge: { broker, log, program }, members, rules, makeId, tally }: EmitsOptions) {
    this.#io = program?.io
    if (program === undefined) return
    const { io, publisher, durable } = program
    this.#releaseAdapter = keepAdapter(io)
    hookedNamespaces(io, warnOfDynamicNamespaces(io, log))
    hookedNamespaces(io, namespace => {
      const { name: namespaceName } = rules.namespace(namespace.name)
      this.#all.set(namespace,
        new ApplicationEmits(namespace, { broker, program: publisher, durable, members, namespaceName, makeId, tally }))
    })
  }

  get (namespace: Namespace): ApplicationEmits | undefined { return this.#all.get(namespace) }

  /** Leaves the program's server as it was found. */
  detach (): void {
    if (this.#io === undefined) return
    for (const namespace of namespacesOf(this.#io)) this.#all.get(namespace)?.detach()
    this.#releaseAdapter?.()
  }
}
