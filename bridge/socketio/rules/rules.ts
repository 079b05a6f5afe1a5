/**
 * The rules of a bridge, by namespace: who may open it, what an emit asks for, what a message is to a client. Compiled
 * once; docs/rules.md says what they mean.
 */
import { ANONYMOUS, silent, type Clock, type Logger, type Message } from '../../../broker/index.ts'
import { parseCommand, refuse, type Command } from '../translation/commands.ts'
import { scopeFilter } from '../../../protocol/index.ts'
import { isReservedEvent, readEvent, undeliverable, type SocketEvent } from '../translation/translate.ts'
import { DeliverRules } from './deliver.ts'
import { EmitRules } from './emit.ts'
import { Faults } from './faults.ts'
import { FillError, fillText, fillTopic, type Source } from './fill.ts'
import { matchText, NOTHING_CAPTURED, type Captured } from './match.ts'
import { NO_RULES, type NamespaceRule, type RuleSet, type Template } from './rule.ts'

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
  /** What a session that opens it is subscribed to. */
  filters (who: Who): readonly string[]
  /** Never throws. */
  command (emit: Emit): Command
  /** Called once for a message, see frames.ts. Never throws. */
  translate (message: Message): SocketEvent
}

export interface RulesOptions {
  readonly rules?: RuleSet
  readonly makeId: () => string
  /**
   * Whose inbox `io/<namespace>/user/<user>/...` is: with authentication the principal's, on each of their devices, as
   * anybody could choose a name; else of the client with that name. Default: names.
   */
  readonly users?: 'principals' | 'names'
  readonly log?: Logger
  /** What the wall clock says of a moment. Default: the same. */
  readonly wall?: Clock['wall']
}

/** Namespaces are named by clients; beyond these, the one that came first is compiled again when it is asked for. */
export const NAMESPACES_COMPILED_MAX = 1_024
/** Where namespaces have rules, longer names are open to nobody. */
export const NAMESPACE_LENGTH_MAX = 1_024

export class Rules {
  readonly #rules: RuleSet
  readonly #makeId: () => string
  readonly #users: NonNullable<RulesOptions['users']>
  readonly #faults: Faults
  readonly #wall: Clock['wall']
  readonly #compiled = new Map<string, NamespaceRules>()

  constructor ({ rules = NO_RULES, makeId, users = 'names', log = silent, wall = (time) => time }: RulesOptions) {
    this.#rules = rules
    this.#makeId = makeId
    this.#users = users
    this.#faults = new Faults(log)
    this.#wall = wall
  }

  /** @param namespace as the client knows it */
  namespace (namespace: string): NamespaceRules {
    const known = this.#compiled.get(namespace)
    if (known !== undefined) return known
    const compiled = this.#compile(namespace)
    if (!compiled.allowed || namespace.length > NAMESPACE_LENGTH_MAX) return compiled
    this.#compiled.set(namespace, compiled)
    if (this.#compiled.size > NAMESPACES_COMPILED_MAX) this.#compiled.delete(this.#compiled.keys().next().value!)
    return compiled
  }

  #compile (namespace: string): NamespaceRules {
    const { namespaces, emit, deliver, defaults } = this.#rules
    if (namespaces.length > 0 && namespace.length > NAMESPACE_LENGTH_MAX) return new Denied(namespace)
    for (const rule of namespaces) {
      const captured = matchText(rule.match, namespace)
      if (captured === undefined) continue
      if (!rule.allow) return new Denied(namespace)
      return this.#open(rule.as === undefined ? namespace : renamed(rule.as, captured), rule, captured)
    }
    const bare = emit.length === 0 && deliver.length === 0 && defaults === true
    return bare ? this.#byDefault(namespace) : this.#open(namespace, undefined, NOTHING_CAPTURED)
  }

  #byDefault (name: string): NamespaceRules { return new DefaultNamespace(name, this.#makeId, this.#users) }

