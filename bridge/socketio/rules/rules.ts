/**
 * The rules of a bridge, by namespace: what an emit asks for, what a message is to a client. Compiled once; rules.md
 * says what they mean.
 */
import type { Message } from '../../../broker/index.ts'
import { parseCommand, type Command } from '../commands.ts'
import { scopeFilter } from '../names.ts'
import { readEvent, type SocketEvent } from '../translate.ts'
import { NO_RULES, type RuleSet } from './rule.ts'

/** Whose emit it is, or who opens a namespace. */
export interface Who {
  /** As the client gave it; undefined where it gave none. */
  readonly name: string | undefined
  readonly principal: string
}

export interface Emit extends Who {
  /** Event and arguments as they came, without the ack function. */
  readonly packet: readonly unknown[]
  /** True where the client waits for an answer. */
  readonly asks: boolean
}

/** What holds in one namespace. */
export interface NamespaceRules {
  /** False where nobody may open it. */
  readonly allowed: boolean
  /** The namespace that topics and sessions are named by; what the client knows it by may be another. */
  readonly name: string
  /** What a session that opens it is subscribed to; all valid as far as the rules can tell. */
  filters (who: Who): readonly string[]
  /** Never throws. */
  command (emit: Emit): Command
  /** The same object for the same message, so that what is made of it can be kept by it. Never throws. */
  translate (message: Message): SocketEvent
}

export interface RulesOptions {
  readonly rules?: RuleSet
  readonly makeId: () => string
}

/** Namespaces are named by clients; beyond these, the one that came first is compiled again when it is asked for. */
export const NAMESPACES_COMPILED_MAX = 1_024

export class Rules {
  readonly #rules: RuleSet
  readonly #makeId: () => string
  readonly #compiled = new Map<string, NamespaceRules>()

  constructor ({ rules = NO_RULES, makeId }: RulesOptions) {
    this.#rules = rules
    this.#makeId = makeId
  }

  /** @param namespace as the client knows it */
  namespace (namespace: string): NamespaceRules {
    let compiled = this.#compiled.get(namespace)
    if (compiled === undefined) {
      compiled = new CompiledNamespace(namespace, this.#rules, this.#makeId)
      this.#compiled.set(namespace, compiled)
      if (this.#compiled.size > NAMESPACES_COMPILED_MAX) this.#compiled.delete(this.#compiled.keys().next().value!)
    }
    return compiled
  }
}

class CompiledNamespace implements NamespaceRules {
  readonly allowed = true
  readonly name: string
  readonly #makeId: () => string
  readonly #translated = new WeakMap<Message, SocketEvent>()

  constructor (namespace: string, _rules: RuleSet, makeId: () => string) {
    this.name = namespace
    this.#makeId = makeId
  }

  filters ({ name }: Who): readonly string[] {
    const all = scopeFilter(this.name, { all: true })
    return name === undefined ? [all] : [all, scopeFilter(this.name, { user: name })]
  }

  command ({ packet, asks }: Emit): Command {
    return parseCommand(this.name, packet, asks, this.#makeId)
  }

  translate (message: Message): SocketEvent {
    let event = this.#translated.get(message)
    if (event === undefined) {
      event = readEvent(message)
      this.#translated.set(message, event)
    }
    return event
  }
}