  #open (name: string, rule: NamespaceRule | undefined, captured: Captured): NamespaceRules {
    const { emit, deliver, defaults } = this.#rules
    return new RuledNamespace({
      name,
      fallback: this.#byDefault(name),
      defaults,
      subscribe: rule?.subscribe ?? [],
      captured,
      emit: new EmitRules(emit, name, { makeId: this.#makeId, faults: this.#faults }),
      deliver: new DeliverRules(deliver, name, this.#faults, this.#wall)
    })
  }
}

/** As docs/socketio.md says. */
class DefaultNamespace implements NamespaceRules {
  readonly allowed = true
  readonly name: string
  readonly #makeId: () => string
  readonly #users: 'principals' | 'names'

  constructor (name: string, makeId: () => string, users: 'principals' | 'names') {
    this.name = name
    this.#makeId = makeId
    this.#users = users
  }

  filters ({ name, principal }: Who): readonly string[] {
    const all = scopeFilter(this.name, { all: true })
    const user = this.#users === 'names' ? name : principal === ANONYMOUS ? undefined : principal // [G7]
    return user === undefined ? [all] : [all, scopeFilter(this.name, { user })]
  }

  command ({ packet, asks }: Emit): Command {
    return parseCommand(this.name, packet, asks, this.#makeId)
  }

  translate (message: Message): SocketEvent {
    return readEvent(message)
  }
}

function renamed (as: Template, captured: Captured): string {
  const name = fillText(as, { args: [], named: name => captured[name] })
  return name.startsWith('/') ? name : `/${name}`
}

interface Ruled {
  readonly name: string
  readonly fallback: NamespaceRules
  /** Whether the fallback decides where no rule does. */
  readonly defaults: RuleSet['defaults']
  readonly subscribe: NamespaceRule['subscribe']
  readonly captured: Captured
  readonly emit: EmitRules
  readonly deliver: DeliverRules
}

class RuledNamespace implements NamespaceRules {
  readonly allowed = true
  readonly name: string
  readonly #ruled: Ruled

  constructor (ruled: Ruled) {
    this.name = ruled.name
    this.#ruled = ruled
  }

  /** A filter with a part that this client does not have, as {clientId}, is left out. */
  filters (who: Who): readonly string[] {
    const { fallback, defaults, subscribe, captured } = this.#ruled
    const source: Source = { args: [], named: name => this.#named(name, who, captured) }
    const ruled = subscribe.flatMap(filter => {
      try {
        return [fillTopic(filter, source)]
      } catch (error) {
        if (error instanceof FillError) return []
        throw error
      }
    })
    return defaults !== false ? [...fallback.filters(who), ...ruled] : ruled
  }

  command (emit: Emit): Command {
    const { fallback, defaults, emit: rules } = this.#ruled
    const [event, ...args] = emit.packet
    // what is no name, or belongs to the server, is refused as it is without rules
    if (typeof event !== 'string' || isReservedEvent(event)) return fallback.command(emit)
    const { name: clientId, principal } = emit
    const command = rules.command({ event, args, namespace: this.name, clientId, principal })
    if (command !== undefined) return command
    if (defaults === true) return fallback.command(emit)
    return refuse('NO_RULE', `no rule says what the event ${JSON.stringify(event.slice(0, 80))} is for`)
  }

  translate (message: Message): SocketEvent {
    const { defaults, deliver } = this.#ruled
    return deliver.event(message) ?? (defaults !== false ? readEvent(message) : undeliverable(message, 'no-rule'))
  }

  #named (name: string, who: Who, captured: Captured): unknown {
    switch (name) {
      case 'namespace': return this.name
      case 'clientId': return who.name
      case 'principal': return who.principal
      default: return captured[name]
    }
  }
}

class Denied implements NamespaceRules {
  readonly allowed = false
  readonly name: string

  constructor (name: string) {
    this.name = name
  }

  filters (): readonly string[] {
    return []
  }

  command (): Command {
    return refuse('REFUSED', 'nobody may open this namespace')
  }

  translate (message: Message): SocketEvent {
    return undeliverable(message, 'no-rule')
  }
}
